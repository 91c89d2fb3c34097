"""What holds for every order flow on every market: money, quantity, prices, determinism."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.matching import EngineConfig, MatchingEngine, matcher
from messages import (
    Bar,
    Fill,
    FundingRate,
    Liquidity,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
    VenueReport,
)
from state.instruments import Instrument

pytestmark = pytest.mark.exhaustive

MINUTE = 60_000
START = 1_700_000_000_000 // MINUTE * MINUTE
SPOT = "BTC/USDT"
PERPETUAL = "BTC/USDT:USDT"
DEPOSIT = Decimal(5_000)
ZERO = Decimal(0)
FINAL = {OrderEvent.FILLED, OrderEvent.CANCELLED, OrderEvent.EXPIRED, OrderEvent.REJECTED}
WITH_LIMIT = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)

# Prices within a few ticks of each other, so that equality, gaps and ties are common.
prices = st.integers(90, 110).map(lambda units: Decimal(units) / 2)
bar_prices = st.lists(st.integers(90, 110).map(lambda units: units / 2), min_size=4, max_size=4)


@dataclass(frozen=True)
class Step:
    """Orders decided at one close, a cancel perhaps, then the bar that they meet."""

    orders: tuple[dict[str, Any], ...]
    cancel: int | None
    bar: tuple[float, float, float, float, float]
    funding: float | None


@dataclass
class Run:
    """What came out of a flow: per step its bar and reports, in order."""

    engine: MatchingEngine
    requests: dict[str, OrderRequest]
    told: list[tuple[Bar, list[VenueReport]]]
    reports: list[VenueReport]

    @property
    def fills(self) -> list[Fill]:
        """Return all fills in order."""
        return [report.fill for report in self.reports if report.fill is not None]


@st.composite
def bars(draw: st.DrawFn) -> tuple[float, float, float, float, float]:
    """Draw open, high, low, close and volume of one bar."""
    drawn = draw(bar_prices)
    open_, close = draw(st.permutations(drawn))[:2]
    volume = draw(st.sampled_from([0.0, 0.5, 1.7, 10.0, 100.0]))
    return open_, max(drawn), min(drawn), close, volume


@st.composite
def order_terms(draw: st.DrawFn, sides: tuple[PositionSide, ...]) -> dict[str, Any]:
    """Draw an order: of any type and terms, most of them sensible."""
    kind = draw(st.sampled_from(OrderType))
    return {
        "side": draw(st.sampled_from(Side)),
        "position_side": draw(st.sampled_from(sides)),
        "order_type": kind,
        "time_in_force": draw(st.sampled_from(TimeInForce)),
        "quantity": draw(st.integers(1, 60)) / Decimal(10),
        "reduce_only": draw(st.booleans()),
        "post_only": draw(st.booleans()) and kind in WITH_LIMIT,
        "price": draw(prices),
        "stop_price": draw(prices),
        "trail_bps": Decimal(draw(st.integers(1, 900))),
        "expire_at": draw(st.none() | st.integers(1, 5).map(lambda n: START + n * 90_000)),
    }


def flows(*sides: PositionSide) -> st.SearchStrategy[list[Step]]:
    """Return flows of up to a dozen steps on the given books."""
    step = st.builds(
        Step,
        st.lists(order_terms(sides), max_size=3).map(tuple),
        st.none() | st.integers(0, 8),
        bars(),
        st.none() | st.sampled_from([-0.01, 0.0001, 0.013]),
    )
    return st.lists(step, min_size=1, max_size=12)


configs = st.builds(
    EngineConfig,
    st.just("property"),
    slippage_bps=st.sampled_from([ZERO, Decimal("2.5"), Decimal(100)]),
    latency_ms=st.sampled_from([0, 0, 1, MINUTE]),
    participation=st.sampled_from([Decimal(1), Decimal("0.5"), Decimal("0.1")]),
)


def run(flow: list[Step], symbol: str, config: EngineConfig, **rules: Any) -> Run:
    """Play a flow through a new engine."""
    instrument = replace(Instrument.permissive(symbol, Decimal("7.5")), **rules)
    engine = MatchingEngine({symbol: instrument}, config, currency="USDT", deposit=DEPOSIT)
    played = Run(engine, {}, [], [])
    now = START
    for step in flow:
        for terms in step.orders:
            name = str(len(played.requests))
            request = OrderRequest(
                order_id=name,
                client_order_id=name,
                strategy="s",
                symbol=symbol,
                created_at=now,
                **terms,
            )
            played.requests[name] = request
            played.reports += engine.submit(request, now)
        if step.cancel is not None:
            played.reports += engine.cancel(str(step.cancel), now)
        if step.funding is not None:
            engine.on_funding(FundingRate(symbol, now, step.funding), 50.0)
        open_, high, low, close, volume = step.bar
        bar = Bar(symbol, now, open_, high, low, close, volume, MINUTE)
        told = engine.on_bar(bar)
        played.told.append((bar, told))
        played.reports += told
        now += MINUTE
    return played


def signed(fill: Fill) -> Decimal:
    """Return a fill's quantity with its direction."""
    return fill.quantity * fill.side.sign


# -- quantity and order


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_fills_are_positive_and_never_more_than_ordered(
    flow: list[Step], config: EngineConfig
) -> None:
    """Quantity is conserved: order by order, and from fills to positions."""
    played = run(flow, PERPETUAL, config)
    filled = dict.fromkeys(played.requests, ZERO)
    for fill in played.fills:
        assert fill.quantity > ZERO
        filled[fill.client_order_id] += fill.quantity

    assert all(filled[name] <= request.quantity for name, request in played.requests.items())
    held = sum((position.quantity for position in played.engine.positions()), ZERO)
    assert held == sum((signed(fill) for fill in played.fills), ZERO)
    assert len(played.fills) == len({fill.trade_id for fill in played.fills})


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_an_orders_reports_tell_one_life(flow: list[Step], config: EngineConfig) -> None:
    """Accepted or rejected first, then partial fills, then one end; live orders have none."""
    played = run(flow, PERPETUAL, config)
    live = {order.client_order_id for order in played.engine.open_orders()}
    for name, request in played.requests.items():
        events = [report.event for report in played.reports if report.client_order_id == name]
        ends = [event for event in events if event in FINAL]
        filled = sum((fill.quantity for fill in played.fills if fill.client_order_id == name), ZERO)

        assert events[0] in {OrderEvent.ACCEPTED, OrderEvent.REJECTED}
        assert all(event is OrderEvent.FILLED_PARTLY for event in events[1:-1])
        assert ends == ([] if name in live else [events[-1]])
        assert (OrderEvent.FILLED in ends) == (filled == request.quantity)
        assert (OrderEvent.REJECTED in ends) == (len(events) == 1 and name not in live)


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_no_bar_gives_more_than_its_share(flow: list[Step], config: EngineConfig) -> None:
    """Below a participation of one, the fills of a bar fit into its share of volume."""
    for bar, told in run(flow, PERPETUAL, config).told:
        taken = sum((report.fill.quantity for report in told if report.fill is not None), ZERO)

        assert config.participation == 1 or taken <= (
            Decimal(repr(bar.volume)) * config.participation
        )


# -- price


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_no_fill_is_outside_its_bar_but_for_slippage(
    flow: list[Step], config: EngineConfig
) -> None:
    """What never traded cannot be had; slippage moves a price only against the order."""
    rate = config.slippage_bps / 10_000
    for bar, told in run(flow, PERPETUAL, config).told:
        low, high = Decimal(repr(bar.low)), Decimal(repr(bar.high))
        for fill in [report.fill for report in told if report.fill is not None]:
            upper = high * (1 + rate) if fill.side is Side.BUY else high
            lower = low * (1 - rate) if fill.side is Side.SELL else low

            assert lower <= fill.price <= upper
            assert bar.timestamp == fill.timestamp


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_a_limit_never_gets_worse_than_its_price(flow: list[Step], config: EngineConfig) -> None:
    """Nor does slippage make it so."""
    played = run(flow, PERPETUAL, config)
    for fill in played.fills:
        request = played.requests[fill.client_order_id]
        if request.order_type in WITH_LIMIT:
            assert request.price is not None
            assert fill.side.sign * (fill.price - request.price) <= 0
        if request.post_only:
            assert fill.liquidity is Liquidity.MAKER


@settings(max_examples=40)
@given(flows(PositionSide.BOTH), configs)
def test_no_order_meets_a_bar_before_it_arrives(flow: list[Step], config: EngineConfig) -> None:
    """A fill is no earlier than decision plus latency."""
    played = run(flow, PERPETUAL, config)
    for fill in played.fills:
        request = played.requests[fill.client_order_id]

        assert fill.timestamp >= request.created_at + config.latency_ms


# -- money


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_spot_money_is_conserved_and_never_negative(flow: list[Step], config: EngineConfig) -> None:
    """Cash is deposit less buys plus sales less fees, at every step; holdings are never short."""
    played = run(flow, SPOT, config)
    cash, held = DEPOSIT, ZERO
    for fill in played.fills:
        cash -= signed(fill) * fill.price + fill.fee
        held += signed(fill)

        assert cash >= ZERO
        assert held >= ZERO
    assert cash == played.engine.balance().cash


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_perpetual_money_is_conserved(flow: list[Step], config: EngineConfig) -> None:
    """Equity is deposit plus what the fills moved at the mark, less fees, plus funding, exactly."""
    played = run(flow, PERPETUAL, config)
    account, balance, mark = played.engine.account, played.engine.balance(), Decimal("51.37")
    equity = balance.cash + sum(
        (book.quantity * mark - book.cost for book in account.positions), ZERO
    )
    moved = sum((signed(fill) * (mark - fill.price) for fill in played.fills), ZERO)
    fees = sum((fill.fee for fill in played.fills), ZERO)

    assert fees == balance.fees
    assert DEPOSIT + moved - fees + balance.funding == equity
    assert DEPOSIT - sum((signed(fill) * fill.price for fill in played.fills), ZERO) == (
        balance.net_flow + fees - balance.funding
    )
    assert DEPOSIT + balance.realized_pnl - fees + balance.funding == balance.cash


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_every_fee_is_its_rate_of_the_notional(flow: list[Step], config: EngineConfig) -> None:
    """Maker and taker each pay their own, unrounded."""
    played = run(flow, PERPETUAL, config, maker_fee_bps=Decimal("-0.3"))
    rates = {Liquidity.MAKER: Decimal("-0.00003"), Liquidity.TAKER: Decimal("0.00075")}

    assert all(
        fill.fee == fill.quantity * fill.price * rates[fill.liquidity] for fill in played.fills
    )


# -- reducing


@settings(max_examples=80)
@given(flows(PositionSide.BOTH), configs)
def test_what_can_only_reduce_never_opens_or_flips(flow: list[Step], config: EngineConfig) -> None:
    """A reduce-only fill leaves the position nearer to flat, on the same side or flat."""
    played = run(flow, PERPETUAL, config)
    held = ZERO
    for fill in played.fills:
        after = held + signed(fill)
        if played.requests[fill.client_order_id].reduce_only:
            assert abs(after) < abs(held)
            assert after * held >= ZERO
        held = after


@settings(max_examples=60)
@given(flows(PositionSide.LONG, PositionSide.SHORT), configs)
def test_hedge_books_keep_their_side(flow: list[Step], config: EngineConfig) -> None:
    """A long book is never short and a short book never long, after any fill."""
    played = run(flow, PERPETUAL, replace(config, position_mode=PositionMode.HEDGE))
    held = {PositionSide.LONG: ZERO, PositionSide.SHORT: ZERO}
    for fill in played.fills:
        held[fill.position_side] += signed(fill)

        assert held[PositionSide.LONG] >= ZERO >= held[PositionSide.SHORT]
    assert {side: quantity for side, quantity in held.items() if quantity} == {
        position.position_side: position.quantity for position in played.engine.positions()
    }


# -- determinism


@settings(max_examples=30)
@given(flows(PositionSide.BOTH), configs)
def test_the_same_inputs_give_the_same_outputs(flow: list[Step], config: EngineConfig) -> None:
    """Two engines told the same say the same, and end in the same state."""
    one, other = run(flow, PERPETUAL, config), run(flow, PERPETUAL, config)

    assert one.reports == other.reports
    assert json.dumps(one.engine.snapshot()) == json.dumps(other.engine.snapshot())


@settings(max_examples=40)
@given(flows(PositionSide.BOTH), flows(PositionSide.BOTH), configs)
def test_a_restart_anywhere_changes_nothing(
    before: list[Step], after: list[Step], config: EngineConfig
) -> None:
    """An engine restored from JSON goes on exactly like the one that never stopped."""
    played = run(before, PERPETUAL, config)
    restored = run([], PERPETUAL, config).engine
    restored.restore(json.loads(json.dumps(played.engine.snapshot())))
    now = START + len(before) * MINUTE
    outcomes = [[_bar_reports(engine, now, after) for engine in (played.engine, restored)]]

    assert all(one == other for one, other in outcomes)
    assert played.engine.snapshot() == restored.snapshot()


def _bar_reports(engine: MatchingEngine, now: int, flow: list[Step]) -> list[VenueReport]:
    reports = []
    for number, step in enumerate(flow):
        open_, high, low, close, volume = step.bar
        at = now + number * MINUTE
        reports += engine.on_bar(Bar(PERPETUAL, at, open_, high, low, close, volume, MINUTE))
    return reports


@settings(max_examples=60)
@given(flows(PositionSide.BOTH), configs)
def test_who_is_far_is_passed_over_and_nobody_can_tell(
    flow: list[Step], config: EngineConfig
) -> None:
    """Giving every order its turn, those too that a bar plainly leaves alone, gives the same."""
    quick = run(flow, PERPETUAL, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matcher, "is_far", lambda *_: False)
        thorough = run(flow, PERPETUAL, config)

    assert quick.reports == thorough.reports
    assert quick.engine.snapshot() == thorough.engine.snapshot()
