"""
The account as the venue keeps it: cash and positions, always exact.

Positions carry their cost (signed quantity times average entry), not their average: closing a
part releases a share of the cost, and whatever rounding that share needed stays in the cost.
So cash plus costs is conserved to the last digit, and is exact by itself whenever flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from messages import InstrumentKind, PositionSide
from state.instruments import Instrument
from state.money import ZERO, exact, ratio, share


class Position:
    """One book of one instrument: signed quantity and signed cost."""

    __slots__ = ("cost", "initial_margin", "quantity", "side", "spot", "symbol")

    def __init__(self, instrument: Instrument, side: PositionSide) -> None:
        """Start flat."""
        self.symbol = instrument.symbol
        self.side = side
        self.spot = instrument.kind is InstrumentKind.SPOT
        self.initial_margin = instrument.initial_margin
        self.quantity = ZERO
        self.cost = ZERO

    @property
    def average_price(self) -> Decimal:
        """Return the mean entry price of what is open, zero when flat."""
        return ratio(self.cost, self.quantity) if self.quantity else ZERO

    def closable(self, *, is_buy: bool) -> Decimal:
        """Return how much an order of this direction can take off the position."""
        quantity = self.quantity
        if is_buy:
            return -quantity if quantity < ZERO else ZERO
        return max(ZERO, quantity)

    def add(self, signed: Decimal, price: Decimal, value: Decimal) -> Decimal:
        """
        Add a signed quantity worth ``value`` (``signed * price``); return the realised profit.

        What goes beyond flat opens the other side at ``price``.
        """
        before = self.quantity
        after = before + signed
        self.quantity = after
        if not before or (before > ZERO) is (signed > ZERO):
            self.cost += value
            return ZERO
        if not after:
            # A flat book is the same whatever it has been: 0 and 0.00 print differently.
            self.quantity = ZERO
            released = self.cost
            self.cost = ZERO
            return -value - released
        if (after > ZERO) is (before > ZERO):
            released = share(self.cost, -signed, before)
            self.cost -= released
            return -value - released
        released = self.cost
        self.cost = after * price
        return before * price - released


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position as the venue reports it; short books have negative quantities."""

    symbol: str
    position_side: PositionSide
    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True, slots=True)
class VenueBalance:
    """
    The account's cash and what moved it.

    ``cash`` is exactly deposit - buys + sells - fees (spot) plus realised - fees + funding
    (perpetuals, realised at average entry). ``net_flow`` is the cash less the cost of open
    perpetuals: as if they too were paid in full. It does not depend on what counts as realised
    (average here, lots in a ledger), so it is what books of two kinds must agree on.
    """

    currency: str
    cash: Decimal
    net_flow: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """Funding of one position at one settlement; ``amount`` is negative when paid."""

    symbol: str
    position_side: PositionSide
    quantity: Decimal
    mark: Decimal
    rate: Decimal
    amount: Decimal
    timestamp: int


class Account:
    """Cash and positions in one currency, and whether they can bear a fill."""

    __slots__ = (
        "cash",
        "currency",
        "fees",
        "funding",
        "margined",
        "mark_of",
        "positions",
        "realized_pnl",
    )

    def __init__(
        self,
        currency: str,
        deposit: Decimal,
        positions: Iterable[Position],
        mark_of: Callable[[str], float | None],
    ) -> None:
        """Start with ``deposit``; ``mark_of`` gives the last price of a symbol, if known."""
        self.currency = currency
        self.cash = deposit
        self.fees = ZERO
        self.funding = ZERO
        self.realized_pnl = ZERO
        self.mark_of = mark_of
        self.keep(positions)

    def keep(self, positions: Iterable[Position]) -> None:
        """Keep these books from now on."""
        self.positions = tuple(positions)
        self.margined = tuple(position for position in self.positions if not position.spot)

    def balance(self) -> VenueBalance:
        """Return the cash and its sources."""
        cost = sum((position.cost for position in self.margined), ZERO)
        return VenueBalance(
            self.currency,
            self.cash,
            self.cash - cost,
            self.realized_pnl,
            self.fees,
            self.funding,
        )

    def book(
        self, position: Position, signed: Decimal, price: Decimal, value: Decimal, fee: Decimal
    ) -> None:
        """Book a fill: spot moves its value, a perpetual its realised profit, both the fee."""
        realized = position.add(signed, price, value)
        self.realized_pnl += realized
        self.fees += fee
        self.cash += (-value if position.spot else realized) - fee

    def shortfall(
        self, position: Position, signed: Decimal, price: Decimal, value: Decimal, fee: Decimal
    ) -> str | None:
        """Return what is missing for a fill, as ``key=value`` pairs, or None if it can be borne."""
        if position.spot:
            if signed < ZERO:
                if position.quantity + signed >= ZERO:
                    return None
                return f"holding={position.quantity} needed={-signed}"
            free = self.cash
            if self.margined:
                free = min(free, self._free_margin(position, ZERO, price))
            if free >= value + fee:
                return None
            return f"cash={free} needed={value + fee}"
        before = position.quantity
        after = before + signed
        if abs(after) <= abs(before) and after * before >= ZERO:
            return None
        free = self._free_margin(position, after, price) - fee
        if free >= ZERO:
            return None
        return f"margin_needed={abs(after) * price * position.initial_margin} missing={-free}"

    def _free_margin(self, filled: Position, after: Decimal, price: Decimal) -> Decimal:
        """Return equity less initial margins once ``filled`` holds ``after`` at ``price``."""
        free = self.cash
        for position in self.margined:
            quantity = position.quantity
            if position is filled:
                free += quantity * price - position.cost
                free -= abs(after) * price * position.initial_margin
            elif quantity:
                seen = price if position.symbol == filled.symbol else self._mark(position)
                value = position.cost if seen is None else quantity * seen
                free += value - position.cost - abs(value) * position.initial_margin
        return free

    def _mark(self, position: Position) -> Decimal | None:
        """Return the last price known, or None: the position is then valued at cost."""
        mark = self.mark_of(position.symbol)
        return None if mark is None else exact(mark)

    def settle_funding(
        self, symbol: str, rate: Decimal, mark: Decimal, timestamp: int
    ) -> list[FundingPayment]:
        """Move funding of every position in a perpetual: a long pays a positive rate to a short."""
        payments = []
        for position in self.margined:
            if position.symbol == symbol and position.quantity:
                amount = -position.quantity * mark * rate
                self.cash += amount
                self.funding += amount
                payments.append(
                    FundingPayment(
                        symbol, position.side, position.quantity, mark, rate, amount, timestamp
                    )
                )
        return payments

    def snapshot(self) -> dict[str, Any]:
        """Return the account's state, JSON-ready."""
        return {
            "currency": self.currency,
            "cash": str(self.cash),
            "fees": str(self.fees),
            "funding": str(self.funding),
            "realized_pnl": str(self.realized_pnl),
            "positions": [
                [position.symbol, position.side.value, str(position.quantity), str(position.cost)]
                for position in self.positions
                if position.quantity
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave; raise ``ValueError`` where it does not fit."""
        if state["currency"] != self.currency:
            raise ValueError(f"snapshot is in {state['currency']}, the account in {self.currency}")
        books = {(position.symbol, position.side.value): position for position in self.positions}
        for symbol, side, quantity, cost in state["positions"]:
            position = books.get((symbol, side))
            if position is None:
                raise ValueError(f"snapshot holds {symbol} ({side}), which is no book here")
            position.quantity = Decimal(quantity)
            position.cost = Decimal(cost)
        self.cash = Decimal(state["cash"])
        self.fees = Decimal(state["fees"])
        self.funding = Decimal(state["funding"])
        self.realized_pnl = Decimal(state["realized_pnl"])
