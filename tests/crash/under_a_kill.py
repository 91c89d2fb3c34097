"""What a journal says of orders that left although nothing was to open any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from messages import ExecutionReport, HoldLifted, HoldPlaced, OrderEvent


def opened_under_a_kill(messages: Iterable[object]) -> Iterator[str]:
    """Yield the ids of the orders that left, and could add, while a kill was in force."""
    killed = False
    adds: dict[str, bool] = {}
    for message in messages:
        if isinstance(message, HoldPlaced | HoldLifted) and message.hold.hold_id == "kill":
            killed = isinstance(message, HoldPlaced)
        elif isinstance(message, ExecutionReport):
            if message.order is not None:
                adds[message.order_id] = not message.order.reduce_only
            if killed and message.event is OrderEvent.SENT and adds[message.order_id]:
                yield message.order_id
