"""
What ``tidegate check`` looks at before a session: for now, everything that needs no venue.

Each finding is ``ok``, ``warn`` (a session may start, and someone should know) or ``fail`` (it
would be refused, or would not do what the configuration says).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from actors.risk import GUARDS, GuardSpec, RiskLimits
from actors.risk.defaults import LIVE_NEEDS
from brokers.settings import VenueUnavailable
from feeds.contract import BarFeed
from feeds.errors import FeedError
from feeds.timeframe import format_timeframe
from messages import BreachAction
from state.instruments import InstrumentError
from strategies.loader import StrategyLoadError
from tidegate import candidates
from tidegate.compose import (
    broker_of,
    feed_of,
    instruments_of,
    limits_of,
    missing_for_live,
    not_in_force,
    refuse_idle_budgets,
    single_currency,
    strategies_of,
)
from tidegate.config import Configuration
from tidegate.exits import ConfigError
from tidegate.places import unwritable
from tidegate.universe import Universe, strangers, universe_of, why_restricted

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    status: Status
    subject: str
    detail: str


def check(configuration: Configuration) -> list[Finding]:
    """Return every finding, in the order in which a session would meet them."""
    return list(_findings(configuration))


def _findings(configuration: Configuration) -> Iterator[Finding]:
    yield Finding("ok", "configuration", _files(configuration))
    yield _mode(configuration)
    yield from _needed_for_live(configuration)
    for problem in not_in_force(configuration):
        yield Finding("fail", "configuration", problem)
    yield _folder(Path(configuration.settings.session.dir))
    yield from _control(configuration)
    yield from _parts(configuration)
    yield from _limits(configuration)


def _control(configuration: Configuration) -> Iterator[Finding]:
    from tidegate.control.readiness import findings

    for status, subject, detail in findings(configuration):
        yield Finding(status, subject, detail)


def _parts(configuration: Configuration) -> Iterator[Finding]:
    """Yield a finding for each part of a session; the first that fails is the last."""
    subject = "venue"
    try:
        configuration.settings.venue.engine_config("")
        broker_of(configuration.settings)
        yield Finding("ok", subject, configuration.settings.venue.adapter.value)
        subject = "feed"
        feed = feed_of(configuration)
        yield Finding("ok", subject, _described_feed(feed))
        subject = "universe"
        universe = universe_of(configuration, feed, limits_of(configuration.settings))
        yield from _universe(universe, configuration)
        subject = "limits"
        refuse_idle_budgets(configuration, universe.listed)
        subject = "strategies"
        strategies = strategies_of(configuration, universe)
        names = ", ".join(f"{spec.name} ({spec.source})" for spec in strategies)
        yield Finding("ok", subject, names)
        subject = "instruments"
        instruments = instruments_of(configuration, universe.needed(strategies))
        currency = single_currency(instruments)
        yield Finding(
            "ok", subject, f"{_described_instruments(instruments)}; account in {currency}"
        )
        for status, about, detail in candidates.findings(configuration, strategies, instruments):
            yield Finding(status, about, detail)
    except (
        ConfigError,
        FeedError,
        InstrumentError,
        StrategyLoadError,
        VenueUnavailable,
    ) as error:
        yield Finding("fail", subject, str(error))


def _universe(universe: Universe, configuration: Configuration) -> Iterator[Finding]:
    """Yield what may be traded and what may not, and which entries of the lists lead nowhere."""
    lists = configuration.lists
    detail = ", ".join(universe.tradable)
    if universe.restricted:
        told = ", ".join(why_restricted(symbol, lists) for symbol in universe.restricted)
        detail += f"; not to be opened: {told}"
    yield Finding("ok", "universe", detail)
    for line in strangers(universe, lists):
        yield Finding("warn", "universe", line)


def _files(configuration: Configuration) -> str:
    origins = configuration.origins()
    return f"every key is known; from {', '.join(origins) if origins else 'defaults only'}"


def _mode(configuration: Configuration) -> Finding:
    mode = configuration.settings.session.mode
    if mode in {"shadow", "live"}:
        return Finding("fail", "mode", f"{mode}: this version trades on paper only")
    return Finding("ok", "mode", mode)


def _needed_for_live(configuration: Configuration) -> Iterator[Finding]:
    """Yield what a live session would be refused for: limits that nobody gave."""
    if configuration.settings.session.mode == "live":
        for name in missing_for_live(configuration):
            yield Finding("fail", name, "not given, and live needs it to be")


def _folder(folder: Path) -> Finding:
    problem = unwritable(folder)
    if problem is not None:
        return Finding("fail", "session folder", problem)
    return Finding("ok", "session folder", f"{folder} can be written to")


def _described_feed(feed: BarFeed) -> str:
    kind = "synthetic data" if feed.synthetic else "recorded data"
    return f"{kind}, {format_timeframe(feed.timeframe_ms)} bars of {', '.join(feed.symbols)}"


def _described_instruments(found: Any) -> str:
    free = [symbol for symbol, instrument in found.items() if instrument.lot_step is None]
    return f"{len(found)} known" + (f"; no lot step: {', '.join(free)}" if free else "")


def _limits(configuration: Configuration) -> Iterator[Finding]:
    """Yield a finding for every limit that is set, and for those that should be."""
    limits = limits_of(configuration.settings)
    for spec in GUARDS:
        subject = f"risk.{spec.name}"
        value = _limit(limits, spec)
        if value:
            action = spec.action_in(limits)
            then = "" if action is BreachAction.REFUSE else f", then {action.value}"
            yield Finding("ok", subject, f"{value}{then} ({_given_by(spec, configuration)})")
        elif spec.name in limits.actions:
            yield Finding("warn", subject, "not set, although risk.actions names it")
        elif spec.name in LIVE_NEEDS:
            yield Finding("warn", subject, "not set: there is no such limit")


def _given_by(spec: GuardSpec, configuration: Configuration) -> str:
    if spec.name == "universe":
        return ", ".join(configuration.lists.origins())
    return configuration.origin(*spec.setting.split("."))


def _limit(limits: RiskLimits, spec: GuardSpec) -> str:
    """Return a limit's value as text, empty where it is not set."""
    if spec.make(limits) is None:
        return ""
    if spec.name == "universe":
        lists = (("allow", limits.universe_allow), ("deny", limits.universe_deny))
        return "; ".join(f"{name} {', '.join(found)}" for name, found in lists if found)
    value = (
        limits.strategy_budgets if spec.name == "strategy_budget" else getattr(limits, spec.name)
    )
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {amount}" for name, amount in value.items())
    return "on" if value is True else f"{value}"
