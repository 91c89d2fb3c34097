"""`trade --resume` after an orderly stop: everything goes on, as after a process that died."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
from starting_house import (
    House,
    document,
    entries_of,
    line_count,
    manifest_of,
    types_of,
    write_configuration,
)

from messages import HoldLifted, HoldPlaced, KillStep, OrderEvent, SessionEnded
from state.manifest import SessionStatus, file_sha256, reopen
from tidegate.archive import resolve
from tidegate.going_on import whole_again

pytestmark = pytest.mark.exhaustive

BARS = 400
ENTRIES = 900
"""Fewer than an undisturbed session has."""

FILES = ("orders.csv", "trades.csv")


@pytest.fixture
def house(tmp_path: Path) -> House:
    write_configuration(tmp_path, bars=BARS)
    return House(tmp_path)


def files_of(session: Path) -> dict[str, str]:
    """Return a session's tables without its own tag, and the last row of its account."""
    tag = session.name.rsplit("-", 1)[-1][:10]
    found = {name: (session / name).read_text().replace(tag, "TAG") for name in FILES}
    account = (session / "account.csv").read_text().splitlines()
    positions = (session / "positions.csv").read_text().splitlines()
    return {**found, "account.csv": account[-1], "positions.csv": positions[-1]}


def undisturbed(folder: Path) -> dict[str, str]:
    """Return the files of a session that nobody stops."""
    folder.mkdir()
    write_configuration(folder, bars=BARS)
    house = House(folder)
    assert 0 == house.run("trade", "--new").code
    return files_of(house.session)


def same(house: House) -> str:
    """Check that the session verifies; return what is said."""
    verified = house.run("verify", house.session.name)
    assert 0 == verified.code, verified.out + verified.said
    return verified.out


def stopping_holds(session: Path) -> list[str]:
    """Return how the holds of orderly ends came and went."""
    return [
        type(entry.message).__name__
        for entry in entries_of(session)
        if isinstance(entry.message, HoldPlaced | HoldLifted)
        and entry.message.hold.hold_id.startswith("stopping:")
    ]


@pytest.mark.parametrize("seed", range(2))
def test_a_session_stopped_at_any_moment_and_resumed_is_as_one_that_nobody_stopped(
    house: House, tmp_path: Path, seed: int
) -> None:
    """
    Stopped, resumed, stopped, resumed: the same orders, trades, positions and equity, to the digit.

    While it is interrupted its files are complete, and it verifies; after it too, from end to end.
    """
    expected = undisturbed(tmp_path / "undisturbed")
    first, second = sorted(Random(seed).sample(range(60, ENTRIES), 2))

    stopped = house.stop("trade", "--new", after=first)
    session = house.session
    entries = entries_of(session)
    sealed = manifest_of(session)

    assert 130 == stopped.code, stopped.said
    assert (SessionStatus.INTERRUPTED, "interrupted", 130) == (
        sealed.status,
        sealed.outcome,
        sealed.exit_code,
    )
    ended = entries[-1].message
    assert isinstance(ended, SessionEnded)
    assert ended.stopped
    assert {name: file_sha256(session / name) for name in sealed.artifacts} == sealed.artifacts
    assert f"same: {len(entries):,} events" in same(house)
    (listed,) = document(house.run("sessions", "--json"))["sessions"]
    assert ("interrupted", "interrupted") == (listed["status"], listed["outcome"])

    again = house.stop("trade", "--resume", after=line_count(session / "journal.sqlite") + second)
    assert again.code in (0, 130), again.said  # it may have been quicker than the order to stop
    done = house.run("trade", "--resume")

    assert 0 == done.code, done.said
    assert entries == entries_of(session)[: len(entries)]
    assert expected == files_of(session)
    assert SessionStatus.ENDED is manifest_of(session).status
    stops = types_of(session).count("SessionEnded") - 1
    assert ["HoldPlaced", "HoldLifted"] * stops == stopping_holds(session)
    assert "same: " in same(house)
    report = document(house.run("report", session.name, "--json"))["summary"]
    assert BARS == report["bars"]
    assert [] == [row for row in report["holds"] if row["end"] == "in_force"]


@pytest.mark.parametrize("point", ["session.started:1", "session.ending:1"])
def test_a_stop_a_resume_a_death_and_another_resume_are_one_session(
    house: House, tmp_path: Path, point: str
) -> None:
    """
    In any order: each process begins over what the one before it left, however it ended.

    It dies where no order is on its way: one that was would be in doubt, and asked about.
    """
    expected = undisturbed(tmp_path / "undisturbed")
    assert 130 == house.stop("trade", "--new", after=200).code
    house.crash("trade", "--resume", at=point)
    crashed = house.run("sessions").out
    assert SessionStatus.RUNNING is manifest_of(house.session).status
    entries = line_count(house.session / "journal.sqlite")
    assert house.stop("trade", "--resume", after=entries + 5).code in (0, 130)
    done = house.run("trade", "--resume")

    assert " crashed " in crashed
    assert 0 == done.code, done.said
    assert expected == files_of(house.session)
    assert "same: " in same(house)


@pytest.mark.parametrize("point", ["session.ended:1", "session.closed:1"])
def test_a_stop_that_was_cut_off_before_its_files_is_gone_on_with(
    house: House, tmp_path: Path, point: str
) -> None:
    """The journal says that it was stopped; what its files lack comes with the next process."""
    expected = undisturbed(tmp_path / "undisturbed")
    write_configuration(house.folder, bars=BARS)
    house.venue = {"TIDEGATE_CRASH_AT": point}
    died = house.stop("trade", "--new", after=200)
    house.venue = {}
    assert -9 == died.code, died.said
    assert "SessionEnded" == types_of(house.session)[-1]

    done = house.run("trade", "--resume")

    assert 0 == done.code, done.said
    assert expected == files_of(house.session)
    assert "same: " in same(house)


def test_a_session_that_came_to_its_end_has_ended(house: House) -> None:
    """A stop that found nothing more to do is no interruption: exit code 0, and nothing starts."""
    assert 0 == house.run("trade", "--new").code
    before = entries_of(house.session)

    done = house.run("trade", "--resume")

    said = (
        f"tidegate: session {house.session.name} has ended: nothing to go on with; --new starts one"
    )
    assert (0, [said]) == (done.code, done.problems)
    document = {"session_id": house.session.name, "status": "ended", "exit_code": 0}
    assert document == json.loads(house.run("trade", "--resume", "--json").out)
    assert before == entries_of(house.session)


def test_a_session_that_was_stopped_keeps_to_its_configuration(house: House) -> None:
    """Another one is refused, as after a crash, and its files stay as they were."""
    assert 130 == house.stop("trade", "--new", after=200).code
    text = (house.folder / "tidegate.toml").read_text()
    (house.folder / "tidegate.toml").write_text(text.replace('cash = "100000"', 'cash = "99999"'))
    sealed = manifest_of(house.session).artifacts

    refused = house.run("trade", "--resume")

    assert 5 == refused.code, refused.said
    assert "the configuration has changed since" in refused.problems[0]
    assert {name: file_sha256(house.session / name) for name in sealed} == sealed


def test_files_that_were_begun_anew_are_whole_again_where_nobody_goes_on(house: House) -> None:
    """
    A start begins the tables from the journal; one that is given up early leaves them so.

    Not those of a session that runs again: they are its own to finish.
    """
    assert 130 == house.stop("trade", "--new", after=200).code
    session = house.session
    sealed = manifest_of(session).artifacts

    def given_up() -> None:
        (session / "trades.csv").write_text("begun anew")
        with pytest.raises(RuntimeError), whole_again(resolve(str(session), house.folder)):
            raise RuntimeError("the venue does not answer")

    given_up()
    assert {name: file_sha256(session / name) for name in sealed} == sealed
    assert "same: " in same(house)

    reopen(session / "manifest.json")
    given_up()
    assert "begun anew" == (session / "trades.csv").read_text()


def test_a_plain_start_beside_an_interrupted_session_begins_a_new_one(house: House) -> None:
    """On paper, where its orders are nobody's: as ever."""
    assert 130 == house.stop("trade", "--new", after=200).code
    first = house.session
    done = house.run("trade")

    assert 0 == done.code, done.said
    assert 2 == len(house.sessions)
    assert SessionStatus.INTERRUPTED is manifest_of(first).status


def test_a_session_stopped_while_killed_comes_back_killed(house: House) -> None:
    """It is interrupted, exit code 4, and held from the first instruction of the next process."""

    def kill() -> None:
        assert 0 == house.run("kill", "--reason", "drill").code

    slow = ("--speed", "600")  # longer than another command takes
    stopped = house.stop("trade", "--new", *slow, after=60, first=kill)
    status = manifest_of(house.session).status
    held = house.run("holds")
    entries = line_count(house.session / "journal.sqlite")
    again = house.stop("trade", "--resume", *slow, after=entries + 20)

    assert (4, 4) == (stopped.code, again.code), stopped.said + again.said
    before, after = entries_of(house.session)[:entries], entries_of(house.session)[entries:]
    assert {"LATCHED", "CONFIRMED"} <= {
        entry.message.stage.name for entry in before if isinstance(entry.message, KillStep)
    }
    sent = [entry for entry in after if getattr(entry.message, "event", None) is OrderEvent.SENT]
    assert [] == sent
    assert SessionStatus.INTERRUPTED is status
    assert 1 == held.code
    assert re.search(r"\bkill\b", held.out), held.out
    assert "no daemon runs" in held.said
    assert "same: " in same(house)
