"""A kill with `flatten` that no session took: the process was ended, and the next one obeys."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from resumed_world import Disk, Process, check_sound
from test_going_on import command, ladder

from actors.commands import Request
from actors.inbox import latched
from messages import CommandVerb, Hold, HoldMode, KillReport, OperatorReduce, SessionStarted
from state.derivation import underived
from state.register import FILE, HoldRegister
from tidegate.control.client import Place
from tidegate.control.daemon import Daemon
from tidegate.control.last_resort import end_and_hold

PLAIN = Hold("kill", "first", HoldMode.DRAIN, "cli:ann", 7, latched=True)


def brought(*, flatten: bool, folder: Path) -> HoldRegister:
    """Return a register in which a plain kill stands, and one that was brought on top of it."""
    register = HoldRegister(folder / FILE)
    register.replace({PLAIN.hold_id: PLAIN})
    request = Request(verb=CommandVerb.KILL, by="cli:bob", reason="second", flatten=flatten)
    HoldRegister(folder / FILE).latch(latched(request, 9))
    return HoldRegister(folder / FILE)


@pytest.mark.parametrize("flatten", [True, False])
def test_what_was_latched_for_the_next_start_is_flattened_by_it_where_that_was_asked_for(
    tmp_path: Path, *, flatten: bool
) -> None:
    """The operator's command reached a process that took nothing any more: it is not forgotten."""
    disk = Disk()
    first = Process(ladder(3), disk, stop_at=15).run()
    assert not first.assembly.books.ledger.flat
    disk.register = brought(flatten=flatten, folder=tmp_path).load()

    second = Process(ladder(3), disk).run()

    check_sound(second)
    report = second.all(KillReport)[-1]
    assert (flatten, True) == (report.flatten, report.confirmed)
    assert flatten is second.assembly.books.ledger.flat
    assert flatten is bool(second.all(OperatorReduce))
    assert [] == list(underived(disk.entries, ladder(3).instruments))


def test_a_start_after_that_start_has_nothing_more_to_close(tmp_path: Path) -> None:
    """The wish stays with the hold until it is lifted, however many processes come."""
    disk = Disk()
    Process(ladder(3), disk, stop_at=15).run()
    disk.register = brought(flatten=True, folder=tmp_path).load()
    second = Process(ladder(3), disk, stop_at=40).run()
    assert second.assembly.books.ledger.flat
    closes = len(disk.entries)
    third = Process(ladder(3), disk).run()

    (held,) = [hold for hold in disk.register if hold.hold_id == "kill"]
    assert msgspec.structs.replace(PLAIN, flatten=True) == held
    assert third.assembly.books.ledger.flat
    later = [entry.message for entry in disk.entries[closes:]]
    assert not [message for message in later if isinstance(message, OperatorReduce)]
    assert 3 == len(third.all(SessionStarted))


@pytest.mark.parametrize("flatten", [True, False])
def test_whoever_ends_a_daemon_from_outside_leaves_word_and_says_what_is_not_done(
    tmp_path: Path, *, flatten: bool
) -> None:
    """The register has the wish, and the operator reads that nothing is flat yet."""
    place = Place(tmp_path, "paper", "main")
    gone = Daemon(1, "", "paper", "main", "nowhere.sock")

    said = end_and_hold(place, gone, reason="drill", flatten=flatten)

    (hold,) = HoldRegister(place.folder / FILE).load()
    assert flatten is hold.flatten
    assert flatten is ("NOT FLAT" in said)
    assert flatten is ("tidegate panic --flatten" in said)


def test_what_a_session_took_and_did_not_finish_is_the_next_ones_whichever_that_is() -> None:
    """It died before anything was closed: a new session on the account is to be flat as well."""
    acts = {15: command(CommandVerb.KILL, flatten=True)}
    whole = Process(ladder(3), Disk(), acts=acts).run()
    taken = next(batch for batch, turns in whole.seen if turns >= 15)
    disk = Disk()
    first = Process(ladder(3), disk, acts=acts, cut_at=taken).run()
    assert not first.assembly.books.ledger.flat

    (kept,) = [hold for hold in disk.register if hold.hold_id == "kill"]
    assert kept.flatten
    new = Process(ladder(3), Disk(register=disk.register)).run()
    assert (True, True) == (new.all(KillReport)[-1].flatten, new.all(KillReport)[-1].confirmed)
