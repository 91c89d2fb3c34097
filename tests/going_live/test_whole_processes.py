"""Live and shadow, in processes of their own, at a virtual binanceusdm over TLS in another one."""

from __future__ import annotations

import json
import re
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from going_live_house import (
    BTC,
    MINUTE,
    Child,
    clear,
    configure,
    keys,
    run,
    started,
    write_market,
)

from actors.runtime.clock import wall_ms
from brokers.virtual.wire import KEY_HEADER, MARKET, Shown
from messages import Bar, OrderWithheld, Quote
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_journal, fold_truth
from state.journal.reader import read_journal
from state.manifest import SessionStatus, load_manifest

pytestmark = pytest.mark.exhaustive

TRUTH = Path("venue/truth.ndjson")
GO = ("trade", "-c", "live.toml", "--i-acknowledge-risk")
SHADOW = ("trade", "-c", "live.toml", "--mode", "shadow")


BEGINNINGS = {FactKind.OPENED, FactKind.BALANCE}
"""What the log of every exchange begins with."""

QUOTES_MAX = 200

QUOTER = '''\
"""Buys at one quote and sells at the next: a strategy for a market without bars."""

from decimal import Decimal

from messages import Side
from strategies import Strategy, StrategyParams


class Quoter(Strategy):
    """See the module."""

    Params = StrategyParams

    def on_bar(self, bar):
        return []

    def on_quote(self, quote):
        if self.desk.position(quote.symbol):
            return [self.desk.close(quote.symbol, decision_price=quote.bid)]
        size, at = Decimal("0.003"), quote.ask
        return [self.desk.open(quote.symbol, Side.BUY, size, decision_price=at)]
'''


@contextmanager
def serving(*market: str) -> Iterator[Child]:
    """Serve an exchange, and configure a session that could go live there."""
    Path("venue.toml").write_text(
        f'[universe]\nsymbols = ["{BTC}"]\ninstruments = "instruments.toml"\n'
    )
    command = ("venue", "-c", "venue.toml", "--dialect", "binanceusdm", "--cash", "10000")
    limits = ("--limits-times", "100", "--truth", str(TRUTH), "--json")
    child = started(*command, *market, *limits)
    try:
        child.until(r"^}")
        said = json.loads("".join(child.said))
        configure(f'loopback_port = {said["port"]}\nloopback_ca = "{said["ca_file"]}"')
        if Path("quoter.py").exists():
            text = Path("live.toml").read_text()
            text = text.replace('use = "sma_cross"', 'use = "quoter.py:Quoter"')
            Path("live.toml").write_text(re.sub(r"params = .*", "", text))
        yield child
    finally:
        child.ends(signal.SIGTERM)


@pytest.fixture
def venue() -> Iterator[Child]:
    """Serve an exchange with a market that runs, sixty times as fast as the clock."""
    configure()  # for the instruments
    write_market(Path("market.csv"))
    with serving("--data", f"market.csv@{BTC}", "--speed", "60") as child:
        yield child


def session(mode: str) -> Path:
    """Return the folder of the only session of a mode."""
    (folder,) = Path("runs", mode, "sessions").iterdir()
    return folder


def messages(folder: Path) -> list[Any]:
    """Return all that a session has journaled."""
    return [entry.message for entry in read_journal(folder / "journal.sqlite")]


def kinds() -> set[FactKind]:
    """Return all that the exchange has taken down."""
    return {fact.fact for fact in read_truth(TRUTH)}


def test_a_live_session_trades_dies_goes_on_is_killed_and_ends(venue: Child) -> None:
    """
    The whole path: cleared, checked, traded at the exchange, torn off, gone on with, flattened.

    At the end the exchange's truth is the journal's, and everything that one could look at says
    that it was live, by whose leave, and that it was a rehearsal.
    """
    clear()
    secrets = keys(TRUTH)
    first = started(*GO, **secrets)
    announced = first.until("live_orders_leave")
    first.until("order_filled")
    status = run("status", "-c", "live.toml")
    second = run(*GO, **secrets)
    first.ends(signal.SIGKILL)
    again = started(*GO, "--resume", **secrets)
    again.until("recovery_phase phase=trading")
    killed = run("kill", "--flatten", "--reason", "drill", "-c", "live.toml", "--json")
    code = again.ends(signal.SIGTERM)
    folder = session("live")

    assert "approved_by=Ada" in announced
    assert 'reaches="this machine only: a rehearsal"' in announced
    assert "LIVE at binanceusdm@127.0.0.1:" in status.output
    assert 5 == second.exit_code
    assert "a daemon runs for this account already" in second.output
    assert json.loads(killed.stdout)["confirmed"], killed.output + "".join(again.said)
    assert 4 == code, "".join(again.said)
    manifest = load_manifest(folder / "manifest.json")
    assert ("live", 2) == (manifest.mode, len(manifest.admissions))
    for admission in manifest.admissions:
        assert (True, True, "Ada") == (
            admission["sends_orders"],
            admission["acknowledged"],
            admission["approved_by"],
        )
    assert "**LIVE at binanceusdm@127" in (folder / "session.md").read_text()
    truth, journal = fold_truth(read_truth(TRUTH)), fold_journal(messages(folder), Decimal(10_000))
    assert [] == truth.sent_again
    assert {} == truth.held == journal.held
    bought = {(fill.side, fill.quantity, fill.price) for fill in truth.fills.values()}
    booked = {(fill.side, fill.quantity, fill.price) for fill in journal.fills.values()}
    assert bought == booked
    assert len(truth.fills) == len(journal.fills)


def test_a_live_session_that_was_stopped_goes_on_and_a_new_one_is_told_so(venue: Child) -> None:
    """
    Stopped by SIGTERM with a position, it stands as interrupted; all gates are gone through again.

    A start beside it fails the check before it, by what the account holds, and is told of it.
    """
    clear()
    secrets = keys(TRUTH)
    first = started(*GO, **secrets)
    first.until("order_filled .*side=buy")
    stopped = first.ends(signal.SIGTERM)
    folder = session("live")
    left = fold_truth(read_truth(TRUTH)).held
    status = load_manifest(folder / "manifest.json").status
    beside = run(*GO, **secrets)
    again = started(*GO, "--resume", **secrets)
    again.until("recovery_phase phase=trading")
    again.until("order_filled .*side=buy")
    code = again.ends(signal.SIGTERM)
    verified = run("verify", "latest", "-c", "live.toml")

    assert (130, 130) == (stopped, code), "".join(again.said)
    assert status is SessionStatus.INTERRUPTED
    if left:  # else it was closed in the very moment
        assert 5 == beside.exit_code
        assert f"--resume goes on with session {folder.name} (interrupted)" in beside.output
    manifest = load_manifest(folder / "manifest.json")
    assert (SessionStatus.INTERRUPTED, 2) == (manifest.status, len(manifest.admissions))
    assert 0 == verified.exit_code, verified.output
    truth, journal = fold_truth(read_truth(TRUTH)), fold_journal(messages(folder), Decimal(10_000))
    assert [] == truth.sent_again
    assert truth.held == journal.held
    assert len(truth.fills) == len(journal.fills)


class Quoted:
    """The exchange's market as a test shows it: bars of this hour, and quotes of this moment."""

    def __init__(self, said: dict[str, Any]) -> None:
        """Show nothing yet; ``said`` is what the exchange has printed."""
        self._url = f"{said['url']}{MARKET}"
        self._tls = ssl.create_default_context(cafile=said["ca_file"])
        self._tls.check_hostname = False  # the certificate is the venue's hosts'
        self._headers = {KEY_HEADER: Path(said["key_file"]).read_text().strip()}
        self._shown = 0
        self._cents = 0

    def show(self, *pieces: Bar | Quote) -> None:
        """Show more of the market."""
        body = msgspec.json.encode(Shown("test", self._shown + 1, pieces))
        asked = urllib.request.Request(self._url, body, self._headers)
        with urllib.request.urlopen(asked, context=self._tls, timeout=30) as answer:
            assert 200 == answer.status
        self._shown += len(pieces)

    def bar(self, minutes_ago: int) -> None:
        """Show the bar that closed so many minutes ago."""
        at = (wall_ms() // MINUTE - minutes_ago) * MINUTE
        self.show(Bar(BTC, at, 50_000.0, 50_005.0, 49_995.0, 50_000.0, 10.0, MINUTE))

    def quote(self) -> None:
        """Show a quote of now, of another price than the one before."""
        self._cents = (self._cents + 1) % 5
        bid = 50_000.0 + self._cents / 10
        self.show(Quote(BTC, wall_ms(), bid, bid + 1.0, 5.0, 5.0))

    def quote_until(self, child: Child, pattern: str) -> str:
        """Show quotes until a child says something; fail with all that it has said."""
        for _ in range(QUOTES_MAX):
            self.quote()
            if (line := child.look(pattern)) is not None:
                return line
        return child.until(pattern)


def test_a_shadow_decides_and_fills_and_nothing_of_it_reaches_the_exchange() -> None:
    """
    Torn off and gone on with, and stopped; with no credentials at all, and nobody's approval.

    The exchange has seen no order, no cancel and no setting: its log has its market and nothing
    else. The twin's fills are compared with what was decided at and with the quotes.
    """
    configure()
    Path("quoter.py").write_text(QUOTER)
    with serving() as child:
        market = Quoted(json.loads("".join(child.said)))
        for minutes in (9, 8, 7):
            market.bar(minutes)
        first = started(*SHADOW)
        announced = first.until("shadow_no_order_leaves")
        first.until("session_started")
        market.bar(4)
        market.bar(3)
        market.quote_until(first, "order_filled")
        other = run("status", "-c", "live.toml")  # configured as live: a shadow is no answer
        status = run("status", "-c", "live.toml", TIDEGATE_SESSION__MODE="shadow")
        first.ends(signal.SIGKILL)
        again = started(*SHADOW, "--resume")
        again.until("recovery_phase phase=trading")
        market.quote_until(again, "order_filled")
        code = again.ends(signal.SIGINT)
    folder = session("shadow")

    assert "sends_orders=false" in announced
    assert 1 == other.exit_code
    assert "no daemon runs for the live account" in other.output
    assert "SHADOW of binanceusdm@127.0.0.1:" in status.output
    assert 130 == code, "".join(again.said)
    assert {FactKind.SHOWN} == kinds() - BEGINNINGS
    said = messages(folder)
    withheld = [message for message in said if isinstance(message, OrderWithheld)]
    fills = fold_journal(said, Decimal(100_000)).fills
    assert len(withheld) >= len(fills) >= 2
    assert all(each.ask is not None and each.decision_price is not None for each in withheld)
    report = (folder / "session.md").read_text()
    assert "**SHADOW of binanceusdm@127" in report
    assert "## Shadow: the twin against the market" in report
    printed = "".join(again.said)
    assert "bps off the price decided at" in printed
    assert "bps off the quote" in printed
    manifest = load_manifest(folder / "manifest.json")
    assert ["shadow", "shadow"] == [each["mode"] for each in manifest.admissions]
    verified = run("verify", str(folder))
    assert 0 == verified.exit_code, verified.output
    assert not Path("runs/live").exists()


@pytest.mark.parametrize(("how", "seed"), [(GO, 0), (SHADOW, 1)], ids=["live", "shadow"])
def test_however_its_processes_ended_a_session_verifies(
    venue: Child, how: tuple[str, ...], seed: int
) -> None:
    """Torn off or stopped at any moment, between bars too, and looked in at before; each time."""
    clear()
    secrets = keys(TRUTH)
    chance = Random(seed)
    ends = []
    for number in range(5):
        child = started(*how, *(("--resume",) if number else ()), **secrets)
        child.until("recovery_phase phase=trading" if number else "session_started")
        if chance.random() < 0.5:
            run("status", "-c", "live.toml", TIDEGATE_SESSION__MODE=session_mode(how))
        child.pass_by(chance.uniform(0.0, 3.0))
        ends.append(chance.choice([signal.SIGKILL, signal.SIGINT]))
        code = child.ends(ends[-1])
        verified = run("verify", str(session(session_mode(how))))

        assert code in (130, -signal.SIGKILL), "".join(child.said)
        assert 0 == verified.exit_code, f"{ends}: {verified.output}"
        assert verified.output.startswith("same"), f"{ends}: {verified.output}"


def session_mode(how: tuple[str, ...]) -> str:
    """Return the mode of a session that is started so."""
    return "live" if how is GO else "shadow"
