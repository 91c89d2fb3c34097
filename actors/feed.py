"""The Feed: one market-data source, in order. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.runtime import Actor
from actors.runtime.cell import Effects, Handler
from feeds.contract import BarFeed, Group, LiveFeed
from messages import FeedGap, Message


class FeedActor(Actor):
    """
    One incarnation of a feed over history.

    A later incarnation reads its source again and skips what the earlier ones delivered, so
    no bar is delivered twice or left out. Of a live feed it dials the source anew.
    """

    def __init__(self, feed: BarFeed) -> None:
        """Read ``feed``."""
        self._feed = feed

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return no handlers: nobody tells a feed anything yet."""
        return {}

    def on_start(self) -> Effects:
        """Have a live feed dialled anew, if it has been before."""
        if isinstance(self._feed, LiveFeed):
            self._feed.reconnect()
        return None

    def groups(self, after: int) -> Iterator[Group]:
        """Yield the bars that opened later than ``after`` (-1: all), grouped by timestamp."""
        groups = self._feed.groups()
        if after < 0:
            return iter(groups)
        return (group for group in groups if group[0].timestamp > after)


def gaps_of(feed: BarFeed, now: int) -> list[FeedGap]:
    """Return what a feed has found missing, each gap that it lists and one for all others."""
    report = getattr(feed, "report", None)
    if report is None:
        return []
    found: list[FeedGap] = []
    for file in report().files:
        listed = list(file.gap_positions)
        if file.largest_gap is not None and file.largest_gap not in listed:
            listed.append(file.largest_gap)
        found.extend(
            FeedGap("feed", now, file.symbol, gap.after, gap.before, gap.missing) for gap in listed
        )
        more = file.gaps - len(listed)
        if more > 0:
            missing = file.missing - sum(gap.missing for gap in listed)
            first, last = file.first or 0, file.last or 0
            found.append(FeedGap("feed", now, file.symbol, first, last, missing, more))
    return found
