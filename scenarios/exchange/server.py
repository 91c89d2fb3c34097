"""
The wire of the virtual venue: HTTP on loopback, JSON, one account, one key.

Theory of operation. A request goes through four steps, and the faults stand between them: is it
who it says (the key); is it looked at (shape, age); what it does (``Venue``, in one synchronous
step); is that durable (``TruthLog.synced``). Only then does anything of it leave: whatever is
told, the answer, the news, the account, is looked up in one step, and what it rests on is then
waited for. ``/v1/news`` is kept open until there is some.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import msgspec
from aiohttp import web

from actors.runtime.clock import sleep_s, wall_ms
from brokers.virtual import wire
from brokers.virtual.wire import Account, Answer, Cancel, Refusal, Shown, Submit
from scenarios.exchange.facts import Fact, Terms
from scenarios.exchange.faults import (
    NEWS_FAULTS,
    Action,
    Faults,
    FaultsRefused,
    WireFault,
    WireFaultKind,
    read_script,
)
from scenarios.exchange.log import TruthLog, TruthLogOver, read_truth
from scenarios.exchange.venue import Venue, restored

SKEW_MS_MAX: Final = 1_000
"""How far ahead of ours a sender's clock may be before its word on time is not taken."""

RECV_WINDOW_MS_MAX: Final = 60_000
"""The longest that a request may stay good: doubt lasts no longer."""

STOP_S: Final = 1.0
"""How long answers under way are waited for when the venue stops."""

STOP_PASSES: Final = 5
"""How often the event loop has its turn for connections that come with the end."""

HANG_S: Final = 3_600.0
"""How long a hanging request is held: longer than any client's patience."""

K = WireFaultKind
_Body = TypeVar("_Body", Submit, Cancel, Shown)
_log = logging.getLogger("tidegate.exchange")


class _Gone(Exception):
    """The connection is to drop without an answer."""


class NotLookedAt(Exception):
    """A request that the venue refuses unprocessed."""

    def __init__(self, status: int, error: str, detail: str = "") -> None:
        """Refuse with an HTTP status and a word of ``wire``."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.detail = detail


class Exchange:
    """
    One venue on the wire.

    ``key`` admits to everything but the time. ``wall`` and ``sleep`` are the machine's clock. Where
    ``path`` has a truth log already, the venue is the one that wrote it, whatever ``terms`` say.
    """

    def __init__(
        self,
        terms: Terms,
        path: Path,
        key: str,
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
        self._key = key.encode()
        self._wall = wall
        self._sleep = sleep
        self.log = TruthLog(path)
        try:
            facts = read_truth(path)
            if facts:
                self.venue, unwritten = restored(facts)
            else:
                self.venue = Venue(terms)
                unwritten = self.venue.opening
            self.log.write(unwritten)
        except BaseException:
            self.log.close()
            raise
        self.failed = asyncio.Event()
        """Set when the log is over; nobody is answered any more."""
        self._news_came = asyncio.Event()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._serving: socket.socket | None = None

    # -- life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Serve; return the address, with the port that was taken where 0 was asked for."""
        await self.log.synced()
        app = web.Application(client_max_size=wire.BODY_BYTES_MAX)
        app.add_routes(
            [
                web.get(wire.TIME, self._time),
                web.post(wire.ORDERS, self._route("submit", self._submit)),
                web.get(wire.ORDERS, self._route("orders", self._orders)),
                web.get(wire.ORDER, self._route("order", self._order)),
                web.post(wire.CANCEL, self._route("cancel", self._cancel)),
                web.post(wire.CANCEL_ALL, self._route("cancel_all", self._cancel_all)),
                web.get(wire.TRADES, self._route("trades", self._trades)),
                web.get(wire.ACCOUNT, self._route("account", self._tell_account)),
                web.get(wire.NEWS, self._route("news", self._news)),
                web.post(wire.MARKET, self._route("market", self._market)),
                web.post(wire.FAULTS, self._set_faults),
            ]
        )
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
        await web.SockSite(runner, serving).start()
        self._serving = serving
        name, number = serving.getsockname()[:2]
        return str(name), int(number)

    async def stop(self) -> None:
        """Answer what is under way, stop serving, close the log."""
        self._closing.set()
        self._news_came.set()
        runner = self._runner
        if runner is not None:
            self._accept_no_more()
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
        await self._recorded(self.venue.show(Shown(source, first, tuple(pieces)), self._wall()))

    # -- one request

    def _route(
        self, action: Action, work: Callable[[web.Request, bytes], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            request_id = request.headers.get(wire.REQUEST_HEADER, "")
            try:
                return await self._served(request, request_id, action, work)
            except _Gone:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            except NotLookedAt as refused:
                return self._refused(request_id, refused)
            except TruthLogOver:
                self.failed.set()
                return web.Response(status=500, text="the log is over")

        return handler

    async def _served(
        self,
        request: web.Request,
        request_id: str,
        action: Action,
        work: Callable[[web.Request, bytes], Awaitable[Answer]],
    ) -> web.StreamResponse:
        self._admit(request)
        body = await request.read()
        fault = self.faults.strike(action)
        kind = None if fault is None else fault.fault
        refused = None if fault is None else await self._before(fault)
        if refused is not None:
            return refused
        answer = await self._worked(request, body, work)
        if kind is K.REPEAT_REQUESTS:
            # Whoever sent it once hears of the first: it was answered before the second came.
            try:
                await self._worked(request, body, work)
            except NotLookedAt as again:
                _log.debug("a repeated request was refused: %s", again.error)
        if kind in NEWS_FAULTS and kind is not None:
            answer = msgspec.structs.replace(answer, news=self.faults.disturbed(kind, answer.news))
        content = msgspec.json.encode(msgspec.structs.replace(answer, request_id=request_id))
        return await self._answered(request, content, fault)

    async def _worked(
        self,
        request: web.Request,
        body: bytes,
        work: Callable[[web.Request, bytes], Awaitable[Answer]],
    ) -> Answer:
        if self.log.failure is not None:
            raise TruthLogOver(str(self.log.failure))
        return await work(request, body)

    async def _before(self, fault: WireFault) -> web.Response | None:
        """Do what a fault does before the venue looks; return an answer that it gives instead."""
        kind = fault.fault
        if kind in {K.LOSE_REQUESTS, K.DOWN}:
            raise _Gone
        if kind is K.HANG:
            await self._pause(HANG_S)
            raise _Gone
        if kind is K.DELAY_REQUESTS:
            await self._pause(fault.by / 1000)
        if kind is K.FAIL_BEFORE:
            return web.Response(status=503, text="unavailable")
        if kind is K.RATE_LIMIT:
            raise NotLookedAt(429, wire.RATE_LIMITED, f"retry_after_ms={fault.by}")
        return None

    async def _answered(
        self, request: web.Request, content: bytes, fault: WireFault | None
    ) -> web.StreamResponse:
        """Send an answer, or what a fault leaves of it."""
        kind = None if fault is None else fault.fault
        if kind is K.LOSE_ANSWERS:
            raise _Gone
        if kind is K.FAIL_AFTER:
            return web.Response(status=502, text="bad gateway")
        if fault is not None and kind in {K.DELAY_ANSWERS, K.DELAY_NEWS}:
            await self._pause(fault.by / 1000)
        response = web.Response(body=content, content_type="application/json")
        if kind is K.CUT_ANSWERS:
            cut = web.StreamResponse(headers={"Content-Length": str(len(content))})
            cut.content_type = "application/json"
            await cut.prepare(request)
            await cut.write(content[: len(content) // 2])
            raise _Gone
        if kind is K.REPEAT_ANSWERS:
            await response.prepare(request)
            await response.write_eof()
            if request.transport is not None:
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
                request.transport.write(head % len(content) + b"\r\n\r\n" + content)
        return response

    async def _pause(self, delay_s: float) -> None:
        """Return after ``delay_s``, or when the venue stops: what is late then never comes."""
        async with anyio.create_task_group() as tasks:

            async def enough() -> None:
                await self._sleep(delay_s)
                tasks.cancel_scope.cancel()

            tasks.start_soon(enough)
            await self._closing.wait()
            tasks.cancel_scope.cancel()
        if self._closing.is_set():
            raise _Gone

    def _admit(self, request: web.Request) -> None:
        found = request.headers.get(wire.KEY_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(found, self._key):
            raise NotLookedAt(401, wire.UNAUTHORIZED)

    def _refused(self, request_id: str, refused: NotLookedAt) -> web.Response:
        body = msgspec.json.encode(Refusal(request_id, refused.error, refused.detail))
        headers = {}
        if refused.status == 429:
            wait_ms = int(refused.detail.partition("=")[2])
            headers["Retry-After"] = str(-(-wait_ms // 1000))
        return web.Response(
            status=refused.status, body=body, content_type="application/json", headers=headers
        )

    async def _recorded(self, facts: Sequence[Fact]) -> int:
        """Write facts, wait until they are durable, and return how far the news has come."""
        seq = self.venue.seq
        self.log.write(facts)
        if facts:
            self._news_came.set()
            self._news_came = asyncio.Event()
        await self.log.synced()
        return seq

    async def _as_of_now(self) -> Account:
        """Return the account of this moment, once everything that it rests on is durable."""
        account = self.venue.account()
        await self.log.synced()
        return account

    async def _in_time(self, sent_at: int, window_ms: int, client_order_id: str) -> None:
        """Refuse what is too old; for what is in time nothing is waited for."""
        now = self._wall()
        if sent_at > now + SKEW_MS_MAX:
            raise NotLookedAt(400, wire.EARLY, f"sent_at={sent_at} now={now}")
        if now - sent_at > min(window_ms, RECV_WINDOW_MS_MAX):
            await self._recorded(self.venue.refuse(client_order_id, wire.LATE, now))
            raise NotLookedAt(400, wire.LATE, f"sent_at={sent_at} now={now} window={window_ms}")

    # -- what is asked

    async def _time(self, _request: web.Request) -> web.StreamResponse:
        content = msgspec.json.encode(wire.ServerTime(self._wall(), self.venue.now))
        return web.Response(body=content, content_type="application/json")

    async def _submit(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Submit)
        name = asked.order.client_order_id
        await self._in_time(asked.sent_at, asked.recv_window_ms, name)
        first = self.venue.seq
        again = name in self.venue.requests
        facts = self.venue.submit(asked.order, self._wall())
        last = self.venue.seq
        await self._recorded(facts)
        if again:
            raise NotLookedAt(409, wire.DUPLICATE)
        return Answer("", last, news=tuple(self.venue.news[first:last]))

    async def _cancel(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Cancel)
        await self._in_time(asked.sent_at, asked.recv_window_ms, asked.client_order_id)
        if not asked.client_order_id:
            raise NotLookedAt(400, wire.MALFORMED, "no client_order_id")
        first = self.venue.seq
        facts = self.venue.cancel(asked.client_order_id, self._wall())
        last = await self._recorded(facts)
        return Answer("", last, news=tuple(self.venue.news[first:last]))

    async def _cancel_all(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Cancel)
        await self._in_time(asked.sent_at, asked.recv_window_ms, "")
        facts = self.venue.cancel_all(asked.symbol, self._wall())
        return Answer("", await self._recorded(facts))

    async def _market(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Shown)
        try:
            facts = self.venue.show(asked, self._wall())
        except ValueError as error:
            raise NotLookedAt(400, wire.MALFORMED, str(error)) from None
        taken = self.venue.shown.get(asked.source, 0)
        seq, account = self.venue.seq, self.venue.account()
        await self._recorded(facts)
        # With the account: funding moves it without any news.
        return Answer("", seq, account, shown=taken)

    async def _order(self, request: web.Request, _body: bytes) -> Answer:
        order, seq = self.venue.order(request.query.get("client_order_id", "")), self.venue.seq
        await self.log.synced()
        return Answer("", seq, order=order)

    async def _orders(self, _request: web.Request, _body: bytes) -> Answer:
        account = await self._as_of_now()
        return Answer("", account.seq, orders=account.open_orders)

    async def _tell_account(self, _request: web.Request, _body: bytes) -> Answer:
        account = await self._as_of_now()
        return Answer("", account.seq, account)

    async def _trades(self, request: web.Request, _body: bytes) -> Answer:
        after = _whole(request, "after")
        seq = self.venue.seq
        items = [item for item in self.venue.news[after:seq] if item.report.fill is not None]
        await self.log.synced()
        return Answer("", seq, news=tuple(items[: wire.NEWS_ITEMS_MAX]))

    async def _news(self, request: web.Request, _body: bytes) -> Answer:
        after = _whole(request, "after")
        wait_ms = min(_whole(request, "wait_ms"), wire.NEWS_WAIT_MS_MAX)
        if self.venue.seq <= after and wait_ms and not self._closing.is_set():
            await self._some_news(after, wait_ms / 1000)
        account = await self._as_of_now()
        upto = min(account.seq, after + wire.NEWS_ITEMS_MAX)
        return Answer("", account.seq, account, tuple(self.venue.news[after:upto]))

    async def _some_news(self, after: int, wait_s: float) -> None:
        """Return when there is news after item ``after``, or when ``wait_s`` have passed."""
        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                await self._sleep(wait_s)
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            while self.venue.seq <= after and not self._closing.is_set():
                await self._news_came.wait()
            tasks.cancel_scope.cancel()

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        """Put another script of faults in force."""
        try:
            self._admit(request)
            self.faults.replace(read_script(await request.read()))
        except NotLookedAt as refused:
            return self._refused("", refused)
        except FaultsRefused as refused:
            return self._refused("", NotLookedAt(400, wire.MALFORMED, str(refused)))
        return web.Response(status=204)


def _read(body: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise NotLookedAt(400, wire.MALFORMED, str(error)) from None


def _whole(request: web.Request, name: str) -> int:
    text: Any = request.query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotLookedAt(400, wire.MALFORMED, f"{name}: found {text!r}, expected a whole number")
    return int(text)
