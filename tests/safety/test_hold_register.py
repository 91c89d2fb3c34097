"""The register of holds: whole or as it was before, whatever breaks, and a kill even then."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from register_makers import KILL, PAUSE, STEPS, STOP, again, by_id, dying_at

from messages import KILL_HOLD, Hold, HoldMode
from state import atomic
from state.register import (
    REGISTER_HOLD,
    REGISTER_VERSION,
    HoldRegister,
    RegisterDamaged,
    outliving,
    register_of,
)

# -- what is written is read


def test_there_is_nothing_before_anything_was_held(register: HoldRegister) -> None:
    """A new account starts free."""
    assert () == register.load()
    assert () == register.restore(1)


def test_holds_come_back_as_they_were_and_in_their_order(register: HoldRegister) -> None:
    """Every field, scope and end included, is the same after a restart."""
    register.replace(by_id(STOP, PAUSE, KILL))

    assert (STOP, PAUSE, KILL) == again(register).load()


def test_what_was_lifted_is_gone(register: HoldRegister) -> None:
    """The register says what is in force now, not what ever was."""
    register.replace(by_id(STOP, KILL))
    register.replace(by_id(STOP))

    assert (STOP,) == again(register).load()


def test_the_hold_of_a_sessions_own_end_does_not_outlive_it() -> None:
    """A restart after an orderly stop is not held by that stop."""
    stopping = Hold("stopping:interrupted", "the session ends", HoldMode.REFUSE, "supervisor", 1)

    assert by_id(STOP) == outliving([stopping, STOP])


def test_each_account_and_mode_has_a_register_of_its_own(tmp_path: Path) -> None:
    """A kill of one account's daemon says nothing about another's."""
    register_of(tmp_path, "paper", "main").replace(by_id(KILL))

    assert () == register_of(tmp_path, "paper", "other").load()
    assert () == register_of(tmp_path, "live", "main").load()


# -- crashes


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_a_write_leaves_the_old_or_the_new(
    register: HoldRegister, step: str
) -> None:
    """After no step is the register anything else; what was left beside it is written over."""
    register.replace(by_id(STOP))
    with dying_at(step):
        register.replace(by_id(STOP, KILL))
    found = again(register).load()
    expected = (STOP, KILL) if step in ("renamed", "done") else (STOP,)
    assert expected == found

    survivor = again(register)
    survivor.load()
    survivor.replace(by_id(PAUSE))

    assert (PAUSE,) == again(register).load()


def test_a_write_in_place_would_be_torn(
    register: HoldRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: written where it is read, the same crash costs every hold there was."""
    register.replace(by_id(STOP))

    def in_place(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            atomic.os.fsync(file.fileno())

    monkeypatch.setattr("state.register.replace_file", in_place)
    with dying_at("torn"):
        register.replace(by_id(STOP, KILL))

    with pytest.raises(RegisterDamaged):
        again(register).load()


# -- damage


def sealed(version: int, body: bytes, sha256: str | None = None) -> bytes:
    digest = hashlib.sha256(body).hexdigest() if sha256 is None else sha256
    return b'{"version":%d,"sha256":"%s","holds":%s}\n' % (version, digest.encode(), body)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cut off or no register"),
        (b"\x00" * 200, "cut off or no register"),
        (b"[" * 100_000, "cut off or no register"),
        (b'{"version":1,"sha256":"', "cut off or no register"),
        (sealed(1, b"[]", "0" * 64), "checksum"),
        (sealed(REGISTER_VERSION + 1, b"[]"), "version 2"),
        (sealed(0, b"[]"), "version is 0"),
        (sealed(1, b'[{"hold_id":"kill"}]'), "cut off or no register"),
        (sealed(1, b'{"\xff":1}'), "cut off or no register"),
        (sealed(1, b"[" * 100_000 + b"]" * 100_000), "cut off or no register"),
    ],
    ids=[
        "empty",
        "zeros",
        "deep",
        "cut",
        "checksum",
        "newer",
        "older than any",
        "other fields",
        "no text",
        "sealed and deep",
    ],
)
def test_a_damaged_register_is_named_with_what_is_wrong(
    register: HoldRegister, content: bytes, says: str
) -> None:
    """Nothing is guessed from a register that cannot be believed."""
    register.path.write_bytes(content)

    with pytest.raises(RegisterDamaged, match=f"{register.path}: .*{says}"):
        register.load()


@settings(max_examples=200)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
@example(place=0, bit=0, cut=True)
def test_any_flipped_bit_or_lost_end_is_seen_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, cut: bool
) -> None:
    """Whatever the disk does to the file: the holds that were written, or a refusal."""
    register = HoldRegister(tmp_path_factory.mktemp("flips") / "holds.json")
    register.replace(by_id(STOP, PAUSE, KILL))
    content = bytearray(register.path.read_bytes())
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= 1 << bit
    register.path.write_bytes(bytes(content))

    try:
        found = again(register).load()
    except RegisterDamaged:
        return

    assert (STOP, PAUSE, KILL) == found


def test_a_start_over_a_damaged_register_is_held_and_keeps_the_damage(
    register: HoldRegister,
) -> None:
    """Nobody knows what was held: everything is, latched, by a name of its own."""
    register.path.write_bytes(b"nonsense")

    (hold,) = register.restore(99)

    assert (REGISTER_HOLD, HoldMode.DRAIN, True, 99) == (
        hold.hold_id,
        hold.mode,
        hold.latched,
        hold.since,
    )
    assert "holds.damaged.json" in hold.cause
    assert b"nonsense" == register.path.with_name("holds.damaged.json").read_bytes()
    assert (hold,) == again(register).load()


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_while_damage_is_put_aside_never_frees_the_account(
    register: HoldRegister, step: str
) -> None:
    """At no step of it does the disk look as if nothing had ever been held."""
    register.path.write_bytes(b"nonsense")
    with dying_at(step):
        register.restore(99)

    assert [REGISTER_HOLD] == [hold.hold_id for hold in again(register).restore(100)]


def test_each_damaged_register_is_kept(register: HoldRegister) -> None:
    """The second one does not cost us the first."""
    for content in (b"one", b"two"):
        register.path.write_bytes(content)
        again(register).restore(1)

    kept = {path.read_bytes() for path in register.path.parent.glob("holds.damaged*")}
    assert {b"one", b"two"} == kept


def test_a_folder_where_the_register_should_be_is_damage(register: HoldRegister) -> None:
    """Moved out of the way like any other damage."""
    register.path.mkdir()

    assert [REGISTER_HOLD] == [hold.hold_id for hold in register.restore(1)]
    assert [REGISTER_HOLD] == [hold.hold_id for hold in again(register).load()]


# -- a kill while the session is stuck


def test_a_latched_kill_is_on_the_disk_when_latch_returns(register: HoldRegister) -> None:
    """And it takes nothing from what was held before."""
    register.replace(by_id(STOP))
    register.latch(KILL)

    assert (STOP, KILL) == again(register).load()


def test_a_kill_before_anything_was_read_keeps_what_is_on_the_disk(
    register: HoldRegister,
) -> None:
    """A kill may come before the session has looked at its register."""
    register.replace(by_id(STOP, PAUSE))
    again(register).latch(KILL)

    assert (STOP, PAUSE, KILL) == again(register).load()


def test_a_latched_kill_survives_a_replace_that_does_not_know_of_it(
    register: HoldRegister,
) -> None:
    """The session's own write was already on its way: it must not undo the kill."""
    register.latch(KILL)
    register.replace(by_id(STOP))
    register.replace({})

    assert (KILL,) == again(register).load()


def test_a_kill_that_the_session_took_and_lifted_is_gone(register: HoldRegister) -> None:
    """Taken over, the session's word counts, also where the bringer's write comes late."""
    announcement = register.announce(KILL)
    announcement.taken = True
    register.replace({}, register.taken())
    register.keep(announcement)

    assert () == again(register).load()


def test_only_the_kill_that_was_taken_is_settled(register: HoldRegister) -> None:
    """A second kill that waits is not undone by lifting the first."""
    first, second = register.latch(KILL), register.latch(KILL)
    first.taken = True
    register.replace(by_id(KILL), register.taken())
    register.replace({}, register.taken())

    assert not second.taken
    assert (KILL,) == again(register).load()


def test_what_is_taken_after_the_look_is_not_settled_by_it(register: HoldRegister) -> None:
    """The session looked, wrote in another thread, and took the kill meanwhile."""
    announcement = register.latch(KILL)
    looked, settled = {}, register.taken()
    announcement.taken = True
    register.replace(looked, settled)

    assert (KILL,) == again(register).load()


def test_kills_from_many_threads_survive_the_sessions_own_writes(register: HoldRegister) -> None:
    """Whatever the two of them do at the same moment, every kill is there in the end."""
    kills = [
        Hold(f"{KILL_HOLD}-{number}", "drill", HoldMode.DRAIN, "x", 1, latched=True)
        for number in range(8)
    ]
    threads = [threading.Thread(target=register.latch, args=(kill,)) for kill in kills]
    for number, thread in enumerate(threads):
        thread.start()
        register.replace(by_id(STOP) if number % 2 else {})
    for thread in threads:
        thread.join()
    register.replace(by_id(STOP))

    assert by_id(STOP, *kills) == by_id(*again(register).load())


def test_an_announcement_waits_for_no_disk(register: HoldRegister) -> None:
    """Even while a write hangs: it is part of whatever is written next."""
    with register._writing:
        register.announce(KILL)
    register.replace({})

    assert (KILL,) == again(register).load()
