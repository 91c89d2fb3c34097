"""The arithmetic of a ladder, at its edges."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from messages import MinimumOrder, Side
from state.instruments import InstrumentTable, instrument_of
from strategies.ladder.levels import Levels, loss_price, profit_price
from strategies.ladder.sizing import Size, Sizing

HYPE = "HYPE/USDT:USDT"
D = Decimal
ONE = D(1)


def levels(
    rungs: int = 3, *, size: str = "1", growth: str = "2", step: str = "100", wider: str = "1.5"
) -> Levels:
    return Levels.of(D(size), D(growth), D(step), D(wider), rungs)


def test_distances_and_sizes_grow_from_rung_to_rung() -> None:
    """The first step is the parameter's; each further one is the growth times as long."""
    ladder = levels()

    assert (D(0), D("0.01"), D("0.025"), D("0.0475")) == ladder.distances
    assert (D(1), D(2), D(4), D(8)) == ladder.sizes


def test_a_ladder_without_rungs_is_its_base_order() -> None:
    """Nothing is away from the base price, and the average is that price."""
    ladder = levels(0)

    assert ((D(0),), (D(1),)) == (ladder.distances, ladder.sizes)
    assert D(0) == ladder.depth
    assert ONE == ladder.average(1, by_quantity=True)
    assert D(0) == ladder.room_for_stop(1, by_quantity=True)


@pytest.mark.parametrize(("sign", "price"), [(1, "23.8125"), (-1, "26.1875")])
def test_a_long_ladder_goes_down_and_a_short_one_up(sign: int, price: str) -> None:
    """Prices are mirrored at the base price."""
    assert D(price) == levels().price(D(25), 3, sign)
    assert D(25) == levels().price(D(25), 0, sign)


def test_prices_and_sizes_have_no_more_than_twelve_decimals() -> None:
    """What growth leaves behind is rounded where it becomes an order."""
    ladder = levels(12, size="0.1", growth="1.37", wider="1.13", step="10")

    for rung, size in enumerate(ladder.sizes):
        assert size == size.quantize(D("1e-12"))
        price = ladder.price(D("25.123"), rung, 1)
        assert price == price.quantize(D("1e-12"))
        assert "E" not in str(price)


def test_the_average_of_a_ladder_counts_quantities_or_what_they_cost() -> None:
    """The same sizes mean more units deep down where they are notionals."""
    ladder = levels(1, growth="1", step="5000")

    assert D("0.75") == ladder.average(1, by_quantity=True)
    assert D("0.666666666667") == ladder.average(1, by_quantity=False)
    assert D("1.25") == ladder.average(-1, by_quantity=True)
    assert D("1.2") == ladder.average(-1, by_quantity=False)


@given(
    rungs=st.integers(1, 20),
    growth=st.decimals(D("0.5"), D(3), places=2),
    step=st.decimals(D(1), D(200), places=1),
    sign=st.sampled_from([1, -1]),
    by_quantity=st.booleans(),
    beyond=st.decimals(D("0.000001"), D(500), places=6),
)
def test_a_stop_beyond_the_room_is_not_triggered_by_the_last_rung(
    rungs: int, growth: Decimal, step: Decimal, sign: int, by_quantity: bool, beyond: Decimal
) -> None:
    """For every ladder: its stop is farther from the base than its last rung is."""
    ladder = Levels.of(D(1), growth, step, ONE, rungs)
    assume(ladder.depth < D("0.9"))
    average = ladder.average(sign, by_quantity=by_quantity)
    room = ladder.room_for_stop(sign, by_quantity=by_quantity)
    last = ladder.price(ONE, rungs, sign)

    assert (last - loss_price(average, room + beyond, sign)) * sign > 0


@given(
    paid=st.decimals(D("0.001"), D(100_000), places=3),
    bps=st.decimals(D("0.1"), D(9999), places=1),
    sign=st.sampled_from([1, -1]),
)
def test_profit_and_loss_lie_on_either_side_of_what_was_paid(
    paid: Decimal, bps: Decimal, sign: int
) -> None:
    """A long leaves above with a profit and below with a loss; a short the other way round."""
    assert (profit_price(paid, bps, sign) - paid) * sign > 0
    assert (paid - loss_price(paid, bps, sign)) * sign > 0


# -- sizes below the venue's minimum

RULES = instrument_of(HYPE, InstrumentTable(price_tick=D("0.001"), lot_step=D("0.01")))


def least(quantity: str | None = "0.01", notional: str | None = "5") -> MinimumOrder:
    return MinimumOrder(HYPE, 0, quantity and D(quantity), notional and D(notional))  # type: ignore[arg-type]


def sizing(*, by_quantity: bool = True, raises: bool = True, margin: str = "0") -> Sizing:
    return Sizing(by_quantity=by_quantity, raises=raises, margin_bps=D(margin))


@pytest.mark.parametrize(
    ("size", "price", "margin", "expected"),
    [
        ("0.2", "25", "0", "0.2"),
        ("0.199", "25", "0", "0.20"),
        ("0.1", "25", "0", "0.20"),
        ("0.1", "25", "50", "0.21"),
        ("0.1", "24.999", "0", "0.21"),
        ("0.001", "4000", "0", "0.01"),
    ],
)
def test_an_order_below_the_minimum_is_raised_to_the_next_step_that_is_enough(
    size: str, price: str, margin: str, expected: str
) -> None:
    """Never to less than the venue takes, never farther than one step beyond it."""
    found = sizing(margin=margin).of(D(size), D(price), Side.BUY, least(), RULES)

    assert Size(quantity=D(expected)) == found


def test_a_limit_is_valued_by_the_price_that_it_will_have() -> None:
    """A buy's limit is rounded down to the tick, and with it what the order is worth."""
    found = sizing().of(D("0.2"), D("25.0009"), Side.BUY, least(notional="5.0001"), RULES)

    assert Size(quantity=D("0.21")) == found


@pytest.mark.parametrize(("by_quantity", "size"), [(True, "0.1"), (False, "3")])
def test_an_order_below_the_minimum_can_be_skipped_instead(by_quantity: bool, size: str) -> None:
    """Whoever would rather have no order than a larger one says so."""
    ladder = sizing(by_quantity=by_quantity, raises=False)

    assert ladder.of(D(size), D(25), Side.BUY, least(), RULES) is None


def test_a_notional_that_is_enough_stays_one_and_a_raised_order_says_its_quantity() -> None:
    """What is delegated stays delegated as long as it can be."""
    ladder = sizing(by_quantity=False)

    assert Size(notional=D(5)) == ladder.of(D(5), D(25), Side.BUY, least(), RULES)
    assert Size(quantity=D("0.20")) == ladder.of(D("4.9"), D(25), Side.BUY, least(), RULES)


@pytest.mark.parametrize("minimum", [None, least(None, None)])
def test_without_rules_every_size_is_as_it_was_planned(minimum: MinimumOrder | None) -> None:
    """Nothing is raised to a minimum that nobody asks for."""
    assert Size(quantity=D("1e-9")) == sizing().of(D("1e-9"), D(25), Side.BUY, minimum, None)


@given(
    size=st.decimals(D("0.001"), D(10), places=4),
    price=st.decimals(D("0.5"), D(500), places=4),
    notional=st.decimals(D(1), D(100), places=2),
    side=st.sampled_from(Side),
    margin=st.integers(0, 100),
)
def test_whatever_is_ordered_is_accepted_by_a_venue_with_that_minimum(
    size: Decimal, price: Decimal, notional: Decimal, side: Side, margin: int
) -> None:
    """After rounding quantity and price as Risk does, it is worth enough, and on the grid."""
    found = sizing(margin=str(margin)).of(size, price, side, least("0.05", str(notional)), RULES)
    assert found is not None
    assert found.quantity is not None
    quantity = RULES.round_quantity(found.quantity)

    assert quantity >= D("0.05")
    assert quantity * RULES.round_limit(price, side) >= notional
