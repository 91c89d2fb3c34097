"""Crash points: a process dies exactly where it was told to, and what it was promised holds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crash_child import SESSION, spec_of

from messages import ExecutionReport, OrderEvent, SessionEnded
from state import crashpoints
from state.crashpoints import (
    CRASH_AT,
    CRASH_COUNT,
    POINTS,
    UnknownPoint,
    occurrences,
    passing_of,
    passings,
)
from state.facts import Facts
from state.journal import Entry
from state.journal.reader import read_journal, read_states
from state.money import use_exact_context
from state.register import register_of

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("crash_child.py")
FLOORS = ("state", "brokers", "actors", "feeds", "strategies", "scenarios", "tidegate", "messages")
PASSING = re.compile(r"passing\(\"([^\"]+)\"\)")


def named(folder: Path) -> set[str]:
    """Return the points that are somewhere in the code of a folder."""
    return {
        name for path in folder.rglob("*.py") for name in PASSING.findall(path.read_text("utf-8"))
    }


REAL = named(ROOT / "brokers" / "ccxt")
"""Points on the way to a real venue: sessions die there in ``test_torture_ccxt``."""


def run_child(folder: Path, at: str = "") -> subprocess.CompletedProcess[str]:
    """Run the session of ``crash_child`` in ``folder``, which is made; it is to die at ``at``."""
    folder.mkdir()
    ours = {CRASH_COUNT: str(folder / "count"), **({CRASH_AT: at} if at else {})}
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ours},
    )


@dataclass
class Left:
    """What a dead process has left, and what it had been promised."""

    folder: Path
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.journal.exists() and self.journal.stat().st_size:
            self.entries = list(read_journal(self.journal))

    @property
    def session(self) -> Path:
        """Return its folder."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION

    @property
    def journal(self) -> Path:
        """Return its journal."""
        return self.session / "journal.sqlite"

    @property
    def promised(self) -> list[tuple[str, str]]:
        """Return every promise: its word and what it is about."""
        path = self.folder / "promised"
        text = path.read_text() if path.exists() else ""
        return [(line.split()[0], line.split()[-1]) for line in text.splitlines()]

    def words(self, word: str) -> list[str]:
        """Return what the promises of one kind are about, in order."""
        return [about for kind, about in self.promised if kind == word]

    @property
    def durable(self) -> int:
        """Return the last entry that was acknowledged."""
        return max(map(int, self.words("durable")), default=0)

    @property
    def last(self) -> int:
        """Return the last entry that is there."""
        return len(self.entries)

    def orders(self, event: OrderEvent) -> list[str]:
        """Return the orders that had this event, in order."""
        return [
            entry.message.order_id
            for entry in self.entries
            if isinstance(entry.message, ExecutionReport) and entry.message.event is event
        ]

    @property
    def held(self) -> set[str]:
        """Return what the register holds."""
        return {hold.hold_id for hold in register_of(self.folder / "runs", "paper", "main").load()}

    @property
    def ended(self) -> bool:
        """Return whether the end is journaled."""
        return any(isinstance(entry.message, SessionEnded) for entry in self.entries)

    def check(self) -> None:
        """Assert what holds wherever it died: all that it was promised."""
        use_exact_context()
        assert self.last >= self.durable
        assert set(self.words("sent")) <= set(self.orders(OrderEvent.JOURNALED))
        if "kill" in {word for word, _ in self.promised}:
            assert "kill" in self.held
        spec = spec_of(self.folder)
        facts = Facts(spec.instruments, currency=spec.currency, deposit=spec.cash)
        facts.fold_all(self.entries).ledger.audit()
        if not self.entries:
            return
        seq, states = read_states(self.journal)
        assert seq in (0, self.last)
        if seq:
            assert {"seq": b"%d" % seq, "cash": repr(facts.ledger).encode()} == states


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """Return how often the session passes each point when it may live."""
    folder = tmp_path_factory.mktemp("counted") / "session"
    done = run_child(folder)

    assert (0, "") == (done.returncode, done.stderr)
    assert ("end", "end") == Left(folder).promised[-1]
    return passings(folder / "count")


def test_every_point_is_passed_by_a_session_with_orders_and_commands(
    counted: Counter[str],
) -> None:
    """There is no point that a run of the torture would never reach."""
    assert set(POINTS) - REAL == set(counted)


@pytest.mark.parametrize("point", [point for point in POINTS if point not in REAL])
def test_a_process_dies_exactly_at_its_point(
    point: str, counted: Counter[str], tmp_path: Path
) -> None:
    """By SIGKILL, at that passing and no other; whatever it had been promised by then is true."""
    number = max(1, counted[point] // 2)
    folder = tmp_path / "session"
    done = run_child(folder, f"{point}:{number}")
    left = Left(folder)

    assert -signal.SIGKILL == done.returncode, done.stderr
    assert number == passings(folder / "count")[point]
    left.check()
    assert exactly(point, number, left)


def exactly(point: str, number: int, left: Left) -> bool:
    """Return whether what the dead process left is what the point's description says."""
    sent = left.words("sent")
    there = left.session.exists()
    names = {path.name for path in left.session.iterdir()} if there else set()
    facts: Mapping[str, bool] = {
        "session.folder_made": there and not names,
        "session.manifest_written": "manifest.json" in names and "journal.sqlite" not in names,
        "session.journal_opened": left.journal.exists() and not left.entries,
        "session.started": left.durable == 0,
        "session.ending": not left.ended,
        "session.ended": left.ended and left.durable == left.last,
        "session.closed": left.ended and not (left.session / "session.md").exists(),
        "session.finished": (left.session / "session.md").exists() and not left.words("end"),
        "journal.committed": left.last > left.durable,
        "journal.answered": left.last > left.durable,
        "order.recording": len(left.orders(OrderEvent.JOURNALED)) < number,
        "order.recorded": len(sent) == number - 1,
        "order.leaving": len(sent) == number - 1
        and len(left.orders(OrderEvent.JOURNALED)) >= number,
        "order.left": len(sent) == number and len(left.orders(OrderEvent.SENT)) < number,
        "venue.booking": len(left.orders(OrderEvent.FILLED)) < number,
        "venue.booked": len(left.orders(OrderEvent.FILLED)) < number,
        "holds.writing": not left.held,
        "holds.written": left.held == {"stop-new-orders"} and not left.words("stop_new_orders"),
        "kill.announced": "kill" not in left.held,
        "kill.latched": "kill" in left.held and not left.words("kill"),
    }
    return facts.get(point, True)


# -- the points themselves


def test_the_registry_and_the_code_name_the_same_points() -> None:
    """A point that is nowhere, or one without a description, is a mistake."""
    assert set(POINTS) == {name for floor in FLOORS for name in named(ROOT / floor)}


def test_a_point_that_there_is_not_ends_the_process_before_it_begins() -> None:
    """With exit code 2 and the list: a typing error must not look like a run without a crash."""
    found = []
    for wanted in ("journal.comitted:17", "journal.committed:0", "journal.committed:x"):
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", "sessions"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), CRASH_AT: wanted},
        )
        found.append((done.returncode, done.stderr))

    assert [2, 2, 2] == [code for code, _ in found]
    assert "'journal.comitted' is no crash point" in found[0][1]
    assert all(point in found[0][1] for point in POINTS)
    assert "expected a passing's number" in found[1][1]
    assert "found 'x'" in found[2][1]


def test_unset_a_passing_does_nothing() -> None:
    """Every process that is not to die gets the same empty function."""
    assert passing_of({}, pytest.fail) is passing_of({"OTHER": "x"}, pytest.fail)
    assert crashpoints.passing("no point at all") is None  # type: ignore[func-returns-value]


def test_the_settings_are_not_for_children(tmp_path: Path) -> None:
    """What a process starts does not die in its place, and is not counted with it."""
    environ = {CRASH_AT: "file.written", CRASH_COUNT: str(tmp_path / "count"), "PATH": "/bin"}
    passing_of(environ, pytest.fail)

    assert environ == {"PATH": "/bin"}


def test_death_comes_at_its_passing_and_every_passing_is_counted(tmp_path: Path) -> None:
    """Other points do not count; what is written before the death includes the last passing."""
    deaths: list[int] = []
    count = tmp_path / "count"
    passing = passing_of(
        {CRASH_AT: "journal.committed:3", CRASH_COUNT: str(count)},
        lambda: deaths.append(passings(count)["journal.committed"]),
    )
    for _ in range(5):
        passing("journal.encoded")
        passing("journal.committed")

    assert [3] == deaths
    assert {"journal.encoded": 5, "journal.committed": 5} == passings(count)
    with pytest.raises(AssertionError, match="is no crash point"):
        passing("journal.comitted")


def test_what_was_counted_says_what_there_is_to_try() -> None:
    """One value of the setting for every passing, in the order of the registry."""
    counted = Counter({"journal.committed": 2, "session.started": 1})

    assert [
        "session.started:1",
        "journal.committed:1",
        "journal.committed:2",
    ] == list(occurrences(counted))


def test_without_a_number_the_first_passing_is_meant() -> None:
    """A point alone is enough to begin with."""
    deaths: list[bool] = []
    passing = passing_of({CRASH_AT: "order.left"}, lambda: deaths.append(True))
    passing("order.left")
    passing("order.left")

    assert [True] == deaths
    with pytest.raises(UnknownPoint, match="no crash point"):
        passing_of({CRASH_AT: "order"}, pytest.fail)
