"""One book of a breakout: which way it goes, what its position was entered by, how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from messages import PositionSide
from state.money import ZERO, plain

_encode: Final = msgspec.json.Encoder().encode


class Phase(StrEnum):
    """Where a book is."""

    FLAT = "flat"
    ENTERING = "entering"  # an entry is under way and nothing of it is told yet
    HOLDING = "holding"
    LEAVING = "leaving"  # to be closed, and asked for until it is


@dataclass(slots=True)
class Book:
    """
    One book; ``sign`` is the direction of its trade, 0 without one.

    ``range`` is the average true range at the break, ``size`` and ``price`` are the position and
    its mean entry price as the plan knows them. ``settled`` says that the plan's prices are those
    of the whole entry, ``by_distance`` that it has the stop's distance. Whoever changes something
    calls ``touch``.
    """

    symbol: str
    side: PositionSide
    ways: tuple[int, ...]
    """The directions in which it may be opened."""
    sign: int = 0
    entry: str = ""
    range: Decimal | None = None
    ends_at: int | None = None
    timeframe_ms: int = 0
    size: Decimal = ZERO
    price: Decimal = ZERO
    settled: bool = False
    active: bool = False
    leaving: bool = False
    by_distance: bool = False
    rest_until: int = 0
    _encoded: msgspec.Raw | None = None

    @property
    def phase(self) -> Phase:
        """Return where the book is."""
        if self.size:
            return Phase.LEAVING if self.leaving else Phase.HOLDING
        return Phase.ENTERING if self.sign else Phase.FLAT

    def begin(
        self,
        sign: int,
        range_: Decimal | None,
        *,
        entry: str = "",
        ends_at: int | None = None,
        timeframe_ms: int = 0,
    ) -> None:
        """Begin a trade, of an intent or of a position that is there."""
        self.sign, self.range, self.entry = sign, range_, entry
        self.ends_at, self.timeframe_ms = ends_at, timeframe_ms or self.timeframe_ms
        self.size = self.price = ZERO
        self.settled = self.active = self.leaving = self.by_distance = False
        self.touch()

    def finish(self, rest_until: int = 0) -> None:
        """End the trade: flat, and at rest until then."""
        self.begin(0, None)
        self.rest_until = max(self.rest_until, rest_until)

    # -- across restarts

    def touch(self) -> None:
        """Note that something has changed."""
        self._encoded = None

    def encoded(self) -> msgspec.Raw:
        """Return the state as JSON, made anew only when it has changed: each bar asks for it."""
        if self._encoded is None:
            self._encoded = msgspec.Raw(_encode(self.state()))
        return self._encoded

    def state(self) -> dict[str, Any]:
        """Return the state, JSON-ready."""
        return {
            "phase": self.phase.value,
            "sign": self.sign,
            "entry": self.entry,
            "range": None if self.range is None else plain(self.range),
            "ends_at": self.ends_at,
            "timeframe_ms": self.timeframe_ms,
            "size": plain(self.size),
            "price": plain(self.price),
            "settled": self.settled,
            "active": self.active,
            "leaving": self.leaving,
            "by_distance": self.by_distance,
            "rest_until": self.rest_until,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self.sign = int(state["sign"])
        self.entry = str(state["entry"])
        self.range = None if state["range"] is None else Decimal(state["range"])
        self.ends_at = None if state["ends_at"] is None else int(state["ends_at"])
        self.timeframe_ms = int(state["timeframe_ms"])
        self.size, self.price = Decimal(state["size"]), Decimal(state["price"])
        self.settled, self.active = bool(state["settled"]), bool(state["active"])
        self.leaving, self.by_distance = bool(state["leaving"]), bool(state["by_distance"])
        self.rest_until = int(state["rest_until"])
        self.touch()
