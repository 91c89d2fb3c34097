"""
Lots recomputed from `trades.csv` alone: plain lists, `Decimal`, and nothing of ours.

A fill that adds opens a lot; one that reduces uses up the oldest, the newest, or a share of the
one lot that an averaged position is. What the documentation says of rounding is written out here.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

BookKey = tuple[str, str]
EXACT = Context(prec=76)
TWELVE_DECIMALS = Decimal("1e-12")


@dataclass
class OpenLot:
    """What is left of one fill; of an averaged position, of all of them. Costs are unsigned."""

    lot_id: str
    quantity: Decimal
    cost: Decimal
    price: Decimal | None


@dataclass
class OwnBook:
    """One book's lots and what it has realised."""

    method: str
    lots: list[OpenLot] = field(default_factory=list)
    sign: int = 0
    realized: Decimal = Decimal(0)

    def take(
        self, trade_id: str, side: str, quantity: Decimal, price: Decimal
    ) -> tuple[Decimal, str]:
        """Return what a fill realises, and the lots that it opens or closes, as a row has them."""
        direction = 1 if side == "buy" else -1
        if not self.lots:
            self.sign = direction
        if direction == self.sign:
            return Decimal(0), self._open(f"L-{trade_id}", quantity, price)
        return self._close(quantity, price)

    def _open(self, lot_id: str, quantity: Decimal, price: Decimal) -> str:
        cost = EXACT.multiply(quantity, price)
        if self.method == "average" and self.lots:
            lot = self.lots[0]
            lot.quantity += quantity
            lot.cost += cost
            lot.price = price if lot.price == price else None
            return lot.lot_id
        self.lots.append(OpenLot(lot_id, quantity, cost, price))
        return lot_id

    def _close(self, quantity: Decimal, price: Decimal) -> tuple[Decimal, str]:
        left, released, used = quantity, Decimal(0), []
        while left:
            assert self.lots, "closed more than is held"
            lot = self.lots[-1 if self.method == "lifo" else 0]
            part = min(left, lot.quantity)
            cost = self._cost_of(lot, part)
            used.append(lot.lot_id)
            released += cost
            lot.quantity -= part
            lot.cost -= cost
            left -= part
            if not lot.quantity:
                self.lots.remove(lot)
        profit = (EXACT.multiply(quantity, price) - released) * self.sign
        self.realized += profit
        return profit, "|".join(used)

    def _cost_of(self, lot: OpenLot, part: Decimal) -> Decimal:
        if part == lot.quantity:
            return lot.cost
        if lot.price is not None:
            return EXACT.multiply(part, lot.price)
        share = EXACT.divide(EXACT.multiply(lot.cost, part), lot.quantity)
        return share.quantize(TWELVE_DECIMALS, ROUND_HALF_EVEN, EXACT)

    @property
    def held(self) -> Decimal:
        """Return the signed quantity."""
        total = Decimal(0)
        for lot in self.lots:
            total += lot.quantity
        return total * self.sign

    @property
    def cost(self) -> Decimal:
        """Return the signed cost."""
        total = Decimal(0)
        for lot in self.lots:
            total += lot.cost
        return total * self.sign


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def recompute(
    trades: list[dict[str, str]], method: str
) -> tuple[dict[BookKey, OwnBook], list[str]]:
    """Return the books that trades come to, and every row that says otherwise."""
    books: dict[BookKey, OwnBook] = {}
    wrong: list[str] = []
    for row in trades:
        book = books.setdefault((row["symbol"], row["position_side"]), OwnBook(method))
        profit, lot_ids = book.take(
            row["trade_id"], row["side"], Decimal(row["quantity"]), Decimal(row["price"])
        )
        if profit != Decimal(row["realized_pnl"]) or lot_ids != row["lot_ids"]:
            wrong.append(
                f"{row['trade_id']}: says {row['realized_pnl']} {row['lot_ids']}, "
                f"comes to {profit} {lot_ids}"
            )
    return books, wrong
