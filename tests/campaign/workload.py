"""The market and the strategy of a run: entries, ladders, stops and cancels, by its seed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Final

from plans import ACTIVE_S, Plan

from actors.assembly import StrategySpec
from messages import (
    Bar,
    ExecutionPolicy,
    FallbackOn,
    MarketFallback,
    OrderType,
    PositionSide,
    Side,
)
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Asked, Intents

BTC: Final = "BTC/USDT:USDT"
START: Final = 1_704_067_200_000
SECOND_MS: Final = 1_000
PRICE: Final = 50_000
BAND: Final = 250
"""How far the price may be from ``PRICE``: the limits are checked against the worst of it."""

MAX_POSITION: Final = Decimal(6_000)
MAX_ORDER: Final = Decimal(4_000)

CLEARS_FROM: Final = 12
"""From this bar on a strategy whose fault has yet to strike takes back what rests, to have room."""


def bars(name: str, count: int, volume: tuple[float, float], start: int = START) -> list[Bar]:
    """Return ``count`` bars of a second each from ``start`` on, a walk within the band."""
    chance = Random(f"market:{name}")
    low, high = 10 * (PRICE - BAND), 10 * (PRICE + BAND)
    tick, made = 10 * PRICE, []
    for number in range(count):
        first = tick
        tick = min(high, max(low, tick + chance.randint(-400, 400)))
        top = min(high, max(first, tick) + chance.randint(0, 200))
        bottom = max(low, min(first, tick) - chance.randint(0, 200))
        made.append(
            Bar(
                BTC,
                start + number * SECOND_MS,
                first / 10,
                top / 10,
                bottom / 10,
                tick / 10,
                round(chance.uniform(*volume), 3),
                SECOND_MS,
            )
        )
    return made


class Restless(Strategy):
    """A strategy that does something at almost every bar: what, is a function of seed and bar."""

    seed: str = ""
    hedge: bool = False
    start: int = START
    takes_back: bool = False
    clears: bool = False
    heard: list[Bar]

    def on_bar(self, bar: Bar) -> Intents:
        self.heard.append(bar)
        number = (bar.timestamp - self.start) // SECOND_MS
        chance = Random(f"{self.seed}:{START + number * SECOND_MS}")
        if number >= ACTIVE_S:
            return ()
        if self.takes_back and number % 3:
            # One that nobody meets, and then all of them back.
            far = Decimal(repr(bar.close)) - 2_000
            policy = ExecutionPolicy(OrderType.LIMIT, limit_price=far)
            book = PositionSide.LONG if self.hedge else PositionSide.BOTH
            asked = self.desk.open(
                BTC, Side.BUY, Decimal("0.004"), position_side=book, policy=policy
            )
            return (asked if number % 3 == 1 else self.desk.cancel(BTC),)
        if self.clears and number >= CLEARS_FROM and not number % 3:
            return (self.desk.cancel(BTC),)
        return tuple(self._one(bar, chance) for _ in range(chance.choice([0, 1, 1, 2, 3])))

    def _one(self, bar: Bar, chance: Random) -> Asked:
        sides = [PositionSide.LONG, PositionSide.SHORT] if self.hedge else [PositionSide.BOTH]
        book = chance.choice(sides)
        held = self.desk.position(BTC, book)
        if held and chance.random() < 0.4:
            return self._leaving(bar, chance, book, held)
        if chance.random() < 0.15:
            return self.desk.cancel(BTC)
        return self._entering(bar, chance, book)

    def _entering(self, bar: Bar, chance: Random, book: PositionSide) -> Asked:
        side = chance.choice([Side.BUY, Side.SELL])
        if book is not PositionSide.BOTH:
            side = Side.BUY if book is PositionSide.LONG else Side.SELL
        quantity = Decimal(chance.randint(4, 70)).scaleb(-3)
        policy = ExecutionPolicy()
        if chance.random() < 0.7:
            policy = self._resting(bar, chance, side)
        return self.desk.open(BTC, side, quantity, position_side=book, policy=policy)

    def _resting(self, bar: Bar, chance: Random, side: Side) -> ExecutionPolicy:
        away = Decimal(chance.choice([-20, 0, 10, 20, 40, 80, 2_000]))
        price = Decimal(repr(bar.close)) - away * side.sign
        if chance.random() < 0.3:
            fallback = MarketFallback((FallbackOn.TIMEOUT,)) if chance.random() < 0.5 else None
            wait_ms = chance.choice([500, 1_500, 4_000])
            return ExecutionPolicy(
                OrderType.LIMIT, limit_price=price, timeout_ms=wait_ms, fallback=fallback
            )
        return ExecutionPolicy(OrderType.LIMIT, limit_price=price)

    def _leaving(self, bar: Bar, chance: Random, book: PositionSide, held: Decimal) -> Asked:
        desk, sign = self.desk, 1 if held > 0 else -1
        price = Decimal(repr(bar.close))
        match chance.randrange(4):
            case 0:
                return desk.close(BTC, position_side=book)
            case 1:
                return desk.set_stop(BTC, price - sign * 60, position_side=book)
            case 2:
                return desk.set_take_profit(BTC, price + sign * 40, position_side=book)
            case _:
                part = max(Decimal("0.001"), (abs(held) / 2).quantize(Decimal("0.001")))
                return desk.partial_close(BTC, part, position_side=book)


def restless(plan: Plan, start: int, heard: list[Bar]) -> StrategySpec:
    """Return the strategy of a run whose market begins at ``start``; it notes what it hears."""

    def made(desk: Desk, params: StrategyParams) -> Restless:
        strategy = Restless(desk, params)
        strategy.seed, strategy.hedge, strategy.start = plan.name, plan.hedge, start
        strategy.takes_back, strategy.clears, strategy.heard = plan.takes_back, plan.alone, heard
        return strategy

    factory: Callable[[Desk, StrategyParams], Strategy] = made
    return StrategySpec("restless", factory, StrategyParams(), (BTC,))
