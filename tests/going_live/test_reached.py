"""Where orders go, whose daemon is meant, and what money the books begin with."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import TCPConnector
from binance_house import BTC, bar, instrument, terms
from dialect_house import address, opened
from preflight_house import CLOCK
from session_world import Script, flat, make_spec

from actors import opening
from actors.inbox import Inbox
from actors.opening import AccountUnexplained
from actors.session import run_paper
from actors.spec import SessionSpec
from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.capabilities import BINANCEUSDM
from brokers.ccxt.client import CcxtClient, LoopbackResolver
from brokers.contract import SessionBroker, VenueUnreachable
from brokers.matching import MatchingEngine
from brokers.settings import VenueSettings
from feeds.memory import MemoryFeed
from messages import AccountAdopted
from scenarios.exchange.binanceusdm import Exchange
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.market import play
from state.journal.reader import read_journal
from state.reconciliation import MismatchKind
from state.reconciliation_policy import Policy, ReconciliationPlan
from tidegate.control.client import Place, find
from tidegate.control.daemon import Daemon, account_folder, process_started, write_daemon
from tidegate.exits import Wanting
from tidegate.panicking import _places_of

LOCAL = {"api": {"public": "https://127.0.0.1:1/", "private": "https://localhost:1/"}}
MIXED = {"api": {"public": "https://127.0.0.1:1/", "private": "https://fapi.example.com/"}}


@pytest.mark.parametrize(
    ("given", "pinned"),
    [
        ({"loopback_port": 8443}, True),
        ({"urls": LOCAL}, True),
        ({"urls": MIXED}, False),
        ({}, False),
    ],
)
async def test_only_what_is_pinned_resolves_every_host_to_this_machine(
    given: dict[str, Any], pinned: bool
) -> None:
    """A client that nothing pins asks the system, as any program does; all else is the same."""
    client = CcxtClient(CcxtAddress("binanceusdm", **given), BINANCEUSDM, CLOCK)
    try:
        connector = client.exchange.session.connector

        assert isinstance(connector, TCPConnector)
        assert pinned is isinstance(connector._resolver, LoopbackResolver)
    finally:
        await client.close()


def test_a_test_certificate_is_not_trusted_for_a_real_venue(tmp_path: Path) -> None:
    """The client refuses it too, whoever has made the address."""
    with pytest.raises(VenueUnreachable, match="a rehearsal's, and nothing is pinned"):
        CcxtClient(CcxtAddress("binanceusdm", loopback_ca=tmp_path / "ca.pem"), BINANCEUSDM, CLOCK)


# -- whose daemon is meant


def running(mode: str, *, pid: int | None = None) -> None:
    """Let a daemon run for the account in a mode: this process, unless another is named."""
    number = os.getpid() if pid is None else pid
    folder = account_folder(Path("runs"), mode, "main")
    folder.mkdir(parents=True)
    since = process_started(os.getpid()) if pid is None else "never"
    write_daemon(folder, Daemon(number, since, mode, "main", f"/{mode}.sock"))


def test_a_daemon_whose_mode_was_an_option_is_found() -> None:
    """The configuration says paper, `trade --mode live` runs: a kill must not look past it."""
    running("live")

    assert "live" == find(Place(Path("runs"), "paper", "main")).mode
    with pytest.raises(Wanting):
        find(Place(Path("runs"), "paper", "another"))


def test_of_two_daemons_none_is_guessed() -> None:
    """Both are named with how they are reached."""
    running("live")
    running("shadow")

    with pytest.raises(Wanting, match=r"live account 'main'.*shadow account 'main'"):
        find(Place(Path("runs"), "paper", "main"))


def test_who_died_is_not_taken_for_the_one_that_runs() -> None:
    """A live daemon that is gone: its shadow is not killed in its place, as if that were it."""
    running("live", pid=1)
    running("shadow")

    with pytest.raises(Wanting, match="died without an orderly end"):
        find(Place(Path("runs"), "live", "main"))


@pytest.mark.parametrize("configured", ["live", "shadow", "paper"])
def test_a_panic_latches_the_live_account_whatever_mode_is_configured(configured: str) -> None:
    """It is the live daemon that could go on sending to the account that is being emptied."""
    running("live")
    venue = VenueSettings.model_validate({"adapter": "ccxt", "exchange": "binanceusdm"})
    places = _places_of(Place(Path("runs"), configured, "main"), venue)

    assert "live" in [each.mode for each in places]
    assert "shadow" not in [each.mode for each in places]


# -- what money the books begin with


def session_of(folder: Path, exchange: Exchange, mode: str, **plan: Any) -> SessionSpec:
    """Return a session with a wrong idea of what the account has."""

    def broker(engine: MatchingEngine) -> SessionBroker:
        return CcxtBroker(address(exchange, recv_window_ms=1_000), CLOCK, engine.symbols)

    spec = make_spec(MemoryFeed({BTC: flat(BTC, 2, 50_000.0)}), Script().spec(symbols=(BTC,)))
    return replace(
        spec,
        mode=mode,
        runs_dir=folder / "runs",
        broker=broker,
        instruments={BTC: instrument()},
        cash=Decimal(5),
        currency="USDT",
        reconciliation=ReconciliationPlan(patient=True, **plan),
    )


@pytest.mark.parametrize(
    ("mode", "plan"),
    [
        ("live", {}),
        ("paper", {}),
        ("live", {"policies": {MismatchKind.BALANCE_DRIFT: Policy.REFUSE}}),
        ("live", {"ablated": True}),
    ],
    ids=["live", "paper", "live-and-told-otherwise", "live-without-it"],
)
async def test_the_books_of_a_new_live_session_begin_with_what_the_account_has(
    mode: str, plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody configures a balance; on paper, or where it is asked for, a difference refuses."""
    if plan.pop("ablated", False):
        monkeypatch.setattr(opening, "LIVE", "no mode")
        refused = True
    else:
        refused = mode == "paper" or bool(plan)
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, exchange, mode, **plan)
        if refused:
            with pytest.raises(AccountUnexplained, match="balance_drift"):
                await run_paper(spec, speed=0, inbox=Inbox())
            return
        result = await run_paper(spec, speed=0, inbox=Inbox())

    (adopted,) = [
        entry.message
        for entry in read_journal(result.out / "journal.sqlite")
        if isinstance(entry.message, AccountAdopted)
    ]
    assert ("start", Decimal(100_000)) == (adopted.occasion, adopted.cash)
    (account,) = result.summary["accounts"]
    assert Decimal(100_000) == Decimal(account["first_equity"]) == Decimal(account["equity"])


# -- a market of today


async def test_a_market_in_real_time_shows_at_once_what_has_closed(tmp_path: Path) -> None:
    """And after a restart what is newer than what it has shown, whatever the feed begins with."""
    bars = [bar(number) for number in range(6)]
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        shown_before = len(facts(exchange))
        for begins, until in ((0, 3), (2, 6)):
            now = bars[until - 1].timestamp + 60_000
            await play(exchange.server, MemoryFeed({BTC: bars[begins:until]}), 1.0, (), now)
        shown = facts(exchange)[shown_before:]

    assert [each.timestamp for each in bars[-6:]][-len(shown) :] == [
        fact.shown.timestamp for fact in shown
    ]
    assert len({fact.shown.timestamp for fact in shown}) == len(shown) >= 5


def facts(exchange: Exchange) -> list[Any]:
    """Return what of its market an exchange has shown."""
    log = read_truth(exchange.truth / "truth.ndjson")
    return [fact for fact in log if fact.fact is FactKind.SHOWN]
