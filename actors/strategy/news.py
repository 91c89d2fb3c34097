"""What the news of an order says: whether it refuses something, whether it ends the intent."""

from __future__ import annotations

from typing import Final

from messages import ExecutionReport, Intent, OrderEvent, ReasonCode
from strategies.contract import Rejection
from strategies.desk import FINAL

LATE_REFUSALS: Final = frozenset(
    {
        ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        ReasonCode.VENUE_REDUCE_ONLY,
        ReasonCode.POST_ONLY_WOULD_TAKE,
    }
)
"""Causes of an order's end that are refusals, although the venue had accepted it."""

TAKEN_BACK: Final = frozenset(
    {
        ReasonCode.CANCEL_REQUESTED,
        ReasonCode.REPLACED,
        ReasonCode.POSITION_CLOSED,
        ReasonCode.BRACKET,
    }
)
"""Why an order that was not sent yet may be given up although nobody has refused it."""

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_REJECTED: Final = OrderEvent.REJECTED
_ABSENT: Final = OrderEvent.PROVEN_ABSENT
_SUPPRESSED: Final = OrderEvent.SUPPRESSED


def rejection_of(intent: Intent, report: ExecutionReport) -> Rejection | None:
    """Return what an order's step refuses, ``None`` where it refuses nothing."""
    event, cause = report.event, report.cause
    late = cause is not None and cause.code in LATE_REFUSALS and report.status in FINAL
    refused = event is _REJECTED or event is _SUPPRESSED or event is _ABSENT
    if not refused and not late:
        return None
    if event is _SUPPRESSED and cause is not None and cause.code in TAKEN_BACK:
        return None
    return Rejection(
        intent.intent_id,
        report.order_id,
        report.symbol,
        intent.position_side,
        intent.action,
        () if cause is None else (cause,),
        report.timestamp,
        "execution" if event is _SUPPRESSED else "venue",
        report.then is None,
    )


def ends(report: ExecutionReport, intent: Intent) -> bool:
    """Return whether a step is the end of an intent; that of a pursued one comes by itself."""
    return report.status in FINAL and report.then is None and not intent.policy.pursues
