"""
A panic from the configuration to the exit code: latch, tell, empty, show.

Only ``[venue]`` and what names the account are read of the configuration, and of the rest nothing
is checked: an account can be emptied with a configuration that no session would start from. The
kill is latched first, so that a daemon that starts meanwhile starts killed; a disk that takes no
word holds up nothing, and whoever reads what is said, or has stopped to, neither. A daemon that
runs is told in a thread that nobody waits for.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio
from pydantic import ValidationError

from actors.commands import Request
from actors.inbox import latched
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms, within
from brokers.alpaca.emergency import AlpacaEmergency
from brokers.ccxt.address import VenueClock
from brokers.ccxt.emergency import CcxtEmergency
from brokers.contract import VenueUnreachable
from brokers.credentials import automation_in, real_credentials, refuse_missing
from brokers.emergency import EmergencyVenue
from brokers.ib import REFUSAL as IB_REFUSAL
from brokers.settings import (
    LIVE_ADAPTERS,
    Adapter,
    CredentialMissing,
    VenueSettings,
    VenueUnavailable,
)
from brokers.virtual.address import MachineClock
from brokers.virtual.emergency import VirtualEmergency
from messages import CommandVerb, Hold
from state.lease import LIVE, SHADOW
from state.money import plain
from state.register import FILE, HoldRegister, RegisterDamaged
from tidegate.aside import say_beside
from tidegate.config import DEFAULT_FILE, Settings
from tidegate.control.asking import OK, PENDING, given
from tidegate.control.client import Client, Place, find, operator, place_of, problems_of
from tidegate.control.daemon import running_daemons
from tidegate.emergency import Bounds, Emergency, Outcome
from tidegate.exits import CommandError, ConfigError, Exit, UsageRefused, Wanting
from tidegate.layers import environment_layer, file_layer, merge
from tidegate.output import say_document, say_table
from tidegate.redaction import exposed_secrets

CLOCK: Final = VenueClock(wall_ms, monotonic_s, sleep_s)
BOUNDS = Bounds()
TELL_S: Final = 4.0
"""A daemon that has not taken the word by then does not hear it from here."""

WHAT_TO_DO: Final = (
    "NOT EMPTY as far as the venue says: run it again, and look at the venue's own page or app; "
    "end a daemon that still sends (kill -9): a dead process sends nothing"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    files: Sequence[Path]
    flatten: bool
    symbols: Sequence[str]
    yes: bool
    as_json: bool


def panic(asked: Asked) -> int:
    """Empty the configured account and show what its venue says; return the exit code."""
    settings = venue_settings(asked.files)
    _refuse_real_credentials_in_automation(settings)
    places = _places_of(place_of(asked.files), settings)
    place = places[0]
    venue = _venue_of(settings, asked, live=place.mode == LIVE)
    _confirm(asked, settings, place)
    _refuse_without_credentials(settings)
    hold = latched(Request(verb=CommandVerb.KILL, by=operator(), reason="panic"), wall_ms())
    notes = [_latch(each, hold) for each in places]
    words = [_Word(each) for each in places]
    for word in words:
        word.start()
    identity = f"{place.mode}:{place.account}:{hold.since}"
    outcome, problem = anyio.run(_emptied, venue, identity, asked.flatten)
    # Once more: a daemon may have written its own holds since.
    notes += [_latch(each, hold) for each in places]
    notes += [word.result for word in words]
    notes = list(dict.fromkeys(notes))
    return _shown(asked, outcome, notes, problem)


async def _emptied(
    make: Callable[[], EmergencyVenue],
    identity: str,
    flatten: bool,
) -> tuple[Outcome, str]:
    """Return what it came to, and what makes it no use to go on, if anything does."""
    try:
        venue = make()
    except VenueUnreachable as unreachable:
        return Outcome(flatten), str(unreachable)
    problem = ""
    chance = Random(identity).random  # seam: only waits are drawn from it
    emergency = Emergency(
        venue, CLOCK, identity, flatten=flatten, chance=chance, say=_say, bounds=BOUNDS
    )

    async def work() -> None:
        nonlocal problem
        try:
            await emergency.run()
        except VenueUnreachable as unreachable:
            problem = str(unreachable)

    try:
        # A call, or a venue that wants to be left alone, may take longer than a pass looks.
        await within(BOUNDS.whole_s + BOUNDS.rest_max_s, work)
    finally:
        await within(BOUNDS.shut_s, venue.shut)
    return emergency.outcome, problem


# -- before


def venue_settings(files: Sequence[Path]) -> VenueSettings:
    """Return ``[venue]``, checked; raises ``ConfigError``."""
    paths = list(files) or ([DEFAULT_FILE] if DEFAULT_FILE.exists() else [])
    layers = [file_layer(path) for path in paths]
    exposed = [
        problem
        for layer in layers
        if layer.path is not None
        for problem in exposed_secrets(layer.path, layer.values)
    ]
    if exposed:
        raise ConfigError(*exposed)
    # Of the environment too only this section: another's slip is not our business.
    ours = {name: text for name, text in os.environ.items() if name.startswith("TIDEGATE_VENUE__")}
    layers.append(environment_layer(Settings, ours))
    merged, _ = merge(layers)
    try:
        return VenueSettings.model_validate(merged.get("venue", {}))
    except ValidationError as error:
        raise ConfigError(
            *(
                f"venue.{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
                for detail in error.errors(include_input=False, include_url=False)
            )
        ) from None


def _refuse_real_credentials_in_automation(settings: VenueSettings) -> None:
    variable = automation_in(os.environ)
    found = [] if variable is None else real_credentials(settings)
    if found:
        raise ConfigError(
            *(
                f"venue.credentials.{name}: found one for a real account where {variable} is set, "
                "expected none in tests and builds"
                for name in found
            )
        )


def _venue_of(settings: VenueSettings, asked: Asked, *, live: bool) -> Callable[[], EmergencyVenue]:
    """Return what makes the way to the venue; raises ``UsageRefused`` where there is none."""
    try:
        if settings.adapter is Adapter.CCXT:
            address = settings.ccxt_address()
            return partial(CcxtEmergency, address, CLOCK, tuple(asked.symbols))
        if settings.adapter is Adapter.ALPACA:
            address = settings.alpaca_address(live=live)
            return partial(AlpacaEmergency, address, CLOCK, tuple(asked.symbols))
        if settings.adapter is Adapter.VIRTUAL:
            if asked.symbols:
                raise UsageRefused(
                    "panic: --symbol: the virtual venue lists its open orders without symbols; "
                    "leave it out"
                )
            clock = MachineClock(wall_ms, sleep_s)
            return partial(VirtualEmergency, settings.virtual_address(), clock)
    except VenueUnavailable as unavailable:
        raise UsageRefused(f"panic: {unavailable}") from None
    if settings.adapter is Adapter.PAPER:
        raise UsageRefused(
            "panic: a paper venue lives in its daemon, and nothing of it is anywhere else: use "
            "`tidegate kill`"
        )
    raise UsageRefused(f"panic: {IB_REFUSAL}")


def _refuse_without_credentials(settings: VenueSettings) -> None:
    """Raise ``ConfigError`` where no venue would listen: better now than after a minute of it."""
    try:
        refuse_missing(settings)
    except CredentialMissing as missing:
        raise ConfigError(f"panic: {missing}") from None


def _places_of(place: Place, settings: VenueSettings) -> list[Place]:
    """
    Return whose daemons may be sending to the account, the likeliest first.

    The mode may have been an option of ``trade``, or has been changed since. A shadow sends
    nothing: who panics with its configuration means the account that it shadows.
    """
    if place.mode == SHADOW:
        place = replace(place, mode=LIVE)
    others = {daemon.mode for daemon in running_daemons(place.runs_dir)}
    others |= {LIVE} if settings.adapter.value in LIVE_ADAPTERS else set()
    found = [replace(place, mode=mode) for mode in sorted(others - {place.mode, SHADOW})]
    return [place, *(each for each in found if each.folder.is_dir())]


def _confirm(asked: Asked, settings: VenueSettings, place: Place) -> None:
    if asked.yes:
        return
    if not sys.stdin.isatty():
        raise UsageRefused("panic: without a terminal it has to be confirmed by --yes")
    where = settings.exchange or settings.url or settings.adapter.value
    what = "cancel ALL open orders" + (" and close ALL positions" if asked.flatten else "")
    of = f" of {', '.join(asked.symbols)}" if asked.symbols else ""
    say_beside(f"This will {what}{of} of {place.mode} account {place.account!r} at {where}.\n")
    say_beside("Type yes to go on: ")
    if sys.stdin.readline().strip().lower() != "yes":
        raise Wanting("panic: not confirmed; nothing was done")


def _latch(place: Place, hold: Hold) -> str:
    try:
        HoldRegister(place.folder / FILE).latch(hold)
    except (OSError, RegisterDamaged) as error:
        text = f"the kill of {place} is NOT latched on the disk: {error}"
        _say(text)
        return text
    return f"the kill is latched on the disk: who starts {place} now starts killed"


class _Word:
    """Tells a running daemon to kill, in a thread that nobody waits for."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.result = "a daemon runs and has not answered: it may still be sending"

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._tell, name="panic-word", daemon=True).start()

    def _tell(self) -> None:
        try:
            daemon = find(self._place)
        except Wanting as none:
            self.result = str(none)
            return
        if daemon.mode == SHADOW:
            self.result = "only a shadow runs for the account, and it sends nothing"
            return
        try:
            client = Client(Path(daemon.socket), TELL_S)
            # Without flattening: who closes the positions is here.
            status, answer = given(client, "kill", {"reason": "panic", "flatten": False})
        except CommandError as silent:
            self.result = f"{silent}: it may still be sending"
            return
        if status in (OK, PENDING):
            self.result = "the running daemon has taken the kill"
        else:
            self.result = f"the daemon did NOT take the kill: {'; '.join(problems_of(answer))}"


# -- after


def _shown(asked: Asked, outcome: Outcome, notes: Sequence[str], problem: str) -> int:
    code = Exit.DONE if outcome.is_clean else Exit.WANTING
    if asked.as_json:
        say_document(_document(outcome, notes, problem, code))
    else:
        say_table(("the venue shows", "symbol", "side", "amount", "name"), _rows(outcome))
        for text in (*outcome.sent, *notes):
            print(text)
    if not outcome.is_clean:
        if problem:
            _say(problem)
        _say(WHAT_TO_DO)
    return int(code)


def _rows(outcome: Outcome) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if outcome.resting is None:
        rows.append(("open orders: no answer", "", "", "", ""))
    elif not outcome.resting:
        rows.append(("no open orders", "", "", "", ""))
    rows += [
        ("open order", order.symbol, order.side, order.amount, order.name or order.order_id)
        for order in outcome.resting or ()
    ]
    if outcome.held is None:
        rows.append(("positions: no answer", "", "", "", ""))
    elif not outcome.held:
        rows.append(("no positions", "", "", "", ""))
    rows += [
        ("position", held.symbol, held.side, plain(abs(held.amount)), "")
        for held in outcome.held or ()
    ]
    return rows


def _document(outcome: Outcome, notes: Sequence[str], problem: str, code: Exit) -> dict[str, Any]:
    orders, held = outcome.resting, outcome.held
    return {
        "confirmed": outcome.is_clean,
        "flatten": outcome.flatten,
        "open_orders": None
        if orders is None
        else [
            {
                "order_id": order.order_id,
                "name": order.name,
                "symbol": order.symbol,
                "side": order.side,
                "amount": order.amount,
            }
            for order in orders
        ],
        "positions": None
        if held is None
        else [
            {"symbol": each.symbol, "side": each.side, "amount": plain(abs(each.amount))}
            for each in held
        ],
        "sent": outcome.sent,
        "troubles": [*outcome.troubles, *([problem] if problem else [])],
        "notes": list(notes),
        "exit_code": int(code),
    }


def _say(text: str) -> None:
    say_beside(f"tidegate: panic: {text}\n")
