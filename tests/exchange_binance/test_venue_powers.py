"""What the venue does by itself adds up whatever is done to it, and is in its log."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from binance_house import BTC, ETH, START, bar, instrument, terms
from hypothesis import given
from hypothesis import strategies as st

from brokers.virtual.wire import FundingAtMark, Shown
from messages import (
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
)
from scenarios.exchange.binanceusdm.listing import exchange_terms
from scenarios.exchange.facts import Fact, FactKind, Setting
from scenarios.exchange.truth import fold_truth
from scenarios.exchange.venue import DELEVERAGING, LIQUIDATION, TruthContradicted, Venue, restored

symbols = st.sampled_from([BTC, ETH])
prices = st.sampled_from(["40000", "47000", "49500", "50000", "50500", "53000", "60000"])
names = st.sampled_from(["a", "b", "c", "d"])
steps = st.one_of(
    st.tuples(
        st.just("submit"),
        names,
        symbols,
        st.sampled_from(list(Side)),
        st.sampled_from(["0.01", "0.2", "0.9"]),
        st.one_of(st.none(), prices),
        st.booleans(),
    ),
    st.tuples(st.just("stop"), names, symbols, st.sampled_from(list(Side)), prices),
    st.tuples(st.just("cancel"), names),
    st.tuples(st.just("amend"), names, st.sampled_from(["0.01", "0.3"]), prices),
    st.tuples(st.just("meet"), names, st.sampled_from(["0.005", "1"]), prices),
    st.tuples(st.just("force"), symbols, st.sampled_from([LIQUIDATION, DELEVERAGING])),
    st.tuples(st.just("leverage"), symbols, st.sampled_from([1, 3, 20, 125])),
    st.tuples(st.just("mode"), st.sampled_from(list(PositionMode))),
    st.tuples(st.just("bar"), symbols, prices, prices),
    st.tuples(st.just("funding"), symbols, st.sampled_from([0.001, -0.003])),
)


def request(
    name: str, symbol: str, side: Side, kind: OrderType, quantity: str, **terms_of: object
) -> OrderRequest:
    """Return an order."""
    values = {
        "order_id": name,
        "client_order_id": name,
        "strategy": "",
        "symbol": symbol,
        "side": side,
        "position_side": PositionSide.BOTH,
        "order_type": kind,
        "time_in_force": TimeInForce.GTC,
        "quantity": Decimal(quantity),
        "created_at": START,
        **terms_of,
    }
    return OrderRequest(**values)  # type: ignore[arg-type]


def done(venue: Venue, number: int, move: tuple[object, ...]) -> list[Fact]:
    """Do one thing to the venue."""
    hedged = venue.position_mode is PositionMode.HEDGE
    match move:
        case ("submit", str(name), str(symbol), Side() as side, str(quantity), price, reduces):
            book = PositionSide.BOTH
            if hedged:
                book = (
                    PositionSide.LONG if (side is Side.BUY) is not reduces else PositionSide.SHORT
                )
            kind = OrderType.MARKET if price is None else OrderType.LIMIT
            limit = None if price is None else Decimal(str(price))
            asked = request(
                name,
                symbol,
                side,
                kind,
                quantity,
                price=limit,
                reduce_only=bool(reduces) and not hedged,
                position_side=book,
            )
            return venue.submit(asked)
        case ("stop", str(name), str(symbol), Side() as side, str(stop)):
            book = PositionSide.LONG if hedged else PositionSide.BOTH
            asked = request(
                name,
                symbol,
                side,
                OrderType.STOP,
                "0.01",
                stop_price=Decimal(stop),
                position_side=book,
            )
            return venue.submit(asked)
        case ("cancel", str(name)):
            return venue.cancel(venue.current(name))
        case ("amend", str(name), str(quantity), str(price)):
            return venue.amend(venue.current(name), Decimal(quantity), Decimal(price))[1]
        case ("meet", str(name), str(quantity), str(price)):
            return venue.meet(venue.current(name), Decimal(quantity), Decimal(price))
        case ("force", str(symbol), str(reason)):
            return venue.force(symbol, reason, Decimal("0.5"))
        case ("leverage", str(symbol), int(leverage)):
            return venue.set(Setting(symbol, leverage=leverage))
        case ("mode", PositionMode() as mode):
            try:
                return venue.set(Setting(position_mode=mode))
            except ValueError:
                return []
        case ("bar", str(symbol), str(first), str(last)):
            low, high = sorted((float(first), float(last)))
            piece = bar(number, float(last), symbol, open=float(first), low=low, high=high)
            return venue.show(Shown("m", venue.shown.get("m", 0) + 1, (piece,)))
        case ("funding", str(symbol), float(rate)):
            paid = FundingAtMark(symbol, START + number * 60_000, rate, Decimal(50_000))
            return venue.show(Shown("m", venue.shown.get("m", 0) + 1, (paid,)))
        case _:
            raise AssertionError(move)


@given(st.lists(steps, max_size=40))
def test_whatever_is_done_the_log_adds_up_and_makes_the_same_venue(
    moves: list[tuple[object, ...]],
) -> None:
    """
    Money is what the facts add up to, positions are what was filled, ids of live orders are
    unique, and a venue made from any beginning of the log goes on with the rest of it.
    """
    venue = Venue(exchange_terms(terms(deposit="3000")))
    facts = list(venue.opening)
    for number, move in enumerate(moves):
        facts += done(venue, number, move)
    truth = fold_truth(facts)
    again, unwritten = restored(facts)
    held = {(each.symbol, each.position_side): each.quantity for each in venue.engine.positions()}

    assert truth.net_flow == venue.engine.balance().net_flow
    assert truth.held == held
    assert truth.live == {order.client_order_id for order in venue.engine.open_orders()}
    assert [] == truth.repeated
    assert [] == unwritten
    assert again.engine.snapshot() == venue.engine.snapshot()
    assert (again.leverage, again.position_mode) == (venue.leverage, venue.position_mode)
    assert all(after.n == before.n + 1 for before, after in pairwise(facts))
    cut = len(facts) // 2
    part, missing = restored(facts[: cut + 1])
    assert part.engine.snapshot()["order_count"] <= venue.engine.snapshot()["order_count"]
    assert missing == facts[cut + 1 : cut + 1 + len(missing)]


def test_a_setting_that_was_changed_in_the_log_is_found() -> None:
    """The ablation: a log that says another leverage than was set does not make the same venue."""
    venue = Venue(exchange_terms(terms(deposit="3000")))
    facts = [*venue.opening, *venue.set(Setting(BTC, leverage=1))]
    facts += done(venue, 0, ("bar", BTC, "50000", "50000"))
    facts += done(venue, 1, ("submit", "a", BTC, Side.BUY, "0.2", None, False))
    assert FactKind.REJECTED is facts[-1].fact
    forged = [fact for fact in facts if fact.fact is not FactKind.SET]

    with pytest.raises(TruthContradicted):
        restored(forged)


def test_the_second_order_of_an_id_is_a_duplicate_to_whoever_compares() -> None:
    """The venue lets it in; the comparison says that it reached the venue again."""
    venue = Venue(exchange_terms(terms()))
    facts = list(venue.opening)
    facts += done(venue, 0, ("bar", BTC, "50000", "50000"))
    for number in (1, 2):
        facts += done(venue, number, ("submit", "a", BTC, Side.BUY, "0.01", None, False))
    truth = fold_truth(facts)

    assert ["a"] == truth.sent_again
    assert {"a", "a#2"} == set(truth.orders)
    assert Decimal("0.02") == truth.held[BTC, PositionSide.BOTH]


def test_a_liquidated_account_owes_nothing_and_gets_nothing() -> None:
    """What the fund puts in is exactly what was missing."""
    venue = Venue(exchange_terms(terms(deposit="1000")))
    facts = list(venue.opening)
    facts += done(venue, 0, ("bar", BTC, "50000", "50000"))
    facts += done(venue, 1, ("submit", "a", BTC, Side.SELL, "0.3", None, False))
    facts += done(venue, 2, ("bar", BTC, "60000", "60000"))
    insured = [fact.payment for fact in facts if fact.fact is FactKind.INSURED]

    assert Decimal(0) == venue.engine.balance().cash
    assert insured[0] is not None
    assert Decimal(60_000 - 50_000) * Decimal("0.3") < insured[0].amount + 1000
    assert instrument(BTC).taker_fee_bps == 5
