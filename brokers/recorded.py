"""
The broker of a session that is executed once more: its venue says what it said, and does nothing.

It stands where the broker of any venue elsewhere stood. Requests go nowhere. News comes when
``say`` is called, by whoever knows where in the session it came. What was asked for in the middle
of something is answered as it was then: ``next_record`` returns the record that the journal has
next, and a question finds its own answer there or the session has come to another place than it
was at. Then the answer is that the venue is silent, and the two journals differ from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from brokers.contract import News, Survey, VenueSilent, VenueUnreachable, Word
from brokers.shown import EverySymbol
from messages import (
    AccountRead,
    Bar,
    CallFailed,
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
from state.reconciliation import AccountView, view_of

NextRecord = Callable[[], Message | None]


class RecordedBroker:
    """
    The venue of one start of a recorded session.

    ``connected`` says what it was like, ``surveyed`` what it held before the first step, and
    ``early`` is the news that came by then.
    """

    answers_at_once: bool

    def __init__(
        self,
        connected: VenueConnected,
        surveyed: Iterable[VenueSurveyed],
        early: Iterable[News | Word],
        next_record: NextRecord,
    ) -> None:
        """Stand ready to say again what was said."""
        self.name = connected.venue
        self.brackets = connected.brackets
        self.answers_at_once = connected.answers_at_once
        self.working: Mapping[str, object] = EverySymbol() if connected.shown else {}
        self.wake: Callable[[], object] = _nothing
        self._surveyed = list(surveyed)
        self._early = tuple(early)
        self._next_record = next_record
        self._deliver: Callable[[News], object] = _unbound
        self.tell_least: Callable[[MinimumOrder], object] = _unbound
        self._tell: Callable[[ToolReport], object] = _unbound

    def say(self, said: News | Word) -> None:
        """Let the venue say once more what it said."""
        if isinstance(said, ToolReport):
            self._tell(said)
        elif isinstance(said, MinimumOrder):
            self.tell_least(said)
        else:
            self._deliver(said)

    # -- requests: they go nowhere, and those that failed fail again

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Send news to ``deliver``."""
        self._deliver = deliver

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Send news of the venue itself to ``tell``."""
        self._tell = tell

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place nothing."""
        del now
        self._fail_again("submit", request.client_order_id)

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel nothing."""
        del now
        self._fail_again("cancel", client_order_id)

    def query(self, client_order_id: str, now: int) -> None:
        """Ask nobody."""
        del now
        self._fail_again("query", client_order_id)

    def probe(self, now: int) -> None:
        """Ask nobody."""
        del now
        self._fail_again("probe", "")

    def _fail_again(self, call: str, subject: str) -> None:
        found = self._next_record()
        if isinstance(found, CallFailed) and (found.call, found.subject) == (call, subject):
            raise again(found)

    # -- what is asked for and answered at once

    def account(self) -> AccountView:
        """Return the account as it was read here; raises ``VenueSilent`` where it was silent."""
        self._fail_again("account", "")
        found = self._next_record()
        if not isinstance(found, AccountRead):
            raise VenueSilent("the recorded session did not read the account here")
        if found.account is None:
            raise VenueSilent(found.silent)
        return view_of(found.account)

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing was missing here."""
        return not isinstance(self._next_record(), NewsMissing)

    # -- the market, which it has no use for

    def on_bar(self, bar: Bar) -> None:
        """Look away."""

    def on_quote(self, quote: Quote) -> None:
        """Look away."""

    def on_tick(self, tick: Tick) -> None:
        """Look away."""

    def on_time(self, now: int) -> None:
        """End nothing."""

    def on_funding(self, rate: FundingRate, mark: object) -> object:
        """Settle nothing."""

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Ask for nothing."""

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return nothing: the journal has it all."""
        del ends
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Need nothing back."""

    # -- its life

    async def connect(self) -> None:
        """Say what was said as the recorded session connected."""
        for said in self._early:
            self.say(said)

    async def survey(self) -> Survey:
        """Return what was surveyed, one after the other."""
        if not self._surveyed:
            raise VenueUnreachable("the recorded session did not survey its venue once more")
        surveyed = self._surveyed.pop(0)
        return Survey(view_of(surveyed.account), surveyed.fills, surveyed.payments)

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel nothing: the next survey shows what became of it."""

    async def run(self) -> None:
        """Have nothing to do."""

    async def refresh(self) -> None:
        """Know nothing newer."""

    async def close(self) -> None:
        """Have nothing open."""


class RecordedLister(RecordedBroker):
    """The same, of a venue that lists its trades."""

    def __init__(
        self,
        connected: VenueConnected,
        surveyed: Iterable[VenueSurveyed],
        early: Iterable[News | Word],
        next_record: NextRecord,
    ) -> None:
        """Stand ready to say again what was said."""
        super().__init__(connected, surveyed, early, next_record)
        assert connected.trades_overlap is not None, "the venue lists its trades"
        self.trades_overlap = connected.trades_overlap

    def list_trades(self, since: int, now: int) -> None:
        """Ask nobody."""
        del now
        self._fail_again("list_trades", str(since))


def again(failed: CallFailed) -> Exception:
    """Return an error that is taken for the one that was put on record."""

    def shown(_error: Exception) -> str:
        return failed.shown

    kind = type(failed.kind, (Exception,), {"__repr__": shown})
    error = kind(failed.text)
    assert isinstance(error, Exception), "made of one"
    return error


def _unbound(said: object) -> object:
    raise AssertionError(f"news before bind: {said}")


def _nothing() -> None:
    return None
