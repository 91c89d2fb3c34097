"""
Each rule switched off changes an outcome that the rule is there for.

Were a rule to be lost in a rewrite, the sentences about it elsewhere would fail; here it is
shown that they would, by taking the rule out and looking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brokers.matching import matcher, triggers
from brokers.matching.account import Account, Position
from brokers.matching.matcher import Matcher
from brokers.matching.orders import Level
from messages import OrderType

if TYPE_CHECKING:
    from decimal import Decimal

    from tests.brokers.conftest import Venue

LIMIT = OrderType.LIMIT
STOP = OrderType.STOP


def test_without_strictness_a_touched_limit_would_fill(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule low < price is strict, and it is the comparison of levels that makes it so."""
    compare = Level.compare
    monkeypatch.setattr(Level, "compare", lambda level, seen: compare(level, seen) or -1)
    venue.buy("1", LIMIT, price="100")

    assert ["1 filled 1 @ 100"] == venue.bar(101.0, 102.0, 100.0, 101.0)


def test_without_turns_the_limit_would_be_taken_before_the_stop(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time alone the older limit would fill in a bar that reached the stop too."""
    monkeypatch.setattr(matcher, "turn", lambda order, _bar: order.number)
    venue.hold("1")
    venue.sell("1", LIMIT, price="110", reduce_only=True)
    venue.sell("1", STOP, stop="90", reduce_only=True)

    assert ["2 filled 1 @ 110", "3 cancelled venue_reduce_only"] == venue.bar(
        100.0, 111.0, 89.0, 100.0
    )


def test_without_arrival_an_order_would_meet_the_bar_that_caused_it(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin bar of another symbol closes with the decision: filling there is foresight."""
    monkeypatch.setattr(Matcher, "_has_arrived", lambda *_: True)
    venue.buy("1")
    venue.now -= 60_000

    assert ["1 filled 1 @ 100"] == venue.flat_bar(100.0)


def test_without_the_look_at_funds_spot_would_go_short(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else at the venue keeps a sale within what is held."""
    monkeypatch.setattr(Account, "shortfall", lambda *_: None)
    venue.sell("1")

    assert ["1 filled 1 @ 100"] == venue.flat_bar(100.0)
    assert venue.position() < 0


def test_without_the_clip_a_reducing_order_would_flip(
    perpetual: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at the position at execution is what keeps it from turning round."""
    perpetual.hold("1")
    perpetual.sell("2", reduce_only=True)

    def unlimited(position: Position, *, is_buy: bool) -> Decimal:
        return position.quantity * 1_000

    monkeypatch.setattr(Position, "closable", unlimited)
    perpetual.flat_bar(100.0)

    assert perpetual.position() < 0


def test_without_the_known_end_of_a_bar_a_stop_limit_would_use_its_past(
    perpetual: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Treated as if woken at the open, it would fill at a low that came before its stop."""
    arrive = triggers._arrive
    monkeypatch.setattr(
        triggers,
        "_arrive",
        lambda order, price, bar, at_open: arrive(order, price, bar, at_open=True),
    )
    perpetual.buy("1", OrderType.STOP_LIMIT, stop="105", price="104")

    assert ["1 filled 1 @ 104"] == perpetual.bar(100.0, 106.0, 99.0, 104.0)
