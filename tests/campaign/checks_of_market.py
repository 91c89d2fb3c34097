"""
What must hold of the bars that a session was told, where it has them from the exchange.

Bars are closed, each is told once, in order, and is the exchange's own, whatever the wire did to
it. Only what the exchange itself says wrong may be wrong, and just as it said it: a bar that it
revised, the flat candles of a market that it shows as frozen. One that two of its answers left out
is a gap, and counted as one. Where none comes for too long, nothing opens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec
from campaign_feed import Released
from campaign_records import Records, opens
from campaign_run import STALE_MS, start_of
from machine import BEGAN_S
from plans import SECONDS, Feed
from workload import BTC, SECOND_MS

from actors.health.actor import STALE_HOLD
from messages import Bar, HoldLifted, HoldPlaced, MarketBefore, MarketSeen
from scenarios.exchange.binanceusdm.striking import REVISION
from scenarios.exchange.faults import WireFaultKind
from state.money import exact

K = WireFaultKind

ANSWERS: Final = 2
"""So many have to leave a bar out before it is believed that there was none."""

LEAST: Final = SECONDS // 2
"""So many bars a session is told at least, however late the faults let it begin."""

SILENCE_SLACK_MS: Final = 1_500
"""Between the moment at which data is too old and the hold: Health looks once a second."""


class Market:
    """What was told of the market of a run, and what it was."""

    def __init__(self, records: Records) -> None:
        """Read it out of four records: truth log, journal, feed and strategy."""
        self.heard = records.played.heard
        self.struck = Counter(records.played.struck)
        self.deaths = records.played.deaths
        self.shown: dict[int, tuple[int, Bar]] = {}
        """By when it opened: when it was closed by the machine's time, and the bar."""
        for fact in records.facts:
            if isinstance(fact.shown, Bar):
                self.shown[fact.shown.timestamp] = fact.wall, fact.shown
        seen: list[Bar] = []
        for message in records.messages(MarketSeen):
            seen += [each for each in message.seen if isinstance(each, Bar)]
        self.seen = seen
        self.known = [bar for before in records.messages(MarketBefore) for bar in before.bars]

    @property
    def knows_the_time(self) -> bool:
        """Return whether the exchange tells the time as it is: what is over follows from it."""
        return not self.struck[K.SKEW_CLOCK]

    def is_right(self, bar: Bar) -> bool:
        """Return whether a bar is the exchange's, or what a fault has the exchange say instead."""
        _, true = self.shown.get(bar.timestamp, (0, None))
        if bar == true:
            return True
        if true is not None and self.struck[K.REVISED_BARS] and bar == revised(true):
            return True
        return bool(self.struck[K.FROZEN_BARS]) and bar == flat(bar) and self._was_a_close(bar)

    def _was_a_close(self, bar: Bar) -> bool:
        return any(
            each.close == bar.close for at, (_, each) in self.shown.items() if at <= bar.timestamp
        )


def revised(bar: Bar) -> Bar:
    """Return a bar as the exchange revises it for a while: it closes a tenth higher."""
    close = float(exact(bar.close * REVISION))
    return msgspec.structs.replace(bar, close=close, high=max(bar.high, close))


def flat(bar: Bar) -> Bar:
    """Return a bar in which nothing was traded."""
    at = bar.close
    return msgspec.structs.replace(bar, open=at, high=at, low=at, volume=0.0)


def market(records: Records) -> Iterator[str]:
    """What was told of the market is closed, once, in order, right, and all of it."""
    if records.played.plan.feed is Feed.MEMORY:
        return
    of = Market(records)
    yield from _once_in_order(of)
    if len(of.heard.decided_on) < LEAST:
        yield f"only {len(of.heard.decided_on)} bars were told: the run has shown next to nothing"
    if of.heard.bad:
        yield f"{of.heard.bad} bars were taken for impossible"
    if of.knows_the_time:
        yield from _closed(of)
        for bar in (*of.known, *of.seen):
            if not of.is_right(bar):
                yield f"bar {bar}, and the exchange had {of.shown.get(bar.timestamp)}"
    yield from whole(of, start_of(records.played.plan))


def _once_in_order(of: Market) -> Iterator[str]:
    """
    Yield bars that came again or late.

    A dead process's last one need not be in the journal: then the next process is told of it anew.
    """
    for whose, bars in (("journal", of.seen), ("strategy", of.heard.decided_on)):
        spare = of.deaths if whose == "strategy" else 0
        for before, after in pairwise(bars):
            if after.timestamp == before.timestamp and spare:
                spare -= 1
            elif after.timestamp <= before.timestamp:
                yield f"by the {whose} bar {after.timestamp} came after {before.timestamp}"
    unheard = {bar.timestamp for bar in of.seen} - {bar.timestamp for bar in of.heard.decided_on}
    if unheard:
        yield f"bars {sorted(unheard)} are in the journal, and the strategy did not hear them"


def _closed(of: Market) -> Iterator[str]:
    for each in of.heard.released:
        closed_ms, bar = of.shown.get(each.bar.timestamp, (None, None))
        if closed_ms is None or each.at_ms < closed_ms:
            yield f"bar {each.bar.timestamp} was told at {each.at_ms}, closed at {closed_ms}: {bar}"


def whole(of: Market, start: int) -> Iterator[str]:
    """Yield the bars that were left out, and are no gap that the feed has counted."""
    told = {bar.timestamp for bar in (*of.known, *of.seen, *of.heard.decided_on)}
    counted = {
        at for gap in of.heard.gaps for at in range(gap.after + SECOND_MS, gap.before, SECOND_MS)
    }
    first = _first(of, start)
    for at in range(first, start + SECONDS * SECOND_MS, SECOND_MS):
        if at not in told and (at not in counted or of.struck[K.MISSING_BARS] < ANSWERS):
            yield f"bar {at} was left out{', a gap to the feed' if at in counted else ''}"


def _first(of: Market, start: int) -> int:
    """
    Return from when on every bar has to come.

    That is when the process was connected that saw the first one: what no process of a session has
    seen anything before is not made good.
    """
    first = min((bar.timestamp for bar in of.seen), default=start)
    if not of.knows_the_time:
        return first
    process = max(
        (each.process for each in of.heard.released if each.bar.timestamp == first), default=1
    )
    return max(start, of.heard.began_ms[process - 1] // SECOND_MS * SECOND_MS)


def silence(records: Records) -> Iterator[str]:
    """Where no bar comes for too long it is said, and nothing opens until one does."""
    plan = records.played.plan
    if plan.feed is Feed.MEMORY or not plan.health or not Market(records).knows_the_time:
        return
    held = _held(records)
    for from_ms, due_ms, after in _waits(records):
        too_old_ms = due_ms + STALE_MS
        by_ms = max(too_old_ms, from_ms) + SILENCE_SLACK_MS
        if after.at_ms <= by_ms:
            continue
        if not any(placed_ms <= by_ms < lifted_ms for placed_ms, lifted_ms in held):
            yield f"no bar from {from_ms} to {after.at_ms}, and nobody noticed"
        yield from _opened_meanwhile(records, by_ms, after)


def _waits(records: Records) -> Iterator[tuple[int, int, Released]]:
    """Yield of each bar since when it was waited for, when it was due, and the bar as it came."""
    heard = records.played.heard
    before: Released | None = None
    for after in heard.released:
        if before is None or before.process != after.process:
            began_ms = heard.began_ms[after.process - 1]
            yield began_ms, began_ms + SECOND_MS, after
        else:
            yield before.at_ms, before.bar.timestamp + 2 * SECOND_MS, after
        before = after


def _held(records: Records) -> list[tuple[float, float]]:
    """Return from when to when the market counted as stale, in the session's time."""
    spans: list[tuple[float, float]] = []
    since: int | None = None
    for entry in records.entries:
        message = entry.message
        if not isinstance(message, HoldPlaced | HoldLifted):
            continue
        if message.hold.hold_id != STALE_HOLD + BTC:
            continue
        if isinstance(message, HoldPlaced):
            since = entry.ts if since is None else since
        elif since is not None:
            spans.append((since, entry.ts))
            since = None
    return spans if since is None else [*spans, (since, float("inf"))]


def _opened_meanwhile(records: Records, from_ms: float, after: Released) -> Iterator[str]:
    record = records.played.record
    for left in record.left:
        at_ms = (BEGAN_S + left.at_s) * 1000
        is_late = left.what == "create" and from_ms < at_ms < after.at_ms
        if is_late and opens(record.handed[left.name]):
            yield f"order {left.name} opens, and left at {at_ms:.0f} on data too old"
