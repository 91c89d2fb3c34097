"""
One book of a grid: what each level holds, its orders, where the market was.

Theory of operation. The book is what the strategy believes, and it follows from what was asked for
and what came of it. A level *holds* what its openings have brought and its closings have not taken
off yet; an order is an intent that is not over. A level has at most one order: as long as it is
being opened nothing closes it, and as long as it holds what could be closed nothing opens it.

What the book believes can be wrong after a crash, or where somebody else has traded. So it is
*reconciled* with the desk, which has every fill and every end.

This module asks for nothing.
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
from state.money import ZERO, plain
from strategies.grids.lines import Lines

NEVER: Final = 1 << 62

_encode = msgspec.json.Encoder().encode


class Purpose(StrEnum):
    """What an order of a grid is for."""

    OPEN = "open"
    CLOSE = "close"
    STOP = "stop"


@dataclass(slots=True)
class Order:
    """
    An intent that is not over: what for, of which level, and how much of it was filled.

    ``quantity`` is what was asked for, ``None`` where a notional was.
    """

    purpose: Purpose
    level: int
    quantity: Decimal | None
    filled: Decimal = ZERO

    @property
    def rest(self) -> Decimal | None:
        """Return what is left to fill, ``None`` where it is not known."""
        return None if self.quantity is None else self.quantity - self.filled


def tag_of(sign: int, purpose: Purpose, level: int) -> str:
    """Return the tag of an intent: ``long open 3``, ``short stop``."""
    direction = "long" if sign > 0 else "short"
    return f"{direction} {purpose.value}" + (f" {level}" if level else "")


def order_of(intent: Intent, filled: Decimal) -> Order | None:
    """Return the order that an intent's tag tells of, ``None`` for one of another kind."""
    words = intent.tag.split()
    if len(words) not in (2, 3) or words[1] not in set(Purpose):
        return None
    return Order(Purpose(words[1]), int(words[2]) if words[2:] else 0, intent.quantity, filled)


@dataclass(slots=True)
class Book:
    """
    One book; ``sign`` is its direction, ``levels`` are the grid's that are its own.

    ``anchor`` is the close that the grid was laid around, if it has no centre of its own.
    ``changed``, ``low``, ``high`` and ``wake_at`` are no part of its state: they say when it has
    to be looked at.
    """

    symbol: str
    side: PositionSide
    sign: int
    levels: range
    anchor: Decimal | None = None
    place: int | None = None
    stopped: bool = False
    rest_until: int = 0
    held: dict[int, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    lines: Lines | None = None
    changed: bool = True
    low: float = -inf
    high: float = inf
    wake_at: int = NEVER
    _encoded: msgspec.Raw | None = None

    # -- what there is

    @property
    def phase(self) -> str:
        """Return where the book is: waiting for its first price, trading, or stopped."""
        if self.stopped:
            return "stopped"
        return "waiting" if self.place is None else "trading"

    @property
    def quantity(self) -> Decimal:
        """Return what all levels together hold."""
        total = ZERO
        for quantity in self.held.values():
            total += quantity
        return total

    def holds(self, level: int) -> Decimal:
        """Return what a level holds."""
        return self.held.get(level, ZERO)

    def live(self, purpose: Purpose) -> dict[str, Order]:
        """Return the orders of a purpose that are not over, oldest first."""
        return {name: order for name, order in self.orders.items() if order.purpose is purpose}

    # -- what is asked for, and what came of it

    def asked(self, intent_id: str, order: Order) -> None:
        """Note an intent that was made."""
        self.orders[intent_id] = order
        self._touch()

    def opened(self, intent_id: str, quantity: Decimal, level: int) -> None:
        """Take in a fill that adds: to its order's level, or to ``level`` if it has none."""
        order = self.orders.get(intent_id)
        if order is not None:
            order.filled += quantity
            level = order.level or level
        self.held[level] = self.holds(level) + quantity
        self._touch()

    def reduced(self, intent_id: str, quantity: Decimal) -> None:
        """Take in a fill that reduces: off its order's level, then off the nearest others."""
        order = self.orders.get(intent_id)
        self._touch()
        if order is not None:
            order.filled += quantity
            quantity -= self._take(order.level, quantity)
        for level in self.nearest_held():
            quantity -= self._take(level, quantity)

    def _take(self, level: int, quantity: Decimal) -> Decimal:
        held = self.holds(level)
        part = min(quantity, held)
        if part == held:
            self.held.pop(level, None)
        elif part:
            self.held[level] = held - part
        return part

    def nearest_held(self) -> list[int]:
        """Return the levels that hold something, nearest to their closing line first."""
        return sorted(self.held, reverse=self.sign < 0)

    @property
    def nearest(self) -> int | None:
        """Return the level that holds something and is nearest to its closing line."""
        return (min if self.sign > 0 else max)(self.held, default=None)

    def ended(self, intent_id: str) -> None:
        """Take note that an intent is over."""
        if self.orders.pop(intent_id, None) is not None:
            self._touch()

    # -- where the market is

    def anchored(self, anchor: Decimal | None, lines: Lines) -> None:
        """Lay the grid."""
        self.anchor, self.lines = anchor, lines
        self._touch()

    def seen(self, place: int) -> None:
        """Note where the market is."""
        if place != self.place:
            self.place = place
            self._touch()

    def stop(self, rest_until: int) -> None:
        """End everything, and rest."""
        self.stopped, self.rest_until = True, rest_until
        self._touch()

    def resume(self) -> None:
        """Begin anew after a stop, flat and without orders."""
        assert not self.held, "a grid begins flat"
        assert not self.orders, "a grid begins without orders"
        self.stopped, self.rest_until = False, 0
        self.anchor = self.lines = self.place = None
        self._touch()

    # -- what the desk knows better

    def reconcile(
        self,
        held: Decimal,
        level: int,
        live: Callable[[str], Intent | None],
        filled: Callable[[str], Decimal],
    ) -> None:
        """
        Believe the desk: of orders that it does not know any more, and of what is held.

        What is held beyond the levels was brought by an order whose news was missed, or else by
        somebody else, and is put down to ``level``; what is missing was taken by such an order,
        or else by somebody else.
        """
        gone = [name for name in self.orders if live(name) is None]
        beyond = held - self.quantity
        if beyond:
            for name, order in list(self.orders.items()):
                missed = order.rest if name in gone else filled(name) - order.filled
                beyond -= self._caught_up(name, beyond, missed, level)
            if beyond > ZERO:
                self.opened("", beyond, level)
            elif beyond < ZERO:
                self.reduced("", -beyond)
        for name in gone:
            self.ended(name)

    def _caught_up(
        self, intent_id: str, beyond: Decimal, missed: Decimal | None, level: int
    ) -> Decimal:
        """Let an order have brought, or taken, what was ``missed`` of it; return how much."""
        opens = self.orders[intent_id].purpose is Purpose.OPEN
        if not beyond or opens is not (beyond > ZERO):
            return ZERO
        part = abs(beyond) if missed is None else min(abs(beyond), max(ZERO, missed))
        if not part:
            return ZERO
        if opens:
            self.opened(intent_id, part, level)
            return part
        self.reduced(intent_id, part)
        return -part

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
            "phase": self.phase,
            "anchor": None if self.anchor is None else plain(self.anchor),
            "place": self.place,
            "rest_until": self.rest_until,
            "held": [[level, plain(quantity)] for level, quantity in sorted(self.held.items())],
            "orders": [
                [
                    name,
                    order.purpose.value,
                    order.level,
                    None if order.quantity is None else plain(order.quantity),
                    plain(order.filled),
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
        self.anchor = None if state["anchor"] is None else Decimal(state["anchor"])
        self.lines = None
        self.place = None if state["place"] is None else int(state["place"])
        self.stopped = state["phase"] == "stopped"
        self.rest_until = int(state["rest_until"])
        self.held = {int(level): Decimal(quantity) for level, quantity in state["held"]}
        self.orders = {
            name: Order(
                Purpose(purpose),
                int(level),
                None if quantity is None else Decimal(quantity),
                Decimal(brought),
            )
            for name, purpose, level, quantity, brought in state["orders"]
        }
        for intent in unfinished:
            own = order_of(intent, filled(intent.intent_id))
            if own is not None and intent.intent_id not in self.orders:
                self.orders[intent.intent_id] = own
        self._touch()
