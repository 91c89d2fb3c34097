"""Where messages go: routes by class, what caused a message, and who is told of trouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final, Protocol

from actors.runtime.cell import Cell
from actors.runtime.mailbox import Origin
from messages import Bar, ExecutionReport, FundingRate, Message, Quote, Tick


class Guardian(Protocol):
    """Who is told when something goes wrong: the supervisor."""

    def actor_failed(self, cell: Cell, message: Message | None, error: BaseException) -> None:
        """Take note that ``cell`` failed: on ``message``, or by what it returned (``None``)."""

    def lane_overflowed(self, cell: Cell, message: Message) -> None:
        """Take note that a lane whose messages may not be dropped is over its bound."""

    def dead_letter(self, cell: Cell, message: Message, reason: str, detail: str = "") -> None:
        """Take note of a message that no handler will see."""


class Route:
    """Where the messages of one class go, and how they are journaled."""

    __slots__ = ("by_strategy", "cells", "correlation", "journaled", "matters")

    def __init__(
        self,
        cells: tuple[Cell, ...],
        by_strategy: Mapping[str, Cell] | None,
        kind: type[Message],
        matters: Callable[[Any], bool] | None = None,
    ) -> None:
        """
        Send ``kind`` to ``cells`` in order, then to the strategy it names.

        Messages that do not ``matter`` go to nobody but a strategy that is eager for them.
        """
        self.cells = cells
        self.matters = matters
        self.by_strategy = by_strategy
        self.journaled = kind.journaled
        self.correlation = correlation_of(kind)


class Deep:
    """
    The origin of a letter to a strategy, and how deep in a chain of causes it was put.

    A chain that goes through a mailbox is as bounded by that as one that does not.
    """

    __slots__ = ("depth", "origin")

    def __init__(self, origin: Origin, depth: int) -> None:
        """Keep both."""
        self.origin = origin
        self.depth = depth


CHAINS: Final = ("root_id", "order_id", "intent_id", "plan_id", "kill_id", "command_id")
"""The fields that name the chain of events that a message belongs to, the foremost first."""

MAY_BE_EMPTY: Final = frozenset({"root_id", "order_id"})
"""Those that not every message of a class has a value for: then the next one names its chain."""


@cache
def correlation_of(kind: type[Message]) -> Callable[[Any], str]:
    """
    Return what gives the correlation id of a class's messages.

    All that becomes of an intent carries its id: its orders, the further ones that its policy
    permits, their reports, its end. An event of something else carries the id of that, or none.
    """
    fields = kind.__struct_fields__
    names = [name for name in CHAINS if name in fields]
    if not names:
        return _uncorrelated
    if names[0] not in MAY_BE_EMPTY or len(names) == 1:
        return attrgetter(names[0])
    return _first_of(names[0], names[1])


def _first_of(first: str, otherwise: str) -> Callable[[Any], str]:
    if (first, otherwise) == ("root_id", "order_id"):
        return _of_report
    of_first, of_the_other = attrgetter(first), attrgetter(otherwise)
    return lambda message: of_first(message) or of_the_other(message)


def _of_report(report: ExecutionReport) -> str:
    # Most of a journal are reports of orders: this is what every one of them costs.
    return report.root_id or report.order_id


def _uncorrelated(_message: Any) -> str:
    return ""


def origin_text(origin: Origin) -> str:
    """Return the causation id: a journal sequence number, ``bar:SYMBOL:OPEN_MS``, or a word."""
    if type(origin) is int:
        return str(origin)
    if isinstance(origin, Bar):
        return f"bar:{origin.symbol}:{origin.timestamp}"
    if isinstance(origin, Quote | Tick | FundingRate):
        return f"{type(origin).__name__.lower()}:{origin.symbol}:{origin.timestamp}"
    return origin if isinstance(origin, str) else ""
