"""Sessions in this process against an exchange on loopback: kills, circuits, doubt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exchange_house import BTC, KEY, MINUTE, PATIENCE_S, client_of, order, serving

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import START, Script, flat, make_spec, on_bars

from actors.commands import Request
from actors.health import HealthPlan
from actors.inbox import Inbox
from actors.outcomes import COMPLETED, KILLED
from actors.paced import PacedDriver
from actors.runtime.clock import sleep_s, wall_ms
from actors.runtime.limits import LAST_READINGS
from actors.session import run_paper
from actors.spec import SessionResult, SessionSpec
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.broker import VirtualBroker
from feeds.memory import MemoryFeed
from messages import (
    CircuitOpened,
    CommandVerb,
    ExecutionPolicy,
    ExecutionReport,
    OrderEvent,
    OrderType,
    Reconciled,
    Side,
)
from scenarios.exchange.facts import Terms
from scenarios.exchange.log import read_truth
from scenarios.exchange.market import play
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Comparison, Folded, compare, fold_journal, fold_truth
from state.journal.reader import read_journal

ONE = Decimal(1)
FAR = ExecutionPolicy(OrderType.LIMIT, limit_price=ONE)


def session_of(folder: Path, script: Script, url: str, *, bars: int = 12) -> SessionSpec:
    """Return a paper session whose venue is at ``url``."""

    def broker(engine: MatchingEngine) -> SessionBroker:
        # No answer that comes is given up, and no doubt is over before its session is.
        address = VenueAddress(url, KEY, PATIENCE_S, recv_window_ms=60_000)
        clock = MachineClock(wall_ms, sleep_s)
        return VirtualBroker(address, clock, source=engine.config.trade_tag)

    spec = make_spec(MemoryFeed({BTC: flat(BTC, bars)}), script.spec())
    return replace(spec, mode="paper", runs_dir=folder / "runs", broker=broker)


def listed(spec: SessionSpec) -> Terms:
    """Return the terms of a venue that lists what a session trades, with its money."""
    return Terms(dict(spec.instruments), spec.currency, spec.cash, "venue")


async def run(
    folder: Path,
    script: Script,
    *faults: dict[str, Any],
    inbox: Inbox | None = None,
    speed: float = 0,
    change: Callable[[SessionSpec], SessionSpec] = lambda spec: spec,
) -> tuple[SessionResult, Exchange]:
    """Run a session against an exchange with ``faults``, as fast as it goes unless told."""
    terms = listed(session_of(folder, script, ""))
    async with serving(folder / "truth", *faults, listed=terms) as (exchange, url):
        spec = change(session_of(folder, script, url))
        return await run_paper(spec, speed=speed, inbox=inbox), exchange


def messages(result: SessionResult) -> list[Any]:
    """Return all journaled messages of a session."""
    return [entry.message for entry in read_journal(result.out / "journal.sqlite")]


def compared(result: SessionResult, exchange: Exchange) -> tuple[Folded, Folded, Comparison]:
    """Return the truth, what the session believes, and where they part."""
    truth = fold_truth(read_truth(exchange.log.path))
    journal = fold_journal(messages(result), Decimal(1_000_000))
    return truth, journal, compare(truth, journal)


async def test_a_kill_cancels_and_flattens_at_the_exchange(tmp_path: Path) -> None:
    """Confirmed by the venue's own account: no order rests, no position is left."""
    inbox = Inbox()

    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            1: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR)],
        }
    )
    decide = script.on_bar

    def and_kill(strategy: Any, bar: Any) -> Any:
        if len(script.seen) == 5:
            inbox.submit(Request(verb=CommandVerb.KILL, by="drill", flatten=True))
        return decide(strategy, bar)

    script.on_bar = and_kill
    result, exchange = await run(tmp_path, script, inbox=inbox)
    truth, _, found = compared(result, exchange)

    assert KILLED == result.outcome
    assert Comparison() == found
    assert {} == truth.held
    assert set() == truth.live


async def test_lost_requests_open_the_circuit_of_this_very_venue(tmp_path: Path) -> None:
    """The hold is of the venue that the orders go to: what would open is held from then on."""
    script = on_bars({turn: lambda desk: [desk.open(BTC, Side.BUY, ONE)] for turn in range(10)})

    result, exchange = await run(
        tmp_path,
        script,
        # The first request is the session's own start; probes fail as well.
        {"fault": "lose_requests", "on": ["submit", "account", "order"], "after": 1},
        change=lambda spec: replace(spec, health=HealthPlan()),
    )
    told = messages(result)
    opened = [each for each in told if isinstance(each, CircuitOpened)]
    sent = [
        each for each in told if isinstance(each, ExecutionReport) and each.event is OrderEvent.SENT
    ]

    assert ["venue:virtual"] == [each.tool for each in opened[:1]]
    # The questions about what is in doubt fail as well, and count like the orders themselves.
    assert 0 < len(sent) <= opened[0].failures
    assert {} == exchange.venue.requests


async def test_an_order_that_never_arrives_stays_in_doubt(tmp_path: Path) -> None:
    """Its session ends with it unresolved, named by the comparison, and it is never sent again."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})

    result, exchange = await run(tmp_path, script, {"fault": "lose_requests", "on": ["submit"]})
    truth, journal, found = compared(result, exchange)

    assert COMPLETED == result.outcome
    assert {} == truth.orders
    (name,) = journal.orders
    assert (f"order {name}: journal in_doubt, and the venue never had it",) == found.unresolved
    assert () == found.lost + found.duplicated


@pytest.mark.parametrize("speed", [0, 6_000])
async def test_books_and_account_agree_when_a_session_ends(tmp_path: Path, speed: float) -> None:
    """Whether time is waited for or not: the comparison that closes it finds them equal."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            4: lambda desk: [desk.reduce(BTC, Side.SELL, Decimal("0.25"))],
            5: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR)],
        }
    )

    result, exchange = await run(tmp_path, script, speed=speed)
    told = [each for each in messages(result) if type(each).__name__ == "Reconciled"]

    assert ["start", "close"] == [each.occasion for each in told]
    assert [(), ()] == [each.differences for each in told]
    assert 1 == len(exchange.venue.account().open_orders)


async def test_an_exchange_plays_a_market_of_its_own(tmp_path: Path) -> None:
    """Orders meet its bars; started again it goes on after the last one in its log."""
    feed = MemoryFeed({BTC: flat(BTC, 6)})
    async with serving(tmp_path / "t") as (exchange, url), client_of(url, source="") as client:
        client.broker.submit(order("a"), START)
        await client.quiet()
        await play(exchange, feed, 0)
        await client.until(lambda: "filled" in client.life("a"))
        client.bar()  # nobody shows it another one
        await client.quiet()

        assert 6 == exchange.venue.shown["venue"]
        assert {"venue"} == set(exchange.venue.shown)
        assert {} == dict(client.broker.working)
    async with serving(tmp_path / "t") as (again, _):
        await play(again, MemoryFeed({BTC: flat(BTC, 8)}), 0)

        assert 8 == again.venue.shown["venue"]
        assert START + 8 * MINUTE == again.venue.now


async def test_an_account_that_is_older_than_the_news_is_read_again_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last comparison finds an answer, although news came after the last but one reading."""
    ask = PacedDriver.ask_for_the_rest
    behind = 0

    async def amid_news(driver: PacedDriver) -> None:
        broker = driver.session.remote
        assert isinstance(broker, VirtualBroker)
        refresh = broker.refresh

        async def outpaced() -> None:
            nonlocal behind
            await refresh()
            if behind < LAST_READINGS - 1:
                behind += 1
                assert broker._account is not None
                before = broker._account.seq - 1
                broker._account = msgspec.structs.replace(broker._account, seq=before)

        monkeypatch.setattr(broker, "refresh", outpaced)
        await ask(driver)

    monkeypatch.setattr(PacedDriver, "ask_for_the_rest", amid_news)
    result, _ = await run(
        tmp_path, on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]}), speed=6000
    )
    closing = [m for m in messages(result) if isinstance(m, Reconciled)][-1]

    assert LAST_READINGS - 1 == behind
    assert () == closing.differences
