"""What OKX says, for a stranger's server: a swap counted in contracts, or a spot pair."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Trade, wall_ms

STATES = {"open": "live", "filled": "filled", "cancelled": "canceled"}


class Okx(Dialect):
    """One market; an unknown order is 51603, as there."""

    exchange = "okx"

    def answer(self, sent: Sent) -> dict[str, Any] | None:
        """Return the answer to a request."""
        data = self._data(sent)
        if isinstance(data, str):
            return {"code": data, "data": [], "msg": "Order does not exist"}
        return None if data is None else {"code": "0", "data": data, "msg": ""}

    def _data(self, sent: Sent) -> list[Any] | str | None:  # noqa: PLR0912 - a table
        books, fields = self.books, sent.fields
        match sent.method, sent.path.removeprefix("/api/v5/"):
            case _, "public/instruments":
                mine = "SPOT" if books.market.spot else "SWAP"
                return [self._market()] if fields.get("instType") == mine else []
            case _, "public/time":
                return [{"ts": str(wall_ms())}]
            case _, "account/config":
                mode = "long_short_mode" if books.hedge else "net_mode"
                return [{"posMode": mode, "uid": "1", "acctLv": "2", "perm": "read_only,trade"}]
            case _, "account/set-position-mode":
                books.hedge = fields["posMode"] == "long_short_mode"
                return [{"posMode": fields["posMode"]}]
            case _, "account/set-leverage":
                return [{"lever": fields["lever"], "mgnMode": fields["mgnMode"]}]
            case _, "account/leverage-info":
                return [{"instId": books.market.id, "mgnMode": fields["mgnMode"], "lever": "5",
                         "posSide": "net"}]  # fmt: skip
            case _, "account/balance":
                details = [
                    {"ccy": name, "eq": str(held), "cashBal": str(held), "availBal": str(held),
                     "availEq": str(held), "frozenBal": "0", "uTime": str(wall_ms())}
                    for name, held in books.money.items()
                ]  # fmt: skip
                return [{"uTime": str(wall_ms()), "totalEq": "0", "details": details}]
            case _, "account/positions":
                return self._positions()
            case _, "account/bills" | "account/bills-archive":
                return []
            case _, "trade/orders-pending":
                return [self.worded(order) for order in books.open() if not order.waits]
            case _, "trade/orders-algo-pending":
                mine = [each for each in books.open() if each.waits == fields["ordType"]]
                return [self._waiting(order) for order in mine]
            case "POST", "trade/cancel-algos":
                return [self._cancel_waiting(each) for each in fields["list"]]
            case _, "trade/orders-history" | "trade/orders-history-archive":
                return [self.worded(order) for order in books.over()]
            case _, "trade/fills-history" | "trade/fills":
                return self._trades(fields)
            case "GET", "trade/order":
                order = books.find(fields.get("ordId"), fields.get("clOrdId"))
                return "51603" if order is None else [self.worded(order)]
            case "POST", "trade/order" | "trade/batch-orders":
                return [self._place(each) for each in fields.get("list", [fields])]
            case _, "trade/cancel-order" | "trade/cancel-batch-orders":
                return [self._cancel(each) for each in fields.get("list", [fields])]
            case _, "trade/cancel-all-after":
                return [{"triggerTime": "0", "ts": str(wall_ms())}]
            case _, "market/candles" | "market/history-candles":
                return self._candles(fields)
        return None

    def _market(self) -> dict[str, Any]:
        market = self.books.market
        rest = {"category": "1", "optType": "", "stk": "", "listTime": "1", "expTime": "",
                "alias": "", "state": "live", "tickSz": "0.1", "maxLmtSz": "1000000",
                "maxMktSz": "1000000"}  # fmt: skip
        if market.spot:
            return {**rest, "instType": "SPOT", "instId": market.id, "baseCcy": market.base,
                    "quoteCcy": market.quote, "lotSz": "0.00000001", "minSz": "0.00001",
                    "lever": "10", "ctVal": "", "ctMult": "", "settleCcy": "", "uly": "",
                    "ctType": ""}  # fmt: skip
        return {**rest, "instType": "SWAP", "instId": market.id, "uly": "BTC-USDT",
                "baseCcy": "", "quoteCcy": "", "settleCcy": "USDT", "ctVal": str(market.size),
                "ctMult": "1", "ctValCcy": "BTC", "lever": "100", "lotSz": "1", "minSz": "1",
                "ctType": "linear"}  # fmt: skip

    def worded(self, order: Order) -> dict[str, Any]:
        """Return an order as the venue writes it."""
        market = self.books.market
        price = "" if order.price is None else str(order.price)
        state = STATES[order.status]
        if order.status == "open" and order.filled:
            state = "partially_filled"
        return {
            "instType": "SPOT" if market.spot else "SWAP", "instId": market.id, "ordId": order.id,
            "clOrdId": order.client, "px": price, "sz": str(order.amount), "side": order.side,
            "ordType": "limit" if price else "market",
            "posSide": "net" if order.book == "both" else order.book,
            "accFillSz": str(order.filled), "fillSz": "0", "fillPx": "", "avgPx": "",
            "state": state, "reduceOnly": str(order.reduce_only).lower(), "lever": "1",
            "tdMode": "cross", "fee": "0", "feeCcy": "USDT", "uTime": str(wall_ms()),
            "cTime": str(order.at), "tag": "", "category": "normal",
        }  # fmt: skip

    def _trades(self, fields: dict[str, Any]) -> list[Any]:
        """Return a page of trades, the newest first."""
        begin, end = int(fields.get("begin") or 0), int(fields.get("end") or 2**53)
        found = [
            self._trade(trade)
            for trade in reversed(self.books.trades)
            if begin <= trade.at <= end and fields.get("ordId") in (None, trade.order.id)
        ]
        return found[: min(100, int(fields.get("limit") or 100))]

    def _trade(self, trade: Trade) -> dict[str, Any]:
        order = trade.order
        return {
            "instType": "SWAP", "instId": self.books.market.id, "tradeId": trade.id,
            "ordId": order.id, "clOrdId": order.client, "billId": trade.id, "tag": "",
            "fillPx": str(trade.price), "fillSz": str(trade.amount), "side": order.side,
            "posSide": "net" if order.book == "both" else order.book, "execType": "T",
            "feeCcy": trade.currency, "fee": str(-trade.fee), "ts": str(trade.at),
            "fillTime": str(trade.at),
        }  # fmt: skip

    def _positions(self) -> list[Any]:
        return [
            {"instType": "SWAP", "instId": self.books.market.id, "mgnMode": "cross",
             "posId": "1", "posSide": "net" if book == "both" else book,
             "pos": str(abs(held.amount) if book != "both" else held.amount),
             "avgPx": str(held.entry), "markPx": str(self.books.price), "lever": "5", "upl": "0",
             "notionalUsd": "1", "imr": "1", "mmr": "1", "uTime": str(wall_ms()),
             "cTime": str(wall_ms()), "ccy": "USDT"}
            for book, held in self.books.held().items()
        ]  # fmt: skip

    def _place(self, asked: dict[str, Any]) -> dict[str, Any]:
        book = asked.get("posSide", "net")
        order = self.books.place(
            asked.get("clOrdId", ""),
            asked["side"],
            asked["sz"],
            asked.get("px"),
            book="both" if book == "net" else book,
            reduce_only=asked.get("reduceOnly") in (True, "true"),
            at_once=asked.get("ordType") in ("ioc", "fok"),
        )
        return {"ordId": order.id, "clOrdId": order.client, "sCode": "0", "sMsg": "", "tag": ""}

    def _cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        order = self.books.find(asked.get("ordId"), asked.get("clOrdId"))
        done = order is not None and self.books.cancel(order)
        return {
            "ordId": "" if order is None else order.id,
            "clOrdId": asked.get("clOrdId", ""),
            "sCode": "0" if done else "51400",
            "sMsg": "" if done else "does not exist",
        }

    def _waiting(self, order: Order) -> dict[str, Any]:
        """Return an order that waits as the venue writes it."""
        market = self.books.market
        return {
            "instType": "SPOT" if market.spot else "SWAP", "instId": market.id, "ordId": "",
            "algoId": order.id, "algoClOrdId": order.client, "clOrdId": "", "sz": str(order.amount),
            "ordType": order.waits, "side": order.side, "posSide": "net", "tdMode": "cross",
            "state": "live", "slTriggerPx": "45000", "slOrdPx": "-1", "tpTriggerPx": "",
            "tpOrdPx": "", "triggerPx": "", "ordPx": "", "actualSz": "", "actualPx": "",
            "cTime": str(order.at), "uTime": str(wall_ms()), "ccy": "", "lever": "1", "tag": "",
        }  # fmt: skip

    def _cancel_waiting(self, asked: dict[str, Any]) -> dict[str, Any]:
        order = self.books.find(asked.get("algoId"), asked.get("algoClOrdId"))
        done = order is not None and order.waits and self.books.cancel(order)
        code = {"sCode": "0", "sMsg": ""} if done else {"sCode": "51400", "sMsg": "no such order"}
        return {"algoId": asked.get("algoId", ""), "algoClOrdId": "", **code}

    def _candles(self, fields: dict[str, Any]) -> list[list[str]]:
        """Return minutes, the newest first: 700 contracts, their coins, and money."""
        upto = int(fields.get("after") or wall_ms() + MINUTE)
        price, coins = str(self.books.price), str(700 * self.books.market.size)
        last = (upto - 1) // MINUTE * MINUTE
        return [
            [str(last - n * MINUTE), price, price, price, price, "700", coins, "1", "1"]
            for n in range(int(fields.get("limit", "100")))
            if last - n * MINUTE > int(fields.get("before") or 0)
        ]

    # -- streams

    def heard(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the sign-in and the subscriptions."""
        if message.get("op") == "login":
            return [{"event": "login", "code": "0", "msg": "", "connId": "1"}]
        return [
            {"event": "subscribe", "arg": arg, "connId": "1"} for arg in message.get("args", [])
        ]

    def news(self, order: Order) -> list[dict[str, Any]]:
        """Tell of an order."""
        return [
            {"arg": {"channel": "orders", "instType": "ANY", "uid": "1"},
             "data": [self.worded(order)]}
        ]  # fmt: skip
