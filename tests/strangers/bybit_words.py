"""What Bybit says, for a stranger's server: a linear perpetual, or a spot pair."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Trade, wall_ms

STATES = {"open": "New", "filled": "Filled", "cancelled": "Cancelled"}
WAITING = {"open": "Untriggered", "filled": "Filled", "cancelled": "Deactivated"}
BOOKS = {"both": 0, "long": 1, "short": 2}
OF_INDEX = {str(index): book for book, index in BOOKS.items()}


def _state(order: Order) -> str:
    return (WAITING if order.waits else STATES)[order.status]


class Bybit(Dialect):
    """One market of a unified account."""

    exchange = "bybit"

    @property
    def category(self) -> str:
        """Return what kind of market it is there."""
        return "spot" if self.books.market.spot else "linear"

    def answer(self, sent: Sent) -> dict[str, Any] | None:
        """Return the answer to a request."""
        result = self._result(sent)
        if isinstance(result, int):
            return {
                "retCode": result,
                "retMsg": "order not exists",
                "result": {},
                "time": wall_ms(),
            }
        if result is None:
            return None
        return {"retCode": 0, "retMsg": "OK", "result": result, "time": wall_ms()}

    def _listed(self, found: list[Any]) -> dict[str, Any]:
        return {"list": found, "nextPageCursor": "", "category": self.category}

    def _result(self, sent: Sent) -> dict[str, Any] | int | None:  # noqa: PLR0912 - a table
        books, fields = self.books, sent.fields
        match sent.path.removeprefix("/v5/"):
            case "market/instruments-info":
                mine = fields.get("category") == self.category
                return self._listed([self._market()] if mine else [])
            case "market/time":
                return {"timeSecond": str(wall_ms() // 1000), "timeNano": f"{wall_ms()}000000"}
            case "user/query-api":
                return {"unified": 0, "uta": 1, "readOnly": 0,
                        "permissions": {"ContractTrade": ["Order"], "Wallet": []}}  # fmt: skip
            case "account/info":
                return {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 4}
            case "position/switch-mode":
                books.hedge = str(fields["mode"]) == "3"
                return {}
            case "position/set-leverage" | "account/set-margin-mode":
                return {"reasons": []}
            case "account/wallet-balance":
                coins = [
                    {"coin": name, "walletBalance": str(held), "equity": str(held), "locked": "0",
                     "availableToWithdraw": str(held)}
                    for name, held in books.money.items()
                ]  # fmt: skip
                return {"list": [{"accountType": "UNIFIED", "coin": coins}]}
            case "position/list":
                return self._listed(self._positions())
            case "order/realtime":
                mine = books.open() if fields.get("category") == self.category else []
                return self._listed([self.worded(each) for each in self._asked(mine, fields)])
            case "order/history":
                return self._listed(
                    [self.worded(each) for each in self._asked(books.over(), fields)]
                )
            case "execution/list":
                mine = fields.get("orderId")
                trades = [] if fields.get("execType") == "Funding" else reversed(books.trades)
                return self._listed(
                    [self._trade(trade) for trade in trades if mine in (None, trade.order.id)]
                )
            case "order/create":
                return self._place(fields)
            case "order/cancel":
                order = books.find(fields.get("orderId"), fields.get("orderLinkId"))
                if order is None or not self._meant(order, fields) or not books.cancel(order):
                    return 170213 if books.market.spot else 110001
                return {"orderId": order.id, "orderLinkId": order.client}
            case "order/cancel-all":
                meant = [each for each in books.open() if self._meant(each, fields)]
                return {"list": [{"orderId": each.id} for each in meant if books.cancel(each)]}
            case "market/kline":
                return self._candles(fields)
        return None

    def _meant(self, order: Order, fields: dict[str, Any]) -> bool:
        """Return whether a cancel is for the kind that an order is of: on spot it must say so."""
        kind = fields.get("orderFilter", "Order")
        return not self.books.market.spot or kind == (order.waits or "Order")

    @staticmethod
    def _asked(orders: list[Order], fields: dict[str, Any]) -> list[Order]:
        name = fields.get("orderLinkId") or fields.get("orderId")
        status = fields.get("orderStatus")
        return [
            order
            for order in orders
            if name in (None, order.client, order.id) and status in (None, _state(order))
        ]

    def _market(self) -> dict[str, Any]:
        market = self.books.market
        common = {
            "symbol": market.id, "status": "Trading", "baseCoin": market.base,
            "quoteCoin": market.quote, "priceFilter": {"minPrice": "0.1", "maxPrice": "1999999",
                                                       "tickSize": "0.10"},
        }  # fmt: skip
        if market.spot:
            return {**common, "innovation": "0", "marginTrading": "none", "lotSizeFilter": {
                "basePrecision": "0.000001", "quotePrecision": "0.00000001",
                "minOrderQty": "0.000001", "maxOrderQty": "100", "minOrderAmt": "1",
                "maxOrderAmt": "4000000"}}  # fmt: skip
        return {**common, "contractType": "LinearPerpetual", "settleCoin": "USDT",
                "launchTime": "1", "deliveryTime": "0", "priceScale": "2",
                "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "1"},
                "lotSizeFilter": {"maxOrderQty": "1190", "minOrderQty": "0.001",
                                  "qtyStep": "0.001", "maxMktOrderQty": "500",
                                  "minNotionalValue": "5"}}  # fmt: skip

    def worded(self, order: Order) -> dict[str, Any]:
        """Return an order as the venue writes it."""
        status = _state(order)
        if order.status == "open" and order.filled:
            status = "PartiallyFilled"
        return {
            "symbol": self.books.market.id, "orderId": order.id, "orderLinkId": order.client,
            "side": order.side.title(), "orderType": "Market" if order.price is None else "Limit",
            "price": str(order.price or 0), "qty": str(order.amount), "timeInForce": "GTC",
            "orderStatus": status, "cumExecQty": str(order.filled), "cumExecValue": "0",
            "cumExecFee": "0", "leavesQty": str(order.amount - order.filled), "avgPrice": "",
            "reduceOnly": order.reduce_only, "positionIdx": BOOKS[order.book], "triggerPrice": "",
            "stopOrderType": "", "createdTime": str(order.at), "updatedTime": str(wall_ms()),
            "category": self.category,
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "symbol": self.books.market.id, "execId": trade.id, "orderId": trade.order.id,
            "orderLinkId": trade.order.client, "side": trade.order.side.title(),
            "orderType": "Market", "execPrice": str(trade.price), "execQty": str(trade.amount),
            "execValue": "1", "execFee": str(trade.fee), "feeCurrency": trade.currency,
            "feeRate": "0.0005", "execType": "Trade", "execTime": str(trade.at), "isMaker": False,
            "category": self.category,
        }  # fmt: skip

    def _positions(self) -> list[Any]:
        return [
            {"symbol": self.books.market.id, "side": "Buy" if held.amount > 0 else "Sell",
             "size": str(abs(held.amount)), "avgPrice": str(held.entry), "leverage": "5",
             "positionIdx": BOOKS[book], "positionValue": "1", "markPrice": str(self.books.price),
             "unrealisedPnl": "0", "tradeMode": 0, "positionIM": "1", "positionMM": "1",
             "createdTime": "1", "updatedTime": str(wall_ms())}
            for book, held in self.books.held().items()
        ]  # fmt: skip

    def _place(self, asked: dict[str, Any]) -> dict[str, Any]:
        order = self.books.place(
            asked.get("orderLinkId", ""),
            asked["side"].lower(),
            asked["qty"],
            asked.get("price"),
            book=OF_INDEX[str(asked.get("positionIdx", 0))],
            reduce_only=asked.get("reduceOnly") in (True, "true"),
            at_once=asked.get("timeInForce") in ("IOC", "FOK"),
            waits=asked.get("orderFilter", "StopOrder") if "triggerPrice" in asked else "",
        )
        return {"orderId": order.id, "orderLinkId": order.client}

    def _candles(self, fields: dict[str, Any]) -> dict[str, Any]:
        price = str(self.books.price)
        last = int(fields.get("end") or wall_ms()) // MINUTE * MINUTE
        rows = [
            [str(last - n * MINUTE), price, price, price, price, "7", "350000"]
            for n in range(int(fields.get("limit", "200")))
            if last - n * MINUTE >= int(fields.get("start") or 0)
        ]
        return {"category": self.category, "symbol": self.books.market.id, "list": rows}

    # -- streams

    def heard(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the sign-in, the subscriptions and the signs of life."""
        match message.get("op"):
            case "auth":
                return [{"success": True, "ret_msg": "", "op": "auth", "conn_id": "1"}]
            case "ping":
                return [{"op": "pong", "args": ["1"], "conn_id": "1"}]
        return [{"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "1",
                 "req_id": message.get("req_id", "")}]  # fmt: skip

    def news(self, order: Order) -> list[dict[str, Any]]:
        """Tell of an order."""
        return [
            {"id": "1", "topic": "order", "creationTime": wall_ms(), "data": [self.worded(order)]}
        ]
