"""How near a shadow's twin came to the market, added up as its journal is written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from messages import ExecutionReport, Fill, OrderWithheld
from state.money import ZERO, exact, ratio
from state.orders import TERMINAL
from state.projections.limits import QUOTE_AGE_MS_MAX
from state.projections.shadow_summary import ShadowResult

BPS: Final = Decimal(10_000)


class _Missed:
    """Running totals of what fills missed a price by: positive is adverse."""

    __slots__ = ("compared", "fills", "missed", "worst_bps")

    def __init__(self) -> None:
        self.missed = self.compared = ZERO
        self.fills = 0
        self.worst_bps: Decimal | None = None

    def add(self, fill: Fill, price: Decimal) -> None:
        """Compare a fill with ``price``, which is positive."""
        missed = (fill.price - price) * fill.side.sign
        self.missed += missed * fill.quantity
        self.compared += price * fill.quantity
        self.fills += 1
        bps = ratio(missed * BPS, price)
        if self.worst_bps is None or bps > self.worst_bps:
            self.worst_bps = bps

    @property
    def mean_bps(self) -> Decimal | None:
        """Return the mean by notional, ``None`` where nothing was compared."""
        return ratio(self.missed * BPS, self.compared) if self.compared else None


class _Shadowed:
    """Running totals of one strategy in one symbol."""

    __slots__ = ("decided", "fills", "orders", "quoted", "volume")

    def __init__(self) -> None:
        self.orders = self.fills = 0
        self.volume = ZERO
        self.decided = _Missed()
        self.quoted = _Missed()


class ShadowTally:
    """
    Compare each fill of the twin with what was decided at, and with the live quote of that moment.

    Memory depends on strategies, symbols and unfinished orders. Call everything under ``EXACT``.
    """

    def __init__(self) -> None:
        """Nothing was withheld yet."""
        self._totals: dict[tuple[str, str], _Shadowed] = {}
        self._withheld: dict[str, OrderWithheld] = {}

    def handlers(self) -> dict[type, Callable[[Any], object]]:
        """Return what takes each class of message that is nobody else's."""
        return {OrderWithheld: self._on_withheld}

    def _on_withheld(self, withheld: OrderWithheld) -> None:
        key = withheld.strategy, withheld.symbol
        self._totals.setdefault(key, _Shadowed()).orders += 1
        self._withheld[withheld.client_order_id] = withheld

    def on_report(self, report: ExecutionReport) -> None:
        """Take a step in an order's life; one that was not withheld is none of ours."""
        withheld = self._withheld.get(report.client_order_id)
        if withheld is None:
            return
        if report.fill is not None:
            self._on_fill(withheld, report.fill)
        if report.status in TERMINAL:
            del self._withheld[report.client_order_id]

    def _on_fill(self, withheld: OrderWithheld, fill: Fill) -> None:
        found = self._totals[withheld.strategy, withheld.symbol]
        found.fills += 1
        found.volume += fill.quantity * fill.price
        if withheld.decision_price is not None and withheld.decision_price > ZERO:
            found.decided.add(fill, withheld.decision_price)
        touch = _touch(withheld, fill)
        if touch is not None:
            found.quoted.add(fill, touch)

    def results(self) -> tuple[ShadowResult, ...]:
        """Return the totals, sorted by strategy and symbol."""
        return tuple(
            ShadowResult(
                strategy,
                symbol,
                found.orders,
                found.fills,
                found.volume,
                found.decided.missed,
                found.decided.mean_bps,
                found.decided.worst_bps,
                found.quoted.fills,
                found.quoted.mean_bps,
                found.quoted.worst_bps,
            )
            for (strategy, symbol), found in sorted(self._totals.items())
        )


def _touch(withheld: OrderWithheld, fill: Fill) -> Decimal | None:
    """Return what the order would have met at the venue as it left, ``None`` where nobody knows."""
    side = withheld.ask if fill.side.sign > 0 else withheld.bid
    if side is None or withheld.quoted_at is None:
        return None
    if withheld.at - withheld.quoted_at > QUOTE_AGE_MS_MAX:
        return None
    price = exact(side)
    return price if price > ZERO else None
