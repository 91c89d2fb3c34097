"""What the account's endpoints do: money, positions, leverage, margin and position mode."""

from __future__ import annotations

from typing import Any

from brokers.matching import margin
from messages import PositionMode
from scenarios.exchange.binanceusdm import errors
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.errors import Refused
from scenarios.exchange.binanceusdm.listing import LEVERAGE_MAX
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.shapes import (
    Sums,
    asset_reply,
    income_reply,
    money,
    order_reply,
    position_reply,
    total_reply,
)
from scenarios.exchange.binanceusdm.trading import PAGE_MAX, Done, span
from scenarios.exchange.facts import Setting
from state.instruments import ONE
from state.money import ZERO, plain, ratio

DONE = {"code": 200, "msg": "success"}


def account(book: Book, params: Params) -> Done:
    """``GET /v3/account``."""
    sums = Sums(book.venue)
    currency = book.venue.terms.currency
    return Done(
        (),
        total_reply(sums)
        | {
            "assets": [asset_reply(sums, currency, book.venue.now)],
            "positions": [
                _in_account(reply) for reply in _positions(book, params, third=True, flat_too=False)
            ],
        },
    )


def account_second(book: Book, params: Params) -> Done:
    """``GET /v2/account``: with the settings, and with flat positions too."""
    done = account(book, params)
    settings = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": False,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        "updateTime": book.venue.now,
    }
    positions = [
        _in_account(reply) for reply in _positions(book, params, third=False, flat_too=True)
    ]
    return Done((), settings | done.content | {"positions": positions})


def _in_account(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a position as ``account`` names its fields."""
    return reply | {"unrealizedProfit": reply["unRealizedProfit"]}


def balance(book: Book, _params: Params) -> Done:
    """``GET /v3/balance`` (and ``/v2``)."""
    sums = Sums(book.venue)
    return Done(
        (),
        [
            {
                "accountAlias": "SgsR",
                "asset": book.venue.terms.currency,
                "balance": money(sums.wallet),
                "crossWalletBalance": money(sums.wallet),
                "crossUnPnl": money(sums.unrealized),
                "availableBalance": money(sums.available),
                "maxWithdrawAmount": money(min(sums.wallet, sums.available)),
                "marginAvailable": True,
                "updateTime": book.venue.now,
            }
        ],
    )


def position_risk(book: Book, params: Params) -> Done:
    """``GET /v3/positionRisk``: what is held, and where orders wait."""
    return Done((), _positions(book, params, third=True, flat_too=False))


def position_risk_second(book: Book, params: Params) -> Done:
    """``GET /v2/positionRisk``: every symbol, flat or not."""
    return Done((), _positions(book, params, third=False, flat_too=True))


def _positions(book: Book, params: Params, *, third: bool, flat_too: bool) -> list[dict[str, Any]]:
    wanted = book.listings.symbol(params.text("symbol")) if "symbol" in params else ""
    ordered = {(each.request.symbol, each.request.position_side) for each in book.records.live()}
    return [
        position_reply(
            book.venue,
            each,
            book.listings.name(each.symbol),
            book.records.position_times.get((each.symbol, each.side), 0),
            third=third,
        )
        for each in book.positions
        if wanted in {"", each.symbol}
        and (flat_too or each.quantity or (each.symbol, each.side) in ordered)
    ]


def brackets(book: Book, params: Params) -> Done:
    """``GET /leverageBracket``: one bracket without end, which is what the engine knows."""
    names = [params.text("symbol")] if "symbol" in params else book.listings.names
    rate = book.venue.terms.maintenance or ZERO
    return Done(
        (),
        [
            {
                "symbol": book.listings.name(book.listings.symbol(name)),
                "notionalCoef": 1.0,
                "brackets": [
                    {
                        "bracket": 1,
                        "initialLeverage": LEVERAGE_MAX,
                        "notionalCap": 1_000_000_000,
                        "notionalFloor": 0,
                        "maintMarginRatio": float(rate),
                        "cum": 0.0,
                    }
                ],
            }
            for name in names
        ],
    )


def leverage(book: Book, params: Params) -> Done:
    """``POST /leverage``."""
    name = params.text("symbol")
    symbol = book.listings.symbol(name)
    wanted = params.whole("leverage")
    if not 1 <= wanted <= LEVERAGE_MAX:
        raise Refused(errors.BAD_LEVERAGE, wanted)
    _refuse_uncovered(book, symbol, wanted)
    facts = book.take(book.venue.set(Setting(symbol, leverage=wanted), book.wall()))
    answer = {"leverage": wanted, "maxNotionalValue": "1000000000", "symbol": name}
    return Done(facts, answer)


def _refuse_uncovered(book: Book, symbol: str, wanted: int) -> None:
    """Refuse less leverage than the margin of what is held could bear."""
    ledger = book.venue.engine.account
    more = ZERO
    for position in ledger.margined:
        if position.symbol == symbol:
            value = abs(margin.marked(ledger, position))
            more += value * (ratio(ONE, ONE * wanted) - position.initial_margin)
    if more > ZERO and more > Sums(book.venue).available:
        raise Refused(errors.LEVERAGE_NEEDS_MARGIN)


def margin_type(book: Book, params: Params) -> Done:
    """``POST /marginType``: kept and shown; the engine margins all positions together."""
    symbol = book.listings.symbol(params.text("symbol"))
    word = params.text("marginType")
    if word not in {"ISOLATED", "CROSSED"}:
        raise Refused(errors.BAD_PARAMETER, "marginType")
    isolated = word == "ISOLATED"
    if isolated is book.venue.isolated.get(symbol, False):
        raise Refused(errors.SAME_MARGIN_TYPE)
    if book.records.live(symbol):
        raise Refused(errors.MARGIN_TYPE_ORDERS)
    if any(each.symbol == symbol for each in book.venue.engine.positions()):
        raise Refused(errors.MARGIN_TYPE_POSITION)
    facts = book.take(book.venue.set(Setting(symbol, isolated=isolated), book.wall()))
    return Done(facts, DONE)


def position_mode(book: Book, params: Params) -> Done:
    """``POST /positionSide/dual``."""
    hedged = params.flag("dualSidePosition")
    if "dualSidePosition" not in params:
        raise Refused(errors.MANDATORY, "dualsideposition")
    wanted = PositionMode.HEDGE if hedged else PositionMode.ONE_WAY
    if wanted is book.venue.position_mode:
        raise Refused(errors.SAME_MODE)
    if book.records.live():
        raise Refused(errors.MODE_ORDERS)
    if book.venue.engine.positions():
        raise Refused(errors.MODE_POSITION)
    facts = book.take(book.venue.set(Setting(position_mode=wanted), book.wall()))
    return Done(facts, DONE)


def tell_position_mode(book: Book, _params: Params) -> Done:
    """``GET /positionSide/dual``."""
    return Done((), {"dualSidePosition": book.venue.position_mode is PositionMode.HEDGE})


def multi_assets(_book: Book, _params: Params) -> Done:
    """``GET /multiAssetsMargin``: there is one asset."""
    return Done((), {"multiAssetsMargin": False})


def symbol_config(book: Book, params: Params) -> Done:
    """``GET /symbolConfig``: leverage and margin type."""
    names = [params.text("symbol")] if "symbol" in params else book.listings.names
    return Done(
        (),
        [
            {
                "symbol": name,
                "marginType": "ISOLATED" if book.venue.isolated.get(symbol) else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": book.venue.leverage[symbol],
                "maxNotionalValue": "1000000000",
            }
            for name, symbol in ((name, book.listings.symbol(name)) for name in names)
        ],
    )


def account_config(book: Book, _params: Params) -> Done:
    """``GET /accountConfig``."""
    return Done(
        (),
        {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": False,
            "dualSidePosition": book.venue.position_mode is PositionMode.HEDGE,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        },
    )


def key_rights(book: Book, _params: Params) -> Done:
    """``GET /sapi/v1/account/apiRestrictions``: of the key, at the spot host."""
    return Done(
        (),
        {
            "ipRestrict": False,
            "createTime": 0,
            "enableReading": True,
            "enableWithdrawals": book.may_withdraw,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": book.may_trade,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": book.may_trade,
            "enablePortfolioMarginTrading": False,
        },
    )


def income(book: Book, params: Params) -> Done:
    """``GET /income``: of a span, or the last week's; oldest first."""
    symbol = book.listings.symbol(params.text("symbol")) if "symbol" in params else ""
    kind = params.text("incomeType", "")
    start, end, from_start = span(params, book.venue.now)
    limit = params.limit(100, PAGE_MAX)
    found = [
        each
        for each in book.records.incomes
        if symbol in {"", each.symbol} and kind in {"", each.kind} and start <= each.at <= end
    ]
    shown = found[:limit] if from_start else found[-limit:]
    currency = book.venue.terms.currency
    return Done(
        (), [income_reply(each, book.listings.name(each.symbol), currency) for each in shown]
    )


def commission(book: Book, params: Params) -> Done:
    """``GET /commissionRate``."""
    name = params.text("symbol")
    rules = book.listings.rules(book.listings.symbol(name))
    bps = ONE / 10_000
    return Done(
        (),
        {
            "symbol": name,
            "makerCommissionRate": plain(rules.maker_fee_bps * bps),
            "takerCommissionRate": plain(rules.taker_fee_bps * bps),
        },
    )


def force_orders(book: Book, params: Params) -> Done:
    """``GET /forceOrders``: the venue's own orders."""
    wanted = book.listings.symbol(params.text("symbol")) if "symbol" in params else ""
    found = [
        order_reply(each, book.listings.name(each.request.symbol))
        for each in book.records.orders.values()
        if each.own and wanted in {"", each.request.symbol}
    ]
    return Done((), found)
