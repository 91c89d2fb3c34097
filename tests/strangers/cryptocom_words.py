"""What Crypto.com says, for a stranger's server: all that is private is asked by POST."""

from __future__ import annotations

from typing import Any

from capture_venue import Sent
from stranger import MINUTE, Dialect, Order, Reply, Trade, wall_ms

STATES = {"open": "ACTIVE", "filled": "FILLED", "cancelled": "CANCELED"}


class Cryptocom(Dialect):
    """One pair or one perpetual; an order is answered by its id alone; no streams."""

    exchange = "cryptocom"

    def answer(self, sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
        """Return the answer to a request."""
        method = sent.path.removeprefix("/exchange/v1/")
        found = self._result(method, sent.fields.get("params") or sent.fields)
        if isinstance(found, int):
            return Reply({"id": 1, "method": method, "code": found, "message": "NO"}, 400)
        return None if found is None else {"id": 1, "method": method, "code": 0, "result": found}

    def _result(self, method: str, fields: dict[str, Any]) -> dict[str, Any] | int | None:
        books = self.books
        match method:
            case "public/get-instruments":
                return {"data": [self._market()]}
            case "public/get-candlestick":
                return {"data": self._candles(fields)}
            case "private/user-balance":
                return {"data": [{"position_balances": [
                    {"instrument_name": name, "quantity": str(held), "reserved_qty": "0"}
                    for name, held in books.money.items()
                ]}]}  # fmt: skip
            case "private/get-positions":
                return {"data": [
                    {"instrument_name": books.market.id, "quantity": str(held.amount),
                     "cost": str(held.amount * held.entry), "open_position_pnl": "0",
                     "open_pos_cost": str(held.amount * held.entry), "type": "PERPETUAL_SWAP",
                     "update_timestamp_ms": wall_ms()}
                    for held in books.held().values()
                ]}  # fmt: skip
            case "private/get-open-orders":
                return {"data": [self._worded(each) for each in books.open()]}
            case "private/get-order-history":
                return {"data": [self._worded(each) for each in books.over()]}
            case "private/get-order-detail":
                order = books.find(fields["order_id"])
                return 212 if order is None else self._worded(order)
            case "private/get-trades":
                return {"data": [
                    self._trade(each) for each in reversed(books.trades)
                    if int(fields.get("start_time") or 0) <= each.at
                    <= int(fields.get("end_time") or each.at)
                ]}  # fmt: skip
            case "private/create-order":
                order = books.place(
                    fields.get("client_oid", ""), fields["side"].lower(), fields["quantity"],
                    fields.get("price"),
                )  # fmt: skip
                return {"order_id": order.id, "client_oid": order.client}
            case "private/cancel-order":
                order = books.find(fields["order_id"])
                return 212 if order is None or not books.cancel(order) else {"order_id": order.id}
        return None

    def _market(self) -> dict[str, Any]:
        market = self.books.market
        return {
            "symbol": market.id, "inst_type": "CCY_PAIR" if market.spot else "PERPETUAL_SWAP",
            "display_name": market.id, "base_ccy": market.base, "quote_ccy": market.quote,
            "quote_decimals": 1, "quantity_decimals": 4, "price_tick_size": "0.1",
            "qty_tick_size": "0.000001", "max_leverage": "50", "tradable": True,
            "expiry_timestamp_ms": 0, "contract_size": str(market.size),
        }  # fmt: skip

    def _worded(self, order: Order) -> dict[str, Any]:
        return {
            "order_id": order.id, "client_oid": order.client, "order_type":
            "MARKET" if order.price is None else "LIMIT", "time_in_force": "GOOD_TILL_CANCEL",
            "side": order.side.upper(), "exec_inst": [], "quantity": str(order.amount),
            "limit_price": str(order.price or ""), "avg_price": str(self.books.price),
            "cumulative_quantity": str(order.filled), "cumulative_value":
            str(order.filled * self.books.price), "cumulative_fee": "0", "status":
            STATES[order.status], "fee_instrument_name": self.books.market.quote,
            "instrument_name": self.books.market.id, "create_time": order.at, "update_time":
            wall_ms(),
        }  # fmt: skip

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "trade_id": trade.id, "order_id": trade.order.id, "client_oid": trade.order.client,
            "instrument_name": self.books.market.id, "side": trade.order.side.upper(),
            "traded_quantity": str(trade.amount), "traded_price": str(trade.price),
            "fees": str(-trade.fee), "fee_instrument_name": trade.currency,
            "taker_side": "TAKER", "create_time": trade.at,
        }  # fmt: skip

    def _candles(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        price, now = str(self.books.price), wall_ms() // MINUTE * MINUTE
        count = int(fields.get("count") or 25)
        first = int(fields.get("start_ts") or now - (count - 1) * MINUTE)
        first = -(-first // MINUTE) * MINUTE
        return [
            {"t": at, "o": price, "h": price, "l": price, "c": price, "v": "7"}
            for at in range(first, min(now, first + count * MINUTE) + 1, MINUTE)
        ]
