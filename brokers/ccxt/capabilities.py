"""
What each venue can do, one row per venue: data, and nothing but data.

What a row does not allow is refused before anything is sent. ccxt passes on what it does not know:
a stop that a venue has no field for would go out as a market order. So nothing is tried out here.

A venue without a row of its own has ``GENERIC``: market and limit orders, one-way, asked about by
the lists of open and closed orders, its fills read from the list of trades.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from brokers.ccxt.columns import (
    CREDENTIALS,
    KEY_AND_SECRET,
    BandBy,
    CancelAll,
    Capabilities,
    CountdownCall,
    FillSource,
    IdForm,
    LookUp,
    Money,
    OrderLimit,
    RightsCall,
    TradesBy,
    Triggers,
    Weights,
)
from brokers.ccxt.deviations import DEVIATIONS
from messages import OrderType, ReasonCode, TimeInForce

T = OrderType
SIMPLE: Final = frozenset({T.MARKET, T.LIMIT})
STOPS: Final = SIMPLE | {T.STOP, T.STOP_LIMIT, T.TAKE_PROFIT, T.TAKE_PROFIT_LIMIT}
RESTING: Final = frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})

HOUR_MS: Final = 3_600_000
WEEK_MS: Final = 7 * 24 * HOUR_MS

LISTED: Final = Triggers("stopLossPrice", "takeProfitPrice")
"""Orders that wait for a price are orders like others there."""

GENERIC: Final = Capabilities(
    venue="(any other)",
    order_types=SIMPLE,
    time_in_force=frozenset({TimeInForce.GTC}),
    post_only=False,
    reduce_only=True,
    hedge=False,
    position_mode_settable=False,
    leverage_settable=False,
    brackets=False,
    id_form=IdForm.ALPHANUMERIC,
    id_length_max=32,
    look_up=LookUp.VENUE_ID,
    look_up_parameter="clientOrderId",
    cancel_parameter="",
    trades_by=TradesBy.FILTER,
    fill_source=FillSource.TRADES,
    private_stream=False,
    amounts_in_contracts=True,
    market_needs_price=False,
    price_digits=None,
    fee_in_base=True,
    money=Money.UNKNOWN,
    triggers=Triggers(),
    weights=Weights(per_window=0, window_s=60.0, read=1, heavy=1),
    dead_man=None,
    remembers_ms=0,
    funding=False,
    takes_text=False,
    default_type=True,
    credentials=CREDENTIALS,
    optional_credentials=frozenset(CREDENTIALS),
    trades_page_least=20,
    asks_in_fetch=True,
    options={"builderFee": False},
)

BINANCEUSDM: Final = Capabilities(
    venue="binanceusdm",
    order_types=STOPS | {T.TRAILING_STOP},
    time_in_force=RESTING,
    post_only=True,
    reduce_only=True,
    hedge=True,
    position_mode_settable=True,
    leverage_settable=True,
    brackets=True,
    id_form=IdForm.PLAIN,
    id_length_max=36,
    look_up=LookUp.ORDER,
    look_up_parameter="clientOrderId",
    cancel_parameter="clientOrderId",
    trades_by=TradesBy.PARAMETER,
    trades_page=500,
    trades_backward=False,
    fill_source=FillSource.STREAM,
    private_stream=True,
    amounts_in_contracts=True,
    market_needs_price=False,
    price_digits=None,
    fee_in_base=False,
    money=Money.WALLET,
    triggers=Triggers(
        "stopLossPrice", "takeProfitPrice", "trailingPercent", "trigger", "actualOrderId"
    ),
    weights=Weights(
        2_400,
        60.0,
        create=1,
        cancel=1,
        read=5,
        timer=10,
        used_header="X-MBX-USED-WEIGHT-1M",
        order_limits=(
            OrderLimit(300, 10.0, "X-MBX-ORDER-COUNT-10S"),
            OrderLimit(1_200, 60.0, "X-MBX-ORDER-COUNT-1M"),
        ),
    ),
    dead_man=CountdownCall.BINANCE_FUTURES,
    remembers_ms=24 * HOUR_MS,
    trades_span_ms=WEEK_MS,
    trades_after="fromId",
    cancel_all=CancelAll.SYMBOL,
    listed_by="symbol",
    unchanged_codes=frozenset({"-4059", "-4046"}),
    key_expired_words={"e": "listenKeyExpired"},
    payment_words={"e": "ACCOUNT_UPDATE", "a.m": "FUNDING_FEE"},
    duplicate_codes=frozenset({"-4116", "-4111"}),
    unknown_order_codes=frozenset({"-2011", "-2013"}),
    at_work=frozenset({"NEW_ADL", "NEW_INSURANCE"}),
    price_band=BandBy.MARK,
    rules_codes=frozenset(
        {"-1111", "-1121", "-4002", "-4004", "-4005", "-4013", "-4014", "-4023", "-4164", "-4178"}
    ),
    order_limit_codes=frozenset({"-1015"}),
    codes={
        "-2010": ReasonCode.VENUE_REJECTED,
        "-2018": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "-2019": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "-2022": ReasonCode.VENUE_REDUCE_ONLY,
        "-4164": ReasonCode.NOTIONAL_BELOW_MIN,
        "-4178": ReasonCode.NOTIONAL_BELOW_MIN,
        "-4016": ReasonCode.PRICE_COLLAR,
        "-4024": ReasonCode.PRICE_COLLAR,
        "-5022": ReasonCode.POST_ONLY_WOULD_TAKE,
        "-5021": ReasonCode.FOK_UNFILLABLE,
        "-1003": ReasonCode.VENUE_RATE_LIMITED,
        "-1015": ReasonCode.VENUE_RATE_LIMITED,
        **dict.fromkeys(
            ("-1111", "-1121", "-2021", "-2025", "-2027", "-2028", "-4003", "-4004", "-4005"),
            ReasonCode.VENUE_REJECTED,
        ),
        **dict.fromkeys(
            ("-4014", "-4023", "-4061", "-4118", "-4131"),
            ReasonCode.VENUE_REJECTED,
        ),
    },
    clock_codes=frozenset({"-1021"}),
    # ccxt would ask for all positions at each new stream, and fail on numbers that stay as written.
    options={"fetchCurrencies": False, "watchPositions": {"fetchPositionsSnapshot": False}},
    rights=RightsCall.BINANCE,
)

BINANCE: Final = replace(
    BINANCEUSDM,
    venue="binance",
    order_types=SIMPLE | {T.STOP_LIMIT, T.TAKE_PROFIT_LIMIT},
    reduce_only=False,
    hedge=False,
    position_mode_settable=False,
    leverage_settable=False,
    brackets=False,
    amounts_in_contracts=False,
    fee_in_base=True,
    money=Money.TOTAL,
    triggers=LISTED,
    weights=Weights(
        6_000,
        60.0,
        create=1,
        cancel=1,
        read=20,
        used_header="X-MBX-USED-WEIGHT-1M",
        order_limits=(
            OrderLimit(100, 10.0, "X-MBX-ORDER-COUNT-10S"),
            OrderLimit(200_000, 86_400.0, "X-MBX-ORDER-COUNT-1D", from_midnight=True),
        ),
    ),
    dead_man=None,
    trades_span_ms=0,
    trades_after="",
    price_band=BandBy.AVERAGE,
    rules_codes=frozenset({"-1013", "-1111", "-1121"}),
    codes={**BINANCEUSDM.codes, "-1013": ReasonCode.VENUE_REJECTED},
    duplicate_codes=frozenset({"-2010 duplicate order sent."}),
    options={
        "fetchCurrencies": False,
        "fetchMargins": False,
        "fetchMarkets": {"types": ["spot"]},
        "defaultType": "spot",
    },
)

BYBIT: Final = Capabilities(
    venue="bybit",
    order_types=STOPS,
    time_in_force=RESTING,
    post_only=True,
    reduce_only=True,
    hedge=True,
    position_mode_settable=True,
    leverage_settable=True,
    brackets=True,
    id_form=IdForm.PLAIN,
    id_length_max=36,
    look_up=LookUp.LISTS,
    look_up_parameter="orderLinkId",
    cancel_parameter="orderLinkId",
    trades_by=TradesBy.CALL,
    fill_source=FillSource.TRADES,
    private_stream=True,
    amounts_in_contracts=True,
    market_needs_price=False,
    price_digits=None,
    fee_in_base=True,
    money=Money.UNKNOWN,
    triggers=Triggers(
        "stopLossPrice",
        "takeProfitPrice",
        spot_kind={"orderFilter": "tpslOrder"},
        spot_kinds=({"orderFilter": "tpslOrder"}, {"orderFilter": "StopOrder"}),
    ),
    weights=Weights(600, 5.0, create=10, cancel=10, read=10),
    dead_man=None,
    remembers_ms=24 * HOUR_MS,
    trades_span_ms=WEEK_MS,
    settle_parameter="settleCoin",
    orders_page=50,
    cancel_all=CancelAll.SYMBOL,
    listed_by="symbol",
    unchanged_codes=frozenset({"110025", "110026", "110043"}),
    warm_up="is_unified_enabled",
    duplicate_codes=frozenset({"110072", "170141"}),
    rules_codes=frozenset({"110094", "170124", "170134", "170136", "170137", "170140"}),
    unknown_order_codes=frozenset({"110001", "170213"}),
    codes={
        "110007": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "110012": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "110017": ReasonCode.VENUE_REDUCE_ONLY,
        "10006": ReasonCode.VENUE_RATE_LIMITED,
    },
    options={"fetchCurrencies": False, "fetchMarkets": {"types": ["spot", "linear"]}},
    rights=RightsCall.BYBIT,
)

OKX_ALGOS: Final = ("conditional", "oco", "trigger", "move_order_stop", "iceberg", "twap")
"""Kinds of orders that OKX keeps apart, each in a list of its own; a session places none."""

OKX: Final = replace(
    BYBIT,
    venue="okx",
    order_types=SIMPLE,
    position_mode_settable=True,
    brackets=False,
    id_form=IdForm.ALPHANUMERIC,
    id_length_max=32,
    look_up=LookUp.ORDER,
    look_up_parameter="clientOrderId",
    cancel_parameter="clientOrderId",
    triggers=Triggers(strange=tuple({"trigger": True, "ordType": kind} for kind in OKX_ALGOS)),
    trades_span_ms=0,
    settle_parameter="",
    orders_page=100,
    weights=Weights(60, 2.0),
    dead_man=CountdownCall.UNIFIED,
    dead_man_span_s=(10, 120),
    remembers_ms=2 * HOUR_MS,
    cancel_all=CancelAll.ONE_BY_ONE,
    margin_mode_needs_leverage=True,
    leverage_book_parameter="posSide",
    listed_by="instId",
    unchanged_codes=frozenset({"59000"}),
    warm_up="",
    margin_mode_parameter="marginMode",
    duplicate_codes=frozenset({"51016"}),
    rules_codes=frozenset({"51020", "51120", "51121"}),
    unknown_order_codes=frozenset({"51400", "51603"}),
    codes={
        "51008": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "51169": ReasonCode.VENUE_REDUCE_ONLY,
        "50011": ReasonCode.VENUE_RATE_LIMITED,
    },
    credentials={"api_key": "apiKey", "secret": "secret", "password": "password"},
    options={"fetchCurrencies": False, "fetchMarkets": {"types": ["spot", "swap"]}},
    rights=RightsCall.OKX,
)

KRAKEN: Final = Capabilities(
    venue="kraken",
    order_types=STOPS,
    time_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=False,
    hedge=False,
    position_mode_settable=False,
    leverage_settable=False,
    brackets=False,
    id_form=IdForm.UUID,
    id_length_max=36,
    look_up=LookUp.LISTS,
    look_up_parameter="clientOrderId",
    cancel_parameter="clientOrderId",
    trades_by=TradesBy.FILTER,
    trades_page=50,
    fill_source=FillSource.TRADES,
    private_stream=True,
    amounts_in_contracts=False,
    market_needs_price=False,
    price_digits=None,
    fee_in_base=False,
    money=Money.TOTAL,
    triggers=LISTED,
    weights=Weights(15, 45.0, create=1, cancel=1, read=1, heavy=2, at_once=1, account_every_s=15.0),
    dead_man=CountdownCall.UNIFIED,
    remembers_ms=24 * HOUR_MS,
    cancel_all=CancelAll.ACCOUNT,
    funding=False,
    asks_by_post=frozenset(
        {"Balance", "BalanceEx", "TradeBalance", "OpenOrders", "OpenPositions", "TradesHistory"}
    ),
    listed_by="altname",
    strict_nonce=True,
    duplicate_codes=frozenset({"EOrder:Duplicate cl_ord_id", "EOrder:cl_ord_id already exists"}),
    unknown_order_codes=frozenset({"EOrder:Unknown order"}),
    rules_codes=frozenset({"EOrder:Order minimum not met"}),
    codes={"EOrder:Insufficient funds": ReasonCode.VENUE_INSUFFICIENT_FUNDS},
)

HYPERLIQUID: Final = Capabilities(
    venue="hyperliquid",
    order_types=SIMPLE | {T.STOP, T.TAKE_PROFIT},
    time_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    hedge=False,
    position_mode_settable=False,
    leverage_settable=True,
    brackets=True,
    id_form=IdForm.HEX128,
    id_length_max=34,
    look_up=LookUp.ORDER,
    look_up_parameter="clientOrderId",
    cancel_parameter="clientOrderId",
    trades_by=TradesBy.FILTER,
    fill_source=FillSource.TRADES,
    private_stream=True,
    amounts_in_contracts=True,
    market_needs_price=True,
    price_digits=5,
    fee_in_base=False,
    money=Money.UNKNOWN,
    triggers=LISTED,
    weights=Weights(1_200, 60.0, read=20),
    dead_man=CountdownCall.SCHEDULE,
    dead_man_span_s=(5, 3_600),
    remembers_ms=2 * HOUR_MS,
    builder_fee=True,
    asks_by_post=frozenset({"info"}),
    margin_mode_needs_leverage=True,
    credentials={"api_key": "walletAddress", "secret": "privateKey"},
    options={"builderFee": False, "fetchMarkets": {"types": ["swap"]}},
)

ALPACA: Final = replace(
    GENERIC,
    venue="alpaca",
    order_types=SIMPLE | {T.STOP, T.STOP_LIMIT},
    time_in_force=RESTING | {TimeInForce.DAY},
    reduce_only=True,
    reduce_only_on_spot=True,
    default_type=False,
    asks_in_fetch=False,
    options={},
    credentials=KEY_AND_SECRET,
    optional_credentials=frozenset(),
    takes_text=True,
    trades_page=500,
    trades_page_least=0,
    trades_backward=False,
    id_form=IdForm.PLAIN,
    id_length_max=128,
    look_up=LookUp.ORDER,
    look_up_parameter="client_order_id",
    cancel_parameter="client_order_id",
    fill_source=FillSource.STREAM,
    private_stream=True,
    amounts_in_contracts=False,
    fee_in_base=False,
    money=Money.TOTAL,
    payment_digit=Decimal("0.01"),
    orders_of_account=True,
    pays_on_spot=True,
    triggers=Triggers("stopPrice"),
    weights=Weights(200, 60.0, read=2, heavy=1, used_header="X-RateLimit-Used"),
    remembers_ms=24 * HOUR_MS,
    cancel_all=CancelAll.ACCOUNT,
    duplicate_codes=frozenset({"client_order_id must be unique"}),
    words={
        "insufficient": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "position intent mismatch": ReasonCode.VENUE_REDUCE_ONLY,
    },
)
"""Not ccxt's: the broker of ``brokers.alpaca`` speaks to it through alpaca-py, in ccxt's words."""

GATE: Final = replace(
    GENERIC,
    venue="gate",
    id_prefix="t-",
    id_length_max=30,
    remembers_ms=HOUR_MS,
    credentials=KEY_AND_SECRET,
    optional_credentials=frozenset(),
)

TABLE: Final[Mapping[str, Capabilities]] = {
    row.venue: row for row in (BINANCEUSDM, BINANCE, BYBIT, OKX, KRAKEN, HYPERLIQUID, GATE, ALPACA)
}

PERCENT_OF_BPS: Final = Decimal("0.01")

MARKET_SLIP: Final = Decimal("0.01")
"""How far beyond the mark a market order may trade where its price bounds it."""


def capabilities_of(venue: str) -> Capabilities:
    """Return the venue's row, or the cautious one under its name."""
    return TABLE.get(venue) or replace(GENERIC, venue=venue, **DEVIATIONS.get(venue, {}))


def _check(row: Capabilities) -> None:
    """Hold a row to what the broker relies on."""
    types, triggers = row.order_types, row.triggers
    assert types >= SIMPLE, "every venue has market and limit orders"
    assert triggers.stop or not types & {T.STOP, T.STOP_LIMIT}, row.venue
    assert triggers.target or not types & {T.TAKE_PROFIT, T.TAKE_PROFIT_LIMIT}, row.venue
    assert triggers.trail or T.TRAILING_STOP not in types, row.venue
    assert row.fill_source is not FillSource.STREAM or row.private_stream, row.venue
    assert row.reduce_only or not row.hedge, "the side of a book is closed by reduce-only"
    assert TimeInForce.GTC in row.time_in_force, row.venue
    assert 0 < row.dead_man_span_s[0] <= row.dead_man_span_s[1], row.venue


for _row in (GENERIC, *TABLE.values()):
    _check(_row)
