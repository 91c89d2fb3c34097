"""The collector stays away from a session that trades, and its garbage does not stay."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from session_world import BTC, Script, flat, make_spec

from actors import paced, session
from actors.runtime.garbage import OLDER_EVERY, YOUNG_MIN, Rests, few_collections
from actors.session import run_paper
from feeds.memory import MemoryFeed


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def by_hand() -> Iterator[None]:
    """Have no collection but those that are asked for."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def all_in_sight() -> Iterator[None]:
    """
    Have nothing frozen, and Python's own thresholds: as in a process that runs one session.

    Of two that overlapped in this process the later one has left its own behind.
    """
    thresholds = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*thresholds)
    gc.freeze()


def knots(count: int) -> weakref.ref[Knot]:
    """Make garbage; return the last of it."""
    for _ in range(count):
        last = weakref.ref(Knot())
    return last


def test_garbage_is_collected_at_rest(by_hand: None) -> None:
    """Once there is enough of it to be worth a look."""
    rests = Rests()
    few = knots(10)
    rests.take()
    before = few()
    many = knots(YOUNG_MIN)
    rests.take()

    assert before is not None
    assert many() is None


def test_what_has_survived_is_looked_at_too(by_hand: None) -> None:
    """Rarer: garbage that was in use at the time of the last look."""
    rests = Rests()
    held = [Knot()]
    last = weakref.ref(held[0])
    knots(YOUNG_MIN)
    rests.take()
    held.clear()
    for _ in range(OLDER_EVERY):
        knots(YOUNG_MIN)
        rests.take()

    assert last() is None


def test_what_was_there_is_not_looked_at_again(all_in_sight: None) -> None:
    """And everything is as before afterwards."""
    before = gc.get_threshold()
    with few_collections(settled=True):
        frozen, threshold = gc.get_freeze_count(), gc.get_threshold()

    assert frozen > 0
    assert threshold > before
    assert (before, 0) == (gc.get_threshold(), gc.get_freeze_count())


@pytest.mark.parametrize("settled", [False, True])
def test_what_somebody_has_frozen_stays_so(all_in_sight: None, settled: bool) -> None:
    """Who runs many sessions in a process freezes once; none of them looks at all of it again."""
    gc.freeze()
    before = gc.get_freeze_count()
    garbage = knots(1)
    with few_collections(settled=settled):
        inside = gc.get_freeze_count()
    gc.collect()

    assert 0 < gc.get_freeze_count() <= inside <= before
    assert garbage() is None


@pytest.mark.parametrize("ablated", [False, True])
@pytest.mark.usefixtures("all_in_sight")
def test_a_live_session_trades_with_what_is_loaded_out_of_sight(
    ablated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each bar; with the safeguard switched off a full collection would walk through it all."""
    if ablated:
        monkeypatch.setattr(session, "few_collections", lambda **_: _nothing())
    counts: list[int] = []
    rests: list[int] = []
    monkeypatch.setattr(paced.Rests, "take", lambda _self: rests.append(1))
    script = Script(on_bar=lambda _strategy, _bar: counts.append(gc.get_freeze_count()))
    spec = make_spec(MemoryFeed({BTC: flat(BTC, 4)}), script.spec())
    spec = replace(spec, mode="paper", runs_dir=tmp_path)

    anyio.run(lambda: run_paper(spec, speed=60_000))

    assert 4 == len(counts)
    assert rests, "there is rest between bars"
    assert ablated is (set(counts) == {0})


class _nothing:  # noqa: N801 - stands for a function
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
