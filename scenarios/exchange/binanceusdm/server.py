"""
The virtual venue on the wire of binanceusdm: REST and websockets on one port.

Theory of operation. A request is weighed, told who it is from and how old it is, read, and does
what it does to the core in one synchronous step that also makes its answer. The facts are then
written and synced; only after that are the streams told, and only after them is it answered.

Two clocks. The machine's (``wall``) judges signatures, limits, listen keys and countdowns: they
are promises about a network, which a market that runs a hundred times too fast does not change.
The market's dates orders, trades, candles and events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.virtual import wire
from scenarios.exchange.binanceusdm.auth import KEY_HEADER, Keys, admit, check_signature, check_time
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.budget import Budget, Limits
from scenarios.exchange.binanceusdm.endpoints import ENDPOINTS, Endpoint, Security
from scenarios.exchange.binanceusdm.errors import Refused
from scenarios.exchange.binanceusdm.listing import exchange_terms
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.streams import Streams
from scenarios.exchange.binanceusdm.striking import Striking, failing
from scenarios.exchange.facts import Fact, Terms
from scenarios.exchange.faults import Faults, FaultsRefused, WireFault, WireFaultKind, read_script
from scenarios.exchange.host import Gone, Host, page
from scenarios.exchange.log import TruthLogOver
from scenarios.exchange.venue import TruthContradicted

CHORES_S: Final = 0.02
"""How often it is looked whether something is due."""

PING_S: Final = 180.0
"""How often streams are pinged."""

K = WireFaultKind
_log = logging.getLogger("tidegate.exchange")


class Binanceusdm(Host):
    """
    One account at one exchange of perpetuals.

    ``keys`` are the only credentials it knows. Raises ``NotListable`` for terms with anything but
    perpetuals; the rest is as of ``Host``.
    """

    def __init__(
        self,
        terms: Terms,
        path: Path,
        keys: Keys,
        *,
        faults: Faults | None = None,
        limits: Limits | None = None,
        wall: Callable[[], int] = wall_ms,
        sleep: Callable[[float], Awaitable[None]] = sleep_s,
    ) -> None:
        """Restore or open the venue; it serves nobody yet."""
        super().__init__(exchange_terms(terms), path, faults=faults, wall=wall, sleep=sleep)
        if self.venue.terms.tag:
            self.log.close()
            raise TruthContradicted("the log is of an exchange that spoke another dialect")
        self._keys = keys
        self._began = wall()
        limits = limits or Limits()
        self.book = Book(self.venue, self.past, wall, limits)
        self.book.may_trade, self.book.may_withdraw = keys.may_trade, keys.may_withdraw
        self.past = []
        self.budget = Budget(limits)
        self.streams = Streams(keys, self.faults, wall, self.later)
        self._striking = Striking(self.book, self.budget)
        self._due: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        self._chores: asyncio.Task[None] | None = None

    # -- life

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        routes = [web.route(each.method, each.path, self._route(each)) for each in ENDPOINTS]
        routes += [
            web.get("/fapi/v1/time", self._time),
            web.route("*", "/fapi/v1/listenKey", self._listen_key),
            web.get("/private/ws", self._private),
            web.get("/private/stream", self._private),
            web.post(wire.MARKET, self._shown),
            web.post(wire.FAULTS, self._set_faults),
        ]
        for kind in ("/market", "/public", ""):
            for form in ("/ws", "/ws/{names}", "/stream"):
                routes.append(web.get(f"{kind}{form}", self._public))
        return routes

    def serving(self) -> None:
        """Begin with what is done by the clock."""
        task = asyncio.get_running_loop().create_task(self._keep_house())  # seam: ended by stop
        task.add_done_callback(self._house_kept)
        self._chores = task

    async def closing_down(self) -> None:
        """End what is done by the clock, and every stream."""
        if self._chores is not None:
            self._chores.cancel()
            await asyncio.wait([self._chores])
        await self.streams.close()

    def _house_kept(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.trouble = error
            self.failed.set()

    async def _keep_house(self) -> None:
        pinged = monotonic_s()
        while True:
            await self.sleep(CHORES_S)
            now = monotonic_s()
            due = [work for at, work in self._due if at <= now]
            self._due = [each for each in self._due if each[0] > now]
            for work in due:
                await work()
            for symbol, at in list(self.book.countdowns.items()):
                if self.wall() >= at:
                    del self.book.countdowns[symbol]
                    await self.recorded(self.book.cancel_all(symbol))
            await self.streams.expire(self.venue.now)
            if now - pinged >= PING_S:
                pinged = now
                await self.streams.ping()

    def later(self, delay_s: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` after ``delay_s``."""
        self._due.append((monotonic_s() + delay_s, work))

    def clock(self) -> int:
        """Return the clock that judges how old requests are, as its faults have it."""
        now = self.wall()
        return now + self.faults.ahead_ms(now - self._began)

    # -- what is true

    def noted(self, facts: Sequence[Fact]) -> None:
        """Fold facts in the step that made them."""
        self.book.take(facts)

    async def tell(self, facts: Sequence[Fact]) -> None:
        """Tell the streams."""
        await self.streams.deliver(self.book.told(facts[-1].n), self.venue.now)

    # -- REST

    def _route(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._guarded(request, self._served(endpoint, request))

        return handler

    async def _guarded(
        self, request: web.Request, work: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        try:
            return await work
        except Gone:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        except Refused as refused:
            return _refusal(refused)
        except TruthLogOver:
            self.failed.set()
            return page(500)
        except AssertionError as error:
            # What cannot be is: nothing that is said from here on could be relied upon.
            self.trouble = error
            self.failed.set()
            return page(500)

    async def _served(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self.faults.strike(endpoint.action)
        failed = None if fault is None else await self._before(endpoint, fault)
        if failed is not None:
            return failed
        query = request.raw_path.partition("?")[2].encode("ascii", "replace")
        params = Params.read(query, body)
        headers = self.budget.spend(endpoint.weight(params), endpoint.orders, self.wall())
        if endpoint.security is Security.SIGNED:
            admit(self._keys, request.headers.get(KEY_HEADER, ""))
            check_signature(self._keys, query, body)
            check_time(params, self.clock())
        content, status = await self._done(endpoint, params, fault)
        if fault is not None:
            instead = failing(fault, after=True)
            if instead is not None:
                raise instead
            if fault.fault is K.BLANK_ANSWERS:
                return _blank(fault)
        return await self.answered(request, content, fault, status=status, headers=headers)

    async def _before(self, endpoint: Endpoint, fault: WireFault) -> web.Response | None:
        """Do what a fault does before the venue looks; return what is answered instead."""
        if fault.fault is K.MAINTENANCE:
            empty = b'{"lastUpdateId":0,"bids":[],"asks":[]}'
            if endpoint.path.endswith("/depth"):
                return web.Response(body=empty, content_type="application/json")
            return page(503)
        instead = failing(fault, after=False)
        if instead is not None:
            raise instead
        await self.recorded(self._striking.before(fault))
        return await self.before(fault)

    async def _done(
        self, endpoint: Endpoint, params: Params, fault: WireFault | None
    ) -> tuple[bytes, int]:
        """Do what is asked, once or twice; return the answer of the first time, and its status."""
        if self.log.failure is not None or self.trouble is not None:
            raise TruthLogOver(str(self.log.failure or self.trouble))
        try:
            done = self._striking.done(endpoint, params, fault)
        finally:
            # What was done before a refusal is true too.
            self.book.hidden_since = None
        content = msgspec.json.encode(done.content if done.refused is None else done.refused.body)
        status = 200 if done.refused is None else done.refused.status
        await self.recorded(done.facts)
        if not done.facts:
            await self.log.synced()
        if fault is not None and fault.fault is K.REPEAT_REQUESTS:
            try:
                again = endpoint.work(self.book, params)
            except Refused as refused:
                _log.debug("a repeated request was refused: %s", refused.code)
            else:
                await self.recorded(again.facts)
        return content, status

    async def _time(self, request: web.Request) -> web.StreamResponse:
        return await self._guarded(request, self._tell_time())

    async def _tell_time(self) -> web.StreamResponse:
        fault = self.faults.strike("time")
        if fault is not None:
            instead = failing(fault, after=False) or failing(fault, after=True)
            if instead is not None:
                raise instead
            failed = page(503) if fault.fault is K.MAINTENANCE else await self.before(fault)
            if failed is not None:
                return failed
        headers = self.budget.spend(1, 0, self.wall())
        return web.json_response({"serverTime": self.clock()}, headers=headers)

    async def _listen_key(self, request: web.Request) -> web.StreamResponse:
        return await self._guarded(request, self._key_asked(request))

    async def _key_asked(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        fault = self.faults.strike("key")
        if fault is not None:
            instead = failing(fault, after=False)
            if instead is not None:
                raise instead
            failed = page(503) if fault.fault is K.MAINTENANCE else await self.before(fault)
            if failed is not None:
                return failed
        headers = self.budget.spend(1, 0, self.wall())
        admit(self._keys, request.headers.get(KEY_HEADER, ""))
        content: dict[str, str] = {}
        if request.method == "POST":
            content = {"listenKey": self.streams.listen_key()}
        elif request.method == "PUT":
            content = {"listenKey": self.streams.keep()}
        elif request.method == "DELETE":
            await self.streams.drop_key()
        else:
            return page(405)
        if fault is not None and fault.fault is K.BLANK_ANSWERS:
            return _blank(fault)
        return await self.answered(request, msgspec.json.encode(content), fault, headers=headers)

    # -- websockets

    async def _private(self, request: web.Request) -> web.StreamResponse:
        key = request.query.get("listenKey", "")
        return await self._dialled(request, key, [], private=True)

    async def _public(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info.get("names", "") or request.query.get("streams", "")
        # ccxt numbers its connections where others name a stream.
        streams = [name for name in names.split("/") if "@" in name or name.startswith("!")]
        return await self._dialled(request, "", streams, private=False)

    async def _dialled(
        self, request: web.Request, key: str, streams: list[str], *, private: bool
    ) -> web.StreamResponse:
        fault = self.faults.strike("dial")
        if fault is not None and fault.fault is K.REFUSE_STREAM:
            return page(fault.status or 403)
        if private and not self.streams.is_good(key):
            return page(401)
        return await self.streams.serve(
            request,
            key,
            streams,
            wrapped=request.path.endswith("/stream"),
            changed=self._listen_again,
        )

    def _listen_again(self) -> None:
        self.book.wanted = self.streams.wanted

    # -- behind the scenes

    async def _shown(self, request: web.Request) -> web.StreamResponse:
        return await self._guarded(request, self._take_market(request))

    async def _take_market(self, request: web.Request) -> web.StreamResponse:
        admit(self._keys, request.headers.get(wire.KEY_HEADER, ""))
        try:
            shown = msgspec.json.decode(await request.read(), type=wire.Shown)
            answer = await self.shown(shown)
        except (msgspec.DecodeError, ValueError) as error:
            return web.json_response({"error": wire.MALFORMED, "detail": str(error)}, status=400)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        return await self._guarded(request, self._take_faults(request))

    async def _take_faults(self, request: web.Request) -> web.StreamResponse:
        admit(self._keys, request.headers.get(wire.KEY_HEADER, ""))
        try:
            self.faults.replace(read_script(await request.read()))
        except FaultsRefused as refused:
            return web.json_response({"error": wire.MALFORMED, "detail": str(refused)}, status=400)
        return web.Response(status=204)


def _refusal(refused: Refused) -> web.Response:
    return web.Response(
        status=refused.status,
        body=msgspec.json.encode(refused.body),
        content_type="application/json",
        headers=refused.headers,
    )


def _blank(fault: WireFault) -> web.Response:
    """Return success without the answer."""
    if fault.body == "html":
        return web.Response(text="<html><body>OK</body></html>", content_type="text/html")
    text = {"empty": "", "object": "{}", "list": "[]"}[fault.body]
    return web.Response(text=text, content_type="application/json")
