"""
The broker of a real venue, through ccxt.

Theory of operation. ``submit``, ``cancel`` and ``query`` hand a job over and return; workers that
``run`` owns make the calls, in lanes. News comes from three sides: the replies, the private stream
as it comes off the wire, and answers to questions. All of it goes through what is known of each
order, so each thing is told once, whichever is first.

The stream can lose anything, so it is never all there is: after it has come up again, and wherever
counts do not add up, orders are asked for one by one. A venue whose stream does not say all of a
fill, or that has none, is asked whenever there is something to ask.

What an order's submit comes to: see ``ordering``. No request that changes the account is ever sent
a second time. A real venue has a market of its own and is shown none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import anyio

from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.columns import FillSource
from brokers.ccxt.errors import Failure, Refused, readable
from brokers.ccxt.jobs import Jobs
from brokers.ccxt.known import KnownOrder, KnownOrders
from brokers.ccxt.lanes import Lane, lanes_of
from brokers.ccxt.limits import (
    ACCOUNT_SHARE,
    ACCOUNT_SOON_S,
    ACCOUNT_TRIES_MAX,
    ALONE_MAX_S,
    CHECK_AFTER_S,
    JOBS_MAX,
    TRADES_OVERLAP_MS,
)
from brokers.ccxt.listening import Listener
from brokers.ccxt.opened import Opened
from brokers.ccxt.opening import prepared
from brokers.ccxt.ordering import Ordering, lane_of
from brokers.ccxt.own_market import OwnMarket
from brokers.ccxt.private_stream import PrivateStream
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import Least
from brokers.ccxt.rulebook import Rulebook
from brokers.ccxt.standing import Standing
from brokers.ccxt.survey import Funding, Surveyor, TradeCount, fills_in
from brokers.ccxt.timers import Timers
from brokers.contract import News, Survey, VenueUnreachable, Word
from messages import (
    Cause,
    MinimumOrder,
    OrderEvent,
    OrderRequest,
    ReasonCode,
    ToolReport,
    VenueReport,
)
from state.precedence import Precedence
from state.reconciliation import AccountView


class CcxtBroker(OwnMarket):
    """
    A broker whose venue is an exchange that ccxt knows; see the module for what it promises.

    ``connect`` comes first, then ``run`` beside everything else, to be cancelled at the end, then
    ``close``. ``symbols`` are all that the session trades.
    """

    answers_at_once = True  # or says that it has no answer, by a clock that is not the session's
    trades_overlap = TRADES_OVERLAP_MS

    def __init__(self, address: CcxtAddress, clock: VenueClock, symbols: Sequence[str]) -> None:
        """Stand ready; nothing is loaded and nothing connected."""
        self.address = address
        self.name = address.exchange
        self.row = capabilities_of(address.exchange)
        self.brackets = self.row.brackets
        self.unverified: Mapping[str, str] = {}
        self.wake: Callable[[], object] = _nothing
        self.look: Callable[[OrderRequest], Cause | None] = lambda _request: None
        self.mark: Callable[[str], Decimal | None] = lambda _symbol: None
        self.orders = KnownOrders()
        self.redact = Redactor(address.secrets.values())
        self.precedence = Precedence()
        self._symbols = tuple(symbols)
        self._clock = clock
        self._deliver: Callable[[News], object] = _unbound
        self.tell_least: Callable[[MinimumOrder], object] = _unheard
        self._tell_tool: Callable[[ToolReport], object] = _unheard
        self._client_of: Callable[..., CcxtClient] = CcxtClient
        self._jobs = Jobs(self._one_done, self._one_failed)
        self._checks: dict[str, float] = {}
        self._unwanted: set[str] = set()
        """Orders whose cancels wait: behind their submits, which must not leave any more."""
        self._unsaid, self._untold = 0, ""
        self._standing = Standing(self.row.weights.account_every_s, clock.monotonic_s)
        self._began: int | None = None
        self._funding = Funding()
        self._leasts: dict[str, list[str]] = {}
        """The least orders that an earlier process has told."""
        self._traded_at, self._goes_on = 0, False
        self._trades = TradeCount()
        self._now = 0
        self._open: Opened | None = None

    def __repr__(self) -> str:
        """Show what is under way."""
        stream = "up" if self._open is not None and self._open.stream.up else "down"
        return f"<CcxtBroker {self.name} stream {stream}, {self._jobs!r}, {len(self.orders)} known>"

    # -- the contract

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Send all news to ``deliver``."""
        self._deliver = deliver

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Send news of the venue itself to ``tell``."""
        self._tell_tool = tell

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order; what becomes of it is delivered."""
        lane = lane_of(request)
        work = partial(self._submit, request, lane)
        if not self._hand_over(lane, request.client_order_id, work, now):
            cause = Cause(ReasonCode.VENUE_REJECTED, _FULL)
            name = request.client_order_id
            report = VenueReport(name, OrderEvent.REJECTED, self._now, None, cause)
            self._soon(partial(self._out, [report]))

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order; an order unknown or already final brings no report."""
        work = partial(self._cancel, client_order_id)
        if self._hand_over(Lane.CANCEL, client_order_id, work, now):
            self._unwanted.add(client_order_id)
        else:
            self._soon(partial(self._report, _FULL))

    def query(self, client_order_id: str, now: int) -> None:
        """Ask what there is to an order; the answer is a ``VenueOrder``, or does not come."""
        work = partial(self._query, client_order_id, now)
        if not self._hand_over(Lane.READ, client_order_id, work, now):
            self._soon(partial(self._report, _FULL))

    def list_trades(self, since: int, now: int) -> None:
        """Ask for the trades after ``since`` (ms by the venue); answered by ``VenueTrades``."""
        # Where money does not add up a payment whose news is missing would explain it as well.
        if self._open is not None:
            self._open.surveyor.expect_payment()
        work = partial(self._list_trades, since or self._began or 0)
        if not self._hand_over(Lane.READ, "", work, now):
            self._soon(partial(self._report, _FULL))

    def probe(self, now: int) -> None:
        """Ask for the balance; the answer comes with ``probe`` set, or not at all."""
        self._hand_over(Lane.READ, "", self._probe, now)

    def account(self) -> AccountView:
        """
        Return what the venue said last that it holds.

        Raises ``VenueSilent`` where that is too old, or from before the newest news: what cannot be
        compared is not known to agree.
        """
        return self._standing.view(unread=self._unread)

    def acquaint(self, requests: Iterable[OrderRequest]) -> None:
        """Know the orders that an earlier process may have sent."""
        self.orders.acquaint(requests)

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return where the trades have come to and the live orders' ids, JSON-ready."""
        del ends
        return {
            "began": self._began or 0,
            "funding_from": self._funding.began,
            "traded_at": self._traded_at,
            "trades": self._trades.count,
            "orders": self.orders.snapshot(),
            "leasts": self._leasts if self._open is None else self._open.rulebook.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was: trades since then are in the survey."""
        self._began = int(state["began"])
        self._funding = Funding(int(state["funding_from"]))
        self._traded_at = int(state["traded_at"])
        self._goes_on = True
        self._trades = TradeCount(int(state.get("trades", 0)))
        self.orders.restore(state["orders"])
        self._leasts = dict(state.get("leasts", {}))

    # -- life

    async def connect(self) -> None:
        """Load the markets, set the account up and read it; see ``Remote``."""
        client = self._client_of(self.address, self.row, self._clock)
        lanes = lanes_of(
            self.name,
            self.address.account,
            client.weights,
            self._clock.monotonic_s,
            self._clock.sleep_s,
        )
        try:
            calls = Calls(client, lanes, self._clock, self.redact, self.precedence)
            self._open = await self._opened(calls)
        except BaseException:
            await client.close()
            raise

    async def _opened(self, calls: Calls) -> Opened:
        with readable(self.name, "the account's settings"):
            found = await prepared(calls, self._symbols)
        rules, self.unverified = found.rules, found.unverified
        timers = Timers(calls, self._clock, self._symbols, self.address.dead_man_s, self._troubled)
        calls.clock_is_off = timers.distrust_clock
        mode = self.address.position_mode
        ordering = Ordering(calls, self.orders, rules, mode, self._clock, self._unwanted)
        # Who is only told that there is something to ask has nothing to wait for.
        tells_all = self.row.fill_source is FillSource.STREAM
        check = self._check_soon if tells_all else self._check_at_once
        listener = Listener(self.row, self.orders, rules, self._out, check)
        listener.paid = self._was_paid
        stream = PrivateStream(
            calls.client, self._clock, listener.hear, self._check_all, self._stream_is_gone
        )
        ordering.tell, ordering.trouble = self._out, self._troubled
        ordering.note = partial(self._report, ok=True)
        ordering.check, ordering.ready = self._check_soon, stream.ready
        ordering.mark = lambda symbol: self.mark(symbol)  # noqa: PLW0108 - may be another by then
        now_s = self._clock.monotonic_s
        surveyor = Surveyor(calls, rules, mode, self._funding, self._trades, now_s)
        surveyor.tell, ordering.look = self._out, self._look_again
        rulebook = Rulebook(calls, rules, self._clock)
        rulebook.restore(self._leasts)
        rulebook.changed, rulebook.least_changed = self._rules_changed, self._least_changed
        rulebook.trouble, ordering.misfit = self._troubled, rulebook.doubt
        timers.gone = ordering.gone = surveyor.gone = rulebook.gone
        if self._began is None:
            with readable(self.name, "earlier trades"):
                began = await surveyor.begin()
            if not isinstance(began, int):
                raise VenueUnreachable(f"{self.name}: {words(began)}")
            self._began = began
        await timers.arm_dead_man()
        return Opened(calls.client, calls, ordering, stream, surveyor, timers, rulebook)

    async def survey(self) -> Survey:
        """Return what the venue holds, and the trades that this session has not heard of."""
        await self.refresh()
        found = self._standing.account
        if found is None or self._standing.is_dirty:
            raise VenueUnreachable(f"{self.name}: it does not say what it holds{self._untold}")
        if not self._goes_on:
            return Survey(found, (), self._at.surveyor.payments)
        # What a live order traded may be older than the newest trade that was heard of.
        created = [order.created_at for order in self.orders.live()]
        since = min([max(self._traded_at, self._began or 0), *created])
        with readable(self.name, "trades"):
            fills = await self._at.ordering.fills_since(max(0, since - TRADES_OVERLAP_MS))
        account = self._at.surveyor.with_trades(found, fills)
        return Survey(account, tuple(fills), self._at.surveyor.payments)

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel one order at once; what becomes of it is for a survey to show."""
        with readable(self.name, f"order {client_order_id}"):
            order = self._placed_by_anyone(client_order_id)
        if order is not None:
            await self._at.calls.cancel(order)

    async def keep_alive(self) -> None:
        """Put the venue's timer off, until cancelled or closed."""
        await self._at.timers.feed_dead_man()

    async def run(self) -> None:
        """Make the calls and hear the news, until cancelled."""
        at = self._at
        at_venue = (at.stream.read, at.stream.keep, at.timers.keep_time, at.rulebook.keep)
        async with anyio.create_task_group() as tasks:
            self._jobs.start(tasks, self.precedence)
            for each in (*at_venue, self._keep_up):
                tasks.start_soon(each)

    @property
    def is_quiet(self) -> bool:
        """Return whether every request is over and no news is known to be missing."""
        under_way = self._jobs.pending or self._unread or self._unsaid
        return not (under_way or self._checks or self._standing.is_dirty)

    async def refresh(self) -> None:
        """Ask what the venue holds until no news comes in the middle of it, so often."""
        if self._at.calls.lanes.alone_s > ALONE_MAX_S:
            return  # nobody waits for that in vain: what was read last grows old
        for _ in range(ACCOUNT_TRIES_MAX):
            before = self._standing.news
            found = await self._at.surveyor.read()
            if not isinstance(found, AccountView):
                self._untold = f": {self.redact(words(found))}"
                self._troubled(found)
                return
            if before == self._standing.news and not self._unread:
                self._standing.take(found)
                self._check_listed()
                self.wake()
                return
        if self._standing.is_without_end:
            age_s = self._standing.age_s
            self._report(f"news without end: what the account holds was read {age_s:.0f} s ago")

    async def close(self) -> None:
        """Stop the venue's timer, or say that it goes on, and close the connections."""
        at, self._open = self._open, None
        if at is None:
            return
        try:
            await at.timers.stop_dead_man()
        finally:
            await at.client.close()

    @property
    def _at(self) -> Opened:
        assert self._open is not None, "connect comes first"
        return self._open

    # -- jobs

    def _look_again(self, request: OrderRequest) -> Cause | None:
        return self.look(request)

    def _soon(self, say: Callable[[], None]) -> None:
        """Say something as soon as whoever has called is done: never within a call."""
        self._unsaid += 1

        def said() -> None:
            self._unsaid -= 1
            say()

        asyncio.get_running_loop().call_soon(said)

    def _one_done(self) -> None:
        self.wake()

    def _one_failed(self, name: str, error: Exception) -> None:
        detail = f"{name}: " * bool(name) + f"what it answered cannot be read: {error!r}"
        self._report(self.redact(detail))

    def _hand_over(self, lane: Lane, name: str, work: Callable[[], Any], now: int) -> bool:
        self._now = max(self._now, now)
        if self._open is not None:
            self._open.ordering.now = self._now
        return self._jobs.hand_over(lane, name, work)

    async def _submit(self, request: OrderRequest, lane: Lane) -> None:
        await self._at.ordering.submit(request, lane)

    async def _cancel(self, name: str) -> None:
        self._unwanted.discard(name)
        order = self._placed_by_anyone(name)
        # What was told to be over and is listed is there: of the two the list can be cancelled.
        is_listed = name in self._at.surveyor.open_orders
        if order is not None and (is_listed or not order.ended):
            await self._at.ordering.cancel(order)

    async def _query(self, name: str, now: int) -> None:
        self._placed_by_anyone(name)
        await self._at.ordering.query(name, now)

    async def _list_trades(self, since: int) -> None:
        await self._at.ordering.list_trades(since)

    async def _probe(self) -> None:
        calls = self._at.calls
        found = await calls.once(Lane.READ, 1, calls.client.exchange.fetch_balance)
        if isinstance(found, Done):
            self._report("", ok=True, probe=True)
        else:
            self._troubled(found, probe=True)

    def _placed_by_anyone(self, name: str) -> KnownOrder | None:
        """Return an order that is known, or that the account was seen to have."""
        known, listed = self.orders.named(name), self._at.surveyor.listed(name)
        return self.orders.add(listed) if known is None and listed is not None else known

    # -- news

    def _out(self, news: Iterable[News]) -> None:
        for each in news:
            self._standing.take_news()
            fill = each.fill if isinstance(each, VenueReport) else None
            if fill is not None:
                self._traded_at = max(self._traded_at, fill.timestamp)
            self._trades.take(fills_in(each))
            self._deliver(each)
        self.wake()

    def _check_soon(self, name: str) -> None:
        self._checks.setdefault(name, self._clock.monotonic_s() + CHECK_AFTER_S)

    def _check_at_once(self, name: str) -> None:
        self._checks[name] = self._clock.monotonic_s()

    def _check_listed(self) -> None:
        """Ask about orders of which the list of open ones says more than has been told."""
        if self.row.fill_source is FillSource.STREAM and self._at.stream.up:
            # As it came up every live order was asked for: nothing is waited for any more.
            self._standing.lists_more(set())
            return
        more = self._at.surveyor.has_more
        found = {order.name for order in self.orders.live() if order.accepted and more(order)}
        for name in found:
            self._check_at_once(name)
        self._standing.lists_more(found)

    def _was_paid(self) -> None:
        self._at.surveyor.expect_payment()
        self._standing.take_news()

    def _check_all(self) -> None:
        now_s = self._clock.monotonic_s()
        self._checks.update({order.name: now_s for order in self.orders.live()})
        self._standing.is_dirty = True

    @property
    def _unread(self) -> int:
        return len(self._open.stream) if self._open else 0

    # -- what goes on beside it

    async def _keep_up(self) -> None:
        """Ask for what is due: orders that do not add up, and the account."""
        while True:
            await self._clock.sleep_s(ACCOUNT_SOON_S)
            now_s = self._clock.monotonic_s()
            for name in [name for name, due_s in self._checks.items() if due_s <= now_s]:
                known = self.orders.named(name)
                if known is None or not known.is_told_whole:  # else the stream has said it since
                    work = partial(self._query, name, self._now)
                    if not self._hand_over(Lane.READ, name, work, self._now):
                        break  # too many wait: it is asked for as soon as there is room
                del self._checks[name]
            if self._standing.is_due(busy=self._at.calls.lanes.share > ACCOUNT_SHARE):
                await self.refresh()

    # -- word of the venue itself

    def _rules_changed(self, what: str) -> None:
        self._at.ordering.forget_markets()
        self._report(f"other rules of {what}", ok=True)

    def _least_changed(self, symbol: str, least: Least) -> None:
        self.tell_least(MinimumOrder(symbol, self._now, least.quantity, least.notional))
        self.wake()

    def _stream_is_gone(self, detail: str) -> None:
        self._report(self.redact(detail))

    def _troubled(self, failure: Failure, *, probe: bool = False) -> None:
        wait_ms = failure.retry_after_ms if isinstance(failure, Refused) else None
        if isinstance(failure, Refused) and failure.code in self.row.rules_codes and self._open:
            self._open.rulebook.doubt()
        self._report(words(failure), retry_after_ms=wait_ms, probe=probe)

    def _report(
        self,
        detail: str,
        *,
        ok: bool = False,
        retry_after_ms: int | None = None,
        probe: bool = False,
    ) -> None:
        said = ToolReport(f"venue:{self.name}", ok, self._now, detail, retry_after_ms, probe)
        self._tell_tool(said)
        self.wake()


_FULL = f"not sent: {JOBS_MAX} requests wait already"


def _unbound(news: News) -> object:
    raise AssertionError(f"news before bind: {news}")


def _unheard(_word: Word) -> object:
    return None


def _nothing() -> None:
    return None
