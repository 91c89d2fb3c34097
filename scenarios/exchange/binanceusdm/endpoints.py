"""Every request that the venue knows: who may ask it, what it weighs, what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from scenarios.exchange.binanceusdm import accounting, public, trading
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.trading import Done
from scenarios.exchange.faults import Action

Work = Callable[[Book, Params], Done]
Weight = Callable[[Params], int]


class Security(Enum):
    """Who may ask."""

    NONE = 0
    KEY = 1
    SIGNED = 2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One request; ``orders`` is how many orders it counts as."""

    method: str
    path: str
    action: Action
    security: Security
    weight: Weight
    work: Work
    orders: int = 0


def _flat(weight: int) -> Weight:
    return lambda _params: weight


def _all_costs(one: int, every: int) -> Weight:
    return lambda params: one if "symbol" in params else every


def _by_limit(*steps: tuple[int, int], default: int, otherwise: int) -> Weight:
    def weigh(params: Params) -> int:
        limit = params.whole("limit", default)
        return next((weight for most, weight in steps if limit <= most), otherwise)

    return weigh


_NONE, _SIGNED = Security.NONE, Security.SIGNED

ENDPOINTS: Final = (
    Endpoint("GET", "/fapi/v1/ping", "time", _NONE, _flat(1), public.ping),
    Endpoint("GET", "/fapi/v1/exchangeInfo", "rules", _NONE, _flat(1), public.information),
    Endpoint(
        "GET",
        "/fapi/v1/klines",
        "bars",
        _NONE,
        _by_limit((99, 1), (499, 2), (1_000, 5), default=500, otherwise=10),
        public.klines,
    ),
    Endpoint("GET", "/fapi/v1/ticker/24hr", "book", _NONE, _all_costs(1, 40), public.ticker),
    Endpoint("GET", "/fapi/v1/ticker/price", "book", _NONE, _all_costs(1, 2), public.price_ticker),
    Endpoint("GET", "/fapi/v2/ticker/price", "book", _NONE, _all_costs(1, 2), public.price_ticker),
    Endpoint(
        "GET", "/fapi/v1/ticker/bookTicker", "book", _NONE, _all_costs(2, 5), public.book_ticker
    ),
    Endpoint(
        "GET",
        "/fapi/v1/depth",
        "book",
        _NONE,
        _by_limit((50, 2), (100, 5), (500, 10), default=500, otherwise=20),
        public.depth,
    ),
    Endpoint("GET", "/fapi/v1/aggTrades", "book", _NONE, _flat(20), public.trades),
    Endpoint("GET", "/fapi/v1/premiumIndex", "book", _NONE, _all_costs(1, 10), public.premium),
    Endpoint("GET", "/fapi/v1/fundingRate", "book", _NONE, _flat(1), public.funding_rates),
    # -- orders
    Endpoint("POST", "/fapi/v1/order", "submit", _SIGNED, _flat(0), trading.place, 1),
    Endpoint("PUT", "/fapi/v1/order", "amend", _SIGNED, _flat(1), trading.amend, 1),
    Endpoint("DELETE", "/fapi/v1/order", "cancel", _SIGNED, _flat(1), trading.cancel),
    Endpoint("GET", "/fapi/v1/order", "order", _SIGNED, _flat(1), trading.one),
    Endpoint("GET", "/fapi/v1/openOrder", "order", _SIGNED, _flat(1), trading.open_one),
    Endpoint("POST", "/fapi/v1/batchOrders", "submit", _SIGNED, _flat(5), trading.place_batch, 5),
    Endpoint("DELETE", "/fapi/v1/batchOrders", "cancel", _SIGNED, _flat(1), trading.cancel_batch),
    Endpoint(
        "DELETE", "/fapi/v1/allOpenOrders", "cancel_all", _SIGNED, _flat(1), trading.cancel_all
    ),
    Endpoint(
        "GET", "/fapi/v1/openOrders", "orders", _SIGNED, _all_costs(1, 40), trading.open_orders
    ),
    Endpoint("GET", "/fapi/v1/allOrders", "orders", _SIGNED, _flat(5), trading.all_orders),
    Endpoint("GET", "/fapi/v1/userTrades", "trades", _SIGNED, _flat(5), trading.user_trades),
    Endpoint(
        "POST", "/fapi/v1/countdownCancelAll", "cancel_all", _SIGNED, _flat(10), trading.countdown
    ),
    Endpoint("POST", "/fapi/v1/algoOrder", "submit", _SIGNED, _flat(0), trading.place_algo, 1),
    Endpoint("DELETE", "/fapi/v1/algoOrder", "cancel", _SIGNED, _flat(1), trading.cancel_algo),
    Endpoint("GET", "/fapi/v1/algoOrder", "order", _SIGNED, _flat(1), trading.one_algo),
    Endpoint(
        "GET", "/fapi/v1/openAlgoOrders", "orders", _SIGNED, _all_costs(1, 40), trading.open_algos
    ),
    Endpoint("GET", "/fapi/v1/allAlgoOrders", "orders", _SIGNED, _flat(5), trading.all_algos),
    Endpoint(
        "DELETE",
        "/fapi/v1/algoOpenOrders",
        "cancel_all",
        _SIGNED,
        _flat(1),
        trading.cancel_all_algo,
    ),
    # -- the account
    Endpoint("GET", "/fapi/v3/account", "account", _SIGNED, _flat(5), accounting.account),
    Endpoint("GET", "/fapi/v2/account", "account", _SIGNED, _flat(5), accounting.account_second),
    Endpoint("GET", "/fapi/v3/balance", "account", _SIGNED, _flat(5), accounting.balance),
    Endpoint("GET", "/fapi/v2/balance", "account", _SIGNED, _flat(5), accounting.balance),
    Endpoint(
        "GET", "/fapi/v3/positionRisk", "positions", _SIGNED, _flat(5), accounting.position_risk
    ),
    Endpoint(
        "GET",
        "/fapi/v2/positionRisk",
        "positions",
        _SIGNED,
        _flat(5),
        accounting.position_risk_second,
    ),
    Endpoint("GET", "/fapi/v1/leverageBracket", "account", _SIGNED, _flat(1), accounting.brackets),
    Endpoint("POST", "/fapi/v1/leverage", "settings", _SIGNED, _flat(1), accounting.leverage),
    Endpoint("POST", "/fapi/v1/marginType", "settings", _SIGNED, _flat(1), accounting.margin_type),
    Endpoint(
        "POST",
        "/fapi/v1/positionSide/dual",
        "settings",
        _SIGNED,
        _flat(1),
        accounting.position_mode,
    ),
    Endpoint(
        "GET",
        "/fapi/v1/positionSide/dual",
        "account",
        _SIGNED,
        _flat(30),
        accounting.tell_position_mode,
    ),
    Endpoint(
        "GET", "/fapi/v1/multiAssetsMargin", "account", _SIGNED, _flat(30), accounting.multi_assets
    ),
    Endpoint(
        "GET", "/fapi/v1/symbolConfig", "account", _SIGNED, _flat(5), accounting.symbol_config
    ),
    Endpoint(
        "GET", "/fapi/v1/accountConfig", "account", _SIGNED, _flat(5), accounting.account_config
    ),
    Endpoint(
        "GET",
        "/sapi/v1/account/apiRestrictions",
        "account",
        _SIGNED,
        _flat(1),
        accounting.key_rights,
    ),
    Endpoint("GET", "/fapi/v1/income", "account", _SIGNED, _flat(30), accounting.income),
    Endpoint(
        "GET", "/fapi/v1/commissionRate", "account", _SIGNED, _flat(20), accounting.commission
    ),
    Endpoint("GET", "/fapi/v1/forceOrders", "orders", _SIGNED, _flat(20), accounting.force_orders),
)
