"""
What can be wrong with a venue and with the line to it.

``FaultyBroker`` is a paper broker: the same contract, the same matching engine behind it. Faults
stand between the two: a request that does not reach the engine, an answer that does not come back,
or comes twice, late, in pieces, out of order. What the engine itself believes stays the truth that
reconciliation finds.

The venue is nobody's process: one broker stands for it as long as the account lasts. When a process
dies the venue goes on, and its news finds nobody. It is numbered, as a real venue's is: a process
that goes on with the session knows up to which number it had been heard, and takes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

import msgspec

from actors.runtime.clock import SimulatedClock
from brokers.contract import Survey, VenueSilent, VenueUnreachable
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker
from messages import (
    Bar,
    Cause,
    Fill,
    Hold,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
    ToolReport,
    VenueReport,
)
from scenarios.model.steps import FaultKind, Outside, VenueFault
from state.reconciliation import AccountView


@dataclass(slots=True)
class ActiveFault:
    """A fault in force: until when (int ms UTC), and how often still."""

    fault: VenueFault
    until: int | None
    left: int | None

    def take(self, now: int, symbol: str | None) -> bool:
        """Return whether the fault strikes now, and count it."""
        if self.until is not None and now >= self.until:
            return False
        if self.left is not None and self.left <= 0:
            return False
        if self.fault.symbol is not None and symbol is not None and self.fault.symbol != symbol:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(eq=False, slots=True)
class Late:
    """News that is still on its way, and when it arrives (int ms UTC)."""

    at: int
    report: VenueReport


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it left, with the holds that were in force in that very step."""

    request: OrderRequest
    at: int
    holds: tuple[Hold, ...]


class FaultyBroker(PaperBroker):
    """
    A paper broker whose venue, or the line to it, misbehaves as it is told.

    ``sent`` keeps every request that left, with the holds in force: what the invariants are
    checked against. ``told`` is all news of the account so far, in order: its number is its place.
    """

    answers_at_once = False

    def __init__(self, engine: MatchingEngine) -> None:
        """Stand in front of ``engine``, without faults."""
        super().__init__(engine)
        self.faults: list[ActiveFault] = []
        self.sent: list[Sent] = []
        self.clock = SimulatedClock()
        self.holds_now: Callable[[], Sequence[Hold]] = tuple
        self.deliver_late: Callable[[VenueReport], object] = _nobody
        self._symbols: dict[str, str] = {}
        self._detained: list[VenueReport] = []
        self._pieces: dict[str, list[Fill]] = {}
        self._under_way: list[Late] = []
        self._shown: dict[str, int] = {}
        self._outside: set[str] = set()
        self.told: list[VenueReport] = []
        self._heard = 0

    # -- its processes come and go

    def left_alone(self) -> None:
        """Go on without anybody who hears: the process on the other end of the line has died."""
        self._deliver = self.deliver_late = _into_nothing
        self._tell = _into_nothing
        self.holds_now = tuple

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return up to which number news has been heard: all else is the venue's, and stays."""
        del ends
        return {"news": len(self.told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on after the news that ``state`` knows of."""
        self._heard = int(state["news"])

    def catch_up(self) -> None:
        """Tell what a new process has not heard, and let what is under way arrive there."""
        missed, self._heard = self.told[self._heard :], len(self.told)
        for report in missed:
            self.deliver_late(report)
        for late in self._under_way:
            self._await(late)

    def strike(self, fault: VenueFault) -> None:
        """Put ``fault`` in force from now on."""
        until = None if fault.for_ is None else self.clock.now + fault.for_
        self.faults.append(ActiveFault(fault, until, fault.count))

    def trade_outside(self, order: Outside) -> None:
        """Take an order of somebody else on the same account, of which no news is told."""
        name = order.client_order_id
        self._outside.add(name)
        priced = order.limit_price is not None
        request = OrderRequest(
            name,
            name,
            "outside",
            order.symbol,
            Side(order.side),
            PositionSide.BOTH,
            OrderType.LIMIT if priced else OrderType.MARKET,
            TimeInForce.GTC,
            order.quantity,
            self.clock.now,
            price=order.limit_price,
        )
        self._hand_over(self.engine.submit(request, self.clock.now))

    def _struck(self, kind: FaultKind, client_order_id: str = "") -> VenueFault | None:
        symbol = self._symbols.get(client_order_id)
        for active in self.faults:
            if active.fault.fault is kind and active.take(self.clock.now, symbol):
                return active.fault
        return None

    # -- the way out

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order, if the request reaches the venue."""
        client_order_id = request.client_order_id
        self._symbols[client_order_id] = request.symbol
        self.sent.append(Sent(request, now, tuple(self.holds_now())))
        if self._struck(FaultKind.DOWN, client_order_id):
            self._no_answer(client_order_id, now, "down")
            return
        if self._struck(FaultKind.LOSE_REQUESTS, client_order_id):
            self._no_answer(client_order_id, now)
            return
        limited = self._struck(FaultKind.RATE_LIMIT, client_order_id)
        if limited is not None:
            detail = f"rate_limit retry_after_ms={limited.by}"
            self._tell(self._bad_news(now, detail, retry_after_ms=limited.by))
            code = ReasonCode.VENUE_RATE_LIMITED
            self._say(client_order_id, OrderEvent.REJECTED, now, code, detail)
            return
        refused = self._struck(FaultKind.REJECT, client_order_id)
        if refused is not None:
            self._say(client_order_id, OrderEvent.REJECTED, now, refused.code, refused.detail)
            return
        if self._struck(FaultKind.LOSE_ANSWERS, client_order_id):
            reports = self.engine.submit(request, now)
            rest = [report for report in reports if report.event is not OrderEvent.ACCEPTED]
            self._no_answer(client_order_id, now)
            self._hand_over(rest)
            return
        super().submit(request, now)

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order, if the request reaches the venue."""
        if self._struck(FaultKind.DOWN, client_order_id):
            # Of an order that the venue has, this says nothing but that nobody answers.
            self._no_answer(client_order_id, now, "down")
            return
        if self._struck(FaultKind.IGNORE_CANCELS, client_order_id):
            return
        if self._struck(FaultKind.LOSE_CANCEL_ANSWERS, client_order_id):
            self.engine.cancel(client_order_id, now)
            return
        super().cancel(client_order_id, now)

    def query(self, client_order_id: str, now: int) -> None:
        """Tell what there is to an order, if the question reaches the venue."""
        if self._struck(FaultKind.DOWN, client_order_id):
            return
        if not self._struck(FaultKind.MUTE_ORDERS, client_order_id):
            answer = self.engine.order(client_order_id, now)
            self._deliver(msgspec.structs.replace(answer, fills=self._as_told(answer.fills)))

    def _as_told(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """Return fills as the venue tells of them: in the same pieces as ever."""
        told = (self._pieces.get(fill.trade_id, [fill]) for fill in fills)
        return tuple(fill for pieces in told for fill in pieces)

    def _no_answer(self, client_order_id: str, now: int, detail: str = "") -> None:
        self._say(client_order_id, OrderEvent.SILENCE, now, ReasonCode.ANSWER_LOST, detail)

    def _say(
        self, client_order_id: str, event: OrderEvent, now: int, code: ReasonCode, detail: str = ""
    ) -> None:
        report = VenueReport(client_order_id, event, now, None, Cause(code, detail))
        if event is OrderEvent.SILENCE:
            self._deliver(report)  # nobody says so: it is what is missing
        else:
            self._told(report)

    def _told(self, report: VenueReport) -> None:
        self.told.append(report)
        self._heard = len(self.told)
        self._deliver(report)

    # -- the way back

    def _hand_over(self, reports: list[VenueReport]) -> None:
        for report in reports:
            if report.client_order_id in self._outside:
                continue
            if report.fill is None:
                self._hand_over_news(report)
            else:
                self._hand_over_fill(report)

    def _hand_over_news(self, report: VenueReport) -> None:
        late = None
        if report.event is OrderEvent.ACCEPTED:
            late = self._struck(FaultKind.DELAY_ACCEPTANCE, report.client_order_id)
        if late is not None:
            self._later(late.by, report)
        else:
            self._told(report)

    def _hand_over_fill(self, report: VenueReport) -> None:
        name = report.client_order_id
        split = self._struck(FaultKind.SPLIT_FILLS, name)
        pieces = [report] if split is None else pieces_of(report, split.parts)
        if len(pieces) > 1 and report.fill is not None:
            told = [piece.fill for piece in pieces if piece.fill is not None]
            self._pieces[report.fill.trade_id] = told
        if self._struck(FaultKind.DUPLICATE_FILLS, name):
            pieces = [piece for one in pieces for piece in (one, one)]
        if self._struck(FaultKind.REORDER_FILLS, name):
            pieces = self._reordered(pieces)
        if self._struck(FaultKind.LOSE_FILLS, name):
            return
        late = self._struck(FaultKind.DELAY_FILLS, name)
        for piece in pieces:
            if late is not None:
                self._later(late.by, piece)
            else:
                self._told(piece)

    def _reordered(self, pieces: list[VenueReport]) -> list[VenueReport]:
        if len(pieces) > 1:
            return pieces[::-1]
        # A single fill changes places with the next one that comes.
        if not self._detained:
            self._detained = pieces
            return []
        earlier, self._detained = self._detained, []
        return [*pieces, *earlier]

    def _later(self, delay_ms: int, report: VenueReport) -> None:
        late = Late(self.clock.now + delay_ms, report)
        self._under_way.append(late)
        self._await(late)

    def _await(self, late: Late) -> None:
        def arrive(_at: int) -> None:
            self._under_way.remove(late)
            self.told.append(late.report)
            self._heard = len(self.told)
            self.deliver_late(late.report)

        self.clock.call_at(max(late.at, self.clock.now), arrive, "venue")

    @property
    def owes(self) -> bool:
        """Return whether news of the venue is still on its way."""
        return bool(self._under_way or self._detained)

    # -- the market, of which the venue sees every bar once

    def on_bar(self, bar: Bar) -> None:
        """Match the symbol's live orders within a closed bar that was not shown before."""
        if bar.timestamp > self._shown.get(bar.symbol, -1):
            self._shown[bar.symbol] = bar.timestamp
            super().on_bar(bar)

    # -- the account, as the venue tells it

    def account(self) -> AccountView:
        """Return what the venue says it holds, if it answers, and if it is right."""
        if self._struck(FaultKind.DOWN) or self._struck(FaultKind.MUTE_ACCOUNT):
            raise VenueSilent("the venue does not answer")
        view = super().account()
        if self._struck(FaultKind.WRONG_ACCOUNT):
            assert view.net_flow is not None, "the simulated venue says what money it holds"
            view = msgspec.structs.replace(view, net_flow=view.net_flow + 1)
        return view

    async def survey(self) -> Survey:
        """Return what the venue holds and its trades, told or not: see ``Surveyed``."""
        try:
            account = self.account()
        except VenueSilent as silent:
            raise VenueUnreachable(f"{self.name}: {silent}") from None
        return Survey(account, self._as_told(self.engine.fills))

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel one order at once, unless cancels have no effect."""
        if not self._struck(FaultKind.IGNORE_CANCELS, client_order_id):
            self._hand_over(self.engine.cancel(client_order_id, self.clock.now))

    def _bad_news(
        self, now: int, detail: str, *, retry_after_ms: int | None = None, probe: bool = False
    ) -> ToolReport:
        return ToolReport(
            f"venue:{self.name}",
            ok=False,
            at=now,
            detail=detail,
            retry_after_ms=retry_after_ms,
            probe=probe,
        )

    def probe(self, now: int) -> None:
        """Answer a probe, if the venue is there."""
        if self._struck(FaultKind.MUTE_PROBES):
            return
        limited = self._struck(FaultKind.RATE_LIMIT)
        if self._struck(FaultKind.DOWN):
            self._tell(self._bad_news(now, "down", probe=True))
        elif limited is not None:
            self._tell(self._bad_news(now, "rate limit", retry_after_ms=limited.by, probe=True))
        else:
            super().probe(now)


def pieces_of(report: VenueReport, parts: int) -> list[VenueReport]:
    """Return a fill in ``parts`` pieces whose quantities and fees add up to it exactly."""
    fill = report.fill
    assert fill is not None, "only fills are cut into pieces"
    step = Decimal(1).scaleb(min(0, int(fill.quantity.as_tuple().exponent)) - 2)
    part = (fill.quantity / parts).quantize(step, ROUND_DOWN)
    if part <= 0:
        return [report]
    fee = (fill.fee / parts).quantize(Decimal("1e-12"), ROUND_DOWN)
    pieces: list[VenueReport] = []
    for number in range(1, parts + 1):
        last = number == parts
        quantity = fill.quantity - part * (parts - 1) if last else part
        own_fee = fill.fee - fee * (parts - 1) if last else fee
        piece = msgspec.structs.replace(
            fill, trade_id=f"{fill.trade_id}.{number}", quantity=quantity, fee=own_fee
        )
        event = report.event if last else OrderEvent.FILLED_PARTLY
        pieces.append(msgspec.structs.replace(report, event=event, fill=piece))
    return pieces


def _into_nothing(_news: object) -> object:
    return None


def _nobody(report: VenueReport) -> object:
    raise AssertionError(f"a late report of {report.client_order_id} and nobody to take it")
