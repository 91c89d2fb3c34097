"""What each strategy's orders and fills came to."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from messages import Booking, Fill, Side
from state.money import ZERO, ratio
from state.projections.summary import PositionResult, StrategyResult

_BUY = Side.BUY
_Key = tuple[str, str, str]


class _Strategy:
    """Running totals of one strategy."""

    __slots__ = (
        "best",
        "closing_fills",
        "fees",
        "fills",
        "funding",
        "gross_loss",
        "gross_profit",
        "losses",
        "orders",
        "quarantined",
        "refused",
        "volume",
        "wins",
        "worst",
    )

    def __init__(self) -> None:
        self.orders = self.refused = self.fills = 0
        self.closing_fills = self.wins = self.losses = 0
        self.volume = self.funding = self.gross_profit = self.gross_loss = ZERO
        self.fees: dict[str, Decimal] = {}
        self.best: Decimal | None = None
        self.worst: Decimal | None = None
        self.quarantined = False

    def close(self, realized: Decimal) -> None:
        """Count a closing fill."""
        self.closing_fills += 1
        if realized > ZERO:
            self.wins += 1
            self.gross_profit += realized
        elif realized:
            self.losses += 1
            self.gross_loss -= realized
        if self.best is None or realized > self.best:
            self.best = realized
        if self.worst is None or realized < self.worst:
            self.worst = realized


class StrategyTally:
    """
    Add up orders, fills and positions by strategy; memory depends on strategies and symbols.

    Call everything under the ``EXACT`` context.
    """

    __slots__ = ("_positions", "_strategies")

    def __init__(self) -> None:
        self._strategies: dict[str, _Strategy] = {}
        self._positions: dict[_Key, Booking] = {}

    def strategy(self, name: str) -> _Strategy:
        """Return the totals of a strategy, zero at its first mention."""
        totals = self._strategies.get(name)
        if totals is None:
            totals = self._strategies[name] = _Strategy()
        return totals

    def on_fill(self, fill: Fill, booking: Booking | None) -> None:
        """Add a fill and take over what the ledger made of it."""
        totals = self._strategies.get(fill.strategy) or self.strategy(fill.strategy)
        totals.fills += 1
        totals.volume += fill.quantity * fill.price
        fee = fill.fee
        if fee:
            fees = totals.fees
            fees[fill.fee_currency] = fees.get(fill.fee_currency, ZERO) + fee
        if booking is None:
            return
        key = (fill.strategy, fill.symbol, fill.position_side)
        before = self._positions.get(key)
        self._positions[key] = booking
        # A fill against the position closes it, wholly or partly, at a profit of zero too.
        if before is not None and before.quantity:
            held_long = before.quantity > ZERO
            if held_long is not (fill.side is _BUY):
                totals.close(booking.realized_pnl)

    def on_adopted(self, fill: Fill, booking: Booking) -> None:
        """Take over lots that came into the account, or left it: a position, and nobody's trade."""
        self.strategy(fill.strategy)
        self._positions[fill.strategy, fill.symbol, fill.position_side] = booking

    @property
    def fills(self) -> int:
        """Return the number of fills."""
        return sum(totals.fills for totals in self._strategies.values())

    @property
    def volume(self) -> Decimal:
        """Return the sum of all fills' quantity times price."""
        return sum((totals.volume for totals in self._strategies.values()), ZERO)

    def gross_exposure(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Return the sum of all open positions' absolute values; unmarked ones count nothing."""
        gross = ZERO
        for (_, symbol, _), booking in self._positions.items():
            if booking.quantity and symbol in marks:
                gross += abs(booking.quantity * marks[symbol])
        return gross

    def positions(self, marks: Mapping[str, Decimal]) -> tuple[PositionResult, ...]:
        """Return the open positions valued at ``marks``, sorted."""
        results = []
        for (strategy, symbol, position_side), booking in sorted(
            self._positions.items(), key=lambda item: item[0]
        ):
            if booking.quantity:
                mark = marks.get(symbol)
                results.append(
                    PositionResult(
                        strategy,
                        symbol,
                        f"{position_side}",
                        booking.quantity,
                        booking.average_price,
                        mark,
                        booking.realized_total,
                        None if mark is None else booking.quantity * (mark - booking.average_price),
                    )
                )
        return tuple(results)

    def results(self, marks: Mapping[str, Decimal], currency: str) -> tuple[StrategyResult, ...]:
        """Return every strategy's result, sorted by name; fees in ``currency`` count in net."""
        unrealized: dict[str, Decimal] = {}
        for position in self.positions(marks):
            if position.unrealized_pnl is not None:
                before = unrealized.get(position.strategy, ZERO)
                unrealized[position.strategy] = before + position.unrealized_pnl
        realized: dict[str, Decimal] = {}
        for (strategy, _, _), booking in self._positions.items():
            realized[strategy] = realized.get(strategy, ZERO) + booking.realized_total
        return tuple(
            _result(name, totals, realized.get(name, ZERO), unrealized.get(name, ZERO), currency)
            for name, totals in sorted(self._strategies.items())
        )


def _result(
    name: str, totals: _Strategy, realized: Decimal, unrealized: Decimal, currency: str
) -> StrategyResult:
    decided = totals.closing_fills
    return StrategyResult(
        strategy=name,
        orders=totals.orders,
        refused=totals.refused,
        fills=totals.fills,
        volume=totals.volume,
        fees=dict(sorted(totals.fees.items())),
        funding=totals.funding,
        realized_pnl=realized,
        unrealized_pnl=unrealized,
        net_pnl=realized + unrealized - totals.fees.get(currency, ZERO) + totals.funding,
        closing_fills=decided,
        wins=totals.wins,
        losses=totals.losses,
        gross_profit=totals.gross_profit,
        gross_loss=totals.gross_loss,
        best=totals.best,
        worst=totals.worst,
        win_share=ratio(Decimal(totals.wins), Decimal(decided)) if decided else None,
        profit_factor=(
            ratio(totals.gross_profit, totals.gross_loss) if totals.gross_loss else None
        ),
        quarantined=totals.quarantined,
    )
