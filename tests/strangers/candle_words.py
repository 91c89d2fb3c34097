"""
What OKX, Bybit and Kraken say of candles, trades and quotes, asked and over their websockets.

Written after what ccxt's own classes send and expect (ccxt/pro/okx.py, bybit.py, kraken.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from bybit_words import Bybit
from candle_stand import CandleStand, Document, end_of
from capture_venue import Sent
from kraken_words import Kraken
from okx_words import Okx
from stranger import Market

from feeds.rows import Row

SWAP, SPOT, KRAKEN = "BTC/USDT:USDT", "BTC/USDT", "BTC/USD"


def money(row: Row) -> str:
    """Return what a candle turned over, in quote currency."""
    return str(row[4] * row[5])


class OkxCandles(CandleStand):
    """A swap of a hundredth of a coin, and a pair; candles have a line of their own."""

    exchange = "okx"
    dialect = Okx
    markets: ClassVar = {
        SWAP: Market(SWAP, "BTC-USDT-SWAP", Decimal("0.01")),
        SPOT: Market(SPOT, "BTC-USDT", spot=True),
    }

    def has_market(self, answer: Any) -> bool:
        return bool(answer["data"])

    def time(self) -> Document:
        return {"code": "0", "data": [{"ts": str(self.now)}], "msg": ""}

    def candles_asked(self, sent: Sent) -> str | None:
        if not sent.path.endswith(("market/candles", "market/history-candles")):
            return None
        market = sent.fields["instId"]
        return self.symbol_of(market, spot=not market.endswith("-SWAP"))

    def page(self, symbol: str, fields: Mapping[str, str]) -> Document:
        # Both ends are excluded, and the newest comes first.
        since, until = int(fields.get("before", -1)) + 1, int(fields.get("after", 2**53))
        rows = [row for row in self.known(symbol, since, 10_000) if row[0] < until]
        page = rows[-int(fields.get("limit", "100")) :]
        closed = [end_of(row) < self.now for row in page]
        words = [self.figures(symbol, *each) for each in zip(page, closed, strict=True)]
        return {"code": "0", "data": words[::-1], "msg": ""}

    def figures(self, symbol: str, row: Row, closed: bool) -> list[str]:
        """Return a candle: its volume in contracts and in coins, or of a pair in coins."""
        volumes = [self.amount(symbol, row[5]), str(row[5]), money(row)]
        if self.markets[symbol].spot:
            volumes = [str(row[5]), money(row), money(row)]
        return [*map(str, row[:5]), *volumes, "1" if closed else "0"]

    def pong(self, document: Any) -> str | None:
        return "pong" if document == "ping" else None

    def topics(self, document: Document) -> list[str]:
        assert document["op"] == "subscribe"
        return [f"{arg['channel']}:{arg['instId']}" for arg in document["args"]]

    def _arg(self, topic: str) -> Document:
        return dict(zip(("channel", "instId"), topic.split(":"), strict=True))

    def taken(self, document: Document, topic: str) -> Document:
        return {"event": "subscribe", "arg": self._arg(topic), "connId": "a4d3ae55"}

    def refusal(self, document: Document, refusal: Document) -> Document:
        return {"event": "error", "connId": "a4d3ae55", **refusal}

    def path(self, symbol: str, topic: str) -> str:
        return "/ws/v5/business" if topic.startswith("candle") else "/ws/v5/public"

    def candle_topic(self, symbol: str) -> str:
        return f"candle1m:{self.markets[symbol].id}"

    def trade_topic(self, symbol: str) -> str:
        return f"trades:{self.markets[symbol].id}"

    def quote_topic(self, symbol: str) -> str:
        return f"bbo-tbt:{self.markets[symbol].id}"

    def candle(self, symbol: str, row: Row, closed: bool) -> Document:
        arg = self._arg(self.candle_topic(symbol))
        return {"arg": arg, "data": [self.figures(symbol, row, closed)]}

    def trade(self, symbol: str, at: int, price: float, amount: str, no: int) -> Document:
        market = self.markets[symbol].id
        trade = {"instId": market, "tradeId": str(no), "px": str(price), "sz": amount,
                 "side": "buy", "ts": str(at), "count": "1"}  # fmt: skip
        return {"arg": self._arg(self.trade_topic(symbol)), "data": [trade]}

    def quote(self, symbol: str, at: int, bid: float, ask: float, amount: str) -> Document:
        book = {"asks": [[str(ask), amount, "0", "3"]], "bids": [[str(bid), amount, "0", "2"]],
                "ts": str(at), "seqId": 1}  # fmt: skip
        return {"arg": self._arg(self.quote_topic(symbol)), "data": [book]}


class BybitCandles(CandleStand):
    """A linear perpetual and a pair of one name; each kind of market has a line of its own."""

    exchange = "bybit"
    dialect = Bybit
    markets: ClassVar = {
        SWAP: Market(SWAP, "BTCUSDT"),
        SPOT: Market(SPOT, "BTCUSDT", spot=True),
    }

    def has_market(self, answer: Any) -> bool:
        return bool(answer["result"].get("list", True))

    def time(self) -> Document:
        second = {"timeSecond": str(self.now // 1000), "timeNano": f"{self.now}000000"}
        return {"retCode": 0, "retMsg": "OK", "result": second, "time": self.now}

    def candles_asked(self, sent: Sent) -> str | None:
        if not sent.path.endswith("market/kline"):
            return None
        return self.symbol_of(sent.fields["symbol"], spot=sent.fields["category"] == "spot")

    def page(self, symbol: str, fields: Mapping[str, str]) -> Document:
        limit = int(fields.get("limit", "200"))
        rows = self.known(symbol, int(fields.get("start", 0)), limit, newest="start" not in fields)
        listed = [[*map(str, row), money(row)] for row in rows[::-1]]
        result = {"category": fields["category"], "symbol": fields["symbol"], "list": listed}
        return {"retCode": 0, "retMsg": "OK", "result": result, "time": self.now}

    def pong(self, document: Any) -> Document | None:
        if document["op"] != "ping":
            return None
        return {"success": True, "ret_msg": "pong", "conn_id": "c1", "op": "ping",
                "req_id": document["req_id"]}  # fmt: skip

    def topics(self, document: Document) -> list[str]:
        assert document["op"] == "subscribe"
        return list(document["args"])

    def taken(self, document: Document, topic: str) -> Document:
        return {"success": True, "ret_msg": "", "conn_id": "c1", "op": "subscribe",
                "req_id": document["req_id"]}  # fmt: skip

    def refusal(self, document: Document, refusal: Document) -> Document:
        return {"success": False, "conn_id": "c1", "op": "subscribe",
                "req_id": document["req_id"], **refusal}  # fmt: skip

    def path(self, symbol: str, topic: str) -> str:
        return f"/v5/public/{'spot' if self.markets[symbol].spot else 'linear'}"

    def candle_topic(self, symbol: str) -> str:
        return f"kline.1.{self.markets[symbol].id}"

    def trade_topic(self, symbol: str) -> str:
        return f"publicTrade.{self.markets[symbol].id}"

    def quote_topic(self, symbol: str) -> str:
        return f"orderbook.1.{self.markets[symbol].id}"

    def candle(self, symbol: str, row: Row, closed: bool) -> Document:
        names = ("open", "high", "low", "close", "volume")
        candle = {"start": row[0], "end": end_of(row), "interval": "1", "turnover": money(row),
                  "confirm": closed, "timestamp": self.now,
                  **dict(zip(names, map(str, row[1:]), strict=True))}  # fmt: skip
        topic = self.candle_topic(symbol)
        return {"topic": topic, "type": "snapshot", "ts": self.now, "data": [candle]}

    def trade(self, symbol: str, at: int, price: float, amount: str, no: int) -> Document:
        trade = {"T": at, "s": self.markets[symbol].id, "S": "Buy", "v": amount, "p": str(price),
                 "L": "PlusTick", "i": f"20f43950-d8dd-5b31-9112-{no:012}",
                 "BT": False}  # fmt: skip
        topic = self.trade_topic(symbol)
        return {"topic": topic, "type": "snapshot", "ts": at, "data": [trade]}

    def quote(self, symbol: str, at: int, bid: float, ask: float, amount: str) -> Document:
        book = {"s": self.markets[symbol].id, "b": [[str(bid), amount]], "a": [[str(ask), amount]],
                "u": 1, "seq": 1}  # fmt: skip
        return {"topic": self.quote_topic(symbol), "type": "snapshot", "ts": at, "data": book}


class KrakenCandles(CandleStand):
    """One pair over the second version of its websocket, which never says that one is closed."""

    exchange = "kraken"
    dialect = Kraken
    markets: ClassVar = {KRAKEN: Market(KRAKEN, "XXBTZUSD", spot=True, quote="USD")}
    says_closed = False

    def has_market(self, answer: Any) -> bool:
        return True

    def time(self) -> Document:
        return {"error": [], "result": {"unixtime": self.now // 1000, "rfc1123": ""}}

    def candles_asked(self, sent: Sent) -> str | None:
        return KRAKEN if sent.path.endswith("public/OHLC") else None

    def page(self, symbol: str, fields: Mapping[str, str]) -> Document:
        # The newest of them, whatever is asked for, and later than ``since``.
        rows = self.known(symbol, int(fields.get("since", -1)) * 1000 + 1, 720, newest=True)
        words = [[row[0] // 1000, *map(str, row[1:5]), str(row[4]), str(row[5]), 3] for row in rows]
        last = rows[-1][0] // 1000 if rows else 0
        return {"error": [], "result": {self.markets[symbol].id: words, "last": last}}

    def pong(self, document: Any) -> Document | None:
        return {"method": "pong"} if document["method"] == "ping" else None

    def topics(self, document: Document) -> list[str]:
        assert document["method"] == "subscribe"
        params = document["params"]
        return [f"{params['channel']}:{symbol}" for symbol in params["symbol"]]

    def taken(self, document: Document, topic: str) -> Document:
        channel, symbol = topic.split(":")
        return {"method": "subscribe", "success": True, "req_id": document["req_id"],
                "result": {"channel": channel, "symbol": symbol, "snapshot": True}}  # fmt: skip

    def refusal(self, document: Document, refusal: Document) -> Document:
        return {"method": "subscribe", "success": False, "req_id": document["req_id"],
                "symbol": KRAKEN, **refusal}  # fmt: skip

    def path(self, symbol: str, topic: str) -> str:
        return "/v2"

    def candle_topic(self, symbol: str) -> str:
        return f"ohlc:{symbol}"

    def trade_topic(self, symbol: str) -> str:
        return f"trade:{symbol}"

    def quote_topic(self, symbol: str) -> str:
        return f"ticker:{symbol}"

    def candle(self, symbol: str, row: Row, closed: bool) -> Document:
        names = ("open", "high", "low", "close", "volume")
        candle = {"symbol": symbol, "trades": 3, "vwap": row[4], "interval": 1,
                  "interval_begin": moment(row[0]), "timestamp": moment(end_of(row) + 1),
                  **dict(zip(names, row[1:], strict=True))}  # fmt: skip
        return {"channel": "ohlc", "type": "update", "timestamp": moment(self.now),
                "data": [candle]}  # fmt: skip

    def trade(self, symbol: str, at: int, price: float, amount: str, no: int) -> Document:
        trade = {"symbol": symbol, "side": "sell", "price": price, "qty": float(amount),
                 "ord_type": "market", "trade_id": no, "timestamp": moment(at)}  # fmt: skip
        return {"channel": "trade", "type": "update", "data": [trade]}

    def quote(self, symbol: str, at: int, bid: float, ask: float, amount: str) -> Document:
        ticker = {"symbol": symbol, "bid": bid, "bid_qty": float(amount), "ask": ask,
                  "ask_qty": float(amount), "last": bid, "volume": 1.0, "vwap": bid, "low": bid,
                  "high": ask, "change": 0.0, "change_pct": 0.0}  # fmt: skip
        return {"channel": "ticker", "type": "update", "data": [ticker]}


def moment(at: int) -> str:
    """Return a moment of int ms UTC as Kraken writes it."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
