"""Sessions in which grids trade, and what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from ladder_makers import HYPE, fills_of, intents_of, ladder_spec, ladder_world, tags_of
from session_world import World, closes

from actors.strategy import StrategyActor
from messages import Bar, ExecutionReport, Fill, Intent, OrderEvent, PositionSide
from strategies.desk import FINAL
from strategies.grid import Grid
from strategies.grids.book import Book

SPOT = "HYPE/USDT"
Level = tuple[PositionSide, str]

PLAIN: dict[str, Any] = {
    "quantity": 1,
    "lower": 24,
    "upper": 26,
    "levels": 4,
    "spacing": "arithmetic",
}
"""Lines at 24, 24.5, 25, 25.5 and 26."""


def grid_world(
    bars: Sequence[Bar] | Sequence[float],
    *,
    hedge: bool = False,
    rules: dict[str, Any] | None = None,
    symbol: str = HYPE,
    plain: bool = True,
    participation: str = "1",
    queued: bool = False,
    **params: Any,
) -> World:
    """Return the world of a grid over bars, or over bars with these closes."""
    found = [bar for bar in bars if isinstance(bar, Bar)] or closes(symbol, bars)  # type: ignore[arg-type]
    spec = ladder_spec("grid", (symbol,), **(PLAIN if plain else {}) | params)
    return ladder_world(
        found,
        spec,
        hedge=hedge,
        rules=rules,
        participation=Decimal(participation),
        queued=queued,
    )


def grid(world: World) -> Grid:
    """Return the strategy's newest incarnation."""
    actor = world.cell("strategy:one").actor
    assert isinstance(actor, StrategyActor)
    assert isinstance(actor.strategy, Grid)
    return actor.strategy


def books_of(world: World) -> list[Book]:
    """Return the books of the strategy's newest incarnation."""
    return list(grid(world)._all_books())


def asked(world: World, word: str = "") -> list[str]:
    """Return the tags of what was asked for, in order."""
    return [intent.tag for intent in intents_of(world) if word in intent.tag]


def traded(world: World) -> list[tuple[str, Decimal, Decimal]]:
    """Return (tag, quantity, price) of every fill, in order."""
    tags = tags_of(world)
    return [(tags.get(f.order_id, ""), f.quantity, f.price) for f, _ in fills_of(world)]


def level_of(intent: Intent) -> Level | None:
    """Return the level that an intent is of, ``None`` for what is of none."""
    words = intent.tag.split()
    return (intent.position_side, words[2]) if len(words) == 3 else None


def live_orders(world: World) -> Iterator[dict[str, Intent]]:
    """Yield, after every step of an order, the orders that live at the venue, by id."""
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
        yield live


def held_by_level(world: World) -> Iterator[tuple[Fill, dict[Level, Decimal]]]:
    """Yield, after every fill, it and what each level holds; a stop takes off all of a book."""
    intents = {intent.intent_id: intent for intent in world.all(Intent)}
    held: dict[Level, Decimal] = defaultdict(Decimal)
    for fill, report in fills_of(world):
        intent = intents[fill.order_id]
        level = level_of(intent)
        if level is not None:
            held[level] += fill.quantity if " open " in intent.tag else -fill.quantity
        if _is_flat(report):
            for key in [key for key in held if key[0] is fill.position_side]:
                del held[key]
        yield fill, held


def _is_flat(report: ExecutionReport) -> bool:
    return report.booking is not None and not report.booking.quantity


def wrong_lots(world: World) -> list[str]:
    """Return the closings that the ledger booked against another level's lot."""
    tags, lots, wrong = tags_of(world), {}, []
    for fill, report in fills_of(world):
        tag = tags.get(fill.order_id, "")
        if " open " in tag:
            lots[f"L-{fill.trade_id}"] = tag.split()[2]
        elif " close " in tag:
            assert report.booking is not None
            of = {lots[lot_id] for lot_id in report.booking.lot_ids}
            if of != {tag.split()[2]}:
                wrong.append(f"{tag}: {sorted(of)}")
    return wrong
