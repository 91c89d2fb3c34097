"""What has been before a live feed's news: out of a store where there is one, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from feeds.history import History
from feeds.quarantine import Quarantine
from feeds.rows import Gate, Row
from feeds.store.fetching import Rebased, fetch
from feeds.store.layout import Series
from feeds.store.spans import Span
from feeds.store.store import BarStore, StoreBusy
from messages import Bar

BAD_BARS_MAX: Final = 1_000
"""Bars that cannot be, of one symbol, which are left out; a venue with more of them is none."""


@dataclass(frozen=True, slots=True)
class Before:
    """The good bars of a span, in increasing time, and how many others there were."""

    bars: list[Bar]
    bad: int


async def before(history: History, cache: BarStore | None, series: Series, span: Span) -> Before:
    """
    Return the closed bars of ``series`` that open within ``span``.

    With a ``cache`` only what it lacks is asked for, and kept there; one that somebody else writes
    at this moment, or whose prices the venue has divided since, is gone round. Raises what
    ``History`` raises, and ``BadInput`` past ``BAD_BARS_MAX``.
    """
    if cache is not None:
        try:
            fetched = await fetch(history, cache, series, span, max_bad_rows=BAD_BARS_MAX)
            return Before(list(cache.bars(series, span)), fetched.bad_rows)
        except (StoreBusy, Rebased) as error:
            structlog.get_logger("feed").warning("cache_not_used", error=str(error))
    return await _asked(history, series, span)


async def _asked(history: History, series: Series, span: Span) -> Before:
    rows: dict[int, Row] = {}
    since, until = span
    while since < until:
        page = await history.page(series.symbol, series.timeframe_ms, since, until)
        rows |= {row[0]: row for row in page.rows}
        if page.is_last:
            break
        since = page.until
    quarantine = Quarantine(BAD_BARS_MAX)
    gate = Gate(str(series), series.symbol, series.timeframe_ms, quarantine)
    good = gate.admit_each(
        (place, rows[at], str(rows[at])) for place, at in enumerate(sorted(rows), 1)
    )
    return Before(good, quarantine.count)
