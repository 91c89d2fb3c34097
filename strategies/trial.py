"""
A strategy tried out before anything depends on it: that it is made, and its state comes back.

What can be seen of a fresh object is looked at here. Whether the state of a strategy that has
traded comes back as it was, only its own tests and scenarios can tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from messages import MinimumOrder, PositionSide
from state.instruments import Instrument
from strategies.blame import Place, own_files, place_of_class, place_of_error, place_of_hook, told
from strategies.contract import Strategy, StrategyParams
from strategies.desk import Desk
from strategies.loader import StrategyLoadError

SOME_TIME: Final = 1_704_067_200_000
"""What the clock of a trial shows, 2024-01-01: a strategy may look at it when it is made."""


@dataclass(slots=True)
class Stopped:
    """A clock that stands still."""

    now: int = SOME_TIME


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a strategy is made of, as a session would make it."""

    name: str
    factory: Callable[[Desk, StrategyParams], Strategy]
    params: StrategyParams
    sides: Mapping[str, Sequence[PositionSide]]
    restricted: tuple[str, ...] = ()
    instruments: Mapping[str, Instrument] = field(default_factory=dict)

    def made(self) -> Strategy:
        """Return a fresh object at a desk of its own; ``StrategyLoadError`` says what it raised."""
        desk = Desk(
            self.name,
            tuple(self.sides),
            prefix="trial",
            clock=Stopped(),
            restricted=self.restricted,
            sides=self.sides,
            instruments=self.instruments,
        )
        try:
            return self.factory(desk, self.params)
        except Exception as error:
            raise StrategyLoadError(f"strategy {self.name!r}: {self._told(error)}") from error

    def problems(self) -> list[str]:
        """
        Return what is wrong with the hooks that keep its state, each with file and line.

        Snapshots must be JSON-ready and come back on a fresh object, and so must the state of
        each book; the backoff must be one object, or what it has counted is lost.
        """
        found: list[str] = []
        first = self.made()
        saved = self._tried(found, "snapshot", lambda: json.dumps(first.snapshot(), sort_keys=True))
        if saved is not None:
            second = self.made()
            back = self._tried(found, "restore", lambda: second.restore(json.loads(saved)))
            if back is not None:
                self._compare(found, saved, second)
        for symbol, sides in self.sides.items():
            minimum = MinimumOrder(symbol, SOME_TIME)
            self._tried(found, "set_broker_min_order", partial(first.set_broker_min_order, minimum))
            for side in sides:
                self._try_book(found, first, symbol, side)
        backoff = self._tried(found, "execution_backoff", lambda: self._backoffs(first))
        if backoff is False:
            found.append(
                f"{self._place('execution_backoff')}: execution_backoff returned another object "
                "the second time, expected always the same"
            )
        return list(dict.fromkeys(found))

    def _compare(self, found: list[str], saved: str, restored: Strategy) -> None:
        again = self._tried(
            found, "snapshot", lambda: json.dumps(restored.snapshot(), sort_keys=True)
        )
        if again is not None and again != saved:
            found.append(
                f"{self._place('restore')}: a fresh object that restored {saved} gives {again}, "
                "expected the same"
            )

    def _try_book(
        self, found: list[str], strategy: Strategy, symbol: str, side: PositionSide
    ) -> None:
        text = self._tried(
            found, "book_state", lambda: msgspec.json.encode(strategy.book_state(symbol, side))
        )
        if text is not None:
            self._tried(
                found,
                "restore_book",
                lambda: strategy.restore_book(symbol, side, json.loads(text)),
            )

    def _backoffs(self, strategy: Strategy) -> bool:
        return strategy.execution_backoff() is strategy.execution_backoff()

    def _tried(self, found: list[str], hook: str, call: Callable[[], Any]) -> Any:
        """Return what ``call`` returns, ``None`` where it raises, which is noted."""
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            found.append(self._told(error, hook))
            return None
        return True if result is None else result

    def _told(self, error: Exception, hook: str = "") -> str:
        what = told(error)
        place = place_of_error(error, own_files(self.factory))
        if place is not None:
            return f"{place}: {what}"
        where = self._place(hook)
        ready = hook not in {"snapshot", "book_state"}
        return f"{where}: {what}" if ready else f"{where}: {hook} is not JSON-ready: {error}"

    def _place(self, hook: str) -> Place | str:
        if not isinstance(self.factory, type):
            return self.name
        return place_of_hook(self.factory, hook) or place_of_class(self.factory) or self.name
