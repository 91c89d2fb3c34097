"""What KuCoin says, for a stranger's server: a pair whose trades come fifty at a time."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Reply, Trade, wall_ms

PAGE = 50
"""Most trades in one answer, whatever is asked for: ccxt asks for no number there."""


class Kucoin(Dialect):
    """One pair of an account without high-frequency trading; no streams."""

    exchange = "kucoin"

    def answer(self, sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
        """Return the answer to a request."""
        found = self._data(sent.method, sent.path.removeprefix("/api/"), sent.fields)
        if isinstance(found, str):
            return {"code": "400100", "msg": found}
        return None if found is None else {"code": "200000", "data": found}

    def _data(self, method: str, path: str, fields: dict[str, Any]) -> Any:
        books = self.books
        match method, path:
            case "GET", ("v1/symbols" | "v2/symbols"):
                return [self._market()]
            case "GET", ("v1/market/allTickers" | "v1/contracts/active"):
                return {"ticker": []} if "all" in path else []
            case "GET", ("v1/isolated/symbols" | "v3/margin/symbols" | "v1/margin/symbols"):
                return {"items": []} if "isolated" not in path else []
            case "GET", "v1/hf/accounts/opened":
                return False
            case "GET", "ua/v1/account/mode":
                return {"selfAccountMode": "CLASSIC"}
            case "GET", "v1/timestamp":
                return wall_ms()
            case "GET", "v1/accounts":
                return [{"id": name, "currency": name, "type": "trade", "balance": str(held),
                         "available": str(held), "holds": "0"}
                        for name, held in books.money.items()]  # fmt: skip
            case "GET", "v1/orders":
                found = books.open() if fields["status"] == "active" else books.over()
                return {"items": [self._worded(each) for each in found[:PAGE]]}
            case "POST", "v1/orders":
                order = books.place(
                    fields["clientOid"], fields["side"], fields["size"], fields.get("price")
                )
                return {"orderId": order.id}
            case "GET", "v1/fills":
                start, end = int(fields.get("startAt") or 0), int(fields.get("endAt") or 10**15)
                found = [each for each in reversed(books.trades) if start <= each.at <= end]
                return {"items": [self._trade(each) for each in found[:PAGE]]}
            case "GET", "v1/market/candles":
                return self._candles(fields)
        if path.startswith("v1/orders/"):
            order = books.find(path.rpartition("/")[2])
            if order is None or (method == "DELETE" and not books.cancel(order)):
                return "order_not_exist_or_not_allow_to_cancel"
            return self._worded(order) if method == "GET" else {"cancelledOrderIds": [order.id]}
        return None

    def _market(self) -> dict[str, Any]:
        market = self.books.market
        return {
            "symbol": market.id, "name": market.id, "baseCurrency": market.base, "quoteCurrency":
            market.quote, "feeCurrency": market.quote, "market": "USDS", "baseMinSize": "0.00001",
            "quoteMinSize": "0.1", "baseMaxSize": "10000", "quoteMaxSize": "99999999",
            "baseIncrement": "0.00000001", "quoteIncrement": "0.000001", "priceIncrement": "0.1",
            "isMarginEnabled": False, "enableTrading": True,
        }  # fmt: skip

    def _worded(self, order: Order) -> dict[str, Any]:
        return {
            "id": order.id, "symbol": self.books.market.id, "opType": "DEAL", "type":
            "limit" if order.price else "market", "side": order.side, "price":
            str(order.price or 0), "size": str(order.amount), "dealSize": str(order.filled),
            "dealFunds": str(order.filled * self.books.price), "fee": "0", "feeCurrency":
            self.books.market.quote, "clientOid": order.client, "isActive": order.status == "open",
            "cancelExist": order.status == "cancelled", "createdAt": order.at, "tradeType": "TRADE",
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "symbol": self.books.market.id, "tradeId": trade.id, "orderId": trade.order.id,
            "side": trade.order.side, "liquidity": "taker", "price": str(trade.price), "size":
            str(trade.amount), "funds": str(trade.amount * trade.price), "fee": str(trade.fee),
            "feeCurrency": trade.currency, "type": "market", "createdAt": trade.at,
        }  # fmt: skip

    def _candles(self, fields: dict[str, Any]) -> list[list[str]]:
        price, now = str(self.books.price), wall_ms() // MINUTE * MINUTE
        first = -(-int(fields["startAt"]) * 1000 // MINUTE) * MINUTE
        last = min(now, int(fields["endAt"]) * 1000)
        return [[str(at // 1000), price, price, price, price, "7", "1"]
                for at in reversed(range(first, last + 1, MINUTE))]  # fmt: skip
