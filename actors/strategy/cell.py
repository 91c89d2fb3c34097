"""The cell of a strategy: how it is made, kept to what it may say, and told where it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.runtime import Cell, Effect
from actors.strategy.actor import StrategyActor
from actors.strategy.house import House
from messages import Lane, Message
from strategies import Desk, Strategy
from strategies.blame import own_files, place_of_error, told
from strategies.loader import StrategyLoadError


def strategy_cell(
    house: House,
    factory: Callable[..., Strategy],
    make: Callable[[Desk], Strategy],
    saved: Mapping[str, str],
    bounds: dict[Lane, int] | None,
) -> Cell:
    """
    Return the cell of the strategy at the desk of ``house``, whose class is ``factory``.

    A strategy whose first object cannot be made is an error of the session's input,
    ``StrategyLoadError``; a later one's is a failure like any other of its actor.
    """
    name = house.desk.strategy

    def incarnation() -> StrategyActor:
        try:
            return StrategyActor(house, make, saved.get(name))
        except Exception as error:
            if cell.incarnation:
                raise
            raise StrategyLoadError(
                f"strategy {name!r}: {place_of(None, error)}: {told(error)}"
            ) from error

    def check(effects: Iterable[Any]) -> tuple[Effect, ...]:
        assert isinstance(cell.actor, StrategyActor), "whoever returned something lives"
        return cell.actor.checked(effects)

    def place_of(message: Message | None, error: BaseException) -> str:
        if isinstance(cell.actor, StrategyActor):
            return cell.actor.place_of(message, error)
        return str(place_of_error(error, own_files(factory)) or name)

    cell = Cell(f"strategy:{name}", incarnation, bounds, check=check, place_of=place_of)
    return cell
