"""What must be quick goes first, and what can wait is not kept waiting without end."""

from __future__ import annotations

import asyncio

import pytest

from state import precedence as module
from state.precedence import Precedence

FOR_EVER_S = 3_600.0


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody go on because it has waited long enough."""
    monkeypatch.setattr(module, "ASIDE_S", FOR_EVER_S)


async def turns(count: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def step(precedence: Precedence, name: str, taken: list[str]) -> None:
    await precedence.clear()
    taken.append(name)


async def test_nobody_steps_aside_for_nobody() -> None:
    """Not even for a turn of the loop: whoever asks goes on at once."""
    precedence = Precedence()
    taken: list[str] = []
    coroutine = step(precedence, "reading", taken)
    with pytest.raises(StopIteration):
        coroutine.send(None)

    assert ["reading"] == taken


@pytest.mark.parametrize("ablated", [False, True])
async def test_a_step_waits_for_whoever_is_on_the_way(ablated: bool) -> None:
    """Until the last of them has left."""
    precedence = Precedence()
    taken: list[str] = []
    if not ablated:
        precedence.hold("driver")
    precedence.hold("order")
    precedence.hold("order")
    task = asyncio.ensure_future(step(precedence, "reading", taken))
    precedence.release("order")
    await turns()
    before = list(taken)
    precedence.release("driver")
    await task

    assert (["reading"] if ablated else []) == before
    assert precedence.is_clear


async def test_who_waited_goes_one_after_the_other_and_stops_for_the_next_order() -> None:
    """What comes while the first one goes finds the others still aside."""
    precedence = Precedence()
    taken: list[str] = []

    async def while_an_order_comes() -> None:
        await step(precedence, "a", taken)
        precedence.hold("next order")

    precedence.hold("order")
    steps = (while_an_order_comes(), step(precedence, "b", taken), step(precedence, "c", taken))
    tasks = [asyncio.ensure_future(each) for each in steps]
    await turns()
    precedence.release("order")
    await turns()
    meanwhile = list(taken)
    precedence.release("next order")
    await asyncio.gather(*tasks)

    assert ["a"] == meanwhile
    assert ["a", "b", "c"] == taken


@pytest.mark.parametrize("ablated", [False, True])
async def test_nobody_is_kept_waiting_without_end(
    ablated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that waits for its venue for minutes makes no account old."""
    if not ablated:
        monkeypatch.setattr(module, "ASIDE_S", 0.0)
    precedence = Precedence()
    taken: list[str] = []
    precedence.hold("order")
    task = asyncio.ensure_future(step(precedence, "reading", taken))
    await turns(20)
    task.cancel()

    assert ([] if ablated else ["reading"]) == taken
    assert not precedence.is_clear


async def test_a_step_that_is_cancelled_keeps_nobody_else() -> None:
    """Its turn passes to the one behind it."""
    precedence = Precedence()
    taken: list[str] = []
    precedence.hold("order")
    first, second = (asyncio.ensure_future(step(precedence, name, taken)) for name in "ab")
    await turns()
    first.cancel()
    precedence.release("order")
    await second

    assert ["b"] == taken


async def test_what_is_to_be_done_later_is_never_done_within_the_call() -> None:
    """Held or not: it has a step of its own."""
    precedence = Precedence()
    done: list[str] = []
    precedence.when_clear(lambda: done.append("at once"))
    precedence.hold("order")
    precedence.when_clear(lambda: done.append("later"))
    within = list(done)
    await turns()
    held = list(done)
    precedence.release("order")
    released = list(done)
    await turns()

    assert ([], ["at once"], ["at once"]) == (within, held, released)
    assert ["at once", "later"] == done


async def test_it_shows_who_is_waited_for() -> None:
    """In a line, and whether it is somebody else."""
    precedence = Precedence()
    precedence.hold("driver")
    alone = precedence.is_held_only_by("driver")
    precedence.hold("order")
    precedence.when_clear(lambda: None)

    assert alone
    assert not precedence.is_held_only_by("driver")
    assert "<Precedence held by 2, 1 wait>" == repr(precedence)
