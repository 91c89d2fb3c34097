"""A market of the venue's own: a feed that it plays to itself, at a speed, with its funding."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from actors.runtime import Pacer
from brokers.virtual.wire import FundingAtMark, MarketData
from feeds.contract import BarFeed
from messages import FundingRate
from scenarios.exchange.host import Host
from state.money import exact

SOURCE = "venue"
"""Whose market this is, in the log."""

_COLUMNS = ["timestamp", "funding_rate"]


class FundingUnreadable(ValueError):
    """A file of funding rates that cannot be used; the message says where."""


def read_funding(path: Path, symbol: str) -> list[FundingRate]:
    """
    Return the rates of a CSV file (``timestamp`` in ms UTC, ``funding_rate`` a fraction).

    Raises ``FundingUnreadable`` for another header, a row that is no rate, or times out of order.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FundingUnreadable(f"{path}: cannot be read: {error}") from None
    rows = list(csv.reader(lines))
    if not rows or rows[0] != _COLUMNS:
        found = ",".join(rows[0]) if rows else "nothing"
        raise FundingUnreadable(f"{path}: found header {found}, expected {','.join(_COLUMNS)}")
    rates: list[FundingRate] = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            at, rate = int(row[0]), Decimal(row[1])
        except (ValueError, IndexError, InvalidOperation):
            raise FundingUnreadable(f"{path}: line {number}: found {','.join(row)!r}") from None
        if not rate.is_finite() or (rates and at <= rates[-1].timestamp):
            raise FundingUnreadable(f"{path}: line {number}: no rate, or not after the one before")
        rates.append(FundingRate(symbol, at, float(rate)))
    return rates


async def play(
    exchange: Host,
    feed: BarFeed,
    speed: float,
    funding: Sequence[FundingRate] = (),
    now: int | None = None,
) -> None:
    """
    Show the bars of ``feed`` as they close, ``speed`` market seconds in one real second.

    Without ``now`` the first bar closes at once. With it that moment (int ms UTC) is now: what has
    closed by then and is newer than what was ever shown comes at once, the rest as it closes.

    Funding is settled after the bars that close with it or before it, at the last close of its
    symbol; what is due before the first bar of its symbol is left out. What the venue's log has
    already is not shown again; with speed 0 nothing is waited for.
    """
    known = 0 if now is not None else exchange.venue.shown.get(SOURCE, 0)
    pacer = Pacer(speed)
    newest = exchange.venue.now if now is not None else 0
    if now is not None:
        pacer.begin(now)
    waiting = sorted(funding, key=lambda rate: (rate.timestamp, rate.symbol))
    due = 0
    closes: dict[str, float] = {}
    begun: dict[str, int] = {}
    for group in feed.groups():
        closed = group[0].timestamp + feed.timeframe_ms
        if closed <= newest:
            continue
        pieces: list[MarketData] = list(group)
        for bar in group:
            begun.setdefault(bar.symbol, bar.timestamp)
        closes.update((bar.symbol, bar.close) for bar in group)
        while due < len(waiting) and waiting[due].timestamp <= closed:
            rate = waiting[due]
            due += 1
            mark = closes.get(rate.symbol)
            if mark is not None and rate.timestamp >= begun[rate.symbol]:
                paid = FundingAtMark(rate.symbol, rate.timestamp, rate.rate, exact(mark))
                pieces.append(paid)
        new = pieces[known:]
        known = max(0, known - len(pieces))
        if new:
            await pacer.wait_until(closed)
            await exchange.show(SOURCE, new)
