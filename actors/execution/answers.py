"""What the venue's answer about one order amounts to, and what of it can be taken over."""

from __future__ import annotations

from decimal import Decimal

from actors.execution.doubt import Finding
from messages import Cause, OrderEvent, ReasonCode, VenueOrder, VenueReport
from state.money import plain
from state.orders import Order


def judge(answer: VenueOrder, order: Order, absent_after: int) -> Finding:
    """
    Return what ``answer`` proves of ``order``, whose fills in it have been booked.

    "Unknown" proves absence only where the question left at ``absent_after`` or later, and the
    venue still knows whatever has ended since the order was made.
    """
    if not answer.known:
        late = answer.asked_at is not None and answer.asked_at >= absent_after
        whole = answer.remembers_from is not None
        if whole and late and order.request.created_at >= (answer.remembers_from or 0):
            return Finding.ABSENT
        return Finding.UNPROVEN
    if answer.open:
        return Finding.OPEN
    return Finding.ENDED if _is_whole(answer, order.filled, order.remaining) else Finding.PARTIAL


def _is_whole(answer: VenueOrder, filled: Decimal, remaining: Decimal) -> bool:
    """Return whether an order that is over there was told of with all that it was filled with."""
    if answer.filled is not None and answer.filled != filled:
        return False
    if answer.ended is None:
        return answer.filled is not None
    return answer.ended is not OrderEvent.FILLED or remaining <= 0


def knows_its_fills(order: Order, ended: VenueReport, answer: VenueOrder | None) -> bool:
    """
    Return whether ``order``, which ``ended`` ends, has been booked with all of its fills.

    They are counted with the end, or by an ``answer`` after it. A venue that counts nowhere is
    believed to have told of all in its answer.
    """
    after = answer if answer is not None and answer.known and not answer.open else None
    counts = {ended.filled, None if after is None else after.filled} - {None}
    return counts <= {order.filled} if counts else after is not None


def end_of(answer: VenueOrder) -> VenueReport:
    """Return the end that an answer tells of as the news that never came."""
    event = answer.ended
    if event is None or event is OrderEvent.FILLED:
        event = OrderEvent.CANCELLED  # what is filled whole has ended by its fills
    filled = "unknown" if answer.filled is None else plain(answer.filled)
    cause = answer.cause or Cause(ReasonCode.ENDED_UNSEEN, f"filled={filled}")
    return VenueReport(answer.client_order_id, event, answer.timestamp, None, cause)
