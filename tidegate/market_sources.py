"""From ``[feed]`` and ``[venue]`` to the venue whose market data is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.runtime.clock import wall_ms
from brokers.credentials import VARIABLE, given_credentials
from brokers.settings import Adapter, VenueSettings
from feeds.settings import LIVE_SOURCES
from state.lease import LIVE
from state.loopback import pins_to_this_machine
from tidegate.allowance import AccountsAllowance
from tidegate.config import Configuration, Settings
from tidegate.exits import ConfigError

SHARES: Final = frozenset({"alpaca", "yfinance"})
"""Sources that the addresses of ``[venue.ccxt]`` are not for."""

REHEARSAL: Final = "rehearsal"
"""The folder of a store that has what servers on this machine have told."""

if TYPE_CHECKING:
    from feeds.alpaca.reach import AlpacaReach
    from feeds.ccxt.reach import Reach
    from feeds.live.venue import VenueSource


def source_of(configuration: Configuration) -> VenueSource:
    """Return the venue that ``feed.source`` names, or raise ``ConfigError`` for what it lacks."""
    settings = configuration.settings
    source, adapter = settings.feed.source, settings.venue.adapter
    if source == "yfinance":
        return _yahoo(settings)
    if source == "alpaca" or (source not in LIVE_SOURCES and adapter is Adapter.ALPACA):
        return _alpaca(settings)
    from feeds.ccxt.venue import ccxt_source

    reach, venue = reach_of(settings.venue), settings.venue
    if venue.adapter is not Adapter.CCXT:
        return ccxt_source(reach)
    return ccxt_source(reach, AccountsAllowance(reach.exchange, venue.account))


def store_of(settings: Settings, folder: Path) -> Path:
    """Return where in the store at ``folder`` bars go: a rehearsal's are not the venue's own."""
    urls = settings.venue.ccxt.get("urls", {}) if settings.feed.source not in SHARES else {}
    is_rehearsal = pins_to_this_machine(settings.venue.loopback_port, urls)
    return folder / REHEARSAL if is_rehearsal else folder


def _yahoo(settings: Settings) -> VenueSource:
    from feeds.yfinance.reach import YahooReach
    from feeds.yfinance.venue import yahoo_source

    venue = settings.venue
    adjusted = settings.feed.yfinance.adjusted
    reach = YahooReach(adjusted, venue.loopback_port, venue.loopback_ca)
    return yahoo_source(reach, wall_ms)


def _alpaca(settings: Settings) -> VenueSource:
    from feeds.alpaca.venue import alpaca_source

    venue = settings.venue
    reach = alpaca_reach_of(venue, live=settings.session.mode == LIVE)
    reach = replace(reach, own_time=settings.feed.live.speed is not None)
    if venue.adapter is not Adapter.ALPACA:
        return alpaca_source(reach)
    return alpaca_source(reach, AccountsAllowance("alpaca", venue.account))


def alpaca_reach_of(venue: VenueSettings, *, live: bool) -> AlpacaReach:
    """Return how Alpaca's market data is reached; raises ``ConfigError`` without its key."""
    from feeds.alpaca.reach import AlpacaReach

    given = given_credentials(venue)
    problems = [
        f"venue.credentials.{name}: found none, and Alpaca gives no market data without; "
        f"expected it from the environment ({VARIABLE}{name.upper()}) or a private file"
        for name in ("api_key", "secret")
        if not given.get(name)
    ]
    if problems:
        raise ConfigError(*problems)
    return AlpacaReach(
        given["api_key"],
        given["secret"],
        venue.alpaca.data_feed,
        venue.alpaca.adjustment,
        not live,
        venue.loopback_port,
        venue.loopback_ca,
    )


def reach_of(venue: VenueSettings) -> Reach:
    """Return how the market data of ``[venue]`` is reached through ccxt."""
    from feeds.ccxt.reach import Reach

    if venue.exchange is None:
        raise ConfigError("venue.exchange: not set; expected a ccxt id such as binanceusdm")
    tables = {name: table for name, table in venue.ccxt.items() if name != "params"}
    given = {**venue.ccxt.get("params", {}), **tables}
    return Reach(venue.exchange, given, venue.loopback_port, venue.loopback_ca)
