"""One asker per venue: equal questions are asked once, an answer lasts as long as its bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from feeds.errors import FeedError
from feeds.history import History, Page

Question = tuple[str, int, int, int]
"""Symbol, time frame, since, until."""

ANSWERS_MAX: Final = 256
"""Answers kept; more are let go, the oldest first: they are pages of at most a thousand bars."""


@dataclass(slots=True)
class _Flight:
    over: asyncio.Event = field(default_factory=asyncio.Event)
    page: Page | None = None
    error: FeedError | None = None


class Coordinator:
    """
    Ask ``history`` on behalf of everybody who wants data of one venue.

    A session has one feed, whatever the number of its strategies, and so one of these.

    Who asks what is being asked waits for that answer, or shares its failure. An answer that has
    the newest closed bar is given again until the next one closes; one that does not have it yet
    is not kept. Whoever is cancelled while he asks leaves the question to the next who waits.
    """

    def __init__(self, history: History, now_ms: Callable[[], int]) -> None:
        """Judge by ``now_ms``, the venue's time, which bucket it is."""
        self.history = history
        self.asked = 0
        """Pages that the venue was asked for."""
        self.shared = 0
        """Questions that were answered without asking the venue."""
        self._now_ms = now_ms
        self._flights: dict[Question, _Flight] = {}
        self._answers: dict[Question, tuple[int, Page]] = {}

    async def page(self, symbol: str, timeframe_ms: int, since: int, until: int) -> Page:
        """Return what ``History.page`` would."""
        question = (symbol, timeframe_ms, since, until)
        while True:
            bucket = self._now_ms() // timeframe_ms
            kept = self._answers.get(question)
            if kept is not None and kept[0] == bucket:
                self.shared += 1
                return kept[1]
            flight = self._flights.get(question)
            if flight is None:
                return await self._ask(question, bucket)
            await flight.over.wait()
            if flight.error is not None:
                self.shared += 1
                raise flight.error
            if flight.page is not None:
                self.shared += 1
                return flight.page

    async def _ask(self, question: Question, bucket: int) -> Page:
        flight = self._flights[question] = _Flight()
        self.asked += 1
        try:
            page = await self.history.page(*question)
        except FeedError as error:
            flight.error = error
            raise
        finally:
            del self._flights[question]
            flight.over.set()
        flight.page = page
        if page.until >= min(question[3], bucket * question[1]):
            self._answers.pop(question, None)
            self._answers[question] = (bucket, page)
            while len(self._answers) > ANSWERS_MAX:
                del self._answers[next(iter(self._answers))]
        return page
