"""
The border to a venue elsewhere, where all that a session is decided by is put on record.

Theory of operation. A broker of such a venue is never called directly by the session. What it says
comes in here, between two handlers, and becomes an entry of the journal at once, with the place in
the session that it came to and at the time that the clock shows then; what follows from it names
that entry as its cause, and is written in the same batch or a later one. What is asked for in the
middle of a handler (the account, whether news is missing, a call that raises) becomes an entry of
its own just there. The journal thus has everything that comes from outside, in the order in which
the session took it, and ``RecordedBroker`` can give it all again at the same places.

News that comes before the session has started waits until it has: the start is the first entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.execution.reports import joined
from brokers.contract import (
    Acquaintance,
    ChangesLeast,
    KnowsTheMarket,
    LooksAgain,
    News,
    RemoteBroker,
    Survey,
    TradeLister,
    VenueSilent,
    Word,
)
from messages import (
    AccountRead,
    Bar,
    CallFailed,
    Cause,
    FundingRate,
    Message,
    MinimumOrder,
    NewsMissing,
    OrderRequest,
    Quote,
    Tick,
    ToolReport,
    VenueConnected,
    VenueSurveyed,
)
from state.reconciliation import AccountView, account_of, view_of
from state.reconciliation_policy import ReconciliationPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.runtime import Dispatcher, SimulatedClock

CONNECTING: Final = "connecting"
"""Where news came that was there before the session had started."""


class Witness:
    """
    A session's broker over ``remote``: does what it does, and puts on record what it answers.

    ``place`` says where in the session one is, ``reading`` what time it is there, not later than
    anything that is due, ``moment`` what time it would be by now however long the session is in a
    step, ``failed`` takes what stands in the way of a record (a journal that has failed): the
    driver sets them. News may come between two handlers only.
    """

    def __init__(self, remote: RemoteBroker, dispatcher: Dispatcher, clock: SimulatedClock) -> None:
        """Stand between ``remote`` and the session that ``dispatcher`` is of."""
        self.remote = remote
        self.name = remote.name
        self.brackets = remote.brackets
        self.answers_at_once = remote.answers_at_once
        self.working: Mapping[str, object] = remote.working
        self.place: Callable[[], str] = _nowhere
        self.reading: Callable[[], int] = lambda: clock.now
        self.moment: Callable[[], int] = lambda: clock.now
        self.failed: Callable[[Exception], object] = _fail
        self._dispatcher = dispatcher
        self._clock = clock
        self._source = f"venue:{remote.name}"
        self._deliver: Callable[[News], object] = _nobody
        self._surveyed: list[VenueSurveyed] = []
        self._early: list[News | Word] | None = []

    # -- the start

    async def survey(self) -> Survey:
        """Return what the venue holds before the session's first step."""
        survey = await self.remote.survey()
        found = VenueSurveyed(
            self._clock.now, account_of(survey.account), survey.fills, survey.payments
        )
        self._surveyed.append(found)
        return Survey(view_of(found.account), found.fills, found.payments)

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel one order at once; the next survey puts on record whether."""
        await self.remote.withdraw(client_order_id)

    def connected(self, own_tags: frozenset[str], plan: ReconciliationPlan) -> None:
        """Put on record what the session begins with; its start has just been."""
        overlap = self.remote.trades_overlap if isinstance(self.remote, TradeLister) else None
        self._record(
            VenueConnected(
                self._clock.now,
                self.name,
                self.brackets,
                self.answers_at_once,
                bool(self.working),
                overlap,
                tuple(sorted(own_tags)),
                msgspec.json.encode(plan, order="deterministic").decode(),
            )
        )
        for surveyed in self._surveyed:
            self._record(surveyed)

    def release(self) -> None:
        """Let in what the venue has said by now, and from here on whatever it says."""
        early, self._early = self._early, None
        for said in early or ():
            self._enter(said, CONNECTING)

    def look_again(self, look: Callable[[OrderRequest, int], tuple[Cause, ...]]) -> None:
        """
        Have a broker in which orders wait ask ``look`` when one leaves, with the time it is then.

        By the session's time one that has waited for a disk would have waited for nothing.
        What comes of it is news like any other: the venue's side of the border decides nothing
        that is not on record.
        """

        def leaving(request: OrderRequest) -> Cause | None:
            causes = look(request, self.moment())
            return joined(causes) if causes else None

        if isinstance(self.remote, LooksAgain):
            self.remote.look = leaving

    def tell_market(self, mark: Callable[[str], Decimal | None]) -> None:
        """Let a broker that wants it know where the market is; what it refuses for that is news."""
        if isinstance(self.remote, KnowsTheMarket):
            self.remote.mark = mark

    # -- what the venue says

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Send news to ``deliver``; its entry is then the journal's last."""
        self._deliver = deliver
        self.remote.bind(self._arrive)
        if isinstance(self.remote, ChangesLeast):
            self.remote.tell_least = self._arrive

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Publish news of the venue itself from now on: it comes between two handlers."""
        del tell
        self.remote.watch(self._arrive)

    def _arrive(self, said: News | Word) -> None:
        if self._early is not None:
            self._early.append(said)
            return
        try:
            self._clock.advance(self.reading())
            self._enter(said, self.place())
        except Exception as error:  # noqa: BLE001 - the driver's, not the broker's
            self.failed(error)

    def _enter(self, said: News | Word, place: str) -> None:
        if isinstance(said, ToolReport | MinimumOrder):
            source = said.tool if isinstance(said, ToolReport) else self._source
            self._dispatcher.publish(source, said, place)
            self._dispatcher.run_errands()  # what it has held is held from this moment
            return
        self._record(said, place)
        self._deliver(said)

    def _record(self, message: Message, place: str = "") -> None:
        self._dispatcher.journal.append(self._clock.now, self._source, "", place, message)

    # -- what is asked of it

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order."""
        with self._on_record("submit", request.client_order_id):
            self.remote.submit(request, now)

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order."""
        with self._on_record("cancel", client_order_id):
            self.remote.cancel(client_order_id, now)

    def query(self, client_order_id: str, now: int) -> None:
        """Ask what there is to an order."""
        with self._on_record("query", client_order_id):
            self.remote.query(client_order_id, now)

    def probe(self, now: int) -> None:
        """Ask for a sign of life."""
        with self._on_record("probe", ""):
            self.remote.probe(now)

    def account(self) -> AccountView:
        """Return what the venue says that it holds; raises ``VenueSilent``."""
        now = self._clock.now
        try:
            with self._on_record("account", ""):
                found = account_of(self.remote.account())
        except VenueSilent as silent:
            self._record(AccountRead(now, None, str(silent)))
            raise
        self._record(AccountRead(now, found))
        return view_of(found)

    def is_whole(self) -> bool:
        """Return whether no request and no news is known to be under way."""
        if self.remote.is_quiet:
            return True
        self._record(NewsMissing(self._clock.now))
        return False

    @contextmanager
    def _on_record(self, call: str, subject: str) -> Iterator[None]:
        try:
            yield
        except VenueSilent:
            raise  # an answer
        except Exception as error:
            now = self._clock.now
            kind = type(error).__name__
            self._record(CallFailed(now, call, subject, kind, str(error), repr(error)))
            raise

    # -- the market, and what is kept

    def on_bar(self, bar: Bar) -> None:
        """Show a closed bar."""
        self.remote.on_bar(bar)

    def on_quote(self, quote: Quote) -> None:
        """Show a quote."""
        self.remote.on_quote(quote)

    def on_tick(self, tick: Tick) -> None:
        """Show a public trade."""
        self.remote.on_tick(tick)

    def on_time(self, now: int) -> None:
        """Say what time it is."""
        self.remote.on_time(now)

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> object:
        """Say at what mark funding is settled."""
        return self.remote.on_funding(rate, mark)

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Let the venue ask for another least order."""
        self.remote.set_minimum(minimum)

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return what of the way to the venue must survive a restart."""
        return self.remote.snapshot(ends=ends)

    def acquaint(self, requests: Iterable[OrderRequest]) -> None:
        """Have a broker that wants it know the orders of an earlier process."""
        if isinstance(self.remote, Acquaintance):
            self.remote.acquaint(requests)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take that back."""
        self.remote.restore(state)


class ListingWitness(Witness):
    """The same over a venue that lists its trades."""

    def __init__(self, remote: RemoteBroker, dispatcher: Dispatcher, clock: SimulatedClock) -> None:
        """Stand between ``remote`` and the session that ``dispatcher`` is of."""
        super().__init__(remote, dispatcher, clock)
        assert isinstance(remote, TradeLister), "chosen for it"
        self._lister = remote
        self.trades_overlap = remote.trades_overlap

    def list_trades(self, since: int, now: int) -> None:
        """Ask for the trades after watermark ``since``."""
        with self._on_record("list_trades", str(since)):
            self._lister.list_trades(since, now)


def witness_of(remote: RemoteBroker, dispatcher: Dispatcher, clock: SimulatedClock) -> Witness:
    """Return a session's broker over ``remote``."""
    if isinstance(remote, TradeLister):
        return ListingWitness(remote, dispatcher, clock)
    return Witness(remote, dispatcher, clock)


def _fail(error: Exception) -> object:
    raise error


def _nowhere() -> str:
    raise AssertionError("a session says where one is")


def _nobody(news: News) -> object:
    raise AssertionError(f"news before bind: {news}")
