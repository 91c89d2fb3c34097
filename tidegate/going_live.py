"""
What has to be so before a session trades at a venue, and before one shadows that.

Theory of operation. There are three gates, in this order, and each is whole before the next one:

1. *Fit*: the configuration and the command line say all that a session for money has to be told.
   Nobody is asked and no file is looked at. Exit code 2.
2. *Cleared*: this very configuration was rehearsed, and a person approved of it. Exit code 5.
3. *Well*: everything that ``tidegate check --venue`` looks at, at this moment, in this process and
   under the account's lease, so that nothing can change who else runs between the look and the
   start. The client that asks may only ask. Exit code 5.

A venue that is pinned to this machine goes through the same gates: a rehearsal that was let off one
would rehearse something else. What a start went by is its *admission*; the manifest keeps one for
every start of the session.

A shadow sends nothing, so it needs to be fit and no more: not even credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog

from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.columns import Money
from brokers.settings import LIVE_ADAPTERS, Adapter, VenueUnavailable
from state.lease import LIVE, SHADOW
from state.money import plain
from state.projections.timestamps import iso_ms
from tidegate.candidates import missing_for_live as hooks_missing_for_live
from tidegate.clearance import Clearance, require_clearance
from tidegate.compose import missing_for_live
from tidegate.config import Configuration
from tidegate.exits import ConfigError, StartRefused

HELD_AT_VENUE: Final = frozenset({"venue.orders", "venue.positions"})
"""What fails a start because the account holds it: it may be that of a session to go on with."""

ACKNOWLEDGEMENT: Final = "--i-acknowledge-risk"


def is_beyond_paper(configuration: Configuration) -> bool:
    """Return whether the session is live, or shadows one that would be."""
    return configuration.settings.session.mode in (SHADOW, LIVE)


# -- fit


def unfit(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield the key and the whole line of what a live or shadow session cannot have so."""
    settings = configuration.settings
    mode, adapter = settings.session.mode, settings.venue.adapter
    if mode not in (SHADOW, LIVE):
        return
    if adapter.value not in LIVE_ADAPTERS:
        expected = " or ".join(map(repr, LIVE_ADAPTERS))
        shadow = "a shadow is of a session that could be live; " if mode == SHADOW else ""
        yield _problem(
            configuration,
            ("venue", "adapter"),
            f"found {adapter.value!r}, expected {expected} for mode {mode}: {shadow}"
            "`--mode paper` trades there",
        )
    elif mode == LIVE and adapter is Adapter.CCXT:
        try:
            settings.venue.ccxt_address()
        except VenueUnavailable as unavailable:
            yield "venue", str(unavailable)
    if not settings.feed.is_live:
        yield _problem(
            configuration,
            ("feed", "source"),
            f"found {settings.feed.source!r}, expected a live one ('ccxt') for mode {mode}: nobody "
            "decides today by bars that are not today's",
        )
    if mode == LIVE and _money_is_untold(configuration):
        yield _problem(
            configuration,
            ("session", "cash"),
            f"found none given, and {settings.venue.exchange} does not tell what an account has: "
            "expected what is in it, in quotes; limits are measured against it",
        )


def _money_is_untold(configuration: Configuration) -> bool:
    """Return whether nobody says what a live account has: not its venue, and not its owner."""
    venue = configuration.settings.venue
    if venue.adapter is not Adapter.CCXT or venue.exchange is None:
        return False
    is_untold = capabilities_of(venue.exchange).money is Money.UNKNOWN
    return is_untold and not configuration.is_given("session", "cash")


def _problem(configuration: Configuration, key: tuple[str, str], what: str) -> tuple[str, str]:
    name = ".".join(key)
    return name, f"{configuration.origin(*key)}: {name}: {what}"


def refuse_unfit(configuration: Configuration, *, acknowledged: bool) -> None:
    """
    Raise one ``ConfigError`` with everything that the configuration or the command line lacks.

    Of any mode: the risk is acknowledged for a live session only, and without one it is a slip.
    """
    origin = configuration.origin("session", "mode")
    problems = [line for _, line in unfit(configuration)]
    if configuration.settings.session.mode == LIVE:
        if not acknowledged:
            problems.insert(
                0,
                f"{origin}: session.mode: live sends real orders for real money; expected "
                f"{ACKNOWLEDGEMENT} on the command line of whoever takes that risk",
            )
        if missing := missing_for_live(configuration):
            problems.append(
                f"{origin}: session.mode: live needs limits that are given, and found none for "
                f"{', '.join(missing)}; expected each of them in [risk]"
            )
        problems += hooks_missing_for_live(configuration)
    elif acknowledged:
        problems.append(
            f"{origin}: session.mode: found {configuration.settings.session.mode!r} beside "
            f"{ACKNOWLEDGEMENT}, expected 'live' or no acknowledgement: nothing is at risk"
        )
    if problems:
        raise ConfigError(*problems)


# -- cleared


def cleared(configuration: Configuration) -> Clearance | None:
    """Return the clearance of a live session, ``None`` of any other; raises ``StartRefused``."""
    if configuration.settings.session.mode != LIVE:
        return None
    return require_clearance(configuration)


# -- well


def refuse_unwell(configuration: Configuration, *, goes_on: bool, instead: str = "") -> None:
    """
    Look at everything before a live session, its venue included; no order is sent.

    Raises ``StartRefused`` with a table of what fails; where that is what the account holds,
    ``instead`` says what could be started instead. Of a session that ``goes_on`` the orders and
    positions are its own: its books are compared with the venue's before anything opens.
    """
    if configuration.settings.session.mode != LIVE:
        return
    from tidegate.preflight import before_start

    found = before_start(configuration, goes_on=goes_on)
    log = structlog.get_logger("session")
    for each in found:
        if each.status == "warn":
            log.warning("preflight_warning", subject=each.subject, detail=each.detail)
    failing = [each for each in found if each.status == "fail"]
    if failing:
        subjects = dict.fromkeys(each.subject for each in failing)
        names = ", ".join(subjects)
        hint = instead if HELD_AT_VENUE & subjects.keys() else ""
        refused = StartRefused(
            f"start-up refused: the check before it fails ({names}); nothing was sent; "
            f"`tidegate check --venue --mode live` shows it all{hint}"
        )
        refused.table = (
            ("what fails", "why"),
            [(each.subject, each.detail) for each in failing],
        )
        refused.details = {
            "checks": [{"subject": each.subject, "detail": each.detail} for each in failing]
        }
        raise refused
    log.info("preflight_passed", looked_at=len(found))


# -- admitted


def admission(configuration: Configuration, clearance: Clearance | None) -> dict[str, Any]:
    """Return what this start goes by, JSON-ready; empty for paper, which needs nobody's leave."""
    if not is_beyond_paper(configuration):
        return {}
    settings = configuration.settings
    venue = settings.venue
    found: dict[str, Any] = {
        "mode": settings.session.mode,
        "sends_orders": settings.session.mode == LIVE,
        "venue": venue.place,
        "account": venue.account,
        "reaches": venue.reaches,
        "live_notional_cap": plain(settings.risk.live_notional_cap),
    }
    if clearance is None:
        return found
    assert clearance.approval is not None, "a clearance that was required is whole"
    assert clearance.rehearsal is not None, "a clearance that was required is whole"
    return {
        **found,
        "acknowledged": True,
        "subject": clearance.subject,
        "approved_by": clearance.approval.by,
        "approved_at": iso_ms(clearance.approval.at),
        "approval_reason": clearance.approval.reason,
        "rehearsed_at": iso_ms(clearance.rehearsal.at),
        "scenarios": sorted(clearance.rehearsal.scenarios),
        "packages": dict(clearance.packages),
    }


def announce_admission(found: Mapping[str, Any]) -> None:
    """Say in the log, loudly and before anything else, whether orders will leave and where to."""
    if not found:
        return
    log = structlog.get_logger("session")
    if found["sends_orders"]:
        log.warning("live_orders_leave", **{**found, "scenarios": len(found["scenarios"])})
    else:
        log.warning("shadow_no_order_leaves", **found)
