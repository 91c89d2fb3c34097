"""
The strategies of a session before it starts: whether they are whole, and ready to trade live.

A strategy may leave hooks to the base on paper, where nothing is lost but a lesson. Before it
trades real money each of ``LIVE_HOOKS`` must be its own decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from actors.assembly import StrategySpec, sides_of
from messages import PositionMode
from state.instruments import Instrument
from strategies.contract import missing_hooks
from strategies.loader import StrategyLoadError, load_strategy
from strategies.trial import Candidate
from tidegate.config import Configuration

Told = tuple[Literal["ok", "warn", "fail"], str, str]
"""Status, subject and detail of a finding."""


def candidate_of(
    spec: StrategySpec, instruments: Mapping[str, Instrument], mode: PositionMode
) -> Candidate:
    """Return a strategy of a session as something that can be tried out."""
    sides = {symbol: sides_of(symbol, instruments, mode) for symbol in spec.symbols}
    return Candidate(spec.name, spec.factory, spec.params, sides, spec.restricted, instruments)


def refuse_unmade(
    strategies: Sequence[StrategySpec], instruments: Mapping[str, Instrument], mode: PositionMode
) -> None:
    """Raise ``StrategyLoadError`` for a strategy that cannot be made, before a file is written."""
    for spec in strategies:
        candidate_of(spec, instruments, mode).made()


def findings(
    configuration: Configuration,
    strategies: Sequence[StrategySpec],
    instruments: Mapping[str, Instrument],
) -> Iterator[Told]:
    """Yield what ``check`` says of each strategy: its share, its state, its hooks."""
    settings = configuration.settings
    live = settings.session.mode == "live"
    for spec in strategies:
        subject = f"strategy {spec.name}"
        candidate = candidate_of(spec, instruments, settings.venue.position_mode)
        try:
            problems = candidate.problems()
        except StrategyLoadError as error:
            yield "fail", subject, str(error)
            continue
        for problem in problems:
            yield "fail", subject, problem
        if not problems:
            yield "ok", subject, "made, and its state comes back on a fresh object"
        yield from _share(spec, subject)
        missing = missing_hooks(spec.factory) if isinstance(spec.factory, type) else []
        if missing:
            detail = f"not ready to trade live, leaves to the base: {', '.join(missing)}"
            yield "fail" if live else "warn", subject, detail


def _share(spec: StrategySpec, subject: str) -> Iterator[Told]:
    if not set(spec.symbols) - set(spec.restricted):
        yield "warn", subject, f"may open none of its symbols: {', '.join(spec.restricted)}"
    elif spec.restricted:
        yield "ok", subject, f"is told that it may not open {', '.join(spec.restricted)}"


def missing_for_live(configuration: Configuration) -> list[str]:
    """Return a line for each strategy that cannot be loaded or leaves a live hook to the base."""
    origin = configuration.origin("strategies")
    problems: list[str] = []
    for asked in configuration.settings.strategies:
        try:
            missing = missing_hooks(load_strategy(asked.use).factory)
        except StrategyLoadError as error:
            problems += str(error).splitlines()
            continue
        if missing:
            problems.append(
                f"{origin}: strategy {asked.name}: live needs hooks of its own, and found none "
                f"for {', '.join(missing)}; expected each of them in {asked.use}"
            )
    return problems


__all__ = ["findings", "missing_for_live", "refuse_unmade"]
