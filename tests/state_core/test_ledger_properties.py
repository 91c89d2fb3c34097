"""The ledger over random histories: money and quantity are conserved, lots are as recomputed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_makers import (
    DEPOSIT,
    OTHER_SPOT,
    PERPETUAL,
    SPOT,
    SlowBook,
    exactly,
    make_fill,
    make_ledger,
)

from messages import Fill, Liquidity, PositionSide, Side
from state.instruments import Instrument
from state.ledger import Ledger, LotMethod
from state.money import EXACT

UNIT = Decimal("0.001")
EXAMPLES = settings(max_examples=60)


@dataclass(frozen=True)
class Step:
    """One event of a random history; a funding step has no side."""

    side: Side | None
    units: int
    price: Decimal
    fee: Decimal
    symbol: str = SPOT
    strategy: str = "sma"


prices = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(99_999), places=8)
fees = st.decimals(min_value=-1, max_value=10, places=10)
trades = st.builds(
    Step,
    side=st.sampled_from(Side),
    units=st.integers(1, 12),
    price=prices,
    fee=fees,
    symbol=st.sampled_from([SPOT, OTHER_SPOT, PERPETUAL]),
    strategy=st.sampled_from(["sma", "grid"]),
)
fundings = st.builds(
    Step, side=st.none(), units=st.just(0), price=prices, fee=fees, symbol=st.just(PERPETUAL)
)
histories = st.lists(st.one_of(trades, trades, trades, fundings), min_size=1, max_size=40)
methods = st.sampled_from(LotMethod)


def fill_of(step: Step) -> Fill:
    assert step.side is not None
    return make_fill(
        step.side,
        step.units * UNIT,
        step.price,
        fee=step.fee,
        symbol=step.symbol,
        strategy=step.strategy,
    )


def play(ledger: Ledger, step: Step, fill: Fill | None = None) -> None:
    if step.side is None:
        ledger.book_funding(step.strategy, step.symbol, PositionSide.BOTH, step.fee, 0)
    else:
        ledger.book_fill(fill or fill_of(step))


@EXAMPLES
@given(histories, methods)
def test_money_and_quantity_are_conserved(history: list[Step], method: LotMethod) -> None:
    """
    After every event each commodity sums to zero, cash is what the history says it must be, and
    equity is cash plus what is held.
    """
    ledger = make_ledger(method)
    cash = Fraction(DEPOSIT)
    fees_paid = funding_paid = Fraction(0)
    quantities = {SPOT: Fraction(0), OTHER_SPOT: Fraction(0), PERPETUAL: Fraction(0)}
    for step in history:
        play(ledger, step)
        if step.side is None:
            funding_paid -= Fraction(step.fee)
        else:
            signed = step.side.sign * Fraction(step.units) * Fraction(UNIT)
            fees_paid += Fraction(step.fee)
            quantities[step.symbol] += signed
            if step.symbol != PERPETUAL:
                cash -= signed * Fraction(step.price)

        mark = step.price
        value = ledger.valuation(dict.fromkeys(quantities, mark).__getitem__)
        held = [position for position in ledger.positions() if position.symbol != PERPETUAL]
        owed = [position for position in ledger.positions() if position.symbol == PERPETUAL]
        perpetual_profit = exactly(
            [
                position.realized_total
                for strategy in ("sma", "grid")
                if (position := ledger.position(strategy, PERPETUAL, PositionSide.BOTH))
            ]
        )
        stock = exactly([position.quantity for position in held]) * Fraction(mark)
        open_profit = exactly([p.quantity for p in owed]) * Fraction(mark) - exactly(
            [p.cost for p in owed]
        )
        expected_cash = cash + perpetual_profit - fees_paid - funding_paid

        ledger.audit()
        assert expected_cash == Fraction(ledger.cash) == Fraction(value.cash)
        assert fees_paid == Fraction(ledger.fees)
        assert funding_paid == Fraction(ledger.funding)
        assert expected_cash + stock + open_profit == Fraction(value.equity)
        assert quantities == {s: Fraction(ledger.net_quantity(s)) for s in quantities}


@EXAMPLES
@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 8), prices), max_size=30),
    st.sampled_from([LotMethod.FIFO, LotMethod.LIFO]),
    st.sampled_from([SPOT, PERPETUAL]),
)
def test_fifo_and_lifo_are_as_recomputed_unit_by_unit(
    history: list[tuple[Side, int, Decimal]], method: LotMethod, symbol: str
) -> None:
    """Realised profit, cost and mean price equal a recomputation that knows only single units."""
    ledger = make_ledger(method)
    slow = SlowBook(method, Fraction(UNIT))
    for side, units, price in history:
        before = slow.realized
        booking = ledger.book_fill(make_fill(side, units * UNIT, price, symbol=symbol))
        slow.trade(side, units, price)
        position = ledger.position("sma", symbol, PositionSide.BOTH)

        assert position is not None
        assert slow.realized - before == Fraction(booking.realized_pnl)
        assert slow.realized == Fraction(booking.realized_total) == Fraction(ledger.realized_pnl)
        assert slow.quantity == Fraction(booking.quantity) == Fraction(position.quantity)
        assert slow.cost == Fraction(position.cost) == exactly([x.cost for x in position.lots])
        assert abs(slow.average_price - Fraction(booking.average_price)) <= Fraction(1, 10**12)


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 8), prices), max_size=30))
def test_average_cost_is_as_recomputed_and_exact_when_flat(
    history: list[tuple[Side, int, Decimal]],
) -> None:
    """
    Each partial close is within its one rounding of the true mean, and a flat position has
    realised exactly what its fills paid and received.
    """
    ledger = make_ledger(LotMethod.AVERAGE)
    slow = SlowBook(LotMethod.AVERAGE, Fraction(UNIT))
    received = Fraction(0)
    for number, (side, units, price) in enumerate(history, start=1):
        booking = ledger.book_fill(make_fill(side, units * UNIT, price))
        slow.trade(side, units, price)
        received -= side.sign * units * Fraction(UNIT) * Fraction(price)
        position = ledger.position("sma", SPOT, PositionSide.BOTH)

        assert position is not None
        assert slow.quantity == Fraction(position.quantity)
        assert len(position.lots) <= 1
        assert received == Fraction(booking.realized_total) - Fraction(position.cost)
        assert abs(slow.realized - Fraction(booking.realized_total)) <= number * Fraction(1, 10**12)
        if not position.quantity:
            assert received == Fraction(booking.realized_total)
            assert 0 == booking.average_price


@EXAMPLES
@given(
    st.lists(
        st.tuples(
            st.sampled_from([PositionSide.LONG, PositionSide.SHORT]),
            st.booleans(),
            st.integers(1, 8),
            prices,
        ),
        max_size=30,
    ),
    st.sampled_from([LotMethod.FIFO, LotMethod.LIFO]),
)
def test_hedge_books_are_apart_and_never_turn_over(
    history: list[tuple[PositionSide, bool, int, Decimal]], method: LotMethod
) -> None:
    """The long book stays at or above zero, the short one at or below, each with its own lots."""
    ledger = make_ledger(method)
    slow = {side: SlowBook(method, Fraction(UNIT)) for side in PositionSide}
    for position_side, opens, units, price in history:
        book = slow[position_side]
        is_long = position_side is PositionSide.LONG
        allowed = units if opens else min(units, len(book.units))
        if not allowed:
            continue
        side = Side.BUY if opens is is_long else Side.SELL
        ledger.book_fill(
            make_fill(side, allowed * UNIT, price, symbol=PERPETUAL, position_side=position_side)
        )
        book.trade(side, allowed, price)

        position = ledger.position("sma", PERPETUAL, position_side)
        assert position is not None
        assert book.quantity == Fraction(position.quantity)
        assert book.realized == Fraction(position.realized_total)
        assert (position.quantity >= 0) if is_long else (position.quantity <= 0)


@EXAMPLES
@given(histories, methods, st.integers(0, 40))
def test_a_restored_ledger_goes_on_as_if_nothing_had_happened(
    history: list[Step], method: LotMethod, cut: int
) -> None:
    """A snapshot through JSON, restored into a new ledger, leads to the same books."""
    unbroken = make_ledger(method)
    for step in history[:cut]:
        play(unbroken, step)
    restored = make_ledger(method)
    restored.restore(json.loads(json.dumps(unbroken.snapshot())))

    assert unbroken.snapshot() == restored.snapshot()
    for step in history[cut:]:
        fill = fill_of(step) if step.side is not None else None
        play(unbroken, step, fill)
        play(restored, step, fill)

        assert unbroken.accounts == restored.accounts
        assert unbroken.positions() == restored.positions()


@pytest.mark.parametrize("method", LotMethod)
def test_awkward_numbers_stay_exact(method: LotMethod) -> None:
    """Eighteen decimals times seventeen digits times a fee rate loses nothing, over many fills."""
    ledger = make_ledger(method)
    instrument = Instrument.permissive(SPOT, Decimal("7.123456789"))
    quantity, price = Decimal("1.000000000000000001"), Decimal("96123.451234567891")
    with localcontext(EXACT):
        fee = instrument.fee(quantity * price, Liquidity.TAKER)
    for number in range(100):
        side = Side.BUY if number % 3 < 2 else Side.SELL
        ledger.book_fill(make_fill(side, quantity, price, fee=fee))
    ledger.audit()

    assert 100 * Fraction(fee) == Fraction(ledger.fees)
    assert Fraction(quantity) * 34 == Fraction(ledger.net_quantity(SPOT))
