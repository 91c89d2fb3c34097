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
import hmac
import logging
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
    PLAIN_FAULTS,
    Action,
    Faults,
    FaultsRefused,
    WireFaultKind,
    read_script,
)
from scenarios.exchange.host import Gone, Host
from scenarios.exchange.log import TruthLogOver

SKEW_MS_MAX: Final = 1_000
"""How far ahead of ours a sender's clock may be before its word on time is not taken."""

RECV_WINDOW_MS_MAX: Final = 60_000
"""The longest that a request may stay good: doubt lasts no longer."""

K = WireFaultKind
_Body = TypeVar("_Body", Submit, Cancel, Shown)
_log = logging.getLogger("tidegate.exchange")


class NotLookedAt(Exception):
    """A request that the venue refuses unprocessed."""

    def __init__(self, status: int, error: str, detail: str = "") -> None:
        """Refuse with an HTTP status and a word of ``wire``."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.detail = detail


class Exchange(Host):
    """
    One venue on the plain wire.

    ``key`` admits to everything but the time. The rest is as of ``Host``.
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
        """Restore or open the venue, with the errors of ``Host``; it serves nobody yet."""
        faults = faults or Faults()
        faults.limit(PLAIN_FAULTS)
        super().__init__(terms, path, faults=faults, wall=wall, sleep=sleep)
        self._key = key.encode()
        self._news_came = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
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

    def noted(self, facts: Sequence[Fact]) -> None:
        """Wake whoever waits for news."""
        if facts:
            self._news_came.set()
            self._news_came = asyncio.Event()

    def closing_now(self) -> None:
        """Let the questions for news end."""
        self._news_came.set()

    # -- one request

    def _route(
        self, action: Action, work: Callable[[web.Request, bytes], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            request_id = request.headers.get(wire.REQUEST_HEADER, "")
            try:
                return await self._served(request, request_id, action, work)
            except Gone:
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
        failed = None if fault is None else await self.before(fault)
        if failed is not None:
            return failed
        if fault is not None and kind is K.RATE_LIMIT:
            raise NotLookedAt(429, wire.RATE_LIMITED, f"retry_after_ms={fault.by}")
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
        return await self.answered(request, content, fault)

    async def _worked(
        self,
        request: web.Request,
        body: bytes,
        work: Callable[[web.Request, bytes], Awaitable[Answer]],
    ) -> Answer:
        if self.log.failure is not None:
            raise TruthLogOver(str(self.log.failure))
        return await work(request, body)

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

    async def _as_of_now(self) -> Account:
        """Return the account of this moment, once everything that it rests on is durable."""
        account = self.venue.account()
        await self.log.synced()
        return account

    async def _in_time(self, sent_at: int, window_ms: int, client_order_id: str) -> None:
        """Refuse what is too old; for what is in time nothing is waited for."""
        now = self.wall()
        if sent_at > now + SKEW_MS_MAX:
            raise NotLookedAt(400, wire.EARLY, f"sent_at={sent_at} now={now}")
        if now - sent_at > min(window_ms, RECV_WINDOW_MS_MAX):
            await self.recorded(self.venue.refuse(client_order_id, wire.LATE, now))
            raise NotLookedAt(400, wire.LATE, f"sent_at={sent_at} now={now} window={window_ms}")

    # -- what is asked

    async def _time(self, _request: web.Request) -> web.StreamResponse:
        content = msgspec.json.encode(wire.ServerTime(self.wall(), self.venue.now))
        return web.Response(body=content, content_type="application/json")

    async def _submit(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Submit)
        name = asked.order.client_order_id
        await self._in_time(asked.sent_at, asked.recv_window_ms, name)
        first = self.venue.seq
        again = name in self.venue.requests
        facts = self.venue.submit(asked.order, self.wall())
        last = self.venue.seq
        await self.recorded(facts)
        if again:
            raise NotLookedAt(409, wire.DUPLICATE)
        return Answer("", last, news=tuple(self.venue.news[first:last]))

    async def _cancel(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Cancel)
        await self._in_time(asked.sent_at, asked.recv_window_ms, asked.client_order_id)
        if not asked.client_order_id:
            raise NotLookedAt(400, wire.MALFORMED, "no client_order_id")
        first = self.venue.seq
        facts = self.venue.cancel(asked.client_order_id, self.wall())
        last = await self.recorded(facts)
        return Answer("", last, news=tuple(self.venue.news[first:last]))

    async def _cancel_all(self, _request: web.Request, body: bytes) -> Answer:
        asked = _read(body, Cancel)
        await self._in_time(asked.sent_at, asked.recv_window_ms, "")
        facts = self.venue.cancel_all(asked.symbol, self.wall())
        return Answer("", await self.recorded(facts))

    async def _market(self, _request: web.Request, body: bytes) -> Answer:
        try:
            # With the account: funding moves it without any news.
            return await self.shown(_read(body, Shown))
        except ValueError as error:
            raise NotLookedAt(400, wire.MALFORMED, str(error)) from None

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
        if self.venue.seq <= after and wait_ms and not self.closing.is_set():
            await self._some_news(after, wait_ms / 1000)
        account = await self._as_of_now()
        upto = min(account.seq, after + wire.NEWS_ITEMS_MAX)
        return Answer("", account.seq, account, tuple(self.venue.news[after:upto]))

    async def _some_news(self, after: int, wait_s: float) -> None:
        """Return when there is news after item ``after``, or when ``wait_s`` have passed."""
        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                await self.sleep(wait_s)
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            while self.venue.seq <= after and not self.closing.is_set():
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
