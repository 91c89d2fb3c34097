"""
History of a venue, by its REST interface: pages, patience, and what a page proves.

Theory of operation. A venue is asked for candles from a time on and gives a page of them. A page
proves that a bucket is empty only where a later bar is known, and only if a second answer leaves
it out too: a replica that lags must not leave a hole for ever. A candle is final when its bucket is
over by the venue's own time and either a newer one is there or the next boundary has passed as
well; anything younger is not taken, because venues go on writing it. A time says so of what is told
after it: a candle that was told before it may have been running.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from feeds.errors import FeedError
from feeds.rows import Row

T = TypeVar("T")

ATTEMPTS_MAX: Final = 6
"""Times that one question is asked: with the waits below, about half a minute of trouble."""

NEWEST_BARS: Final = 2
"""Candles asked for to see how far a venue has come."""

WAIT_BASE_S: Final = 0.5
WAIT_MAX_S: Final = 20.0
"""The longest own wait between two attempts; a venue's Retry-After may ask for more."""

RETRY_AFTER_MAX_S: Final = 120.0
"""A venue that asks for longer has banned us: that is said at once instead of waited for."""


class VenueTrouble(FeedError):
    """The venue did not answer, or not usably; asking again may help, ``retry_after_s`` at best."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep what the venue said about when to come again."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VenueRefused(FeedError):
    """The venue will not answer this question, however often it is asked."""


class CandleVenue(Protocol):
    """
    A venue's candles.

    ``candles`` gives rows that open at ``since`` or later, the oldest first and at most ``limit``,
    without those of empty buckets; the newest may still be changing. Without ``since`` it gives
    the newest ones. Raises ``VenueTrouble`` or
    ``VenueRefused``.
    """

    name: str
    page_bars: int

    async def server_time_ms(self) -> int:
        """Return the venue's own time, int ms UTC."""

    async def candles(
        self, symbol: str, timeframe_ms: int, since: int | None, limit: int
    ) -> Sequence[Row]:
        """Return one page."""


class Patience:
    """
    Ask again when a venue is in trouble, later each time.

    The waits are exponential with jitter, drawn from ``chance`` (0 to 1); a Retry-After is waited
    for in full. After ``attempts`` the last ``VenueTrouble`` is raised.
    """

    def __init__(
        self,
        sleep_s: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
        *,
        attempts: int = ATTEMPTS_MAX,
        on_retry: Callable[[VenueTrouble, float], None] = lambda _trouble, _wait_s: None,
    ) -> None:
        """Wait with ``sleep_s``."""
        self._chance = chance
        self._on_retry = on_retry
        self._retrying = AsyncRetrying(
            sleep=sleep_s,
            retry=retry_if_exception_type(VenueTrouble),
            stop=stop_after_attempt(attempts),
            wait=self._wait_s,
            before_sleep=self._say,
            reraise=True,
        )

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to ``question``, asked as often as it takes."""

        async def asked() -> T:
            try:
                return await question()
            except VenueTrouble as trouble:
                if (trouble.retry_after_s or 0) > RETRY_AFTER_MAX_S:
                    raise VenueRefused(
                        f"{trouble}; the venue wants to be left alone for "
                        f"{trouble.retry_after_s:.0f} s"
                    ) from trouble
                raise

        return await self._retrying(asked)

    def jittered_s(self, attempt: int) -> float:
        """Return the wait after failed attempt number ``attempt``, from 1."""
        ceiling: float = min(WAIT_MAX_S, WAIT_BASE_S * 2 ** min(attempt - 1, 20))
        return ceiling * (0.5 + 0.5 * self._chance())

    def _wait_s(self, state: RetryCallState) -> float:
        trouble = _trouble_of(state)
        own_s = self.jittered_s(state.attempt_number)
        return max(own_s, trouble.retry_after_s or 0.0)

    def _say(self, state: RetryCallState) -> None:
        next_s = 0.0 if state.next_action is None else state.next_action.sleep
        self._on_retry(_trouble_of(state), next_s)


def _trouble_of(state: RetryCallState) -> VenueTrouble:
    assert state.outcome is not None, "it has been asked"
    trouble = state.outcome.exception()
    assert isinstance(trouble, VenueTrouble), "nothing else is asked again"
    return trouble


def final_rows(rows: Sequence[Row], timeframe_ms: int, server_now: int) -> list[Row]:
    """Return the rows of a page, in order of time, that will not change any more."""
    newest = max((row[0] for row in rows), default=0)
    return [
        row
        for row in rows
        if is_final(row[0], timeframe_ms, server_now, newer_exists=row[0] < newest)
    ]


def is_final(opened: int, timeframe_ms: int, server_now: int, *, newer_exists: bool) -> bool:
    """Return whether a candle that ``opened`` then is complete by what the venue says."""
    over = server_now >= opened + timeframe_ms
    return over and (newer_exists or server_now >= opened + 2 * timeframe_ms)


@dataclass(frozen=True, slots=True)
class Page:
    """
    What a venue says of the time from ``since`` on.

    ``rows`` are final and in order; the next page begins at ``until``, unless this ``is_last``
    because there is nothing final behind it, as yet. Where it ``proves`` anything, every bucket up
    to ``until`` that no page had is empty at the venue: a later bar was seen.
    """

    rows: tuple[Row, ...]
    until: int
    is_last: bool
    proves: bool = True


class History:
    """Ask one venue for its history, with patience; questions of several askers may overlap."""

    def __init__(self, venue: CandleVenue, patience: Patience) -> None:
        """Ask ``venue``, for the first time when somebody asks us."""
        self.venue = venue
        self.patience = patience
        self._server_now = 0

    async def server_time_ms(self) -> int:
        """Return the venue's own time, int ms UTC."""
        self._server_now = await self.patience.ask(self.venue.server_time_ms)
        return self._server_now

    async def page(self, symbol: str, timeframe_ms: int, since: int, until: int) -> Page:
        """
        Return the next page of what opens from ``since`` on and before ``until``.

        A page that leaves buckets out, or has nothing, is asked for twice.
        """
        limit = self.venue.page_bars
        if not self._server_now:
            await self.server_time_ms()
        rows = await self._rows(symbol, timeframe_ms, since, limit)
        if has_holes([row[0] for row in rows], timeframe_ms, since):
            rows = _together(rows, await self._rows(symbol, timeframe_ms, since, limit))
        if rows and not is_final(rows[-1][0], timeframe_ms, self._server_now, newer_exists=False):
            now = await self.server_time_ms()
            if is_final(rows[-1][0], timeframe_ms, now, newer_exists=False):
                # For all that is known it still ran when it was told: the time came after it, much
                # later perhaps. What is told from here on is.
                rows = _together(rows, await self._rows(symbol, timeframe_ms, since, limit))
        final = final_rows(rows, timeframe_ms, self._server_now)
        if final and final[-1][0] >= until:
            return Page(tuple(row for row in final if row[0] < until), until, is_last=True)
        if final:
            end = final[-1][0] + timeframe_ms
            return Page(tuple(final), end, len(final) < len(rows) or end >= until)
        # Nothing from here on, in one window: venues that answer by the window may have more
        # behind, but a market that has ended is not walked through to the present.
        window_end = since + limit * timeframe_ms
        if rows or window_end >= until or not await self._has_later(symbol, timeframe_ms, since):
            return Page((), since, is_last=True, proves=False)
        return Page((), window_end, is_last=False, proves=False)

    async def _has_later(self, symbol: str, timeframe_ms: int, since: int) -> bool:
        newest = await self.patience.ask(
            lambda: self.venue.candles(symbol, timeframe_ms, None, NEWEST_BARS)
        )
        return any(row[0] >= since for row in newest)

    async def _rows(self, symbol: str, timeframe_ms: int, since: int, limit: int) -> list[Row]:
        page = await self.patience.ask(
            lambda: self.venue.candles(symbol, timeframe_ms, since, limit)
        )
        return sorted(row for row in page if row[0] >= since)


def has_holes(timestamps: Sequence[int], step: int, since: int) -> bool:
    """Return whether buckets are left out, from ``since`` to the newest of ``timestamps``."""
    if not timestamps:
        return True
    if timestamps[0] - since >= step:
        return True
    return timestamps[-1] - timestamps[0] != (len(timestamps) - 1) * step


def _together(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """Return both answers as one; where they differ, the later answer is the newer word."""
    rows = {row[0]: row for row in first} | {row[0]: row for row in second}
    return [rows[timestamp] for timestamp in sorted(rows)]
