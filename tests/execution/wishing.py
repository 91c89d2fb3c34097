"""Strategies that wish for anything a policy can say, at venues where anything may go wrong."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from session_world import (
    BTC,
    ETH,
    MINUTE,
    PERP,
    Script,
    Scripted,
    World,
    instruments_of,
    make_spec,
    walk,
)

from feeds.memory import MemoryFeed
from messages import (
    Bar,
    ExecutionPolicy,
    FallbackOn,
    Fill,
    IfAbsent,
    Maker,
    MarketFallback,
    OrderType,
    PartialFill,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
    PositionMode,
    PositionSide,
    ReasonCode,
    Reprice,
    Retry,
    Side,
    TimeInForce,
)
from scenarios.faults import FaultyBroker
from scenarios.model.steps import FaultKind, VenueFault
from state.instruments import Instrument
from strategies import Desk

BARS = 40
RULES = {"lot_step": Decimal("0.25"), "price_tick": Decimal("0.05")}
OTHER_PERP = "ETH/USDT:USDT"
INSTRUMENTS = instruments_of((BTC, ETH, PERP, OTHER_PERP), Decimal(10), **RULES)

CODES = (
    ReasonCode.VENUE_REJECTED,
    ReasonCode.VENUE_RATE_LIMITED,
    ReasonCode.VENUE_REDUCE_ONLY,
    ReasonCode.POST_ONLY_WOULD_TAKE,
    ReasonCode.IOC_REMAINDER,
)
FAULTS = (
    FaultKind.REJECT,
    FaultKind.LOSE_ANSWERS,
    FaultKind.LOSE_REQUESTS,
    FaultKind.IGNORE_CANCELS,
    FaultKind.DELAY_ACCEPTANCE,
    FaultKind.SPLIT_FILLS,
    FaultKind.DUPLICATE_FILLS,
    FaultKind.REORDER_FILLS,
    FaultKind.DELAY_FILLS,
    FaultKind.LOSE_FILLS,
    FaultKind.MUTE_ORDERS,
    FaultKind.RATE_LIMIT,
    FaultKind.DOWN,
)


def some(chance: Random, share: float) -> bool:
    """Return true in about ``share`` of all cases."""
    return chance.random() < share


def policy_at(price: Decimal, minute: int, chance: Random) -> ExecutionPolicy:
    """Return a policy that contradicts nothing, around ``price``."""
    near = price + Decimal(chance.randrange(-120, 121)) / 100
    far = price + Decimal(chance.randrange(-120, 121)) / 100
    kind = chance.choice((OrderType.LIMIT,) * 5 + tuple(OrderType))
    limit = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    stop = kind in (
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    )
    rests = kind is OrderType.LIMIT
    lives = (TimeInForce.GTC,) * 3 + tuple(TimeInForce)
    return ExecutionPolicy(
        kind,
        chance.choice(lives) if rests else TimeInForce.GTC,
        chance.choice(tuple(Maker)) if rests else Maker.ANY,
        near if limit else None,
        far if stop else None,
        Decimal(chance.randrange(5, 40)) if kind is OrderType.TRAILING_STOP else None,
        timeout_ms=minute * chance.randrange(1, 5) if some(chance, 0.5) else None,
        reprice=_reprice(price, minute, chance) if rests and some(chance, 0.3) else None,
        fallback=_fallback(chance) if kind is not OrderType.MARKET and some(chance, 0.5) else None,
        retry=_retry(chance) if some(chance, 0.5) else None,
        slippage_bps_max=Decimal(chance.randrange(20, 200)) if some(chance, 0.3) else None,
        partial=chance.choice(tuple(PartialFill)),
        if_absent=chance.choice(tuple(IfAbsent)),
    )


def _reprice(price: Decimal, minute: int, chance: Random) -> Reprice:
    worst = price + Decimal(chance.randrange(-100, 101)) / 100
    return Reprice(minute, chance.randrange(1, 4), worst, Decimal(chance.randrange(10)))


def _fallback(chance: Random) -> MarketFallback:
    on = tuple(reason for reason in FallbackOn if some(chance, 0.6)) or (FallbackOn.TIMEOUT,)
    bound = Decimal(chance.randrange(10, 300)) if some(chance, 0.3) else None
    return MarketFallback(on, bound)


def _retry(chance: Random) -> Retry:
    codes = tuple(code for code in CODES if some(chance, 0.6)) or CODES[:1]
    return Retry(chance.randrange(1, 4), codes, chance.choice((500, MINUTE)), 2, 4 * MINUTE)


def plan_at(price: Decimal, long: bool, now: int, chance: Random) -> Plan:
    """Return a plan for a position that is long or short at about ``price``."""
    sign = 1 if long else -1
    step = Decimal(chance.randrange(20, 150)) / 100
    stop, trail, adds = None, None, ()
    if some(chance, 0.7):
        stop = PlanStop(distance_bps=step * 100)
        if some(chance, 0.5):
            stop = PlanStop(price=price - sign * step)
    if some(chance, 0.4):
        trail = PlanTrail(Decimal(20), activate_distance_bps=step * 40)
    if some(chance, 0.5):
        adds = (
            PlanAdd(distance_bps=step * 60, quantity=Decimal("0.5")),
            PlanAdd(price=price - sign * step / 2, notional=Decimal(60)),
        )
    share = Decimal(1) / 2
    retry = Retry(2, CODES, 500)
    targets = (
        PlanTarget(price=price + sign * step / 2, share=share),
        PlanTarget(
            distance_bps=step * 90, share=share, how=ExecutionPolicy(OrderType.LIMIT, retry=retry)
        ),
    )
    return Plan(
        stop,
        targets if stop is None or some(chance, 0.6) else (),
        trail,
        adds,
        now + 12 * MINUTE if some(chance, 0.4) else None,
        place=PlanPlace.HERE if some(chance, 0.3) else PlanPlace.VENUE,
    )


class Wishes:
    """One strategy's whims, a function of its seed."""

    def __init__(self, seed: str) -> None:
        """Start with ``seed``."""
        self.chance = Random(f"wishes:{seed}")
        self.script = Script(on_bar=self.on_bar, on_fill=self.on_fill, on_refusal=self.on_refusal)

    def on_bar(self, strategy: Scripted, bar: Bar) -> Any:
        """Wish for one or two things at many bars."""
        if not some(self.chance, 0.6):
            return None
        desk = strategy.desk
        return [
            self.wish(desk, bar.symbol, bar.close, chance_of=0.75)
            for _ in range(self.chance.randrange(1, 3))
        ]

    def on_fill(self, strategy: Scripted, fill: Fill) -> Any:
        """Protect what was opened, now and then."""
        desk, side = strategy.desk, fill.position_side
        held = desk.position(fill.symbol, side)
        if not held or not some(self.chance, 0.4):
            return None
        away = fill.price * Decimal("0.004") * (1 if held > 0 else -1)
        how = self.chance.choice((OrderType.STOP, OrderType.STOP))
        policy = ExecutionPolicy(how, retry=_retry(self.chance)) if some(self.chance, 0.4) else None
        return [desk.set_stop(fill.symbol, fill.price - away, position_side=side, policy=policy)]

    def on_refusal(self, strategy: Scripted, rejection: Any) -> Any:
        """Try something else after a refusal, seldom."""
        mark = strategy.script.seen[-1].close if strategy.script.seen else 100.0
        if rejection.symbol not in strategy.desk.symbols or not some(self.chance, 0.1):
            return None
        return [self.wish(strategy.desk, rejection.symbol, mark, chance_of=0.9)]

    def wish(self, desk: Desk, symbol: str, close: float, *, chance_of: float) -> Any:
        """Return one intent: an opening in ``chance_of`` of the cases where nothing is held."""
        chance = self.chance
        price = Decimal(repr(close))
        side = chance.choice(tuple(desk.books(symbol)))
        held = desk.position(symbol, side)
        if not held or some(chance, 0.35):
            if some(chance, chance_of):
                return self._opening(desk, symbol, side, price)
            return self._other(desk, symbol, side, price, held)
        return chance.choice((self._leaving, self._leaving, self._other))(
            desk, symbol, side, price, held
        )

    def _opening(self, desk: Desk, symbol: str, book: PositionSide, price: Decimal) -> Any:
        chance = self.chance
        way = {PositionSide.LONG: Side.BUY, PositionSide.SHORT: Side.SELL}.get(book)
        side = way or chance.choice((Side.BUY, Side.BUY, Side.SELL))
        quantity = Decimal(chance.randrange(1, 60)) / 20  # often between two lots
        terms: dict[str, Any] = {
            "position_side": book,
            "policy": policy_at(price, MINUTE, chance),
            "decision_price": price,
        }
        if some(chance, 0.2):
            return desk.add(symbol, side, notional=quantity * 100, **terms)
        if some(chance, 0.05):
            return desk.open(symbol, side, **terms)
        return desk.open(symbol, side, quantity, **terms)

    def _leaving(
        self, desk: Desk, symbol: str, book: PositionSide, price: Decimal, held: Decimal
    ) -> Any:
        chance = self.chance
        sign = 1 if held > 0 else -1
        away = Decimal(chance.randrange(5, 150)) / 100
        policy = policy_at(price, MINUTE, chance)
        terms: dict[str, Any] = {"position_side": book, "decision_price": price}
        match chance.randrange(5):
            case 0:
                return desk.close(symbol, policy=policy, **terms)
            case 1:
                part = abs(held) * Decimal(chance.randrange(2, 9)) / 6
                return desk.partial_close(symbol, part, policy=policy, **terms)
            case 2:
                return desk.set_stop(symbol, price - sign * away, **terms)
            case 3:
                rests = ExecutionPolicy(
                    OrderType.LIMIT,
                    retry=_retry(chance),
                    timeout_ms=6 * MINUTE if some(chance, 0.3) else None,
                )
                how = chance.choice((None, rests, ExecutionPolicy(OrderType.TAKE_PROFIT)))
                return desk.set_take_profit(symbol, price + sign * away, policy=how, **terms)
            case _:
                return desk.trail(symbol, Decimal(chance.randrange(10, 40)), **terms)

    def _other(
        self, desk: Desk, symbol: str, book: PositionSide, price: Decimal, held: Decimal
    ) -> Any:
        chance = self.chance
        match chance.randrange(6):
            case 0:
                return desk.cancel(symbol)
            case 1:
                unfinished = desk.unfinished(symbol, book)
                return desk.cancel(symbol, unfinished[-1].intent_id if unfinished else "nobody's")
            case 2:
                return desk.update_plan(symbol, None, position_side=book)
            case 3:
                return desk.pause(desk.now + 2 * MINUTE, "a whim", symbol=symbol)
            case _:
                long = held > 0 or (not held and book is not PositionSide.SHORT)
                plan = plan_at(price, long, desk.now, chance)
                return desk.update_plan(symbol, plan, position_side=book)


def unruly_world(seed: int, *, brackets: bool, hedge: bool = False) -> World:
    """
    Return a session, not yet run, of two whimsical strategies at a venue that has bad moments.

    In one-way mode they share a symbol. In hedge mode each has its own, long and short.
    """
    traded = ((PERP,), (OTHER_PERP,)) if hedge else ((BTC, ETH), (BTC, PERP))
    symbols = sorted({symbol for own in traded for symbol in own})
    spec = make_spec(
        MemoryFeed({symbol: walk(symbol, BARS, seed) for symbol in symbols}),
        Wishes(f"{seed}:one").script.spec("one", traded[0]),
        Wishes(f"{seed}:two").script.spec("two", traded[1]),
        cash=20_000,
        instruments=INSTRUMENTS,
        participation=Decimal("0.05"),
        brackets=brackets,
        position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
    )
    world = World(replace(spec, broker=FaultyBroker))
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    broker.clock = world.assembly.clock
    broker.deliver_late = lambda report: world.assembly.dispatcher.tell(
        world.assembly.execution_cell, report, "venue"
    )
    chance = Random(f"faults:{seed}")
    for _ in range(chance.randrange(4, 10)):
        fault = VenueFault(
            fault=chance.choice(FAULTS),
            count=chance.randrange(1, 4),
            by=chance.choice(("500ms", "90s")),
            code=chance.choice(CODES[:3]),
            parts=chance.randrange(2, 5),
        )
        world.before_turn(chance.randrange(BARS), lambda _world, fault=fault: broker.strike(fault))
    return world


def instruments() -> dict[str, Instrument]:
    """Return the instruments of the unruly world."""
    return INSTRUMENTS
