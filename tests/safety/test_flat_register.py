"""The register of holds keeps that a kill was to flatten, as it keeps the kill."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from register_makers import KILL, STOP, by_id, full_disk
from test_inbox import door

from actors.commands import Request
from messages import CommandVerb, is_kill
from state.register import HoldRegister, register_of

FLAT = msgspec.structs.replace(KILL, cause="and flat", set_by="cli:bob", since=9, flatten=True)


@pytest.fixture
def register(tmp_path: Path) -> HoldRegister:
    return HoldRegister(tmp_path / "account" / "holds.json")


def again(register: HoldRegister) -> HoldRegister:
    """Return the register as the next process has it."""
    return HoldRegister(register.path)


def test_a_kill_that_flattens_on_top_of_a_plain_one_adds_that_to_it(
    register: HoldRegister,
) -> None:
    """The hold, its cause and its beginning stay those of the first kill."""
    register.replace(by_id(STOP, KILL))
    again(register).latch(FLAT)

    assert (STOP, msgspec.structs.replace(KILL, flatten=True)) == again(register).load()


def test_a_plain_kill_takes_nothing_from_one_that_flattens(register: HoldRegister) -> None:
    """Whatever comes later, everything is still to be flat."""
    register.latch(FLAT)
    register.latch(KILL)

    assert (FLAT,) == again(register).load()


def test_what_a_session_took_is_its_own_to_remember(register: HoldRegister) -> None:
    """What is in force, and whether it flattens, is the session's word from then on."""
    announcement = register.latch(FLAT)
    announcement.taken = True
    register.replace(by_id(KILL), register.taken())

    assert (KILL,) == again(register).load()


def test_on_a_full_disk_the_markers_name_says_that_everything_is_to_be_flat(
    register: HoldRegister,
) -> None:
    """A name still fits; with room again the register says it, and neither marker is left."""
    register.replace(by_id(STOP))
    with full_disk():
        register.latch(KILL)
        assert not again(register).load()[1].flatten
        register.latch(FLAT)

    stop, kill = again(register).load()
    assert STOP == stop
    assert is_kill(kill)
    assert kill.flatten
    restarted = again(register)
    restarted.restore(1)
    assert (STOP, kill) == again(register).load()
    assert [register.path] == list(register.path.parent.iterdir())


def test_a_marker_that_flattens_adds_that_to_the_kill_that_stands_there(
    register: HoldRegister,
) -> None:
    """The first kill found room, the second one did not."""
    register.latch(KILL)
    with full_disk():
        register.latch(FLAT)

    assert (msgspec.structs.replace(KILL, flatten=True),) == again(register).load()


def test_a_session_that_takes_nothing_leaves_the_whole_command_on_the_disk(tmp_path: Path) -> None:
    """Its process may be ended any moment now: the next one reads what was asked for."""
    inbox, _ = door(tmp_path)
    inbox.submit(Request(verb=CommandVerb.KILL, by="test"))
    inbox.submit(Request(verb=CommandVerb.KILL, by="test", flatten=True))

    (kill,) = register_of(tmp_path, "paper", "main").load()
    assert kill.flatten
