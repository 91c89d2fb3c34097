"""Sessions in which ladders trade: markets, faulty venues, crashes, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from session_world import MINUTE, START, World, instruments_of, make_spec

from actors.assembly import StrategySpec
from actors.strategy import StrategyActor
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    ExecutionReport,
    Fill,
    Intent,
    OpenFollowUp,
    OrderEvent,
    PositionMode,
    PositionSide,
    ReduceFollowUp,
)
from scenarios.faults import FaultyBroker
from scenarios.model.steps import FaultKind, VenueFault
from strategies.desk import FINAL
from strategies.ladder import LadderStrategy
from strategies.ladder.book import Book
from strategies.loader import load_strategy, parse_params, resolve_lot_method

HYPE = "HYPE/USDT:USDT"
BookKey = tuple[str, PositionSide]


def ladder_spec(use: str, symbols: Sequence[str] = (HYPE,), **params: Any) -> StrategySpec:
    """Return a shipped ladder as a strategy of a session."""
    loaded = load_strategy(use)
    return StrategySpec(
        "one",
        loaded.factory,
        parse_params(loaded, params),
        tuple(symbols),
        resolve_lot_method(loaded, None),
    )


def wander(count: int, seed: int, *, symbol: str = HYPE, step: int = 60, dip: int = 0) -> list[Bar]:
    """Return a random walk in cents from 25.00 on, with gaps; ``dip`` pulls it down at first."""
    chance = Random(f"{seed}:{symbol}")
    found, cents = [], 2_500
    for number in range(count):
        open_ = max(100, cents + (chance.randrange(-step, step) if chance.random() < 0.1 else 0))
        drift = -dip if number < count // 2 else dip
        cents = max(100, open_ + drift + chance.randrange(-step, step + 1))
        high = max(open_, cents) + chance.randrange(step // 2 + 1)
        low = max(1, min(open_, cents) - chance.randrange(step // 2 + 1))
        found.append(
            Bar(
                symbol,
                START + number * MINUTE,
                open_ / 100,
                high / 100,
                low / 100,
                cents / 100,
                float(chance.randrange(1, 40)),
                MINUTE,
            )
        )
    return found


def ladder_world(
    bars: Sequence[Bar] | Mapping[str, Sequence[Bar]],
    spec: StrategySpec,
    *,
    hedge: bool = False,
    rules: Mapping[str, Any] | None = None,
    **settings: Any,
) -> World:
    """Return the world of a ladder over ``bars``, at a venue that can be made faulty."""
    by_symbol = bars if isinstance(bars, Mapping) else {bars[0].symbol: bars}
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    instruments = instruments_of(by_symbol, Decimal(5), **(rules or {}))
    made = make_spec(
        MemoryFeed(by_symbol),
        spec,
        instruments=instruments,
        position_mode=mode,
        **settings,
    )
    world = World(replace(made, broker=FaultyBroker))
    broker = venue(world)
    broker.clock = world.assembly.clock
    broker.deliver_late = lambda report: world.assembly.dispatcher.tell(
        world.assembly.execution_cell, report, "venue"
    )
    return world


def venue(world: World) -> FaultyBroker:
    """Return the world's venue."""
    broker = world.assembly.broker
    assert isinstance(broker, FaultyBroker)
    return broker


def strike_at(world: World, turn: int, fault: FaultKind, count: int = 1, **more: Any) -> None:
    """Let the venue misbehave from a turn on, so often."""
    told = VenueFault(fault=fault, count=count, **more)
    world.before_turn(turn, lambda _world: venue(world).strike(told))


def crash_at(world: World, turn: int) -> None:
    """Let the strategy fail right before a turn."""

    def crash(_world: World) -> None:
        cell = world.cell("strategy:one")
        if cell.runs:
            cell.failures += 1
            world.assembly.supervisor.actor_failed(cell, None, RuntimeError("a drill"))

    world.before_turn(turn, crash)


def ladder(world: World) -> LadderStrategy:
    """Return the strategy's newest incarnation."""
    actor = world.cell("strategy:one").actor
    assert isinstance(actor, StrategyActor)
    assert isinstance(actor.strategy, LadderStrategy)
    return actor.strategy


def books_of(world: World) -> list[Book]:
    """Return the books of the strategy's newest incarnation."""
    return list(ladder(world)._all_books())


def book_of(world: World, side: PositionSide = PositionSide.BOTH, symbol: str = HYPE) -> Book:
    """Return one book."""
    return next(b for b in books_of(world) if b.symbol == symbol and b.side is side)


# -- what came of it


def intents_of(world: World) -> list[Intent]:
    """Return what the strategy asked for, without what its policies had follow."""
    return [
        intent
        for intent in world.all(Intent)
        if not isinstance(intent, OpenFollowUp | ReduceFollowUp)
    ]


def tags_of(world: World) -> dict[str, str]:
    """Return the tag of every order by its id."""
    return {intent.intent_id: intent.tag for intent in world.all(Intent)}


def fills_of(world: World) -> list[tuple[Fill, ExecutionReport]]:
    """Return every fill with the report that brought it, in order."""
    return [(r.fill, r) for r in world.reports() if r.fill is not None]


def most_held(world: World) -> dict[BookKey, Decimal]:
    """Return the largest position, unsigned, that each book ever had."""
    most: dict[BookKey, Decimal] = defaultdict(Decimal)
    for fill, report in fills_of(world):
        assert report.booking is not None
        key = (fill.symbol, fill.position_side)
        most[key] = max(most[key], abs(report.booking.quantity))
    return dict(most)


def live_at_once(world: World) -> Iterator[tuple[Intent, list[Intent]]]:
    """
    Yield, whenever an order has been accepted, it and the others of its book that live then.

    Those of the same intent are left out, and those between which one takes the other's place: it
    is about to end it.
    """
    intents = {intent.intent_id: intent for intent in world.all(Intent)}
    live: dict[str, Intent] = {}
    for report in world.reports():
        intent = intents.get(report.order_id)
        if intent is None:
            continue
        if report.status in FINAL:
            live.pop(report.order_id, None)
        elif report.event is OrderEvent.SENT:
            live[report.order_id] = intent
        if report.event is OrderEvent.ACCEPTED and report.order_id in live:
            root = getattr(intent, "root_id", "") or intent.intent_id
            yield (
                intent,
                [
                    other
                    for name, other in live.items()
                    if name not in (intent.intent_id, root, intent.replaces)
                    and other.replaces not in (intent.intent_id, root)
                    and getattr(other, "root_id", "") not in (root, intent.replaces or "-")
                    and other.symbol == intent.symbol
                    and other.position_side is intent.position_side
                ],
            )
