"""The averages of sma_cross: compared exactly, whatever the prices, however they are held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strategies.sma_cross import EXACT_MAX, ExactWindows


def by_fractions(prices: Sequence[float], fast: int, slow: int) -> list[bool | None]:
    """Return the same answers from the decimal text of every close, with nothing rounded."""
    exact = [Fraction(repr(price)) for price in prices]
    answers: list[bool | None] = []
    for end in range(1, len(exact) + 1):
        if end < slow:
            answers.append(None)
            continue
        window = exact[end - slow : end]
        answers.append(sum(window[-fast:]) * slow > sum(window) * fast)
    return answers


def pushed(windows: ExactWindows, prices: Sequence[float]) -> list[bool | None]:
    return [windows.push(price) for price in prices]


def decimals(places: int, low: int, high: int) -> st.SearchStrategy[float]:
    """Return floats that stand for decimals of so many places."""
    return st.integers(low, high).map(lambda units: float(f"{units}e-{places}"))


sizes = st.tuples(st.integers(1, 6), st.integers(2, 12)).filter(lambda pair: pair[0] < pair[1])
cents = st.lists(decimals(2, 1, 20_000), max_size=60)
mixed = st.lists(
    st.one_of(
        decimals(2, 1, 10_000_000),
        decimals(8, 1, 10**12),
        decimals(12, 1, 10**15),
        decimals(17, 1, 10**6),
        st.integers(1, 2**60).map(float),
        st.floats(1e-12, 1e25, allow_subnormal=False),
    ),
    max_size=40,
)
few_levels = st.lists(st.sampled_from((99.9, 100.0, 100.1, 100.05)), max_size=60)


@settings(max_examples=150)
@given(sizes, cents)
def test_prices_in_cents_are_compared_exactly(size: tuple[int, int], prices: list[float]) -> None:
    """The everyday case, held in floats all the way."""
    assert by_fractions(prices, *size) == pushed(ExactWindows(*size), prices)


@settings(max_examples=150)
@given(sizes, few_levels)
def test_ties_are_ties(size: tuple[int, int], prices: list[float]) -> None:
    """Few price levels make equal averages often; equal is never greater."""
    assert by_fractions(prices, *size) == pushed(ExactWindows(*size), prices)


@settings(max_examples=200)
@given(sizes, mixed)
@example((1, 2), [float(2**52 + 1), float(2**52 - 1), float(2**51 + 1)])
@example((2, 3), [0.1, 1e22, 0.1, 0.1, 0.1])
@example((1, 2), [1e25, 1e-12, 1e25])
@example((5, 12), [1e-12] * 20)
def test_any_prices_are_compared_exactly(size: tuple[int, int], prices: list[float]) -> None:
    """Ten decimals, seventeen, sub-satoshi prices, prices beyond 2**53, and changes between."""
    assert by_fractions(prices, *size) == pushed(ExactWindows(*size), prices)


@settings(max_examples=150)
@given(sizes, mixed, st.integers(0, 40))
def test_a_snapshot_at_any_bar_changes_no_answer(
    size: tuple[int, int], prices: list[float], at: int
) -> None:
    """Restored from its JSON, in whatever form the numbers are held, it goes on the same."""
    windows = ExactWindows(*size)
    before = pushed(windows, prices[:at])
    restored = ExactWindows.of(*size, json.loads(json.dumps(windows.state())))

    assert by_fractions(prices, *size) == before + pushed(restored, prices[at:])
    assert windows.state() != {} or prices == []


@pytest.mark.parametrize("size", [(1, 2), (10, 30), (50, 200), (3, 1000)])
def test_prices_at_the_edge_of_what_floats_hold_exactly(size: tuple[int, int]) -> None:
    """Around the bound, where the product of sum and length reaches 2**53, nothing is lost."""
    edge = int(EXACT_MAX / (size[0] * size[1]))
    prices = [float(edge + step) for step in (-2, -1, 0, 1, 2, 1, 0, -1)] * (size[1] // 4 + 2)

    assert by_fractions(prices, *size) == pushed(ExactWindows(*size), prices)


def test_a_window_that_widened_stays_exact_for_ever_after() -> None:
    """One close with twelve decimals among cents counts exactly while it is in the window."""
    prices = [*[100.0] * 5, 100.000000000001, *[100.0] * 20]

    answers = pushed(ExactWindows(2, 5), prices)

    assert answers == by_fractions(prices, 2, 5)
    assert answers[4:9] == [False, True, True, False, False]


def test_the_averages_a_float_gets_wrong() -> None:
    """Ten closes of 0.1: a float's running sum says greater; the averages are equal."""
    prices = [0.1] * 30 + [0.2] * 10 + [0.1] * 40

    assert pushed(ExactWindows(3, 10), prices)[50:] == [False] * 30
