"""A strategy's own patience after refusals: grows, ends, and never stands in a stop's way."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import Cause, OrderFamily, ReasonCode
from strategies.backoff import NOT_COUNTED, StrategyRejectionBackoff

BTC, ETH = "BTC/USDT", "ETH/USDT"
OPEN, PROTECT = OrderFamily.ENTRY, OrderFamily.STOP
FUNDS = (Cause(ReasonCode.VENUE_INSUFFICIENT_FUNDS),)


def refused(backoff: StrategyRejectionBackoff, times: int, at: int = 0) -> list[int]:
    """Refuse so often at one time; return until when it rests after each."""
    found = []
    for _ in range(times):
        backoff.record_rejection(BTC, OPEN, at, FUNDS)
        found.append(backoff.until(BTC, OPEN))
    return found


def test_pauses_grow_by_the_factor_up_to_the_longest() -> None:
    """30 s, 60 s, 120 s, and never more than the maximum."""
    backoff = StrategyRejectionBackoff(base_s=30, factor=2, max_s=100)

    assert [1_030, 1_060, 1_100, 1_100] == [1_000 + u // 1000 for u in refused(backoff, 4)]


def test_the_first_refusals_may_cost_nothing() -> None:
    """A strategy says how many in a row it takes for bad luck."""
    backoff = StrategyRejectionBackoff(base_s=30, tolerated=2)

    assert [0, 0, 30_000, 60_000] == refused(backoff, 4)


def test_it_rests_until_its_time_and_not_at_it() -> None:
    """At the end of the pause another try is welcome."""
    backoff = StrategyRejectionBackoff(base_s=30)
    refused(backoff, 1, at=5_000)

    assert backoff.rests(BTC, OPEN, 34_999)
    assert not backoff.rests(BTC, OPEN, 35_000)


def test_it_is_clear_until_something_is_refused_and_when_that_is_forgiven() -> None:
    """Which is all that a fill has to ask."""
    backoff = StrategyRejectionBackoff(tolerated=1)
    before = backoff.is_clear
    refused(backoff, 1)
    during = backoff.is_clear
    backoff.record_success(BTC, OPEN)

    assert (True, False, True) == (before, during, backoff.is_clear)


def test_symbols_and_families_are_apart() -> None:
    """Refused entries of one symbol keep back nothing else."""
    backoff = StrategyRejectionBackoff()
    refused(backoff, 3)

    assert not backoff.rests(ETH, OPEN, 1)
    assert not backoff.rests(BTC, PROTECT, 1)


def test_a_success_ends_the_row() -> None:
    """The next refusal is the first one again."""
    backoff = StrategyRejectionBackoff(base_s=30)
    refused(backoff, 3)

    assert backoff.record_success(BTC, OPEN)
    assert not backoff.record_success(BTC, OPEN)
    assert [30_000] == refused(backoff, 1)


@pytest.mark.parametrize("code", sorted(NOT_COUNTED))
def test_a_refusal_that_is_somebodys_pause_already_does_not_count(code: ReasonCode) -> None:
    """A hold would otherwise outlive itself by an hour."""
    backoff = StrategyRejectionBackoff()

    assert not backoff.record_rejection(BTC, OPEN, 0, (Cause(code),))
    assert 0 == backoff.failures(BTC, OPEN)


def test_one_cause_that_counts_is_enough() -> None:
    """An order that is held and too large as well is refused for its size, too."""
    backoff = StrategyRejectionBackoff()

    assert backoff.record_rejection(BTC, OPEN, 0, (Cause(ReasonCode.HELD), *FUNDS))
    assert 1 == backoff.failures(BTC, OPEN)


def test_a_refusal_without_a_cause_counts() -> None:
    """A venue that gives no reason has refused all the same."""
    assert StrategyRejectionBackoff().record_rejection(BTC, OPEN, 0)


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"base_s": 0}, "base_s is 0"),
        ({"base_s": -1}, "base_s is -1"),
        ({"base_s": float("nan")}, "base_s is nan"),
        ({"factor": 0.5}, "factor is 0.5"),
        ({"base_s": 60, "max_s": 30}, "max_s is 30, expected at least 60"),
        ({"tolerated": -1}, "tolerated is -1"),
    ],
)
def test_figures_that_never_rest_or_end_are_refused(figures: dict[str, float], named: str) -> None:
    """The error says which, what it is, and the least that it may be."""
    with pytest.raises(ValueError, match=named):
        StrategyRejectionBackoff(**figures)  # type: ignore[arg-type]


@given(
    base=st.floats(0.001, 1e4),
    factor=st.floats(1, 1e3),
    more=st.floats(0, 1e6),
    row=st.integers(1, 3_000),
)
def test_pauses_never_shrink_nor_leave_their_bounds(
    base: float, factor: float, more: float, row: int
) -> None:
    """However long the row: no overflow, no pause below the base or above the longest."""
    backoff = StrategyRejectionBackoff(base_s=base, factor=factor, max_s=base + more)
    pauses = [backoff.pause_s(n) for n in (*range(1, 30), row)]

    assert all(base <= pause <= base + more for pause in pauses)
    assert all(first <= then for first, then in pairwise(pauses[:29]))


@given(
    st.lists(
        st.tuples(
            st.sampled_from((BTC, ETH)),
            st.sampled_from(OrderFamily),
            st.integers(0, 2**41),
            st.booleans(),
        )
    )
)
def test_what_is_exported_is_taken_back_whole(
    story: list[tuple[str, OrderFamily, int, bool]],
) -> None:
    """A restart of the process shortens no pause and forgets no row."""
    backoff = StrategyRejectionBackoff()
    for symbol, family, at, good in story:
        if good:
            backoff.record_success(symbol, family)
        else:
            backoff.record_rejection(symbol, family, at, FUNDS)
    again = StrategyRejectionBackoff()
    again.record_rejection("OLD/USDT", OPEN, 0)
    again.import_state(json.loads(json.dumps(backoff.export_state())))

    assert again.export_state() == backoff.export_state()
    assert again.known() == backoff.known()
