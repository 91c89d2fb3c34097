"""
One book of a ladder: its lots, its orders, the rungs that are taken.

Theory of operation. The book is what the strategy believes, and it follows from two things alone:
what was asked for, and what came of it. A *lot* is what one order has brought, newest last; an
*order* is an intent that is not over; a rung is *taken* from the moment that it is asked for until
nothing of it is left. Every order has a purpose (which rung, which lot), and a purpose has at most
one order that counts, its newest: an older one is about to make room for it.

What the book believes can be wrong after a crash, or where somebody else has closed something. So
it is *reconciled* with the desk, which has every fill and every end: orders that the desk does not
know any more are over, and lots that are too many or too few follow the desk's position.

This module asks for nothing; it has no prices but those that were paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from math import inf
from typing import Any, Final

import msgspec

from messages import Intent, PositionSide
from state.money import ZERO, plain, ratio
from strategies.ladder.lots import ALL, OPENS, STRAY, Lot, Order, Purpose, order_of

NEVER: Final = 1 << 62


_encode = msgspec.json.Encoder().encode


class Phase(StrEnum):
    """Where a book is."""

    FLAT = "flat"
    ENTERING = "entering"  # the base order is under way
    HOLDING = "holding"
    LEAVING = "leaving"  # flat again, and what would add is being taken back


@dataclass(slots=True)
class Book:
    """
    One book; ``sign`` is its direction, ``newest_first`` which lots a reduction takes.

    ``reopens`` says whether a rung is free again when nothing of it is left. ``changed``, ``low``,
    ``high`` and ``wake_at`` are no part of its state: they say when it has to be looked at.
    """

    symbol: str
    side: PositionSide
    sign: int
    newest_first: bool
    reopens: bool
    base: Decimal | None = None
    rest_until: int = 0
    taken: set[int] = field(default_factory=set)
    lots: list[Lot] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    lots_made: int = 0
    changed: bool = True
    low: float = -inf
    high: float = inf
    wake_at: int = NEVER
    _encoded: msgspec.Raw | None = None

    # -- what there is

    @property
    def phase(self) -> Phase:
        """Return where the book is."""
        if self.lots:
            return Phase.HOLDING
        if self.base is None:
            return Phase.FLAT
        return Phase.ENTERING if self.live(Purpose.ENTRY) else Phase.LEAVING

    @property
    def quantity(self) -> Decimal:
        """Return what all lots together hold."""
        total = ZERO
        for lot in self.lots:
            total += lot.quantity
        return total

    def live(self, *purposes: Purpose) -> dict[str, Order]:
        """Return the orders of such a purpose that are not over, oldest first."""
        return {name: order for name, order in self.orders.items() if order.purpose in purposes}

    def opening(self) -> dict[str, Order]:
        """Return the orders that would add to the book and are not over."""
        return self.live(*OPENS)

    def lot(self, number: int) -> Lot | None:
        """Return a lot by its number."""
        return next((lot for lot in self.lots if lot.number == number), None)

    @property
    def has_strays(self) -> bool:
        """Return whether it holds anything that the ladder did not ask for."""
        return any(STRAY in lot.rungs for lot in self.lots)

    @property
    def deepest(self) -> int:
        """Return the deepest rung that is held."""
        return max((rung for lot in self.lots for rung in lot.rungs), default=0)

    # -- what is asked for

    def asked(self, intent_id: str, order: Order) -> None:
        """Note an intent that was made; a rung is taken from then on."""
        self.orders[intent_id] = order
        if order.purpose is Purpose.RUNG:
            self.taken.add(order.number)
        self._touch()

    # -- what came of it

    def opened(self, intent_id: str, quantity: Decimal, price: Decimal) -> None:
        """Take in a fill that adds: to the newest lot if that is of the same rung, else a new."""
        order = self.orders.get(intent_id)
        rung = STRAY
        if order is not None:
            rung = order.number
            order.filled += quantity
            order.cost += quantity * price
            if order.purpose is Purpose.ENTRY:
                self.base = ratio(order.cost, order.filled)
        self._add(rung, quantity, price)

    def _add(self, rung: int, quantity: Decimal, price: Decimal) -> None:
        self._touch()
        newest = self.lots[-1] if self.lots else None
        if newest is not None and newest.rungs[-1] == rung != STRAY:
            newest.add(quantity, price)
            return
        self.lots_made += 1
        self.lots.append(Lot(self.lots_made, (rung,), quantity, price))

    def reduced(self, intent_id: str, quantity: Decimal) -> None:
        """Take in a fill that reduces: off the lot that its order is for, then off the others."""
        self._touch()
        order = self.orders.get(intent_id)
        if order is not None:
            order.filled += quantity
            own = self.lot(order.number) if order.purpose is Purpose.EXIT else None
            if own is not None and not self.newest_first:
                part = min(quantity, own.quantity)
                own.quantity -= part
                quantity -= part
        self._drop(quantity)

    def _drop(self, quantity: Decimal) -> None:
        for lot in reversed(self.lots) if self.newest_first else list(self.lots):
            part = min(quantity, lot.quantity)
            if part > ZERO:
                lot.quantity -= part
                quantity -= part
        self.lots = [lot for lot in self.lots if lot.quantity > ZERO]
        self._free()

    def ended(self, intent_id: str) -> None:
        """Take note that an intent is over; a rung of which nothing came is free again."""
        order = self.orders.pop(intent_id, None)
        if order is None:
            return
        self._touch()
        if order.purpose is Purpose.RUNG and not order.filled and not self._has(order.number):
            self.taken.discard(order.number)
        self._free()

    def _has(self, rung: int) -> bool:
        """Return whether a rung has a lot, or an order that is not over."""
        return any(rung in lot.rungs for lot in self.lots) or any(
            order.number == rung for order in self.live(Purpose.RUNG).values()
        )

    def _free(self) -> None:
        if self.reopens:
            self.taken = {rung for rung in self.taken if self._has(rung)}

    def finish(self, rest_until: int) -> None:
        """End the cycle: flat, nothing under way."""
        assert not self.lots, "a cycle ends flat"
        self.base = None
        self.taken = set()
        self.rest_until = rest_until
        self._touch()

    def merge_dust(self, least: Decimal) -> None:
        """Let lots that are too small to leave alone join the one before them, or else after."""
        growing = {order.number for order in self.opening().values()}
        for lot in list(reversed(self.lots)):
            if lot.quantity >= least or len(self.lots) == 1 or growing.intersection(lot.rungs):
                continue
            place = self.lots.index(lot)
            other = self.lots[place - 1 if place else 1]
            other.add(lot.quantity, lot.price)
            other.rungs = (*lot.rungs, *other.rungs) if place == 0 else (*other.rungs, *lot.rungs)
            self.lots.remove(lot)
            self._touch()

    # -- what the desk knows better

    def reconcile(
        self,
        held: Decimal,
        average: Decimal,
        live: Callable[[str], Intent | None],
        filled: Callable[[str], Decimal],
    ) -> None:
        """
        Believe the desk: of orders that it does not know any more, and of what is held.

        What is held beyond the lots was brought by an order whose news was missed, at its price,
        or else by nobody, at the ``average``; what is missing was taken by such an order, or else
        by somebody else.
        """
        gone = [name for name in self.orders if live(name) is None]
        beyond = held - self.quantity
        if beyond:
            for name, order in list(self.orders.items()):
                missed = order.rest if name in gone else filled(name) - order.filled
                beyond -= self._caught_up(name, beyond, missed, average)
            if beyond > ZERO:
                self._add(STRAY, beyond, average)
            elif beyond < ZERO:
                self._touch()
                self._drop(-beyond)
        for name in gone:
            self.ended(name)

    def _caught_up(
        self, intent_id: str, beyond: Decimal, missed: Decimal | None, average: Decimal
    ) -> Decimal:
        """Let an order have brought, or taken, what was ``missed`` of it; return how much."""
        order = self.orders[intent_id]
        opens = order.purpose in OPENS
        if not beyond or opens is not (beyond > ZERO):
            return ZERO
        part = abs(beyond) if missed is None else min(abs(beyond), max(ZERO, missed))
        if opens and part:
            self.opened(intent_id, part, order.price or average)
        elif part:
            self.reduced(intent_id, part)
        return part if opens else -part

    # -- across restarts

    def _touch(self) -> None:
        self.changed = True
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
            "base": None if self.base is None else plain(self.base),
            "rest_until": self.rest_until,
            "taken": sorted(self.taken),
            "lots_made": self.lots_made,
            "lots": [
                [lot.number, list(lot.rungs), plain(lot.quantity), plain(lot.price)]
                for lot in self.lots
            ],
            "orders": [
                [
                    name,
                    order.purpose.value,
                    order.number,
                    None if order.quantity is None else plain(order.quantity),
                    None if order.price is None else plain(order.price),
                    plain(order.filled),
                    plain(order.cost),
                ]
                for name, order in self.orders.items()
            ],
        }

    def restore(
        self,
        state: Mapping[str, Any],
        unfinished: Iterable[Intent] = (),
        filled: Callable[[str], Decimal] = lambda _intent_id: ZERO,
    ) -> None:
        """Take back what ``state`` gave, and what the desk knows to be ``unfinished`` besides."""
        self.base = None if state["base"] is None else Decimal(state["base"])
        self.rest_until = int(state["rest_until"])
        self.taken = {int(rung) for rung in state["taken"]}
        self.lots_made = int(state["lots_made"])
        self.lots = [
            Lot(int(number), tuple(map(int, rungs)), Decimal(quantity), Decimal(price))
            for number, rungs, quantity, price in state["lots"]
        ]
        before, self.orders = self.orders, {}
        for name, purpose, number, *figures in state["orders"]:
            quantity, price, brought, cost = (None if f is None else Decimal(f) for f in figures)
            order = Order(
                Purpose(purpose), int(number), quantity, price, brought or ZERO, cost or ZERO
            )
            self.asked(name, order)
        for intent in unfinished:
            if intent.intent_id not in self.orders:
                own = order_of(intent, filled(intent.intent_id))
                if own is not None:
                    self.asked(intent.intent_id, own)
        self._guess_what_is_there(before)
        self._touch()

    def _guess_what_is_there(self, before: Mapping[str, Order]) -> None:
        """
        Take it for granted that the venue has an order, unless it was to replace another one.

        The one that it replaces would be gone by now.
        """
        places: set[tuple[Purpose, int]] = set()
        for name, order in self.orders.items():
            place = (order.purpose, ALL if self.newest_first else order.number)
            order.there = before[name].there if name in before else place not in places
            places.add(place)
