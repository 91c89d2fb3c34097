"""
Long while the fast average is above the slow one, else flat.

The averages are compared exactly: closes are turned into the integers that their decimal
text stands for, sums move by one addition and one subtraction a bar, and SMA(fast) >
SMA(slow) is decided by cross-multiplication. No float is ever summed, so a tie is a tie.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import Field, model_validator

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    ReasonCode,
    Side,
)
from state.money import ZERO
from strategies.backoff import StrategyRejectionBackoff
from strategies.contract import Desk, Intents, Rejection, Strategy, StrategyParams


class SmaCrossParams(StrategyParams):
    """Window lengths in bars and the order quantity in base-asset units."""

    fast: int = Field(default=10, ge=1)
    slow: int = Field(default=30, ge=2)
    quantity: Decimal = Field(default=Decimal(1), gt=0)

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> SmaCrossParams:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast}, expected less than slow ({self.slow})")
        return self


EXACT_MAX = 2.0**53
"""Up to here a float holds every integer, and adding or multiplying integers is exact."""

ROUNDER = 1.5 * 2.0**52
"""Adding and subtracting this rounds a float below 2**51 to the nearest integer."""

NEVER_EQUAL = float("nan")


class ExactWindows:
    """
    The sums of the last ``fast`` and ``slow`` closes of one symbol, exact and O(1) per bar.

    Closes are kept as integers in units of 10**-``places``. While every figure that can come
    up stays below 2**53 these integers are held in floats, which is exact and several times
    faster than Python's own; a close with more decimals than any before it, or too large,
    widens the windows once, to a finer unit or to unbounded integers.
    """

    __slots__ = (
        "_closes",
        "_fast_sum",
        "_limit",
        "_missing",
        "_places",
        "_scale",
        "_slow_sum",
        "fast",
        "holds",
        "slow",
    )

    def __init__(self, fast: int, slow: int) -> None:
        """Start empty."""
        self.holds = False  # what the desk says of this symbol, kept up to date by its fills
        self.fast = fast
        self.slow = slow
        self._missing = slow  # bars until the slow window is full
        self._closes: deque[float] = deque([0.0] * slow, maxlen=slow)
        self._fast_sum = 0.0
        self._slow_sum = 0.0
        self._places = 0
        self._scale = 1.0
        # A close below this keeps the largest product, fast * slow * close, exact.
        self._limit = EXACT_MAX / (fast * slow)

    def push(self, close: float) -> bool | None:
        """Take a close; return whether SMA(fast) > SMA(slow) now, ``None`` while warming up."""
        # Dividing back proves that the integer is the close's own: below the limit two
        # neighbouring decimals are never the same float.
        scale = self._scale
        exact = close * scale + ROUNDER - ROUNDER
        if exact / scale != close or exact > self._limit:
            exact = self._widen(close)
        closes = self._closes
        fast = self.fast
        self._slow_sum = slow_sum = self._slow_sum + exact - closes[0]
        self._fast_sum = fast_sum = self._fast_sum + exact - closes[-fast]
        closes.append(exact)
        if self._missing:
            self._missing -= 1
            if self._missing:
                return None
        return fast_sum * self.slow > slow_sum * fast

    def _widen(self, close: float) -> float:
        """Find a unit that ``close`` is a multiple of, move the windows to it, return ``close``."""
        exact = Decimal(repr(close))
        exponent = exact.as_tuple().exponent
        assert isinstance(exponent, int), "a feed gives finite prices only"
        more = max(0, -exponent - self._places)
        self._places += more
        units = int(exact.scaleb(self._places))
        closes = [int(value) * 10**more for value in self._closes]
        self._install(closes, max(units, *closes))
        return units if math.isnan(self._scale) else float(units)

    def _install(self, closes: list[int], largest: int) -> None:
        in_floats = largest <= self._limit and self._places <= EXACT_POWER_MAX
        self._scale = 10.0**self._places if in_floats else NEVER_EQUAL
        # int and float are the same to every line of push: only their range differs.
        kind = float if in_floats else int
        self._closes = deque((kind(value) for value in closes), maxlen=self.slow)
        fast_sum = 0
        for value in closes[-self.fast :]:
            fast_sum += value
        slow_sum = fast_sum
        for value in closes[: -self.fast]:
            slow_sum += value
        self._slow_sum = kind(slow_sum)
        self._fast_sum = kind(fast_sum)

    def state(self) -> dict[str, Any]:
        """Return the durable state, JSON-ready; closes oldest first, in units."""
        return {
            "missing": self._missing,
            "places": self._places,
            "closes": [int(value) for value in self._closes],
        }

    @classmethod
    def of(cls, fast: int, slow: int, state: Mapping[str, Any]) -> ExactWindows:
        """Return windows with the state that ``state`` gave."""
        windows = cls(fast, slow)
        windows._missing = int(state["missing"])
        windows._places = int(state["places"])
        closes = [int(value) for value in state["closes"]]
        windows._install(closes, max(closes))
        return windows


EXACT_POWER_MAX = 22
"""10.0**22 is the last power of ten that a float holds exactly."""


VENUE_SAYS_NO: Final = frozenset({ReasonCode.VENUE_REJECTED, ReasonCode.VENUE_RATE_LIMITED})
"""What makes it patient: a venue that refuses. What Risk refuses it asks for while it wants it."""


class SmaCross(Strategy):
    """
    The moving-average crossover, one position per symbol, market orders only.

    It orders when what it wants differs from what it holds and no order of its own is on the
    way. It needs ``slow`` bars before the first decision, and opens nothing that is restricted.
    Entries that the venue refuses rest: 30 s after the first in a row, longer after each further
    one. What it holds it sells at every close that wants it gone.
    """

    Params = SmaCrossParams
    hears_progress = False

    def __init__(self, desk: Desk, params: SmaCrossParams) -> None:
        """Start without a window."""
        super().__init__(desk, params)
        self._fast = params.fast
        self._slow = params.slow
        self._quantity = params.quantity
        self._windows: dict[str, ExactWindows] = {}
        self._kept_at: dict[str, int] = {}
        self._minimums: dict[str, MinimumOrder] = {}
        self._backoff = StrategyRejectionBackoff(not_counted=frozenset(ReasonCode) - VENUE_SAYS_NO)

    def warm_up(self, bar: Bar) -> None:
        """Take a close from before the session into the averages."""
        self._windows_at(bar).push(bar.close)

    def features(self) -> dict[str, Any]:
        """Return the windows by symbol."""
        return {symbol: windows.state() for symbol, windows in sorted(self._windows.items())}

    def take_features(self, features: Mapping[str, Any]) -> None:
        """Take the windows back."""
        for symbol, kept in features.items():
            windows = self._windows[symbol] = ExactWindows.of(self._fast, self._slow, kept)
            windows.holds = self.desk.position(symbol) > ZERO

    def on_bar(self, bar: Bar) -> Intents:
        """Decide at the close."""
        windows = self._windows.get(bar.symbol)
        if windows is None or self._kept_at:
            windows = self._windows_at(bar)
        wants_long = windows.push(bar.close)
        if wants_long is windows.holds or wants_long is None:
            return None
        return self._order(bar, wants_long=wants_long)

    def _windows_at(self, bar: Bar) -> ExactWindows:
        symbol = bar.symbol
        windows = self._windows.get(symbol)
        # Bars missed since the snapshot would leave a hole in the averages: start anew.
        if windows is None or bar.timestamp > self._kept_at.get(symbol, bar.timestamp):
            windows = self._windows[symbol] = ExactWindows(self._fast, self._slow)
        self._kept_at.pop(symbol, None)
        windows.holds = self.desk.position(symbol) > ZERO
        return windows

    def _order(self, bar: Bar, *, wants_long: bool) -> Intents:
        symbol = bar.symbol
        if self.desk.pending(symbol):
            return None
        if wants_long:
            if symbol in self.desk.restricted:
                return None
            if self._backoff.rests(symbol, OrderFamily.ENTRY, self.desk.now):
                return None
            return (self.desk.open(symbol, Side.BUY, self._quantity, decision_price=bar.close),)
        held = self.desk.position(symbol)
        return (self.desk.reduce(symbol, Side.SELL, held, decision_price=bar.close),)

    def on_fill(self, fill: Fill) -> Intents:
        """Note what is held now."""
        windows = self._windows.get(fill.symbol)
        if windows is not None:
            windows.holds = self.desk.position(fill.symbol) > ZERO
        return None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """Decide nothing: what is held follows from fills, and the next close sees to the rest."""
        return None

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """Decide nothing: the next close that still wants it asks again, unless entries rest."""
        return None

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """Let nothing restricted open, nothing too small, and nothing on top of what is held."""
        symbol = intent.symbol
        if symbol in self.desk.restricted:
            return f"{symbol} is restricted"
        if self.desk.position(symbol):
            return f"{symbol} is not flat"
        minimum = self._minimums.get(symbol)
        least = None if minimum is None else minimum.min_quantity
        if least is not None and self._quantity < least:
            return f"quantity is {self._quantity}, and the least order of {symbol} is {least}"
        return None

    def execution_backoff(self) -> StrategyRejectionBackoff:
        """Return the backoff of its orders, by symbol and family."""
        return self._backoff

    def set_broker_min_order(self, minimum: MinimumOrder) -> None:
        """Measure its quantity by another minimum from now on."""
        self._minimums[minimum.symbol] = minimum

    def snapshot(self) -> dict[str, Any]:
        """Return the windows by symbol, and the time up to which each has seen every bar."""
        now = self.desk.now
        return {
            "windows": {
                symbol: {"at": self._kept_at.get(symbol, now), **windows.state()}
                for symbol, windows in sorted(self._windows.items())
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the windows back."""
        self._windows = {
            symbol: ExactWindows.of(self._fast, self._slow, windows)
            for symbol, windows in state["windows"].items()
        }
        self._kept_at = {symbol: int(kept["at"]) for symbol, kept in state["windows"].items()}
