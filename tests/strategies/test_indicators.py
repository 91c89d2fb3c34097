"""Streaming indicators: exact sums, bounded memory, and restarts that change no bit."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import talipp.indicators
from hypothesis import given, settings
from hypothesis import strategies as st
from session_world import walk
from talipp.indicators import (
    ADX,
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    SMMA,
    STC,
    DonchianChannels,
    StdDev,
    SuperTrend,
    ZigZag,
)
from talipp.indicators.Indicator import Indicator
from talipp.ma import MAType
from talipp.ohlcv import ValueExtractor

from messages import Bar
from strategies.indicators import Streaming, takes_bars

Bars = Sequence[Bar]

KINDS = {
    name: kind
    for name, kind in sorted(vars(talipp.indicators).items())
    if isinstance(kind, type) and issubclass(kind, Indicator) and kind is not Indicator
}
COUNTS_FROM_THE_FIRST = ("PivotsHL", "ZigZag")
FRACTIONS = {
    "accel_factor_inc": 0.02,
    "atr_mult": 1.5,
    "atr_mult_down": 2.0,
    "atr_mult_up": 2.0,
    "bb_std_dev_mult": 2.0,
    "factor": 0.7,
    "init_accel_factor": 0.02,
    "kc_atr_mult": 1.5,
    "max_accel_factor": 0.2,
    "mult": 3.0,
    "offset": 0.85,
    "sensitivity": 0.01,
    "sigma": 6.0,
    "std_dev_mult": 2.0,
}


def terms_of(kind: type[Indicator], chance: Random) -> dict[str, Any]:
    """Return terms that a kind of indicator can be made with, its periods drawn."""
    if kind is STC:  # talipp's own fails while its inner windows see nothing yet
        return {
            "fast_macd_period": chance.randrange(3, 6),
            "slow_macd_period": chance.randrange(6, 12),
            "stoch_period": chance.randrange(8, 12),
            "stoch_smoothing_period": chance.randrange(2, 5),
        }
    return {
        name: FRACTIONS.get(name, chance.randrange(3, 12))
        for name in inspect.signature(kind).parameters
        if not name.startswith("input") and not name.endswith("ma_type")
    }


def values(indicator: Streaming, bars: Iterable[Bar]) -> list[Any]:
    return [indicator.add(bar) for bar in bars]


def again(indicator: Streaming, make: Callable[[], Streaming]) -> Streaming:
    """Return a new indicator restored from the JSON of another one's snapshot."""
    other = make()
    other.restore(json.loads(json.dumps(indicator.snapshot())))
    return other


# -- the same values as by hand


def true_ranges(bars: Bars) -> list[float]:
    found = [bars[0].high - bars[0].low]
    for before, bar in pairwise(bars):
        span = (bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close))
        found.append(max(span))
    return found


def smoothed(series: Sequence[float], period: int) -> list[float | None]:
    """Return Wilder's average of a series, from its own definition."""
    found: list[float | None] = [None] * (period - 1)
    average = math.fsum(series[:period]) / period
    found.append(average)
    for value in series[period:]:
        average = (average * (period - 1) + value) / period
        found.append(average)
    return found


def atr(bars: Bars, period: int) -> list[Any]:
    return smoothed(true_ranges(bars), period)


def smma(bars: Bars, period: int) -> list[Any]:
    return smoothed([bar.close for bar in bars], period)


def sma(bars: Bars, period: int) -> list[Any]:
    """Return the mean as talipp moves it: by the difference that one bar makes."""
    closes = [bar.close for bar in bars]
    average = math.fsum(closes[:period]) / period
    found: list[Any] = [None] * (period - 1) + [average]
    for gone, close in zip(closes, closes[period:], strict=False):
        average -= (gone - close) / float(period)
        found.append(average)
    return found


def ema(bars: Bars, period: int) -> list[Any]:
    closes = [bar.close for bar in bars]
    part = 2.0 / (period + 1.0)
    average = math.fsum(closes[:period]) / period
    found: list[Any] = [None] * (period - 1) + [average]
    for close in closes[period:]:
        average = part * close + (1.0 - part) * average
        found.append(average)
    return found


def channel(bars: Bars, period: int) -> list[Any]:
    return [
        None
        if end < period
        else (
            min(bar.low for bar in bars[end - period : end]),
            max(bar.high for bar in bars[end - period : end]),
        )
        for end in range(1, len(bars) + 1)
    ]


@pytest.mark.parametrize("period", [2, 3, 14])
@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [(ATR, atr), (SMMA, smma), (SMA, sma), (EMA, ema)],
    ids=lambda x: x.__name__,
)
def test_averages_are_what_their_definition_says(
    kind: type[Indicator], by_hand: Callable[[Bars, int], list[Any]], period: int
) -> None:
    """Bit for bit, at every bar, ``None`` before the first one that there can be."""
    bars = walk("X", 600, period)

    assert by_hand(bars, period) == values(Streaming(kind, period), bars)


@pytest.mark.parametrize("period", [1, 2, 20])
def test_donchian_channels_are_the_extremes_of_the_last_bars(period: int) -> None:
    """The newest bar included: who wants it excluded looks before it adds."""
    bars = walk("X", 400, period)
    found = values(Streaming(DonchianChannels, period), bars)

    assert channel(bars, period) == [None if v is None else (v.lb, v.ub) for v in found]


def test_an_indicator_of_prices_takes_prices_and_closes_of_bars() -> None:
    """The two are the same; a modifier says which price of a bar it is instead."""
    bars = walk("X", 50, 3)
    by_price = Streaming(SMA, 5)
    of_highs = Streaming(SMA, 5, input_modifier=ValueExtractor.extract_high)

    assert values(Streaming(SMA, 5), bars) == [by_price.add(bar.close) for bar in bars]
    assert of_highs.takes_bars
    assert values(of_highs, bars[:5])[-1] == math.fsum(bar.high for bar in bars[:5]) / 5


# -- bounded, and all the same


@pytest.mark.parametrize("name", [n for n in KINDS if n not in COUNTS_FROM_THE_FIRST])
@pytest.mark.parametrize("seed", [1, 2])
def test_forgetting_and_restarting_change_no_value_of_any_indicator(name: str, seed: int) -> None:
    """
    Every indicator that talipp has gives the values of one that keeps everything.

    So does one that was restored on the way, and no list of it outgrows its bound.
    """
    kind, chance = KINDS[name], Random(f"{name}{seed}")
    terms = terms_of(kind, chance)
    bars = walk("X", 1_500, seed)
    bounded, restored = Streaming(kind, **terms), Streaming(kind, **terms)
    whole = Streaming(kind, keep=10**9, **terms)
    at = chance.randrange(len(bars))

    expected = values(whole, bars)

    assert expected == values(bounded, bars)
    assert expected[:at] == values(restored, bars[:at])
    assert expected[at:] == values(again(restored, lambda: Streaming(kind, **terms)), bars[at:])
    assert max(bounded.lengths().values()) <= 2 * bounded.keep
    assert any(value is not None for value in expected)


@pytest.mark.parametrize(
    ("kind", "terms"), [(ATR, (14,)), (DonchianChannels, (20,)), (ADX, (7, 9))]
)
def test_memory_is_bounded_over_two_hundred_thousand_bars(
    kind: type[Indicator], terms: tuple[int, ...]
) -> None:
    """Every list that grows with time stays below twice what is kept, whenever one looks."""
    bars = walk("X", 2_000, 5)
    indicator = Streaming(kind, *terms)
    longest = 0
    for number in range(200_000):
        indicator.add(bars[number % 2_000])
        if not number % 997:
            longest = max(longest, *indicator.lengths().values())

    assert indicator.keep < longest <= 2 * indicator.keep
    assert indicator.keep <= 2 * 20 + 32


def test_without_forgetting_the_lists_grow_with_every_bar() -> None:
    """What the bound is for: talipp itself keeps everything."""
    indicator = Streaming(ATR, 14, keep=10**9)
    values(indicator, walk("X", 1_000, 5))

    assert set(indicator.lengths().values()) == {1_000}


def test_keeping_too_little_is_noticed_by_its_values() -> None:
    """The bound matters: half of what is looked back on gives something else."""
    bars = walk("X", 400, 5)

    assert values(Streaming(SMA, 20, keep=10), bars) != values(Streaming(SMA, 20), bars)


# -- restarts

prices = st.lists(
    st.integers(1, 1_000_000).map(lambda cents: cents / 100), min_size=1, max_size=120
)


@settings(max_examples=60)
@given(prices, st.data())
def test_a_snapshot_at_any_bar_goes_on_bit_for_bit(
    closes: list[float], data: st.DataObject
) -> None:
    """Whatever came before and whenever it was taken, the next values are those of no restart."""
    at = data.draw(st.integers(0, len(closes)))
    for kind, terms in ((EMA, (3,)), (RSI, (4,)), (MACD, (2, 5, 3)), (StdDev, (4,))):
        through, stopped = Streaming(kind, *terms), Streaming(kind, *terms)
        expected = [through.add(close) for close in closes]
        before = [stopped.add(close) for close in closes[:at]]
        other = Streaming(kind, *terms)
        other.add(closes[0])  # what it has seen before does not matter
        other.restore(json.loads(json.dumps(stopped.snapshot())))

        assert before == expected[:at]
        assert other.value == stopped.value
        assert other.snapshot() == stopped.snapshot()
        assert expected[at:] == [other.add(close) for close in closes[at:]]


@settings(max_examples=40)
@given(st.integers(0, 500), st.integers(0, 160))
def test_wilders_average_carries_its_first_value_through_a_restart(seed: int, at: int) -> None:
    """Feeding the last bars anew gives another average; a snapshot gives this one."""
    bars = walk("X", 160, seed)
    expected = values(Streaming(ATR, 14), bars)
    stopped = Streaming(ATR, 14)
    values(stopped, bars[:at])

    assert expected[at:] == values(again(stopped, lambda: Streaming(ATR, 14)), bars[at:])


def test_feeding_the_last_bars_anew_is_not_enough() -> None:
    """The difference that the snapshot is for, seen far beyond the period."""
    bars = walk("X", 300, 8)
    anew = values(Streaming(ATR, 14), bars[200:])

    assert values(Streaming(ATR, 14), bars)[-1] != anew[-1]


def test_values_of_several_lines_and_kinds_come_back() -> None:
    """Enumerations and values with lines are kept by name, numbers that JSON lacks as texts."""
    bars = walk("X", 60, 2)
    trend = Streaming(SuperTrend, 5, 2.0)
    values(trend, bars)
    odd = Streaming(SMA, 2)
    for price in (1.0, math.inf, -0.0, 5e-324):
        odd.add(price)
    odd_again = again(odd, lambda: Streaming(SMA, 2))

    assert again(trend, lambda: Streaming(SuperTrend, 5, 2.0)).value == trend.value
    assert odd_again.snapshot() == odd.snapshot()
    assert json.loads(json.dumps(odd.snapshot(), allow_nan=False)) == odd.snapshot()


def test_the_snapshot_of_another_indicator_is_refused() -> None:
    """Neither another kind nor other terms: the lists would fit, the values would not."""
    snapshot = Streaming(ATR, 14).snapshot()

    with pytest.raises(ValueError, match=r"is of ATR\(14\), expected ATR\(10\)"):
        Streaming(ATR, 10).restore(snapshot)
    with pytest.raises(ValueError, match=r"expected EMA\(14\)"):
        Streaming(EMA, 14).restore(snapshot)


# -- sums

ADVERSARIAL = (1e33, 1e16, 1.0, -1e33, -1e16)
"""Left to right, and with the correction of Python 3.12 and later, their sum is 0; it is 1."""


def left_to_right(items: Iterable[float]) -> float:
    """Return what the builtin does up to Python 3.11."""
    total = 0.0
    for item in items:
        total += item
    return total


def corrected(items: Iterable[float]) -> float:
    """Return what the builtin does from Python 3.12 on: Neumaier's sum."""
    total = correction = 0.0
    for item in items:
        both = total + item
        larger, smaller = (total, item) if abs(total) >= abs(item) else (item, total)
        correction += (larger - both) + smaller
        total = both
    return total + correction


@settings(max_examples=200)
@given(st.lists(st.floats(-1e30, 1e30), min_size=5, max_size=5))
def test_sums_are_correctly_rounded(items: list[float]) -> None:
    """Against exact fractions: there is one right answer, and no interpreter has another."""
    indicator = Streaming(SMA, 5)
    for item in items:
        indicator.add(item)
    total = Fraction(0)
    for item in items:
        total += Fraction(item)

    assert float(total) / 5 == indicator.value


@pytest.mark.parametrize("summing", [left_to_right, corrected, sum], ids=lambda f: f.__name__)
def test_without_the_exact_sum_values_differ(
    summing: Callable[[Iterable[float]], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The builtin of every Python gets a sum wrong that ours gets right."""
    ours = Streaming(SMA, 5)
    for item in ADVERSARIAL:
        ours.add(item)
    theirs = Streaming(SMA, 5)
    monkeypatch.setitem(vars(sys.modules[SMA.__module__]), "sum", summing)
    for item in ADVERSARIAL:
        theirs.add(item)

    assert ours.value == 1.0 / 5
    assert theirs.value != ours.value


def test_indicators_inside_others_sum_exactly_too() -> None:
    """Every talipp module that a part comes from has the sum, however deep the part is."""
    Streaming(MACD, 2, 5, 3, ma_type=MAType.SMMA)
    Streaming(ADX, 5, 5)

    for kind in (MACD, SMMA, ADX, ATR):
        assert vars(sys.modules[kind.__module__])["sum"] is math.fsum


# -- what cannot be


@pytest.mark.parametrize("name", COUNTS_FROM_THE_FIRST)
def test_an_indicator_without_bound_is_refused(name: str) -> None:
    """It counts from the first bar on: there is no tail that would do."""
    with pytest.raises(ValueError, match="so it has no bound"):
        Streaming(KINDS[name], 3, 3)


def test_what_is_not_fed_by_add_alone_is_refused() -> None:
    """Values, another indicator or sampling at the start would go round the wrapper."""
    for name, value in (("input_values", [1.0]), ("input_indicator", SMA(2))):
        with pytest.raises(ValueError, match=f"{name} is given"):
            Streaming(SMA, 5, **{name: value})


def test_a_price_is_no_bar() -> None:
    """An indicator that needs highs and lows says so when it gets a price."""
    with pytest.raises(TypeError, match=r"ATR\(14\) is an indicator of bars, found 1.0"):
        Streaming(ATR, 14).add(1.0)


def test_nothing_to_keep_is_refused() -> None:
    """A bound of no value is a slip."""
    with pytest.raises(ValueError, match="keep is 0, expected at least 1"):
        Streaming(SMA, 5, keep=0)


class Remembering(SMA):  # type: ignore[misc]  # talipp has no types
    """An indicator of somebody's own with state that no list holds."""

    def __init__(self, period: int) -> None:
        super().__init__(period)
        self.seen: dict[float, int] = {}


class Counting(SMA):  # type: ignore[misc]
    """One whose state is a number, and a list that only talipp's register knows."""

    def __init__(self, period: int) -> None:
        self.count = 0
        super().__init__(period)
        self.add_managed_sequence([])

    def _calculate_new_value(self) -> Any:
        self.count += 1
        self.managed_sequences[0].append(self.count)
        return self.count


def test_state_that_cannot_be_kept_is_refused_at_once() -> None:
    """A restart that forgets something would be found out much later."""
    with pytest.raises(TypeError, match=r"Remembering\.seen is {}, expected a number"):
        Streaming(Remembering, 3)


def test_numbers_and_lists_of_somebodys_own_indicator_are_kept() -> None:
    """Whoever writes one in talipp's way need not know about snapshots."""
    counting = Streaming(Counting, 3)
    for _ in range(7):
        counting.add(1.0)
    restored = again(counting, lambda: Streaming(Counting, 3))

    assert [restored.add(1.0), counting.add(1.0)] == [8, 8]
    assert restored.lengths() == counting.lengths()


def test_what_an_indicator_takes_is_read_from_its_signature() -> None:
    """talipp's own annotations say whether it is one of bars."""
    assert (takes_bars(ATR), takes_bars(ZigZag), takes_bars(EMA)) == (True, True, False)


def test_it_shows_what_it_is() -> None:
    """A debugger's line says which indicator and where it stands."""
    assert repr(Streaming(SMA, 5)) == "<Streaming SMA(5) None>"
    assert Streaming(SMA, period=5).name == "SMA(period=5)"
