"""Money: fees, what an account can bear, funding, and books that balance."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from messages import FundingRate, Liquidity, OrderType, PositionMode, PositionSide

if TYPE_CHECKING:
    from tests.brokers.conftest import Venue, VenueMaker

PERPETUAL = "BTC/USDT:USDT"
LIMIT = OrderType.LIMIT
FEES: dict[str, Any] = {"maker_fee_bps": Decimal("1.5"), "taker_fee_bps": Decimal(4)}


# -- fees


def test_taking_pays_the_takers_fee_unrounded(make_venue: VenueMaker) -> None:
    """Notional times basis points over 10,000, to the last digit."""
    venue = make_venue(rules=FEES)
    venue.buy("0.33333333")
    venue.flat_bar(97.77)

    assert Liquidity.TAKER is venue.fill.liquidity
    assert Decimal("0.33333333") * Decimal("97.77") * Decimal("0.0004") == venue.fill.fee
    assert Decimal(1_000_000) - Decimal("0.33333333") * Decimal("97.77") - venue.fill.fee == (
        venue.cash
    )


def test_making_pays_the_makers_fee(make_venue: VenueMaker) -> None:
    """A limit that rested pays the lower rate."""
    venue = make_venue(rules=FEES)
    venue.buy("2", LIMIT, price="100")
    venue.bar(101.0, 102.0, 99.0, 101.0)

    assert Decimal("0.03") == venue.fill.fee


def test_a_negative_fee_is_a_rebate(make_venue: VenueMaker) -> None:
    """Some venues pay for liquidity."""
    venue = make_venue(rules={"maker_fee_bps": Decimal(-1)})
    venue.buy("2", LIMIT, price="100")
    venue.bar(101.0, 102.0, 99.0, 101.0)

    assert Decimal("-0.02") == venue.fill.fee
    assert Decimal("999800.02") == venue.cash


def test_fees_are_paid_on_the_slipped_price(make_venue: VenueMaker) -> None:
    """The notional is what was paid, not what was hoped for."""
    venue = make_venue(fee_bps="10", slippage_bps=Decimal(100))
    venue.buy("1")
    venue.flat_bar(100.0)

    assert Decimal("0.101") == venue.fill.fee


# -- spot


def test_a_buy_needs_its_cost_and_its_fee(make_venue: VenueMaker) -> None:
    """Exactly enough is enough."""
    venue = make_venue(deposit="100.1", fee_bps="10")
    venue.buy("1")

    assert ["1 filled 1 @ 100"] == venue.flat_bar(100.0)
    assert Decimal(0) == venue.cash


def test_a_buy_without_the_cash_is_cancelled_whole(make_venue: VenueMaker) -> None:
    """The smallest lack is a lack: no part is filled to fit, and the cause has the figures."""
    venue = make_venue(deposit="100.09999999", fee_bps="10")
    venue.buy("1")

    assert ["1 cancelled venue_insufficient_funds"] == venue.flat_bar(100.0)
    cause = venue.reports[-1].cause
    assert cause is not None
    assert "cash=100.09999999 needed=100.1000" == cause.detail
    assert Decimal("100.09999999") == venue.cash


def test_the_cash_of_a_sale_pays_for_the_next_buy(make_venue: VenueMaker) -> None:
    """Within one bar money moves in the order of the fills."""
    venue = make_venue(deposit="100")
    venue.hold("1")
    venue.sell("1")
    venue.buy("1")

    assert ["2 filled 1 @ 110", "3 filled 1 @ 110"] == venue.flat_bar(110.0)


def test_spot_is_never_sold_short(venue: Venue) -> None:
    """A sale of more than is held is cancelled; of all that is held it is not."""
    venue.hold("1")
    venue.sell("1.00000001")
    assert ["2 cancelled venue_insufficient_funds"] == venue.flat_bar(100.0)

    venue.sell("1")
    assert ["3 filled 1 @ 100"] == venue.flat_bar(100.0)


def test_an_order_that_was_filled_in_part_keeps_that_part(make_venue: VenueMaker) -> None:
    """Cash may run out between two partial fills: the rest is cancelled."""
    venue = make_venue(deposit="150", participation=Decimal("0.5"))
    venue.buy("2")

    assert ["1 partly filled 1 @ 100"] == venue.flat_bar(100.0, volume=2.0)
    assert ["1 cancelled venue_insufficient_funds"] == venue.flat_bar(100.0, volume=2.0)
    assert Decimal(1) == venue.position()


def test_a_venue_may_be_told_not_to_look_at_funds(make_venue: VenueMaker) -> None:
    """Then cash goes negative and spot goes short."""
    venue = make_venue(deposit="0", check_funds=False)
    venue.hold("-1")

    assert (Decimal(-1), Decimal(100)) == (venue.position(), venue.cash)


# -- perpetuals


def test_a_perpetual_moves_profit_not_value(perpetual: Venue) -> None:
    """Opening costs nothing but the fee; closing pays the difference."""
    perpetual.hold("2", 100.0)
    assert Decimal(1_000_000) == perpetual.cash

    perpetual.hold("-2", 110.0)
    assert Decimal(1_000_020) == perpetual.cash


def test_a_short_earns_when_the_price_falls(perpetual: Venue) -> None:
    """The mirror image of a long, part by part at average cost."""
    perpetual.hold("-3", 100.0)
    perpetual.hold("1", 90.0)
    assert Decimal(1_000_010) == perpetual.cash

    perpetual.hold("2", 105.0)
    assert Decimal(1_000_000) == perpetual.cash


def test_an_average_that_has_no_last_digit_loses_no_money(perpetual: Venue) -> None:
    """A third of a cost is rounded once, and what rounding took stays with the rest."""
    perpetual.hold("1", 100.0)
    perpetual.hold("1", 100.0)
    perpetual.hold("1", 101.0)
    for _ in range(3):
        perpetual.hold("-1", 100.0)

    assert Decimal(999_999) == perpetual.cash


@pytest.mark.parametrize(("deposit", "fills"), [("50.1", True), ("50.09", False)])
def test_a_perpetual_needs_its_initial_margin_and_fee(
    make_venue: VenueMaker, deposit: str, *, fills: bool
) -> None:
    """Margin times notional, plus the fee, must be free: exactly enough is enough."""
    venue = make_venue(
        PERPETUAL, deposit=deposit, fee_bps="10", rules={"initial_margin": Decimal("0.5")}
    )
    venue.sell("1")
    outcome = "filled 1 @ 100" if fills else "cancelled venue_insufficient_funds"

    assert [f"1 {outcome}"] == venue.flat_bar(100.0)


def test_margin_in_use_is_not_free(make_venue: VenueMaker) -> None:
    """A second position needs margin beside the first."""
    venue = make_venue(PERPETUAL, deposit="100", rules={"initial_margin": Decimal("0.5")})
    venue.hold("1")
    venue.buy("1", symbol="ETH/USDT:USDT")
    venue.buy("0.01", symbol="ETH/USDT:USDT")

    assert ["2 filled 1 @ 100", "3 cancelled venue_insufficient_funds"] == venue.bar(
        100.0, 100.0, 100.0, 100.0, symbol="ETH/USDT:USDT"
    )


def test_a_loss_not_yet_realised_is_not_free_either(make_venue: VenueMaker) -> None:
    """Equity counts what the marks say of the other positions."""
    venue = make_venue(PERPETUAL, deposit="100", rules={"initial_margin": Decimal("0.5")})
    venue.hold("1")
    venue.flat_bar(60.0)
    venue.buy("1", symbol="ETH/USDT:USDT")

    # 100 - 40 lost - 30 in use: 30 is free.
    assert ["2 filled 1 @ 60"] == venue.bar(60.0, 60.0, 60.0, 60.0, symbol="ETH/USDT:USDT")


def test_a_caller_may_lend_its_own_prices(make_venue: VenueMaker) -> None:
    """One that keeps idle symbols' bars from the engine knows better what they are worth."""
    venue = make_venue(PERPETUAL, deposit="150", mark_of={PERPETUAL: 90.0}.get)
    venue.hold("1")
    venue.buy("0.51", symbol="ETH/USDT:USDT")
    venue.buy("0.5", symbol="ETH/USDT:USDT")

    # 150 - 10 lost - 90 in use: 50 is free, at 100 each.
    assert ["2 cancelled venue_insufficient_funds", "3 filled 0.5 @ 100"] == venue.bar(
        100.0, 100.0, 100.0, 100.0, symbol="ETH/USDT:USDT"
    )


def test_a_position_of_unknown_price_is_valued_at_cost(make_venue: VenueMaker) -> None:
    """Neither profit nor loss is made up."""
    venue = make_venue(PERPETUAL, deposit="150", mark_of=lambda _symbol: None)
    venue.hold("1")
    venue.buy("0.51", symbol="ETH/USDT:USDT")
    venue.buy("0.5", symbol="ETH/USDT:USDT")

    assert ["2 cancelled venue_insufficient_funds", "3 filled 0.5 @ 100"] == venue.bar(
        100.0, 100.0, 100.0, 100.0, symbol="ETH/USDT:USDT"
    )


def test_reducing_needs_no_margin(make_venue: VenueMaker) -> None:
    """An account under water can always close."""
    venue = make_venue(PERPETUAL, deposit="100", fee_bps="10")
    venue.hold("0.9")
    venue.flat_bar(1.0)
    venue.sell("0.5")

    assert ["2 filled 0.5 @ 1"] == venue.flat_bar(1.0)


def test_all_of_a_position_can_be_closed_with_nothing_left(make_venue: VenueMaker) -> None:
    """Equity below zero does not lock a position in."""
    venue = make_venue(PERPETUAL, deposit="60", rules={"initial_margin": Decimal("0.5")})
    venue.hold("1")
    venue.sell("1")

    assert ["2 filled 1 @ 30"] == venue.flat_bar(30.0)
    assert Decimal(-10) == venue.cash


def test_a_profit_not_yet_realised_carries_an_addition(make_venue: VenueMaker) -> None:
    """Equity is what the position is worth at the price of the fill."""
    venue = make_venue(PERPETUAL, deposit="100", rules={"initial_margin": Decimal("0.5")})
    venue.hold("1", 100.0)
    venue.buy("1.01")
    venue.buy("1")

    # 150 of equity carry 300 of notional: two in all.
    assert ["2 cancelled venue_insufficient_funds", "3 filled 1 @ 150"] == venue.flat_bar(150.0)


def test_the_other_hedge_book_is_valued_at_the_fill_too(make_venue: VenueMaker) -> None:
    """Both books of a symbol have one price, the newest."""
    venue = make_venue(
        PERPETUAL,
        deposit="100",
        mode=PositionMode.HEDGE,
        rules={"initial_margin": Decimal("0.5")},
    )
    venue.hold("1", 100.0, position_side=PositionSide.LONG)
    venue.sell("1.01", position_side=PositionSide.SHORT)
    venue.sell("1", position_side=PositionSide.SHORT)

    # 120 of equity, 60 in use: 60 is free, at 60 each.
    assert ["2 cancelled venue_insufficient_funds", "3 filled 1 @ 120"] == venue.flat_bar(120.0)


def test_turning_round_needs_margin_for_the_new_side(make_venue: VenueMaker) -> None:
    """A flip is a close and an opening: the opening must be covered."""
    venue = make_venue(PERPETUAL, deposit="100")
    venue.hold("1")
    venue.sell("2.01")
    venue.sell("2")

    assert ["2 cancelled venue_insufficient_funds", "3 filled 2 @ 100"] == venue.flat_bar(100.0)


def test_both_hedge_books_need_margin(make_venue: VenueMaker) -> None:
    """A long and a short of one symbol do not cover each other."""
    venue = make_venue(PERPETUAL, deposit="150", mode=PositionMode.HEDGE)
    venue.hold("1", position_side=PositionSide.LONG)
    venue.sell("0.51", position_side=PositionSide.SHORT)
    venue.sell("0.5", position_side=PositionSide.SHORT)

    assert ["2 cancelled venue_insufficient_funds", "3 filled 0.5 @ 100"] == venue.flat_bar(100.0)


def test_margin_in_use_does_not_buy_spot(make_venue: VenueMaker) -> None:
    """One account, one cash: what covers a perpetual is not spent."""
    venue = make_venue(PERPETUAL, deposit="150")
    venue.hold("1")
    venue.buy("0.51", symbol="ETH/USDT")
    venue.buy("0.5", symbol="ETH/USDT")

    assert ["2 cancelled venue_insufficient_funds", "3 filled 0.5 @ 100"] == venue.bar(
        100.0, 100.0, 100.0, 100.0, symbol="ETH/USDT"
    )


def test_net_flow_is_free_of_what_counts_as_realised(make_venue: VenueMaker) -> None:
    """Deposit less buys plus sales less fees plus funding, for a perpetual half closed too."""
    venue = make_venue(PERPETUAL, fee_bps="10")
    venue.hold("1", 100.0)
    venue.hold("1", 130.0)
    venue.hold("-1", 120.0)
    venue.engine.on_funding(FundingRate(PERPETUAL, venue.now, 0.01), 100.0)
    balance = venue.engine.balance()

    assert Decimal(1_000_000) - 100 - 130 + 120 - Decimal("0.35") - 1 == balance.net_flow
    assert balance.cash - Decimal(115) == balance.net_flow


def test_the_net_flow_of_spot_is_its_cash(venue: Venue) -> None:
    """What is paid in full has nothing else to take off."""
    venue.hold("1")

    assert venue.cash == venue.engine.balance().net_flow


# -- funding


@pytest.mark.parametrize(
    ("held", "rate", "amount"),
    [
        ("2", 0.0001, "-0.022"),
        ("-2", 0.0001, "0.022"),
        ("2", -0.0001, "0.022"),
        ("-2", -0.0001, "-0.022"),
    ],
)
def test_a_long_pays_a_positive_rate_to_a_short(
    perpetual: Venue, held: str, rate: float, amount: str
) -> None:
    """Funding is quantity times mark times rate, exactly; negative is paid."""
    perpetual.hold(held)
    (payment,) = perpetual.engine.on_funding(FundingRate(PERPETUAL, perpetual.now, rate), 110.0)

    assert Decimal(amount) == payment.amount
    assert (Decimal(held), Decimal(110), perpetual.now) == (
        payment.quantity,
        payment.mark,
        payment.timestamp,
    )
    assert Decimal(1_000_000) + Decimal(amount) == perpetual.cash
    assert Decimal(amount) == perpetual.engine.balance().funding


def test_equal_hedge_books_pay_each_other(make_venue: VenueMaker) -> None:
    """Each book settles by itself; together they come to nothing."""
    venue = make_venue(PERPETUAL, mode=PositionMode.HEDGE)
    venue.hold("1", position_side=PositionSide.LONG)
    venue.hold("-1", position_side=PositionSide.SHORT)
    payments = venue.engine.on_funding(FundingRate(PERPETUAL, venue.now, 0.01), Decimal(100))

    assert [Decimal(-1), Decimal(1)] == [payment.amount for payment in payments]
    assert Decimal(1_000_000) == venue.cash


def test_neither_spot_nor_a_flat_book_pays_funding(venue: Venue, perpetual: Venue) -> None:
    """Funding is between open positions of a perpetual."""
    venue.hold("1")

    assert [] == venue.engine.on_funding(FundingRate("BTC/USDT", venue.now, 0.01), 100.0)
    assert [] == perpetual.engine.on_funding(FundingRate(PERPETUAL, venue.now, 0.01), 100.0)
