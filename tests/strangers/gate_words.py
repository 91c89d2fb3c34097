"""What Gate says, for a stranger's server: a venue that the table has no row for."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Reply, Trade, wall_ms


class Gate(Dialect):
    """One perpetual whose contract is a ten-thousandth of a coin; no streams."""

    exchange = "gate"

    def answer(self, sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
        """Return the answer to a request."""
        books, fields = self.books, sent.fields
        path = sent.path.removeprefix("/api/v4/")
        match sent.method, path:
            case "GET", "futures/usdt/contracts":
                return [self._market()]
            case "GET", (
                "spot/currency_pairs"
                | "margin/currency_pairs"
                | "futures/btc/contracts"
                | "delivery/usdt/contracts"
                | "options/underlyings"
            ):
                return []
            case "GET", "spot/time":
                return {"server_time": wall_ms()}
            case "GET", "account/detail":
                return {"user_id": 1, "key": {"mode": 1}}
            case "GET", "futures/usdt/accounts":
                return {"currency": "USDT", "total": str(books.money["USDT"]), "available":
                        str(books.money["USDT"]), "user": 1, "in_dual_mode": False}  # fmt: skip
            case "GET", "spot/accounts":
                return [{"currency": name, "available": str(held), "locked": "0"}
                        for name, held in books.money.items()]  # fmt: skip
            case "GET", "futures/usdt/positions":
                return self._positions()
            case "GET", "futures/usdt/account_book":
                return []
            case "GET", ("futures/usdt/orders" | "futures/usdt/orders_timerange"):
                is_open = fields.get("status") == "open"
                return [self._worded(each) for each in (books.open() if is_open else books.over())]
            case "POST", "futures/usdt/orders":
                amount = int(fields["size"])
                order = books.place(
                    fields.get("text", ""), "buy" if amount > 0 else "sell", abs(amount),
                    fields.get("price"), reduce_only=bool(fields.get("reduce_only")),
                )  # fmt: skip
                return self._worded(order)
            case "GET", ("futures/usdt/my_trades" | "futures/usdt/my_trades_timerange"):
                return [self._trade(trade) for trade in reversed(books.trades)]
            case "GET", "futures/usdt/candlesticks":
                return self._candles(fields)
        if path.startswith("futures/usdt/orders/"):
            order = books.find(path.rpartition("/")[2])
            if order is None or (sent.method == "DELETE" and not books.cancel(order)):
                return Reply({"label": "ORDER_NOT_FOUND", "message": "not found"}, 404)
            return self._worded(order)
        return None

    def _market(self) -> dict[str, Any]:
        price = str(self.books.price)
        return {
            "name": self.books.market.id, "type": "direct", "quanto_multiplier":
            str(self.books.market.size), "order_price_round": "0.1", "mark_price_round": "0.01",
            "order_size_min": 1, "order_size_max": 1_000_000, "leverage_min": "1",
            "leverage_max": "100", "maker_fee_rate": "-0.00025", "taker_fee_rate": "0.0005",
            "mark_price": price, "last_price": price, "index_price": price, "in_delisting": False,
            "trade_status": "trading", "order_price_deviate": "0.5", "funding_interval": 28800,
            "create_time": 1, "launch_time": 1,
        }  # fmt: skip

    def _worded(self, order: Order) -> dict[str, Any]:
        left = order.amount - order.filled
        ended = {"filled": "filled", "cancelled": "cancelled", "open": "_new"}[order.status]
        return {
            "id": int(order.id), "contract": self.books.market.id,
            "size": int(order.amount) * order.sign, "left": int(left) * order.sign,
            "price": str(order.price or 0), "fill_price": str(self.books.price),
            "tif": "gtc" if order.price else "ioc", "text": order.client, "is_reduce_only":
            order.reduce_only, "status": "open" if order.status == "open" else "finished",
            "finish_as": ended, "create_time": order.at / 1000, "finish_time": wall_ms() / 1000,
            "tkfr": "0.0005", "mkfr": "0.0001", "user": 1,
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "trade_id": trade.id, "id": int(trade.id), "create_time": trade.at / 1000,
            "contract": self.books.market.id, "order_id": trade.order.id,
            "size": str(int(trade.amount) * trade.order.sign), "price": str(trade.price),
            "role": "taker", "text": trade.order.client, "fee": str(trade.fee),
        }  # fmt: skip

    def _positions(self) -> list[Any]:
        return [
            {"contract": self.books.market.id, "size": int(held.amount), "entry_price":
             str(held.entry), "mark_price": str(self.books.price), "leverage": "5", "value": "1",
             "margin": "1", "mode": "single", "unrealised_pnl": "0", "user": 1,
             "maintenance_rate": "0.005", "initial_margin": "1"}
            for held in self.books.held().values()
        ]  # fmt: skip

    def _candles(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        price, now = str(self.books.price), wall_ms() // MINUTE * MINUTE
        count = int(fields.get("limit") or 100)
        first = int(fields["from"]) * 1000 if "from" in fields else now - (count - 1) * MINUTE
        last = min(int(fields.get("to") or now) * 1000 if "to" in fields else now, now)
        return [
            {"t": at // 1000, "o": price, "h": price, "l": price, "c": price, "v": 700, "sum": "1"}
            for at in range(first, last + 1, MINUTE)
        ]
