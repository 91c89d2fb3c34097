"""How orders, trades, positions and money look on the wire, field by field as the venue has it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from brokers.matching import margin
from brokers.matching.account import Account, Position
from messages import Liquidity, OrderType, PositionSide, Side, TimeInForce
from scenarios.exchange.binanceusdm.records import Income, Order, Trade
from scenarios.exchange.venue import Venue
from state.money import ZERO, exact, plain, ratio

TYPE_NAMES: Final = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_MARKET",
    OrderType.STOP_LIMIT: "STOP",
    OrderType.TAKE_PROFIT: "TAKE_PROFIT_MARKET",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT",
    OrderType.TRAILING_STOP: "TRAILING_STOP_MARKET",
}
_TRIGGERED: Final = {"STOP_MARKET": "MARKET", "TAKE_PROFIT_MARKET": "MARKET", "STOP": "LIMIT"} | {
    "TAKE_PROFIT": "LIMIT",
    "TRAILING_STOP_MARKET": "MARKET",
}
ALGO_NUMBERS: Final = 2_000_000_000
"""The algo id of an order is its number beyond this one: the two kinds are never mixed up."""

SIDES: Final = {Side.BUY: "BUY", Side.SELL: "SELL"}
POSITION_SIDES: Final = {
    PositionSide.BOTH: "BOTH",
    PositionSide.LONG: "LONG",
    PositionSide.SHORT: "SHORT",
}
_CENT: Final = Decimal("0.00000001")


def money(amount: Decimal) -> str:
    """Return an amount with eight decimals, as the venue shows money; the core keeps all digits."""
    return plain(amount.quantize(_CENT))


def time_in_force(order: Order) -> str:
    """Return the venue's word."""
    request = order.request
    if request.post_only:
        return "GTX"
    if request.expire_at is not None:
        return "GTD"
    word = request.time_in_force
    return "GTC" if word is TimeInForce.DAY else word.value.upper()


def order_type(order: Order) -> str:
    """Return what an order is at the matching engine: what was conditional is so no more."""
    name = TYPE_NAMES[order.request.order_type]
    return "LIQUIDATION" if order.own else _TRIGGERED.get(name, name)


def average(order: Order) -> str:
    """Return the mean price of what was executed."""
    return plain(ratio(order.value, order.executed)) if order.executed else "0.00"


def order_reply(order: Order, name: str, *, fresh: bool = False) -> dict[str, Any]:
    """Return an order as REST tells it; ``fresh`` without what came of it (an ``ACK``)."""
    request = order.request
    executed = ZERO if fresh else order.executed
    return {
        "orderId": order.number,
        "symbol": name,
        "status": "NEW" if fresh else order.status,
        "clientOrderId": order.client_id,
        "price": plain(request.price or ZERO),
        "avgPrice": "0.00" if fresh else average(order),
        "origQty": plain(request.quantity),
        "executedQty": plain(executed),
        "cumQty": plain(executed),
        "cumQuote": "0" if fresh else plain(order.value),
        "timeInForce": time_in_force(order),
        "type": order_type(order),
        "reduceOnly": request.reduce_only,
        "closePosition": False,
        "side": SIDES[request.side],
        "positionSide": POSITION_SIDES[request.position_side],
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order_type(order),
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": request.expire_at or 0,
        "time": order.created,
        "updateTime": order.updated,
    }


def trade_reply(trade: Trade, name: str) -> dict[str, Any]:
    """Return a trade as ``userTrades`` tells it."""
    fill = trade.fill
    return {
        "symbol": name,
        "id": trade.number,
        "orderId": trade.order.number,
        "side": SIDES[fill.side],
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "realizedPnl": plain(trade.realized),
        "marginAsset": fill.fee_currency,
        "quoteQty": plain(fill.quantity * fill.price),
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": fill.timestamp,
        "positionSide": POSITION_SIDES[fill.position_side],
        "buyer": fill.side is Side.BUY,
        "maker": fill.liquidity is Liquidity.MAKER,
    }


def income_reply(income: Income, name: str, currency: str) -> dict[str, Any]:
    """Return a movement of money as ``income`` tells it."""
    return {
        "symbol": name,
        "incomeType": income.kind,
        "income": plain(income.amount),
        "asset": currency,
        "info": income.trade or income.kind,
        "time": income.at,
        "tranId": income.number,
        "tradeId": income.trade,
    }


def position_reply(
    venue: Venue, position: Position, name: str, at: int, *, third: bool = True
) -> dict[str, Any]:
    """Return a position as ``positionRisk`` tells it, in its third version or the second."""
    account, symbol = venue.engine.account, position.symbol
    mark = account.mark_of(symbol)
    price = position.average_price if mark is None else exact(mark)
    value = position.quantity * price
    liquidation = ZERO
    if position.quantity and venue.terms.maintenance is not None:
        found = margin.liquidation_price(account, symbol, venue.terms.maintenance)
        liquidation = found or ZERO
    isolated = venue.isolated.get(symbol, False)
    reply: dict[str, Any] = {
        "symbol": name,
        "positionSide": POSITION_SIDES[position.side],
        "positionAmt": plain(position.quantity),
        "entryPrice": plain(position.average_price),
        "breakEvenPrice": plain(position.average_price),
        "markPrice": plain(price),
        "unRealizedProfit": money(value - position.cost),
        "liquidationPrice": plain(liquidation),
        "isolatedMargin": "0",
        "notional": plain(value),
        "isolatedWallet": "0",
        "updateTime": at,
    }
    initial = abs(value) * position.initial_margin
    if third:
        return reply | {
            "marginAsset": venue.terms.currency,
            "initialMargin": money(initial),
            "maintMargin": money(abs(value) * (venue.terms.maintenance or ZERO)),
            "positionInitialMargin": money(initial),
            "openOrderInitialMargin": "0",
            "adl": 1,
            "bidNotional": "0",
            "askNotional": "0",
        }
    return reply | {
        "leverage": str(venue.leverage[symbol]),
        "marginType": "isolated" if isolated else "cross",
        "maxNotionalValue": "100000000",
        "isAutoAddMargin": "false",
    }


class Sums:
    """The account's money, as all of the venue's answers about it add it up."""

    def __init__(self, venue: Venue) -> None:
        """Look at ``venue`` now."""
        account: Account = venue.engine.account
        self.wallet = account.cash
        self.equity = margin.equity(account)
        self.unrealized = self.equity - self.wallet
        self.positions = margin.bound(account, ())
        self.bound = margin.bound(account, venue.engine.live_orders())
        self.orders = self.bound - self.positions
        self.maintenance = margin.maintenance(account, venue.terms.maintenance or ZERO)
        self.available = max(ZERO, self.equity - self.bound)


def asset_reply(sums: Sums, currency: str, at: int) -> dict[str, Any]:
    """Return the one asset of ``account``."""
    return {
        "asset": currency,
        "walletBalance": money(sums.wallet),
        "unrealizedProfit": money(sums.unrealized),
        "marginBalance": money(sums.equity),
        "maintMargin": money(sums.maintenance),
        "initialMargin": money(sums.bound),
        "positionInitialMargin": money(sums.positions),
        "openOrderInitialMargin": money(sums.orders),
        "crossWalletBalance": money(sums.wallet),
        "crossUnPnl": money(sums.unrealized),
        "availableBalance": money(sums.available),
        "maxWithdrawAmount": money(min(sums.wallet, sums.available)),
        "marginAvailable": True,
        "updateTime": at,
    }


def total_reply(sums: Sums) -> dict[str, Any]:
    """Return the totals of ``account``."""
    return {
        "totalInitialMargin": money(sums.bound),
        "totalMaintMargin": money(sums.maintenance),
        "totalWalletBalance": money(sums.wallet),
        "totalUnrealizedProfit": money(sums.unrealized),
        "totalMarginBalance": money(sums.equity),
        "totalPositionInitialMargin": money(sums.positions),
        "totalOpenOrderInitialMargin": money(sums.orders),
        "totalCrossWalletBalance": money(sums.wallet),
        "totalCrossUnPnl": money(sums.unrealized),
        "availableBalance": money(sums.available),
        "maxWithdrawAmount": money(min(sums.wallet, sums.available)),
    }
