"""Sessions in their folders: left by a process that died, gone on with, or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from resumed_world import Trader, trader_spec
from session_world import BTC, instruments_of, make_spec, walk
from workloads import busy_steps

from actors.keeping import STATES_VERSION
from actors.reconciler import UNSETTLED as UNHEARD
from actors.resuming import Left, ResumeRefused, left_in
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from actors.turns import Session
from feeds.memory import MemoryFeed
from state.journal import schema
from state.journal.limits import LIVE_PAGE
from state.lease import LeaseHeld, SessionLease
from strategies.loader import StrategyLoadError

SESSION = "paper-left-abc"
BARS = 600
OTHER_VERSION = (
    "UPDATE state SET value = CAST(replace(CAST(value AS TEXT), "
    f"'\"version\":{STATES_VERSION}', '\"version\":99') AS BLOB) WHERE part = 'session'"
)


class Died(BaseException):
    """The process is gone."""


class Forgetful(Trader):
    """A trader that cannot take its state back."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Fail."""
        raise ValueError("a drill")


class Unready(Trader):
    """A trader whose state cannot be had after a while."""

    def snapshot(self) -> dict[str, Any]:
        """Fail from the fifth bar on."""
        if self.seen >= 5:
            raise ValueError("a drill")
        return super().snapshot()


def spec_of(runs: Path, kind: type[Trader] = Trader, **config: Any) -> SessionSpec:
    """Return a paper session of one trader."""
    steps = busy_steps(3, BARS, 0.2)
    one = replace(
        trader_spec((), "one", (BTC,)), factory=lambda desk, params: kind(desk, params, steps)
    )
    feed = MemoryFeed({BTC: walk(BTC, BARS, 5)})
    made = make_spec(feed, one, instruments=instruments_of((BTC,), Decimal(10)))
    return replace(made, mode="paper", runs_dir=runs, session_id=SESSION, config=config)


def folder_of(runs: Path) -> Path:
    """Return the session's folder."""
    return runs / "paper" / "sessions" / SESSION


def run(spec: SessionSpec, *, dies_at: int = 0, left: Left | None = None) -> int:
    """Run a session, or go on with it; let it die after so many bars. Return its exit code."""
    opened: list[Session] = []

    def progressed(bars: int) -> None:
        (session,) = opened
        live = session.assembly.books.orders.live()
        # What is not durable yet is in doubt afterwards, which is another story: see test_going_on.
        durable = session.journal.durable_seq == session.journal.seq
        if dies_at and bars >= dies_at and durable and all(o.status not in UNHEARD for o in live):
            raise Died

    async def session() -> int:
        run: Any = run_paper if left is None else partial(resume_paper, left=left)
        result = await run(spec, speed=0, on_progress=progressed, on_open=opened.append)
        return int(result.exit_code)

    return anyio.run(session)


def die(spec: SessionSpec, at: int, left: Left | None = None) -> None:
    """Let a session die after ``at`` bars."""
    with pytest.raises(BaseException) as died:
        run(spec, dies_at=at, left=left)
    assert died.group_contains(Died) if isinstance(died.value, BaseExceptionGroup) else True


def test_files_are_those_of_a_session_that_nobody_interrupted(tmp_path: Path) -> None:
    """Twice dead and gone on with: the same orders, trades and account, each once."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(spec_of(whole)) == 0

    die(spec_of(cut), 100)
    die(spec_of(cut), 300, left_in(folder_of(cut), spec_of(cut)))
    assert run(spec_of(cut), left=left_in(folder_of(cut), spec_of(cut))) == 0

    for name in ("orders.csv", "trades.csv"):
        assert (folder_of(whole) / name).read_bytes() == (folder_of(cut) / name).read_bytes()
    last = [(folder_of(each) / "account.csv").read_text().split()[-1] for each in (whole, cut)]
    assert last[0] == last[1]


def test_a_session_that_has_ended_is_not_gone_on_with(tmp_path: Path) -> None:
    """It says so: there is nothing to do."""
    assert run(spec_of(tmp_path)) == 0

    left = left_in(folder_of(tmp_path), spec_of(tmp_path))

    assert left.ended is not None
    assert left.recorded is None


@pytest.mark.parametrize("what", ["a line", "the file"])
def test_a_damaged_journal_is_refused_by_name(tmp_path: Path, what: str) -> None:
    """And is no obstacle to a new session beside it."""
    die(spec_of(tmp_path), 8)
    journal = folder_of(tmp_path) / "journal.sqlite"
    sqlite3.connect(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    content = bytearray(journal.read_bytes())
    if what == "a line":
        at = content.find(b'"type":"OpenIntent"')
        content[at + 8 : at + 12] = b"\xff\xff\xff\xff"
    else:
        content[:100] = bytes(100)
    journal.write_bytes(content)

    with pytest.raises(ResumeRefused, match=r"journal\.sqlite"):
        left_in(folder_of(tmp_path), spec_of(tmp_path))

    assert run(replace(spec_of(tmp_path), session_id="paper-new-abd")) == 0


def test_another_configuration_is_refused_key_by_key(tmp_path: Path) -> None:
    """What decides nothing may be another one."""
    first = {"feed": {"speed": 1.0}, "session": {"cash": "5"}}
    die(spec_of(tmp_path, **first), 8)
    other = {"feed": {"speed": 9.0}, "session": {"cash": "6"}}

    with pytest.raises(ResumeRefused, match=r"session\.cash: '5', now '6'") as refused:
        left_in(folder_of(tmp_path), spec_of(tmp_path, **other))

    assert "speed" not in str(refused.value)
    assert "--new" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DELETE FROM state", "kept no states"),
        (OTHER_VERSION, "states of version 99"),
    ],
)
def test_states_that_are_not_there_or_of_another_form_are_refused(
    tmp_path: Path, change: str, message: str
) -> None:
    """Nobody guesses what a strategy knew."""
    die(spec_of(tmp_path), 8)
    journal = folder_of(tmp_path) / "journal.sqlite"
    with closing(sqlite3.connect(journal, isolation_level=None)) as file:
        file.execute(change)

    with pytest.raises(ResumeRefused, match=message):
        left_in(folder_of(tmp_path), spec_of(tmp_path))


def test_a_strategy_that_cannot_take_its_state_back_ends_the_start_by_name(tmp_path: Path) -> None:
    """And loses nothing: repaired, it goes on."""
    whole = tmp_path / "whole"
    assert run(spec_of(whole)) == 0
    die(spec_of(tmp_path), 8)

    with pytest.raises(StrategyLoadError, match=r"'one'.*a drill"):
        run(spec_of(tmp_path, Forgetful), left=left_in(folder_of(tmp_path), spec_of(tmp_path)))
    assert run(spec_of(tmp_path), left=left_in(folder_of(tmp_path), spec_of(tmp_path))) == 0

    trades = [(folder_of(each) / "trades.csv").read_bytes() for each in (whole, tmp_path)]
    assert trades[0] == trades[1]


def test_a_strategy_whose_state_cannot_be_had_is_stopped_and_the_session_goes_on(
    tmp_path: Path,
) -> None:
    """It fails like any actor that fails, until it is quarantined; resumed it is still so."""
    die(spec_of(tmp_path, Unready), 12)

    left = left_in(folder_of(tmp_path), spec_of(tmp_path, Unready))

    assert left.recorded is not None
    assert run(spec_of(tmp_path, Unready), left=left) == 0


def test_a_session_that_another_process_runs_is_refused(tmp_path: Path) -> None:
    """Its lease says so before anything is opened."""
    die(spec_of(tmp_path), 8)
    left = left_in(folder_of(tmp_path), spec_of(tmp_path))
    lease = SessionLease(folder_of(tmp_path))

    with pytest.raises(LeaseHeld):
        run(spec_of(tmp_path), left=left)

    lease.close()
    assert run(spec_of(tmp_path), left=left) == 0


def test_a_journal_whose_making_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    """A process that died while it made the tables has done nothing yet: found by torture."""
    die(spec_of(tmp_path), 8)
    journal = folder_of(tmp_path) / "journal.sqlite"
    for path in [*folder_of(tmp_path).glob("journal.sqlite*"), journal.with_name("events.ndjson")]:
        path.unlink()
    made = schema.create(journal, page_size=LIVE_PAGE)
    schema.use_write_ahead_log(made, journal)
    made.close()
    assert journal.stat().st_size

    left = left_in(folder_of(tmp_path), spec_of(tmp_path))

    assert left.recorded is None
    assert run(spec_of(tmp_path), left=left) == 0
