"""
What ``tidegate check`` looks at before a session; the venue is asked only if told to.

No order is sent and nothing at a venue is changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from actors.risk import GUARDS, GuardSpec, RiskLimits
from actors.risk.defaults import LIVE_NEEDS
from brokers.findings import Finding, failed, passed, warned
from brokers.settings import Adapter, CredentialMissing, VenueUnavailable
from feeds.contract import BarFeed, LiveFeed
from feeds.errors import FeedError
from feeds.timeframe import format_timeframe
from messages import BreachAction
from state.instruments import InstrumentError, load_instruments
from state.lease import SHADOW, is_lease_held, lease_files, read_holder
from strategies.loader import StrategyLoadError
from tidegate import candidates, clearance, packages
from tidegate.asking_venue import (
    offline_findings,
    refuse_real_credentials_in_automation,
    venue_findings,
)
from tidegate.compose import (
    broker_of,
    feed_of,
    instruments_of,
    limits_of,
    missing_for_live,
    not_in_force,
    refuse_idle_budgets,
    risky,
    single_currency,
    strategies_of,
)
from tidegate.config import Configuration
from tidegate.control.daemon import account_folder
from tidegate.exits import ConfigError, Wanting
from tidegate.going_live import unfit
from tidegate.places import existing_part, unwritable
from tidegate.universe import Universe, strangers, universe_of, why_restricted

DISK_BYTES_MIN: Final = 200 * 1024**2
"""Less is soon full: some 10 KB an order, the log, the page, and a write-ahead log of its own."""

DISK_BYTES_CALM: Final = 1024**3
"""Less lasts a session and not a week of them."""


def check(configuration: Configuration, *, asks: bool = False) -> list[Finding]:
    """
    Return every finding, in the order in which a session would meet them; ``asks`` the venue too.

    Raises ``ConfigError`` for a real account's credentials in tests or a build.
    """
    refuse_real_credentials_in_automation(configuration, os.environ)
    return list(_findings(configuration, asks=asks))


def before_start(configuration: Configuration, *, goes_on: bool) -> list[Finding]:
    """
    Return every finding of a live session that is about to start, its venue asked.

    The account's lease and its control plane are the caller's own by now, and not looked at.
    """
    return list(_findings(configuration, asks=True, starts=True, goes_on=goes_on))


def _findings(
    configuration: Configuration, *, asks: bool, starts: bool = False, goes_on: bool = False
) -> Iterator[Finding]:
    yield Finding("ok", "configuration", _files(configuration))
    yield from _mode(configuration)
    yield from _needed_for_live(configuration)
    for problem in not_in_force(configuration):
        yield Finding("fail", "configuration", problem)
    for risk in risky(configuration):
        yield Finding("warn", "configuration", risk)
    folder = Path(configuration.settings.session.dir)
    yield _folder(folder)
    yield room(shutil.disk_usage(existing_part(folder)).free)
    if not starts:
        yield from _lease(configuration)
        yield from _control(configuration)
    asks = asks and configuration.settings.session.mode != SHADOW
    yield from offline_findings(configuration, asks=asks)
    yield from _parts(configuration, asks=asks, goes_on=goes_on)
    yield from _limits(configuration)


def _control(configuration: Configuration) -> Iterator[Finding]:
    from tidegate.control.readiness import findings

    for status, subject, detail in findings(configuration):
        yield Finding(status, subject, detail)


def room(free_bytes: int) -> Finding:
    """Judge how much room the sessions' disk has."""
    detail = f"{free_bytes / 1024**2:,.0f} MiB free"
    if free_bytes < DISK_BYTES_MIN:
        return failed("disk", f"{detail}, expected {DISK_BYTES_MIN // 1024**2} or more")
    if free_bytes < DISK_BYTES_CALM:
        return warned("disk", f"{detail}, better {DISK_BYTES_CALM // 1024**2} or more")
    return passed("disk", f"{DISK_BYTES_CALM // 1024**2} MiB or more free")


def _lease(configuration: Configuration) -> Iterator[Finding]:
    """Yield a failure where a daemon has the account: a second one is refused."""
    session, venue = configuration.settings.session, configuration.settings.venue
    folder = account_folder(Path(session.dir), session.mode, venue.account)
    for path in lease_files(folder, session.mode, venue.place, venue.account, os.environ):
        if is_lease_held(path):
            holder = read_holder(path) or "by somebody"
            yield failed("lease", f"a daemon runs for this account already ({holder}): {path}")


def _parts(configuration: Configuration, *, asks: bool, goes_on: bool) -> Iterator[Finding]:
    """
    Yield a finding for each part of a session; the first that fails is the last.

    Credentials that are missing have been told of by their names: what needs them is left out.
    """
    venue, source = configuration.settings.venue, configuration.settings.feed.source
    subject = "venue"
    try:
        venue.engine_config("")
        if has_keys := _has_its_keys(configuration):
            yield Finding("ok", subject, venue.adapter.value)
        elif source == venue.adapter.value and venue.adapter is not Adapter.CCXT:
            return  # the data needs the same
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
        for name, detail in packages.uncovered(configuration):
            yield warned(f"imports of {name}", f"{detail}: no approval covers it")
        subject = "instruments"
        instruments = instruments_of(configuration, universe.needed(strategies))
        currency = single_currency(instruments)
        yield Finding(
            "ok", subject, f"{_described_instruments(instruments)}; account in {currency}"
        )
        yield from _undescribed(configuration, instruments)
        for status, about, detail in candidates.findings(configuration, strategies, instruments):
            yield Finding(status, about, detail)
        if configuration.settings.session.mode == "live":
            cleared = clearance.clearance_of(configuration, clearance.subject_of(configuration))
            for status, about, detail in clearance.findings(cleared):
                yield Finding(status, about, detail)
        if asks and has_keys:
            subject = "venue"
            yield from venue_findings(configuration, instruments, goes_on=goes_on)
    except (
        ConfigError,
        FeedError,
        InstrumentError,
        StrategyLoadError,
        VenueUnavailable,
        Wanting,
    ) as error:
        yield Finding("fail", subject, str(error))


def _has_its_keys(configuration: Configuration) -> bool:
    """Return whether the venue can be entered, ``False`` where that takes only credentials."""
    try:
        broker_of(configuration.settings)
    except CredentialMissing:
        return False
    return True


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


def _mode(configuration: Configuration) -> Iterator[Finding]:
    """Yield where the mode sends orders to, and what of the configuration does not go with it."""
    settings = configuration.settings
    mode, venue = settings.session.mode, settings.venue
    where = f"{venue.place}, account {venue.account}"
    match mode:
        case "live":
            yield passed("mode", f"live: orders are sent to {where}: {venue.reaches}")
        case "shadow":
            yield passed("mode", f"shadow: no order is sent to {where}; a twin on paper fills them")
        case _:
            yield passed("mode", mode)
    if mode == SHADOW and "quotes" not in settings.feed.live.streams:
        yield warned(
            "feed.live.streams",
            "without quotes the twin fills a market order when the next bar closes, and is not "
            'compared with the market; better ["bars", "quotes"]',
        )
    for key, problem in unfit(configuration):
        yield failed(key, problem)


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
    live = isinstance(feed, LiveFeed)
    kind = "synthetic data" if feed.synthetic else "live data" if live else "recorded data"
    return f"{kind}, {format_timeframe(feed.timeframe_ms)} bars of {', '.join(feed.symbols)}"


def _described_instruments(found: Any) -> str:
    free = [symbol for symbol, instrument in found.items() if instrument.lot_step is None]
    return f"{len(found)} known" + (f"; no lot step: {', '.join(free)}" if free else "")


def _undescribed(configuration: Configuration, traded: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for every symbol that the instrument file, if there is one, leaves out."""
    file = configuration.settings.universe.instruments
    if file is None:
        return
    described = load_instruments(Path(file))
    for symbol in sorted(set(traded) - described.keys()):
        has = ", ".join(sorted(described)) or "none"
        detail = f"{symbol}: {file} does not describe it, and has {has}; no tick, lot or minimum"
        yield Finding("warn", "instruments", detail)


def _limits(configuration: Configuration) -> Iterator[Finding]:
    """Yield a finding for every limit that is set, and for those that should be."""
    limits = limits_of(configuration.settings)
    yield from _above_the_cap(limits)
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


def _above_the_cap(limits: RiskLimits) -> Iterator[Finding]:
    """Yield each limit that bounds nothing, because the cap of live trading is lower."""
    cap = limits.live_notional_cap
    for name in ("max_order_notional", "max_gross_exposure"):
        limit = getattr(limits, name)
        if cap is not None and limit is not None and limit > cap:
            yield warned(f"risk.{name}", f"{limit} is above risk.live_notional_cap, {cap}")


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
