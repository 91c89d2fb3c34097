"""Why a symbol does or does not trade: causes, and whom they leave a way."""

from __future__ import annotations

from typing import Any

import pytest
from safety_world import Daemon, daemon
from session_world import BTC, ETH, flat, on_bars

from actors import inspection
from messages import CommandVerb, HoldMode, Scope


def house() -> Daemon:
    """Return a session of two strategies, both on one symbol, one on another too."""
    bars = {BTC: flat(BTC, 6), ETH: flat(ETH, 6)}
    one, two = on_bars({}).spec("one", (BTC, ETH)), on_bars({}).spec("two", (BTC,))
    return daemon(bars, one, two).begin().play(2)


def explained(world: Daemon, symbol: str = BTC) -> dict[str, Any]:
    return inspection.explain(world.session, symbol)


def test_nothing_in_the_way_is_said() -> None:
    """Every strategy may open in both directions, and none asks."""
    document = explained(house())

    assert document["may_open"]
    assert ["one long", "one short", "two long", "two short"] == document["open_to"]
    assert ["nothing"] == [cause["stops"] for cause in document["causes"]]


@pytest.mark.parametrize(
    ("scope", "open_to"),
    [
        (Scope(), []),
        (Scope(symbol=BTC), []),
        (Scope(venue="paper"), []),
        (Scope(strategy="one"), ["two long", "two short"]),
        (Scope(side="long"), ["one short", "two short"]),
        (Scope(strategy="two", side="short"), ["one long", "one short", "two long"]),
    ],
)
def test_a_hold_closes_what_it_covers_and_no_more(scope: Scope, open_to: list[str]) -> None:
    """A hold of one strategy or side is a part, and who may still open is named."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=scope)
    document = explained(world)

    assert open_to == document["open_to"]
    assert bool(open_to) is document["may_open"]
    expected = "part of opening" if open_to else "opening"
    assert [expected] == [cause["stops"] for cause in document["causes"]]


def test_a_hold_of_something_else_is_no_cause() -> None:
    """Another symbol's hold, and one of a strategy that does not trade the symbol, say nothing."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(symbol=BTC))
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(strategy="two"))

    assert explained(world, ETH)["may_open"]
    assert ["nothing"] == [cause["stops"] for cause in explained(world, ETH)["causes"]]


def test_parts_add_up_to_the_whole() -> None:
    """Two holds that each close a part close it all together."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(side="long"))
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(side="short"))
    document = explained(world)

    assert not document["may_open"]
    assert ["part of opening"] * 2 == [cause["stops"] for cause in document["causes"]]


def test_a_quarantined_strategy_is_a_part() -> None:
    """The other strategy of the symbol trades on, and the hold and the state are both named."""
    world = house()
    world.assembly.supervisor.hold_open(
        "quarantine:one",
        "it failed",
        mode=HoldMode.DRAIN,
        scope=Scope(strategy="one"),
        latched=True,
    )
    document = explained(world)

    assert ["two long", "two short"] == document["open_to"]
