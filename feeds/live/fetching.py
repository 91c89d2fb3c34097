"""``tidegate data fetch``: a venue opened, its history brought into the store, the venue closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from pathlib import Path

from feeds.history import History, Patience, VenueTrouble
from feeds.live.venue import VenueSource
from feeds.store.fetching import Fetched, fetch
from feeds.store.layout import Series
from feeds.store.store import BarStore
from feeds.timeframe import format_timeframe


async def fetch_all(
    source: VenueSource,
    root: Path,
    symbols: Sequence[str],
    timeframe_ms: int,
    span: tuple[int, int | None],
    *,
    sleep_s: Callable[[float], Awaitable[None]],
    chance: Callable[[], float],
    max_bad_rows: int = 0,
    on_retry: Callable[[VenueTrouble, float], None] = lambda _trouble, _wait_s: None,
    on_plan: Callable[[int], None] = lambda _bars: None,
    on_progress: Callable[[int], None] = lambda _bars: None,
    on_done: Callable[[Fetched], None] = lambda _fetched: None,
) -> list[Fetched]:
    """
    Fetch every symbol's bars of ``span``, up to the venue's present where that is open.

    One symbol after the other: a venue's limits are for all of them together. ``on_plan`` hears how
    many bars are lacking at most, ``on_progress`` how many have come, and ``on_done`` of each
    symbol that is finished, so that what came before a failure is not lost on the asker.
    """
    store = BarStore(root)
    patience = Patience(sleep_s, chance, on_retry=on_retry)
    fetched: list[Fetched] = []
    async with source.open() as venue:
        await patience.ask(lambda: venue.load(symbols, format_timeframe(timeframe_ms)))
        history = History(venue, patience)
        now = await history.server_time_ms()
        start, end = span
        until = now if end is None else min(end, now)
        wanted = (start, max(start, until))
        every = [Series(source.name, symbol, timeframe_ms) for symbol in symbols]
        lacking = chain.from_iterable(store.needed(series, wanted) for series in every)
        on_plan(sum(end - start for start, end in lacking) // timeframe_ms)
        come = 0
        for series in every:
            one = await fetch(
                history,
                store,
                series,
                wanted,
                max_bad_rows=max_bad_rows,
                on_progress=lambda bars, before=come: on_progress(before + bars),  # type: ignore[misc]
            )
            come += one.bars
            fetched.append(one)
            on_done(one)
    return fetched
