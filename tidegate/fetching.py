"""``tidegate data fetch``: what is asked of which venue, the progress, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import anyio

from actors.runtime.clock import sleep_s
from feeds.history import VenueRefused, VenueTrouble
from feeds.live.fetching import fetch_all
from feeds.settings import DEFAULT_TIMEFRAME
from feeds.store.fetching import Fetched
from feeds.timeframe import parse_timeframe
from feeds.timeline import EPOCH, iso
from tidegate.config import Configuration
from tidegate.data import gaps_document, say_gaps, store_at
from tidegate.exits import Exit, UsageRefused, Wanting
from tidegate.market_sources import source_of, store_of
from tidegate.output import progress_bar, say_document, say_table


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says about a fetch."""

    since: str
    until: str | None
    store: Path
    max_bad_rows: int


def fetch_history(configuration: Configuration, wanted: Wanted, *, as_json: bool) -> int:
    """Fetch, and say what came of it; return the exit code."""
    settings = configuration.settings
    source = source_of(configuration)
    symbols = settings.universe.symbols
    if not symbols:
        raise UsageRefused("data fetch: no symbol; expected --symbol, or universe.symbols")
    timeframe_ms = parse_timeframe(settings.feed.timeframe or DEFAULT_TIMEFRAME)
    span = (
        moment("--since", wanted.since),
        None if wanted.until is None else moment("--until", wanted.until),
    )
    if span[1] is not None and span[1] <= span[0]:
        raise UsageRefused(f"--until {wanted.until}: not later than --since {wanted.since}")
    store = store_at(store_of(settings, wanted.store))
    done: list[Fetched] = []
    with ExitStack() as stack:
        progress = _Progress(stack)

        async def fetching() -> None:
            await fetch_all(
                source,
                store.root,
                symbols,
                timeframe_ms,
                span,
                sleep_s=sleep_s,
                chance=Random(settings.session.seed).random,  # seam: only waits are drawn from it
                max_bad_rows=wanted.max_bad_rows,
                on_retry=_say_retry,
                on_plan=progress.plan,
                on_progress=progress.show,
                on_done=done.append,
            )

        try:
            anyio.run(fetching)
        except (VenueTrouble, VenueRefused) as error:
            kept = f"; {len(done)} of {len(symbols)} symbols are complete" if symbols[1:] else ""
            raise Wanting(
                f"data fetch: {error}{kept}; what came is in {store.root}, and the same command "
                "goes on from there"
            ) from None
    if as_json:
        say_document({"fetched": [_document(one, store.root) for one in done]})
        return Exit.DONE
    _say(done, store.root)
    return Exit.DONE


def moment(option: str, text: str) -> int:
    """Return int ms UTC from a date (its midnight, UTC), zoned ISO-8601 or int ms."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and found.tzinfo is None and len(text) == len("2024-01-01"):
        found = found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None:
        raise UsageRefused(
            f"{option} {text!r}; expected a date, ISO-8601 with a zone, or int ms UTC"
        )
    since = found - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


class _Progress:
    """The bar on the terminal, which begins when it is known how much there is to do."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._show: Callable[[int], None] | None = None

    def plan(self, bars: int) -> None:
        self._show = self._stack.enter_context(progress_bar("fetch", bars))

    def show(self, bars: int) -> None:
        if self._show is not None:
            self._show(bars)


def _say_retry(trouble: VenueTrouble, wait_s: float) -> None:
    sys.stderr.write(f"tidegate: {trouble}; asking again in {wait_s:.1f} s\n")


def _document(one: Fetched, root: Path) -> dict[str, Any]:
    return {
        "venue": one.series.venue,
        "symbol": one.series.symbol,
        "timeframe": one.series.timeframe,
        "folder": str(one.series.folder(root)),
        "since": iso(one.span[0]),
        "until": iso(one.until),
        "pages": one.pages,
        "bars": one.bars,
        "added": one.merged.added,
        "revised": one.revised,
        "bad_rows": one.bad_rows,
        "gaps": gaps_document(one.gaps),
    }


def _say(done: list[Fetched], root: Path) -> None:
    say_table(
        ("series", "complete up to", "added", "revised", "bad", "gaps", "missing"),
        [
            (
                str(one.series),
                iso(one.until),
                f"{one.merged.added:,}",
                f"{one.revised:,}",
                f"{one.bad_rows:,}",
                f"{len(one.gaps):,}",
                f"{sum(gap.missing for gap in one.gaps):,}",
            )
            for one in done
        ],
    )
    for one in done:
        say_gaps(one.gaps)
        print(f"in the store: {one.series.folder(root)}")
