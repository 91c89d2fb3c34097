"""Fills and requests in few words, and a ledger recomputed the slow way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import count

from messages import (
    Fill,
    Liquidity,
    OrderRequest,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
)
from state.instruments import Instrument
from state.ledger import Ledger, LotMethod

SPOT = "BTC/USDT"
OTHER_SPOT = "ETH/USDT"
PERPETUAL = "BTC/USDT:USDT"
T0 = 1_700_000_000_000
DEPOSIT = Decimal(100_000)
INSTRUMENTS = {
    symbol: Instrument.permissive(symbol, Decimal(10)) for symbol in (SPOT, OTHER_SPOT, PERPETUAL)
}

_numbers = count(1)


def make_ledger(method: LotMethod = LotMethod.FIFO, kind: type[Ledger] = Ledger) -> Ledger:
    return kind(
        INSTRUMENTS,
        currency="USDT",
        deposit=DEPOSIT,
        lot_methods={"sma": method, "grid": method},
    )


def make_fill(
    side: Side,
    quantity: str | Decimal,
    price: str | Decimal,
    *,
    fee: str | Decimal = "0",
    fee_currency: str = "USDT",
    symbol: str = SPOT,
    position_side: PositionSide = PositionSide.BOTH,
    strategy: str = "sma",
    trade_id: str | None = None,
    order_id: str = "1",
) -> Fill:
    number = next(_numbers)
    return Fill(
        trade_id or f"T{number}",
        f"O{order_id}",
        f"C{order_id}",
        strategy,
        symbol,
        side,
        position_side,
        Decimal(quantity),
        Decimal(price),
        Decimal(fee),
        fee_currency,
        Liquidity.TAKER,
        T0 + number,
    )


def make_request(number: int, quantity: str = "1", **changes: str) -> OrderRequest:
    return OrderRequest(
        f"O{number}",
        f"C{number}",
        changes.get("strategy", "sma"),
        changes.get("symbol", SPOT),
        Side.BUY,
        PositionSide.BOTH,
        OrderType.MARKET,
        TimeInForce.GTC,
        Decimal(quantity),
        T0,
    )


@dataclass
class SlowBook:
    """
    One position as a list of single units, each with the price it was opened at.

    Nothing is shared with the ledger: no lots, no decimals, no partial closes. A fill of twelve
    units is twelve fills of one, which either close a unit or open one.
    """

    method: LotMethod
    unit: Fraction
    units: list[Fraction] = field(default_factory=list)
    is_long: bool = True
    realized: Fraction = Fraction(0)

    def trade(self, side: Side, units: int, price: Decimal) -> None:
        for _ in range(units):
            if self.units and self.is_long is not (side is Side.BUY):
                opened_at = self._close_one()
                gain = Fraction(price) - opened_at
                self.realized += self.unit * (gain if self.is_long else -gain)
            else:
                self.is_long = side is Side.BUY
                self.units.append(Fraction(price))

    def _close_one(self) -> Fraction:
        match self.method:
            case LotMethod.FIFO:
                return self.units.pop(0)
            case LotMethod.LIFO:
                return self.units.pop()
            case LotMethod.AVERAGE:
                mean = sum(self.units, Fraction(0)) / len(self.units)
                self.units = [mean] * (len(self.units) - 1)
                return mean

    @property
    def quantity(self) -> Fraction:
        return self.unit * len(self.units) * (1 if self.is_long else -1)

    @property
    def cost(self) -> Fraction:
        return self.unit * sum(self.units, Fraction(0)) * (1 if self.is_long else -1)

    @property
    def average_price(self) -> Fraction:
        return sum(self.units, Fraction(0)) / len(self.units) if self.units else Fraction(0)


def exactly(values: Sequence[Decimal]) -> Fraction:
    """Return the exact sum, whatever the decimal context."""
    return sum((Fraction(value) for value in values), Fraction(0))
