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

    def __init__(self, feed: BarFeed, after: int) -> None:
        """Read ``feed`` and skip bars that opened at or before ``after``."""
        self._feed = feed
        self._after = after

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return no handlers: nobody tells a feed anything yet."""
        return {}

    def groups(self) -> Iterator[Group]:
        """Yield the bars that were not delivered yet, grouped by timestamp."""
        groups = self._feed.groups()
        if self._after < 0:
            return iter(groups)
        after = self._after
        return (group for group in groups if group[0].timestamp > after)
