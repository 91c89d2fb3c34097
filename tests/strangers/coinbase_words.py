"""What Coinbase says, for a stranger's server: a key in PEM, an order answered by its id alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Reply, Trade, wall_ms

STATES = {"open": "OPEN", "filled": "FILLED", "cancelled": "CANCELLED"}


def iso(at: int) -> str:
    """Return a moment as it is written there."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class Coinbase(Dialect):
    """One pair; no streams."""

    exchange = "coinbase"

    def answer(self, sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
        """Return the answer to a request."""
        books, fields = self.books, sent.fields
        path = sent.path.removeprefix("/api/v3/brokerage/")
        orders = "orders/historical/"
        match sent.method, path:
            case "GET", "/v2/time":
                return {"data": {"epoch": wall_ms() // 1000, "iso": iso(wall_ms())}}
            case "GET", "market/products":
                is_other = fields.get("product_type") == "FUTURE"
                return {"products": [] if is_other else [self._market()]}
            case "GET", "transaction_summary":
                return {"fee_tier": {"taker_fee_rate": "0.0005", "maker_fee_rate": "0.0005"}}
            case "GET", "/v2/accounts":
                return {"data": [
                    {"id": name, "type": "wallet", "balance": {"amount": str(held), "currency":
                     name}} for name, held in books.money.items()
                ], "pagination": {}}  # fmt: skip
            case "POST", "orders":
                return self._placed(fields)
            case "POST", "orders/batch_cancel":
                found = [books.find(each) for each in fields["order_ids"]]
                done = [each is not None and books.cancel(each) for each in found]
                return {"results": [
                    {"success": each, "failure_reason": "UNKNOWN", "order_id": name}
                    for each, name in zip(done, fields["order_ids"], strict=True)
                ]}  # fmt: skip
            case "GET", "orders/historical/fills":
                return {"fills": [self._trade(each) for each in reversed(books.trades)],
                        "cursor": ""}  # fmt: skip
            case "GET", "orders/historical/batch":
                wanted = fields["order_status"]
                return {"orders": [
                    self._worded(each) for each in reversed(books.orders.values())
                    if STATES[each.status] == wanted
                ]}  # fmt: skip
            case "GET", _ if path.endswith("/candles"):
                return self._candles(fields)
            case "GET", _ if path.startswith(orders):
                order = books.find(path.removeprefix(orders))
                if order is None:
                    return Reply({"error": "NOT_FOUND", "message": "order not found"}, 404)
                return {"order": self._worded(order)}
        return None

    def _placed(self, fields: dict[str, Any]) -> dict[str, Any]:
        ((_, said),) = fields["order_configuration"].items()
        order = self.books.place(
            fields["client_order_id"], fields["side"].lower(), said["base_size"],
            said.get("limit_price"),
        )  # fmt: skip
        return {"success": True, "success_response": {
            "order_id": order.id, "product_id": self.books.market.id, "side": fields["side"],
            "client_order_id": order.client,
        }}  # fmt: skip

    def _market(self) -> dict[str, Any]:
        market = self.books.market
        return {
            "product_id": market.id, "price": str(self.books.price), "base_increment": "0.00000001",
            "quote_increment": "0.01", "price_increment": "0.01", "base_min_size": "0.00000001",
            "base_max_size": "3400", "quote_min_size": "1", "quote_max_size": "150000000",
            "status": "online", "trading_disabled": False, "product_type": "SPOT",
            "base_currency_id": market.base, "quote_currency_id": market.quote,
        }  # fmt: skip

    def _worded(self, order: Order) -> dict[str, Any]:
        size = {"base_size": str(order.amount)}
        kind = {"market_market_ioc": size}
        if order.price is not None:
            kind = {"limit_limit_gtc": {**size, "limit_price": str(order.price)}}
        return {
            "order_id": order.id, "product_id": self.books.market.id, "order_configuration": kind,
            "side": order.side.upper(), "client_order_id": order.client, "status":
            STATES[order.status], "time_in_force": "GOOD_UNTIL_CANCELLED", "created_time":
            iso(order.at), "filled_size": str(order.filled), "average_filled_price":
            str(self.books.price if order.filled else 0), "total_fees": "0", "order_type":
            "MARKET" if order.price is None else "LIMIT",
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "entry_id": trade.id, "trade_id": trade.id, "order_id": trade.order.id, "trade_time":
            iso(trade.at), "trade_type": "FILL", "price": str(trade.price), "size":
            str(trade.amount), "commission": str(trade.fee), "product_id": self.books.market.id,
            "liquidity_indicator": "TAKER", "size_in_quote": False, "side":
            trade.order.side.upper(),
        }  # fmt: skip

    def _candles(self, fields: dict[str, Any]) -> dict[str, Any]:
        price = str(self.books.price)
        first, last = int(fields["start"]) * 1000, min(int(fields["end"]) * 1000, wall_ms())
        first = -(-first // MINUTE) * MINUTE
        each = {"low": price, "high": price, "open": price, "close": price, "volume": "7"}
        return {"candles": [
            {"start": str(at // 1000), **each} for at in reversed(range(first, last + 1, MINUTE))
        ]}  # fmt: skip
