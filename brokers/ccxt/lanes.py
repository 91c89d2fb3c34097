"""
Whose turn it is: one allowance for an account at a venue, in lanes.

Theory of operation. A venue grants so much weight in a window of time, and bans who asks for more.
What is asked for is sorted into lanes: cancels, orders that reduce, orders that open, questions.
Whenever there is room the lowest lane goes first, first come first served within a lane. Each lane
but the first must leave a share of the allowance untouched, so that a flood of questions can never
use up what a cancel will need. The venue's own count, where it gives one, is believed where it is
higher. Where it takes so many requests at a time and no more, whoever has gone is waited for, and
then the lowest lane is next.

Orders may be counted beside that, by limits of their own (see ``windows``). What is no order
passes those that wait for such a limit: a cancel, a question, the venue's timer. An order that
reduces goes before one that opens, for which a share of each limit is out of reach.

While the venue wants to be left alone nobody goes, but for cancels: what rests may trade, and a
venue's word of that kind is advice until it is a ban. So one cancel tries, and the next when that
was taken. Refused for the same reason, it was the last: all wait then until the end. During a ban
nobody tries, and where only orders were too many cancels and questions go on as before.

``Allowance`` is pure: it decides at times that it is told. ``Lanes`` waits, on the clock that is
handed in. One ``Lanes`` serves every connection of an account: see ``lanes_of``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final
from weakref import WeakValueDictionary

from brokers.ccxt.columns import Weights
from brokers.ccxt.errors import TooMany
from brokers.ccxt.windows import OrderCounts, Window, limits_told

LOOK_S: Final = 0.02
"""How often whoever waits looks whether it is its turn."""

WAITING_MAX: Final = 10_000
"""Most that wait; one more is a fault of whoever asks."""


class Lane(IntEnum):
    """Lower goes first."""

    CANCEL = 0
    REDUCE = 1
    CREATE = 2
    READ = 3


RESERVED: Final = {Lane.CANCEL: 0, Lane.REDUCE: 5, Lane.CREATE: 15, Lane.READ: 30}
"""Percent of the allowance that a lane leaves to those before it."""

ORDERS_RESERVED: Final = {Lane.REDUCE: 0, Lane.CREATE: 15}
"""Percent of each limit on orders that a lane of orders leaves to the one before it."""


@dataclass(slots=True, eq=False)
class Turn:
    """One that waits, and whether it may go."""

    lane: Lane
    weight: int
    orders: int = 0
    """As how many orders the venue counts it."""
    granted: bool = False
    tries: bool = False
    """It goes though the venue wants to be left alone."""


@dataclass(slots=True)
class Allowance:
    """What has been used of the allowance, and who waits; times are float s of one clock."""

    weights: Weights
    waiting: dict[Lane, deque[Turn]] = field(
        default_factory=lambda: {lane: deque() for lane in Lane}  # WAITING_MAX, in `ask`
    )
    pause_until_s: float = 0.0
    """Until when nobody goes but a cancel that tries."""
    orders_until_s: float = 0.0
    """Until when no order goes; cancels and questions do."""
    cancels_until_s: float = 0.0
    """Until when no cancel tries either."""
    under_way: int = 0
    trying: Turn | None = None
    orders: OrderCounts = field(init=False)
    _weight: Window = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing used."""
        self.orders = OrderCounts(self.weights.order_limits)
        self._weight = Window(self.weights.window_s)

    def used(self, now_s: float) -> int:
        """Return how much of the allowance is used at ``now_s``."""
        return self._weight.used(now_s)

    def ask(self, lane: Lane, weight: int, orders: int = 0) -> Turn:
        """Wait in a lane, with what the venue counts as so many orders."""
        assert sum(map(len, self.waiting.values())) < WAITING_MAX, "too many wait for their turn"
        assert not orders or lane in ORDERS_RESERVED, "orders have lanes of their own"
        turn = Turn(lane, min(weight, self._most(lane)), orders)
        self.waiting[lane].append(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Wait no longer; whose turn has come stays counted."""
        if not turn.granted and turn in self.waiting[turn.lane]:
            self.waiting[turn.lane].remove(turn)

    def grant(self, now_s: float) -> list[Turn]:
        """Let all go that may, the lowest lane first."""
        granted: list[Turn] = []
        for lane, turns in self.waiting.items():
            for turn in tuple(turns):
                if not self._may_go(turn, now_s):
                    continue
                if not self._has_room or self.used(now_s) + turn.weight > self._most(lane):
                    # Whoever is before the others has not enough: nobody after it may take it.
                    return granted
                turns.remove(turn)
                self._let_go(turn, now_s)
                granted.append(turn)
        return granted

    def _let_go(self, turn: Turn, now_s: float) -> None:
        turn.granted = True
        if now_s < self.pause_until_s:
            turn.tries, self.trying = True, turn
        self.under_way += 1
        self._weight.spend(turn.weight, now_s)
        self.orders.leaves(turn.orders)

    def _may_go(self, turn: Turn, now_s: float) -> bool:
        """Return whether the venue wants to be left alone no more, or may be tried."""
        if turn.orders and not self._may_order(turn, now_s):
            return False
        if now_s >= self.pause_until_s:
            return True
        return turn.lane is Lane.CANCEL and self.trying is None and now_s >= self.cancels_until_s

    def _may_order(self, turn: Turn, now_s: float) -> bool:
        reserved = ORDERS_RESERVED[turn.lane]
        return now_s >= self.orders_until_s and self.orders.has_room(turn.orders, reserved, now_s)

    def over(self, turn: Turn, arrived_s: float | None) -> None:
        """Note that a request is over which has arrived by then; ``None``: it has not left."""
        assert self.under_way, "what is over has had its turn"
        self.under_way -= 1
        self.orders.over(turn.orders, arrived_s)
        if self.trying is turn:
            self.trying = None

    def told(self, used: int, now_s: float) -> None:
        """Take the venue's count of what is used, where it is higher than ours."""
        self._weight.told(used, now_s)

    def left_alone(
        self,
        wait_s: float,
        now_s: float,
        too_many: TooMany = TooMany.REQUESTS,
        turn: Turn | None = None,
    ) -> None:
        """
        Let nobody go for ``wait_s``, or whoever it is that was ``too_many``; ``turn`` has heard so.

        Others that were under way by then have learned nothing new: only of one that tried it is
        known that cancels are refused too.
        """
        until_s = now_s + wait_s
        if too_many is TooMany.ORDERS:
            self.orders_until_s = max(self.orders_until_s, until_s)
            return
        self.pause_until_s = max(self.pause_until_s, until_s)
        if too_many is TooMany.BANNED or (turn is not None and turn.tries):
            self.cancels_until_s = max(self.cancels_until_s, self.pause_until_s)

    @property
    def _has_room(self) -> bool:
        return not self.weights.at_once or self.under_way < self.weights.at_once

    def _most(self, lane: Lane) -> int:
        return max(1, self.weights.per_window * (100 - RESERVED[lane]) // 100)


class Lanes:
    """Waits for turns; see the module."""

    def __init__(
        self,
        weights: Weights,
        now_s: Callable[[], float],
        sleep_s: Callable[[float], Awaitable[None]],
    ) -> None:
        """Begin with nothing used."""
        self.allowance = Allowance(weights)
        self._now_s = now_s
        self._sleep_s = sleep_s

    def __repr__(self) -> str:
        """Show who waits."""
        waiting = ", ".join(
            f"{lane.name.lower()} {len(turns)}" for lane, turns in self.allowance.waiting.items()
        )
        now_s = self._now_s()
        orders = self.allowance.orders.used(now_s)
        return f"<Lanes [{waiting}] used {self.allowance.used(now_s)}, orders {orders}>"

    @property
    def share(self) -> float:
        """Return what part of the allowance is used."""
        return self.allowance.used(self._now_s()) / self.allowance.weights.per_window

    @property
    def alone_s(self) -> float:
        """Return how much longer the venue wants to be left alone, in seconds."""
        return max(0.0, self.allowance.pause_until_s - self._now_s())

    async def turn(
        self,
        lane: Lane,
        weight: int,
        orders: int = 0,
        waiting: Callable[[], object] = lambda: None,
    ) -> Turn:
        """
        Return its turn when one of ``weight`` may go in ``lane``; ``over`` is called after it.

        Cancelled, it waits no longer, and nothing is over; and so where ``waiting`` raises, which
        is called whenever it was looked in vain.
        """
        turn = self.allowance.ask(lane, weight, orders)
        try:
            self.allowance.grant(self._now_s())
            while not turn.granted:
                waiting()
                await self._sleep_s(LOOK_S)
                self.allowance.grant(self._now_s())
        except BaseException:
            if turn.granted:
                self.over(turn, has_left=False)
            raise
        finally:
            self.allowance.leave(turn)
        return turn

    def over(self, turn: Turn, *, has_left: bool = True, late_s: float = 0.0) -> None:
        """
        Note that a request which had its turn is over: the next may go.

        One without an answer may arrive ``late_s`` from now.
        """
        now_s = self._now_s()
        self.allowance.over(turn, now_s + late_s if has_left else None)
        self.allowance.grant(now_s)

    def told(self, used: int) -> None:
        """Take the venue's own count."""
        self.allowance.told(used, self._now_s())

    def told_orders(self, headers: Mapping[str, str]) -> None:
        """Take the venue's own counts of orders from the headers of an answer."""
        self.allowance.orders.told(headers, self._now_s())

    def limited(self, weights: Weights, told: Iterable[Any], granted: float) -> None:
        """Take the limits on orders that the venue tells; ``weights`` are the row's."""
        limits = limits_told(weights.order_limits, told, granted)
        self.allowance.orders.limited(limits)

    def left_alone(
        self, wait_s: float, too_many: TooMany = TooMany.REQUESTS, turn: Turn | None = None
    ) -> None:
        """Hear that the venue wants to be left alone for ``wait_s``; see ``Allowance``."""
        self.allowance.left_alone(wait_s, self._now_s(), too_many, turn)


_shared: WeakValueDictionary[tuple[str, str], Lanes] = WeakValueDictionary()


def lanes_of(
    venue: str,
    account: str,
    weights: Weights,
    now_s: Callable[[], float],
    sleep_s: Callable[[float], Awaitable[None]],
) -> Lanes:
    """Return the lanes of an account at a venue: the same ones for everybody who uses it."""
    lanes = _shared.get((venue, account))
    if lanes is None:
        lanes = _shared[venue, account] = Lanes(weights, now_s, sleep_s)
    return lanes


def lanes_at(venue: str, account: str) -> Lanes | None:
    """Return the lanes of an account at a venue, if anybody has made them."""
    return _shared.get((venue, account))
