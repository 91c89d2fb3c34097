"""What the journal says of one order: from the intent to its end, in order, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from messages import (
    ApprovedCancel,
    CancelIntent,
    DeadLetter,
    ExecutionReport,
    Intent,
    Message,
    RiskDecision,
    Verdict,
)
from state.journal import Entry, decode_line
from state.journal.reader import read_lines
from state.money import plain
from state.projections import iso_ms


def order_life(journal: Path, target: str) -> list[dict[str, Any]]:
    """
    Return every event of the order with this id, its own or its client order id; none if unknown.

    Raises what reading a journal raises. A journal that is being written may be read.
    """
    found = list(_mentioning(journal, target))
    order_id = _order_id(found, target)
    if order_id is None:
        return []
    if order_id != target:
        found = list(_mentioning(journal, order_id))
    return [_event(entry) for entry in found if entry.correlation == order_id]


def _mentioning(journal: Path, target: str) -> Iterator[Entry]:
    # Decoding costs more than looking: only what names the order is decoded.
    name = target.encode()
    return (decode_line(line) for line in read_lines(journal) if name in line)


def _order_id(entries: list[Entry], target: str) -> str | None:
    for entry in entries:
        if entry.correlation == target:
            return target
        message = entry.message
        if isinstance(message, ExecutionReport) and message.client_order_id == target:
            return message.order_id
    return None


def _event(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": iso_ms(entry.ts),
        "source": entry.source,
        "type": type(entry.message).__name__,
        "text": _words(entry.message),
    }


def _words(message: Message) -> str:
    match message:
        case Intent():
            kind = message.policy.order_type.value
            what = f"{message.side.value} {_how_much(message)} {message.symbol} {kind}"
            return f"{message.strategy} asks to {what}"
        case CancelIntent():
            return f"{message.strategy} asks to cancel"
        case ApprovedCancel():
            return f"cancel on its way: {message.code}"
        case RiskDecision():
            if message.verdict is Verdict.DENIED:
                return f"refused: {'; '.join(str(cause) for cause in message.causes)}"
            return message.verdict.value
        case ExecutionReport():
            return _report(message)
        case DeadLetter():
            return f"{message.message_type} is a dead letter: {message.reason} {message.detail}"
        case _:
            return ""


def _how_much(intent: Intent) -> str:
    if intent.quantity is not None:
        return plain(intent.quantity)
    return "" if intent.notional is None else f"{plain(intent.notional)} worth of"


def _report(report: ExecutionReport) -> str:
    text = report.event.value
    if report.fill is not None:
        fill = report.fill
        text += f": {plain(fill.quantity)} at {plain(fill.price)}, fee {plain(fill.fee)}"
        text += f" {fill.fee_currency}; {plain(report.filled)} filled so far"
    if report.cause is not None:
        text += f": {report.cause}"
    return text
