"""The account's watch: exact peaks, starts and streaks, whatever the order of news."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_bench import BUY, NOW, OTHER, PERP, SELL, SPOT, Bench, codes

from actors.risk import AccountState, AccountWatch, RiskLimits, RiskMemory
from messages import OrderEvent, ReasonCode

R = ReasonCode
DAY = 86_400_000
MIDNIGHT = NOW  # 2024-01-01T00:00:00Z
D = Decimal

ALL = RiskLimits(
    max_drawdown_pct=D(10),
    max_daily_loss=D(50),
    max_session_loss=D(80),
    max_consecutive_losses=3,
    max_margin_use_pct=D(50),
    max_funding_cost=D(5),
)


def worth(equity: str | int, margin: str | int = 0, funding: str | int = 0) -> AccountState:
    return AccountState(D(equity), D(margin), D(funding))


def guards(found: list) -> list[str]:  # type: ignore[type-arg]
    return [breach.guard for breach in found]


# -- once, until it clears


def test_a_breach_is_reported_once_until_it_clears() -> None:
    """No storm while it lasts; when it is over and comes again, it is said again."""
    watch = AccountWatch(RiskLimits(max_drawdown_pct=D(10)), D(100), NOW)

    assert [] == watch.observe(NOW + 1, worth(90))
    assert ["max_drawdown_pct"] == guards(watch.observe(NOW + 2, worth("89.99")))
    assert [] == watch.observe(NOW + 3, worth(80))
    assert [] == watch.observe(NOW + 4, worth(90))  # cleared
    assert ["max_drawdown_pct"] == guards(watch.observe(NOW + 5, worth(89)))


def test_all_limits_that_a_moment_passes_are_reported_together() -> None:
    """One fall can pass several limits: none hides another."""
    watch = AccountWatch(ALL, D(500), NOW)
    found = watch.observe(NOW + 1, worth(400, margin=201, funding=6))

    assert [
        "max_drawdown_pct",
        "max_daily_loss",
        "max_session_loss",
        "max_margin_use_pct",
        "max_funding_cost",
    ] == guards(found)
    assert "drawdown_pct=20 limit=10 peak=500 equity=400" == found[0].cause.detail
    assert "loss=100 limit=50 start=500 equity=400" == found[1].cause.detail


def test_equity_gone_below_zero_is_a_breach_and_no_crash() -> None:
    """A leveraged account can owe more than it has: every figure still has a meaning."""
    watch = AccountWatch(ALL, D(100), NOW)
    found = watch.observe(NOW + 1, worth(-20, margin=10))

    assert {"max_drawdown_pct", "max_margin_use_pct"} <= set(guards(found))
    assert watch.cause("max_margin_use_pct", NOW + 1) is not None
    watch.observe(NOW + 2, worth(0, margin=10))
    assert "limit=50 margin=10 equity=0" == str(watch.margin_use())[len("margin_use(") : -1]


def test_a_value_that_comes_late_is_not_the_newest() -> None:
    """What waited in a mailbox while Risk was down takes the account back to no older state."""
    watch = AccountWatch(RiskLimits(max_drawdown_pct=D(10)), D(100), NOW)
    watch.observe(NOW + 2, worth(99))

    assert [] == watch.observe(NOW + 1, worth(120))
    assert (D(99), D(120)) == (watch.state.equity, watch.peak)
    assert ["max_drawdown_pct"] == guards(watch.observe(NOW + 2, worth(99)))


# -- the day


@pytest.mark.parametrize(
    ("observed", "expected_start"),
    [
        ([(DAY, 120)], 120),  # a close at midnight is the day's start
        ([(DAY - 60_000, 110), (DAY + 60_000, 120)], 110),  # the last value before it
        ([(DAY + 60_000, 120)], 100),  # nothing was seen: the session's first value
        ([(3 * DAY + 1, 120)], 100),  # days without a value pass
    ],
)
def test_a_day_begins_with_the_equity_at_its_midnight(
    observed: list[tuple[int, int]], expected_start: int
) -> None:
    """Exactly: neither the first value after it, nor the one before a close at midnight."""
    watch = AccountWatch(RiskLimits(max_daily_loss=D(5)), D(100), MIDNIGHT)
    for after, equity in observed:
        watch.observe(MIDNIGHT + after, worth(equity))

    assert D(expected_start) == watch.day_start


def test_a_close_at_midnight_counts_for_the_day_that_it_ends() -> None:
    """With daily bars every close is at midnight: a bad day is found, and only its own."""
    watch = AccountWatch(RiskLimits(max_daily_loss=D(50)), D(1000), MIDNIGHT)

    assert [] == watch.observe(MIDNIGHT + DAY, worth(950))
    assert ["max_daily_loss"] == guards(watch.observe(MIDNIGHT + 2 * DAY, worth(899)))
    assert watch.cause("max_daily_loss", MIDNIGHT + 2 * DAY) is None
    assert [] == watch.observe(MIDNIGHT + 3 * DAY, worth(849))
    assert ["max_daily_loss"] == guards(watch.observe(MIDNIGHT + 4 * DAY, worth(700)))


def test_a_fill_at_midnight_belongs_to_the_day_that_it_begins() -> None:
    """Its fee is a loss of the new day, although nothing was valued in between."""
    watch = AccountWatch(RiskLimits(max_daily_loss=D(5)), D(100), MIDNIGHT)
    found = watch.observe(MIDNIGHT + DAY, worth(94), before=True)

    assert ["max_daily_loss"] == guards(found)
    assert D(100) == watch.day_start


def test_a_flat_account_begins_its_day_before_a_fill_at_midnight() -> None:
    """Risk itself sees to it: the fee of that fill is lost in the new day."""
    bench = Bench(1000, limits=RiskLimits(max_daily_loss=D(50)), fee_bps=100)
    bench.advance(DAY)
    bench.fill(bench.open(BUY, 1))

    assert bench.memory.watch is not None
    assert (D(1000), D(999)) == (bench.memory.watch.day_start, bench.memory.watch.state.equity)


def test_a_daily_loss_is_over_at_midnight_without_any_news() -> None:
    """The guard asks with the clock: a flat account hears of no close, and may trade again."""
    bench = Bench(1000, limits=RiskLimits(max_daily_loss=D(50)), initial_margin=D("0.1"))
    bench.fill(bench.open(BUY, 10, symbol=PERP))
    bench.mark(PERP, 94.9)
    bench.fill(bench.reduce(SELL, 10, symbol=PERP), price="94.9")

    assert [R.MAX_DAILY_LOSS] == codes(bench.open(BUY))
    bench.advance(DAY - 1)
    assert [R.MAX_DAILY_LOSS] == codes(bench.open(BUY))
    bench.advance(1)
    assert [] == codes(bench.open(BUY))


def test_every_day_reports_its_own_loss() -> None:
    """A loss beyond the limit on two days in a row is two breaches, seen or not in between."""
    watch = AccountWatch(RiskLimits(max_daily_loss=D(50)), D(1000), MIDNIGHT)

    assert ["max_daily_loss"] == guards(watch.observe(MIDNIGHT + 1, worth(900)))
    assert ["max_daily_loss"] == guards(watch.observe(MIDNIGHT + DAY + 1, worth(800)))


# -- against a reference that keeps everything


moments = st.lists(
    st.tuples(
        st.sampled_from([1, 60_000, DAY // 2, DAY]),
        st.decimals(-50, 300, places=2),
    ),
    max_size=40,
)


@given(moments)
@settings(max_examples=200, deadline=None)
def test_the_watch_says_what_the_whole_history_says(steps: list[tuple[int, Decimal]]) -> None:
    """Peak, day's start and the breaches follow from the full record, kept here in full."""
    limits = RiskLimits(max_drawdown_pct=D(15), max_daily_loss=D(20), max_session_loss=D(40))
    watch = AccountWatch(limits, D(200), MIDNIGHT)
    history = [(MIDNIGHT, D(200))]
    at = MIDNIGHT
    for delay, equity in steps:
        at += delay
        watch.observe(at, worth(str(equity)))
        history.append((at, equity))
        now = at + 1  # after a close at midnight the new day has begun
        day = now // DAY * DAY
        start = next(value for when, value in reversed(history) if when <= day)
        peak = max(value for _, value in history)

        assert (peak, start) == (watch.peak, watch.day_start)
        assert ((start - equity) > 20) == (watch.cause("max_daily_loss", now) is not None)
        assert ((peak - equity) * 100 > 15 * peak) == (watch.drawdown() is not None)
        assert (200 - equity > 40) == (watch.session_loss() is not None)


@given(moments, st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_a_watch_restored_from_its_snapshot_goes_on_as_if_nothing_had_happened(
    steps: list[tuple[int, Decimal]], cut: int
) -> None:
    """The snapshot is JSON, exact, and has everything: the same breaches follow."""
    limits = RiskLimits(max_drawdown_pct=D(15), max_daily_loss=D(20), max_session_loss=D(40))
    whole = AccountWatch(limits, D(200), MIDNIGHT)
    broken = AccountWatch(limits, D(200), MIDNIGHT)
    at = MIDNIGHT
    for number, (delay, equity) in enumerate(steps):
        at += delay
        if number == cut:
            saved = json.loads(json.dumps(broken.snapshot()))
            broken = AccountWatch(limits, D(7), MIDNIGHT)
            broken.restore(saved)
        found = whole.observe(at, worth(str(equity)))

        assert found == broken.observe(at, worth(str(equity)))
    assert whole.snapshot() == broken.snapshot()


def test_a_snapshot_of_another_version_is_refused() -> None:
    """Said by number, not misread."""
    watch = AccountWatch(ALL, D(1), NOW)

    with pytest.raises(ValueError, match="account watch: found version 99, expected 1"):
        watch.restore({"version": 99})


def test_the_memory_of_risk_comes_back_whole() -> None:
    """Rates and streaks too; what another session's limits do not need is left alone."""
    terms = RiskLimits(max_orders_per_minute=2, max_cancels_per_minute=3, max_consecutive_losses=2)
    bench = Bench(limits=terms)
    bench.fill(bench.open(BUY))
    bench.fill(bench.reduce(SELL), price=99)
    bench.open(BUY)
    saved = json.loads(json.dumps(bench.memory.snapshot()))
    bench.memory = RiskMemory.of(terms, D(5), NOW)
    bench.memory.restore(saved)
    bench.actor = bench.make()

    assert [R.ORDER_RATE] == codes(bench.open(BUY))
    assert bench.memory.watch is not None
    assert 1 == bench.memory.watch.losses
    RiskMemory.of(RiskLimits(), D(5), NOW).restore(saved)


# -- the streak


def trade(bench: Bench, result: int, symbol: str = SPOT, strategy: str = "one") -> None:
    bench.fill(bench.open(BUY, symbol=symbol, strategy=strategy), price=100)
    bench.fill(bench.reduce(SELL, symbol=symbol, strategy=strategy), price=100 + result)


def losses(bench: Bench) -> int:
    assert bench.memory.watch is not None
    return bench.memory.watch.losses


def test_a_gain_ends_a_streak_and_nothing_gained_leaves_it() -> None:
    """Over all strategies and symbols: the account loses as one."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    trade(bench, -1)
    trade(bench, -1, OTHER, "two")
    trade(bench, 0)

    assert 2 == losses(bench)
    trade(bench, 1)
    assert 0 == losses(bench)


def test_a_close_in_many_fills_is_one_trade() -> None:
    """Grouped by order: what its fills realised together, when it ends."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    bench.fill(bench.open(BUY, 3))
    close = bench.reduce(SELL, 3)
    bench.fill(close, 1, price=99)
    bench.fill(close, 1, price=99)

    assert 0 == losses(bench)
    bench.fill(close, 1, price=103)  # one more than the first two lost
    assert 0 == losses(bench)
    bench.fill(bench.open(BUY, 2))
    half = bench.reduce(SELL, 2)
    bench.fill(half, 1, price=99)
    bench.end(half, OrderEvent.CANCELLED)  # closed by its end, not only by its last fill
    assert 1 == losses(bench)


def test_a_trade_whose_fills_cancel_out_leaves_a_streak() -> None:
    """Nothing gained is no gain, whether it was so at once or in the end."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    trade(bench, -1)
    bench.fill(bench.open(BUY, 2))
    close = bench.reduce(SELL, 2)
    bench.fill(close, 1, price=101)
    bench.fill(close, 1, price=99)

    assert 1 == losses(bench)


def test_interleaved_closes_are_told_apart() -> None:
    """Two orders that fill in turns are two trades."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    bench.fill(bench.open(BUY, 2))
    bench.fill(bench.open(BUY, 2, symbol=OTHER))
    first, second = bench.reduce(SELL, 2), bench.reduce(SELL, 2, symbol=OTHER)
    for price in (98, 101):
        bench.fill(first, 1, price=price)
        bench.fill(second, 1, price=price)

    assert 2 == losses(bench)


def test_a_flip_is_a_trade_of_what_it_closed() -> None:
    """An opening order that turns a position over realises what was held."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    bench.fill(bench.open(BUY, 1, symbol=PERP))
    bench.fill(bench.open(SELL, 2, symbol=PERP), price=99)

    assert 1 == losses(bench)


def test_news_that_risk_failed_on_is_made_good() -> None:
    """A lost report changes no streak: ledger and order store are the truth."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=5))
    bench.fill(bench.open(BUY, 2))
    close = bench.reduce(SELL, 2)
    bench.fill(close, 1, price=99)
    deaf, bench.report = bench.report, lambda *_news: None  # type: ignore[method-assign]
    bench.fill(close, 1, price=99)
    bench.report = deaf  # type: ignore[method-assign]

    assert 0 == losses(bench)
    bench.actor = bench.make()
    assert 1 == losses(bench)
    trade(bench, -1)
    assert 2 == losses(bench)


# -- acknowledged


@pytest.mark.parametrize(
    "guard",
    [
        "max_drawdown_pct",
        "max_daily_loss",
        "max_session_loss",
        "max_consecutive_losses",
        "max_funding_cost",
    ],
)
def test_what_the_operator_answers_for_is_measured_afresh(guard: str) -> None:
    """After an acknowledgement only what comes then counts, and a new breach is told again."""
    watch = AccountWatch(ALL, D(1000), NOW)
    watch.losses = 3
    bad = worth(800, funding=10)
    watch.observe(NOW + 1, bad)
    watch.acknowledge(guard)

    assert watch.cause(guard, NOW + 1) is None
    assert [] == watch.observe(NOW + 2, bad)
    watch.losses += 3
    assert guard in guards(watch.observe(NOW + 3, worth(600, funding=20)))


def test_margin_use_is_a_condition_and_cannot_be_acknowledged() -> None:
    """It clears when the margin does, and not by a word."""
    watch = AccountWatch(ALL, D(1000), NOW)
    watch.observe(NOW + 1, worth(1000, margin=501))
    watch.acknowledge("max_margin_use_pct")

    assert ["max_margin_use_pct"] == guards(watch.observe(NOW + 2, worth(1000, margin=501)))
