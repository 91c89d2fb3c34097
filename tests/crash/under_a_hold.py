"""What a journal says of orders that left although nothing was to open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from messages import (
    EVERYTHING,
    ExecutionReport,
    HoldLifted,
    HoldPlaced,
    OrderEvent,
    SessionStarted,
)
from state.register import KILL_HOLD


def opened_while_held(messages: Iterable[object], killed_after: int | None = None) -> Iterator[str]:
    """
    Yield the ids of the orders that left, and could add, while everything was held; and by what.

    What is latched is in force until it is lifted, whatever the next process believes; so is a kill
    that the register had when the journal had come as far as ``killed_after`` messages.
    """
    held: dict[str, bool] = {}
    adds: dict[str, bool] = {}
    for number, message in enumerate(messages):
        if number == killed_after:
            held[KILL_HOLD] = True
        match message:
            case SessionStarted():
                held = {hold_id: latched for hold_id, latched in held.items() if latched}
            case HoldPlaced(hold=hold) if hold.scope == EVERYTHING:
                held[hold.hold_id] = hold.latched
            case HoldLifted(hold=hold):
                held.pop(hold.hold_id, None)
            case ExecutionReport():
                if message.order is not None:
                    adds[message.order_id] = not message.order.reduce_only
                if held and message.event is OrderEvent.SENT and adds[message.order_id]:
                    yield f"{message.order_id}, held by {', '.join(sorted(held))}"
