"""
The requests under way: a queue and workers of their own for each lane.

So nothing waits behind a question, and a cancel behind nothing but the order it is of: what changes
one order is done one after the other, in the order in which it was handed over. A question about
an order comes after the changes that were handed over before it, and nothing comes after it.
Whatever has to wait for something does so outside of the queues: it keeps no worker. An answer that
cannot be read ends the request, and nothing else: an order whose submit it was is not heard of any
more, and so in doubt before long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from anyio.abc import TaskGroup

from brokers.ccxt.lanes import Lane
from brokers.ccxt.leaving import noting_departure
from brokers.ccxt.limits import JOBS_MAX, WORKERS
from state.precedence import Precedence


@dataclass(eq=False, slots=True)
class Job:
    """One request: in which lane, of which order, what to do, and what comes after it."""

    lane: Lane
    name: str
    work: Callable[[], Awaitable[None]]
    next: list[Job]


class Jobs:
    """Requests that were handed over; ``on_done`` is called whenever one is over."""

    def __init__(
        self, on_done: Callable[[], object], on_failed: Callable[[str, Exception], object]
    ) -> None:
        """Begin with none; ``on_failed`` is told of whom a request was that raised, and what."""
        self._queues: dict[Lane, asyncio.Queue[Job]] = {
            lane: asyncio.Queue(JOBS_MAX) for lane in Lane
        }
        self._last: dict[str, Job] = {}
        self._on_done = on_done
        self._on_failed = on_failed
        self._precedence = Precedence()
        self.pending = 0
        """Requests that are not over."""

    def __repr__(self) -> str:
        """Show who waits."""
        waiting = ", ".join(f"{lane.name.lower()} {q.qsize()}" for lane, q in self._queues.items())
        return f"<Jobs [{waiting}] pending {self.pending}>"

    def hand_over(self, lane: Lane, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Have ``work`` done; return False, with nothing done, where too many wait already."""
        # Questions leave room: what changes something is never turned away because of them.
        if self.pending >= (JOBS_MAX // 2 if lane is Lane.READ else JOBS_MAX):
            return False
        job = Job(lane, name, work, [])
        self.pending += 1
        before = self._last.get(name) if name else None
        if before is not None:
            before.next.append(job)
        else:
            self._queues[lane].put_nowait(job)
        if lane is not Lane.READ:
            self._precedence.hold(job)
            if name:
                self._last[name] = job
        return True

    def start(self, tasks: TaskGroup, precedence: Precedence) -> None:
        """Start the workers; what changes something has ``precedence`` until it has left."""
        self._precedence = precedence
        for lane, queue in self._queues.items():
            for _ in range(WORKERS[lane.name.lower()]):
                tasks.start_soon(self._work, queue)

    async def _work(self, queue: asyncio.Queue[Job]) -> None:
        while True:
            job = await queue.get()
            try:
                with noting_departure(partial(self._precedence.release, job)):
                    await job.work()
            except AssertionError:
                raise  # a fault of this program
            except Exception as error:  # noqa: BLE001 - whatever a venue may say: nobody may die of it
                self._on_failed(job.name, error)
            finally:
                self._over(job)

    def _over(self, job: Job) -> None:
        self.pending -= 1
        self._precedence.release(job)
        if self._last.get(job.name) is job:
            del self._last[job.name]
        for following in job.next:
            self._queues[following.lane].put_nowait(following)
        self._on_done()
