"""A grid's parameters and lines: what they come to, and which contradict each other."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.money import use_exact_context
from strategies.grid import GridParams
from strategies.grids.lines import Lines, Spacing
from strategies.loader import StrategyLoadError, load_strategy, parse_params

D = Decimal
ARITHMETIC, GEOMETRIC = Spacing.ARITHMETIC, Spacing.GEOMETRIC


def problem(**params: Any) -> str:
    """Return what is said of parameters that cannot be."""
    with pytest.raises(StrategyLoadError) as error:
        parse_params(load_strategy("grid"), params)
    return str(error.value).removeprefix("strategy grid: ").removeprefix("parameters: ")


def test_without_any_a_level_is_worth_a_thousand_and_lines_are_half_a_percent_apart() -> None:
    """Whatever is not given has a default that can be seen."""
    params = GridParams()

    assert (D(1000), D(50), True) == (params.notional, params.step_bps, params.floats)
    assert None is GridParams(quantity=1).notional
    assert None is GridParams(lower=1, upper=2).step_bps


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"levels": 0}, "parameter 'levels': found 0"),
        ({"levels": 501}, "parameter 'levels': found 501"),
        ({"quantity": "-1"}, "parameter 'quantity': found '-1'"),
        ({"quantity": "NaN"}, "parameter 'quantity': found 'NaN'"),
        ({"upper": "Infinity", "lower": 1}, "parameter 'upper': found 'Infinity'"),
        ({"resting": 51}, "parameter 'resting': found 51"),
        ({"direction": "up"}, "parameter 'direction': found 'up'"),
        ({"step_bps": 10_000}, "parameter 'step_bps': found 10000"),
        ({"rungs": 3}, "unknown parameter 'rungs'"),
        ({"quantity": 1, "notional": 1}, "quantity and notional: found both"),
        ({"lower": 1}, "lower: found no upper"),
        ({"upper": 1}, "upper: found no lower"),
        ({"lower": 2, "upper": 1}, "lower is 2, expected less than upper (1)"),
        ({"lower": 1, "upper": 2, "centre": 1}, "centre: found lower and upper"),
        ({"lower": 1, "upper": 2, "step_bps": 5}, "step_bps: found lower and upper"),
        ({"direction": "neutral", "levels": 3}, "levels is 3, expected an even number"),
        ({"spacing": "arithmetic", "step_bps": 1000}, "levels: 20 of them do not fit"),
        ({"lower": 1, "upper": "1.000000000001"}, "levels: 20 of them do not fit"),
        ({"stop_pause_s": 60}, "stop_pause_s: found neither stop_price nor stop_bps"),
        ({"stop_price": 1}, "stop_price: the grid is laid around a close"),
        ({"stop_price": 1, "centre": 9, "stop_bps": 1}, "stop_price and stop_bps: found both"),
        ({"stop_price": 1, "direction": "neutral"}, "stop_price: two books need two"),
        ({"lower": 2, "upper": 3, "stop_price": 2}, "stop_price is 2, expected below"),
        (
            {"lower": 2, "upper": 3, "stop_price": 1, "direction": "short"},
            "stop_price is 1, expected above the outermost line (3)",
        ),
        ({"open_retries": 1, "retry_codes": ""}, "open_retries: found no retry_codes"),
        ({"backoff_max_s": 1}, "backoff_max_s is 1, expected at least backoff_base_s (30)"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(params: dict[str, Any], said: str) -> None:
    """With the name of the field, what was found, and what is needed."""
    found = problem(**params)

    assert found.startswith(said)
    assert "\n" not in found


def test_each_wrong_field_has_a_line_of_its_own() -> None:
    """They are all told at once."""
    assert 3 == len(problem(levels=0, resting=0, quantity=0).splitlines())


def test_lines_between_bounds_have_equal_steps() -> None:
    """In difference or in ratio; the bounds are exact."""
    use_exact_context()

    assert tuple(map(D, (1, 2, 3, 4, 5))) == Lines.between(D(1), D(5), 4, ARITHMETIC).prices
    assert tuple(map(D, (1, 2, 4, 8, 16))) == Lines.between(D(1), D(16), 4, GEOMETRIC).prices


def test_lines_around_a_centre_have_half_of_the_levels_below() -> None:
    """Rounded down; a geometric step is of the line before it."""
    use_exact_context()

    assert tuple(map(D, (99, 100, 101, 102))) == Lines.around(D(100), D(100), 3, ARITHMETIC).prices
    assert (D(80), D(100), D(125)) == Lines.around(D(100), D(2500), 2, GEOMETRIC).prices


@given(
    st.decimals(D("0.01"), D(10**6), places=4),
    st.integers(1, 60),
    st.sampled_from(Spacing),
    st.data(),
)
def test_a_place_tells_between_which_lines_a_price_is(
    lower: Decimal, levels: int, spacing: Spacing, data: st.DataObject
) -> None:
    """Even between two lines, odd right on one; prices inside the room have the same place."""
    use_exact_context()
    lines = Lines.between(lower, lower * 3, levels, spacing)
    price = data.draw(st.decimals(lower / 2, lower * 4, places=6))
    place = lines.place(price)
    low, high = lines.room(place)

    assert lines.ascend
    assert place // 2 == sum(line < price for line in lines.prices)
    assert [2 * i + 1 for i in range(levels + 1)] == [lines.place(p) for p in lines.prices]
    if place % 2 == 0 and low < float(price) < high:
        assert all(not low < float(line) < high for line in lines.prices)
    assert all(a < b for a, b in pairwise(lines.prices))


@pytest.mark.parametrize(
    ("direction", "long", "short"),
    [("long", 6, 0), ("short", 0, 6), ("neutral", 3, 3)],
)
def test_each_book_has_its_levels(direction: str, long: int, short: int) -> None:
    """All, none, or half of them."""
    params = GridParams(direction=direction, levels=6)  # type: ignore[arg-type]

    assert (long, short) == (len(params.levels_of(1)), len(params.levels_of(-1)))
    assert not set(params.levels_of(1)) & set(params.levels_of(-1))
