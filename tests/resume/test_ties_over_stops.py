"""Timers of one instant go off in one order, in whatever process of a session they were armed."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain

import pytest
from resumed_world import Disk, Process, run_cut, run_stopped
from session_world import BTC, ETH, START, Script, Scripted, make_spec, walk

from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    ExecutionPolicy,
    ExecutionReport,
    FallbackOn,
    MarketFallback,
    OrderType,
    Plan,
    ReduceIntent,
    RiskDecision,
    Side,
)
from strategies.contract import Intents

BARS = 20
MINUTE = 60_000
TOGETHER = START + 12 * MINUTE + 30_000
"""When the plans of both strategies close what they hold."""

TURN_OF = {"one": 5, "two": 3}
"""The turn at which each hands its plan in: the second one comes first."""


def script_of(name: str, symbols: tuple[str, ...]) -> Script:
    """Return a strategy that buys, plans to leave at a time, and remembers nothing."""

    def decide(strategy: Scripted, bar: Bar) -> Intents:
        if bar.timestamp != START + TURN_OF[name] * MINUTE or bar.symbol != symbols[-1]:
            return None
        plan = Plan(time_stop=TOGETHER)
        # In the order opposite to that of their names.
        return list(
            chain.from_iterable(
                (
                    strategy.desk.open(symbol, Side.BUY, Decimal(1)),
                    strategy.desk.update_plan(symbol, plan),
                )
                for symbol in reversed(symbols)
            )
        )

    script = Script()
    script.on_bar = decide
    return script


def spec_of() -> SessionSpec:
    """Return a session of two strategies whose timers are due at one instant."""
    symbols = (BTC, ETH)
    markets = {symbol: walk(symbol, BARS, 5) for symbol in symbols}
    specs = [script_of(name, symbols).spec(name, symbols) for name in ("one", "two")]
    return make_spec(MemoryFeed(markets), *specs)


def closed(process: Process) -> list[tuple[str, str]]:
    """Return in which order positions were closed, as (strategy, symbol)."""
    return [(intent.strategy, intent.symbol) for intent in process.all(ReduceIntent)]


def pursuers() -> SessionSpec:
    """Return a session of two strategies whose orders time out, and fall back, at one instant."""

    def buy(strategy: Scripted, bar: Bar) -> Intents:
        if bar.timestamp != START + 5 * MINUTE:
            return None
        policy = ExecutionPolicy(
            OrderType.LIMIT,
            limit_price=Decimal(50),
            timeout_ms=2 * MINUTE,
            fallback=MarketFallback((FallbackOn.TIMEOUT,)),
            slippage_bps_max=Decimal(9_000),
        )
        open_ = strategy.desk.open
        price = bar.close
        return [open_(bar.symbol, Side.BUY, Decimal(1), policy=policy, decision_price=price)]

    markets = {symbol: walk(symbol, BARS, 5) for symbol in (BTC, ETH)}
    specs = []
    for name, symbol in (("one", BTC), ("two", ETH)):
        script = Script()
        script.on_bar = buy
        specs.append(script.spec(name, (symbol,)))
    return make_spec(MemoryFeed(markets), *specs)


def steps(process: Process) -> list[tuple[str, str]]:
    """Return every decision and every step of an order, as (order, what), in its order."""
    return [
        (message.intent_id, message.verdict.value)
        if isinstance(message, RiskDecision)
        else (message.order_id, message.event.value)
        for message in (entry.message for entry in process.disk.entries)
        if isinstance(message, ExecutionReport | RiskDecision)
    ]


def test_a_stop_changes_nothing_about_what_is_done_first_of_what_is_due_at_it() -> None:
    """One order's time-out is gone through to its end, then the other's."""
    expected = steps(Process(pursuers(), Disk()).run())

    assert 4 == len([step for step in expected if step[1] == "approved"])
    for stop_at in range(1, BARS):
        assert expected == steps(run_stopped(pursuers, [stop_at])), f"before turn {stop_at}"


def test_a_stop_changes_nothing_about_which_timer_of_an_instant_is_first() -> None:
    """Before, between and after their arming."""
    expected = closed(Process(spec_of(), Disk()).run())

    assert 4 == len(expected)
    for stop_at in range(1, BARS):
        assert expected == closed(run_stopped(spec_of, [stop_at])), f"before turn {stop_at}"


@pytest.mark.exhaustive
def test_a_crash_changes_nothing_about_it_either() -> None:
    """Wherever a process may die without an order on its way."""
    whole = Process(spec_of(), Disk()).run()

    for cut_at, _ in whole.sure:
        found, _ = run_cut(spec_of, [cut_at])

        assert closed(whole) == closed(found), f"after batch {cut_at}"
