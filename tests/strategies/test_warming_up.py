"""Which shipped strategies look at what was before the session, and why the others need not."""

from __future__ import annotations

import pytest
from grid_makers import grid_world
from ladder_makers import HYPE, intents_of, ladder_spec, ladder_world
from session_world import flat

from messages import OpenIntent
from strategies.contract import Strategy
from strategies.loader import SHIPPED, load_strategy

LADDERS = ("dual_dca", "dual_dca_lifo")


@pytest.mark.parametrize("use", SHIPPED)
def test_every_strategy_warms_up_or_says_why_not(use: str) -> None:
    """One of the two, never both: nobody has forgotten it."""
    made = load_strategy(use).factory
    warms_up = made.warm_up is not Strategy.warm_up

    assert warms_up is not bool(made.no_warm_up)


@pytest.mark.parametrize("use", [*LADDERS, "grid"])
def test_what_needs_no_history_acts_on_its_first_bar(use: str) -> None:
    """A strategy that says so has nothing to wait for: the first close is enough."""
    bars = flat(HYPE, 1, 25.0)
    world = grid_world(bars) if use == "grid" else ladder_world(bars, ladder_spec(use))
    world.run()

    assert any(isinstance(each, OpenIntent) for each in intents_of(world))
