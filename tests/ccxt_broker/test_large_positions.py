"""A position that is larger than the venue takes in one order: what protects it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from ccxt_house import BTC, order, rules
from dialect_house import Desk, at_work, bar, opened, terms

from brokers.ccxt.rounding import Fitted, fitted, left_out
from messages import OrderType, PositionSide, ReasonCode, Side, VenueReport

FIRST, SECOND, STOP = (f"tg-0123456789-{number}" for number in (1, 2, 3))


@asynccontextmanager
async def holding(folder: Path) -> AsyncIterator[Desk]:
    """Hold more than the exchange takes in one order, bought by two."""
    venue = terms(BTC)
    small = {BTC: replace(venue.instruments[BTC], max_quantity=Decimal("0.05"))}
    venue = msgspec.structs.replace(venue, instruments=small)
    async with opened(folder, venue=venue) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as at:
            at.shown = 1
            for name in (FIRST, SECOND):
                at.broker.submit(order(name, "0.04"), 1)
                await at.until(lambda name=name: at.ended(name))
            yield at


def stop(kind: OrderType = OrderType.STOP) -> object:
    """Return what is to protect all of it."""
    return order(STOP, "0.08", side=Side.SELL, kind=kind, stop="49000", reduce_only=True)


async def test_a_stop_of_a_position_that_is_too_large_protects_what_it_can(tmp_path: Path) -> None:
    """
    Refused it would protect nothing of it; what it leaves is told as it is sent.

    Once it has filled the rest is for the next one, as of any order that reduces.
    """
    async with holding(tmp_path) as at:
        at.broker.submit(stop(), 1)  # type: ignore[arg-type]
        await at.until(lambda: "accepted" in at.life(STOP) or at.ended(STOP))
        rests = {STOP} == at.truth.live
        told = [each for each in at.tools if "the rest of the position" in each.detail]
        await at.bar(48_500.0)
        await at.until(lambda: at.ended(STOP))
        await at.quiet()
        held = at.broker.account().positions
        ends = [
            each.cause.code
            for each in at.news
            if isinstance(each, VenueReport)
            and each.client_order_id == STOP
            and each.cause is not None
        ]

    assert rests
    assert [(True, True)] == [(each.ok, "quantity=0.08 sent=0.05" in each.detail) for each in told]
    assert {(BTC, PositionSide.BOTH): Decimal("0.03")} == held
    assert [ReasonCode.FILLED_AS_SENT] == ends


@pytest.mark.parametrize(
    ("quantity", "given", "expected"),
    [
        ("6", {"price": "9"}, "quantity=6 max=5: no single stop at market leaves all of it"),
        ("5", {"price": "9"}, ""),
        ("5.0004", {"price": "9"}, ""),
        ("6", {"price": "9", "reduce_only": True}, ""),
        ("6", {"reduce_only": True}, ""),
        ("5.0004", {"stop": "9", "kind": OrderType.STOP, "reduce_only": True}, ""),
        (
            "6",
            {"stop": "9", "kind": OrderType.TRAILING_STOP, "reduce_only": True, "trail": "50"},
            "quantity=6 sent=5: the venue takes no more in one trailing_stop",
        ),
    ],
)
def test_whoever_opens_more_than_one_stop_leaves_is_told_then(
    quantity: str, given: dict[str, object], expected: str
) -> None:
    """A limit may be larger than any market order: that is known when it is sent, and not later."""
    market = rules(most="10", market_most="5")
    request = order(quantity=quantity, **given)  # type: ignore[arg-type]
    fit = fitted(request, market)

    assert isinstance(fit, Fitted)
    told = left_out(request, market, fit)
    assert bool(expected) is bool(told)
    assert expected in told
