"""`trade --resume` and `--session` by hand: after kill -9, at any moment, and over damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from starting_house import House, entries_of, manifest_of, types_of, write_configuration

from state.manifest import SessionStatus

pytestmark = pytest.mark.exhaustive

MIDDLE = "journal.committed:60"


@pytest.fixture
def house(tmp_path: Path) -> House:
    write_configuration(tmp_path, bars=80)
    return House(tmp_path)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A paper session that died in the middle: of it each test gets a copy."""
    folder = tmp_path_factory.mktemp("dead")
    write_configuration(folder, bars=80)
    house = House(folder)
    house.crash("trade", "--new", at=MIDDLE)
    return house


@pytest.fixture
def left(dead: House, tmp_path: Path) -> House:
    return dead.copied(tmp_path)


def check_once(session: Path, starts: int) -> None:
    """Check that a session ended after so many starts, with every trade once and all its files."""
    assert SessionStatus.ENDED is manifest_of(session).status
    assert starts == types_of(session).count("SessionStarted")
    trades = [line.split(",")[0] for line in (session / "trades.csv").read_text().splitlines()]
    assert len(trades) > 10
    assert len(trades) == len(set(trades))


@pytest.mark.parametrize("how", ["--resume", "--session", "the beginning"])
def test_a_killed_session_is_gone_on_with_by_command(left: House, how: str) -> None:
    """Newest, by its id, or by what its id begins with."""
    name = left.session.name
    words = {"--resume": ["--resume"], "--session": ["--session", name]}
    done = left.run("trade", *words.get(how, ["--session", name[:-4]]))

    assert 0 == done.code, done.said
    check_once(left.session, 2)


@pytest.mark.parametrize(
    "point",
    [
        "session.started:1",
        "journal.states_taken:1",
        "journal.committed:1",
        "order.leaving:1",
        "session.ending:1",
    ],
)
def test_a_process_killed_while_it_goes_on_is_gone_on_with_in_turn(left: House, point: str) -> None:
    """What the second process did is as durable as what the first one did, or did not happen."""
    before = entries_of(left.session)
    left.crash("trade", "--resume", at=point)
    between = entries_of(left.session)
    done = left.run("trade", "--resume")

    assert 0 == done.code, done.said
    assert before == between[: len(before)]
    assert between == entries_of(left.session)[: len(between)]
    check_once(left.session, types_of(left.session).count("SessionStarted"))
    assert 2 <= types_of(left.session).count("SessionStarted") <= 3


@pytest.mark.parametrize("point", ["session.ended:1", "session.closed:1"])
def test_a_session_that_had_ended_without_its_files_gets_them(house: House, point: str) -> None:
    """Its process died between the last entry and the last file: nothing is left to trade."""
    house.crash("trade", "--new", at=point)
    assert SessionStatus.RUNNING is manifest_of(house.session).status
    before = entries_of(house.session)

    done = house.run("trade", "--resume")

    assert 0 == done.code, done.said
    assert [] == [line for line in done.problems if "has ended: nothing to go on with" not in line]
    assert before == entries_of(house.session)
    check_once(house.session, 1)
    sealed = manifest_of(house.session)
    assert ("completed", 0) == (sealed.outcome, sealed.exit_code)
    assert {"orders.csv", "trades.csv", "session.md", "events.ndjson"} <= set(sealed.artifacts)
    assert 0 == house.run("verify", house.session.name).code
    assert 0 == house.run("trade", "--new").code


# -- damage


def in_one_file(session: Path) -> Path:
    """Move the log into the journal's file, so that damage has one place; return its path."""
    path = session / "journal.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def flipped(session: Path) -> None:
    """Flip bytes of an entry's line."""
    path = in_one_file(session)
    content = bytearray(path.read_bytes())
    at = content.find(b'{"type":"OpenIntent","seq":')
    content[at + 9 : at + 13] = b"\xff\xff\xff\xff"
    path.write_bytes(content)


def state_flipped(session: Path) -> None:
    """Flip bytes of what a part keeps."""
    path = in_one_file(session)
    content = path.read_bytes()
    assert b'"turns":' in content
    path.write_bytes(content.replace(b'"turns":', b'"t\xff\xffns":'))


def zeroed(session: Path) -> None:
    """Lose a page in the middle: SQLite's own check finds it."""
    path = in_one_file(session)
    content = bytearray(path.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)


def cut(session: Path) -> None:
    """Cut the file's end off."""
    path = in_one_file(session)
    path.write_bytes(path.read_bytes()[:-6_000])


def missing(session: Path) -> None:
    """Remove the file, and its log."""
    for path in session.glob("journal.sqlite*"):
        path.unlink()


def log_flipped(session: Path) -> None:
    """Flip bytes early in the write-ahead log: SQLite takes it for one that ends there."""
    path = session / "journal.sqlite-wal"
    content = bytearray(path.read_bytes())
    content[60_000:60_004] = bytes(byte ^ 0xFF for byte in content[60_000:60_004])
    path.write_bytes(content)


def log_missing(session: Path) -> None:
    """Remove the write-ahead log alone: what is left is a whole, older journal."""
    (session / "journal.sqlite-wal").unlink()


@pytest.mark.parametrize("damage", [flipped, zeroed, cut, missing, log_flipped, log_missing])
def test_a_damaged_journal_is_refused_sealed_and_in_nobodys_way(
    left: House, damage: Callable[[Path], None]
) -> None:
    """
    `--resume`: exit code 5, one line that names the file; the session counts as damaged from then.

    `--new` begins beside it, says so, and leaves it as it is.
    """
    session = left.session
    damage(session)
    first = left.run("trade", "--resume")
    as_it_is = {path: path.read_bytes() for path in session.glob("*.sqlite*")}
    new = left.run("trade", "--new")

    assert (5, 0) == (first.code, new.code), first.said + new.said
    (problem,) = first.problems
    assert f"{session.name}/journal.sqlite" in problem
    assert "--new" in problem
    assert "Traceback" not in first.said
    assert SessionStatus.DAMAGED is manifest_of(session).status
    assert "left_orders_unknown" in new.said
    assert session.name in new.said
    assert 2 == len(left.sessions)
    assert as_it_is == {path: path.read_bytes() for path in session.glob("*.sqlite*")}


def test_a_damaged_state_is_refused_and_its_orders_are_known_even_so(left: House) -> None:
    """The entries are whole: `--resume` is refused, and so is `--new` while orders are open."""
    state_flipped(left.session)
    refused = left.run("trade", "--resume")
    new = left.run("trade", "--new")

    assert (5, 5) == (refused.code, new.code), refused.said + new.said
    assert "the state of session is damaged" in refused.problems[0]
    assert SessionStatus.DAMAGED is manifest_of(left.session).status
    assert 0 == left.run("trade", "--new", "--abandon-orders").code


def test_a_torn_tail_of_the_log_is_no_damage(left: House) -> None:
    """A commit that was being written when the power went was never durable, and is left out."""
    log = left.session / "journal.sqlite-wal"
    before = entries_of(left.session)
    with log.open("ab") as file:
        file.write(bytes(range(256)) * 9)

    done = left.run("trade", "--resume")

    assert 0 == done.code, done.said
    assert before == entries_of(left.session)[: len(before)]
    check_once(left.session, 2)


def test_a_damaged_session_that_was_mended_goes_on(left: House) -> None:
    """From a copy, say: the seal is no verdict for ever."""
    path = in_one_file(left.session)
    good = path.read_bytes()
    flipped(left.session)
    assert 5 == left.run("trade", "--resume").code
    assert 5 == left.run("trade", "--resume").code  # no older one instead, and no new one
    path.write_bytes(good)

    done = left.run("trade", "--resume")

    assert 0 == done.code, done.said
    check_once(left.session, 2)
