"""Orders that wait for a price, at venues that keep them apart: cancelled, told of, emptied."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from bybit_words import Bybit
from capture_venue import CLOCK, SECRETS, Capture, Desk, serving, trading
from ccxt_house import NAME, order
from stranger import Books, Market
from strangers_house import KINDS

from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import OKX_ALGOS
from brokers.ccxt.emergency import CcxtEmergency
from brokers.ccxt.lanes import Lane
from messages import OrderEvent, OrderType, Side, VenueTrades

SPOT_PAIR = "BTC/USDT"
PAIR = Market(SPOT_PAIR, "BTCUSDT", spot=True)
A_STOP: dict[str, Any] = {"symbol": SPOT_PAIR, "side": Side.SELL, "kind": OrderType.STOP,
                          "stop": "49000"}  # fmt: skip


async def stopped(desk: Desk) -> None:
    """Have a stop wait on spot, cancel it, and ask what became of it."""
    request = order(NAME, "0.5", **A_STOP)
    await desk.ordering.submit(request, Lane.REDUCE)
    known_order = desk.orders.named(NAME)
    assert known_order is not None
    await desk.ordering.cancel(known_order)
    await desk.ordering.query(NAME, 5)


async def test_a_stop_on_spot_is_cancelled_as_the_kind_that_it_is(tmp_path: Path) -> None:
    """
    Bybit looks for the order of a cancel among those of one kind, and that is told as its end.

    ccxt says the wrong kind: the order would be unknown to the cancel, and open to a question.
    """
    books = Books(PAIR)
    async with trading("bybit", tmp_path, Bybit(books).answer, symbols=(SPOT_PAIR,)) as desk:
        await stopped(desk)
        (cancel,) = desk.capture.of("POST", "/order/cancel")

    assert "tpslOrder" == cancel.fields["orderFilter"]
    assert ["cancelled"] == [each.status for each in books.orders.values()]
    assert [OrderEvent.CANCELLED] == [each.ended for each in desk.answers()]


async def test_without_its_kind_a_stop_on_spot_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: the cancel is answered with an unknown order, and nothing has ended."""
    monkeypatch.setattr(Calls, "_kind", lambda *_: {})
    books = Books(PAIR)
    async with trading("bybit", tmp_path, Bybit(books).answer, symbols=(SPOT_PAIR,)) as desk:
        await stopped(desk)

    assert ["open"] == [each.status for each in books.orders.values()]
    assert [True] == [each.open for each in desk.answers()]


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_an_emergency_cancels_whatever_waits_on_spot(
    one_by_one: bool, tmp_path: Path
) -> None:
    """Each kind by itself, for no call there is of all of them."""
    books = Books(PAIR)
    books.place("", "buy", "0.5", "46000")
    for kind in ("tpslOrder", "StopOrder"):
        books.place("", "sell", "0.5", waits=kind)
    capture = Capture(Bybit(books).answer)
    async with serving(capture, tmp_path) as (port, ca):
        address = CcxtAddress("bybit", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        emergency = CcxtEmergency(address, CLOCK)
        try:
            assert await emergency.connect() is None
            resting = await emergency.resting()
            assert isinstance(resting, list)
            assert [] == list(await emergency.cancel(resting, one_by_one=one_by_one))
        finally:
            await emergency.shut()

    assert 3 == len(resting)
    assert [] == books.open()


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_an_emergency_finds_what_waits_in_lists_of_its_own(
    one_by_one: bool, tmp_path: Path
) -> None:
    """
    A session places none of them at OKX, but whoever owns the account may have.

    Unlisted they would stay, and the account would be called empty.
    """
    dialect, market = KINDS["okx"]
    books = Books(market)
    books.place("", "buy", 5, "46000")
    for kind in OKX_ALGOS:
        books.place("", "sell", 5, waits=kind)
    capture = Capture(dialect(books).answer)
    async with serving(capture, tmp_path) as (port, ca):
        address = CcxtAddress("okx", secrets=SECRETS, loopback_port=port, loopback_ca=ca)
        emergency = CcxtEmergency(address, CLOCK)
        try:
            assert await emergency.connect() is None
            resting = await emergency.resting()
            assert isinstance(resting, list)
            assert [] == list(await emergency.cancel(resting, one_by_one=one_by_one))
            assert [] == await emergency.resting()
        finally:
            await emergency.shut()

    assert [False, *[True] * len(OKX_ALGOS)] == [each.waits for each in resting]
    assert [] == books.open()


async def test_a_stop_that_waits_does_not_keep_a_strangers_trade_from_being_told(
    tmp_path: Path,
) -> None:
    """
    At Bybit a stop that is triggered keeps its id: no trade of another id can be of it.

    ccxt asks for no single order there, so every trade of somebody else was without an answer, and
    the list of trades with it, for as long as a stop waited on that side.
    """
    dialect, market = KINDS["bybit"]
    books = Books(market)
    async with trading("bybit", tmp_path, dialect(books).answer, symbols=(market.symbol,)) as desk:
        books.place("", "buy", "0.5")
        waits = order(
            NAME, "0.5", symbol=market.symbol, side=Side.SELL, kind=OrderType.STOP, stop="49000",
            reduce_only=True,
        )  # fmt: skip
        await desk.ordering.submit(waits, Lane.REDUCE)
        books.place("", "sell", "0.1")
        await desk.ordering.list_trades(0)
        (listed,) = [each for each in desk.news if isinstance(each, VenueTrades)]

    assert [] == desk.trouble
    assert [Side.BUY, Side.SELL] == [fill.side for fill in listed.trades]
