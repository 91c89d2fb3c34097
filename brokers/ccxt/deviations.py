"""
Where an exchange without a row of its own is not as ccxt says that all are: data, nothing else.

ccxt says that our order id goes out as ``clientOrderId``, that an amount of contracts is counted in
``contractSize``, and that the amount of a market order is of coins. Each entry is a place where its
own source does otherwise, read there in the version that we pin: silently, so that an order would
be another order, or could not be found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

IN_COINS: Final[Mapping[str, Any]] = {"amounts_in_contracts": False}
"""A contract size is told, and amounts are of coins all the same."""

MONEY_BUYS: Final[Mapping[str, Any]] = {"market_buys_in_money": True}
"""The amount of a market buy goes out as an amount of money."""

DEVIATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "apex": IN_COINS,
    "coinbase": {"id_parameter": "client_order_id"},
    "coinmate": MONEY_BUYS,
    "cryptocom": {"id_parameter": "client_oid"},
    "deribit": {**IN_COINS, "id_parameter": "label"},
    "gemini": IN_COINS,
    "lighter": IN_COINS,
    "luno": MONEY_BUYS,
    "toobit": {"id_parameter": "newClientOrderId"},
}
"""By ccxt's id: the columns in which it is not as ``GENERIC``."""
