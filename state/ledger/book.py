"""
One book: the lots, accounts and tallies of one (strategy, symbol, position side).

The book keeps the same facts three times over, each from another source, so that they can be
checked against each other: the lots; the accounts, moved by postings; and the tallies, taken
straight from the fills.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, Final

import msgspec

from messages import EXTERNAL, Fill, PositionSide, Side
from state.instruments import Instrument
from state.ledger.accounts import Account, ImpossibleFill, LedgerError, LedgerImbalance
from state.ledger.lots import Closing, Lot, LotMethod, close_lots, merge, take_lots
from state.money import ZERO, ratio

BookKey = tuple[str, str, PositionSide]

LOTS_SUMMED_EACH_TIME = 8
"""
Lots that are summed afresh at every check. A longer list is summed once in as many entries as
it holds eights, so that the check's cost stays constant; in between its running totals stand in.
"""


class Position(msgspec.Struct, frozen=True, gc=False):
    """
    What one book holds: a value, true at the moment it was asked for.

    ``quantity`` and ``cost`` are signed (negative when short). ``average_price`` is the mean
    price of the open lots, zero when flat; ``realized_total`` is gross of fees.
    """

    strategy: str
    symbol: str
    position_side: PositionSide
    quantity: Decimal
    average_price: Decimal
    cost: Decimal
    realized_total: Decimal
    funding: Decimal
    lots: tuple[Lot, ...]


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY
_BOTH: Final = PositionSide.BOTH
_LONG: Final = PositionSide.LONG
_AVERAGE: Final = LotMethod.AVERAGE


class Book:
    """The state of one position; changed by the ledger alone."""

    __slots__ = (
        "bought",
        "cost",
        "funding",
        "held",
        "instrument",
        "inventory",
        "is_spot",
        "key",
        "lots",
        "market",
        "method",
        "money",
        "paid",
        "position",
        "quantity",
        "realized",
        "sold",
        "unsummed",
    )

    def __init__(
        self,
        key: BookKey,
        instrument: Instrument,
        method: LotMethod,
        *,
        inventory: Account,
        held: Account,
        market: Account,
        money: Account,
    ) -> None:
        """
        Open the book.

        ``inventory`` is the cost of the lots and ``held`` their units; ``market`` is where units
        come from; ``money`` is where cost comes from: cash for spot, for a perpetual the debt to
        the contract's counterparty.
        """
        self.key = key
        self.instrument = instrument
        self.is_spot = instrument.is_spot
        self.method = method
        self.inventory = inventory
        self.held = held
        self.market = market
        self.money = money
        self.lots: deque[Lot] = deque()
        self.quantity = ZERO
        self.cost = ZERO
        self.bought = ZERO
        self.sold = ZERO
        self.paid = ZERO
        self.realized = ZERO
        self.funding = ZERO
        self.unsummed = 0
        self.position: Position | None = None

    def __repr__(self) -> str:
        """Show the position."""
        strategy, symbol, side = self.key
        return f"<Book {strategy} {symbol} {side.value} {self.quantity} in {len(self.lots)} lots>"

    def view(self) -> Position:
        """Return the position as a value; the same one until the book changes."""
        position = self.position
        if position is None:
            strategy, symbol, side = self.key
            position = self.position = Position(
                strategy,
                symbol,
                side,
                self.quantity,
                self.average_price(),
                self.cost,
                self.realized,
                self.funding,
                tuple(self.lots),
            )
        return position

    def work_out(self, fill: Fill) -> tuple[Closing | None, Decimal]:
        """Return what a fill closes and the signed quantity that it opens, with nothing changed."""
        quantity = fill.quantity
        if quantity <= ZERO or fill.price <= ZERO:
            raise ImpossibleFill(f"quantity and price must be positive: {fill!r}")
        is_buy = fill.side is _BUY
        signed = quantity if is_buy else -quantity
        held = self.quantity
        closing = None
        opened = signed
        if held and (held > ZERO) is not is_buy:
            # What is closed is signed as the lots are: the other way round than the fill.
            opened = held + signed
            if opened and (opened > ZERO) is is_buy:
                closing = close_lots(self.lots, held, self.method)
            else:
                closing = close_lots(self.lots, -signed, self.method)
                opened = ZERO
        # What the venue has closed by itself is the external book's: it may be the other way round,
        # so that all books of a side together are what the venue holds.
        side = _BOTH if self.key[0] == EXTERNAL else fill.position_side
        if side is not _BOTH and opened and (opened > ZERO) is not (side is _LONG):
            raise ImpossibleFill(f"{self!r} cannot be opened the other way: {fill!r}")
        return closing, opened

    def take(self, fill: Fill, closing: Closing | None, opened: Decimal) -> tuple[str, ...]:
        """Move the lots and the fill's tally; return the ids of the lots closed and opened."""
        if fill.side is _BUY:
            self.bought += fill.quantity
        else:
            self.sold += fill.quantity
        self.position = None
        lots = self.lots
        lot_ids: tuple[str, ...] = ()
        if closing is not None:
            take_lots(lots, closing, self.method)
            lot_ids = closing.lot_ids
        if opened:
            price = fill.price
            if lots and self.method is _AVERAGE:
                lots[0] = merge(lots[0], opened, price)
                return (lots[0].lot_id,)
            lot_id = f"L-{fill.trade_id}"
            lots.append(Lot(lot_id, opened, opened * price, price, fill.timestamp))
            return (*lot_ids, lot_id)
        return lot_ids

    def average_price(self) -> Decimal:
        """Return the mean price of the open lots: exact when they have one price, zero if flat."""
        lots = self.lots
        if not lots:
            return ZERO
        if len(lots) == 1:
            price = lots[0].price
            if price is not None:
                return price
        return ratio(self.cost, self.quantity)

    def check(self, *, full: bool = False) -> None:
        """
        Raise ``LedgerImbalance`` unless lots, accounts and tallies tell the same story.

        Units: lots = postings = fills. Cost: lots = postings. Money: everything paid for units is
        in the inventory or realised. A perpetual owes exactly what its inventory cost.
        """
        lots = self.lots
        self.unsummed += LOTS_SUMMED_EACH_TIME
        if full or self.unsummed >= len(lots):
            self.unsummed = 0
            if len(lots) == 1:
                quantity, cost = lots[0].quantity, lots[0].cost
            else:
                quantity = cost = ZERO
                for lot in lots:
                    quantity += lot.quantity
                    cost += lot.cost
            if quantity != self.quantity or cost != self.cost:
                self._fail("lots and their running totals", (quantity, cost))
        inventory = self.inventory.balance
        if self.cost != inventory:
            self._fail("cost of lots and inventory account", inventory)
        if self.quantity != self.held.balance:
            self._fail("quantity of lots and units account", self.held.balance)
        if self.quantity != self.bought - self.sold:
            self._fail("quantity of lots and sum of fills", self.bought - self.sold)
        if self.paid != inventory - self.realized:
            self._fail("money of fills and inventory less realised", inventory - self.realized)
        if not self.is_spot and self.money.balance + inventory:
            self._fail("inventory and contract debt", self.money.balance)

    def _fail(self, what: str, found: object) -> None:
        raise LedgerImbalance(
            f"{what} differ: {self!r} quantity={self.quantity} cost={self.cost} "
            f"bought={self.bought} sold={self.sold} paid={self.paid} "
            f"realized={self.realized} found={found}"
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state, JSON-ready; balances are the ledger's to save."""
        strategy, symbol, side = self.key
        return {
            "strategy": strategy,
            "symbol": symbol,
            "position_side": side.value,
            "method": self.method.value,
            "bought": str(self.bought),
            "sold": str(self.sold),
            "paid": str(self.paid),
            "realized": str(self.realized),
            "funding": str(self.funding),
            "lots": [
                [
                    lot.lot_id,
                    str(lot.quantity),
                    str(lot.cost),
                    None if lot.price is None else str(lot.price),
                    lot.opened_at,
                ]
                for lot in self.lots
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """
        Take back what ``snapshot`` gave, into a new book whose accounts are restored already.

        Raises ``LedgerError`` if lots are open that another method has kept.
        """
        if state["lots"] and state["method"] != self.method.value:
            raise LedgerError(
                f"{self.key} holds lots kept by {state['method']}, "
                f"but the configuration says {self.method.value}"
            )
        self.bought = Decimal(state["bought"])
        self.sold = Decimal(state["sold"])
        self.paid = Decimal(state["paid"])
        self.realized = Decimal(state["realized"])
        self.funding = Decimal(state["funding"])
        self.lots = deque(
            Lot(lot_id, Decimal(quantity), Decimal(cost), price and Decimal(price), opened_at)
            for lot_id, quantity, cost, price, opened_at in state["lots"]
        )
        self.quantity = self.held.balance
        self.cost = self.inventory.balance
        self.unsummed = 0
        self.position = None
