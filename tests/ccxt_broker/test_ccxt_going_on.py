"""What a later process learns of what its venue did while there was none."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from binance_house import MINUTE, bar, terms
from ccxt_house import BTC, order
from dialect_house import at_work, opened
from msgspec.structs import replace

from actors.runtime.clock import wall_ms

REST, BUY = "tg-0123456789-1", "tg-0123456789-2"
DAY_MS = 24 * 60 * MINUTE


async def test_a_first_trade_while_nobody_lived_is_in_the_survey(tmp_path: Path) -> None:
    """
    An order at rest is filled, and the account had never traded before.

    Without that trade the position is nobody's, and the start would be refused.
    """
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            first.broker.submit(order(REST, "0.02", price="49500"), 1)
            await first.until(lambda: "accepted" in first.life(REST))
            state = first.broker.snapshot()
        await exchange.server.show(BTC, [bar(1, 49_000.0)])
        async with at_work(exchange, state=state) as second:
            survey = await second.broker.survey()
            traded = second.truth.fills

    assert 1 == len(traded)
    assert [REST] == [fill.client_order_id for fill in survey.fills]
    assert {f"BTCUSDT:{trade}" for trade in traded} == {fill.trade_id for fill in survey.fills}


@pytest.mark.parametrize(
    ("row", "surveyed"),
    [
        ({}, [BUY, REST]),
        ({"trades_after": ""}, [BUY, REST]),
        ({"trades_span_ms": 0}, [BUY]),
    ],
    ids=["by the id of the last one", "week by week", "without the table's word"],
)
async def test_a_trade_long_after_the_last_one_is_in_the_survey(
    row: dict[str, Any], surveyed: list[str], tmp_path: Path
) -> None:
    """The venue lists a week from a date on: nine days later it is asked for more than that."""
    days_ago, now = wall_ms() - 9 * DAY_MS, wall_ms() - MINUTE
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [replace(bar(0), timestamp=days_ago)])
        async with at_work(exchange) as first:
            first.broker.submit(order(BUY, "0.02"), 1)
            first.broker.submit(order(REST, "0.02", price="49500"), 1)
            await first.until(lambda: first.ended(BUY) and "accepted" in first.life(REST))
            state = first.broker.snapshot()
        await exchange.server.show(BTC, [replace(bar(1, 49_000.0), timestamp=now)])
        async with at_work(exchange, state=state) as second:
            calls = second.broker._at.calls
            calls.row = dataclasses.replace(calls.row, **row)
            survey = await second.broker.survey()

    assert surveyed == [fill.client_order_id for fill in survey.fills]


@pytest.mark.parametrize(("is_live", "surveyed"), [(True, [REST]), (False, [])])
async def test_what_a_live_order_traded_before_the_newest_trade_is_in_the_survey(
    is_live: bool, surveyed: list[str], tmp_path: Path
) -> None:
    """Its news was lost, later news was not, and the process died before it had asked."""
    resting = order(REST, "0.02", price="49500")
    now = wall_ms() - MINUTE
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [replace(bar(0), timestamp=now - DAY_MS)])
        async with at_work(exchange) as first:
            first.broker.submit(resting, 1)
            await first.until(lambda: "accepted" in first.life(REST))
            state = first.broker.snapshot()
        await exchange.server.show(BTC, [replace(bar(1, 49_000.0), timestamp=now - DAY_MS // 2)])
        async with at_work(exchange, state={**state, "traded_at": now}) as second:
            if is_live:
                second.broker.acquaint([resting])
            survey = await second.broker.survey()

    assert surveyed == [fill.client_order_id for fill in survey.fills]


async def test_a_new_session_surveys_no_trades_of_before(tmp_path: Path) -> None:
    """They are in the account that it begins with."""
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            first.broker.submit(order(REST, "0.02"), 1)
            await first.until(lambda: first.ended(REST))
        async with at_work(exchange) as second:
            survey = await second.broker.survey()

    assert () == survey.fills
