"""What a breakout sees of one symbol: the channels before the bar, and the average true range."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from talipp.indicators import ATR, DonchianChannels

from messages import Bar
from strategies.breakout.params import BreakoutParams
from strategies.indicators import Streaming


class Market:
    """
    The indicators of one symbol; ``upper`` and ``lower`` are the channel of the bars seen so far.

    Until a channel is full it has no ends: no price is beyond it.
    """

    __slots__ = ("_atr", "_entry", "_exit", "exit_lower", "exit_upper", "lower", "upper")

    def __init__(self, params: BreakoutParams) -> None:
        """Start without a bar."""
        self._atr = Streaming(ATR, params.atr_period)
        self._entry = Streaming(DonchianChannels, params.entry_period)
        self._exit: Streaming | None = None
        if params.exit_period is not None:
            self._exit = Streaming(DonchianChannels, params.exit_period)
        self._note()

    @property
    def atr(self) -> float | None:
        """Return the average true range, ``None`` until there are bars enough."""
        value: float | None = self._atr.value
        return value

    def push(self, bar: Bar) -> None:
        """Take one more bar."""
        self._atr.add(bar)
        channel = self._entry.add(bar)
        if channel is not None:
            self.upper, self.lower = channel.ub, channel.lb
        if self._exit is not None:
            channel = self._exit.add(bar)
            if channel is not None:
                self.exit_upper, self.exit_lower = channel.ub, channel.lb

    def _note(self) -> None:
        self.upper, self.lower = _ends(self._entry)
        self.exit_upper, self.exit_lower = _ends(self._exit)

    def state(self) -> dict[str, Any]:
        """Return everything that is still to count, JSON-ready."""
        return {
            "atr": self._atr.snapshot(),
            "entry": self._entry.snapshot(),
            "exit": None if self._exit is None else self._exit.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` gave; raises ``ValueError`` if it was of other periods."""
        self._atr.restore(state["atr"])
        self._entry.restore(state["entry"])
        if self._exit is not None and state["exit"] is not None:
            self._exit.restore(state["exit"])
        self._note()


def _ends(channel: Streaming | None) -> tuple[float, float]:
    value = None if channel is None else channel.value
    return (inf, -inf) if value is None else (value.ub, value.lb)
