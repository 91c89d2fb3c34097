"""What a strategy's actor is given by its session, and what it remembers there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.strategy.warming import Known
from messages import Bar, PauseIntent, PositionSide
from state.instruments import Instrument
from strategies import Desk
from strategies.plans import PlanKeeper


@dataclass(slots=True)
class Memory:
    """What a strategy's actor remembers of its earlier incarnations, besides desk and plans."""

    backoff: list[list[Any]] | None = None
    """The newest state of the strategy's backoff: a crash must not forgive what was refused."""
    whole: bool = False
    """Whether the next incarnation comes after no failure: nothing that was asked for is lost."""
    before: tuple[Bar, ...] = ()
    """Bars from before the session, with which the next incarnation warms up."""
    known: Known | None = None
    """Where it may find what was made of the same bars earlier."""


@dataclass(frozen=True, slots=True)
class House:
    """
    What a strategy's actor is given by its session, the same for every incarnation.

    ``sides`` are the books of each symbol; ``pause`` places the hold that a PAUSE_TRADING asks for.
    """

    desk: Desk
    plans: PlanKeeper
    instruments: Mapping[str, Instrument]
    sides: Mapping[str, Sequence[PositionSide]]
    pause: Callable[[PauseIntent], object]
    save: Callable[[str], None]
    books: dict[tuple[str, PositionSide], str] = field(default_factory=dict)
    """The strategy's own state of each book, as it was last seen."""
    memory: Memory = field(default_factory=Memory)


def state_of(
    house: House, strategy: Any, backoff: list[list[Any]] | None, *, failed: bool = False
) -> str:
    """Return a strategy's state as JSON, its own part included; raises if that is not ready."""
    state: dict[str, Any] = {
        "strategy": strategy,
        "desk": house.desk.snapshot(),
        "plans": house.plans.snapshot(),
        "backoff": backoff,
        "books": [
            [symbol, side.value, text] for (symbol, side), text in sorted(house.books.items())
        ],
    }
    if failed:
        state["failed"] = True
    return json.dumps(state, separators=(",", ":"), sort_keys=True)
