"""
What can be wrong with a venue and with the line to it.

``FaultyBroker`` is a paper broker: the same contract, the same matching engine behind it. Faults
stand between the two: a request that does not reach the engine, an answer that does not come back,
or comes twice, late, in pieces, out of order. What the engine itself believes stays the truth that
reconciliation finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

import msgspec

from actors.runtime.clock import SimulatedClock
from brokers.contract import VenueSilent
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker
from messages import (
    Cause,
    Fill,
    Hold,
    OrderEvent,
    OrderRequest,
    ReasonCode,
    ToolReport,
    VenueReport,
)
from scenarios.model.steps import FaultKind, VenueFault
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
    checked against.
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
        self._under_way = 0

    def strike(self, fault: VenueFault) -> None:
        """Put ``fault`` in force from now on."""
        until = None if fault.for_ is None else self.clock.now + fault.for_
        self.faults.append(ActiveFault(fault, until, fault.count))

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
            # Asked about a fill, the venue tells of the same pieces in which it was told before.
            told = [self._pieces.get(fill.trade_id, [fill]) for fill in answer.fills]
            fills = tuple(fill for pieces in told for fill in pieces)
            self._deliver(msgspec.structs.replace(answer, fills=fills))

    def _no_answer(self, client_order_id: str, now: int, detail: str = "") -> None:
        self._say(client_order_id, OrderEvent.SILENCE, now, ReasonCode.ANSWER_LOST, detail)

    def _say(
        self, client_order_id: str, event: OrderEvent, now: int, code: ReasonCode, detail: str = ""
    ) -> None:
        self._deliver(VenueReport(client_order_id, event, now, None, Cause(code, detail)))

    # -- the way back

    def _hand_over(self, reports: list[VenueReport]) -> None:
        for report in reports:
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
            self._deliver(report)

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
                self._deliver(piece)

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
        self._under_way += 1

        def arrive(_at: int) -> None:
            self._under_way -= 1
            self.deliver_late(report)

        self.clock.call_at(self.clock.now + delay_ms, arrive)

    @property
    def owes(self) -> bool:
        """Return whether news of the venue is still on its way."""
        return bool(self._under_way or self._detained)

    # -- the account, as the venue tells it

    def account(self) -> AccountView:
        """Return what the venue says it holds, if it answers, and if it is right."""
        if self._struck(FaultKind.DOWN) or self._struck(FaultKind.MUTE_ACCOUNT):
            raise VenueSilent("the venue does not answer")
        view = super().account()
        if self._struck(FaultKind.WRONG_ACCOUNT):
            view = msgspec.structs.replace(view, net_flow=view.net_flow + 1)
        return view

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


def _nobody(report: VenueReport) -> object:
    raise AssertionError(f"a late report of {report.client_order_id} and nobody to take it")
