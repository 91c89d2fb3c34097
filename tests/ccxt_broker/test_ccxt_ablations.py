"""Each safeguard of the ccxt broker, with it and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ccxt_house import order, rules
from dialect_house import Desk, desk

from brokers.ccxt import private_stream
from brokers.ccxt.capabilities import BINANCEUSDM
from brokers.ccxt.known import KnownOrder, KnownOrders
from brokers.ccxt.listening import Listener
from messages import Side

REST, BUY, SELL = "tg-0123456789-1", "tg-0123456789-2", "tg-0123456789-3"


async def filled_while_the_stream_was_gone(at: Desk) -> None:
    """Have a resting order filled; the stream drops with the news of it, and comes up again."""
    at.broker.submit(order(REST, "0.02", price="49500"), 1)
    await at.until(lambda: "accepted" in at.life(REST))
    await at.quiet()
    at.set_faults({"fault": "abort_stream", "count": 1})
    await at.bar(49_000.0)
    await at.until(lambda: not at.truth.live)
    await at.until(lambda: at.exchange.server.faults.struck == 1)
    await at.until(lambda: at.broker._at.stream.up)


async def test_after_a_new_connection_every_live_order_is_asked_for(tmp_path: Path) -> None:
    """What happened while nobody listened is told all the same, without anybody's question."""
    async with desk(tmp_path) as at:
        await filled_while_the_stream_was_gone(at)
        await at.until(lambda: at.ended(REST))
        await at.quiet()

        assert at.fills().keys() == {f"BTCUSDT:{trade}" for trade in at.truth.fills}


async def test_without_it_the_fill_is_lost(tmp_path: Path) -> None:
    """The account moves, and no news says why."""
    async with desk(tmp_path) as at:
        at.broker._at.stream._is_new = lambda: None
        await filled_while_the_stream_was_gone(at)
        await at.broker.refresh()

        assert at.broker._standing.account is not None
        assert at.broker._standing.account.positions
        assert {} == at.fills()


async def test_nothing_opens_while_the_private_stream_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent, and that is said; an order that reduces, and a cancel, go all the same."""
    monkeypatch.setattr(private_stream, "STREAM_WAIT_S", 0.2)
    async with desk(tmp_path) as at:
        at.broker.submit(order(BUY, "0.02"), 1)
        at.broker.submit(order(REST, "0.02", price="40000"), 1)
        await at.until(lambda: at.ended(BUY) and "accepted" in at.life(REST))
        at.set_faults({"fault": "refuse_stream"})
        at.broker._at.client.redial("a drill")
        await at.until(lambda: not at.broker._at.stream.up)
        opens, reduces = "tg-0123456789-4", SELL
        at.broker.submit(order(opens, "0.02"), 2)
        at.broker.submit(order(reduces, "0.02", side=Side.SELL, reduce_only=True), 2)
        at.broker.cancel(REST, 2)
        await at.until(lambda: not at.truth.held and not at.truth.live)
        await at.until(lambda: at.ended(opens))
        report = next(each for each in at.news if getattr(each, "client_order_id", "") == opens)

        assert ["rejected"] == at.life(opens)
        assert "private stream is not up" in str(report.cause)  # type: ignore[union-attr]
        assert 0 == at.received(opens)
        assert 1 == at.received(reduces)


async def test_without_that_it_would_be_sent(tmp_path: Path) -> None:
    """And its news would be missed: the wait is what holds it back."""
    async with desk(tmp_path) as at:
        at.set_faults({"fault": "refuse_stream"})
        at.broker._at.client.redial("a drill")
        await at.until(lambda: not at.broker._at.stream.up)
        at.broker._at.ordering.ready = _yes
        at.broker.submit(order(BUY, "0.02"), 2)
        await at.until(lambda: 1 == at.received(BUY))

        assert not at.broker._at.stream.up


async def _yes(_waiting: object) -> bool:
    return True


async def test_without_the_ids_of_trades_a_doubled_message_is_a_doubled_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream says everything twice; the ids are what makes it once."""
    taken = KnownOrder.take

    def forgetful(self: KnownOrder, trade: object) -> bool:
        self.trades.clear()
        return taken(self, trade)  # type: ignore[arg-type]

    monkeypatch.setattr(KnownOrder, "take", forgetful)
    async with desk(tmp_path) as at:
        at.set_faults({"fault": "duplicate_news"})
        at.broker.submit(order(BUY, "0.02"), 1)
        await at.until(lambda: len(at.life(BUY)) >= 3)

        assert 2 <= at.life(BUY).count("filled")


@pytest.mark.parametrize("counts", [True, False])
def test_without_the_count_a_lost_fill_goes_unnoticed(counts: bool) -> None:
    """With it, the next message shows that one is missing, and the order is asked for."""
    asked: list[str] = []
    market = rules()
    orders = KnownOrders()
    orders.add(KnownOrder.of(order(REST, "0.02", price="49500")))
    listener = Listener(BINANCEUSDM, orders, {market.symbol: market}, list, asked.append)
    message = _execution("0.005", "0.015")
    if not counts:
        del message["o"]["z"]
    listener.hear(message)

    assert ([REST] if counts else []) == asked


def _execution(last: str, total: str) -> dict[str, Any]:
    return {
        "e": "ORDER_TRADE_UPDATE", "T": 1, "E": 1,
        "o": {"s": "BTCUSDT", "c": REST, "S": "BUY", "x": "TRADE", "X": "PARTIALLY_FILLED", "i": 1,
              "l": last, "z": total, "L": "49500", "T": 1, "t": 999, "m": True, "ps": "BOTH"},
    }  # fmt: skip
