"""
What every dialect of the virtual venue stands on: the venue, its log, its socket, its end.

Nothing leaves before it is durable: ``recorded`` writes facts, waits for the disk, and only then
has them told, in the order of the log, whoever comes first back from waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
from aiohttp import ClientConnectionResetError, web

from actors.runtime.clock import sleep_s, wall_ms
from brokers.virtual import wire
from scenarios.exchange.facts import Fact, Terms
from scenarios.exchange.faults import Faults, WireFault, WireFaultKind
from scenarios.exchange.log import TruthLog, read_truth
from scenarios.exchange.venue import Venue, restored

STOP_S: Final = 1.0
"""How long answers under way are waited for when the venue stops."""

STOP_PASSES: Final = 5
"""How often the event loop has its turn for connections that come with the end."""

HANG_S: Final = 3_600.0
"""How long a hanging request is held: longer than any client's patience."""

_log = logging.getLogger("tidegate.exchange")


K = WireFaultKind


class Gone(Exception):
    """The connection is to drop without an answer."""


def page(status: int) -> web.Response:
    """Return what a proxy in front of a venue says when the venue does not."""
    title = f"{status} {HTTPStatus(status).phrase}"
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return web.Response(status=status, text=text, content_type="text/html")


async def _cut(request: web.Request, content: bytes) -> None:
    cut = web.StreamResponse(headers={"Content-Length": str(len(content))})
    cut.content_type = "application/json"
    await cut.prepare(request)
    await cut.write(content[: len(content) // 2])


async def _said_twice(request: web.Request, response: web.Response, content: bytes) -> None:
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
        request.transport.write(head % len(content) + b"\r\n\r\n" + content)


class Host(ABC):
    """
    One venue, and a socket for it.

    ``wall`` and ``sleep`` are the machine's clock. Where ``path`` has a truth log already, the
    venue is the one that wrote it, whatever ``terms`` say.
    """

    def __init__(
        self,
        terms: Terms,
        path: Path,
        *,
        faults: Faults | None = None,
        wall: Callable[[], int] = wall_ms,
        sleep: Callable[[float], Awaitable[None]] = sleep_s,
    ) -> None:
        """
        Restore or open the venue; it serves nobody yet.

        Raises ``TruthUnreadable``, ``TruthContradicted`` or ``BlockingIOError`` (in use).
        """
        self.faults = faults or Faults()
        self.wall = wall
        self.sleep = sleep
        self.log = TruthLog(path)
        try:
            self.past = read_truth(path)
            if self.past:
                self.venue, unwritten = restored(self.past)
            else:
                self.venue = Venue(terms)
                unwritten = self.venue.opening
            self.log.write(unwritten)
            self.past += unwritten
        except BaseException:
            self.log.close()
            raise
        self.failed = asyncio.Event()
        """Set when the log is over, or ``trouble`` is not None; nobody is answered any more."""
        self.trouble: BaseException | None = None
        self.closing = asyncio.Event()
        self._untold: list[Fact] = []
        self._runner: web.AppRunner | None = None
        self._serving: socket.socket | None = None

    # -- what a dialect adds

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""

    def noted(self, facts: Sequence[Fact]) -> None:
        """Take facts in that were just made, in the same step; nobody may hear of them yet."""

    async def tell(self, facts: Sequence[Fact]) -> None:
        """Tell of facts that are durable, before the request that made them is answered."""

    def serving(self) -> None:
        """Begin with what is done without being asked."""

    def closing_now(self) -> None:
        """Let go whoever waits: the venue is about to stop."""

    async def closing_down(self) -> None:
        """End what ``serving`` began."""

    # -- life

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Serve; return the address, with the port that was taken where 0 was asked for."""
        await self.log.synced()
        app = web.Application(client_max_size=wire.BODY_BYTES_MAX)
        app.add_routes(self.routes())
        runner = web.AppRunner(
            app, handle_signals=False, access_log=None, logger=_log, shutdown_timeout=STOP_S
        )
        await runner.setup()
        self._runner = runner
        serving = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            serving.bind((host, port))
        except OSError:
            serving.close()
            await runner.cleanup()
            raise
        await web.SockSite(runner, serving, ssl_context=tls).start()
        self._serving = serving
        self.serving()
        name, number = serving.getsockname()[:2]
        return str(name), int(number)

    async def stop(self) -> None:
        """Answer what is under way, stop serving, close the log."""
        self.closing.set()
        self.closing_now()
        runner = self._runner
        if runner is not None:
            self._accept_no_more()
            await self.closing_down()
            # asyncio leaves a connection open whose acceptance meets the closing of its server
            # half-way, so those under way get to their end first.
            for _ in range(STOP_PASSES):
                await anyio.lowlevel.checkpoint()
            await runner.cleanup()
        self.log.close()

    def _accept_no_more(self) -> None:
        if self._serving is not None:
            with contextlib.suppress(RuntimeError):  # another kind of event loop
                asyncio.get_running_loop().remove_reader(self._serving)
            self._serving = None

    # -- a market of its own

    async def show(self, source: str, pieces: Sequence[wire.MarketData]) -> None:
        """Let the market of ``source`` move by ``pieces``, which come next; durable when done."""
        first = self.venue.shown.get(source, 0) + 1
        shown = wire.Shown(source, first, tuple(pieces))
        await self.recorded(self.venue.show(shown, self.wall()))

    async def shown(self, shown: wire.Shown) -> wire.Answer:
        """Let the market move as a client shows it; raises ``ValueError`` as of ``Venue.show``."""
        facts = self.venue.show(shown, self.wall())
        taken = self.venue.shown.get(shown.source, 0)
        seq, account = self.venue.seq, self.venue.account()
        await self.recorded(facts)
        return wire.Answer("", seq, account, shown=taken)

    # -- what goes wrong on the wire

    async def before(self, fault: WireFault) -> web.Response | None:
        """Do what a fault does before the venue looks; return an answer that it gives instead."""
        kind = fault.fault
        if kind in {K.LOSE_REQUESTS, K.DOWN}:
            raise Gone
        if kind is K.HANG:
            await self.pause(HANG_S)
            raise Gone
        if kind is K.DELAY_REQUESTS:
            await self.pause(fault.by / 1000)
        if kind is K.FAIL_BEFORE:
            return page(fault.status or 503)
        return None

    async def answered(
        self,
        request: web.Request,
        content: bytes,
        fault: WireFault | None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Send an answer, or what a fault leaves of it; raises ``Gone`` if nobody waits for it."""
        response = web.Response(
            status=status, body=content, content_type="application/json", headers=headers
        )
        if fault is None:
            return response
        kind = fault.fault
        if kind is K.LOSE_ANSWERS:
            raise Gone
        if kind is K.FAIL_AFTER:
            return page(fault.status or 502)
        if kind in {K.DELAY_ANSWERS, K.DELAY_NEWS}:
            await self.pause(fault.by / 1000)
        try:
            if kind is K.CUT_ANSWERS:
                await _cut(request, content)
                raise Gone
            if kind is K.REPEAT_ANSWERS:
                await _said_twice(request, response, content)
        except ClientConnectionResetError:
            # Whoever asked has not waited. aiohttp minds that only where it answers by itself.
            raise Gone from None
        return response

    # -- what is true

    async def recorded(self, facts: Sequence[Fact]) -> int:
        """Write facts, wait until they are durable, have them told; return how far news is."""
        seq = self.venue.seq
        self.log.write(facts)
        self._untold.extend(facts)
        self.noted(facts)
        await self.log.synced()
        if facts:
            durable = facts[-1].n
            told = [fact for fact in self._untold if fact.n <= durable]
            del self._untold[: len(told)]
            if told:
                await self.tell(told)
        return seq

    async def pause(self, delay_s: float) -> None:
        """Return after ``delay_s``; raises ``Gone`` when the venue stops before."""
        async with anyio.create_task_group() as tasks:

            async def enough() -> None:
                await self.sleep(delay_s)
                tasks.cancel_scope.cancel()

            tasks.start_soon(enough)
            await self.closing.wait()
            tasks.cancel_scope.cancel()
        if self.closing.is_set():
            raise Gone
