"""A start costs what came after the newest snapshot, and opens when all of the file is checked."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest
from test_left_sessions import die, folder_of, run, spec_of

from actors.assembly import no_facts
from actors.inbox import Inbox
from actors.paced import PacedDriver
from actors.reexecution import reexecute
from actors.resuming import Left, ResumeRefused, left_in
from actors.session import resume_paper
from actors.turns import Session
from messages import ExecutionReport, HoldLifted, OpenIntent, OrderEvent
from state import fact_snapshots
from state.fact_snapshots import FACTS_PART, snapshot_of
from state.facts import Facts
from state.journal import Entry, JournalDamaged, decode_line, schema
from state.journal.reader import line_at, read_journal, read_lines, read_states
from state.register import RECOVERING_HOLD


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a session was left whose facts were kept every 60 entries."""
    runs = tmp_path_factory.mktemp("died")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 60)
        die(spec_of(runs), 200)
    with closing(sqlite3.connect(folder_of(runs) / "journal.sqlite")) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return runs


@pytest.fixture
def runs(died: Path, tmp_path: Path) -> Path:
    """Return a copy of what was left, to be damaged."""
    shutil.copytree(died, tmp_path / "runs")
    return tmp_path / "runs"


def journal_of(runs: Path) -> Path:
    return folder_of(runs) / "journal.sqlite"


def alter(runs: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    """Change rows behind the journal's back, as nothing but a broken disk or a hand would."""
    with closing(sqlite3.connect(journal_of(runs), isolation_level=None)) as file:
        for trigger in ("journal_refuses_update", "journal_refuses_delete"):
            file.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements:
            file.execute(statement, values)


def snapshot_in(runs: Path) -> bytes:
    return read_states(journal_of(runs))[1][FACTS_PART]


def facts_in(runs: Path) -> Facts:
    left = left_in(folder_of(runs), spec_of(runs))
    assert left.recorded is not None
    return left.recorded.facts


def nothing(runs: Path) -> Facts:
    """Return the facts before the first entry."""
    spec = spec_of(runs)
    return no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)


def whole_fold(runs: Path) -> bytes:
    """Return the facts of the whole journal, as they would be kept."""
    alter(runs, f"DELETE FROM state WHERE part = '{FACTS_PART}'")
    return snapshot_of(facts_in(runs))


def test_a_start_does_not_read_what_lies_before_the_snapshot(runs: Path) -> None:
    """Entries that nobody could decode any more are no obstacle to being protected."""
    expected = whole_fold(Path(shutil.copytree(runs, runs.with_name("other"))))
    alter(runs, "UPDATE journal SET line = 'unreadable' WHERE seq = 9")

    assert expected == snapshot_of(facts_in(runs))


@pytest.mark.parametrize(
    "line", ["'unreadable'", """'{"seq":8}'""", "substr(line, 1, length(line) - 1)"]
)
def test_what_is_no_entry_is_found_before_anything_opens(runs: Path, line: str) -> None:
    """SQLite's own rules are kept by it, and the fold does not come by: the check reads it all."""
    before = facts_in(runs).seq
    alter(runs, f"UPDATE journal SET line = {line} WHERE seq = 9")

    with pytest.raises(JournalDamaged, match=r"entry|row 9"):
        run(spec_of(runs), left=left_in(folder_of(runs), spec_of(runs)))

    assert [] == opened_by(runs, before)


def test_damage_that_the_projections_find_first_is_damage(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read every line too, and may be faster: their end is not a fault inside."""
    checked = threading.Event()

    def slowly(_path: Path) -> int:
        assert checked.wait(60), "the test lets go of the disk"
        return 0

    monkeypatch.setattr(schema, "check_file", slowly)
    monkeypatch.setattr("actors.paced.CHECK_PATIENCE_S", 0.01)
    left = left_in(folder_of(runs), spec_of(runs))
    alter(runs, "UPDATE journal SET line = 'unreadable' WHERE seq = 9")
    try:
        with pytest.raises(
            JournalDamaged, match=r"journal\.sqlite: entry 9 is not what was written"
        ):
            anyio.run(partial(resume_paper, spec_of(runs), left, speed=60_000))
    finally:
        checked.set()


def stale(runs: Path) -> None:
    """Put back the first snapshot that was ever due."""
    entries = list(read_journal(journal_of(runs)))
    old = snapshot_of(nothing(runs).fold_all(entries[:60]))
    alter(runs, f"UPDATE state SET value = ? WHERE part = '{FACTS_PART}'", values=(old,))


def of_another_version(runs: Path) -> None:
    """Let it be one that a later Tidegate has made."""
    changed = snapshot_in(runs).replace(b" 1.", b" 9.", 1)
    alter(runs, f"UPDATE state SET value = ? WHERE part = '{FACTS_PART}'", values=(changed,))


def corrupted(runs: Path) -> None:
    """Flip one bit in the middle of it."""
    changed = bytearray(snapshot_in(runs))
    changed[len(changed) // 2] ^= 4
    changed_ = bytes(changed)
    alter(runs, f"UPDATE state SET value = ? WHERE part = '{FACTS_PART}'", values=(changed_,))


def of_another_journal(runs: Path) -> None:
    """Let the entry after which it holds be another one than it says."""
    facts = nothing(runs)
    fact_snapshots.restore_facts(facts, snapshot_in(runs))
    line = line_at(journal_of(runs), facts.seq)
    assert line is not None
    other = line.replace(b'"source":"', b'"source":"x')
    told = (other.decode(), schema.sum_of(facts.seq, other))
    alter(runs, f"UPDATE journal SET line = ?, sum = ? WHERE seq = {facts.seq}", values=told)


@pytest.mark.parametrize("damage", [stale, of_another_version, corrupted, of_another_journal])
def test_whatever_the_snapshot_is_the_facts_are_those_of_the_whole_journal(
    runs: Path, damage: Callable[[Path], None]
) -> None:
    """An old one has more entries after it; one that cannot be believed is done without."""
    damage(runs)
    started_from = snapshot_of(facts_in(runs))

    assert whole_fold(runs) == started_from


@pytest.mark.parametrize("damage", [of_another_version, corrupted, of_another_journal])
def test_that_a_snapshot_is_done_without_is_told(
    runs: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason: a start that has become slow explains itself."""
    damage(runs)
    capsys.readouterr()
    facts_in(runs)

    assert "facts_snapshot_unusable" in capsys.readouterr().out


def test_without_the_entries_after_it_a_snapshot_is_not_what_is_certain(runs: Path) -> None:
    """An ablation: the tail makes the difference, and is not empty in these tests."""
    expected = facts_in(runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.resuming.read_journal", lambda *_args, **_terms: iter(()))
        with pytest.raises(ResumeRefused, match=r"states after entry"):
            facts_in(runs)

    assert expected.seq > 60


def test_a_journal_that_has_lost_its_end_is_refused(runs: Path) -> None:
    """The states are ahead of the entries: nobody goes on with a past that never was."""
    last = facts_in(runs).seq
    alter(runs, f"DELETE FROM journal WHERE seq > {last - 70}")
    (folder_of(runs) / "events.ndjson").unlink()  # which would tell it too

    with pytest.raises(ResumeRefused, match=r"states of after entry"):
        left_in(folder_of(runs), spec_of(runs))


def test_a_gap_in_the_entries_after_the_snapshot_is_refused(runs: Path) -> None:
    """As one anywhere was, when everything was folded."""
    last = facts_in(runs).seq
    alter(runs, f"DELETE FROM journal WHERE seq = {last - 3}")

    with pytest.raises(ResumeRefused, match=rf"expected entry {last - 3}"):
        left_in(folder_of(runs), spec_of(runs))


def _is_opening(message: object) -> bool:
    return isinstance(message, HoldLifted) and message.hold.hold_id == RECOVERING_HOLD


def test_a_file_that_is_damaged_before_the_snapshot_ends_the_session_before_it_opens(
    runs: Path,
) -> None:
    """A missing entry is found by the check that runs beside; nothing has left by then."""
    before = facts_in(runs).seq
    left = left_in(folder_of(runs), spec_of(runs))
    alter(runs, "DELETE FROM journal WHERE seq = 9")

    with pytest.raises(JournalDamaged, match=r"entries are numbered from 1 to"):
        run(spec_of(runs), left=left)

    assert not any(_is_opening(entry.message) for entry in tail(runs, before))
    assert [] == opened_by(runs, before)


def test_without_the_check_such_a_session_would_open(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ablation: nothing else on the way to trading looks at what is before the snapshot."""

    async def believe(driver: PacedDriver, _path: Path) -> None:
        driver._is_sound = True
        driver._stirred.set()

    before = facts_in(runs).seq
    left = left_in(folder_of(runs), spec_of(runs))
    alter(runs, "DELETE FROM journal WHERE seq = 9")
    monkeypatch.setattr(PacedDriver, "check_journal", believe)
    with pytest.raises(JournalDamaged):  # the projections find it, too late
        run(spec_of(runs), left=left)

    assert any(_is_opening(entry.message) for entry in tail(runs, before))


def tail(runs: Path, after: int) -> list[Entry]:
    return list(read_journal(journal_of(runs), after=after))


def opened_by(runs: Path, after: int) -> list[int]:
    """Return the entries after a number that say that an order which adds exposure was sent."""
    opening: set[str] = set()
    found = []
    for line in read_lines(journal_of(runs), after=after):
        entry = decode_line(line)
        message = entry.message
        if isinstance(message, OpenIntent):
            opening.add(message.intent_id)
        elif isinstance(message, ExecutionReport) and message.event is OrderEvent.SENT:
            found += [entry.seq] if message.order_id in opening else []
    return found


def test_a_session_protects_while_its_journal_is_checked_and_opens_afterwards(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns go on, held, for as long as a slow disk takes; then it is let go of."""
    checked = threading.Event()
    check_file = schema.check_file

    def slowly(path: Path) -> int:
        assert checked.wait(30), "the test lets go of the disk"
        return check_file(path)

    monkeypatch.setattr(schema, "check_file", slowly)
    opened: list[Session] = []
    held: list[bool] = []

    def progressed(_bars: int) -> None:
        (session,) = opened
        held.append(RECOVERING_HOLD in session.assembly.holds.view())
        if len(held) == 5:
            checked.set()

    spec = spec_of(runs)
    before = facts_in(runs).seq
    went_on = partial(
        resume_paper,
        spec,
        left_in(folder_of(runs), spec),
        speed=60_000,
        stop=lambda: bool(held) and not held[-1],
        on_progress=progressed,
        on_open=opened.append,
    )
    anyio.run(went_on)

    assert held[:5] == [True] * 5
    assert held[-1] is False
    again = reexecute(spec, folder_of(runs).name, folder_of(runs) / "journal.sqlite")
    assert again.difference is None, str(again.difference)
    opening = next(entry.seq for entry in tail(runs, before) if _is_opening(entry.message))
    assert all(seq > opening for seq in opened_by(runs, before))
    times = opened[0].recovery.times
    assert 0 < times["protected"] < times["checked"] <= times["trading"]
    report = (folder_of(runs) / "session.md").read_text()
    assert f"protected after {times['protected']:.2f} s" in report
    assert f"trading after {times['trading']:.2f} s" in report


def test_a_session_opens_when_the_check_is_over_and_not_at_its_next_bar(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute may be long: the end of the check is heard in the middle of it."""
    checked = threading.Event()
    check_file = schema.check_file

    def slowly(path: Path) -> int:
        assert checked.wait(30), "the test lets go of the disk"
        return check_file(path)

    monkeypatch.setattr(schema, "check_file", slowly)
    monkeypatch.setattr("actors.paced.CHECK_PATIENCE_S", 0.01)
    opened: list[Session] = []
    bars: list[int] = []
    looks: list[int] = []

    def stop() -> bool:
        if not opened:
            return False
        looks.append(len(bars))
        if len(looks) == 5:  # it waits for its next bar by now
            checked.set()
        return RECOVERING_HOLD not in opened[0].assembly.holds.view()

    async def go_on() -> None:
        spec = spec_of(runs)
        left = left_in(folder_of(runs), spec)
        with anyio.fail_after(45):  # the next bar is a minute away
            await resume_paper(
                spec, left, speed=1, stop=stop, on_progress=bars.append, on_open=opened.append
            )

    anyio.run(go_on)

    assert [] == bars
    assert "trading" in opened[0].recovery.times


def test_while_its_journal_is_checked_no_work_of_a_session_is_late(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a disk, and looks up all the while: that is no session that is stuck."""
    checked = threading.Event()
    check_file = schema.check_file

    def slowly(path: Path) -> int:
        assert checked.wait(30), "the test lets go of the disk"
        return check_file(path)

    monkeypatch.setattr(schema, "check_file", slowly)
    inbox = Inbox()
    opened: list[Session] = []
    late_s: list[float] = []

    def stop() -> bool:
        if opened and len(late_s) < 3:
            late_s.append(inbox.pulse.late_s)
            inbox.pulse.rest(-60.0)
            if len(late_s) == 3:
                checked.set()
        return False

    spec = spec_of(runs)
    left = left_in(folder_of(runs), spec)
    go_on = partial(resume_paper, spec, left, speed=0, inbox=inbox, stop=stop)
    anyio.run(partial(go_on, on_open=opened.append))

    assert [] == [late for late in late_s if late > 30.0]
    assert 3 == len(late_s)


def test_a_snapshot_survives_starts_and_is_renewed_by_them(runs: Path) -> None:
    """Dead again at once, a session begins where its last start did, not at the first entry."""
    for bars in (201, 202):
        left: Left = left_in(folder_of(runs), spec_of(runs))
        die(spec_of(runs), bars, left)
        assert left.recorded is not None
        seq, states = read_states(journal_of(runs))
        kept = states[FACTS_PART]
        assert seq > left.recorded.facts.seq
        assert kept != b""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Facts, "fold_all", _at_most(60, Facts.fold_all))
            assert left_in(folder_of(runs), spec_of(runs)).recorded is not None


def _at_most(most: int, fold_all: Callable[..., Facts]) -> Callable[..., Facts]:
    """Return the fold, which counts what it is given."""

    def counted(facts: Facts, entries: object) -> Facts:
        taken = list(entries)  # type: ignore[call-overload]
        assert len(taken) <= most, "a start folds what came after the last one"
        return fold_all(facts, taken)

    return counted
