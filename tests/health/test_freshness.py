"""Freshness: when a bar is due, when a symbol is stale, when it is fresh, when to look."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from session_world import BTC, ETH, MINUTE, START, make_bar

from actors.health import Freshness, overdue
from messages import Bar

STALE_AFTER_MS = 90_000


def freshness_of(last: dict[str, Bar], *symbols: str) -> Freshness:
    return Freshness(symbols or (BTC,), MINUTE, STALE_AFTER_MS, last, START)


def test_a_bar_is_due_one_time_frame_after_the_last_close():
    """Until then it is not late; from then on its lateness is counted."""
    last = {BTC: make_bar(BTC, START, 100.0)}  # closes at START + 1 minute
    ages = [overdue((BTC,), last, MINUTE, START, START + at * MINUTE)[BTC] for at in (1, 2, 3)]

    assert [-MINUTE, 0, MINUTE] == ages


def test_a_symbol_is_stale_only_past_the_limit():
    """Exactly at the limit it is not; a millisecond later it is, once."""
    freshness = freshness_of({BTC: make_bar(BTC, START, 100.0)})
    limit = START + 2 * MINUTE + STALE_AFTER_MS

    assert [] == freshness.check(limit)
    assert not freshness.stale
    assert not freshness.stale_market_data(BTC, limit)
    assert freshness.stale_market_data(BTC, limit + 1)

    (found,) = freshness.check(limit + 1)

    assert (BTC, STALE_AFTER_MS + 1) == (found.symbol, found.overdue_ms)
    assert [] == freshness.check(limit + 2)
    assert {BTC: limit + 1} == freshness.stale


def test_a_symbol_without_a_bar_is_unknown_until_its_first_one_is_overdue():
    """A session that starts has no stale symbols."""
    freshness = freshness_of({})
    limit = START + MINUTE + STALE_AFTER_MS

    assert [] == freshness.check(limit)
    assert [BTC] == [found.symbol for found in freshness.check(limit + 1)]


def test_one_stale_symbol_leaves_the_others_alone():
    """Staleness is judged symbol by symbol; only all of them together are a silence."""
    last = {BTC: make_bar(BTC, START, 1.0), ETH: make_bar(ETH, START + 10 * MINUTE, 1.0)}
    freshness = freshness_of(last, BTC, ETH)
    freshness.check(START + 12 * MINUTE)

    assert [BTC] == list(freshness.stale)
    assert not freshness.silent

    freshness.check(START + 15 * MINUTE)

    assert [BTC, ETH] == list(freshness.stale)
    assert freshness.silent


def test_bars_that_are_made_good_after_a_silence_are_as_old_as_they_were_missed():
    """Only one that the next is not overdue after ends it: the others are from before."""
    freshness = freshness_of({BTC: make_bar(BTC, START, 1.0)})
    now = START + 60 * MINUTE
    freshness.check(now)

    old, newest = make_bar(BTC, START + MINUTE, 2.0), make_bar(BTC, START + 59 * MINUTE, 3.0)

    assert [] == freshness.fresh([old], now)
    assert freshness.silent
    assert [(newest, 0)] == freshness.fresh([newest], now)


def test_a_bar_makes_its_own_symbol_fresh_and_says_how_long_it_was_not():
    """The set of stale symbols stays the same object, so whoever looks into it sees the change."""
    last: dict[str, Bar] = {}
    freshness = freshness_of(last, BTC, ETH)
    stale = freshness.stale
    now = START + MINUTE + STALE_AFTER_MS + 1
    freshness.check(now)
    bar = make_bar(BTC, START, 100.0)

    assert [(bar, 5)] == freshness.fresh([bar], now + 5)
    assert [] == freshness.fresh([bar], now + 5)
    assert [ETH] == list(stale)
    assert stale is freshness.stale


def test_a_stale_symbol_of_an_earlier_session_waits_for_its_bar():
    """A hold that outlived its session is lifted by data, like any other."""
    freshness = freshness_of({}, BTC)

    assert freshness.reopen(BTC, START)
    assert not freshness.reopen(ETH, START)
    assert [(make_bar(BTC, START, 1.0), 7)] == freshness.fresh(
        [make_bar(BTC, START, 1.0)], START + 7
    )


def test_while_everything_is_silent_it_is_looked_at_again_after_each_limit():
    """A silence is said again and again, for whoever counts it."""
    freshness = freshness_of({}, BTC)
    now = START + MINUTE + STALE_AFTER_MS + 1
    freshness.check(now)

    assert freshness.silent
    assert now + STALE_AFTER_MS == freshness.next_check(now)


def test_a_silence_right_after_one_that_a_late_bar_ended_has_its_own_moment():
    """The next bar may be overdue sooner than the silence would have been said again."""
    freshness = freshness_of({BTC: make_bar(BTC, START, 1.0)}, BTC)
    silent_at = START + 2 * MINUTE + STALE_AFTER_MS + 1
    freshness.check(silent_at)
    late = make_bar(BTC, START + MINUTE, 2.0)
    freshness.fresh([late], silent_at + 1_000)

    limit = START + 3 * MINUTE + STALE_AFTER_MS
    assert limit + 1 < freshness.next_check(silent_at) + STALE_AFTER_MS
    assert limit + 1 == freshness.next_check(silent_at + 1_000, [late])


ARRIVALS = st.tuples(st.sampled_from((BTC, ETH)), st.integers(1, 20), st.integers(0, 149))


@settings(deadline=None, max_examples=200)
@given(st.lists(ARRIVALS, min_size=1, max_size=30))
def test_the_one_timer_misses_no_moment(arrivals: list[tuple[str, int, int]]):
    """Whatever comes when, and how late, a symbol is found stale in the very millisecond."""
    last: dict[str, Bar] = {}
    freshness = freshness_of(last, BTC, ETH)
    due = dict.fromkeys((BTC, ETH), START + MINUTE)
    timer = freshness.next_check(START)
    now = START
    looks = 0
    for symbol, minutes, late_s in arrivals:
        at = now + minutes * MINUTE
        while timer < at:
            looks += 1
            for found in freshness.check(timer):
                assert due[found.symbol] + STALE_AFTER_MS + 1 == timer
            timer = freshness.next_check(timer)
        closed = max(at - late_s * 1_000, due[symbol] - MINUTE + 1_000)
        bar = make_bar(symbol, closed - MINUTE, 1.0)
        if freshness.fresh([bar], at):
            timer = freshness.next_check(at, [bar])
        last[symbol] = bar
        due[symbol] = closed + MINUTE
        now = at
        for known in (BTC, ETH):
            assert (known in freshness.stale) == (now - due[known] > STALE_AFTER_MS)

    assert looks <= 1 + (now - START) / STALE_AFTER_MS + len(arrivals)
