"""What a simulated venue is set to, and the engine's own limits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from messages import PositionMode
from state.money import ZERO

DAY_MS: Final = 86_400_000

_ONE: Final = Decimal(1)
_WHOLE_BPS: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """
    How the simulated venue treats orders.

    ``participation`` is the share of a bar's volume that all orders of its symbol may take;
    at exactly 1 there is no volume limit. ``trade_tag`` is unique to the session: it makes
    the ids of its orders (``V-<tag>-<n>``) and trades (``T-<tag>-<n>``) unique everywhere.
    Without ``brackets`` what rests to close a position binds it: a second close of the same is
    refused, as where a spot order locks what it sells. Without a tag the ids are plain numbers.
    With ``reserves`` an order that the free margin does not cover is refused at the door, not at
    its fill. With ``at_once`` an order that could take does so when it arrives, at the last price
    known, instead of with the next data.
    """

    trade_tag: str
    slippage_bps: Decimal = ZERO
    latency_ms: int = 0
    participation: Decimal = _ONE
    position_mode: PositionMode = PositionMode.ONE_WAY
    check_funds: bool = True
    brackets: bool = True
    reserves: bool = False
    at_once: bool = False

    def __post_init__(self) -> None:
        """Refuse figures that no venue could have."""
        if not ZERO <= self.slippage_bps < _WHOLE_BPS:
            raise ValueError(f"slippage_bps is {self.slippage_bps}, expected 0 <= bps < 10000")
        if self.latency_ms < 0:
            raise ValueError(f"latency_ms is {self.latency_ms}, expected 0 or more")
        if not ZERO < self.participation <= _ONE:
            raise ValueError(f"participation is {self.participation}, expected 0 < share <= 1")
