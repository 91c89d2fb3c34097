"""
The last look at an order, in the step in which its request leaves.

Between the hand-over of an order and its first byte there may be minutes: a venue wants to be left
alone, a stream is down, a connection is being made. So whether it may still leave is asked when it
has its connection, after all that waiting, and before anything is written.

That it has left is noted too: from then on others need not step aside for it. And an answer that
is only about the account steps aside itself, before it is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp

from messages import Cause, ReasonCode

if TYPE_CHECKING:
    from aiohttp.connector import Connection

Look = Callable[[], Cause | None]

_look: ContextVar[Look | None] = ContextVar("look", default=None)
_departed: ContextVar[Callable[[], object] | None] = ContextVar("departed", default=None)
_aside: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("aside", default=None)


class Withheld(Exception):
    """An order that must not leave any more: nothing of it has."""

    def __init__(self, cause: Cause) -> None:
        """Say why."""
        super().__init__(cause.detail)
        self.cause = cause


def still_waiting(look: Look, is_unwanted: Callable[[], bool]) -> None:
    """
    Return if an order that waits may leave when it has waited; raises ``Withheld``.

    What keeps it now may be otherwise by then, but for the end of its time; once its cancel waits
    for that, nothing else has to.
    """
    cause = look()
    if cause is not None and (cause.code is ReasonCode.INTENT_EXPIRED or is_unwanted()):
        raise Withheld(cause)


@contextmanager
def leaving(look: Look) -> Iterator[None]:
    """Have ``look`` asked before each request of this task leaves; raises ``Withheld`` there."""
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)


@contextmanager
def noting_departure(departed: Callable[[], object]) -> Iterator[None]:
    """Have ``departed`` called when a request of this task is being written; more than once."""
    token = _departed.set(departed)
    try:
        yield
    finally:
        _departed.reset(token)


@contextmanager
def stepping_aside(aside: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Have ``aside`` awaited between the arrival of an answer to this task and its reading."""
    token = _aside.set(aside)
    try:
        yield
    finally:
        _aside.reset(token)


def watched(trace: aiohttp.TraceConfig) -> aiohttp.TraceConfig:
    """Return ``trace`` with what the two need of a session."""
    trace.on_request_headers_sent.append(_has_departed)
    trace.on_response_chunk_received.append(_step_aside)
    return trace


async def _has_departed(_session: Any, _context: Any, _params: Any) -> None:
    departed = _departed.get()
    if departed is not None:
        departed()


async def _step_aside(_session: Any, _context: Any, _params: Any) -> None:
    aside = _aside.get()
    if aside is not None:
        await aside()


class LookingConnector(aiohttp.TCPConnector):
    """Looks when a request has got its connection: what follows is the writing of it."""

    async def connect(self, *args: Any, **named: Any) -> Connection:
        """Return a connection for a request that may leave; raises ``Withheld``."""
        connection = await super().connect(*args, **named)
        look = _look.get()
        cause = None if look is None else look()
        if cause is not None:
            connection.release()
            raise Withheld(cause)
        return connection
