"""What Hyperliquid says, for a stranger's server: one perpetual in coins."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Trade, wall_ms

STATES = {"open": "open", "filled": "filled", "cancelled": "canceled"}


class Hyperliquid(Dialect):
    """One perpetual of a wallet."""

    exchange = "hyperliquid"

    def answer(self, sent: Sent) -> Any:
        """Return the answer to a request."""
        if sent.path == "/exchange":
            return self._changed(sent.fields["action"])
        books, fields = self.books, sent.fields
        match fields.get("type"):
            case "metaAndAssetCtxs":
                universe = {"name": "BTC", "szDecimals": 5, "maxLeverage": 50}
                price = str(books.price)
                context = {"markPx": price, "midPx": price, "oraclePx": price, "dayNtlVlm": "1",
                           "funding": "0", "openInterest": "1", "prevDayPx": "1",
                           "premium": "0"}  # fmt: skip
                return [{"universe": [universe]}, [context]]
            case "meta":
                return {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 50}]}
            case "spotMeta" | "spotMetaAndAssetCtxs":
                return [{"tokens": [], "universe": []}, []]
            case "exchangeStatus":
                return {"time": wall_ms(), "specialStatuses": None}
            case "clearinghouseState":
                return self._state()
            case "frontendOpenOrders" | "openOrders":
                return [self._worded(order) for order in books.open()]
            case "historicalOrders":
                return [
                    {"order": self._worded(order), "status": STATES[order.status],
                     "statusTimestamp": wall_ms()} for order in books.over()
                ]  # fmt: skip
            case "orderStatus":
                order = books.find(fields["oid"])
                if order is None:
                    return {"status": "unknownOid"}
                return {"status": "order", "order": {
                    "order": self._worded(order), "status": STATES[order.status],
                    "statusTimestamp": wall_ms()}}  # fmt: skip
            case "userFills" | "userFillsByTime":
                return [self._trade(trade) for trade in reversed(books.trades)]
            case "userFunding":
                return []
            case "userAbstraction":
                return "disabled"
            case "candleSnapshot":
                return self._candles(fields["req"])
        return None

    def _changed(self, action: dict[str, Any]) -> dict[str, Any]:
        kind = action["type"]
        statuses: list[Any] = []
        match kind:
            case "order":
                statuses = [self._place(each) for each in action["orders"]]
            case "cancelByCloid" | "cancel":
                for each in action["cancels"]:
                    order = self.books.find(each.get("cloid"), each.get("o"))
                    done = order is not None and self.books.cancel(order)
                    error = "Order was never placed, already canceled, or filled. asset=0"
                    statuses.append("success" if done else {"error": error})
            case _:
                return {"status": "ok", "response": {"type": "default"}}
        return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}

    def _place(self, asked: dict[str, Any]) -> dict[str, Any]:
        order = self.books.place(
            asked.get("c", ""), "buy" if asked["b"] else "sell", asked["s"], asked["p"],
            reduce_only=asked["r"],
            at_once=asked["t"].get("limit", {}).get("tif") == "Ioc",
        )  # fmt: skip
        oid = int(order.id)
        if order.status == "filled":
            return {"filled": {"totalSz": str(order.filled), "avgPx": str(self.books.price),
                               "oid": oid}}  # fmt: skip
        if order.status == "cancelled":
            return {"error": "Order could not immediately match against any resting orders."}
        return {"resting": {"oid": oid}}

    def _worded(self, order: Order) -> dict[str, Any]:
        return {
            "coin": "BTC", "side": "B" if order.side == "buy" else "A",
            "limitPx": str(order.price), "sz": str(order.amount - order.filled),
            "oid": int(order.id), "timestamp": order.at, "origSz": str(order.amount),
            "cloid": order.client, "reduceOnly": order.reduce_only, "orderType": "Limit",
            "tif": "Gtc", "isTrigger": False, "triggerPx": "0.0", "triggerCondition": "N/A",
            "isPositionTpsl": False, "children": [],
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "coin": "BTC", "px": str(trade.price), "sz": str(trade.amount),
            "side": "B" if trade.order.side == "buy" else "A", "time": trade.at,
            "startPosition": "0", "dir": "Open Long", "closedPnl": "0", "hash": "0x0",
            "oid": int(trade.order.id), "crossed": True, "fee": str(trade.fee),
            "tid": int(trade.id), "feeToken": "USDC", "cloid": trade.order.client,
        }  # fmt: skip

    def _state(self) -> dict[str, Any]:
        books, money = self.books, str(self.books.money["USDC"])
        positions = [
            {"type": "oneWay", "position": {
                "coin": "BTC", "szi": str(held.amount), "entryPx": str(held.entry),
                "leverage": {"type": "cross", "value": 5}, "liquidationPx": None,
                "marginUsed": "1", "maxLeverage": 50, "positionValue": "1",
                "returnOnEquity": "0", "unrealizedPnl": "0",
                "cumFunding": {"allTime": "0", "sinceChange": "0", "sinceOpen": "0"}}}
            for held in books.held().values()
        ]  # fmt: skip
        summary = {"accountValue": money, "totalMarginUsed": "0", "totalNtlPos": "0",
                   "totalRawUsd": money}  # fmt: skip
        return {"assetPositions": positions, "marginSummary": summary,
                "crossMarginSummary": summary, "crossMaintenanceMarginUsed": "0",
                "time": wall_ms(), "withdrawable": money}  # fmt: skip

    def _candles(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        price = str(self.books.price)
        first = -(-int(asked["startTime"]) // MINUTE) * MINUTE
        last = min(int(asked["endTime"]), wall_ms())
        return [
            {"t": at, "T": at + MINUTE - 1, "s": "BTC", "i": "1m", "o": price, "c": price,
             "h": price, "l": price, "v": "7", "n": 5} for at in range(first, last + 1, MINUTE)
        ]  # fmt: skip

    # -- streams

    def heard(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the subscriptions and the signs of life."""
        if message.get("method") == "ping":
            return [{"channel": "pong"}]
        return [{"channel": "subscriptionResponse", "data": message}]

    def news(self, order: Order) -> list[dict[str, Any]]:
        """Tell of an order."""
        return [{"channel": "orderUpdates", "data": [
            {"order": {"coin": "BTC", "side": "B" if order.side == "buy" else "A",
                       "limitPx": str(order.price), "sz": str(order.amount - order.filled),
                       "oid": int(order.id), "timestamp": order.at, "origSz": str(order.amount),
                       "cloid": order.client},
             "status": STATES[order.status], "statusTimestamp": wall_ms()}]}]  # fmt: skip
