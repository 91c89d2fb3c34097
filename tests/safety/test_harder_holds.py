"""A hold of an id that stands never becomes milder by another one of that id."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from register_makers import KILL, PAUSE, STOP, again, by_id

from messages import EVERYTHING, STRICTNESS, Hold, HoldMode, Scope, is_kill
from state.register import HoldRegister, harder

holds = st.builds(
    Hold,
    st.sampled_from(["kill", "pause"]),
    st.sampled_from(["drill", "lunch"]),
    st.sampled_from(HoldMode),
    st.sampled_from(["cli:ann", "cli:bob"]),
    st.integers(1, 9),
    st.sampled_from([EVERYTHING, Scope(symbol="BTC/USDT"), Scope(strategy="one")]),
    st.one_of(st.none(), st.integers(10, 20)),
    st.booleans(),
    st.booleans(),
)


def is_as_hard(found: Hold, asked: Hold) -> bool:
    """Return whether ``found`` keeps shut all that ``asked`` keeps shut, as long and as firmly."""
    return (
        found.scope in (EVERYTHING, asked.scope)
        and STRICTNESS[found.mode] >= STRICTNESS[asked.mode]
        and (found.until is None or (asked.until is not None and found.until >= asked.until))
        and found.latched >= asked.latched
        and found.flatten >= asked.flatten
        and is_kill(found) >= is_kill(asked)
    )


@given(st.lists(holds, min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_whatever_is_added_or_latched_nothing_that_stands_gets_milder(
    asked: list[Hold], added: list[bool]
) -> None:
    """In whichever order and on whichever way they come, and for the next process too."""
    with TemporaryDirectory() as folder:
        register = HoldRegister(Path(folder) / "account" / "holds.json")
        states = []
        for hold, is_added in zip(asked, added, strict=False):
            if is_added:
                register.add(by_id(hold))
            else:
                register.latch(hold)
            found = by_id(*again(register).load())
            assert is_as_hard(found[hold.hold_id], hold)
            states.append(found)

    for before, after in pairwise(states):
        assert all(is_as_hard(after[hold_id], hold) for hold_id, hold in before.items())


@given(holds, holds)
def test_the_harder_of_two_has_the_causes_of_the_one_that_stands(one: Hold, other: Hold) -> None:
    """It is as hard as both, and as one alone where that is as hard already."""
    found = harder(one, other)

    assert is_as_hard(found, one)
    assert is_as_hard(found, msgspec.structs.replace(other, hold_id=one.hold_id))
    assert (one.cause, one.set_by, one.since) == (found.cause, found.set_by, found.since)
    assert one == harder(one, one)


def test_the_end_of_a_session_that_failed_takes_no_flatten_away(register: HoldRegister) -> None:
    """It knows of the plain kill only; somebody else had latched one that flattens meanwhile."""
    flat = msgspec.structs.replace(KILL, flatten=True)
    register.replace(by_id(flat, PAUSE))
    again(register).add(by_id(KILL, STOP))

    assert (flat, PAUSE, STOP) == again(register).load()
