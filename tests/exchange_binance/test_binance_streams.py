"""Streams as ccxt.pro listens to them: the account's news, the market, listen keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest
from binance_house import BTC, MINUTE, PATIENCE_S, START, House, house, until

from scenarios.exchange.binanceusdm.streams import KEY_LIFE_MS
from scenarios.exchange.truth import fold_truth


class Tap:
    """Everything that a private stream of one's own hears, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Listen on ``socket``."""
        self.socket = socket

    async def next(self, kind: str = "") -> dict[str, Any]:
        """Return the next message, of one kind if it is named."""
        while True:
            told: dict[str, Any] = await self.socket.receive_json(timeout=PATIENCE_S)
            if kind in {"", told.get("e")}:
                return told

    async def order(self) -> tuple[str, str, str]:
        """Return the next news of an order: its client id, what happened, its status."""
        told = (await self.next("ORDER_TRADE_UPDATE"))["o"]
        return told["c"], told["x"], told["X"]


async def tapped(home: House) -> Tap:
    """Open the account's stream beside ccxt's."""
    key = (await home.client.fapiPrivatePostListenKey())["listenKey"]
    url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
    return Tap(await home.listen(url))


async def test_news_of_an_order_comes_before_the_answer_to_it(tmp_path: Path) -> None:
    """While the answer is still on its way, the stream has all of it, in the venue's order."""
    slow = {"fault": "delay_answers", "on": ["submit"], "by": "1s"}
    async with house(tmp_path, slow) as home:
        await home.client.load_markets()
        tap = await tapped(home)
        answer = home.hold_up()
        placing = asyncio.ensure_future(home.buy("a", "0.01"))
        news = [await tap.order(), await tap.order()]
        moved = await tap.next("ACCOUNT_UPDATE")
        before = not placing.done()
        answer.set()

        assert before
        assert "closed" == (await placing)["status"]
        assert [("a", "NEW", "NEW"), ("a", "TRADE", "FILLED")] == news
        position = moved["a"]["P"][0]
        assert ("BTCUSDT", "0.01", "BOTH") == (position["s"], position["pa"], position["ps"])
        assert "99999.75" == moved["a"]["B"][0]["wb"].rstrip("0")


async def test_a_trade_has_one_time_wherever_it_is_told_of(tmp_path: Path) -> None:
    """That of the trade: on the stream it is what the list of trades and the truth have."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        await home.buy("a", "0.01", "49000")
        tap = await tapped(home)
        await home.bar(49_500.0, low=48_000.0)
        told = (await tap.next("ORDER_TRADE_UPDATE"))["o"]
        (listed,) = await home.client.fetch_my_trades(BTC)
        (fill,) = fold_truth(home.truth).fills.values()

        assert ("a", "TRADE") == (told["c"], told["x"])
        assert fill.timestamp == told["T"] == listed["timestamp"]


async def test_every_connection_hears_the_same(tmp_path: Path) -> None:
    """Two connections with one key hear the same news."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        first, second = await tapped(home), await tapped(home)
        await home.buy("a", "0.01", "49000")

        assert ("a", "NEW", "NEW") == await first.order() == await second.order()


async def test_ccxt_watches_orders_trades_and_positions(tmp_path: Path) -> None:
    """The three private watches of ccxt.pro work on it."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        watching = asyncio.ensure_future(client.watch_orders(BTC))
        trading = asyncio.ensure_future(client.watch_my_trades(BTC))
        await until(lambda: home.exchange.server.streams.open >= 1)
        await home.buy("a", "0.01")
        orders, trades = await watching, await trading

        assert "a" == orders[-1]["clientOrderId"]
        assert ("0.01", "0.25") == (
            str(trades[-1]["amount"]),
            str(trades[-1]["fee"]["cost"]).rstrip("0"),
        )


async def test_ccxt_watches_bars_books_trades_and_marks(tmp_path: Path) -> None:
    """The public watches hear what the market does."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        watches = [
            asyncio.ensure_future(watch)
            for watch in (
                client.watch_ohlcv(BTC, "1m"),
                client.watch_bids_asks([BTC]),
                client.watch_trades(BTC),
                client.watch_ticker(BTC),
                client.watch_mark_price(BTC),
            )
        ]
        await until(lambda: len(home.exchange.server.streams.wanted) >= 5)
        await home.bar(50_010.0)
        bars, best, trades, ticker, mark = await asyncio.gather(*watches)

        shown = {row[0]: (row[4], row[5]) for row in bars}
        assert (50_010.0, 1000.0) == shown[START + MINUTE]
        assert "50010.0" == str(best[BTC]["bid"])
        assert "50010.0" == str(trades[-1]["price"])
        assert "50010.0" == str(ticker["last"])
        assert "50010.0" == str(mark["markPrice"])


async def test_a_trade_has_one_time_wherever_it_is_told(tmp_path: Path) -> None:
    """One that a resting order makes within a bar: the stream's time of it is the history's."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        tap = await tapped(home)
        await home.buy("rests", "0.01", "49990")
        await home.bar(50_000.0, low=49_900.0)
        told: dict[str, Any] = {}
        while told.get("x") != "TRADE":
            told = (await tap.next("ORDER_TRADE_UPDATE"))["o"]
        (listed,) = await home.client.fetch_my_trades(BTC)

        assert listed["timestamp"] == told["T"]


async def test_a_bar_that_is_over_says_so(tmp_path: Path) -> None:
    """The raw candle has ``x`` true at its end, the next one begins, a longer one goes on."""
    async with house(tmp_path) as home:
        socket = await home.listen("wss://fstream.binance.com/market/ws/0")
        names = ["btcusdt@kline_1m", "btcusdt@kline_5m"]
        await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 7})
        assert {"result": None, "id": 7} == await socket.receive_json(timeout=PATIENCE_S)
        await home.bar(50_010.0)
        candles = [(await socket.receive_json(timeout=PATIENCE_S))["k"] for _ in range(3)]
        told = [(each["i"], each["t"], each["c"], each["v"], each["x"]) for each in candles]
        await socket.send_json({"method": "UNSUBSCRIBE", "params": names, "id": 8})
        assert {"result": None, "id": 8} == await socket.receive_json(timeout=PATIENCE_S)

        assert [
            ("1m", START + MINUTE, "50010.0", "1000.0", True),
            ("1m", START + 2 * MINUTE, "50010.0", "0", False),
            ("5m", START, "50010.0", "2000.0", False),
        ] == told
        assert set() == home.exchange.server.streams.wanted


async def test_a_listen_key_that_is_not_kept_alive_expires(tmp_path: Path) -> None:
    """The stream says so and is closed; the key opens nothing any more, a new one does."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        tap = await tapped(home)
        streams = home.exchange.server.streams
        late = home.client.milliseconds() + KEY_LIFE_MS + 1
        now, streams._now = streams._now, lambda: late
        told = await tap.next()
        closed = await tap.socket.receive(timeout=PATIENCE_S)
        streams._now = now

        assert "listenKeyExpired" == told["e"]
        assert aiohttp.WSMsgType.CLOSE == closed.type
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await home.listen(f"wss://fstream.binance.com/private/ws?listenKey={told['listenKey']}")
        with pytest.raises(ccxt.AuthenticationError, match="-1125"):
            await home.client.fapiPrivatePutListenKey()
        again = await tapped(home)
        await home.buy("a", "0.01", "49000")
        assert ("a", "NEW", "NEW") == await again.order()


async def test_a_ping_is_answered(tmp_path: Path) -> None:
    """Whoever asks whether the venue is there hears that it is."""
    async with house(tmp_path) as home:
        tap = await tapped(home)
        await tap.socket.ping(b"there?")
        await home.client.load_markets()
        await home.buy("a", "0.01", "49000")

        assert ("a", "NEW", "NEW") == await tap.order()
