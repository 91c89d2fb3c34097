"""
A stranger's server: it passes for any venue, answers as it is told, and keeps what it was sent.

TLS by a certificate of its own. It knows no trading: what the requests must carry is for the tests
to say.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.known import KnownOrders
from brokers.ccxt.lanes import Lanes
from brokers.ccxt.opening import prepared
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import MarketRules
from brokers.contract import News
from messages import PositionMode, VenueOrder, VenueReport
from scenarios.exchange.authority import HOSTS, TestAuthority

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
SECRETS = {
    "api_key": "test-key-0001",
    "secret": "dGVzdC1zZWNyZXQtMDAwMQ==",
    "password": "test-pass-1",
}
WALLET = {"api_key": "0x" + "1" * 40, "secret": "0x" + "2" * 64}


@dataclass(frozen=True)
class Sent:
    """One request as it came in."""

    host: str
    method: str
    path: str
    fields: dict[str, Any]
    """Query and body together."""
    headers: dict[str, str]


@dataclass
class Reply:
    """An answer: a document, or a text as it is; ``drop`` closes the connection in place of it."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: bool = False
    """Half of the body is sent, then the connection closes."""
    hang: bool = False
    """Nothing comes until the other end has gone."""


Answer = Callable[[Sent], Reply | dict[str, Any] | list[Any] | None]


class Capture:
    """What was sent, and what answers it: the first of ``answers`` that has an answer."""

    def __init__(self, *answers: Answer) -> None:
        """Answer by ``answers``."""
        self.answers = list(answers)
        self.sent: list[Sent] = []

    def of(self, method: str, path: str) -> list[Sent]:
        """Return the requests of a method whose path ends so."""
        return [each for each in self.sent if each.method == method and each.path.endswith(path)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep a request and answer it."""
        text = await request.text()
        fields: dict[str, Any] = dict(request.query)
        if text.startswith(("{", "[")):
            document = json.loads(text)
            fields.update(document if isinstance(document, dict) else {"list": document})
        else:
            fields.update(parse_qsl(text))
        sent = Sent(request.host, request.method, request.path, fields, dict(request.headers))
        self.sent.append(sent)
        for answer in self.answers:
            found = answer(sent)
            if found is not None:
                return await _respond(request, found if isinstance(found, Reply) else Reply(found))
        return web.json_response({"unexpected": request.path}, status=404)


async def _respond(request: web.Request, reply: Reply) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    if reply.hang:
        while not transport.is_closing():
            await sleep_s(0.01)
    if reply.drop or reply.hang:
        transport.close()
        return web.Response()
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    kind = "application/json" if not text.startswith("<") else "text/html"
    if reply.cut:
        cut = web.StreamResponse(headers={"Content-Length": str(len(text)), "Content-Type": kind})
        await cut.prepare(request)
        await cut.write(text[: len(text) // 2].encode())
        transport.close()
        return cut
    return web.Response(text=text, status=reply.status, headers=reply.headers, content_type=kind)


@dataclass
class Desk:
    """A real ccxt client that is set up at a capture server, and what its orders came to."""

    capture: Capture
    client: CcxtClient
    calls: Calls
    ordering: Ordering
    rules: dict[str, MarketRules]
    orders: KnownOrders
    news: list[News]
    checked: list[str]
    trouble: list[str]
    unverified: dict[str, str] = field(default_factory=dict)

    def life(self) -> list[str]:
        """Return the events of all reports."""
        return [each.event.value for each in self.news if isinstance(each, VenueReport)]

    def answers(self) -> list[VenueOrder]:
        """Return the answers about orders."""
        return [each for each in self.news if isinstance(each, VenueOrder)]


@asynccontextmanager
async def serving(
    capture: Capture, folder: Path, *, tls: bool = True
) -> AsyncIterator[tuple[int, Path]]:
    """Serve on loopback; yield the port and the certificate to trust."""
    authority = TestAuthority(folder, (*HOSTS, "*.gateio.ws", "*.kucoin.com"))
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", capture.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.tls if tls else None)
    await site.start()
    try:
        yield site.port, authority.ca_path
    finally:
        await runner.cleanup()


@asynccontextmanager
async def trading(
    venue: str, folder: Path, *answers: Answer, symbols: tuple[str, ...], **given: Any
) -> AsyncIterator[Desk]:
    """Open ``venue`` at a capture server that answers by ``answers``, set up for ``symbols``."""
    capture = Capture(*answers)
    async with serving(capture, folder) as (port, ca):
        given.setdefault("secrets", WALLET if venue == "hyperliquid" else SECRETS)
        mode = given.setdefault("position_mode", PositionMode.ONE_WAY)
        address = CcxtAddress(venue, loopback_port=port, loopback_ca=ca, **given)
        row = capabilities_of(venue)
        client = CcxtClient(address, row, CLOCK)
        try:
            lanes = Lanes(client.weights, monotonic_s, sleep_s)
            calls = Calls(client, lanes, CLOCK, Redactor(address.secrets.values()))
            ready = await prepared(calls, symbols)
            rules = ready.rules
            orders = KnownOrders()
            ordering = Ordering(calls, orders, rules, mode, CLOCK)
            desk = Desk(
                capture, client, calls, ordering, rules, orders, [], [], [], ready.unverified
            )
            ordering.tell = desk.news.extend
            ordering.check = desk.checked.append
            ordering.trouble = lambda failure: desk.trouble.append(repr(failure))
            capture.sent.clear()
            yield desk
        finally:
            await client.close()
