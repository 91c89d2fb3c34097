"""
The universe of a session: its symbols, who may trade which, and what is told of it.

``listed`` are the symbols that the session is about, ``tradable`` those of them that both lists
let through. What a strategy is given of them is decided by ``actors.universe``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.assembly import StrategySpec
from actors.risk import RiskLimits
from actors.universe import tradable
from feeds.contract import BarFeed
from tidegate.config import Configuration
from tidegate.exits import ConfigError
from tidegate.universe_lists import LISTS, UniverseLists


@dataclass(frozen=True, slots=True)
class Universe:
    """The symbols of a session, in the order of their listing; ``fed`` are all that have data."""

    listed: tuple[str, ...]
    tradable: tuple[str, ...]
    fed: tuple[str, ...]
    limits: RiskLimits

    @property
    def restricted(self) -> tuple[str, ...]:
        """Return the listed symbols that may not be opened."""
        return tuple(symbol for symbol in self.listed if symbol not in self.tradable)

    def needed(self, strategies: Sequence[StrategySpec]) -> tuple[str, ...]:
        """Return the symbols that somebody may trade or gets data of: those that need rules."""
        heard = {symbol for strategy in strategies for symbol in strategy.symbols}
        return tuple(s for s in self.listed if s in heard or s in self.tradable)


def universe_of(configuration: Configuration, feed: BarFeed, limits: RiskLimits) -> Universe:
    """Return the session's universe; raise ``ConfigError`` where nothing of it may be traded."""
    listed = configuration.settings.universe.symbols or tuple(feed.symbols)
    found = tradable(listed, limits)
    if not found:
        raise ConfigError(
            f"{configuration.origin('universe')}: universe: allow and deny leave none of "
            f"{', '.join(listed)}"
        )
    return Universe(listed, found, tuple(feed.symbols), limits)


def described(
    universe: Universe, lists: UniverseLists, strategies: Sequence[StrategySpec]
) -> dict[str, Any]:
    """Return what a manifest says of the universe: the result, and whose word each entry is."""
    return {
        "symbols": list(universe.listed),
        "tradable": list(universe.tradable),
        **{name: _sources(universe, lists, name) for name in LISTS},
        "restricted": {each.name: list(each.restricted) for each in strategies if each.restricted},
    }


def _sources(universe: Universe, lists: UniverseLists, name: str) -> Mapping[str, list[str]]:
    limits = universe.limits
    entries = limits.universe_allow if name == "allow" else limits.universe_deny
    known = lists.of(name)
    return {symbol: list(known.get(symbol, ())) for symbol in entries}


def why_restricted(symbol: str, lists: UniverseLists) -> str:
    """Return by which list, and by whose word, a symbol may not be opened."""
    if symbol in lists.deny:
        return f"{symbol} (denied by {', '.join(lists.deny[symbol])})"
    return f"{symbol} (not among the allowed)"


def strangers(universe: Universe, lists: UniverseLists) -> Iterator[str]:
    """Yield a line for every entry of a list that names no symbol of this session."""
    known = {*universe.listed, *universe.fed}
    for name in LISTS:
        for symbol, sources in lists.of(name).items():
            if symbol not in known:
                yield f"{name}: {symbol} ({', '.join(sources)}) is no symbol of this session"


__all__ = ["Universe", "described", "strangers", "universe_of", "why_restricted"]
