"""
What one hop costs: a message from one actor to the next, journal left out.

    python tests/bench/hops.py [--rounds 5]

A chain of four actors that count and forward, driven in lockstep (the next message only when
the chain is quiet): plain method calls, our fused and our queued dispatcher, and one
`asyncio.Queue` with a task per actor. A hop is a quarter of the chain.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import run

from actors.runtime import (
    Actor,
    Cell,
    ChildSpec,
    Dispatcher,
    Effects,
    HoldSet,
    SimulatedClock,
    Supervisor,
)
from actors.runtime.schedule import QueuedDispatcher
from messages import Lane, Message, Overflow
from state.journal import Journal

CHAIN = 4
CHAINS = 50_000


class Passed(Message, frozen=True):
    """Base of what is handed along."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    number: int


class FromFirst(Passed, frozen=True):
    """From the driver to the first actor."""


class ToSecond(Passed, frozen=True):
    """From the first actor to the second."""


class ToThird(Passed, frozen=True):
    """From the second actor to the third."""


class ToFourth(Passed, frozen=True):
    """From the third actor to the fourth."""


KINDS: tuple[type[Passed], ...] = (FromFirst, ToSecond, ToThird, ToFourth)


class Relay(Actor):
    """Counts, and forwards what it gets as the next kind of message."""

    def __init__(self, takes: type[Passed], gives: type[Passed] | None) -> None:
        self.takes = takes
        self.gives = gives
        self.seen = 0

    def handlers(self) -> Mapping[type[Message], Callable[[Passed], Effects]]:
        """Take one kind."""
        return {self.takes: self.on_passed}

    def on_passed(self, message: Passed) -> Effects:
        """Count and forward."""
        self.seen += 1
        return None if self.gives is None else (self.gives(message.number),)


def relays() -> list[Relay]:
    """Return the chain's actors."""
    return [Relay(a, b) for a, b in zip(KINDS, [*KINDS[1:], None], strict=True)]


def direct() -> float:
    """Return seconds for all chains by plain method calls."""
    chain = relays()

    def forward(position: int, message: Passed) -> None:
        effects = chain[position].on_passed(message)
        for effect in effects or ():
            forward(position + 1, effect)  # type: ignore[arg-type]

    began = time.perf_counter()
    for number in range(CHAINS):
        forward(0, FromFirst(number))
    elapsed = time.perf_counter() - began
    assert [relay.seen for relay in chain] == [CHAINS] * CHAIN
    return elapsed


def dispatched(kind: type[Dispatcher]) -> float:
    """Return seconds for all chains through one of our dispatchers."""
    dispatcher = kind(Journal(()), SimulatedClock(0), HoldSet("paper"))
    actors = relays()
    supervisor = Supervisor(dispatcher)
    for relay in actors:
        cell = Cell(relay.takes.__name__, lambda relay=relay: relay)  # type: ignore[misc]
        supervisor.declare(ChildSpec(cell.name), cell)
        dispatcher.route(relay.takes, cell)
    supervisor.start()
    first = next(iter(dispatcher.cells.values()))
    began = time.perf_counter()
    for number in range(CHAINS):
        dispatcher.tell(first, FromFirst(number), "bench")
        dispatcher.settle()
    elapsed = time.perf_counter() - began
    assert [relay.seen for relay in actors] == [CHAINS] * CHAIN
    return elapsed


def queued_tasks() -> float:
    """Return seconds for a tenth of the chains, times ten, with a queue and a task per actor."""
    return asyncio.run(_queued_tasks()) * 10


async def _queued_tasks() -> float:
    queues: list[asyncio.Queue[Passed]] = [asyncio.Queue(8) for _ in range(CHAIN)]
    quiet = asyncio.Event()
    chains = CHAINS // 10

    async def serve(relay: Relay, mine: asyncio.Queue[Passed], position: int) -> None:
        while relay.seen < chains:
            message = await mine.get()
            effects = relay.on_passed(message)
            for effect in effects or ():
                await queues[position + 1].put(effect)  # type: ignore[arg-type]
            if effects is None:
                quiet.set()

    async with asyncio.TaskGroup() as group:
        for position, (relay, mine) in enumerate(zip(relays(), queues, strict=True)):
            group.create_task(serve(relay, mine, position))
        began = time.perf_counter()
        for number in range(chains):
            quiet.clear()
            await queues[0].put(FromFirst(number))
            await quiet.wait()
        return time.perf_counter() - began


WAYS: dict[str, Callable[[], float]] = {
    "plain method calls": direct,
    "fused dispatch": lambda: dispatched(Dispatcher),
    "queued dispatch": lambda: dispatched(QueuedDispatcher),
    "asyncio.Queue, task per actor": queued_tasks,
}


def main() -> None:
    """Print the cost of one hop each way, in ns: median of the rounds, interleaved."""
    parser = argparse.ArgumentParser(description="the cost of one hop")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(run.machine())
    figures: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, measure in WAYS.items():
            figures[way].append(measure() / CHAINS / CHAIN * 1e9)
    for way, hops in figures.items():
        spread = f"{min(hops):,.0f}..{max(hops):,.0f}"
        print(f"{way:<32}{statistics.median(hops):>8,.0f} ns a hop ({spread})")


if __name__ == "__main__":
    main()
