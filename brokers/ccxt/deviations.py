"""
Where an exchange without a row of its own is not as ccxt says that all are: data, nothing else.

ccxt says that our order id goes out as ``clientOrderId``, that an amount of contracts is counted in
``contractSize``, and that the amount of a market order is of coins. Each entry is a place where its
own source does otherwise, read there in the version that we pin: silently, so that an order would
be another order, or could not be found again; or so that it could not be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

IN_COINS: Final[Mapping[str, Any]] = {"amounts_in_contracts": False}
"""A contract size is told, and amounts are of coins all the same."""

MONEY_BUYS: Final[Mapping[str, Any]] = {"market_buys_in_money": True}
"""The amount of a market buy goes out as an amount of money."""

SIDE_TO_CANCEL: Final[Mapping[str, Any]] = {"no_cancel": "a cancel wants the side too"}

DEVIATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "apex": IN_COINS,
    "bitvavo": {"cancel_option": "operatorId"},
    "bydfi": {"no_cancel": "ccxt has no cancel of one order"},
    "coinbase": {"id_parameter": "client_order_id"},
    "coinmate": MONEY_BUYS,
    "coinone": {"no_cancel": "a cancel wants price, qty and is_ask too"},
    "coinspot": SIDE_TO_CANCEL,
    "cryptocom": {"id_parameter": "client_oid"},
    "deribit": {**IN_COINS, "id_parameter": "label"},
    "derive": {"cancel_option": "subaccount_id"},
    "dydx": {"no_cancel": "a cancel goes by an id of the client's alone"},
    "gemini": IN_COINS,
    "indodax": SIDE_TO_CANCEL,
    "lighter": IN_COINS,
    "luno": MONEY_BUYS,
    "toobit": {"id_parameter": "newClientOrderId"},
    "zebpay": {"no_contract_cancel": "a cancel of a contract's order wants clientOrderId"},
}
"""By ccxt's id: the columns in which it is not as ``GENERIC``."""
