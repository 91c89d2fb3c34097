"""
The safeguards of the order path, each to be switched off in a process that is about to run.

With one of them off the torture has to find something; see ``test_torture_ablations``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors import session as sessions
from actors.execution.actor import ExecutionActor
from actors.execution.resolver import Resolver
from actors.runtime.clock import sleep_s
from messages import OrderEvent, VenueReport
from state.journal import schema
from state.journal.durable import DurableJournal
from state.lease import SessionLease
from state.orders import OrderStore

SLOW_DISK_S = 1.0
"""What a batch takes where nobody waits for it: so long that orders leave meanwhile."""


def no_sync_wait() -> None:
    """Let an order leave while its record is still on its way to the disk, a slow one."""
    commit, write = DurableJournal.commit, DurableJournal._commit_batch
    under_way: set[asyncio.Task[int]] = set()

    async def slowly(self: DurableJournal) -> None:
        await sleep_s(SLOW_DISK_S)
        await write(self)

    async def at_once(self: DurableJournal) -> int:
        under_way.add(asyncio.ensure_future(commit(self)))
        return self.seq

    DurableJournal.commit = at_once  # type: ignore[method-assign]
    DurableJournal._commit_batch = slowly  # type: ignore[method-assign]


def no_sync() -> None:
    """Let SQLite leave it to the machine when its writes reach the disk."""
    opened = schema.open_live

    def unsynced(path: Any) -> Any:
        connection, last = opened(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection, last

    schema.open_live = unsynced


def no_last_look() -> None:
    """Let whatever was recorded leave, whatever has come meanwhile."""
    ExecutionActor.last_look = lambda *_: ()  # type: ignore[method-assign]


def no_dedupe() -> None:
    """Take every trade for a new one."""
    once = OrderStore.book_once

    def always(self: OrderStore, trade_id: str) -> bool:
        return once(self, trade_id) or True

    OrderStore.book_once = always  # type: ignore[method-assign]


def silence_is_a_refusal() -> None:
    """Take an answer that does not come for a refusal."""

    def rejected(self: Resolver, order: Any, cause: Any, *, sent_at: int) -> list[Any]:
        name = order.request.client_order_id
        told: list[Any] = []
        for event in (OrderEvent.SILENCE, OrderEvent.REJECTED):
            news = VenueReport(name, event, sent_at, None, cause)
            told.extend(self._hands.heard(order, news))
        return told

    Resolver.silence = rejected  # type: ignore[method-assign]


def resend_in_doubt() -> None:
    """Send an order again of which nobody knows whether the venue has it."""
    begin = Resolver._begin

    def again(self: Resolver, kind: Any, order: Any, sent_at: int, **how: Any) -> list[Any]:
        self._broker.submit(order.request, self._clock.now)
        return begin(self, kind, order, sent_at, **how)

    Resolver._begin = again  # type: ignore[method-assign]


def latch_forgotten() -> None:
    """Start without the holds that were in force when the last process ended."""
    sessions.held_at_start = lambda *_: ()


def lease_ignored() -> None:
    """Let a second process write a session that one is running."""

    def take(self: SessionLease, folder: Any) -> None:
        self.folder = folder
        self._descriptor = -1

    SessionLease.__init__ = take  # type: ignore[method-assign]


assert "held_at_start" in vars(sessions), "what is held at the start has another name"

SAFEGUARDS: dict[str, Callable[[], None]] = {
    "sync": no_sync,
    "sync-wait": no_sync_wait,
    "last-look": no_last_look,
    "dedupe": no_dedupe,
    "doubt": silence_is_a_refusal,
    "no-resend": resend_in_doubt,
    "latch": latch_forgotten,
    "lease": lease_ignored,
}
