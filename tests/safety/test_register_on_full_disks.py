"""The register of holds on a disk that takes nothing: a kill is kept even there."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest
from register_makers import KILL, PAUSE, STEPS, STOP, again, by_id, dying_at, full_disk

from messages import KILL_HOLD, is_kill
from state import atomic
from state.register import REGISTER_HOLD, HoldRegister


def test_on_a_full_disk_a_kill_is_latched_by_an_empty_file(register: HoldRegister) -> None:
    """A name still fits where no content does, and a restart understands it."""
    register.replace(by_id(STOP))
    with full_disk():
        register.latch(KILL)

    stop, kill = again(register).load()
    assert STOP == stop
    assert is_kill(kill)
    assert 0 == register.marker.stat().st_size


def test_without_the_marker_a_full_disk_would_lose_the_kill(
    register: HoldRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: nothing else on the disk says that anybody killed it."""
    monkeypatch.setattr(HoldRegister, "_mark", lambda *_: None)
    with full_disk():
        register.latch(KILL)

    assert () == again(register).load()


def test_the_marker_goes_when_the_register_can_be_written_again(register: HoldRegister) -> None:
    """Not before the kill stands where it belongs."""
    with full_disk():
        register.latch(KILL)
    register.replace({})

    assert not register.marker.exists()
    assert (KILL,) == again(register).load()


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_between_marker_and_register_never_loses_the_kill(
    register: HoldRegister, step: str
) -> None:
    """The marker is taken away last."""
    with full_disk():
        register.latch(KILL)
    with dying_at(step):
        register.replace({})

    (hold,) = again(register).load()
    assert is_kill(hold)


def test_a_marker_outlives_sessions_until_the_kill_is_lifted(register: HoldRegister) -> None:
    """A restart takes the kill over into the register; lifting it there lifts it for good."""
    with full_disk():
        register.latch(KILL)
    restarted = again(register)
    (kill,) = restarted.restore(1)
    assert not register.marker.exists()
    assert (kill,) == again(register).load()

    restarted.replace({})

    assert () == again(register).load()


def test_a_kill_beside_a_damaged_register_is_not_forgotten(register: HoldRegister) -> None:
    """Both are held: the damage and the kill."""
    register.path.write_bytes(b"nonsense")
    register.latch(KILL)

    held = again(register).restore(1)
    assert [REGISTER_HOLD, KILL_HOLD] == [hold.hold_id for hold in held]
    assert b"nonsense" == register.path.with_name("holds.damaged.json").read_bytes()
    assert held == again(register).load()


def test_the_sessions_own_kill_is_marked_on_a_full_disk_too(register: HoldRegister) -> None:
    """``replace`` says that it failed, and the kill in it is durable all the same."""
    with full_disk(), pytest.raises(OSError, match="No space left"):
        register.replace(by_id(STOP, KILL))

    assert [KILL_HOLD] == [hold.hold_id for hold in again(register).load()]


def test_a_full_disk_marks_no_kill_where_there_is_none(register: HoldRegister) -> None:
    """A pause that cannot be written is not made a kill."""
    with full_disk(), pytest.raises(OSError, match="No space left"):
        register.replace(by_id(PAUSE))

    assert () == again(register).load()


def test_a_failed_write_is_tried_again_even_if_it_seems_needless(register: HoldRegister) -> None:
    """After an error nobody knows which content the disk has."""
    register.replace(by_id(STOP))

    def fails(_path: Path) -> None:
        raise OSError(errno.EIO, "planted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "sync_folder", fails)
        with pytest.raises(OSError, match="planted"):
            register.replace({})
    register.replace(by_id(STOP))

    assert (STOP,) == again(register).load()


def test_a_register_that_cannot_be_written_stops_the_start(register: HoldRegister) -> None:
    """Whoever could not latch a kill does not begin to trade."""
    register.replace(by_id(STOP))
    with full_disk(), pytest.raises(OSError, match="No space left"):
        again(register).restore(1)


def test_the_file_is_json_that_people_can_read(register: HoldRegister) -> None:
    """Version, checksum, holds: nothing else."""
    register.replace(by_id(STOP))

    document = msgspec.json.decode(register.path.read_bytes())
    assert ["version", "sha256", "holds"] == list(document)
    assert "stop-new-orders" == document["holds"][0]["hold_id"]
