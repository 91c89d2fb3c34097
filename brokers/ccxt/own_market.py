"""A venue that has a market of its own is shown none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from messages import Bar, FundingRate, MinimumOrder, Quote, Tick


class OwnMarket:
    """What a session shows its broker, as a broker takes it whose venue has all of it already."""

    @property
    def working(self) -> Mapping[str, object]:
        """Return nothing: no symbol must be shown."""
        return _NOTHING_TO_SHOW

    def on_bar(self, bar: Bar) -> None:
        """Do nothing: the venue has a market of its own."""

    def on_quote(self, quote: Quote) -> None:
        """Do nothing: the venue has a market of its own."""

    def on_tick(self, tick: Tick) -> None:
        """Do nothing: the venue has a market of its own."""

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> object:
        """Do nothing: what the venue pays is in its account."""
        return []

    def on_time(self, now: int) -> None:
        """Do nothing: the venue has a clock of its own."""

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Do nothing: the venue's own filters hold."""


_NOTHING_TO_SHOW: Mapping[str, object] = {}
