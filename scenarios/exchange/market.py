"""A market of the venue's own: a feed that it plays to itself, at a speed."""

from __future__ import annotations

from actors.runtime import Pacer
from feeds.contract import BarFeed
from scenarios.exchange.server import Exchange

SOURCE = "venue"
"""Whose market this is, in the log."""


async def play(exchange: Exchange, feed: BarFeed, speed: float) -> None:
    """
    Show the bars of ``feed`` as they close, ``speed`` market seconds in one real second.

    Bars that the venue's log has already are left out; with speed 0 nothing is waited for.
    """
    known = exchange.venue.shown.get(SOURCE, 0)
    pacer = Pacer(speed)
    for group in feed.groups():
        new = group[known:]
        known = max(0, known - len(group))
        if new:
            await pacer.wait_until(group[0].timestamp + feed.timeframe_ms)
            await exchange.show(SOURCE, new)
