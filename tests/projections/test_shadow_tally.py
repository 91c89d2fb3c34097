"""What a shadow's twin missed the market by, to the last digit."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from messages import (
    ExecutionReport,
    Fill,
    Liquidity,
    OrderEvent,
    OrderStatus,
    OrderWithheld,
    PositionSide,
    Side,
)
from state.money import EXACT
from state.projections.limits import QUOTE_AGE_MS_MAX
from state.projections.shadow_summary import ShadowResult
from state.projections.shadow_tally import ShadowTally

D = Decimal
NAME = "tg-a-1-1"


def withheld(
    side: Side = Side.BUY, *, decided: str | None = "100", age_ms: int = 0
) -> OrderWithheld:
    """Return an order of 2 that stayed here, the market at 99.9 to 100.1."""
    return OrderWithheld(
        50_000,
        NAME,
        "sma",
        "BTC/USDT",
        side,
        D(2),
        None if decided is None else D(decided),
        99.9,
        100.1,
        50_000 - age_ms,
    )


def filled(
    price: str, quantity: str, side: Side = Side.BUY, *, last: bool = True
) -> ExecutionReport:
    """Return a fill of it."""
    fill = Fill(
        f"t{price}{quantity}",
        "a-1-1",
        NAME,
        "sma",
        "BTC/USDT",
        side,
        PositionSide.BOTH,
        D(quantity),
        D(price),
        D(0),
        "USDT",
        Liquidity.TAKER,
        60_000,
    )
    return ExecutionReport(
        "a-1-1",
        NAME,
        "sma",
        "BTC/USDT",
        OrderEvent.FILLED,
        OrderStatus.FILLED if last else OrderStatus.PARTIALLY_FILLED,
        60_000,
        D(quantity),
        fill=fill,
    )


def tallied(first: OrderWithheld, *reports: ExecutionReport) -> ShadowResult:
    """Return the only result of one order and its fills."""
    tally = ShadowTally()
    with localcontext(EXACT):
        tally.handlers()[OrderWithheld](first)
        for report in reports:
            tally.on_report(report)
        (result,) = tally.results()
    return result


def test_a_buy_is_compared_with_what_was_decided_and_with_the_ask() -> None:
    """In two parts, by notional: half a unit of money on two, and the worst of them by itself."""
    result = tallied(withheld(), filled("100.1", "1", last=False), filled("100.4", "1"))

    assert (1, 2, D("200.5")) == (result.orders, result.fills, result.volume)
    assert (D("0.5"), D(25), D(40)) == (result.slippage, result.slippage_bps, result.worst_bps)
    assert 2 == result.quoted_fills
    assert result.quote_bps is not None
    assert D("14.99") == result.quote_bps.quantize(D("0.01"))


def test_a_sale_is_adverse_the_other_way() -> None:
    """Sold above the bid and above what was decided: better, so the signs are negative."""
    result = tallied(withheld(Side.SELL), filled("100.1", "2", Side.SELL))

    assert (D("-0.2"), D(-10)) == (result.slippage, result.slippage_bps)
    assert result.quote_bps is not None
    assert result.quote_bps < 0


@pytest.mark.parametrize(("age_ms", "count"), [(QUOTE_AGE_MS_MAX, 1), (QUOTE_AGE_MS_MAX + 1, 0)])
def test_an_old_quote_is_not_the_market(age_ms: int, count: int) -> None:
    """It is left out, and said to be: the fill counts, and not among those with a quote."""
    result = tallied(withheld(age_ms=age_ms), filled("100", "2"))

    assert (1, count) == (result.fills, result.quoted_fills)
    assert (result.quote_bps is None) is (count == 0)


def test_a_decision_without_a_price_is_compared_with_the_quote_alone() -> None:
    """Nobody makes up what a strategy has not said."""
    result = tallied(withheld(decided=None), filled("100.1", "2"))

    assert (D(0), None, None) == (result.slippage, result.slippage_bps, result.worst_bps)
    assert D(0) == result.quote_bps


def test_orders_that_were_not_withheld_are_nobodys_twin() -> None:
    """A paper session has no such table."""
    tally = ShadowTally()
    tally.on_report(filled("100", "2"))

    assert () == tally.results()
