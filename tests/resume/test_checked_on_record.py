"""When the check of a journal was over is on record, and nothing of it outlives its session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from test_left_sessions import BARS, SESSION, Died, die, folder_of, run, spec_of

from actors import reexecution
from actors.recovering import RECOVERY_LOOK_MS, Recovery
from actors.reexecution import reexecute
from actors.resuming import held_at_start, left_in
from actors.session import resume_paper
from actors.tape import Tape, tape_of
from messages import ExecutionReport, Hold, HoldMode, HoldPlaced, JournalChecked
from state.journal import JournalDamaged, schema
from state.journal.reader import read_journal
from state.register import RECOVERING_HOLD, register_of


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what a slow disk waits for, and its journals' checks with it."""
    let_go = threading.Event()
    check_file = schema.check_file

    def slowly(path: Path) -> int:
        assert let_go.wait(60), "the test lets go of the disk"
        return check_file(path)

    monkeypatch.setattr(schema, "check_file", slowly)
    monkeypatch.setattr("actors.paced.CHECK_PATIENCE_S", 0.01)
    return let_go


def journal_of(runs: Path) -> Path:
    return folder_of(runs) / "journal.sqlite"


def go_on(runs: Path, progressed: Callable[[int], None], disk: threading.Event) -> int:
    """Go on with the session, faster than its disk, and return its exit code."""
    spec = spec_of(runs)
    left = left_in(folder_of(runs), spec)
    try:
        return anyio.run(
            partial(resume_paper, spec, left, speed=6_000_000, on_progress=progressed)
        ).exit_code
    finally:
        disk.set()  # else its thread would outlive the test


def assert_executed_again(runs: Path) -> None:
    found = reexecute(spec_of(runs), SESSION, journal_of(runs))
    assert found.difference is None, str(found.difference)
    assert found.same > 0


def test_a_session_that_opened_in_the_middle_of_its_turns_is_executed_again(
    tmp_path: Path, disk: threading.Event
) -> None:
    """What waited for the disk waits as long the second time."""
    die(spec_of(tmp_path), 100)

    assert go_on(tmp_path, lambda bars: disk.set() if bars >= 160 else None, disk) == 0

    places = [check.place.begun for check in tape_of(journal_of(tmp_path)).checks]
    assert len(places) == 1
    assert places[0] >= 60
    assert_executed_again(tmp_path)


def test_without_that_record_it_is_another_session(
    tmp_path: Path, disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ablation: nothing else says when it was that it could open."""
    die(spec_of(tmp_path), 100)
    go_on(tmp_path, lambda bars: disk.set() if bars >= 160 else None, disk)

    def unchecked(journal: Path) -> Tape:
        tape = tape_of(journal)
        tape.checks.clear()
        return tape

    monkeypatch.setattr(reexecution, "tape_of", unchecked)
    assert reexecute(spec_of(tmp_path), SESSION, journal_of(tmp_path)).difference is not None


def test_a_process_that_died_while_its_journal_was_checked_had_not_opened(
    tmp_path: Path, disk: threading.Event
) -> None:
    """Nor does it when it is executed again: the next process opens, after its own check."""
    die(spec_of(tmp_path), 100)

    def dies(bars: int) -> None:
        if bars >= 160:
            raise Died

    with pytest.raises(BaseException) as died:
        go_on(tmp_path, dies, disk)
    assert not isinstance(died.value, AssertionError)
    entries = [type(entry.message) for entry in read_journal(journal_of(tmp_path))]
    assert JournalChecked not in entries

    assert run(spec_of(tmp_path), left=left_in(folder_of(tmp_path), spec_of(tmp_path))) == 0
    assert_executed_again(tmp_path)


def test_a_feed_that_ends_first_waits_for_the_check(tmp_path: Path, disk: threading.Event) -> None:
    """The session ends opened, and whatever was to be accounted for is."""
    die(spec_of(tmp_path), BARS - 20)
    timer = threading.Timer(0.5, disk.set)

    def progressed(bars: int) -> None:
        if bars == BARS:
            timer.start()

    assert go_on(tmp_path, progressed, disk) == 0
    timer.join()

    (check,) = tape_of(journal_of(tmp_path)).checks
    assert check.place.begun == BARS
    assert_executed_again(tmp_path)


def test_a_session_that_never_opens_again_waits_as_long_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end time passes, for as long as a doubt may last: what is due by then is done."""
    looks: list[int] = []

    def look(recovery: Recovery, at: int) -> None:
        looks.append(at)
        recovery._assembly.clock.call_at(at + RECOVERY_LOOK_MS, recovery.look, "recovery")

    die(spec_of(tmp_path), BARS - 5)
    monkeypatch.setattr(Recovery, "look", look)
    assert run(spec_of(tmp_path), left=left_in(folder_of(tmp_path), spec_of(tmp_path))) == 0
    first, looks[:] = list(looks), []

    assert_executed_again(tmp_path)
    budget_ms = spec_of(tmp_path).doubts.budget_ms
    assert first == looks
    assert first[-1] > first[0] + 4 * 60_000 + budget_ms - 2 * RECOVERY_LOOK_MS


def test_damage_that_is_found_after_the_last_bar_is_not_an_end_as_any_other(
    tmp_path: Path, disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose feed is over before the check is must not be sealed as if all were well."""
    die(spec_of(tmp_path), BARS - 5)

    def damaged(path: Path) -> int:
        assert disk.wait(60), "the test lets go of the disk"
        raise JournalDamaged(f"{path}: a drill")

    monkeypatch.setattr(schema, "check_file", damaged)
    timer = threading.Timer(0.2, disk.set)

    def progressed(bars: int) -> None:
        if bars == BARS:
            timer.start()

    with pytest.raises(JournalDamaged, match="a drill"):
        go_on(tmp_path, progressed, disk)
    timer.join()


def test_a_new_session_is_not_held_by_what_another_one_waited_for(
    tmp_path: Path, disk: threading.Event
) -> None:
    """Its hold ends with the session that recovers: in a new one nobody would ever lift it."""
    die(spec_of(tmp_path), 100)

    def dies(bars: int) -> None:
        if bars >= 160:
            raise Died

    with pytest.raises(BaseException) as died:
        go_on(tmp_path, dies, disk)
    assert not isinstance(died.value, AssertionError)

    new = replace(spec_of(tmp_path), session_id="paper-new-abc")
    assert run(new) == 0

    journal = tmp_path / "paper" / "sessions" / "paper-new-abc" / "journal.sqlite"
    held = [e.message.hold for e in read_journal(journal) if isinstance(e.message, HoldPlaced)]
    assert RECOVERING_HOLD not in {hold.hold_id for hold in held}
    assert any(isinstance(e.message, ExecutionReport) for e in read_journal(journal))


def test_a_register_of_an_older_tidegate_does_not_hold_by_it_either(tmp_path: Path) -> None:
    """One that was written while a session recovered has the hold; nobody would lift it."""
    hold = Hold(RECOVERING_HOLD, "a drill", HoldMode.BLOCK, "supervisor", 0)
    register = register_of(tmp_path, "paper", spec_of(tmp_path).account)
    register.add({hold.hold_id: hold})

    assert () == held_at_start(register, 0, None)
