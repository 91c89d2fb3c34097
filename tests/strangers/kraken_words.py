"""What Kraken says, for a stranger's server: one spot pair."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Reply, Trade, wall_ms

STATES = {"open": "open", "filled": "closed", "cancelled": "canceled"}
ASSETS = {"BTC": "XXBT", "USD": "ZUSD"}


class Kraken(Dialect):
    """One pair; ids and answers as there."""

    exchange = "kraken"

    def answer(self, sent: Sent) -> Reply | dict[str, Any] | None:
        """Return the answer to a request."""
        result = self._result(sent)
        if isinstance(result, str):
            return {"error": [result]}
        return None if result is None else {"error": [], "result": result}

    def _result(self, sent: Sent) -> dict[str, Any] | str | None:  # noqa: PLR0912 - a table
        books, fields = self.books, sent.fields
        match sent.path.removeprefix("/0/"):
            case "public/AssetPairs":
                return {"XXBTZUSD": {
                    "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD",
                    "pair_decimals": 1, "lot_decimals": 8, "ordermin": "0.0001", "costmin": "0.5",
                    "tick_size": "0.1", "status": "online", "leverage_buy": [],
                    "leverage_sell": [], "fees": [[0, "0.4"]], "fees_maker": [[0, "0.25"]],
                }}  # fmt: skip
            case "public/Assets":
                asset = {"aclass": "currency", "decimals": 10, "display_decimals": 5}
                return {"XXBT": {**asset, "altname": "XBT"}, "ZUSD": {**asset, "altname": "USD"}}
            case "public/Time":
                return {"unixtime": wall_ms() // 1000, "rfc1123": ""}
            case "public/OHLC":
                return self._candles(fields)
            case "private/BalanceEx":
                return {
                    ASSETS[name]: {"balance": str(held), "hold_trade": "0"}
                    for name, held in books.money.items()
                }
            case "private/OpenOrders":
                return {"open": self._orders(books.open(), fields)}
            case "private/ClosedOrders":
                return {"closed": self._orders(books.over(), fields), "count": 1}
            case "private/QueryOrders":
                return {each.id: self._worded(each) for each in books.orders.values()
                        if each.id in fields["txid"].split(",")}  # fmt: skip
            case "private/TradesHistory":
                trades = {trade.id: self._trade(trade) for trade in reversed(books.trades)}
                return {"trades": trades, "count": len(trades)}
            case "private/AddOrder":
                order = books.place(
                    fields.get("cl_ord_id", ""), fields["type"], fields["volume"],
                    fields.get("price"), at_once=fields.get("timeinforce") == "IOC",
                )  # fmt: skip
                what = f"{order.side} {order.amount} XBTUSD @ "
                what += "market" if order.price is None else f"limit {order.price}"
                return {"descr": {"order": what}, "txid": [order.id]}
            case "private/CancelOrder":
                order = books.find(fields.get("txid"), fields.get("cl_ord_id"))
                if order is None or not books.cancel(order):
                    return "EOrder:Unknown order"
                return {"count": 1}
            case "private/CancelAll":
                return {"count": sum(books.cancel(order) for order in books.open())}
            case "private/CancelAllOrdersAfter":
                return {"currentTime": "", "triggerTime": ""}
            case "private/GetWebSocketsToken":
                return {"token": "a-token", "expires": 900}
        return None

    def _orders(self, orders: list[Order], fields: dict[str, Any]) -> dict[str, Any]:
        mine = fields.get("cl_ord_id")
        return {each.id: self._worded(each) for each in orders if mine in (None, each.client)}

    def _worded(self, order: Order) -> dict[str, Any]:
        price = str(order.price or 0)
        return {
            "refid": None, "userref": 0, "cl_ord_id": order.client, "status": STATES[order.status],
            "opentm": order.at / 1000, "starttm": 0, "expiretm": 0, "vol": str(order.amount),
            "vol_exec": str(order.filled), "cost": str(order.filled * self.books.price),
            "fee": "0", "price": str(self.books.price if order.filled else 0), "stopprice": "0",
            "limitprice": "0", "misc": "", "oflags": "fciq",
            "descr": {"pair": "XBTUSD", "type": order.side, "price": price, "price2": "0",
                      "ordertype": "market" if order.price is None else "limit",
                      "leverage": "none", "order": "", "close": ""},
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "ordertxid": trade.order.id, "postxid": "P", "pair": "XXBTZUSD",
            "time": trade.at / 1000, "type": trade.order.side, "ordertype": "market",
            "price": str(trade.price), "cost": str(trade.amount * trade.price),
            "fee": str(trade.fee), "vol": str(trade.amount), "margin": "0", "misc": "",
            "maker": False,
        }  # fmt: skip

    def _candles(self, fields: dict[str, Any]) -> dict[str, Any]:
        price = str(self.books.price)
        last = wall_ms() // MINUTE * MINUTE
        since = int(fields.get("since") or 0) * 1000
        rows = [
            [(last - n * MINUTE) // 1000, price, price, price, price, price, "7", 5]
            for n in reversed(range(720))
            if last - n * MINUTE >= since
        ]
        return {"XXBTZUSD": rows, "last": last // 1000}

    # -- streams

    def heard(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the subscriptions, which carry the token."""
        if message.get("method") == "ping":
            return [{"method": "pong", "req_id": message.get("req_id")}]
        params = message.get("params", {})
        return [{"method": "subscribe", "success": True, "req_id": message.get("req_id"),
                 "result": {"channel": params.get("channel")}}]  # fmt: skip

    def news(self, order: Order) -> list[dict[str, Any]]:
        """Tell of an order."""
        status = {"open": "new", "filled": "filled", "cancelled": "canceled"}[order.status]
        return [{
            "channel": "executions", "type": "update", "sequence": 1,
            "data": [{"order_id": order.id, "cl_ord_id": order.client, "symbol": "BTC/USD",
                      "exec_type": status, "order_status": status, "side": order.side,
                      "order_type": "limit", "order_qty": float(order.amount),
                      "timestamp": "2026-01-01T00:00:00.000000Z"}],
        }]  # fmt: skip
