"""A disk that takes no more, in the middle: the session stops there, and goes on without a loss."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starting_house import (
    AT_ONCE_S,
    Done,
    House,
    disagreements,
    document,
    entries_of,
    environment,
    known_orders,
    manifest_of,
    types_of,
    write_configuration,
)
from test_exchange_session import Venue, venue

from messages import SessionEnded
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth
from state.manifest import SessionStatus

HERE = Path(__file__).parent
CHILD = HERE / "full_disk_child.py"

IN_THE_MIDDLE = (60_000, 300_000, 1_000_000)
"""Bytes that a file may have: the journal's log comes to them at its start, and further on."""


def check_stopped(done: Done, session: Path) -> None:
    """Check that a session stopped at its full disk, and said so in one line."""
    assert 6 == done.code, done.said
    (problem,) = done.problems
    assert f"{session.name}/journal.sqlite: entries" in problem
    assert "are not durable" in problem
    assert "disk" in problem
    assert "--resume" in problem
    assert "Traceback" not in done.said
    assert SessionStatus.RUNNING is manifest_of(session).status
    assert "SessionEnded" not in types_of(session)


def check_whole(done: Done, session: Path) -> None:
    """Check that a session came to its end, with all its files, and each trade once."""
    assert 0 == done.code, done.said
    assert SessionStatus.ENDED is manifest_of(session).status
    messages = [entry.message for entry in entries_of(session)]
    assert isinstance(messages[-1], SessionEnded)
    assert 2 == types_of(session).count("SessionStarted")
    lines = (session / "trades.csv").read_text().splitlines()
    trades = [line.split(",")[0] for line in lines]
    assert len(trades) == len(set(trades))
    assert len((session / "events.ndjson").read_text().splitlines()) == len(messages)


@pytest.fixture
def paper(tmp_path: Path) -> House:
    write_configuration(tmp_path)
    return House(tmp_path)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Venue]:
    at = tmp_path / "venue"
    at.mkdir()
    with venue(at) as running:
        yield running


@pytest.mark.parametrize("limit", IN_THE_MIDDLE[:2])
def test_a_paper_session_stops_at_a_full_disk_and_goes_on(paper: House, limit: int) -> None:
    """
    Exit code 6 and one line that names file and entries; with room again it comes to its end.

    What the first process had made durable is the beginning of what the second one has.
    """
    stopped = paper.run("trade", "--new", file_bytes_max=limit)
    check_stopped(stopped, paper.session)
    before = entries_of(paper.session)

    check_whole(paper.run("trade", "--resume"), paper.session)

    assert before == entries_of(paper.session)[: len(before)]


@pytest.mark.parametrize("limit", IN_THE_MIDDLE)
def test_no_order_leaves_without_its_durable_record(
    tmp_path: Path, exchange: Venue, limit: int
) -> None:
    """
    The venue outlives the session, and knows of no order that the journal does not have.

    Resumed, journal and truth log agree: nothing lost, nothing twice, nothing unresolved.
    """
    write_configuration(tmp_path, adapter="virtual")
    house = House(tmp_path, exchange.environment)

    check_stopped(house.run("trade", "--new", file_bytes_max=limit), house.session)
    at_the_venue = set(fold_truth(read_truth(exchange.truth)).orders)
    assert at_the_venue or limit == IN_THE_MIDDLE[0]
    assert at_the_venue <= known_orders(house.session)
    check_whole(house.run("trade", "--resume"), house.session)

    assert [] == disagreements(house.session, exchange.truth)


@pytest.fixture
def own_mounts() -> None:
    """Skip where the machine does not let us have a file system of our own."""
    if shutil.which("unshare") is None:
        pytest.skip("no `unshare` here: a file system of one's own cannot be had")
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tidegate-test", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"no file system of one's own here: {tried.stderr.strip()}")


@pytest.mark.usefixtures("own_mounts")
@pytest.mark.parametrize("left", [150_000, 500_000, 1_000_000])
def test_a_really_full_file_system_loses_nothing_either(
    tmp_path: Path, exchange: Venue, left: int
) -> None:
    """As with a limit, where not even the log or the register finds room."""
    folder, out = tmp_path / "small", tmp_path / "out"
    folder.mkdir()
    write_configuration(folder, adapter="virtual")
    command = ["unshare", "-rm", sys.executable, str(CHILD), str(folder), "64m", str(left)]
    done = subprocess.run(
        [*command, str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(exchange.environment),
        timeout=AT_ONCE_S,
    )
    assert 0 == done.returncode, done.stderr
    told = {name: Done(**each) for name, each in json.loads(done.stdout).items()}
    stopped, whole = (
        next((out / name / "paper" / "sessions").iterdir()) for name in ("full", "resumed")
    )

    check_stopped(told["full"], stopped)
    check_whole(told["resumed"], whole)
    before = entries_of(stopped)
    assert before == entries_of(whole)[: len(before)]
    assert [] == disagreements(whole, exchange.truth)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A session that died in the middle: of it each test gets a copy."""
    folder = tmp_path_factory.mktemp("dead")
    write_configuration(folder)
    house = House(folder)
    house.crash("trade", "--new", at="journal.committed:60")
    return house


@pytest.fixture
def left(dead: House, tmp_path: Path) -> House:
    return dead.copied(tmp_path)


FULL = Path("/dev/full")
has_full_device = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


@has_full_device
def test_projections_that_cannot_be_written_stop_the_session_and_lose_nothing(left: House) -> None:
    """The events' file is full: exit code 6, its name, and the journal is whole and goes on."""
    events = left.session / "events.ndjson"
    events.unlink()
    events.symlink_to(FULL)
    stopped = left.run("trade", "--resume")

    assert 6 == stopped.code, stopped.said
    (problem,) = stopped.problems
    assert "No space left on device" in problem
    assert "events.ndjson" in problem
    assert "Traceback" not in stopped.said
    events.unlink()
    done = left.run("trade", "--resume")
    assert 0 == done.code, done.said
    assert len(events.read_text().splitlines()) == len(entries_of(left.session))


@has_full_device
def test_a_log_that_cannot_be_written_ends_and_the_session_does_not(left: House) -> None:
    """It is for people: one line on the terminal says that it has ended."""
    log = left.session / "logs" / "tidegate.log"
    log.unlink()
    log.symlink_to(FULL)

    check_whole(done := left.run("trade", "--resume"), left.session)

    assert 1 == done.said.count("session_log_ends")
    assert "order_filled" in done.said


@has_full_device
def test_a_snapshot_that_cannot_be_written_is_made_up_for(left: House) -> None:
    """The session has ended and says so; going on with it makes what is missing."""
    beside = left.session / ".state.json.new"
    beside.symlink_to(FULL)
    stopped = left.run("trade", "--resume", "--json")
    assert 6 == stopped.code, stopped.said
    (problem,) = document(stopped)["error"]["problems"]
    assert "has ended and its journal is whole" in problem
    assert "state.json" in problem
    beside.unlink()

    again = left.run("trade", "--resume")

    assert 0 == again.code, again.said
    (ended,) = again.problems
    assert ended.startswith("tidegate: session " + left.session.name + " has ended:")
    assert SessionStatus.ENDED is manifest_of(left.session).status
    assert 0 == left.run("verify", left.session.name).code


@has_full_device
def test_a_full_standard_error_changes_neither_the_session_nor_its_code(paper: House) -> None:
    """Whoever sends the log to the same disk still has a session that ends as it should."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", "trade", "--new", "--json"],
            cwd=paper.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
            timeout=AT_ONCE_S,
        )

    assert 0 == done.returncode
    assert "completed" == json.loads(done.stdout)["outcome"]


def test_a_start_without_room_leaves_no_session(paper: House) -> None:
    """Its manifest finds no room: the file is named, and there is nothing to go on with."""
    refused = paper.run("trade", "--new", file_bytes_max=3_000)

    assert 6 == refused.code, refused.said
    (problem,) = refused.problems
    assert "manifest.json" in problem
    assert [] == paper.sessions
    assert 0 == paper.run("trade", "--new").code
