"""Whole sessions at the stand-in for Alpaca: truth, journal and ledger are one."""

from __future__ import annotations

import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alpaca_house import CLOCK, SPY, address, bar, opened, share

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, flat, make_spec, on_bars

from actors.inbox import Inbox
from actors.outcomes import COMPLETED
from actors.session import run_paper
from actors.spec import SessionResult
from brokers.alpaca.broker import AlpacaBroker
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from feeds.memory import MemoryFeed
from messages import Fill, Reconciled, Side
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Comparison, Folded, compare, fold_journal, fold_truth
from state.journal.reader import read_journal
from state.reconciliation_policy import ReconciliationPlan

CASH = Decimal(100_000)
TEN = Decimal(10)


async def run(
    folder: Path, script: Script, *faults: dict[str, Any]
) -> tuple[SessionResult, Folded, Folded, Comparison]:
    """Run a session; return it, the truth, its journal, and where they part."""
    async with opened(folder, *faults) as exchange:
        await exchange.server.show(SPY, [bar(0)])

        def broker(engine: MatchingEngine) -> SessionBroker:
            return AlpacaBroker(address(exchange, recv_window_ms=1_000), CLOCK, engine.symbols)

        spec = make_spec(MemoryFeed({SPY: flat(SPY, 8, 400.0)}), script.spec(symbols=(SPY,)))
        spec = replace(
            spec,
            mode="paper",
            runs_dir=folder / "runs",
            broker=broker,
            instruments={SPY: share()},
            cash=CASH,
            currency="USD",
            reconciliation=ReconciliationPlan(patient=True),
        )
        result = await run_paper(spec, speed=120, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))
    journal = fold_journal(messages(result), CASH)
    # What a trade is called here is made of its order's count: its id in the log is not told.
    truth.fills, journal.fills = _comparable(truth.fills), _comparable(journal.fills)
    return result, truth, journal, compare(truth, journal)


def _comparable(fills: dict[str, Fill]) -> dict[str, Fill]:
    return {
        f"{fill.client_order_id} {number}": msgspec.structs.replace(
            fill, trade_id=str(number), order_id="", strategy=""
        )
        for number, fill in enumerate(sorted(fills.values(), key=lambda each: each.timestamp))
    }


def messages(result: SessionResult) -> list[Any]:
    """Return all journaled messages of a session."""
    return [entry.message for entry in read_journal(result.out / "journal.sqlite")]


def round_trip() -> Script:
    """Return a strategy that buys, and sells what it has bought."""
    return on_bars(
        {
            0: lambda desk: [desk.open(SPY, Side.BUY, TEN)],
            4: lambda desk: [desk.close(SPY)],
        }
    )


async def test_a_session_trades_at_alpaca_and_its_books_are_the_truth(tmp_path: Path) -> None:
    """Bought and sold: every fill once, no difference to the last digit, nothing left."""
    result, truth, journal, found = await run(tmp_path, round_trip())

    assert COMPLETED == result.outcome
    assert 2 == len(truth.fills)
    assert Comparison() == found
    assert {} == truth.held == journal.held
    assert () == [each for each in messages(result) if isinstance(each, Reconciled)][-1].differences


@pytest.mark.parametrize("kind", ["lose_answers", "fail_after"])
async def test_a_lost_answer_is_a_doubt_that_the_session_settles(kind: str, tmp_path: Path) -> None:
    """The order is there, nobody was told; it is asked for, never sent again, and booked."""
    fault = {"fault": kind, "on": ["submit"], "count": 1}
    result, truth, _, found = await run(tmp_path, round_trip(), fault)

    assert COMPLETED == result.outcome
    assert [] == truth.sent_again
    assert Comparison() == found
    assert 2 == len(truth.fills)
