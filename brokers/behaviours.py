"""
What every broker does, and what some do not: one table for the suite and for the docs.

``tests/broker_contract`` has a test for each behaviour and runs it at every broker that is not said
here to be without it; a broker that is not in this table is not proven. ``docs/generate.py`` makes
the page of it. What single venues of ccxt can and cannot do is another table: ``brokers.ccxt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Behaviour(Enum):
    """What a broker does, in one sentence."""

    ACCEPTED_FIRST = "An order is accepted before it is filled; a fill has the order's names."
    RESTS = "A resting order is in the account until it is cancelled; its end is told once."
    NO_GHOSTS = "A cancel of an order that is not there, or is over, brings no report."
    ANSWERS = "A question about an order is answered for that order and for that question."
    ACCOUNT = "The account says what is held, signed by side, and its money to the venue's grain."
    REDUCES_ONLY = "What would open although it may only reduce is rejected by the venue's word."
    AT_ONCE = "What cannot fill at once, and may not wait, ends once and without a fill."
    PROBED = "A probe is answered as one, under the broker's own name."
    LISTS_TRADES = "Trades are listed under our names, and again from the same watermark."


@dataclass(frozen=True, slots=True)
class Declared:
    """A broker: where it is proven, and why it is without a behaviour that others have."""

    proven_at: str
    lacks: Mapping[Behaviour, str] = field(default_factory=dict)

    def does(self, behaviour: Behaviour) -> bool:
        """Return whether the suite proves ``behaviour`` of it."""
        return behaviour not in self.lacks

    @property
    def is_refused(self) -> bool:
        """Return whether it does none of it: there is no way there."""
        return set(self.lacks) == set(Behaviour)


BROKERS: Final[Mapping[str, Declared]] = {
    "paper": Declared(
        "the matching engine in the same process",
        {Behaviour.LISTS_TRADES: "nothing is lost on the way from a venue in this process"},
    ),
    "virtual": Declared("the matching engine over HTTP"),
    "ccxt": Declared("the virtual binanceusdm over TLS, through the real ccxt"),
    "alpaca": Declared("a stand-in for Alpaca over TLS, through the real alpaca-py"),
    "ib": Declared(
        "nowhere: a session that names it is refused",
        dict.fromkeys(Behaviour, "there is no way to Interactive Brokers: nothing is sent there"),
    ),
}
