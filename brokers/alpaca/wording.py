"""
Alpaca's documents in ccxt's words, and orders in Alpaca's.

Pure. Every number stays text, as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from brokers.alpaca.errors import BadSymbol, NotSupported
from brokers.ccxt.rounding import number
from brokers.ccxt.stream import stamp_ms, trade_name

CURRENCY: Final = "USD"
TICK: Final = Decimal("0.01")
"""What every price may be a multiple of; below a dollar Alpaca would take a finer one."""

WHOLE: Final = Decimal(1)
FRACTION: Final = Decimal("1e-9")
"""The step of shares that are sold in fractions."""

STATUSES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "accepted",
            "accepted_for_bidding",
            "calculated",
            "done_for_day",
            "held",
            "new",
            "partially_filled",
            "pending_cancel",
            "pending_new",
            "pending_replace",
            "pending_review",
            "stopped",
            "suspended",
        ),
        "open",
    ),
    "filled": "closed",
    "canceled": "canceled",
    "replaced": "canceled",  # by hand: what replaces it is another order
    "expired": "expired",
    "rejected": "rejected",
}

DAY: Final = "day"


def market_of(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a share as ccxt has markets; raises ``BadSymbol`` for what is none."""
    symbol = str(asset["symbol"])
    if asset.get("class") != "us_equity":
        raise BadSymbol(f"{symbol} is {asset.get('class')}: only US shares are traded here")
    step = FRACTION if asset.get("fractionable") else WHOLE
    return {
        "id": symbol,
        "symbol": symbol,
        "base": symbol,
        "quote": CURRENCY,
        "settle": None,
        "type": "spot",
        "contract": False,
        "active": bool(asset.get("tradable")) and asset.get("status") == "active",
        "precision": {"price": str(TICK), "amount": format(step, "f")},
        "limits": {},
        "info": asset,
    }


def order_fields(
    symbol: str,
    order_type: str,
    side: str,
    amount: str,
    price: str | None,
    params: Mapping[str, Any],
    *,
    extended_hours: bool,
) -> dict[str, Any]:
    """
    Return the body of an order; raises ``NotSupported`` for what Alpaca takes for another.

    At market an order is for the day: sent while the exchange is closed it waits for the opening.
    """
    stop = params.get("stopPrice")
    kind = {(False, "market"): "market", (False, "limit"): "limit"}.get(
        (stop is not None, order_type), "stop_limit" if order_type == "limit" else "stop"
    )
    lasts = str(params.get("timeInForce") or ("DAY" if kind == "market" else "GTC")).lower()
    quantity = Decimal(amount)
    if quantity != quantity.to_integral_value() and lasts != DAY:
        raise NotSupported(
            f"not sent: qty={amount} is no whole number of shares, and fractions are good for the "
            f"day only: time_in_force={lasts}"
        )
    fields: dict[str, Any] = {
        "symbol": symbol,
        "qty": shortest(amount),
        "side": side,
        "type": kind,
        "time_in_force": lasts,
        "client_order_id": params["clientOrderId"],
    }
    if price is not None:
        fields["limit_price"] = price
    if stop is not None:
        fields["stop_price"] = stop
    if params.get("reduceOnly"):
        fields["position_intent"] = f"{side}_to_close"
    if extended_hours and kind == "limit" and lasts == DAY:
        fields["extended_hours"] = True
    return fields


def shortest(text: str) -> str:
    """Return a number without zeros at its end that say nothing."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def order_of(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as ccxt has them."""
    quantity, filled = number(order.get("qty")), number(order.get("filled_qty"))
    remaining = None if quantity is None else str(quantity - (filled or 0))
    return {
        "id": str(order["id"]),
        "clientOrderId": str(order.get("client_order_id") or ""),
        "symbol": str(order["symbol"]),
        "side": str(order["side"]),
        "status": STATUSES.get(str(order.get("status")), str(order.get("status"))),
        "amount": _text(quantity),
        "filled": _text(filled),
        "remaining": remaining,
        "timestamp": stamp_ms(order.get("submitted_at") or order.get("created_at")) or None,
        "lastUpdateTimestamp": stamp_ms(order.get("updated_at")) or None,
        "info": order,
    }


def trade_of(activity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a FILL activity as ccxt has trades; Alpaca takes no commission for shares."""
    counted = number(activity.get("cum_qty"))
    order_id = str(activity["order_id"])
    return {
        "id": None if counted is None else trade_name(order_id, counted),
        "order": order_id,
        "symbol": str(activity["symbol"]),
        "side": "buy" if activity.get("side") == "buy" else "sell",  # or sell_short
        "amount": _text(number(activity.get("qty"))),
        "price": _text(number(activity.get("price"))),
        "timestamp": stamp_ms(activity.get("transaction_time")),
        "takerOrMaker": None,
        "fees": [],
        "info": activity,
    }


def payment_of(activity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was paid (below zero) or received apart from fills, as ccxt has payments."""
    activity_id = str(activity["id"])
    # The id begins with when it was booked: year to second, then milliseconds.
    stamp = activity_id.partition("::")[0]
    booked = datetime.strptime(stamp[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return {
        "id": activity_id,
        "symbol": str(activity.get("symbol") or activity.get("activity_type") or ""),
        "amount": _text(number(activity.get("net_amount"))),
        "timestamp": int(booked.timestamp()) * 1000 + int(stamp[14:17] or 0),
        "info": activity,
    }


def shares_of(position: Mapping[str, Any]) -> Decimal:
    """Return the shares of a position, below zero when sold short."""
    quantity = abs(number(position.get("qty")) or Decimal(0))
    return -quantity if position.get("side") == "short" else quantity


def balance_of(account: Mapping[str, Any], positions: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return cash and shares as ccxt has balances."""
    totals = {str(each["symbol"]): str(shares_of(each)) for each in positions}
    totals[CURRENCY] = str(account["cash"])
    return {"total": totals, "info": account}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
