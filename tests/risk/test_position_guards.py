"""What positions allow: nothing is closed that is not there, and hedge books are apart."""

from __future__ import annotations

import pytest
from risk_bench import BUY, PERP, SELL, SPOT, Bench, approved, codes

from messages import PositionMode, PositionSide, ReasonCode, Side

R = ReasonCode


# -- positions


def test_spot_cannot_be_sold_short() -> None:
    """What is held less what is being sold already may be sold, not a unit more."""
    bench = Bench()

    assert codes(bench.open(SELL)) == [R.SPOT_CANNOT_SHORT]
    bench.fill(bench.open(BUY, 2))
    assert codes(bench.open(SELL, "2.0001")) == [R.SPOT_CANNOT_SHORT]
    assert approved(bench.open(SELL, 2))
    assert codes(bench.open(SELL, "0.0001")) == [R.SPOT_CANNOT_SHORT]


def test_spot_of_one_strategy_is_not_another_ones_to_sell() -> None:
    """Books are per strategy."""
    bench = Bench()
    bench.fill(bench.open(BUY, 2, strategy="one"))

    assert codes(bench.open(SELL, 1, strategy="two")) == [R.SPOT_CANNOT_SHORT]
    assert codes(bench.reduce(SELL, 1, strategy="two")) == [R.REDUCE_ONLY_WOULD_OPEN]


def test_flat_cannot_be_reduced() -> None:
    """A close without a position would open one."""
    for side in (BUY, SELL):
        assert codes(Bench().reduce(side, symbol=PERP)) == [R.REDUCE_ONLY_WOULD_OPEN]


def test_long_1_cannot_sell_3_nor_buy_to_close() -> None:
    """A close is at most the position, and against its direction."""
    bench = Bench()
    bench.fill(bench.open(BUY, 1, symbol=PERP))

    assert codes(bench.reduce(SELL, 3, symbol=PERP)) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert codes(bench.reduce(BUY, 1, symbol=PERP)) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert approved(bench.reduce(SELL, 1, symbol=PERP))


def test_short_1_cannot_buy_3() -> None:
    """The mirror image."""
    bench = Bench()
    bench.fill(bench.open(SELL, 1, symbol=PERP))

    assert codes(bench.reduce(BUY, 3, symbol=PERP)) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert codes(bench.reduce(SELL, 1, symbol=PERP)) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert approved(bench.reduce(BUY, 1, symbol=PERP))


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_two_closes_of_one_position_cannot_both_go_out(symbol: str) -> None:
    """What is being closed already cannot be closed again, until its order ends."""
    bench = Bench()
    bench.fill(bench.open(BUY, 2, symbol=symbol))
    first = bench.reduce(SELL, "1.5", symbol=symbol)

    assert codes(bench.reduce(SELL, "0.51", symbol=symbol)) == [R.REDUCE_ONLY_WOULD_OPEN]
    assert approved(bench.reduce(SELL, "0.5", symbol=symbol))
    bench.end(first)
    assert approved(bench.reduce(SELL, "1.5", symbol=symbol))


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_a_close_counts_what_an_opening_order_is_selling_already(symbol: str) -> None:
    """Long 1 with an opening sale of 1 in flight is as good as flat: nothing is left to close."""
    bench = Bench()
    bench.fill(bench.open(BUY, 1, symbol=symbol))

    assert approved(bench.open(SELL, 1, symbol=symbol))
    assert codes(bench.reduce(SELL, 1, symbol=symbol)) == [R.REDUCE_ONLY_WOULD_OPEN]


def test_an_opening_order_in_flight_is_nothing_to_close_yet() -> None:
    """Only what was filled can be reduced; what may still be rejected cannot."""
    bench = Bench()
    bench.open(BUY, 1)

    assert codes(bench.reduce(SELL, 1)) == [R.REDUCE_ONLY_WOULD_OPEN]


# -- hedge mode


@pytest.mark.parametrize(
    ("reduce", "side", "book", "expected"),
    [
        (False, BUY, PositionSide.LONG, []),
        (False, SELL, PositionSide.SHORT, []),
        (False, SELL, PositionSide.LONG, [R.POSITION_SIDE_MISMATCH]),
        (False, BUY, PositionSide.SHORT, [R.POSITION_SIDE_MISMATCH]),
        (False, BUY, PositionSide.BOTH, [R.POSITION_SIDE_MISMATCH]),
        (True, SELL, PositionSide.LONG, []),
        (True, BUY, PositionSide.SHORT, []),
        (True, BUY, PositionSide.LONG, [R.POSITION_SIDE_MISMATCH, R.REDUCE_ONLY_WOULD_OPEN]),
        (True, SELL, PositionSide.SHORT, [R.POSITION_SIDE_MISMATCH, R.REDUCE_ONLY_WOULD_OPEN]),
    ],
)
def test_hedge_mode_opens_and_closes_each_book_in_its_own_direction(
    reduce: bool, side: Side, book: PositionSide, expected: list[R]
) -> None:
    """Long is bought and sold to close; short is sold and bought to close; both is no book."""
    bench = Bench(mode=PositionMode.HEDGE)
    bench.fill(bench.open(BUY, 1, symbol=PERP, position_side=PositionSide.LONG))
    bench.fill(bench.open(SELL, 1, symbol=PERP, position_side=PositionSide.SHORT))
    ask = bench.reduce if reduce else bench.open

    assert expected == codes(ask(side, 1, symbol=PERP, position_side=book))


def test_one_way_mode_has_one_book() -> None:
    """Long and short books are refused where the account has but one."""
    for book in (PositionSide.LONG, PositionSide.SHORT):
        found = codes(Bench().open(BUY, symbol=PERP, position_side=book))

        assert found == [R.POSITION_SIDE_MISMATCH]


def test_hedge_books_do_not_close_each_other() -> None:
    """Long 1 and short 2: closing 2 of the long book is refused, 2 of the short one is not."""
    bench = Bench(mode=PositionMode.HEDGE)
    bench.fill(bench.open(BUY, 1, symbol=PERP, position_side=PositionSide.LONG))
    bench.fill(bench.open(SELL, 2, symbol=PERP, position_side=PositionSide.SHORT))

    assert codes(bench.reduce(SELL, 2, symbol=PERP, position_side=PositionSide.LONG)) == [
        R.REDUCE_ONLY_WOULD_OPEN
    ]
    assert approved(bench.reduce(BUY, 2, symbol=PERP, position_side=PositionSide.SHORT))
