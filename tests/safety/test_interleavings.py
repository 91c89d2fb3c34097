"""The property of holds: twenty thousand different sessions, and in none does anything slip out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from interleavings import Found, trace

from actors.execution import ExecutionActor
from actors.kill import KillSwitch
from actors.runtime import Dispatcher, Supervisor, holds
from messages import Hold, Scope
from state import atomic
from state.register import HoldRegister

pytestmark = pytest.mark.exhaustive

TRACES = 20_000
SEEDS = 20_100
"""A few more than traces are asked for: two seeds may come to the same."""

PARTS = 10
"""Pieces of the work, each a test of its own: none of them takes long."""

FOUND: dict[int, set[bytes]] = {}
"""The traces of each part that was run."""

SOON = 3_000
"""Seeds within which a planted bug has to be found."""


MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux: each seed replaces the register twice."""


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[HoldRegister]:
    """A register whose disk is not waited for: what a crash does to it is tried elsewhere."""
    monkeypatch.setattr(atomic.os, "fsync", lambda _descriptor: None)
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with TemporaryDirectory(dir=MEMORY if usable else None) as folder:
        yield HoldRegister(Path(folder) / "holds.json")


def traces_of(part: int, register: HoldRegister) -> set[bytes]:
    """Return the different traces of one part of the seeds."""
    return {trace(seed, register) for seed in range(part, SEEDS, PARTS)}


@pytest.mark.parametrize("part", range(PARTS))
def test_no_interleaving_lets_an_order_out_that_a_hold_covers(
    part: int, kept: HoldRegister
) -> None:
    """
    Intents, fills, holds of every mode and scope, kills, resumes, failures, commits that take
    their time, and a restart: nothing that a hold covers is handled or leaves, every refused
    message is answered once, and what is held after a restart is what was held before.
    """
    FOUND[part] = traces_of(part, kept)

    assert FOUND[part]


def test_there_are_twenty_thousand_different_interleavings(kept: HoldRegister) -> None:
    """Counted over all parts; those that were not run in this process are run now."""
    found: set[bytes] = set()
    for part in range(PARTS):
        found |= FOUND.get(part) or traces_of(part, kept)

    assert len(found) >= TRACES


def test_a_seed_is_the_same_session_every_time(kept: HoldRegister) -> None:
    """So that what is found can be looked at."""
    seeds = range(200, 230)

    assert [trace(seed, kept) for seed in seeds] == [trace(seed, kept) for seed in seeds]


def no_last_look(patch: pytest.MonkeyPatch) -> None:
    """Only what comes to a mailbox is looked at."""
    patch.setattr(ExecutionActor, "last_look", lambda *_: ())


def no_drain(patch: pytest.MonkeyPatch) -> None:
    """What waits when a hold is placed goes on waiting."""
    patch.setattr(Dispatcher, "drain", lambda *_: 0)


def no_admission(patch: pytest.MonkeyPatch) -> None:
    """A mailbox is not looked at when a message comes to it."""
    patch.setattr(holds.HoldSet, "mode", lambda *_: None)


def half_a_scope(patch: pytest.MonkeyPatch) -> None:
    """The side of a scope is forgotten."""
    covers = holds.covers

    def forgets(scope: Scope, order: Any, venue: str) -> bool:
        return scope.side is None and covers(scope, order, venue)

    patch.setattr(holds, "covers", forgets)


def eager_commits(patch: pytest.MonkeyPatch) -> None:
    """What was journaled while a commit was on its way leaves with it."""
    release = Dispatcher.release_commits
    patch.setattr(Dispatcher, "release_commits", lambda self, _count=None: release(self))


def no_cancels(patch: pytest.MonkeyPatch) -> None:
    """A kill leaves what rests at the venue."""
    patch.setattr(KillSwitch, "_cancel", lambda *_: None)


def silent_lift(patch: pytest.MonkeyPatch) -> None:
    """A hold is lifted and nobody is told."""
    patch.setattr(Supervisor, "lift", lambda self, hold_id, *_: self.dispatcher.holds.lift(hold_id))


def nothing_reapplied(patch: pytest.MonkeyPatch) -> None:
    """A restart begins free."""
    patch.setattr(Supervisor, "reapply", lambda *_: None)


def register_forgets(patch: pytest.MonkeyPatch) -> None:
    """The register keeps what is latched, and only that."""

    def latched_only(found: Any) -> dict[str, Hold]:
        return {hold.hold_id: hold for hold in found if hold.latched}

    patch.setattr("interleavings.outliving", latched_only)


def answered_twice(patch: pytest.MonkeyPatch) -> None:
    """What is drained is answered, and then again."""
    refuse = Dispatcher._refuse

    def twice(self: Any, *given: Any) -> None:
        refuse(self, *given)
        refuse(self, *given)

    patch.setattr(Dispatcher, "_refuse", twice)


BUGS = [
    no_last_look,
    no_drain,
    no_admission,
    half_a_scope,
    eager_commits,
    no_cancels,
    silent_lift,
    nothing_reapplied,
    register_forgets,
    answered_twice,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(
    bug: Callable[[pytest.MonkeyPatch], None], kept: HoldRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablations: whatever is taken away, a few seeds show it, and say how to see it again."""
    bug(monkeypatch)

    def search() -> str:
        for seed in range(SOON):
            try:
                trace(seed, kept)
            except Found as found:
                return str(found)
        return ""

    what = search()

    assert what
    assert "interleavings.py " in what
