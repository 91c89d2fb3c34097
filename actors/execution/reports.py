"""How a step of an order is told, and how several causes are told as one."""

from __future__ import annotations

from messages import Booking, Cause, ExecutionReport, Fill, FollowUpReason, OrderEvent, VenueReport
from state.orders import Order


def report_of(
    order: Order,
    event: OrderEvent,
    at: int,
    cause: Cause | None = None,
    then: FollowUpReason | None = None,
) -> ExecutionReport:
    """Return the report of a step that is no fill and that ``order`` has just made."""
    request = order.request
    return ExecutionReport(
        request.order_id,
        request.client_order_id,
        request.strategy,
        request.symbol,
        event,
        order.status,
        at,
        order.filled,
        cause,
        None,
        None,
        None,
        request.root_id,
        then,
    )


def executed(
    order: Order, event: OrderEvent, report: VenueReport, fill: Fill, booking: Booking
) -> ExecutionReport:
    """Return the report of a fill that ``order`` has just taken."""
    request = order.request
    return ExecutionReport(
        request.order_id,
        request.client_order_id,
        request.strategy,
        request.symbol,
        event,
        order.status,
        report.timestamp,
        order.filled,
        report.cause,
        fill,
        booking,
        None,
        request.root_id,
    )


def joined(causes: tuple[Cause, ...]) -> Cause:
    """Return one cause that names all: the first one's code, every one's figures."""
    if len(causes) == 1:
        return causes[0]
    return Cause(causes[0].code, "; ".join(cause.detail for cause in causes))
