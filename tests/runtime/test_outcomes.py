"""How whole sessions end: outcome, exit code and artifacts, whatever went wrong inside."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from replay_digest import spec
from session_world import BTC, Script, flat, make_spec, on_bars

from actors.session import run_replay
from actors.spec import SessionResult, SessionSpec
from feeds.memory import MemoryFeed
from messages import Bar, ExecutionReport, Fill, Intent, RiskDecision, Side, Verdict
from state.journal import decode_line
from state.ledger import Ledger, LedgerImbalance

FILES = {
    "events.ndjson",
    "journal.sqlite",
    "orders.csv",
    "trades.csv",
    "positions.csv",
    "account.csv",
    "session.md",
    "session.html",
}


def replay(script: Script, out: Path, bars: list[Bar] | None = None) -> SessionResult:
    """Run a session of one script into ``out``."""
    made = make_spec(MemoryFeed({BTC: bars or flat(BTC, 20)}), script.spec())
    given = {field.name: getattr(made, field.name) for field in fields(made)}
    return run_replay(SessionSpec(**{**given, "out": out}))


def buyer() -> Script:
    """Return a script that buys at every bar."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [strategy.desk.open(BTC, Side.BUY, Decimal(1))]
    return script


def last_event(out: Path) -> Any:
    return decode_line((out / "events.ndjson").read_bytes().splitlines()[-1]).message


def test_a_session_that_reaches_the_end_of_its_data_is_done(tmp_path: Path) -> None:
    """Completed, exit code 0, every artifact there."""
    result = replay(buyer(), tmp_path / "out")

    assert (result.outcome, result.exit_code, result.reason) == ("completed", 0, "")
    assert {path.name for path in result.out.iterdir()} >= FILES
    assert last_event(result.out).outcome == "completed"


def test_broken_books_end_the_session_with_exit_code_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``LedgerImbalance`` halts at once, says so everywhere, and leaves whole artifacts."""
    book: Callable[..., Any] = Ledger.book_fill
    booked: list[Fill] = []

    def breaks(self: Ledger, fill: Fill) -> Any:
        booked.append(fill)
        if len(booked) == 5:
            raise LedgerImbalance("planted: 1 USDT too many")
        return book(self, fill)

    monkeypatch.setattr(Ledger, "book_fill", breaks)
    result = replay(buyer(), tmp_path / "out")

    assert (result.outcome, result.exit_code) == ("halted", 6)
    assert "planted: 1 USDT too many" in result.reason
    assert len(booked) == 5
    assert {path.name for path in result.out.iterdir()} >= FILES
    ended = last_event(result.out)
    assert (ended.outcome, ended.exit_code) == ("halted", 6)
    assert "planted" in (result.out / "session.md").read_text()


def test_a_strategy_that_is_quarantined_does_not_fail_the_session(tmp_path: Path) -> None:
    """The session is done when its data is; the summary tells of the quarantine."""

    def fails(_strategy: Any, _bar: Bar) -> Any:
        raise RuntimeError("a bug of the user's")

    script = Script()
    script.on_bar = fails
    result = replay(script, tmp_path / "out")

    assert (result.outcome, result.exit_code) == ("completed", 0)
    assert "quarantine" in (result.out / "session.md").read_text().lower()


def test_an_interrupt_ends_the_session_properly(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a bar: exit code 130, books closed, artifacts whole."""
    script = on_bars({})

    def interrupted(_strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 7:
            raise KeyboardInterrupt

    script.on_bar = interrupted
    with pytest.raises(KeyboardInterrupt):
        replay(script, tmp_path / "out")

    ended = last_event(tmp_path / "out")
    assert (ended.outcome, ended.exit_code) == ("interrupted", 130)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= FILES


def test_a_strategy_that_calls_exit_ends_only_itself(tmp_path: Path) -> None:
    """``sys.exit()`` in a hook is a bug of that strategy, not the end of the daemon."""
    script = on_bars({})

    def leaves(_strategy: Any, _bar: Bar) -> Any:
        if len(script.seen) == 7:
            raise SystemExit(0)

    script.on_bar = leaves
    result = replay(script, tmp_path / "out")

    assert (result.outcome, result.exit_code) == ("completed", 0)
    assert len(script.made) == 2


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_order_has_its_row_even_beside_a_repeated_intent(tmp_path: Path) -> None:
    """One intent sent twice costs no order its row in ``orders.csv``."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        number = len(script.seen)
        if number in (3, 9):
            intent = strategy.desk.open(BTC, Side.BUY, Decimal(1))
            return [intent, intent]
        return [strategy.desk.open(BTC, Side.BUY, Decimal(1))] if number % 5 == 0 else None

    script.on_bar = decide
    out = replay(script, tmp_path / "out").out
    filled = {row["order_id"] for row in rows_of(out / "trades.csv")}
    rows = {row["order_id"] for row in rows_of(out / "orders.csv") if row["status"] == "filled"}

    assert len(filled) == 5
    assert filled == rows


@pytest.mark.parametrize("fails", [False, True], ids=["sound", "failing"])
def test_the_csv_artifacts_tell_of_every_intent_and_fill(tmp_path: Path, fails: bool) -> None:
    """Over a busy session: a row for each intent, with its end, and one for each trade."""
    run_replay(spec(tmp_path / "out", queued=False, fails=fails))
    events = [
        decode_line(line).message
        for line in (tmp_path / "out" / "events.ndjson").read_bytes().splitlines()
    ]
    intents = [event.intent_id for event in events if isinstance(event, Intent)]
    last = {e.order_id: e.status.value for e in events if isinstance(e, ExecutionReport)}
    denied = {
        e.intent_id for e in events if isinstance(e, RiskDecision) and e.verdict is Verdict.DENIED
    }
    trades = [e.fill.trade_id for e in events if isinstance(e, ExecutionReport) and e.fill]
    orders = rows_of(tmp_path / "out" / "orders.csv")

    assert [row["order_id"] for row in orders] == intents
    assert {row["order_id"] for row in orders if row["status"] == "denied"} == denied
    for row in orders:
        if row["order_id"] not in denied:
            assert row["status"] == last[row["order_id"]]
    assert [row["trade_id"] for row in rows_of(tmp_path / "out" / "trades.csv")] == trades
