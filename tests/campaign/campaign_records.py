"""What a run has left behind, read once: the exchange's log and the session's journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from campaign_run import Played

from messages import OrderRequest, PositionSide, Side
from scenarios.exchange.facts import Fact
from scenarios.exchange.log import read_truth
from state.journal.entry import Entry
from state.journal.reader import read_journal


@dataclass(slots=True)
class Records:
    """A run's records, read once."""

    played: Played
    facts: list[Fact]
    entries: list[Entry]

    @classmethod
    def of(cls, played: Played) -> Records:
        """Read them."""
        entries = list(read_journal(played.folder / "journal.sqlite"))
        return cls(played, read_truth(played.truth), entries)

    def messages(self, kind: type[Any]) -> Iterator[Any]:
        """Yield the journal's messages of a class, in order."""
        return (each.message for each in self.entries if isinstance(each.message, kind))


def opens(request: OrderRequest) -> bool:
    """Return whether an order can add to what is held; a hedged book is left from one side only."""
    if request.position_side is PositionSide.BOTH:
        return not request.reduce_only
    return (request.side is Side.BUY) is (request.position_side is PositionSide.LONG)
