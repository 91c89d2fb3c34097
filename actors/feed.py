"""The Feed: one market-data source, in order. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.runtime import Actor
from actors.runtime.cell import Handler
from feeds.contract import BarFeed, Group
from messages import Message


class FeedActor(Actor):
    """
    One incarnation of a feed over history.

    A later incarnation reads its source again and skips what the earlier ones delivered, so
    no bar is delivered twice or left out.
    """

    def __init__(self, feed: BarFeed) -> None:
        """Read ``feed``."""
        self._feed = feed

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return no handlers: nobody tells a feed anything yet."""
        return {}

    def groups(self, after: int) -> Iterator[Group]:
        """Yield the bars that opened later than ``after`` (-1: all), grouped by timestamp."""
        groups = self._feed.groups()
        if after < 0:
            return iter(groups)
        return (group for group in groups if group[0].timestamp > after)
