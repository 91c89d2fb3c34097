"""
Round trips: what each stay in the market cost and brought, from flat to flat.

A trip of a book begins with the fill that opens a position and ends with the one that closes it, or
turns it round: that fill belongs to both, each with its quantity and its part of the fee. What is
still held when the journal ends is a trip that is open.

Sums are exact. A fee that is not in the account's currency is part of no sum: it is kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from messages import Booking, Fill, FundingBooked, IntentAction, Side
from state.money import ZERO, ratio, share
from state.projections.limits import TRIP_PLANS_MAX
from state.projections.roots import NOTHING, Root

_BUY: Final = Side.BUY
_ADD: Final = IntentAction.ADD
BPS: Final = Decimal(10_000)

Key = tuple[str, str, str]
"""Strategy, symbol, side of the book."""


class Trip(msgspec.Struct, gc=False):
    """
    One stay of one book in the market, as far as it has come.

    ``slippage`` is money, positive when adverse, against the prices that were decided at;
    ``decided`` is the notional at those. Fees and funding are positive when paid. ``entry_price``
    and ``exit_price`` are known while there is only one: nearly all trips need no mean.
    """

    key: Key
    is_long: bool
    opened_at: int
    closed_at: int | None = None
    is_over: bool = False
    turned: bool = False
    entries: int = 0
    adds: int = 0
    exits: int = 0
    orders: int = 0
    retries: int = 0
    reprices: int = 0
    fallbacks: int = 0
    largest: Decimal = ZERO
    entered: Decimal = ZERO
    entered_notional: Decimal = ZERO
    entry_price: Decimal | None = None
    exited: Decimal = ZERO
    exited_notional: Decimal = ZERO
    exit_price: Decimal | None = None
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    decided: Decimal = ZERO
    other_fees: dict[str, Decimal] | None = None
    plans: list[str] | None = None

    @property
    def net(self) -> Decimal:
        """Return the realised profit after fees and funding; slippage is in the prices already."""
        return self.realized - self.fees - self.funding

    @property
    def entry_average(self) -> Decimal:
        """Return the mean price of what was put in."""
        if self.entry_price is not None:
            return self.entry_price
        return ratio(self.entered_notional, self.entered)

    @property
    def exit_average(self) -> Decimal | None:
        """Return the mean price of what was taken off, ``None`` if nothing was."""
        if self.exit_price is not None or not self.exited:
            return self.exit_price
        return ratio(self.exited_notional, self.exited)

    def count(self, root: Root) -> None:
        """Take over what an intent took since it was last counted in any trip."""
        if root.counted is NOTHING and not root.pursued:
            self.orders += root.orders
            root.counted = (root.orders, 0, 0, 0)
            return
        orders, retries, reprices, fallbacks = root.counted
        self.orders += root.orders - orders
        self.retries += root.retries - retries
        self.reprices += root.reprices - reprices
        self.fallbacks += root.fallbacks - fallbacks
        root.counted = (root.orders, root.retries, root.reprices, root.fallbacks)

    def note_plan(self, plan_id: str) -> None:
        """Note that a step of a plan was filled; of too many plans the first ones are kept."""
        if self.plans is None:
            self.plans = [plan_id]
        elif plan_id not in self.plans and len(self.plans) <= TRIP_PLANS_MAX:
            self.plans.append(plan_id)

    def add_other_fee(self, fee: Decimal, currency: str) -> None:
        """Add a fee that is not in the account's currency: it is part of no sum."""
        if self.other_fees is None:
            self.other_fees = {}
        self.other_fees[currency] = self.other_fees.get(currency, ZERO) + fee


class RoundTrips:
    """
    Follow every book's trips; memory depends on how many books are open.

    ``on_close`` is given each trip that is over. Call everything under ``EXACT``.
    """

    __slots__ = ("_on_close", "_open", "currency")

    def __init__(self, on_close: Callable[[Trip], object]) -> None:
        self._open: dict[Key, Trip] = {}
        self._on_close = on_close
        self.currency = ""
        """The account's, once the journal has named it."""

    def unfinished(self) -> Iterable[Trip]:
        """Return the trips that are still open, in the order in which they began."""
        return self._open.values()

    def on_fill(self, fill: Fill, booking: Booking | None, root: Root | None) -> None:
        """Take a fill and what the ledger made of it; ``root`` is whose order's it is."""
        if booking is None:
            return  # the ledger did not book it: no position has changed
        key = (fill.strategy, fill.symbol, fill.position_side)
        trip = self._open.get(key)
        quantity, after = fill.quantity, booking.quantity
        buys = fill.side is _BUY
        if trip is None:
            # What reduces a position that this journal has not seen begin is part of no trip.
            if after and (after > ZERO) is buys:
                self._begin(key, fill, root, quantity, fill.fee)
        elif trip.is_long is buys:
            self._enter(trip, fill, root, quantity, fill.fee)
            size = abs(after)
            if size > trip.largest:
                trip.largest = size
        elif after and (after > ZERO) is buys:
            beyond = abs(after)
            part = share(fill.fee, quantity - beyond, quantity) if fill.fee else ZERO
            trip.turned = True
            self._leave(trip, fill, root, quantity - beyond, part, booking.realized_pnl)
            self._end(trip, fill.timestamp)
            self._begin(key, fill, root, beyond, fill.fee - part)
        else:
            self._leave(trip, fill, root, quantity, fill.fee, booking.realized_pnl)
            if not after:
                self._end(trip, fill.timestamp)

    def on_funding(self, booked: FundingBooked) -> None:
        """Take what the book of a position paid (a negative amount) or received."""
        trip = self._open.get((booked.strategy, booked.symbol, booked.position_side))
        if trip is not None:
            trip.funding -= booked.amount

    def _begin(
        self, key: Key, fill: Fill, root: Root | None, quantity: Decimal, fee: Decimal
    ) -> None:
        trip = self._open[key] = Trip(key, fill.side is _BUY, fill.timestamp)
        trip.largest = quantity
        self._enter(trip, fill, root, quantity, fee)

    def _enter(
        self, trip: Trip, fill: Fill, root: Root | None, quantity: Decimal, fee: Decimal
    ) -> None:
        trip.entry_price = None if trip.entered else fill.price
        trip.entered += quantity
        trip.entered_notional += quantity * fill.price
        if self._is_new(trip, fill, root, quantity, fee):
            if root is not None and root.intent.action is _ADD:
                trip.adds += 1
            else:
                trip.entries += 1

    def _leave(
        self,
        trip: Trip,
        fill: Fill,
        root: Root | None,
        quantity: Decimal,
        fee: Decimal,
        realized: Decimal,
    ) -> None:
        trip.exit_price = None if trip.exited else fill.price
        trip.exited += quantity
        trip.exited_notional += quantity * fill.price
        trip.realized += realized
        if self._is_new(trip, fill, root, quantity, fee):
            trip.exits += 1

    def _is_new(
        self, trip: Trip, fill: Fill, root: Root | None, quantity: Decimal, fee: Decimal
    ) -> bool:
        """Take what a fill costs; return whether it is the first of its intent in this trip."""
        if fee:
            if fill.fee_currency == self.currency:
                trip.fees += fee
            else:
                trip.add_other_fee(fee, fill.fee_currency)
        if root is None:
            trip.orders += 1
            return True
        intent = root.intent
        decided = intent.decision_price
        if decided is not None:
            missed = fill.price - decided if fill.side is _BUY else decided - fill.price
            trip.slippage += missed * quantity
            trip.decided += decided * quantity
        if root.trip is trip:
            return False
        root.trip = trip
        trip.count(root)
        if intent.plan_id:
            trip.note_plan(intent.plan_id)
        return True

    def _end(self, trip: Trip, at: int) -> None:
        del self._open[trip.key]
        trip.closed_at = at
        trip.is_over = True
        self._on_close(trip)
