"""A limit on the orders of a day: it is the venue's day, which begins at midnight UTC."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.capabilities import BINANCE
from brokers.ccxt.columns import OrderLimit, Weights
from brokers.ccxt.lanes import Allowance, Lane
from brokers.ccxt.windows import GRAINS, LATE_S

DAY_S = 86_400.0
HEADER = "X-MBX-ORDER-COUNT-1D"
TEN_A_DAY = Weights(1_000, 60.0, order_limits=(OrderLimit(10, DAY_S, HEADER, from_midnight=True),))
MIDNIGHTS = [
    datetime(2026, 2, 1, tzinfo=UTC),
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2028, 3, 1, tzinfo=UTC),  # after the 29th
    datetime(2026, 3, 29, tzinfo=UTC),  # Europe's clocks go forward
    datetime(2026, 10, 25, tzinfo=UTC),  # and back
    datetime(2027, 1, 1, tzinfo=UTC),
]


class Day:
    """An allowance at a venue, with the time there and that of our own clock."""

    def __init__(self, midnight: datetime, weights: Weights = TEN_A_DAY) -> None:
        """Begin with nothing used; our clock says 5,000 s at ``midnight``."""
        self.allowance = Allowance(weights)
        self.midnight = midnight

    def tell(self, used: int, at_s: float, date: str | None = None) -> None:
        """Have the venue tell its count ``at_s`` from midnight."""
        when = self.midnight + timedelta(seconds=at_s)
        headers = {HEADER.lower(): str(used), "Date": date or format_datetime(when, usegmt=True)}
        self.allowance.orders.told(headers, 5_000 + at_s)

    def goes(self, lane: Lane, at_s: float) -> bool:
        """Return whether an order of ``lane`` goes ``at_s`` from midnight; it does not count."""
        turn = self.allowance.ask(lane, 1, 1)
        granted = self.allowance.grant(5_000 + at_s)
        if granted:
            self.allowance.over(turn, None)
        self.allowance.leave(turn)
        return bool(granted)


@pytest.mark.parametrize("midnight", MIDNIGHTS, ids=lambda each: f"{each:%Y-%m-%d}")
@pytest.mark.parametrize("told_s", [-DAY_S + 120, -600.0, -30.0, 0.0, 20.0])
def test_what_was_counted_yesterday_holds_up_nothing_today(
    midnight: datetime, told_s: float
) -> None:
    """Told hours before midnight, or in an answer that comes just after it."""
    day = Day(midnight)
    day.tell(10, told_s)

    assert not day.goes(Lane.REDUCE, max(told_s, -0.1) + 0.05)
    assert day.goes(Lane.REDUCE, LATE_S + 1)
    assert day.goes(Lane.CREATE, LATE_S + 1)


def test_what_is_counted_today_holds_until_the_next_midnight() -> None:
    """Not for less than a day because another one has just begun."""
    day = Day(MIDNIGHTS[0])
    day.tell(10, -600.0)
    day.tell(10, LATE_S + 5)

    assert not day.goes(Lane.REDUCE, LATE_S + 6)
    assert not day.goes(Lane.REDUCE, DAY_S - 1)
    assert day.goes(Lane.REDUCE, DAY_S + LATE_S + 1)


@pytest.mark.parametrize("date", ["nonsense", " ", "Tue, 99 Foo 2026 99:99:99 GMT"])
def test_without_a_time_of_the_venues_a_day_lasts_a_day(date: str) -> None:
    """Nobody knows when its midnight is: nothing is forgotten too early."""
    day = Day(MIDNIGHTS[0])
    day.tell(10, -600.0, date)

    assert not day.goes(Lane.REDUCE, LATE_S + 1)
    assert not day.goes(Lane.REDUCE, DAY_S - 601)
    assert day.goes(Lane.REDUCE, DAY_S - 599)


def test_our_own_orders_of_yesterday_hold_up_nothing_today_either() -> None:
    """The venue has forgotten them; those of the last minute count on, nobody knows for which."""
    day = Day(MIDNIGHTS[0])
    day.tell(0, -7_200.0)
    for number in range(10):
        turn = day.allowance.ask(Lane.REDUCE, 1, 1)
        day.allowance.grant(5_000 - 3_600 + number)
        day.allowance.over(turn, 5_000 - 3_600 + number)

    assert not day.goes(Lane.REDUCE, LATE_S - 1)
    assert day.goes(Lane.REDUCE, LATE_S + 1)


@given(
    asked=st.lists(
        st.tuples(st.floats(0, 20_000), st.floats(0, 30), st.floats(0, 1), st.booleans()),
        max_size=80,
    ),
    begin_s=st.floats(-DAY_S, 0),
)
def test_no_day_of_the_venues_has_more_orders_than_it_takes(
    asked: list[tuple[float, float, float, bool]], begin_s: float
) -> None:
    """An order arrives anywhere between its leaving and its answer, which says what time it is."""
    day = Day(MIDNIGHTS[0])
    arrivals: Counter[int] = Counter()
    under_way: list[tuple[float, Any]] = []
    now_s = begin_s
    for later_s, takes_s, part, dated in asked:
        now_s += later_s
        for at_s, turn in [each for each in under_way if each[0] <= now_s]:
            day.allowance.over(turn, 5_000 + at_s)
            under_way.remove((at_s, turn))
        if dated:
            day.tell(0, now_s)
        day.allowance.ask(Lane.REDUCE, 1, 1)
        for turn in day.allowance.grant(5_000 + now_s):
            arrivals[int((now_s + takes_s * part) // DAY_S)] += 1
            under_way.append((now_s + takes_s, turn))

    assert max(arrivals.values(), default=0) <= 10


def test_what_is_told_is_remembered_in_steps() -> None:
    """However often somebody else's orders are told of."""
    day = Day(MIDNIGHTS[0])
    for number in range(5_000):
        day.tell(number, 100.0 + number)
    (window,) = day.allowance.orders._windows

    assert len(window._told) <= GRAINS
    assert 4_999 == window.used(5_000 + 5_100.0)


def test_binances_day_of_spot_orders_begins_at_midnight() -> None:
    """As its documents have it; nothing else that we know of counts by days."""
    whole = [each for each in BINANCE.weights.order_limits if each.from_midnight]

    assert [DAY_S] == [each.window_s for each in whole]
