"""
The broker of the virtual venue.

Theory of operation. ``submit``, ``cancel`` and ``query`` put a job in a bounded queue and return;
workers that ``run`` owns make the calls (see ``jobs``). News comes in answers and by a question
that is always open, and both go through one ``NewsStream``: whichever is first, each item is
delivered once and in order.

What an order's submit comes to: the venue's verdict is news like any other. A request that the
venue has certainly not looked at is a rejection, of which the venue knows nothing. Everything else
is SILENCE. No request that changes the account is ever sent a second time. What is said of an order
is word of the venue as well, and is not said again as such.

In a rehearsal the venue is shown the session's own market, so that both live in the same one; the
pieces are numbered, so showing them again after a lost answer changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

import anyio
import msgspec

from brokers.contract import News, Survey, VenueSilent, VenueUnreachable
from brokers.matching import FundingPayment
from brokers.virtual import wire
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.calls import Done, Line, NotLookedAt, Outcome, asked_again, cause_of, words
from brokers.virtual.jobs import Jobs
from brokers.virtual.limits import (
    IN_FLIGHT_MAX,
    JOBS_MAX,
    LOOK_S,
    NEWS_WAIT_S,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    SKEW_MS,
)
from brokers.virtual.rehearsal import Rehearsal
from brokers.virtual.stream import NewsStream
from brokers.virtual.survey import TRADES_OVERLAP, surveyed, trades_of, view_of
from brokers.virtual.wire import Account, Cancel, FundingAtMark, Submit
from messages import (
    Bar,
    Cause,
    FundingRate,
    MinimumOrder,
    OrderEvent,
    OrderRequest,
    Quote,
    ReasonCode,
    Tick,
    ToolReport,
    VenueReport,
)
from state.money import exact
from state.reconciliation import AccountView


class VirtualBroker:
    """
    A broker whose venue is another process; see the module for what it promises.

    ``connect`` comes first, then ``run`` beside everything else, to be cancelled at the end, then
    ``close``. ``wake`` is called after each delivery, for a driver that waits. ``source`` names
    whose market is shown; with an empty one the venue has a market of its own.
    """

    name = "virtual"
    brackets = True
    trades_overlap = TRADES_OVERLAP
    answers_at_once = True  # or says that it has no answer, by a clock that is not the session's

    def __init__(self, address: VenueAddress, clock: MachineClock, *, source: str = "") -> None:
        """Stand ready; nothing is connected."""
        self.address = address
        self.stream = NewsStream()
        self.wake: Callable[[], object] = _nothing
        self._clock = clock
        self.market = Rehearsal(source)
        self._asked = 0
        self._line = Line(address.url, address.key, address.timeout_s, self._next_id)
        self._deliver: Callable[[News], object] = _unbound
        self._tell: Callable[[ToolReport], object] = _unwatched
        self._jobs = Jobs(self._woken, clock.sleep_s)
        self._unsaid = 0
        self._account: Account | None = None
        self._account_at = 0
        self._connected_at = 0
        self._began = 0
        self._unanswered: dict[str, int] = {}
        self._now = 0
        self._restored = False

    @property
    def doubt_ms(self) -> int:
        """Return how long after its sending the venue may still look at an order without answer."""
        return self.address.recv_window_ms + SKEW_MS

    @property
    def working(self) -> Mapping[str, object]:
        """Return what says of which symbols the session must show the market here."""
        return self.market.working

    def _next_id(self) -> str:
        self._asked += 1
        return f"r{self._asked}"

    # -- the contract

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Send all news to ``deliver``."""
        self._deliver = deliver

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Send news of the venue itself to ``tell``."""
        self._tell = tell

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order; what becomes of it is delivered."""
        if not self._hand_over(request.client_order_id, partial(self._submit, request), now):
            name = request.client_order_id
            self._soon(partial(self._say, name, OrderEvent.REJECTED, _FULL))

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order; an order unknown or already final brings no report."""
        if not self._hand_over(client_order_id, partial(self._cancel, client_order_id), now):
            self._soon(partial(self._report, _FULL.detail))

    def query(self, client_order_id: str, now: int) -> None:
        """Ask what there is to an order; the answer is a ``VenueOrder``, or does not come."""
        if not self._hand_over(client_order_id, partial(self._query, client_order_id, now), now):
            self._soon(partial(self._report, _FULL.detail))

    def list_trades(self, since: int, now: int) -> None:
        """Ask for the trades after news item ``since``; the answer is a ``VenueTrades``, if any."""
        if not self._hand_over("", partial(self._list_trades, since or self._began), now):
            self._soon(partial(self._report, _FULL.detail))

    def probe(self, now: int) -> None:
        """Ask for the account; the answer comes with ``probe`` set, or not at all."""
        self._hand_over("", self._probe, now)

    def account(self) -> AccountView:
        """
        Return what the venue said last that it holds.

        Raises ``VenueSilent`` where that is too old, or where news is missing that it may rest on:
        what cannot be compared is not known to agree.
        """
        account = self._account
        if account is None:
            raise VenueSilent("the venue has not said yet what it holds")
        age_ms = self._clock.wall_ms() - self._account_at
        if age_ms > self._age_ms_max:
            raise VenueSilent(f"what the venue said last is {age_ms} ms old")
        if account.seq != self.stream.taken:
            raise VenueSilent(
                f"its account is as of news {account.seq}, ours as of {self.stream.taken}"
            )
        return view_of(account)

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return where the news and the market have come to, JSON-ready; ends are the venue's."""
        del ends
        shown, began = self.market.shown, self._began
        return {"news": self.stream.taken, "market": shown, "began": began}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on after the news that ``state`` knows: what came since is delivered after all."""
        self.stream.start_after(state["news"])
        self.market.shown = state["market"]
        self._began = state.get("began", state["news"])
        self._restored = True

    @property
    def _age_ms_max(self) -> int:
        return int(1000 * (NEWS_WAIT_S + 2 * self.address.timeout_s))

    # -- the market of a rehearsal

    def on_bar(self, bar: Bar) -> None:
        """Show the venue a closed bar."""
        self.market.show(bar, self._jobs.handed_over)

    def on_quote(self, quote: Quote) -> None:
        """Show the venue a quote."""
        self.market.show(quote, self._jobs.handed_over)

    def on_tick(self, tick: Tick) -> None:
        """Show the venue a public trade."""
        self.market.show(tick, self._jobs.handed_over)

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> list[FundingPayment]:
        """Let the venue settle funding; what it pays is in its account, not in the answer."""
        settled = FundingAtMark(rate.symbol, rate.timestamp, rate.rate, exact(mark))
        self.market.show(settled, self._jobs.handed_over)
        return []

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Let the venue ask for another least order from now on."""
        self.market.show(minimum, self._jobs.handed_over)

    def on_time(self, now: int) -> None:
        """Do nothing: the venue has the time from its market."""

    # -- life

    async def connect(self) -> None:
        """Find the venue; its next news is the first, unless restored. See ``Remote``."""
        found = await self._read(partial(self._line.get, wire.ACCOUNT))
        if not isinstance(found, Done):
            await self.close()
            raise VenueUnreachable(f"{self.address.url}: {words(found)}")
        self._connected_at = self._clock.wall_ms()
        if not self._restored:
            self._began = found.answer.seq
            self.stream.start_after(self._began)
        self._heard(found)

    async def survey(self) -> Survey:
        """Return what the venue holds, and the trades that this session has not heard of."""
        if self._account is None:
            await self.refresh()
        return await surveyed(self._ask, self.address.url, self.stream.taken, self._account)

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel one order at once; what becomes of it is for a survey to show."""
        self._account = None
        self._heard(await self._post_cancel(client_order_id))

    async def _post_cancel(self, client_order_id: str) -> Outcome:
        asked = Cancel(self._clock.wall_ms(), self.address.recv_window_ms, client_order_id)
        return await self._line.post(wire.CANCEL, asked)

    async def _ask(self, path: str, query: Mapping[str, str]) -> Outcome:
        return await self._read(partial(self._line.get, path, query))

    async def run(self) -> None:
        """Make the calls and hear the news, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(IN_FLIGHT_MAX):
                tasks.start_soon(self._jobs.work)
            tasks.start_soon(self._listen)
            if self.market.source:
                tasks.start_soon(self._show_market)

    async def quiet(self, patience_s: float) -> bool:
        """
        Return once all that was handed over is done and all news is in, or after ``patience_s``.

        The result says which.
        """
        for _ in range(int(patience_s / LOOK_S)):
            if self.is_quiet:
                return True
            await self._clock.sleep_s(LOOK_S)
        return self.is_quiet

    @property
    def is_quiet(self) -> bool:
        """Return whether all that was handed over is done and all news is in."""
        done = self._jobs.are_done and not self._unsaid
        return done and not self.market and self.stream.is_whole

    async def refresh(self) -> None:
        """Ask for the account once more; unanswered, the last word stays and grows old."""
        self._heard(await self._read(partial(self._line.get, wire.ACCOUNT)))

    async def close(self) -> None:
        """Close the connections."""
        await self._line.close()

    # -- jobs

    def _soon(self, say: Callable[[], None]) -> None:
        """Say something as soon as whoever has called is done: never within a call."""
        self._unsaid += 1

        def said() -> None:
            self._unsaid -= 1
            say()

        asyncio.get_running_loop().call_soon(said)

    def _woken(self) -> None:
        self.wake()

    def _hand_over(self, name: str, work: Callable[[], Awaitable[None]], now: int) -> bool:
        self._now = max(self._now, now)
        return self._jobs.hand_over(name, work)

    async def _submit(self, request: OrderRequest) -> None:
        window_ms = self.address.recv_window_ms
        asked = Submit(request, self._clock.wall_ms(), window_ms)
        outcome = await self._line.post(wire.ORDERS, asked)
        name = request.client_order_id
        if isinstance(outcome, NotLookedAt):
            if outcome.retry_after_ms is not None:
                self._troubled(outcome)
            self._say(name, OrderEvent.REJECTED, cause_of(outcome))
        elif not isinstance(outcome, Done):
            self._unanswered[name] = asked.sent_at
            self._say(name, OrderEvent.SILENCE, Cause(ReasonCode.ANSWER_LOST, outcome.detail))
        self._heard(outcome)

    async def _cancel(self, client_order_id: str) -> None:
        outcome = await self._post_cancel(client_order_id)
        if isinstance(outcome, NotLookedAt):
            self._troubled(outcome)
        elif not isinstance(outcome, Done):
            # Of an order that the venue has, this says nothing but that nobody answers.
            cause = Cause(ReasonCode.ANSWER_LOST, outcome.detail)
            self._say(client_order_id, OrderEvent.SILENCE, cause)
        self._heard(outcome)

    async def _query(self, client_order_id: str, now: int) -> None:
        query = {"client_order_id": client_order_id}
        asked_at = self._clock.wall_ms()
        outcome = await self._read(partial(self._line.get, wire.ORDER, query))
        self._heard(outcome)
        if not isinstance(outcome, Done):
            self._troubled(outcome)
        elif outcome.answer.order is not None:
            found = msgspec.structs.replace(outcome.answer.order, asked_at=now)
            if not found.known and not self._is_proof(client_order_id, asked_at):
                found = msgspec.structs.replace(found, remembers_from=None)
            elif found.known:
                self._unanswered.pop(client_order_id, None)
            self._out(found)

    def _is_proof(self, client_order_id: str, asked_at: int) -> bool:
        """
        Return whether the venue, asked then, could no longer have the order under way to it.

        By the machine's clock, which is the venue's: that of a session may run as fast as it likes.
        What an earlier process sent left before this one was connected.
        """
        left_at = self._unanswered.get(client_order_id, self._connected_at)
        return asked_at > left_at + self.doubt_ms

    async def _list_trades(self, since: int) -> None:
        outcome = await self._ask(wire.TRADES, {"after": str(since)})
        if isinstance(outcome, Done):
            self.stream.note(outcome.answer.seq)
            self._out(trades_of(outcome.answer, since))
        else:
            self._troubled(outcome)

    async def _probe(self) -> None:
        outcome = await self._line.get(wire.ACCOUNT)
        self._heard(outcome)
        if isinstance(outcome, Done):
            self._report("", ok=True, probe=True)
        else:
            self._troubled(outcome, probe=True)

    async def _read(self, ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Ask a question until it is answered, so often and no longer."""
        return await asked_again(ask, self._clock.sleep_s)

    # -- news

    async def _listen(self) -> None:
        wait_s = RETRY_FIRST_S
        while True:
            after = self.stream.taken
            query = {"after": str(after), "wait_ms": str(int(NEWS_WAIT_S * 1000))}
            outcome = await self._line.get(wire.NEWS, query, NEWS_WAIT_S)
            self._heard(outcome)
            if isinstance(outcome, Done) and (self.stream.is_whole or self.stream.taken > after):
                wait_s = RETRY_FIRST_S
                continue
            if not isinstance(outcome, Done):
                self._troubled(outcome)
            await self._clock.sleep_s(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    def _heard(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Done):
            return
        account = outcome.answer.account
        newest = self._account
        if account is not None and (
            newest is None or (account.seq, account.at) >= (newest.seq, newest.at)
        ):
            self._account, self._account_at = account, self._clock.wall_ms()
        self.stream.note(outcome.answer.seq)
        for report in self.stream.take(outcome.answer.news):
            self._out(report)

    def _say(self, client_order_id: str, event: OrderEvent, cause: Cause) -> None:
        self._out(VenueReport(client_order_id, event, self._now, None, cause))

    def _out(self, news: News) -> None:
        self._deliver(news)
        self.wake()

    # -- word of the venue itself

    def _troubled(self, outcome: Outcome, *, probe: bool = False) -> None:
        wait_ms = outcome.retry_after_ms if isinstance(outcome, NotLookedAt) else None
        self._report(words(outcome), retry_after_ms=wait_ms, probe=probe)

    def _report(
        self,
        detail: str,
        *,
        ok: bool = False,
        retry_after_ms: int | None = None,
        probe: bool = False,
    ) -> None:
        tool = f"venue:{self.name}"
        self._tell(ToolReport(tool, ok, self._now, detail, retry_after_ms, probe))
        self.wake()

    async def _show_market(self) -> None:
        wait_s = RETRY_FIRST_S
        while True:
            await self.market.some()
            # An order that was handed over before a bar meets that bar.
            await self._jobs.after(self.market.barrier)
            shown = self.market.batch()
            outcome = await self._line.post(wire.MARKET, shown)
            self._heard(outcome)
            if isinstance(outcome, Done):
                wait_s = RETRY_FIRST_S
                self.market.taken(len(shown.pieces))
                self.wake()
                continue
            await self._clock.sleep_s(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)


_FULL: Final = Cause(ReasonCode.VENUE_REJECTED, f"not sent: {JOBS_MAX} requests wait already")


def _unbound(news: News) -> object:
    raise AssertionError(f"news before bind: {news}")


def _unwatched(_report: ToolReport) -> object:
    return None


def _nothing() -> None:
    return None
