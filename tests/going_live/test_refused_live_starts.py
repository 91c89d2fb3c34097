"""Every way in which a live session does not start, gate by gate: what is said, nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from binance_house import BTC, KEYS
from going_live_house import (
    clear,
    configure,
    configured,
    go,
    rehearse,
    run,
)
from preflight_house import Gate, asking, gate

from actors.runtime.clock import wall_ms
from scenarios.exchange.facts import FactKind
from state.lease import Holder, Lease, lease_files
from tidegate.control.daemon import account_folder
from tidegate.exits import StartRefused
from tidegate.going_live import refuse_unwell

REAL = {
    "TIDEGATE_VENUE__CREDENTIALS__API_KEY": "k" * 64,
    "TIDEGATE_VENUE__CREDENTIALS__SECRET": "s" * 64,
}


def sent_nothing(at: Gate) -> bool:
    """Return whether the exchange has seen no order, no cancel and no change."""
    return not {FactKind.RECEIVED, FactKind.CANCEL_ASKED, FactKind.SET} & at.kinds


# -- the first gate: fit


def test_without_the_acknowledgement_nothing_starts() -> None:
    """Exit code 2, one line, and it is said what to add and what that means."""
    configure()
    refused = run("trade", "-c", "live.toml")

    assert 2 == refused.exit_code
    assert ["--i-acknowledge-risk"] == [
        word for word in refused.stderr.split() if word.startswith("--")
    ]
    assert "real orders for real money" in refused.stderr
    assert not Path("runs").exists()


def test_an_acknowledgement_of_no_risk_is_a_slip() -> None:
    """Whoever acknowledges means a live session, and would not have one."""
    configure()
    refused = go("--mode", "shadow")

    assert 2 == refused.exit_code
    assert "expected 'live' or no acknowledgement" in refused.stderr


@pytest.mark.parametrize("mode", ["live", "shadow"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("VENUE__ADAPTER", "paper"),
        ("VENUE__ADAPTER", "virtual"),
        ("VENUE__ADAPTER", "ib"),
        ("FEED__SOURCE", "synthetic"),
    ],
)
def test_a_venue_or_a_feed_that_is_not_real_is_a_configuration_error(
    mode: str, key: str, value: str
) -> None:
    """By its key and its origin, for `trade` and for `check`."""
    configure()
    change = {f"TIDEGATE_{key}": value}
    acknowledged = ["--i-acknowledge-risk"] if mode == "live" else []
    refused = run("trade", "-c", "live.toml", "--mode", mode, *acknowledged, **change)
    checked = run("check", "-c", "live.toml", "--mode", mode, "--json", **change)

    dotted = key.lower().replace("__", ".")
    assert 2 == refused.exit_code
    assert f"environment TIDEGATE_{key}: {dotted}: found {value!r}" in refused.stderr
    assert 1 == checked.exit_code
    assert f'"subject": "{dotted}"' in checked.stdout


def test_everything_that_is_unfit_is_told_at_once() -> None:
    """The acknowledgement, the adapter, the feed, the limits: one error, a line each."""
    Path("live.toml").write_text('[session]\nmode = "live"\n')
    refused = run("trade", "-c", "live.toml")

    assert 2 == refused.exit_code
    for word in ("--i-acknowledge-risk", "venue.adapter", "feed.source", "max_daily_loss"):
        assert word in refused.stderr


def test_a_rehearsals_certificate_vouches_for_no_real_venue() -> None:
    """A certificate without the port that it is for: nothing pins the session to this machine."""
    configure('loopback_ca = "ca.pem"')
    refused = go()

    assert 2 == refused.exit_code
    assert "venue] loopback_ca: found ca.pem, and no loopback_port" in refused.stderr


def test_a_real_venue_is_not_paper() -> None:
    """The line that pins the rehearsal is taken out, and the mode forgotten: nothing is sent."""
    configure(venue="")
    refused = run("trade", "-c", "live.toml", "--mode", "paper")

    assert 2 == refused.exit_code
    assert "expected loopback_port, to rehearse on this machine" in refused.stderr


def test_real_credentials_in_a_test_are_refused_before_anything() -> None:
    """This very process is a test: cleared or not, it gets no further with them."""
    configure(venue="")
    clear()
    refused = go(**REAL)

    assert 2 == refused.exit_code
    assert "venue.credentials.api_key: found one for a real account" in refused.stderr


@pytest.mark.parametrize("environ", [{"TIDEGATE_RISK__LIVE_NOTIONAL_CAP": "100000"}])
def test_the_cap_is_raised_by_hand_in_a_file(environ: dict[str, str]) -> None:
    """A variable that was left in a shell raises nothing, whatever command reads it."""
    configure()
    refused = [go(**environ), run("check", "-c", "live.toml", **environ)]

    for each in refused:
        assert 2 == each.exit_code
        assert "risk.live_notional_cap: expected it in a configuration file" in each.stderr


def test_a_venue_that_does_not_tell_money_needs_it_told() -> None:
    """Where limits would be measured against a figure that nobody has looked at."""
    configure()
    change = {"TIDEGATE_VENUE__EXCHANGE": "bybit"}
    refused = go(**change)
    given = go(**change, TIDEGATE_SESSION__CASH="1000")

    assert 2 == refused.exit_code
    assert "session.cash: found none given, and bybit does not tell" in refused.stderr
    assert 5 == given.exit_code  # it is fit, and nobody has cleared it


# -- the second gate: cleared


def test_what_nobody_has_rehearsed_and_approved_does_not_start() -> None:
    """Exit code 5, each lack with the command that mends it; one alone is not enough."""
    configure()
    neither = go()
    rehearse()
    one = go()

    assert (5, 5) == (neither.exit_code, one.exit_code)
    assert "`tidegate scenario run PATH -c FILE` notes one" in neither.stderr
    assert "`tidegate approve` does" in neither.stderr
    assert "no scenario has passed" not in one.stderr
    assert "`tidegate approve` does" in one.stderr


def test_a_cap_that_was_raised_is_approved_anew() -> None:
    """It is part of what was approved, and so is what it was rehearsed with."""
    configure()
    clear()
    configure(risk='live_notional_cap = "5000"')
    refused = go()

    assert 5 == refused.exit_code
    assert "nobody has approved" in refused.stderr


def test_an_approval_before_the_rehearsal_is_none() -> None:
    """Approved, changed, rehearsed: what was approved then was something else."""
    configure()
    clear()
    configure(risk='live_notional_cap = "300"')
    rehearse()

    assert 5 == go().exit_code


# -- the third gate: well


def test_a_second_instance_is_refused_in_whatever_folder() -> None:
    """The account's lease is the user's; exit code 5 names who has it."""
    configure()
    clear()
    venue = configured().settings.venue
    folder = account_folder(Path("elsewhere"), "live", "main")
    environ = {"XDG_STATE_HOME": str(Path("state").absolute())}
    lease = Lease(
        lease_files(folder, "live", venue.place, "main", environ)[1:], Holder.this(wall_ms())
    )
    try:
        refused = go()
    finally:
        lease.release()

    assert 5 == refused.exit_code
    assert "a daemon runs for this account already (pid" in refused.stderr


def test_without_credentials_the_check_refuses_the_start() -> None:
    """Exit code 5, a table of what fails, and nothing left of a session."""
    configure()
    Path("ca.pem").write_text("none")
    clear()
    refused = go()

    assert 5 == refused.exit_code
    assert "TIDEGATE_VENUE__CREDENTIALS__API_KEY" in refused.stdout
    assert "start-up refused: the check before it fails" in refused.stderr
    assert "nothing was sent" in refused.stderr
    assert not list(Path("runs/live").glob("sessions/*"))
    assert not list(Path("runs/live").glob("accounts/*/daemon.json"))


def at_gate(at: Gate, **environ: str) -> dict[str, str]:
    """Configure a live session at an exchange; return the variables of its credentials."""
    configure(
        f'loopback_port = {at.exchange.port}\nloopback_ca = "{at.exchange.ca_path}"',
    )
    return {
        "TIDEGATE_VENUE__CREDENTIALS__API_KEY": at.keys.api_key,
        "TIDEGATE_VENUE__CREDENTIALS__SECRET": at.keys.secret,
        **environ,
    }


async def unwell(environ: dict[str, str], *, goes_on: bool = False) -> dict[str, str]:
    """Go through the third gate; return what has failed, empty where nothing has."""
    configuration = configured(**environ)
    try:
        await anyio.to_thread.run_sync(lambda: refuse_unwell(configuration, goes_on=goes_on))
    except StartRefused as refused:
        failing = refused.table
    else:
        return {}
    assert failing is not None, "what fails is told as a table"
    return {str(subject): str(why) for subject, why in failing[1]}


async def test_a_key_that_may_withdraw_does_not_start_unless_somebody_takes_it() -> None:
    """The venue says so in the start itself; the configuration may say that it is meant."""
    async with gate(keys=replace(KEYS, may_withdraw=True)) as at:
        given = at_gate(at)
        await anyio.to_thread.run_sync(clear)
        refused = await unwell(given)
        taken = await unwell({**given, "TIDEGATE_VENUE__ALLOW_WITHDRAWAL": "true"})

        assert sent_nothing(at)

    assert ["venue.rights.withdraw"] == list(refused)
    assert "venue.allow_withdrawal" in refused["venue.rights.withdraw"]
    assert "venue.rights.withdraw" not in taken


async def test_rights_that_the_venue_keeps_to_itself_are_no_rights() -> None:
    """A question that is not answered fails a live start, where on paper it only warns."""
    fault = {"fault": "error_before", "code": -1000, "on": ["account"], "after": 1, "count": 3}
    async with gate(fault) as at:
        given = at_gate(at)
        await anyio.to_thread.run_sync(clear)
        refused = await unwell(given)

    assert ["venue.rights"] == list(refused)


async def test_somebody_elses_orders_and_positions_do_not_start() -> None:
    """New, it is refused for both; gone on with, its own are the books' business."""
    async with gate() as at:
        async with asking(at, only_asks=False) as calls:
            for name, price in (("by-hand", "41000"), ("bought", None)):
                kind, more = "market" if price is None else "limit", {"clientOrderId": name}
                await calls.client.exchange.create_order(BTC, kind, "buy", "0.01", price, more)
        given = at_gate(at)
        await anyio.to_thread.run_sync(clear)
        new = await unwell(given)
        again = await unwell(given, goes_on=True)

    assert {"venue.orders", "venue.positions"} == set(new)
    assert ["venue.orders"] == list(again)
    assert "by-hand" in again["venue.orders"]


def test_what_pins_a_rehearsal_is_the_only_line_that_differs() -> None:
    """The real thing is what was approved, without that: the same subject at another place."""
    from tidegate.clearance import subject_of

    configure()
    rehearsed = configured()
    configure(venue="")
    real = configured()

    assert subject_of(rehearsed).sha256 == subject_of(real).sha256
    assert "binanceusdm@127.0.0.1:1" == rehearsed.settings.venue.place
    assert "binanceusdm" == real.settings.venue.place
    assert ("this machine only: a rehearsal", "the venue itself") == (
        rehearsed.settings.venue.reaches,
        real.settings.venue.reaches,
    )
