"""
Streaming indicators: any of talipp's, made fit for a session that runs for years.

Theory of operation. talipp computes an indicator one value at a time, which is what a strategy
needs, but it keeps every value for ever, it adds with the builtin ``sum`` (whose result for
floats differs between Python 3.11 and 3.12), and nothing of it survives a restart. ``Streaming``
wraps one talipp indicator and mends the three:

- *Arithmetic.* Every talipp module in use gets a global ``sum`` that is ``math.fsum``: the
  correctly rounded sum, the same everywhere.
- *Memory.* An indicator and those inside it keep what they have seen in lists, of which only the
  newest few are ever looked at again. The rest is dropped from time to time.
- *Restarts.* A snapshot holds the newest part of every one of those lists, so a restored indicator
  goes on bit for bit. Feeding the last bars anew would not do: Wilder's average, for one, still
  carries its first value.

Indicators are floats: observations, never money. What an order is made of becomes a ``Decimal`` by
``strategies.desk.exact``, from the value's own text.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from typing import Any, Final, get_type_hints

from talipp.indicators.Indicator import Indicator
from talipp.ohlcv import OHLCV

from messages import Bar

KEPT_LEAST: Final = 32
"""Newest values kept of every list, besides twice what the indicator's periods add up to."""

_REGISTERS: Final = ("sub_indicators", "managed_sequences", "output_listeners")
"""talipp's own lists of an indicator's parts: they hold lists and indicators, not values."""

_TERMS_REFUSED: Final = ("input_values", "input_indicator", "input_sampling")


class Streaming:
    """
    One talipp indicator, fed one bar or price at a time: ``Streaming(ATR, 14)``.

    ``keep`` is how many of the newest values of every list must stay for results to be what they
    would be with all of them; by default twice the sum of the whole numbers that the indicator is
    made with, and 32 more. No list is ever longer than twice that.

    Raises ``ValueError`` for an indicator that cannot be bounded (``ZigZag`` and ``PivotsHL`` count
    from the first bar for ever) or is not fed by ``add`` alone, ``TypeError`` for one whose state
    is of a kind that cannot be kept.
    """

    def __init__(
        self, kind: type[Indicator], *terms: Any, keep: int | None = None, **more: Any
    ) -> None:
        """Make the indicator with the terms that talipp gives it."""
        if kind.purge_oldest is not Indicator.purge_oldest:
            raise ValueError(f"{kind.__name__} cannot forget its oldest values, so it has no bound")
        for name in _TERMS_REFUSED:
            if more.get(name) is not None:
                raise ValueError(f"{kind.__name__}: {name} is given, expected values by add() only")
        self.name = _name_of(kind, terms, more)
        self.keep = _enough(kind, terms, more) if keep is None else keep
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}, expected at least 1")
        self.takes_bars = takes_bars(kind) or more.get("input_modifier") is not None
        self._indicator = kind(*terms, **more)
        self._parts = dict(_parts_of(self._indicator))
        self._since_trimmed = 0
        for part in self._parts.values():
            sum_exactly(type(part))
        self._made_with = {path: _numbers(part) for path, part in self._parts.items()}

    def __repr__(self) -> str:
        """Show what it is and where it stands."""
        return f"<Streaming {self.name} {self.value!r}>"

    @property
    def value(self) -> Any:
        """
        Return the newest value, ``None`` until there is one.

        Of an indicator with several lines it is talipp's own value of that kind (``ub`` and ``lb``
        of Donchian channels), and each line may be ``None`` for longer than the others.
        """
        outputs = self._indicator.output_values
        return outputs[-1] if outputs else None

    def add(self, seen: Bar | float) -> Any:
        """
        Take one more bar, or one more price where the indicator is one of prices; return ``value``.

        An indicator of prices takes a bar's close.
        """
        if isinstance(seen, Bar):
            if self.takes_bars:
                self._indicator.add(OHLCV(seen.open, seen.high, seen.low, seen.close, seen.volume))
            else:
                self._indicator.add(seen.close)
        elif self.takes_bars:
            raise TypeError(f"{self.name} is an indicator of bars, found {seen!r}")
        else:
            self._indicator.add(float(seen))
        self._since_trimmed += 1
        if self._since_trimmed >= self.keep:
            self._trim()
        return self.value

    def _trim(self) -> None:
        self._since_trimmed = 0
        for part in self._parts.values():
            for _, values in _lists_of(part):
                if len(values) > self.keep:
                    del values[: -self.keep]

    def lengths(self) -> dict[str, int]:
        """Return how many values each list holds: all that grows with time."""
        return {
            f"{path}{name}": len(values)
            for path, part in self._parts.items()
            for name, values in _lists_of(part)
        }

    # -- across restarts

    def snapshot(self) -> dict[str, Any]:
        """Return everything that values to come depend on, JSON-ready."""
        codec = _Codec()
        state = {
            path: {
                name: [codec.plain(value) for value in values[-self.keep :]]
                for name, values in _lists_of(part)
            }
            | {
                name: codec.plain(value)
                for name, value in _numbers(part).items()
                if value != self._made_with[path].get(name, _ABSENT)
            }
            for path, part in self._parts.items()
        }
        return {"of": self.name, "kinds": codec.kinds, "state": state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Take back what ``snapshot`` gave, whatever was added since.

        Raises ``ValueError`` for the snapshot of another indicator, or of one with other terms.
        """
        if state["of"] != self.name:
            raise ValueError(f"the snapshot is of {state['of']}, expected {self.name}")
        codec = _Codec(state["kinds"])
        self._since_trimmed = 0
        for path, part in self._parts.items():
            kept = dict(state["state"][path])
            for name, values in _lists_of(part):
                values[:] = [codec.value(plain) for plain in kept.pop(name)]
            for name, value in self._made_with[path].items():
                setattr(part, name, codec.value(kept[name]) if name in kept else value)


def sum_exactly(kind: type[Indicator]) -> None:
    """Give the talipp modules that a kind of indicator is defined in a ``sum`` that is exact."""
    for each in kind.__mro__:
        if each.__module__.startswith("talipp."):
            vars(sys.modules[each.__module__])["sum"] = math.fsum


def takes_bars(kind: type[Indicator]) -> bool:
    """Return whether a kind of indicator is one of bars, as its own signature says."""
    hints = get_type_hints(kind.__init__)
    return OHLCV in getattr(hints.get("input_values"), "__args__", ())


def _enough(kind: type[Indicator], terms: tuple[Any, ...], more: Mapping[str, Any]) -> int:
    """Return how many of the newest values any part of an indicator may look back on."""
    bound = inspect.signature(kind).bind(*terms, **more)
    bound.apply_defaults()
    periods = [value for value in bound.arguments.values() if type(value) is int]
    total = 0
    for period in periods:
        total += abs(period)
    return 2 * total + KEPT_LEAST


def _name_of(kind: type[Indicator], terms: tuple[Any, ...], more: Mapping[str, Any]) -> str:
    given = [repr(term) for term in terms]
    for name, term in sorted(more.items()):
        given.append(f"{name}={getattr(term, '__qualname__', None) or repr(term)}")
    return f"{kind.__name__}({', '.join(given)})"


# ---------------------------------------------------------------------- what an indicator holds


def _parts_of(root: Indicator) -> Iterator[tuple[str, Indicator]]:
    """Yield (path, indicator) of an indicator and of every one inside it, each once."""
    known: set[int] = set()
    waiting: list[tuple[str, Indicator]] = [("", root)]
    while waiting:
        path, part = waiting.pop(0)
        if id(part) in known:
            continue
        known.add(id(part))
        yield path, part
        for name, value in vars(part).items():
            inside = value if isinstance(value, list) else [value]
            waiting += [
                (f"{path}{name}{number or ''}.", each)
                for number, each in enumerate(inside)
                if isinstance(each, Indicator)
            ]


def _lists_of(part: Indicator) -> Iterator[tuple[str, list[Any]]]:
    """Yield (name, list) of every list of values that an indicator holds, each once."""
    known: set[int] = set()
    for name, value in vars(part).items():
        if isinstance(value, list) and name not in _REGISTERS:
            known.add(id(value))
            yield name, value
    for number, value in enumerate(part.managed_sequences):
        if isinstance(value, list) and id(value) not in known:
            yield f"managed{number}", value


def _numbers(part: Indicator) -> dict[str, Any]:
    """Return the single values that an indicator holds; raise ``TypeError`` for unknown state."""
    found = {}
    for name, value in vars(part).items():
        if value is None or isinstance(value, bool | int | float | str | Enum):
            found[name] = value
        elif not (isinstance(value, list | Indicator) or callable(value)):
            raise TypeError(
                f"{type(part).__name__}.{name} is {value!r}, "
                "expected a number, a text, a list or an indicator: nothing else can be kept"
            )
    return found


_ABSENT: Final = object()


class _Codec:
    """
    Values in a form that JSON has: numbers as they are, everything else as ``[kind, ...]``.

    ``kinds`` names the classes in use, once each; ``kind`` is a place in it. Floats that are no
    numbers are texts in a list of one.
    """

    def __init__(self, kinds: list[str] | None = None) -> None:
        """Start with the classes of a snapshot, or without any."""
        self.kinds = [] if kinds is None else list(kinds)
        self._classes = [_class_of(kind) for kind in self.kinds]

    def plain(self, value: Any) -> Any:
        """Return a value JSON-ready."""
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else [repr(value)]
        place = self._place_of(type(value))
        if isinstance(value, Enum):
            return [place, value.name]
        if is_dataclass(value):
            return [place, *(self.plain(getattr(value, each.name)) for each in fields(value))]
        raise TypeError(f"{value!r} cannot be kept in a snapshot")

    def value(self, plain: Any) -> Any:
        """Return what ``plain`` was made of."""
        if not isinstance(plain, list):
            return plain
        place, *rest = plain
        if isinstance(place, str):
            return float(place)
        kind = self._classes[place]
        if issubclass(kind, Enum):
            return kind[rest[0]]
        return kind(*(self.value(each) for each in rest))

    def _place_of(self, kind: type) -> int:
        if kind not in self._classes:
            self._classes.append(kind)
            self.kinds.append(f"{kind.__module__}:{kind.__qualname__}")
        return self._classes.index(kind)


def _class_of(text: str) -> Any:
    module, _, name = text.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
