"""A live feed that is over: what its source was like, for a session that is executed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from feeds.contract import Arrival, Group
from messages import Bar


class RecordedFeed:
    """
    Stand for a live feed; dials nobody, and brings nothing: the journal has what it brought.

    ``before`` is what it knew of the time before one start of its session, in order.
    """

    synthetic = False
    speed = 1.0

    def __init__(
        self, symbols: Sequence[str], timeframe_ms: int, before: Sequence[Bar] = ()
    ) -> None:
        """Be of ``symbols`` and of one time frame."""
        self.symbols = tuple(symbols)
        self.timeframe_ms = timeframe_ms
        self.wake: Callable[[], object] = lambda: None
        self._before = tuple(before)

    def knowing(self, before: Sequence[Bar]) -> RecordedFeed:
        """Return the same feed with another past."""
        return RecordedFeed(self.symbols, self.timeframe_ms, before)

    def groups(self) -> Iterator[Group]:
        """Yield what was before, as it was brought."""
        return iter((self._before,) if self._before else ())

    def fingerprints(self) -> dict[str, str]:
        """Return nothing: no input repeats it."""
        return {}

    def keep_in(self, folder: object) -> None:
        """Keep nothing: it is kept."""

    async def connect(self, after: int | None = None) -> int:
        """Raise ``NotImplementedError``: its session has been, and begins at its own times."""
        raise NotImplementedError("a recorded feed is executed again, not listened to")

    async def run(self) -> None:
        """Listen to nobody."""

    def take(self) -> Arrival | None:
        """Return None."""
        return None

    def reconnect(self) -> None:
        """Dial nobody."""

    async def close(self) -> None:
        """Close nothing."""
