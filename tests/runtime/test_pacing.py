"""The paced driver: the same decisions as the fast one, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    START,
    World,
    flat,
    instruments_of,
    make_spec,
    make_world,
    on_bars,
)
from workloads import busy_steps, market, trader

from actors.inbox import Inbox
from actors.paced import PacedDriver
from actors.runtime import Pacer
from feeds.memory import MemoryFeed
from messages import OrderCommitted, Side, Wake

BARS = 40

Result = TypeVar("Result")


def busy() -> World:
    steps = busy_steps(3, 3 * BARS, 1.0)
    return World(
        make_spec(
            MemoryFeed(market(BARS)),
            trader(steps).spec("one", (BTC, ETH)),
            instruments=instruments_of(market(2), Decimal(10)),
            cash=5_000,
        )
    )


async def drive(world: World, stop: Callable[[], bool] = lambda: False) -> bool:
    """Drive a started world by the paced driver without waiting; return whether it ended."""
    inbox = Inbox()
    inbox.open(world.session)
    driver = PacedDriver(world.session, Pacer(0), inbox, stop=stop, on_progress=lambda _count: None)
    return await driver.run(world.session.groups(world._opened))


def paced(world: World, stop: Callable[[], bool] = lambda: False) -> bool:
    return run_loop(lambda: drive(world, stop))


def run_loop(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    with asyncio.Runner() as runner:
        return runner.run(main())


def test_paced_and_fast_sessions_decide_the_same() -> None:
    """Waiting and committing between turns changes no event of the journal."""
    fast = busy().run()
    slow = busy()
    slow.start()
    ended = paced(slow)
    slow.finish()

    assert ended
    assert fast.story() == slow.story()
    assert fast.lines == slow.lines


def test_the_paced_driver_runs_on_uvloop() -> None:
    """The other event loop gives the same journal."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed here")
    world = busy()
    world.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(drive(world))
    world.finish()

    assert busy().run().lines == world.lines


def test_a_stop_ends_between_turns() -> None:
    """Asked to stop, the driver says that the feed was not at its end; the session ends whole."""
    world = busy()
    answers: Iterator[bool] = iter([False] * 10)
    world.start()

    assert not paced(world, lambda: next(answers, True))
    world.finish()
    assert 0 < world.session.turns <= 10


def test_a_faster_pace_waits_less() -> None:
    """The pacer's own arithmetic: speed 0 waits for nothing and still yields to the loop."""
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async def main() -> None:
        task = asyncio.ensure_future(other())
        await Pacer(0).wait_until(START + 10**9)
        turns.append("paced")
        await task

    run_loop(main)

    assert turns == ["other", "paced"]


def test_orders_wait_for_the_commit_and_leave_after_it() -> None:
    """No order is handed to the broker before the journal says that its record is durable."""
    world = make_world(
        flat(BTC, 3),
        on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))]}).spec(),
    )
    order: list[str] = []
    journal = world.journal

    def sends(_message: OrderCommitted, _count: int) -> bool:
        order.append("sent")
        return False

    world.poison("execution", OrderCommitted, when=sends)

    class Watched:
        """A journal that notes its commits."""

        def __getattr__(self, name: str) -> Any:
            return getattr(journal, name)

        async def commit(self) -> int:
            order.append("committed")
            return journal.seq

    world.session.journal = Watched()
    world.start()
    paced(world)
    world.finish()

    assert order[:2] == ["committed", "sent"]


def halting_at_midnight() -> World:
    """Return a world whose Reconciler fails at midnight and cannot start again."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))]})
    world = make_world(flat(BTC, 30, start=START + DAY - 5 * MINUTE), script.spec())
    cell = world.cell("reconciler")
    make = cell.factory
    made = [0]

    def once() -> Any:
        made[0] += 1
        if made[0] > 1:
            raise RuntimeError("cannot start again")
        return make()

    cell.factory = once
    world.poison("reconciler", Wake)
    return world


def test_a_halt_ends_paced_and_fast_sessions_at_the_same_event() -> None:
    """Brought about by a timer, between two bars: no turn more in one than in the other."""
    fast = halting_at_midnight().run()
    slow = halting_at_midnight()
    slow.start()

    assert not paced(slow)
    slow.finish()
    assert fast.session.halted == slow.session.halted
    assert fast.story() == slow.story()
    assert fast.lines == slow.lines


async def test_session_time_is_never_behind_what_has_closed() -> None:
    """A source may be ahead of what was thought; it does not take time back."""
    pacer = Pacer(1.0)
    pacer.begin(1_000_000)
    pacer.catch_up(1_000_000 - 60_000)
    behind = pacer.session_ms(0)
    pacer.catch_up(1_000_000 + 60_000)

    assert 1_000_000 <= behind < 1_060_000
    assert 1_060_000 <= pacer.session_ms(0)
