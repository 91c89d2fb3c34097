"""Whole sessions at the virtual binanceusdm through ccxt: truth, journal and ledger are one."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import BTC, order
from dialect_house import CLOCK, address, opened

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from binance_house import instrument, terms
from msgspec.structs import replace as replace_struct
from session_world import Script, flat, make_spec, on_bars

from actors.commands import Request
from actors.execution import LastLook
from actors.inbox import Inbox
from actors.outcomes import COMPLETED
from actors.paced import PacedDriver
from actors.resuming import left_in
from actors.runtime import Pacer
from actors.session import resume_paper, run_paper
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from brokers.ccxt.broker import CcxtBroker
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from feeds.memory import MemoryFeed
from messages import (
    CommandVerb,
    ExecutionPolicy,
    ExecutionReport,
    OrderType,
    PositionMode,
    PositionSide,
    ReasonCode,
    Reconciled,
    Side,
)
from scenarios.exchange.binanceusdm import Exchange, market_id
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Comparison, Folded, compare, fold_journal, fold_truth
from state.journal import Journal
from state.journal.reader import read_journal
from state.reconciliation_policy import ReconciliationPlan

CASH = Decimal(100_000)
TENTH = Decimal("0.1")
FAR = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(40_000))


def session_of(
    folder: Path, script: Script, exchange: Exchange, *, hedge: bool = False, bars: int = 8
) -> SessionSpec:
    """Return a paper session whose venue is ``exchange``."""
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY

    def broker(engine: MatchingEngine) -> SessionBroker:
        given = address(exchange, position_mode=mode, recv_window_ms=1_000)
        return CcxtBroker(given, CLOCK, engine.symbols)

    spec = make_spec(MemoryFeed({BTC: flat(BTC, bars, 50_000.0)}), script.spec(symbols=(BTC,)))
    return replace(
        spec,
        mode="paper",
        runs_dir=folder / "runs",
        broker=broker,
        instruments={BTC: instrument()},
        cash=CASH,
        currency="USDT",
        engine=replace(spec.engine, position_mode=mode),
        reconciliation=ReconciliationPlan(patient=True),
    )


async def run(
    folder: Path, script: Script, *script_of_faults: dict[str, Any], hedge: bool = False
) -> tuple[SessionResult, Folded, Folded, Comparison]:
    """Run a session at a small speed; return it, the truth, its journal, and where they part."""
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    async with opened(folder, *script_of_faults, venue=terms(BTC, mode=mode)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(folder, script, exchange, hedge=hedge)
        result = await run_paper(spec, speed=120, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"), market_id)
    journal = fold_journal(messages(result), CASH)
    return result, truth, journal, compare(truth, journal)


def messages(result: SessionResult) -> list[Any]:
    """Return all journaled messages of a session."""
    return [entry.message for entry in read_journal(result.out / "journal.sqlite")]


def round_trip() -> Script:
    """Return a strategy that buys, and sells what it has bought."""
    return on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
            4: lambda desk: [desk.close(BTC)],
        }
    )


async def test_a_session_trades_at_the_exchange_and_its_books_are_the_truth(tmp_path: Path) -> None:
    """Bought and sold: every fill once, no difference to the last digit, nothing left."""
    result, truth, journal, found = await run(tmp_path, round_trip())

    assert COMPLETED == result.outcome
    assert 2 == len(truth.fills)
    assert Comparison() == found
    assert {} == truth.held == journal.held
    assert () == [each for each in messages(result) if isinstance(each, Reconciled)][-1].differences


async def test_a_hedged_session_keeps_its_books_apart(tmp_path: Path) -> None:
    """Long and short of one symbol, at the exchange and in the journal."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, position_side=PositionSide.LONG)],
            1: lambda desk: [desk.open(BTC, Side.SELL, TENTH, position_side=PositionSide.SHORT)],
        }
    )
    result, truth, _, found = await run(tmp_path, script, hedge=True)

    assert COMPLETED == result.outcome
    assert Comparison() == found
    assert {(BTC, PositionSide.LONG): TENTH, (BTC, PositionSide.SHORT): -TENTH} == truth.held


@pytest.mark.parametrize("kind", ["lose_answers", "cut_answers", "blank_answers", "fail_after"])
async def test_a_lost_answer_is_a_doubt_that_the_session_settles(kind: str, tmp_path: Path) -> None:
    """The order is there, nobody was told; it is asked for, never sent again, and booked."""
    fault = {"fault": kind, "on": ["submit"], "count": 1}
    result, truth, journal, found = await run(tmp_path, round_trip(), fault)

    assert COMPLETED == result.outcome
    assert [] == truth.sent_again
    assert Comparison() == found
    assert truth.fills.keys() == journal.fills.keys()


async def test_no_order_that_waited_for_its_turn_leaves_after_a_kill(tmp_path: Path) -> None:
    """
    The venue wants to be left alone; an order waits; a kill is acknowledged; the wait is over.

    The order was handed over before the kill, and is not sent after it.
    """
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
            1: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
        }
    )
    inbox, answers = Inbox(), []

    def kill(count: int) -> None:
        if count == 2:  # the second order was handed over; long before it may leave
            answers.append(inbox.submit(Request(verb=CommandVerb.KILL, by="test")))

    fault = {"fault": "rate_limit", "on": ["submit"], "count": 1, "by": "4s"}
    async with opened(tmp_path, fault, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, script, exchange, bars=12)
        await run_paper(spec, speed=120, inbox=inbox, on_progress=kill)
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))

    assert [True] == [answer.result().ok for answer in answers]
    assert {} == truth.orders


async def test_no_opening_that_waited_for_longer_than_a_bar_leaves(tmp_path: Path) -> None:
    """The venue wants to be left alone; when it may be asked again the market is another."""
    script = on_bars({at: lambda desk: [desk.open(BTC, Side.BUY, TENTH)] for at in (0, 1)})
    fault = {"fault": "rate_limit", "on": ["submit"], "count": 1, "by": "2s"}
    async with opened(tmp_path, fault, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        result = await run_paper(session_of(tmp_path, script, exchange), speed=120, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))

    assert {} == truth.orders
    causes = [each.cause for each in messages(result) if isinstance(each, ExecutionReport)]
    assert ReasonCode.INTENT_EXPIRED in {cause.code for cause in causes if cause is not None}


async def test_an_order_whose_record_waited_for_a_disk_is_looked_at_by_the_time_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the session waits its own time stands; its orders' deadlines do not."""
    late_s = [0.0]
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + late_s[0])
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        spec = session_of(tmp_path, Script(), exchange)
        groups = spec.feed.groups()
        session = Session(spec, "test-abc", Journal([]), next(iter(groups)))
        assert session.witness is not None
        assert session.remote is not None
        pacer = Pacer(1.0)
        PacedDriver(session, pacer, Inbox(), stop=lambda: False, on_progress=lambda _count: None)
        now = session.assembly.clock.now
        pacer.begin(now)
        session.witness.look_again(LastLook(session.assembly.board, session.assembly.holds))
        request = replace_struct(order(quantity="0.1"), created_at=now, valid_until=now + 5_000)

        assert session.remote.look(request) is None

        late_s[0] = 6.0

        cause = session.remote.look(request)
        assert cause is not None
        assert ReasonCode.INTENT_EXPIRED is cause.code
        assert now == session.assembly.clock.now


class Died(Exception):
    """The end of a process."""


async def test_a_session_that_died_goes_on_and_knows_its_order(tmp_path: Path) -> None:
    """
    The process ends with an order at rest; the next one's broker is told of it, and cancels it.

    Our id alone is not enough for a real venue: it wants the symbol with every question.
    """
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR)],
            20: lambda desk: [desk.cancel(BTC)],
        }
    )

    async with opened(tmp_path, venue=terms(BTC)) as exchange:

        def die(count: int) -> None:
            log = exchange.truth / "truth.ndjson"
            if count >= 4 and fold_truth(read_truth(log)).live:
                raise Died

        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, script, exchange, bars=40)
        with pytest.raises(Died):
            await run_paper(spec, speed=240, inbox=Inbox(), on_progress=die)
        resting = fold_truth(read_truth(exchange.truth / "truth.ndjson")).live
        (folder,) = (tmp_path / "runs" / "paper" / "sessions").iterdir()
        result = await resume_paper(spec, left_in(folder, spec), speed=240, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))

    assert 1 == len(resting)
    assert set() == truth.live
    assert COMPLETED == result.outcome
