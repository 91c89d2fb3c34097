"""Every guard at its edge: what equals a limit passes, one unit beyond is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk_bench import BUY, NOW, OTHER, PERP, SELL, SPOT, Bench, approved, codes, limit, stop

from actors.risk import RiskLimits
from messages import (
    MARKET,
    ExecutionPolicy,
    Intent,
    OperatorReduce,
    OrderEvent,
    OrderType,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    Side,
    Verdict,
)

R = ReasonCode
CENT = Decimal("0.01")


# -- duplicates and expiry


def test_an_intent_is_decided_once() -> None:
    """The same id again is refused, whether the first was approved or denied."""
    bench = Bench()

    assert approved(bench.open(BUY, intent_id="a"))
    assert codes(bench.open(BUY, intent_id="a")) == [R.DUPLICATE_INTENT]
    assert codes(bench.open(BUY, 0, intent_id="b")) == [R.QUANTITY_NOT_POSITIVE]
    assert codes(bench.open(BUY, intent_id="b")) == [R.DUPLICATE_INTENT]
    assert codes(bench.reduce(SELL, intent_id="a"))[0] is R.DUPLICATE_INTENT


def test_valid_until_is_the_last_moment_that_is_good() -> None:
    """At ``valid_until`` an intent is valid, a millisecond later it is not."""
    bench = Bench()

    assert approved(bench.open(BUY, valid_until=NOW))
    assert codes(bench.open(BUY, valid_until=NOW - 1)) == [R.INTENT_EXPIRED]


# -- the instrument's rules


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0.02", []),
        ("0.019", [R.QUANTITY_BELOW_MIN]),
        ("5", []),
        ("5.001", []),  # rounds down to the lot step, and is then at the maximum
        ("5.01", [R.QUANTITY_ABOVE_MAX]),
        ("0.009", [R.QUANTITY_NOT_POSITIVE]),
        ("0", [R.QUANTITY_NOT_POSITIVE]),
        ("-1", [R.QUANTITY_NOT_POSITIVE]),
    ],
)
def test_quantities_within_the_instruments_rules(quantity: str, expected: list[R]) -> None:
    """Minimum and maximum are judged after rounding down to the lot step."""
    bench = Bench(
        lot_step=CENT,
        min_quantity=Decimal("0.02"),
        max_quantity=Decimal(5),
    )

    assert expected == codes(bench.open(BUY, quantity))


@pytest.mark.parametrize("side", [BUY, SELL], ids=["long", "short"])
@pytest.mark.parametrize("kind", [ReduceIntent, OperatorReduce])
@pytest.mark.parametrize("policy", [MARKET, limit(100), stop(100)], ids=["market", "limit", "stop"])
def test_what_only_reduces_is_never_too_large(
    policy: ExecutionPolicy, kind: type[Intent], side: Side
) -> None:
    """A position that is more than goes in one order ends in several, each as large as it may."""
    bench = Bench(lot_step=CENT, max_quantity=Decimal("5.005"))
    for _ in range(2):
        bench.fill(bench.open(side, 4, symbol=PERP))

    for left in ("5", "3"):
        held = bench.view.position(("one", PERP, PositionSide.BOTH))
        asked = bench.intent(side.opposite, abs(held), kind=kind, symbol=PERP, policy=policy)
        decision = bench.ask(asked)

        assert [] == codes(decision)
        assert Decimal(left) == decision.quantity
        bench.fill(decision)

    assert not bench.view.positions


def test_a_close_of_more_than_there_is_stays_refused_however_little_goes_in_one_order() -> None:
    """Being cut down makes a wrong order no right one where it is still too much."""
    bench = Bench(max_quantity=Decimal(5))
    bench.fill(bench.open(BUY, 4, symbol=PERP))

    assert [R.REDUCE_ONLY_WOULD_OPEN] == codes(bench.reduce(SELL, 8, symbol=PERP))


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [("1", "10", []), ("1", "9.99", [R.NOTIONAL_BELOW_MIN]), ("0.5", "20", [])],
)
def test_notionals_at_the_instruments_minimum(quantity: str, price: str, expected: list[R]) -> None:
    """The minimum notional itself is enough."""
    bench = Bench(min_notional=Decimal(10))

    assert expected == codes(bench.open(BUY, quantity, policy=limit(price)))


@pytest.mark.parametrize(
    ("order_type", "terms", "expected"),
    [
        (OrderType.LIMIT, {}, R.PRICE_MISSING),
        (OrderType.STOP, {}, R.PRICE_MISSING),
        (OrderType.STOP_LIMIT, {"limit_price": Decimal(1)}, R.PRICE_MISSING),
        (OrderType.STOP_LIMIT, {"stop_price": Decimal(1)}, R.PRICE_MISSING),
        (OrderType.TAKE_PROFIT, {}, R.PRICE_MISSING),
        (OrderType.TAKE_PROFIT_LIMIT, {"stop_price": Decimal(1)}, R.PRICE_MISSING),
        (OrderType.TRAILING_STOP, {}, R.PRICE_MISSING),
        (OrderType.LIMIT, {"limit_price": Decimal(0)}, R.PRICE_NOT_POSITIVE),
        (OrderType.LIMIT, {"limit_price": Decimal(-1)}, R.PRICE_NOT_POSITIVE),
        (OrderType.STOP, {"stop_price": Decimal(0)}, R.PRICE_NOT_POSITIVE),
    ],
)
def test_prices_that_an_order_needs(
    order_type: OrderType, terms: dict[str, Any], expected: R
) -> None:
    """An order without the prices of its type, or with one that is not positive, is refused."""
    found = codes(Bench().open(BUY, policy=ExecutionPolicy(order_type, **terms)))

    assert expected in found


def test_a_trailing_stop_needs_a_distance_that_is_positive() -> None:
    """A trail of zero or less is no trail."""
    for bps in (0, -5):
        policy = ExecutionPolicy(OrderType.TRAILING_STOP, trail_bps=Decimal(bps))

        assert codes(Bench().open(BUY, policy=policy)) != []


def test_a_symbol_that_never_traded_cannot_be_valued() -> None:
    """A market order without a known price is refused; a limit carries its own."""
    bench = Bench()
    del bench.board.last[SPOT]

    assert codes(bench.open(BUY)) == [R.PRICE_UNKNOWN]
    assert approved(bench.open(BUY, policy=limit(99)))


@pytest.mark.parametrize("kind", [ReduceIntent, OperatorReduce])
def test_what_was_taken_over_can_be_closed_before_its_symbol_has_traded(kind: type[Intent]) -> None:
    """A market order that only reduces needs no price: no feed stands in the way of a way out."""
    bench = Bench()
    bench.fill(bench.open(BUY, 2, symbol=PERP))
    del bench.board.last[PERP]
    bench.board.assumed[PERP] = Decimal(90)  # as a start that takes a position over has it

    assert [R.PRICE_UNKNOWN] == codes(bench.open(BUY, 1, symbol=PERP))
    assert [] == codes(bench.ask(bench.intent(SELL, 2, symbol=PERP, kind=kind)))


def test_an_unknown_symbol_is_refused() -> None:
    """No instrument, no order."""
    assert codes(Bench().open(BUY, symbol="DOGE/USDT")) == [R.INSTRUMENT_UNKNOWN]


# -- rounding


@pytest.mark.parametrize(
    ("side", "order_type", "field", "asked", "expected"),
    [
        (BUY, OrderType.LIMIT, "limit_price", "100.07", "100.0"),
        (SELL, OrderType.LIMIT, "limit_price", "100.03", "100.1"),
        (BUY, OrderType.STOP, "stop_price", "100.03", "100.1"),
        (SELL, OrderType.STOP, "stop_price", "100.07", "100.0"),
        (BUY, OrderType.TAKE_PROFIT, "stop_price", "100.07", "100.0"),
        (SELL, OrderType.TAKE_PROFIT, "stop_price", "100.03", "100.1"),
        (SELL, OrderType.LIMIT, "limit_price", "100.1", "100.1"),
    ],
)
def test_rounding_never_crosses_what_was_asked(
    side: Side, order_type: OrderType, field: str, asked: str, expected: str
) -> None:
    """A limit never gets worse, a stop or target never triggers earlier than asked."""
    bench = Bench(price_tick=Decimal("0.1"))
    if side is SELL:
        bench.fill(bench.open(BUY))
    terms: dict[str, Any] = {field: Decimal(asked)}
    policy = ExecutionPolicy(order_type, **terms)
    decision = (
        bench.reduce(side, policy=policy) if side is SELL else bench.open(side, policy=policy)
    )
    price = decision.limit_price if field == "limit_price" else decision.stop_price

    assert Decimal(expected) == price


@given(
    st.decimals("0.0001", "1000", places=6),
    st.decimals("0.0001", "1000", places=6),
    st.sampled_from(("0.01", "0.05", "0.25", "1")),
    st.sampled_from(("0.01", "0.05", "0.5", "1")),
    st.sampled_from((BUY, SELL)),
)
def test_what_is_approved_is_on_the_grid_and_within_what_was_asked(
    quantity: Decimal, price: Decimal, lot: str, tick: str, side: Side
) -> None:
    """Whatever is asked: on lot and tick, no larger, no worse; and the order says the same."""
    bench = Bench(10**9, lot_step=Decimal(lot), price_tick=Decimal(tick))
    decision = bench.open(side, quantity, policy=limit(price), symbol=PERP)  # type: ignore[arg-type]
    if decision.verdict is Verdict.DENIED:
        assert codes(decision)[0] in (R.QUANTITY_NOT_POSITIVE, R.PRICE_NOT_POSITIVE)
        return
    assert decision.quantity is not None
    assert decision.limit_price is not None
    request = bench.request(decision.intent_id)

    assert decision.quantity % Decimal(lot) == 0
    assert decision.limit_price % Decimal(tick) == 0
    assert quantity - Decimal(lot) < decision.quantity <= quantity
    assert (decision.limit_price - price) * side.sign <= 0
    assert (request.quantity, request.price) == (decision.quantity, decision.limit_price)


def test_a_quotient_is_put_on_a_grid_even_without_a_lot_step() -> None:
    """No order carries more digits than money can be multiplied by exactly."""
    bench = Bench()
    decision = bench.open(BUY, Decimal(1) / Decimal(3))

    assert decision.quantity is not None
    assert len(decision.quantity.as_tuple().digits) <= 38
    bench.fill(decision, price="100.01")


# -- money


def test_cash_at_the_edge_buys_and_a_hair_less_does_not() -> None:
    """Price and fee together may take exactly what is free."""
    cost = Decimal("100.1")  # 100 and ten basis points

    assert approved(Bench(str(cost), fee_bps=10).open(BUY))
    short = Bench(str(cost - Decimal("0.0001")), fee_bps=10)

    assert codes(short.open(BUY)) == [R.CASH_INSUFFICIENT]
    assert "need=100.1" in short.open(BUY).causes[0].detail


def test_slippage_is_reserved_for() -> None:
    """A market order is valued at the price that slippage may make of the mark."""
    assert approved(Bench("101", slippage_bps=100).open(BUY))
    assert codes(Bench("100.99", slippage_bps=100).open(BUY)) == [R.CASH_INSUFFICIENT]


def test_margin_at_the_edge() -> None:
    """A perpetual needs its initial margin and the fee, long or short."""
    for side in (BUY, SELL):
        rules: dict[str, Any] = {"initial_margin": Decimal("0.1"), "fee_bps": 10}

        assert approved(Bench("10.1", **rules).open(side, symbol=PERP))
        assert codes(Bench("10.09", **rules).open(side, symbol=PERP)) == [R.MARGIN_INSUFFICIENT]


def test_losses_of_a_perpetual_shrink_the_free_margin() -> None:
    """Free margin is equity less margin in use: an open loss cannot be spent twice."""
    bench = Bench(20, initial_margin=Decimal("0.1"))
    bench.fill(bench.open(BUY, symbol=PERP))

    assert approved(bench.open(BUY, symbol=PERP))
    bench.mark(PERP, 99.0)
    assert codes(bench.open(BUY, symbol=PERP)) == [R.MARGIN_INSUFFICIENT]


def test_margin_that_a_perpetual_uses_does_not_buy_spot() -> None:
    """One account, one pile of money: what covers a position is not free cash."""
    bench = Bench(200, initial_margin=Decimal(1))
    bench.fill(bench.open(BUY, symbol=PERP))

    assert approved(bench.open(BUY, 1))
    assert set(codes(bench.open(BUY, "0.01"))) & {R.CASH_INSUFFICIENT, R.MARGIN_INSUFFICIENT}


# -- limits of the session


def test_max_order_notional_at_the_edge() -> None:
    """The limit itself passes; a close may be larger."""
    bench = Bench(limits=RiskLimits(max_order_notional=Decimal(200)))

    assert codes(bench.open(BUY, "2.0001")) == [R.MAX_ORDER_NOTIONAL]
    bench.fill(bench.open(BUY, 2))
    bench.mark(SPOT, 1000.0)
    assert approved(bench.reduce(SELL, 2))


def test_max_position_notional_counts_what_is_held_and_on_its_way() -> None:
    """Held 1, in flight 1: one more of three passes, and then not a hair more."""
    bench = Bench(limits=RiskLimits(max_position_notional=Decimal(300)))
    bench.fill(bench.open(BUY, 1))
    pending = bench.open(BUY, 1)

    assert codes(bench.open(BUY, "1.0001")) == [R.MAX_POSITION_NOTIONAL]
    last = bench.open(BUY, 1)
    assert codes(bench.open(BUY, "0.0001")) == [R.MAX_POSITION_NOTIONAL]
    bench.end(pending)
    bench.end(last, OrderEvent.REJECTED)
    assert approved(bench.open(BUY, 2))


def test_max_position_notional_is_per_symbol_and_gross_exposure_is_over_all() -> None:
    """Two symbols of 200 pass a position limit of 200 and break a gross one of 399."""
    terms = RiskLimits(max_position_notional=Decimal(200), max_gross_exposure=Decimal(399))
    bench = Bench(limits=terms)
    bench.fill(bench.open(BUY, 2, symbol=SPOT))

    assert codes(bench.open(BUY, 2, symbol=OTHER)) == [R.MAX_GROSS_EXPOSURE]
    assert approved(bench.open(BUY, "1.99", symbol=OTHER))


def test_short_positions_count_as_much_as_long_ones() -> None:
    """Exposure is gross: a short does not make room for a long."""
    bench = Bench(limits=RiskLimits(max_gross_exposure=Decimal(200)))
    bench.fill(bench.open(SELL, 1, symbol=PERP))

    assert codes(bench.open(BUY, "1.01", symbol=SPOT)) == [R.MAX_GROSS_EXPOSURE]
    assert approved(bench.open(BUY, 1, symbol=SPOT))


@pytest.mark.parametrize(
    "policy",
    [limit(1), stop(1, OrderType.TAKE_PROFIT)],
    ids=["limit", "take profit"],
)
def test_a_sale_below_the_market_is_valued_at_the_market(policy: ExecutionPolicy) -> None:
    """A limit or target that the market has passed fills at the market: no way round a limit."""
    bench = Bench(limits=RiskLimits(max_order_notional=Decimal(1000)))

    assert codes(bench.open(SELL, 100, symbol=PERP, policy=policy)) == [R.MAX_ORDER_NOTIONAL]


def test_a_buy_stop_below_the_market_is_valued_at_the_market() -> None:
    """It triggers at once and buys at the market: for the notional limit and for the cash."""
    bench = Bench(150, limits=RiskLimits(max_order_notional=Decimal(1000)))

    assert R.MAX_ORDER_NOTIONAL in codes(bench.open(BUY, 100, policy=stop(1)))
    assert codes(bench.open(BUY, 2, policy=stop(1))) == [R.CASH_INSUFFICIENT]


def test_a_buy_limit_is_valued_at_its_limit() -> None:
    """Nothing is paid beyond it, so nothing more needs to be reserved."""
    bench = Bench(50)

    assert approved(bench.open(BUY, 1, policy=limit(50)))


def test_margin_of_a_short_is_reserved_at_the_market() -> None:
    """Selling a perpetual with a limit far below the market needs the market's margin."""
    bench = Bench(50, initial_margin=Decimal(1))

    assert codes(bench.open(SELL, 1, symbol=PERP, policy=limit(1))) == [R.MARGIN_INSUFFICIENT]


# -- all causes


def test_every_cause_is_recorded_at_once() -> None:
    """A refusal never hides that there was a second reason: all guards run, in their order."""
    bench = Bench(
        10,
        limits=RiskLimits(
            max_order_notional=Decimal(50),
            max_position_notional=Decimal(60),
            max_gross_exposure=Decimal(70),
        ),
        max_quantity=Decimal("0.5"),
    )
    bench.open(BUY, 0, intent_id="again")
    decision = bench.open(
        BUY, 1, intent_id="again", valid_until=NOW - 1, position_side=PositionSide.LONG
    )

    assert codes(decision) == [
        R.DUPLICATE_INTENT,
        R.INTENT_EXPIRED,
        R.QUANTITY_ABOVE_MAX,
        R.POSITION_SIDE_MISMATCH,
        R.CASH_INSUFFICIENT,
        R.MAX_ORDER_NOTIONAL,
        R.MAX_POSITION_NOTIONAL,
        R.MAX_GROSS_EXPOSURE,
    ]
    assert all("=" in cause.detail for cause in decision.causes)


def test_a_limit_must_be_positive() -> None:
    """A limit of zero would refuse everything: it is a mistake, said at once."""
    for name in ("max_order_notional", "max_position_notional", "max_gross_exposure"):
        with pytest.raises(ValueError, match=f"{name} is 0, expected a positive amount"):
            RiskLimits(**{name: Decimal(0)})


def test_a_refused_intent_changes_nothing_but_its_id() -> None:
    """No reservation, no exposure: the next intent is judged as if it had not been."""
    bench = Bench(100)

    assert codes(bench.open(BUY, 2)) == [R.CASH_INSUFFICIENT]
    assert approved(bench.open(BUY, 1))
