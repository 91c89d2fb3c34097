"""What ``tidegate check`` says of the venue: its address, its credentials, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import anyio

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.credentials import (
    automation_in,
    checked_credentials,
    given_credentials,
    is_pinned,
    real_credentials,
)
from brokers.findings import Accepts, Finding, failed, passed
from brokers.settings import ELSEWHERE, Adapter, VenueSettings
from state.instruments import Instrument, load_instruments
from state.lease import LIVE, SHADOW
from state.loopback import hosts_of
from state.reconciliation import MismatchKind
from state.reconciliation_policy import Policy
from tidegate.config import Configuration
from tidegate.exits import ConfigError

QUESTIONS: Final = {
    Adapter.CCXT: "its time, the markets and their filters, what the key may do, open orders, "
    "positions, position mode, leverage, margin mode and what is used of its allowance",
    Adapter.ALPACA: "its time, the shares, what the account may do, whether the exchange is open, "
    "open orders, positions and what is used of its allowance",
    Adapter.VIRTUAL: "open orders and positions",
}


def refuse_real_credentials_in_automation(
    configuration: Configuration, environ: Mapping[str, str]
) -> None:
    """
    Raise ``ConfigError`` where tests or a build have what could reach a real account.

    Each problem names the key and its origin, and never the value. Credentials of a venue that is
    pinned to this machine are a rehearsal's.
    """
    variable = automation_in(environ)
    if variable is None:
        return
    venue, source = configuration.settings.venue, configuration.settings.feed.source
    found = real_credentials(venue)
    if source == "alpaca" and not venue.loopback_port:
        # A key for market data there is one that trades.
        found = list(given_credentials(venue))
    problems = [
        f"{configuration.origin('venue', 'credentials', name)}: venue.credentials.{name}: found "
        f"one for a real account where {variable} is set, expected none in tests and builds; a "
        "rehearsal is pinned to this machine by venue.loopback_port"
        for name in found
    ]
    if problems:
        raise ConfigError(*problems)


def offline_findings(configuration: Configuration, *, asks: bool) -> Iterator[Finding]:
    """Yield what can be said of the venue without asking it."""
    venue = configuration.settings.venue
    if venue.adapter is Adapter.CCXT and venue.exchange is not None:
        yield from _known_exchange(venue.exchange)
    yield from _address(venue)
    if configuration.settings.session.mode == SHADOW:
        yield passed("venue", "needs no credentials and is asked for public market data alone")
        return
    yield from checked_credentials(venue)
    if not asks and venue.adapter in QUESTIONS:
        asked = QUESTIONS[venue.adapter]
        yield passed("venue", f"not asked; `tidegate check --venue` asks for {asked}: no order")


def venue_findings(
    configuration: Configuration, instruments: Mapping[str, Instrument], *, goes_on: bool = False
) -> list[Finding]:
    """
    Return what the venue answers; no order is sent and nothing at it is changed.

    Orders and positions of ours do not fail it for a session that ``goes_on`` with them. Raises
    ``VenueUnavailable`` where the venue cannot be reached as configured.
    """
    settings = configuration.settings
    venue = settings.venue
    if venue.adapter not in ELSEWHERE:
        return [passed("venue", f"{venue.adapter.value} is in this process: nothing to ask")]
    accepts = _accepts(configuration, goes_on=goes_on)
    if venue.adapter is Adapter.VIRTUAL:
        from brokers.virtual.address import MachineClock
        from brokers.virtual.inspecting import inspected as virtual

        return anyio.run(virtual, venue.virtual_address(), MachineClock(wall_ms, sleep_s), accepts)

    from brokers.ccxt.address import VenueClock
    from brokers.ccxt.inspecting import Asked, inspected

    file = settings.universe.instruments
    described = frozenset() if file is None else frozenset(load_instruments(Path(file)))
    asked = Asked(
        instruments,
        described,
        accepts,
        settings.session.mode == LIVE,
        venue.allow_withdrawal,
    )
    clock = VenueClock(wall_ms, monotonic_s, sleep_s)
    if venue.adapter is Adapter.ALPACA:
        from brokers.alpaca.inspecting import inspected as alpaca

        return anyio.run(alpaca, venue.alpaca_address(live=asked.is_live), clock, asked)
    return anyio.run(inspected, venue.ccxt_address(), clock, asked)


def _accepts(configuration: Configuration, *, goes_on: bool) -> Accepts:
    plan = configuration.settings.reconciliation.plan(elsewhere=True)

    def takes(kind: MismatchKind) -> bool:
        return plan.policy_of(kind) is not Policy.REFUSE

    return Accepts(
        takes(MismatchKind.FOREIGN_ORDER),
        goes_on or takes(MismatchKind.STRAY_ORDER),
        goes_on or takes(MismatchKind.EXTERNAL_POSITION),
    )


def _known_exchange(name: str) -> Iterator[Finding]:
    """Yield a failure where ccxt, which is not imported for this, has no such exchange."""
    package = find_spec("ccxt")
    if package is None:
        return  # which the venue itself says
    folders = [Path(folder, "abstract") for folder in package.submodule_search_locations or ()]
    known = [path.stem for folder in folders for path in folder.glob("[a-z]*.py")]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        yield failed(
            "venue.exchange", f"found {name!r}, expected an id of ccxt, as binanceusdm{meant}"
        )


def _address(venue: VenueSettings) -> Iterator[Finding]:
    subject = "venue.address"
    if venue.adapter is Adapter.VIRTUAL and venue.url is not None:
        yield passed(subject, venue.url)
    if venue.adapter not in {Adapter.CCXT, Adapter.ALPACA}:
        return
    if not venue.loopback_port:
        if is_pinned(venue):
            hosts = ", ".join(sorted(set(hosts_of(venue.ccxt["urls"]))))
            yield passed(subject, f"by venue.ccxt.urls: {hosts}, and nothing beyond this machine")
        else:
            yield passed(subject, f"{venue.place}: {venue.reaches}")
        return
    ca = venue.loopback_ca
    if ca is not None and not ca.is_file():
        yield failed("venue.loopback_ca", f"{ca}: found no file, expected the local venue's")
        return
    trusted = "the machine's certificates" if ca is None else str(ca)
    yield passed(
        subject, f"pinned: every host is 127.0.0.1:{venue.loopback_port}, trusted by {trusted}"
    )
