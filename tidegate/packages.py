"""
Which installed packages decide beside this program's code and its strategies' files.

They are told by their versions, which their authors vouch for: a hash of all of them would be that
of an environment, and new with every machine. Named are the packages that speak to the venue and
to the source of the market data, the one that computes the shipped indicators, and what strategies
import; not what those import in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import Final

from strategies.loader import load_strategy
from tidegate.config import Configuration, Settings

ALWAYS: Final = ("talipp",)

SPEAKS: Final[Mapping[str, tuple[str, ...]]] = {
    "alpaca": ("alpaca-py", "ccxt"),
    "ccxt": ("ccxt",),
    "yfinance": ("yfinance",),
}
"""What speaks to a venue or a source of that name."""


def versions_of(configuration: Configuration) -> dict[str, str]:
    """Return the version of each installed package that decides, by the name it is installed by."""
    settings = configuration.settings
    names = {*ALWAYS, *_speaking(settings)}
    for strategy in settings.strategies:
        for imported in load_strategy(strategy.use).made_of.imported:
            names.update(_installed().get(imported, ()))
    found = {name: _version(name) for name in sorted(names)}
    return {name: text for name, text in found.items() if text}


def uncovered(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield strategies, and what may decide in them that no hash and no version tells."""
    for strategy in configuration.settings.strategies:
        made_of = load_strategy(strategy.use).made_of
        for place in made_of.unfollowed:
            yield strategy.name, f"{place} may bring in code whose name is made up at run time"
        for imported in made_of.elsewhere:
            if imported not in _installed() and _exists(imported):
                yield (
                    strategy.name,
                    f"imports {imported}, which is neither beside it nor an installed package",
                )


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in words which versions were ``before`` and which are installed ``now``."""
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            what = f"{name} {old}" if old else f"no version of {name}"
            told.append(f"{what}, and {new or 'none'} is installed")
    return "; ".join(told)


def _speaking(settings: Settings) -> Iterator[str]:
    for name in (settings.venue.adapter.value, settings.feed.source):
        yield from SPEAKS.get(name, ())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def _installed() -> Mapping[str, list[str]]:
    """Return the installed packages by the names under which they are imported."""
    return packages_distributions()


def _exists(imported: str) -> bool:
    try:
        return find_spec(imported) is not None
    except (ImportError, ValueError):
        return False
