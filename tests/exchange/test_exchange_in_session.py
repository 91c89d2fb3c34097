"""Sessions in this process against an exchange on loopback: kills, circuits, doubt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange_house import BTC, KEY, serving

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, flat, make_spec, on_bars

from actors.commands import Request
from actors.health import HealthPlan
from actors.inbox import Inbox
from actors.outcomes import COMPLETED, KILLED
from actors.runtime.clock import sleep_s, wall_ms
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
    Side,
)
from scenarios.exchange.facts import Terms
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Comparison, Folded, compare, fold_journal, fold_truth
from state.journal.reader import read_journal

ONE = Decimal(1)
FAR = ExecutionPolicy(OrderType.LIMIT, limit_price=ONE)


def session_of(folder: Path, script: Script, url: str, *, bars: int = 12) -> SessionSpec:
    """Return a paper session whose venue is at ``url``."""

    def broker(engine: MatchingEngine) -> SessionBroker:
        address = VenueAddress(url, KEY, timeout_s=0.5)
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
    change: Callable[[SessionSpec], SessionSpec] = lambda spec: spec,
) -> tuple[SessionResult, Exchange]:
    """Run a session as fast as it goes against an exchange with ``faults``."""
    terms = listed(session_of(folder, script, ""))
    async with serving(folder / "truth", *faults, listed=terms) as (exchange, url):
        spec = change(session_of(folder, script, url))
        return await run_paper(spec, speed=0, inbox=inbox), exchange


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
        {"fault": "lose_requests", "on": ["submit", "account"], "after": 1},
        change=lambda spec: replace(spec, health=HealthPlan()),
    )
    told = messages(result)
    opened = [each for each in told if isinstance(each, CircuitOpened)]
    sent = [
        each for each in told if isinstance(each, ExecutionReport) and each.event is OrderEvent.SENT
    ]

    assert ["venue:virtual"] == [each.tool for each in opened[:1]]
    assert opened[0].failures == len(sent)
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


async def test_funding_and_money_agree_at_the_end(tmp_path: Path) -> None:
    """The comparison that closes a session finds the books and the exchange's account equal."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            4: lambda desk: [desk.reduce(BTC, Side.SELL, Decimal("0.25"))],
            5: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR)],
        }
    )

    result, exchange = await run(tmp_path, script)
    told = [each for each in messages(result) if type(each).__name__ == "Reconciled"]

    assert ["start", "close"] == [each.occasion for each in told]
    assert [(), ()] == [each.differences for each in told]
    assert 1 == len(exchange.venue.account().open_orders)
