"""What a live feed needs of a venue: how it is opened, what is asked of it, what it streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from feeds.history import CandleVenue
from feeds.rows import Row
from messages import Quote, Tick


class Stream(StrEnum):
    """What is streamed."""

    BARS = "bars"
    QUOTES = "quotes"
    TRADES = "trades"


POLLED: Final[frozenset[Stream]] = frozenset()
"""What a venue without a stream offers: it is asked for every bar."""


@dataclass(frozen=True, slots=True)
class FeedClock:
    """The machine's time, handed in: UTC in ms, and waiting."""

    wall_ms: Callable[[], int]
    sleep_s: Callable[[float], Awaitable[None]]


class LiveVenue(CandleVenue, Protocol):
    """A venue whose newest candles are asked for, again and again."""

    async def load(self, symbols: Sequence[str], timeframe: str) -> None:
        """
        Learn what is listed, before anything else is asked.

        Raises ``FeedSettingError`` for a symbol or a time frame that the venue does not have.
        """

    def back(self, bars: int, timeframe_ms: int, now: int) -> int:
        """Return how early (int ms UTC) to begin for ``bars`` bars before ``now``: or earlier."""

    def quiet_until(self, symbol: str, due: int, now: int) -> int | None:
        """
        Return until when asking for a closed bar that opens at ``due`` or later is of no use.

        None where it may be there already. A venue that never closes says None always.
        """


@dataclass(frozen=True, slots=True)
class Candles:
    """
    What a stream shows of candles.

    The newest of ``rows`` may still change. Those of ``closed`` are whole and change no more: the
    venue has said so itself.
    """

    rows: Sequence[Row]
    closed: Sequence[Row] = ()


@runtime_checkable
class StreamingVenue(LiveVenue, Protocol):
    """
    A venue that also streams.

    Each ``watch`` returns after the next message; raises ``VenueTrouble`` when the line is broken,
    and the next call dials anew, or ``VenueRefused`` where there is no such stream.
    """

    async def watch_candles(self, symbol: str, timeframe_ms: int) -> Candles:
        """Return the newest candles known."""

    async def watch_trades(self, symbol: str) -> list[Tick]:
        """Return the trades that no earlier call has given, the oldest first."""

    async def watch_quote(self, symbol: str) -> Quote | None:
        """Return the newest best bid and ask, or None where the message had not both."""

    def line(self) -> object:
        """Return what identifies the connections that the streams run over at this moment."""

    def hang_up(self, *, candles: bool = False) -> None:
        """End every stream as if dead; with ``candles`` only what shares a line with them."""


@dataclass(frozen=True, slots=True)
class VenueSource:
    """
    A venue by the ``name`` that its series have in a store, and the way to it.

    ``offers`` are the streams that it has; one that offers any opens a ``StreamingVenue``. What
    ``open`` gives is closed at the end of its context; it raises ``FeedSettingError`` for what can
    never be opened, and asks nothing yet.
    """

    name: str
    open: Callable[[], AbstractAsyncContextManager[LiveVenue]]
    offers: frozenset[Stream] = POLLED
