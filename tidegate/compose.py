"""
From checked settings to the parts of a session: feed, instruments, strategies, limits.

What the settings ask for and this version does not do is refused here, by key: a limit that
nobody enforces is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from msgspec import convert, to_builtins

from actors.assembly import StrategySpec
from actors.health import HealthPlan, plan_of
from actors.risk import RiskLimits
from actors.risk.defaults import LIVE_NEEDS
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from actors.universe import share_of
from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.taking_back import unfit_cancels
from brokers.contract import SessionBroker
from brokers.credentials import is_pinned, refuse_missing
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker, ShadowBroker
from brokers.settings import (
    ALPACA_ONLY,
    CCXT_ONLY,
    ELSEWHERE_ONLY,
    VIRTUAL_ONLY,
    Adapter,
    VenueUnavailable,
)
from feeds.contract import BarFeed, Group
from feeds.settings import DEFAULT_TIMEFRAME, build_feed
from feeds.timeframe import parse_timeframe
from state.instruments import Instrument, load_instruments
from state.lease import LIVE, SHADOW
from strategies.loader import (
    StrategyLoadError,
    load_strategy,
    parse_params,
    resolve_lot_method,
)
from tidegate.candidates import refuse_unmade
from tidegate.config import TRADE_DEFAULT, Configuration, Settings, StrategySettings
from tidegate.exits import ConfigError
from tidegate.market_sources import source_of, store_of
from tidegate.universe import Universe, described, universe_of
from tidegate.universe_lists import LISTS

if TYPE_CHECKING:
    from feeds.live.venue import Stream

DAY_MS = 86_400_000

NOT_IN_FORCE: dict[tuple[str, ...], str] = {}
"""Keys that are known, of which this version does not do what they promise."""


CAPPED: Final = (SHADOW, LIVE)
"""Modes in which the cap of live trading is in force: who shadows learns whether it is enough."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a session, checked against each other."""

    feed: BarFeed
    strategies: tuple[StrategySpec, ...]
    instruments: Mapping[str, Instrument]
    currency: str
    limits: RiskLimits
    health: HealthPlan | None
    config: Mapping[str, Any]
    places: Mapping[str, Any]
    universe: Mapping[str, Any]


def compose(configuration: Configuration) -> Parts:
    """Return the parts that the configuration asks for, or raise one error for what is wrong."""
    settings = configuration.settings
    if problems := not_in_force(configuration):
        raise ConfigError(*problems)
    for risk in risky(configuration):
        structlog.get_logger("session").warning("setting_is_risky", detail=risk)
    feed = feed_of(configuration)
    limits = limits_of(settings)
    universe = universe_of(configuration, feed, limits)
    refuse_idle_budgets(configuration, universe.listed)
    strategies = strategies_of(configuration, universe)
    instruments = instruments_of(configuration, universe.needed(strategies))
    refuse_unmade(strategies, instruments, settings.venue.position_mode)
    return Parts(
        feed,
        strategies,
        instruments,
        single_currency(instruments),
        limits,
        health_of(settings) if is_watched(configuration) else None,
        kept_config(configuration, strategies, instruments),
        _places(configuration, feed),
        described(universe, configuration.lists, strategies),
    )


def limits_of(settings: Settings) -> RiskLimits:
    """Return the limits that Risk enforces."""
    risk = settings.risk
    given = {name: getattr(risk, name) for name in type(risk).model_fields}
    if settings.session.mode not in CAPPED:
        del given["live_notional_cap"]
    return RiskLimits(
        **given,
        strategy_budgets={
            strategy.name: strategy.budget
            for strategy in settings.strategies
            if strategy.budget is not None
        },
        universe_allow=settings.universe.allow,
        universe_deny=settings.universe.deny,
    )


def missing_for_live(configuration: Configuration) -> list[str]:
    """Return the limits, by their dotted keys, that a live session needs and nobody gave."""
    return [
        f"risk.{name}"
        for name in LIVE_NEEDS
        if getattr(configuration.settings.risk, name) is None
        or configuration.origin("risk", name) == TRADE_DEFAULT
    ]


def is_watched(configuration: Configuration) -> bool:
    """Return whether Health watches the session: a replay only if it is told to."""
    return (
        configuration.settings.session.mode != "replay"
        or configuration.is_given("health")
        or configuration.is_given("feed", "stale_after_s")
    )


def health_of(settings: Settings) -> HealthPlan:
    """Return what Health watches, and by which figures."""
    feed = settings.feed
    # History cannot fall silent: a gap in it is a gap, and reading it again would not fill it.
    return plan_of(settings.health, stale_after_s=feed.stale_after_s, reconnect=feed.is_live)


def not_in_force(configuration: Configuration) -> list[str]:
    """Return a problem for every key that is set and whose promise this version does not keep."""
    return [
        f"{configuration.origin(*key)}: {'.'.join(key)}: {why}; remove it"
        for key, why in NOT_IN_FORCE.items()
        if configuration.is_given(*key)
    ]


def risky(configuration: Configuration) -> list[str]:
    """Return what is said of every value that a session goes by at a risk of its own."""
    settings = configuration.settings
    if settings.session.mode == SHADOW or not (why := settings.venue.hasty_dead_man):
        return []
    return [f"{configuration.origin('venue', 'dead_man_s')}: venue.dead_man_s: {why}"]


def broker_of(settings: Settings) -> Callable[[MatchingEngine], SessionBroker]:
    """
    Return what makes the way to the venue.

    A shadow has none, whatever is configured: nothing that could send an order is ever made. Raises
    ``VenueUnavailable`` where the venue cannot be entered as configured: on paper, one that is not
    pinned to this machine.
    """
    venue = settings.venue
    if settings.session.mode == SHADOW:
        return ShadowBroker
    if venue.adapter is Adapter.CCXT:
        reached = venue.ccxt_address()
        if settings.session.mode != LIVE and not is_pinned(venue):
            raise VenueUnavailable(
                f"[venue] adapter: 'ccxt' at {venue.place} itself, in mode "
                f"{settings.session.mode!r}: expected loopback_port, to rehearse on this machine; "
                "--mode shadow sends nothing, --mode live trades"
            )
        row = capabilities_of(reached.exchange)
        if unfit := unfit_cancels(row, reached.options, settings.universe.symbols):
            raise VenueUnavailable(unfit)
        if settings.session.mode != LIVE:
            # A live start is checked first, and hears of all that it lacks together.
            refuse_missing(venue)
        return _ccxt(reached)
    if venue.adapter is Adapter.ALPACA:
        return _alpaca(venue.alpaca_address(live=settings.session.mode == LIVE))
    if venue.adapter is not Adapter.VIRTUAL:
        return PaperBroker
    address = venue.virtual_address()

    def virtual(engine: MatchingEngine) -> SessionBroker:
        from brokers.virtual.address import MachineClock
        from brokers.virtual.broker import VirtualBroker

        source = engine.config.trade_tag if venue.rehearsal else ""
        return VirtualBroker(address, MachineClock(wall_ms, sleep_s), source=source)

    return virtual


def _alpaca(address: CcxtAddress) -> Callable[[MatchingEngine], SessionBroker]:
    def alpaca(engine: MatchingEngine) -> SessionBroker:
        from brokers.alpaca.broker import AlpacaBroker
        from brokers.ccxt.address import VenueClock

        clock = VenueClock(wall_ms, monotonic_s, sleep_s)
        return AlpacaBroker(address, clock, engine.symbols)

    return alpaca


def _ccxt(address: CcxtAddress) -> Callable[[MatchingEngine], SessionBroker]:
    def ccxt(engine: MatchingEngine) -> SessionBroker:
        from brokers.ccxt.address import VenueClock
        from brokers.ccxt.broker import CcxtBroker

        clock = VenueClock(wall_ms, monotonic_s, sleep_s)
        return CcxtBroker(address, clock, engine.symbols)

    return ccxt


# ------------------------------------------------------------------------------------------ feed


class FirstDay:
    """A feed's first UTC day; everything else about it stays as it is."""

    def __init__(self, feed: BarFeed) -> None:
        self._feed = feed
        self.symbols = feed.symbols
        self.timeframe_ms = feed.timeframe_ms
        self.synthetic = feed.synthetic

    def groups(self) -> Iterator[Group]:
        """Yield the groups up to the first UTC midnight after the first bar."""
        end: int | None = None
        for group in self._feed.groups():
            at = group[0].timestamp
            if end is None:
                end = (at // DAY_MS + 1) * DAY_MS
            if at >= end:
                return
            yield group

    def fingerprints(self) -> dict[str, str]:
        """Return what identifies the whole input."""
        return self._feed.fingerprints()

    def __getattr__(self, name: str) -> Any:
        """Hand everything that only some feeds have to the feed itself."""
        return getattr(self._feed, name)


def feed_of(configuration: Configuration) -> BarFeed:
    """Return the feed that the configuration asks for."""
    settings = configuration.settings
    symbols = settings.universe.symbols
    if settings.feed.source == "synthetic" and not symbols:
        raise ConfigError(
            f"{configuration.origin('universe', 'symbols')}: universe.symbols: found none, "
            "expected at least one: a synthetic market is made for them"
        )
    if settings.feed.is_live:
        return _live_feed(configuration)
    feed = build_feed(settings.feed, symbols, settings.session.seed)
    return FirstDay(feed) if settings.session.extent == "quick" else feed


def _live_feed(configuration: Configuration) -> BarFeed:
    from random import Random

    from feeds.live.feed import VenueFeed
    from feeds.live.venue import FeedClock
    from feeds.store.store import BarStore

    settings = configuration.settings
    if not settings.universe.symbols:
        raise ConfigError(
            f"{configuration.origin('universe', 'symbols')}: universe.symbols: found none, "
            "expected at least one: a live feed is of given symbols"
        )
    live = settings.feed.live
    if live.speed is not None and not settings.venue.loopback_port:
        raise ConfigError(
            f"{configuration.origin('feed', 'live', 'speed')}: feed.live.speed: found "
            f"{live.speed:g} without venue.loopback_port; expected none: only a rehearsal's market "
            "has a time of its own"
        )
    return VenueFeed(
        source_of(configuration),
        settings.universe.symbols,
        parse_timeframe(settings.feed.timeframe or DEFAULT_TIMEFRAME),
        clock=FeedClock(wall_ms, sleep_s),
        chance=Random(settings.session.seed).random,  # seam: only waits are drawn from it
        warm_up=live.warm_up_bars,
        streams=_streams(configuration),
        cache=None if live.store is None else BarStore(store_of(settings, live.store)),
        spacing_ms=live.capture_spacing_s * 1000,
        keep_ms=live.capture_days * DAY_MS,
        speed=live.speed,
    )


def _streams(configuration: Configuration) -> frozenset[Stream]:
    """Return what is to be streamed: unless somebody says so, only what the source can."""
    from feeds.live.venue import POLLED, Stream

    feed = configuration.settings.feed
    if feed.source == "yfinance" and not configuration.is_given("feed", "live", "streams"):
        return POLLED
    return frozenset(map(Stream, feed.live.streams))


def refuse_idle_budgets(configuration: Configuration, symbols: Sequence[str]) -> None:
    """Raise one ``ConfigError`` for budgets of symbols that are not listed: slips of the pen."""
    idle = [name for name in configuration.settings.risk.symbol_budgets if name not in symbols]
    if idle:
        raise ConfigError(
            f"{configuration.origin('risk', 'symbol_budgets')}: risk.symbol_budgets: found "
            f"{', '.join(idle)}, expected some of {', '.join(symbols)}"
        )


# ----------------------------------------------------------------------------------- instruments


def instruments_of(configuration: Configuration, symbols: Sequence[str]) -> dict[str, Instrument]:
    """Return the rules of every symbol: the instrument file's, else none but the fee."""
    settings = configuration.settings
    file = settings.universe.instruments
    described = {} if file is None else load_instruments(Path(file))
    return {
        symbol: described.get(symbol) or Instrument.permissive(symbol, settings.venue.fee_bps)
        for symbol in symbols
    }


def single_currency(instruments: Mapping[str, Instrument]) -> str:
    """Return the one currency that all instruments settle in: the account's."""
    by_currency: dict[str, list[str]] = {}
    for symbol, instrument in instruments.items():
        by_currency.setdefault(instrument.settle, []).append(symbol)
    if len(by_currency) > 1:
        found = "; ".join(f"{name}: {', '.join(own)}" for name, own in sorted(by_currency.items()))
        raise ConfigError(
            f"symbols: found {len(by_currency)} account currencies ({found}), expected one"
        )
    return next(iter(by_currency))


# ------------------------------------------------------------------------------------ strategies


def strategies_of(configuration: Configuration, universe: Universe) -> tuple[StrategySpec, ...]:
    """Return the strategies, loaded, with their parameters checked."""
    asked = configuration.settings.strategies
    origin = configuration.origin("strategies")
    if not asked:
        raise ConfigError(
            "strategies: found none, expected at least one: --strategy or [[strategies]]"
        )
    names = [strategy.name for strategy in asked]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{origin}: strategies: the name {name!r} is given twice")
    return tuple(_strategy(strategy, universe, origin) for strategy in asked)


def _strategy(asked: StrategySettings, universe: Universe, origin: str) -> StrategySpec:
    unknown = [symbol for symbol in asked.symbols if symbol not in universe.listed]
    if unknown:
        raise ConfigError(
            f"{origin}: strategy {asked.name}: symbols: found {', '.join(unknown)}, "
            f"expected some of {', '.join(universe.listed)}"
        )
    loaded = load_strategy(asked.use)
    try:
        lot_method = resolve_lot_method(loaded, asked.lot_method)
    except StrategyLoadError as error:
        raise ConfigError(f"{origin}: {error}") from None
    share = share_of(asked.symbols, universe.listed, universe.limits)
    return StrategySpec(
        asked.name,
        loaded.factory,
        parse_params(loaded, asked.params),
        share.symbols,
        lot_method,
        _without_folder(asked.use),
        loaded.source_sha256,
        share.restricted,
    )


# -------------------------------------------------------------------------- what a manifest keeps


def kept_config(
    configuration: Configuration,
    strategies: Sequence[StrategySpec],
    instruments: Mapping[str, Instrument],
) -> dict[str, Any]:
    """
    Return the configuration as a manifest keeps it: all that decides, and nothing else.

    Secrets are left out, and whatever names a place or says how the session is watched: a
    session's id is made from this, and must not depend on where the files lie. Parameters,
    lot methods and the instruments' rules are written out, so that it can be run again from it.
    """
    config = configuration.public()
    del config["session"]["dir"], config["universe"]["instruments"], config["feed"]["files"]
    # Which source gave an entry, and in which order, decides nothing: the lists are sets.
    del config["universe"]["files"]
    for name in LISTS:
        config["universe"][name] = sorted(config["universe"][name])
    del config["control"], config["telemetry"], config["venue"]["loopback_ca"]
    adapter = configuration.settings.venue.adapter
    idle = {
        Adapter.VIRTUAL: ("url", *CCXT_ONLY, *ALPACA_ONLY),
        Adapter.CCXT: (*VIRTUAL_ONLY, *ALPACA_ONLY),
        Adapter.ALPACA: (*VIRTUAL_ONLY, *CCXT_ONLY),
    }.get(adapter, (*VIRTUAL_ONLY, *CCXT_ONLY, *ALPACA_ONLY, *ELSEWHERE_ONLY))
    for name in idle:
        del config["venue"][name]
    if configuration.settings.session.mode not in CAPPED:
        del config["risk"]["live_notional_cap"]
    if configuration.settings.feed.source != "yfinance":
        del config["feed"]["yfinance"]
    if not is_watched(configuration):
        del config["health"], config["feed"]["stale_after_s"]
    for section, spec in zip(config["strategies"], strategies, strict=True):
        section["use"] = spec.source
        section["source_sha256"] = spec.source_sha256
        section["params"] = spec.params.model_dump(mode="json")
        section["lot_method"] = spec.lot_method.value
    config["instruments"] = {
        symbol: to_builtins(instrument) for symbol, instrument in sorted(instruments.items())
    }
    return config


def kept_instruments(config: Mapping[str, Any]) -> dict[str, Instrument]:
    """Return the instruments that a manifest's configuration holds."""
    return {symbol: convert(rules, Instrument) for symbol, rules in config["instruments"].items()}


def _places(configuration: Configuration, feed: BarFeed) -> dict[str, Any]:
    """Return where the inputs lie: how a later command finds them from any working directory."""
    files = {
        f"{source.path.name}@{source.symbol}": str(source.path.absolute())
        for source in getattr(feed, "sources", ())
    }
    strategies = {
        strategy.name: _absolute(strategy.use) for strategy in configuration.settings.strategies
    }
    return {"data": files, "strategies": strategies}


def _absolute(use: str) -> str:
    name = _without_folder(use)
    if name == use and not use.endswith(".py") and ".py:" not in use:
        return use
    return str(Path(use.removesuffix(name)).absolute() / name)


def _without_folder(use: str) -> str:
    """Return a strategy's name as it is, a file's without its folder."""
    target, colon, class_name = use.rpartition(":")
    path = target if colon and target.endswith(".py") else use
    if not path.endswith(".py"):
        return use
    return Path(path).name + (f":{class_name}" if path == target else "")
