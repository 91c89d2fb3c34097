"""
What every feed does, and what some do not: one table for the suite that proves it and for the docs.

``tests/feed_contract`` has a test for each behaviour and runs it at every feed that is not said
here to be without it; a feed that is not in this table is not proven. ``docs/generate.py`` makes
the page of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Behaviour(Enum):
    """What a feed does, in one sentence."""

    NAMED = "It says its symbols, sorted, its time frame and its input before it starts."
    IN_ORDER = "Bars come in increasing time for each symbol, and each comes once."
    AS_TOLD = "A bar has the source's figures and is stamped at its open, int ms UTC."
    TOGETHER = "The bars of one moment come together, sorted by symbol."
    GAPS = "What the source leaves out is passed, neither waited for nor invented, and counted."
    BAD_BARS = "A bar that cannot be (a high below its low) is not handed on, and is counted."
    AGAIN = "What was before can be read again, and is the same."
    LEFT = "Whoever reads may leave at any bar, and nothing stays open."
    UNKNOWN_SYMBOL = "A symbol that the source does not have is refused by its name."
    UNKNOWN_TIMEFRAME = "A time frame that the source does not have is refused by its name."
    ONLY_CLOSED = "A bar that may still change is not handed on."
    WARM_UP = "The bars before the start are for warming up, and are not news as well."
    GOES_ON = "After a stop exactly the bars that were missed come."
    NEVER_WAITS = "Who takes never waits, and is woken when there is something."
    OWN_TIME = "The source's time is asked for, and is what a bar's end is judged by."
    TROUBLE = "A source in trouble is asked again, later each time, and no bar is lost."
    NOT_THERE = "A source that does not answer at the start is an error, with nothing left open."
    LATE = "A symbol that is late is waited for a little, then comes by itself."
    STREAMED = "A streamed bar comes without a question."
    SILENCE = "A stream that is silent while history goes on is dialled anew."
    CLOSED_HOURS = "An exchange that is closed is left alone until it opens; nights are gaps."
    STOPS = "A stop in the middle of a question leaves nothing open."
    KEPT = "What was seen is kept in the session's folder."


LIVE: Final = frozenset(
    {
        Behaviour.ONLY_CLOSED,
        Behaviour.WARM_UP,
        Behaviour.GOES_ON,
        Behaviour.NEVER_WAITS,
        Behaviour.OWN_TIME,
        Behaviour.TROUBLE,
        Behaviour.NOT_THERE,
        Behaviour.LATE,
        Behaviour.STREAMED,
        Behaviour.SILENCE,
        Behaviour.CLOSED_HOURS,
        Behaviour.STOPS,
        Behaviour.KEPT,
    }
)
"""Of what happens now: nobody expects these of history."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A feed: whether it is live, and why it is without a behaviour that others have."""

    is_live: bool
    lacks: Mapping[Behaviour, str] = field(default_factory=dict)

    def does(self, behaviour: Behaviour) -> bool:
        """Return whether the suite proves ``behaviour`` of it."""
        return behaviour not in self.lacks and (self.is_live or behaviour not in LIVE)


_MADE: Final = "it makes its market itself"
_GIVEN: Final = "its bars were checked when it was made"
_POLLED: Final = "it streams nothing: every bar is asked for"

FEEDS: Final[Mapping[str, Declared]] = {
    "memory": Declared(
        is_live=False,
        lacks={
            Behaviour.GAPS: "it passes gaps and does not count them: it is for tests",
            Behaviour.BAD_BARS: _GIVEN,
            Behaviour.UNKNOWN_SYMBOL: _GIVEN,
            Behaviour.UNKNOWN_TIMEFRAME: _GIVEN,
        },
    ),
    "file (CSV)": Declared(is_live=False),
    "file (Parquet)": Declared(is_live=False),
    "synthetic": Declared(
        is_live=False,
        lacks={
            Behaviour.AS_TOLD: _MADE,
            Behaviour.GAPS: _MADE,
            Behaviour.BAD_BARS: _MADE,
            Behaviour.UNKNOWN_SYMBOL: _MADE,
            Behaviour.UNKNOWN_TIMEFRAME: _MADE,
        },
    ),
    "ccxt": Declared(
        is_live=True,
        lacks={Behaviour.CLOSED_HOURS: "its venues never close"},
    ),
    "alpaca": Declared(is_live=True),
    "yfinance": Declared(
        is_live=True,
        lacks={
            Behaviour.OWN_TIME: "Yahoo does not tell its time: this machine's is taken",
            Behaviour.STREAMED: _POLLED,
            Behaviour.SILENCE: _POLLED,
        },
    ),
}
