"""
Long while the fast average is above the slow one, else flat.

The averages are compared exactly: closes are turned into the integers that their decimal
text stands for, sums move by one addition and one subtraction a bar, and SMA(fast) >
SMA(slow) is decided by cross-multiplication. No float is ever summed, so a tie is a tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field, model_validator

from messages import Bar, Side
from strategies.contract import ZERO, Desk, Intents, Strategy, StrategyParams


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


PROVABLE_MAX = 2**52
EXACT_POWER_MAX = 22  # 10.0**22 is the last power of ten that a float holds exactly


def _float_scale(places: int) -> float:
    # Beyond exact powers of ten the fast road is closed: 1e300 fails its proof for any price.
    return 10.0**places if places <= EXACT_POWER_MAX else 1e300


class ExactWindows:
    """
    The sums of the last ``fast`` and ``slow`` closes of one symbol, exact and O(1) per bar.

    Closes are kept as integers in units of 10**-``places``; a close with more decimals than
    any before it rescales the window once.
    """

    __slots__ = ("_at", "_closes", "_places", "_scale", "count", "fast", "fast_sum", "slow", "slow_sum")

    def __init__(self, fast: int, slow: int) -> None:
        """Start empty."""
        self.fast = fast
        self.slow = slow
        self.count = 0
        self.fast_sum = 0
        self.slow_sum = 0
        self._closes = [0] * slow
        self._at = 0
        self._places = 8
        self._scale = _float_scale(8)

    def push(self, close: float) -> bool:
        """Take a close; return whether SMA(fast) > SMA(slow) now (false while warming up)."""
        # Below 2**52 units neighbouring decimals are different floats, so if dividing back
        # gives the close, the integer is the one that its text stands for.
        exact = int(close * self._scale + 0.5)
        if exact / self._scale != close or exact > PROVABLE_MAX:
            exact = self._rescale(close)
        closes = self._closes
        at = self._at
        slow = self.slow
        self.slow_sum = slow_sum = self.slow_sum + exact - closes[at]
        self.fast_sum = fast_sum = self.fast_sum + exact - closes[at - self.fast]
        closes[at] = exact
        self._at = at + 1 if at + 1 < slow else 0
        self.count += 1
        return self.count >= slow and fast_sum * slow > slow_sum * self.fast

    def _rescale(self, close: float) -> int:
        exact = Decimal(repr(close))
        exponent = exact.as_tuple().exponent
        assert isinstance(exponent, int), "a feed gives finite prices only"
        more = max(0, -exponent - self._places)
        factor = 10**more
        self._places += more
        self._scale = _float_scale(self._places)
        self._closes = [value * factor for value in self._closes]
        self.fast_sum *= factor
        self.slow_sum *= factor
        return int(exact.scaleb(self._places))

    def state(self) -> dict[str, Any]:
        """Return the durable state, JSON-ready."""
        return {
            "count": self.count,
            "places": self._places,
            "closes": [self._closes[self._at - self.slow + i] for i in range(self.slow)],
        }

    @classmethod
    def of(cls, fast: int, slow: int, state: Mapping[str, Any]) -> ExactWindows:
        """Return windows with the state that ``state`` gave."""
        windows = cls(fast, slow)
        windows.count = int(state["count"])
        windows._places = int(state["places"])
        windows._scale = _float_scale(windows._places)
        windows._closes = [int(value) for value in state["closes"]]
        for value in windows._closes[-fast:]:
            windows.fast_sum += value
        for value in windows._closes:
            windows.slow_sum += value
        return windows


class SmaCross(Strategy):
    """
    The moving-average crossover, one position per symbol, market orders only.

    It orders when what it wants differs from what it holds and no order of its own is on the
    way. It needs ``slow`` bars before the first decision.
    """

    Params = SmaCrossParams

    def __init__(self, desk: Desk, params: SmaCrossParams) -> None:
        """Start without a window."""
        super().__init__(desk, params)
        self._fast = params.fast
        self._slow = params.slow
        self._quantity = params.quantity
        self._windows: dict[str, ExactWindows] = {}

    def on_bar(self, bar: Bar) -> Intents:
        """Decide at the close."""
        symbol = bar.symbol
        windows = self._windows.get(symbol)
        if windows is None:
            windows = self._windows[symbol] = ExactWindows(self._fast, self._slow)
        wants_long = windows.push(bar.close)
        if windows.count < self._slow:
            return None
        held = self.desk.position(symbol)
        if wants_long == (held > ZERO) or self.desk.pending(symbol):
            return None
        if wants_long:
            return (
                self.desk.open(symbol, Side.BUY, self._quantity, decision_price=bar.close),
            )
        return (self.desk.reduce(symbol, Side.SELL, held, decision_price=bar.close),)

    def snapshot(self) -> dict[str, Any]:
        """Return the windows by symbol."""
        return {symbol: windows.state() for symbol, windows in sorted(self._windows.items())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the windows back."""
        self._windows = {
            symbol: ExactWindows.of(self._fast, self._slow, windows)
            for symbol, windows in state.items()
        }
