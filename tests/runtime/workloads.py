"""Strategies that do a bit of everything, as scripts of plain values that can be shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from session_world import BTC, ETH, PERP, Script, Scripted, walk

from actors.assembly import StrategySpec
from messages import (
    Bar,
    ExecutionPolicy,
    ExecutionReport,
    FallbackOn,
    Fill,
    IfAbsent,
    Maker,
    MarketFallback,
    OrderEvent,
    OrderType,
    PartialFill,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
    ReasonCode,
    Reprice,
    Retry,
    Side,
    TimeInForce,
)
from strategies import Desk
from strategies.contract import Rejection
from strategies.sma_cross import SmaCross, SmaCrossParams

SYMBOLS = (BTC, ETH, PERP)
KINDS = (
    "market",
    "limit",
    "ioc",
    "post_only",
    "stop",
    "stop_limit",
    "take_profit",
    "trailing",
    "close",
    "close_too_much",
    "cancel_last",
    "cancel_all",
    "cancel_unknown",
    "nothing_asked",
    "unknown_symbol",
    "expiring",
    "too_late",
    "pursued",
    "repriced",
    "retried",
    "prefers",
    "worth",
    "unsized",
    "set_stop",
    "set_target",
    "trail",
    "close_all",
    "close_what_is_there",
    "plan",
    "plan_here",
    "no_plan",
    "pause",
)
ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))


@dataclass(frozen=True)
class Step:
    """One thing that a strategy does at one of its bars."""

    bar: int
    kind: str
    side: Side = Side.BUY
    lots: int = 1
    cents: int = 0


def act(desk: Desk, bar: Bar, step: Step, last: str) -> Any:
    """Return the intent of one step at ``bar``; ``last`` is the newest own order."""
    price = Decimal(repr(bar.close)) + Decimal(step.cents) / 100
    quantity = Decimal(step.lots) / 4
    symbol, side = bar.symbol, step.side
    policies = {
        "market": ExecutionPolicy(),
        "limit": ExecutionPolicy(OrderType.LIMIT, limit_price=price),
        "ioc": ExecutionPolicy(OrderType.LIMIT, TimeInForce.IOC, limit_price=price),
        "post_only": ExecutionPolicy(OrderType.LIMIT, maker=Maker.ONLY, limit_price=price),
        "stop": ExecutionPolicy(OrderType.STOP, stop_price=price),
        "stop_limit": ExecutionPolicy(OrderType.STOP_LIMIT, stop_price=price, limit_price=price),
        "take_profit": ExecutionPolicy(OrderType.TAKE_PROFIT, stop_price=price),
        "trailing": ExecutionPolicy(OrderType.TRAILING_STOP, trail_bps=Decimal(20)),
        "too_late": ExecutionPolicy(OrderType.LIMIT, limit_price=price, expire_at=desk.now),
        "expiring": ExecutionPolicy(
            OrderType.LIMIT, limit_price=price, expire_at=desk.now + 3 * bar.timeframe_ms
        ),
    }
    policies |= pursuing(price, bar)
    policy = policies.get(step.kind)
    if policy is not None:
        return desk.open(symbol, side, quantity, policy=policy, decision_price=bar.close)
    held = desk.position(symbol)
    out = Side.SELL if held > 0 else Side.BUY
    match step.kind:
        case "close":
            return desk.reduce(symbol, out, abs(held) or quantity)
        case "close_too_much":
            return desk.reduce(symbol, out, abs(held) + quantity)
        case "cancel_last":
            return desk.cancel(symbol, last)
        case "cancel_all":
            return desk.cancel(symbol)
        case "cancel_unknown":
            return desk.cancel(symbol, "nobody's")
        case "worth":
            return desk.add(symbol, side, notional=quantity * 100)
        case "unsized":
            return desk.open(symbol, side)
        case "pause":
            return desk.pause(desk.now + 2 * bar.timeframe_ms, "a bad day", symbol=symbol)
        case "nothing_asked":
            return desk.open(symbol, side, Decimal(0))
        case "unknown_symbol":
            return desk.open("DOGE/USDT", side, quantity)
        case _:
            return leave(desk, symbol, price, held, step)


def pursuing(price: Decimal, bar: Bar) -> dict[str, ExecutionPolicy]:
    """Return the policies that permit more than one order, around ``price``."""
    both = MarketFallback((FallbackOn.REJECT, FallbackOn.TIMEOUT))
    minute = bar.timeframe_ms
    return {
        "pursued": ExecutionPolicy(
            OrderType.LIMIT,
            limit_price=price,
            timeout_ms=2 * minute,
            fallback=both,
            slippage_bps_max=Decimal(80),
        ),
        "repriced": ExecutionPolicy(
            OrderType.LIMIT,
            limit_price=price,
            timeout_ms=5 * minute,
            reprice=Reprice(minute, 2, price * 2, Decimal(5)),
        ),
        "retried": ExecutionPolicy(
            OrderType.LIMIT,
            TimeInForce.IOC,
            limit_price=price,
            retry=Retry(2, (ReasonCode.IOC_REMAINDER,), minute),
            partial=PartialFill.ACCEPT,
            fallback=both,
        ),
        "prefers": ExecutionPolicy(OrderType.LIMIT, maker=Maker.PREFER, limit_price=price),
    }


def leave(desk: Desk, symbol: str, price: Decimal, held: Decimal, step: Step) -> Any:
    """Return an intent that protects or leaves a position, or plans to."""
    away = Decimal(1 + step.lots) / 4
    sign = 1 if held > 0 else -1
    match step.kind:
        case "set_stop":
            return desk.set_stop(symbol, price - sign * away)
        case "set_target":
            return desk.set_take_profit(symbol, price + sign * away)
        case "trail":
            return desk.trail(symbol, Decimal(20))
        case "close_all":
            return desk.close(symbol)
        case "close_what_is_there":
            policy = ExecutionPolicy(if_absent=IfAbsent.SYNC)
            return desk.partial_close(symbol, abs(held) + away, policy=policy)
        case "no_plan":
            return desk.update_plan(symbol, None)
        case _:
            plan = Plan(
                PlanStop(distance_bps=away * 40),
                (
                    PlanTarget(distance_bps=away * 30, share=Decimal("0.5")),
                    PlanTarget(distance_bps=away * 60, share=Decimal("0.5")),
                ),
                PlanTrail(Decimal(15), activate_distance_bps=away * 20),
                (PlanAdd(distance_bps=away * 20, quantity=Decimal("0.5")),),
                desk.now + 8 * 60_000,
                place=PlanPlace.HERE if step.kind == "plan_here" else PlanPlace.VENUE,
            )
            return desk.update_plan(symbol, plan)


def trader(steps: Sequence[Step], *, reacts: bool = True) -> Script:
    """
    Return a script that takes ``steps``, each at its bar over all symbols together.

    One that ``reacts`` also answers: a fill of an opening order with a close of half of it, a
    refusal with one smaller order, an acceptance of a stop with nothing.
    """
    by_bar: dict[int, list[Step]] = {}
    for step in steps:
        by_bar.setdefault(step.bar, []).append(step)
    script = Script()
    newest = [""]

    def on_bar(strategy: Scripted, bar: Bar) -> Any:
        intents = [
            act(strategy.desk, bar, step, newest[0])
            for step in by_bar.get(len(script.seen) - 1, ())
        ]
        return intents or None

    def on_fill(strategy: Scripted, fill: Fill) -> Any:
        if not reacts or fill.side is Side.SELL:
            return None
        return [strategy.desk.reduce(fill.symbol, Side.SELL, fill.quantity / 2)]

    def on_update(_strategy: Scripted, report: ExecutionReport) -> Any:
        if report.event is OrderEvent.SENT:
            newest[0] = report.order_id

    def on_refusal(strategy: Scripted, rejection: Rejection) -> Any:
        if not reacts or len(script.told) % 3:
            return None
        return [strategy.desk.open(rejection.symbol, Side.BUY, Decimal("0.25"))]

    script.on_bar, script.on_fill = on_bar, on_fill
    script.on_update, script.on_refusal = on_update, on_refusal
    return script


def busy_steps(seed: int, bars: int, per_bar: float) -> list[Step]:
    """Return random steps, a function of ``seed``: about ``per_bar`` of them at every bar."""
    chance = Random(f"steps:{seed}")
    return [
        Step(
            number,
            chance.choice(KINDS),
            chance.choice((Side.BUY, Side.BUY, Side.SELL)),
            chance.randrange(1, 9),
            chance.randrange(-150, 151),
        )
        for number in range(bars)
        for _ in range(3)
        if chance.random() < per_bar / 3
    ]


def market(bars: int, seed: int = 7) -> dict[str, list[Bar]]:
    """Return three markets that are not always open at the same time."""
    full = {symbol: walk(symbol, bars, seed) for symbol in SYMBOLS}
    full[ETH] = [bar for number, bar in enumerate(full[ETH]) if number % 5]
    full[PERP] = full[PERP][2:-2]
    return full


def sma(name: str = "sma", symbols: tuple[str, ...] = (BTC,)) -> StrategySpec:
    params = SmaCrossParams(fast=2, slow=5)
    return StrategySpec(name, SmaCross, params, symbols)  # type: ignore[arg-type]


def round_trips() -> Script:
    """Return a script that buys and sells by turns and keeps one order far below the market."""
    script = Script()

    def decide(strategy: Any, bar: Bar) -> Any:
        desk = strategy.desk
        number = len(script.seen)
        if number == 1:
            return [desk.open(bar.symbol, Side.BUY, ONE, policy=FAR_BELOW)]
        if desk.position(bar.symbol):
            return [desk.reduce(bar.symbol, Side.SELL, desk.position(bar.symbol))]
        return [desk.open(bar.symbol, Side.BUY, ONE)]

    script.on_bar = decide
    return script
