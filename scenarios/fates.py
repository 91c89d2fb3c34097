"""What became of the orders that a scenario names, by tag or by ordinal."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from messages import Cause, ExecutionReport, OrderEvent, RiskDecision, Verdict
from scenarios.model.expect import OrderExpected, Refusal
from scenarios.record import Record
from scenarios.sight import says

ZERO = Decimal(0)

ENDS = frozenset(
    {
        OrderEvent.SUPPRESSED,
        OrderEvent.REJECTED,
        OrderEvent.PROVEN_ABSENT,
        OrderEvent.CANCELLED,
        OrderEvent.EXPIRED,
    }
)

Lack = tuple[str, str, int | None]
"""What was expected, what came instead, and where in the record to look."""


class OrderFates:
    """The orders of a record; what is expected of them is answered by what they lack."""

    def __init__(self, record: Record) -> None:
        """Look into ``record``."""
        self.record = record

    def _order_ids(self, tag: str | None, ordinal: int | None) -> list[str]:
        if tag is not None:
            return self.record.ids_of(tag)
        assert ordinal is not None, "the model asks for one of them"
        return [intent_id for intent_id, _ in self.record.intents[ordinal - 1 : ordinal]]

    def order(self, expected: OrderExpected) -> list[Lack]:
        """Return where an order fared otherwise."""
        name = _name(expected.tag, expected.ordinal)
        ids = self._order_ids(expected.tag, expected.ordinal)
        if not ids:
            return lack(f"{name} exists", self._known_orders())
        reports = [
            (index, event.entry.message)
            for index, event in enumerate(self.record.events)
            if event.entry is not None
            and isinstance(event.entry.message, ExecutionReport)
            and event.entry.message.order_id in ids
        ]
        around = reports[-1][0] if reports else self._decision_of(ids)
        lacks: list[Lack] = []
        life = tuple(report.event for _, report in reports)
        if expected.life is not None and life != expected.life:
            came = _words(life) or self._why_no_life(ids)
            lacks += lack(f"{name} lives {_words(expected.life)}", came, around)
        if expected.status is not None:
            status = reports[-1][1].status.value if reports else self._status_without(ids)
            if status != expected.status.value:
                lacks += lack(f"{name} ends {expected.status.value}", status, around)
        if expected.filled is not None:
            filled = reports[-1][1].filled if reports else ZERO
            if filled != expected.filled:
                lacks += lack(f"{name} filled {expected.filled}", str(filled), around)
        if expected.fee is not None:
            fee = sum((r.fill.fee for _, r in reports if r.fill is not None), ZERO)
            if fee != expected.fee:
                lacks += lack(f"{name} costs a fee of {expected.fee}", str(fee), around)
        return lacks

    def _known_orders(self) -> str:
        names = [f"{tag or 'no tag'} ({intent_id})" for intent_id, tag in self.record.intents]
        return f"the intents are: {', '.join(names) or 'none'}"

    def _decision_of(self, ids: list[str]) -> int | None:
        for index, event in enumerate(self.record.events):
            message = None if event.entry is None else event.entry.message
            if isinstance(message, RiskDecision) and message.intent_id in ids:
                return index
        return None

    def _why_no_life(self, ids: list[str]) -> str:
        index = self._decision_of(ids)
        if index is None:
            return "no event: it was never decided"
        return f"no event: {self.record.line(self.record.events[index]).strip()}"

    def _status_without(self, ids: list[str]) -> str:
        index = self._decision_of(ids)
        entry = None if index is None else self.record.events[index].entry
        if entry is None or not isinstance(entry.message, RiskDecision):
            return "intended"
        denied = entry.message.verdict is Verdict.DENIED
        return "denied" if denied else "approved"

    def refusal(self, refusal: Refusal) -> list[Lack]:
        """Return where an intent was refused, or its order ended, for another reason."""
        name = _name(refusal.tag, refusal.ordinal)
        ids = self._order_ids(refusal.tag, refusal.ordinal)
        wanted = _words(refusal.causes)
        if not ids:
            return lack(f"{name} is refused: {wanted}", self._known_orders())
        index, causes = self._causes(ids)
        if tuple(cause.code for cause in causes) != refusal.causes:
            came = ", ".join(str(cause) for cause in causes) or "not refused"
            return lack(f"{name} is refused: {wanted}", came, index)
        figures = "; ".join(cause.detail for cause in causes)
        lacking = [text for text in refusal.details if not says(figures, text)]
        if lacking:
            return lack(f"{name}'s causes say {', '.join(lacking)}", figures, index)
        return []

    def _causes(self, ids: list[str]) -> tuple[int | None, tuple[Cause, ...]]:
        last: int | None = None
        for index, event in enumerate(self.record.events):
            message = None if event.entry is None else event.entry.message
            if isinstance(message, RiskDecision) and message.intent_id in ids:
                last = index
                if message.causes:
                    return index, message.causes
            if isinstance(message, ExecutionReport) and message.order_id in ids:
                last = index
                if message.event in ENDS and message.cause is not None:
                    return index, (message.cause,)
        return last, ()


def lack(expected: str, found: str, around: int | None = None) -> list[Lack]:
    """Return the one thing that is lacking."""
    return [(expected, found, around)]


def _name(tag: str | None, ordinal: int | None) -> str:
    return f"order [{tag}]" if tag is not None else f"order number {ordinal}"


def _words(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
