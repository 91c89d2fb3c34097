"""
Stops and take-profits of one position: which may rest, which wait here, which end.

Theory of operation. Protective orders belong to a position and end with it: when a book is flat, or
has turned round, what would leave it the other way is cancelled. Where the venue lets both sides of
a bracket rest that is all. Where it does not (``Broker.brackets``), because a resting close binds
what it is to sell, only stops rest. A take-profit *waits here*, journaled and not sent, until the
market touches its price; then the stop makes room, its end is confirmed, and the take-profit goes
out for what it can get at once. Any other close makes itself room in the same way. What made room
is *displaced*, and put back, once nothing is under way, for what is left of the position.

This module keeps the state and answers questions; it sends and journals nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from actors.execution.pursuit import REFUSED
from messages import (
    PROTECTIVE,
    Bar,
    ExecutionPolicy,
    FollowUpReason,
    IntentAction,
    Maker,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionSide,
    Quote,
    ReduceFollowUp,
    Side,
    Tick,
    TimeInForce,
)
from state.money import ZERO, exact
from state.orders import Order

BookKey = tuple[str, str, PositionSide]
TIMER: Final = "restore:"

_TARGET: Final = IntentAction.SET_TAKE_PROFIT
_BUY: Final = Side.BUY


def book_of(request: OrderRequest) -> BookKey:
    """Return the book that an order belongs to."""
    return request.strategy, request.symbol, request.position_side


def outlived(order: Order, held: Decimal) -> bool:
    """Return whether a protective order has nothing to leave any more: its book holds ``held``."""
    request = order.request
    if not request.reduce_only or request.action not in PROTECTIVE:
        return False
    return held <= ZERO if request.side is not _BUY else held >= ZERO


@dataclass(slots=True)
class Kept:
    """
    A take-profit that waits here: the price that it waits for, and whether it was touched.

    Until its record is durable it must not go out, and no touch counts.
    """

    order_id: str
    symbol: str
    price: Decimal
    is_buy: bool
    touched: bool = False
    is_durable: bool = False

    def meets(self, low: Decimal, high: Decimal) -> bool:
        """Return whether a stretch of the market from ``low`` to ``high`` touches the price."""
        return low <= self.price if self.is_buy else high >= self.price


@dataclass(slots=True)
class Displaced:
    """A protective order that made room: its request, and how much of it was not filled."""

    request: OrderRequest
    quantity: Decimal


@dataclass(slots=True)
class Brackets:
    """What waits here, what waits for room, what is to be put back."""

    kept: dict[str, Kept] = field(default_factory=dict)
    """Take-profits that wait for their price, by order id."""
    waiting: dict[str, set[str]] = field(default_factory=dict)
    """Orders that wait until others have ended: the ids of those, by order id."""
    displaced: dict[BookKey, list[Displaced]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """How many orders were made of an intent by being put back, by its id."""

    # -- take-profits that wait here

    def keep(self, request: OrderRequest, trigger: Decimal) -> None:
        """Let a take-profit wait for ``trigger``."""
        self.kept[request.order_id] = Kept(
            request.order_id, request.symbol, trigger, request.side is _BUY
        )

    def watches(self, symbol: str) -> bool:
        """Return whether anything waits here for a price of ``symbol``."""
        return any(kept.symbol == symbol and not kept.touched for kept in self.kept.values())

    def touched(self, seen: Bar | Quote | Tick) -> list[str]:
        """Return the ids of the orders whose price a piece of market data touches, oldest first."""
        if isinstance(seen, Bar):
            low, high = exact(seen.low), exact(seen.high)
        elif isinstance(seen, Quote):
            low, high = exact(seen.ask), exact(seen.bid)
        else:
            low = high = exact(seen.price)
        found = [
            kept
            for kept in self.kept.values()
            if kept.symbol == seen.symbol
            and kept.is_durable
            and not kept.touched
            and kept.meets(low, high)
        ]
        for kept in found:
            kept.touched = True
        return [kept.order_id for kept in found]

    def stays(self, order_id: str) -> bool:
        """Return whether an order that was not sent is to stay as it is: it waits here."""
        return order_id in self.kept or order_id in self.waiting

    def release(self, order_id: str) -> None:
        """Let an order go out: it waits here no longer."""
        self.kept.pop(order_id, None)

    # -- room

    def wait_for(self, order_id: str, others: Iterable[Order]) -> list[Order]:
        """Let an order wait until ``others`` have ended; return them."""
        found = list(others)
        if found:
            self.waiting[order_id] = {other.request.order_id for other in found}
        return found

    def displace(self, order: Order) -> None:
        """Note that a protective order makes room, to be put back."""
        if self.is_displaced(order):
            return
        entry = Displaced(order.request, order.remaining)
        self.displaced.setdefault(book_of(order.request), []).append(entry)

    def ended(self, order: Order) -> list[str]:
        """Take note of an order's end; return the ids of those that waited for nothing else."""
        order_id = order.request.order_id
        self.kept.pop(order_id, None)
        self.waiting.pop(order_id, None)
        for entry in list(self.displaced.get(book_of(order.request), ())):
            if entry.request.order_id == order_id:
                entry.quantity = order.remaining
                if not entry.quantity:  # it was filled on the way: nothing is left to put back
                    self._drop(entry)
        ready = []
        for waiting_id, others in list(self.waiting.items()):
            others.discard(order_id)
            if not others:
                del self.waiting[waiting_id]
                ready.append(waiting_id)
        return ready

    def is_displaced(self, order: Order) -> bool:
        """Return whether an order has made room and is to be put back."""
        entries = self.displaced.get(book_of(order.request), ())
        return any(entry.request.order_id == order.request.order_id for entry in entries)

    def made_room(self, order: Order, event: OrderEvent) -> bool:
        """
        Return whether an order has ended to be put back.

        One that the venue never had is not: that would try again what was refused.
        """
        if event in REFUSED:
            self.let_go(lambda request: request.order_id == order.request.order_id)
        return self.is_displaced(order)

    def let_go(self, matches: Callable[[OrderRequest], bool]) -> list[Displaced]:
        """Forget, and return, what has made room and is not to be put back."""
        found = [e for entries in self.displaced.values() for e in entries if matches(e.request)]
        for entry in found:
            self._drop(entry)
        return found

    def _drop(self, entry: Displaced) -> None:
        book = book_of(entry.request)
        self.displaced[book].remove(entry)
        if not self.displaced[book]:
            del self.displaced[book]

    def put_back(
        self, book: BookKey, held: Decimal, live: list[Order], now: int
    ) -> tuple[list[ReduceFollowUp], list[OrderRequest]]:
        """
        Return what puts back what made room, for what is left, and what is not put back.

        Nothing of either, and everything is kept in mind, while an order of the book is on its way
        to leave now, or what is to make room has not ended. A kind that the strategy has put there
        anew meanwhile is not put back.
        """
        entries = self.displaced.get(book)
        if not entries or any(self._leaves(o) or self.is_displaced(o) for o in live):
            return [], []
        del self.displaced[book]
        left = abs(held)
        found: list[ReduceFollowUp] = []
        gone: list[OrderRequest] = []
        for entry in entries:
            request = entry.request
            there = any(is_stop(order.request) is is_stop(request) for order in live)
            quantity = min(entry.quantity, left)
            if there or quantity <= ZERO:
                gone.append(request)
            else:
                found.append(self._again(request, quantity, now))
        return found, gone

    def _leaves(self, order: Order) -> bool:
        """Return whether an order takes something off its book now, or is about to."""
        request = order.request
        if not request.reduce_only:
            return False
        if request.action not in PROTECTIVE or request.order_id in self.waiting:
            return True
        kept = self.kept.get(request.order_id)
        return request.action is _TARGET and (kept is None or kept.touched)

    def _again(self, request: OrderRequest, quantity: Decimal, now: int) -> ReduceFollowUp:
        root_id = request.root_id or request.order_id
        number = self.numbers[root_id] = self.numbers.get(root_id, 0) + 1
        return ReduceFollowUp(
            intent_id=f"{root_id}-b{number}",
            strategy=request.strategy,
            symbol=request.symbol,
            side=request.side,
            quantity=quantity,
            created_at=now,
            position_side=request.position_side,
            policy=_policy_of(request),
            valid_until=request.valid_until,
            decision_price=request.decision_price,
            action=request.action,
            root_id=root_id,
            because=FollowUpReason.RESTORE,
        )

    # -- across restarts of the process

    def snapshot(self) -> dict[str, Any]:
        """Return everything that waits, JSON-ready."""
        return {
            "kept": [msgspec.to_builtins(kept) for kept in self.kept.values()],
            "waiting": {name: sorted(others) for name, others in self.waiting.items()},
            "displaced": [
                msgspec.to_builtins(entry) for found in self.displaced.values() for entry in found
            ],
            "numbers": dict(self.numbers),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        kept = msgspec.convert(state["kept"], list[Kept])
        self.kept = {each.order_id: each for each in kept}
        self.waiting = {name: set(others) for name, others in state["waiting"].items()}
        self.displaced = {}
        for entry in msgspec.convert(state["displaced"], list[Displaced]):
            self.displaced.setdefault(book_of(entry.request), []).append(entry)
        self.numbers = dict(state["numbers"])


def is_put_back(request: OrderRequest) -> bool:
    """Return whether an order was made by putting back what had made room."""
    return bool(request.root_id) and request.order_id.startswith(f"{request.root_id}-b")


def is_stop(request: OrderRequest) -> bool:
    """Return whether an order protects by leaving at a loss."""
    return request.action in PROTECTIVE and request.action is not _TARGET


def kept_form(request: OrderRequest) -> tuple[OrderRequest, Decimal] | None:
    """
    Return a take-profit as it goes out once its price was touched, and that price.

    A limit gets what it can at once; what is triggered by the price goes out at market. ``None``
    for an order of another kind.
    """
    if request.action is not _TARGET:
        return None
    trigger = request.price if request.order_type is OrderType.LIMIT else request.stop_price
    if trigger is None:
        return None
    if request.order_type is OrderType.LIMIT:
        at_once = msgspec.structs.replace(
            request, time_in_force=TimeInForce.IOC, post_only=False, stop_price=trigger
        )
        return at_once, trigger
    if request.order_type is OrderType.TAKE_PROFIT:
        return msgspec.structs.replace(request, order_type=OrderType.MARKET), trigger
    return None


def _policy_of(request: OrderRequest) -> ExecutionPolicy:
    """Return the policy that makes the same order again."""
    order_type, stop = request.order_type, request.stop_price
    time_in_force = request.time_in_force
    if request.action is _TARGET and stop is not None:
        # It had waited here: give it the form back in which it was asked for.
        if order_type is OrderType.MARKET:
            order_type = OrderType.TAKE_PROFIT
        elif order_type is OrderType.LIMIT:
            stop, time_in_force = None, TimeInForce.GTC
    return ExecutionPolicy(
        order_type,
        time_in_force,
        Maker.ONLY if request.post_only else Maker.ANY,
        request.price,
        stop,
        request.trail_bps,
        request.expire_at,
    )
