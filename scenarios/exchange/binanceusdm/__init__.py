"""
The virtual venue as binanceusdm: the real ccxt client trades on it, its URLs unmodified.

A thin translation: what is true is the core's business (``scenarios.exchange``).
"""

from __future__ import annotations

from scenarios.exchange.authority import TestAuthority
from scenarios.exchange.binanceusdm.auth import Keys
from scenarios.exchange.binanceusdm.budget import Limits
from scenarios.exchange.binanceusdm.listing import market_id
from scenarios.exchange.binanceusdm.running import Exchange, OwnMarket, open_binanceusdm
from scenarios.exchange.binanceusdm.server import Binanceusdm
from scenarios.exchange.facts import NotListable

__all__ = [
    "Binanceusdm",
    "Exchange",
    "Keys",
    "Limits",
    "NotListable",
    "OwnMarket",
    "TestAuthority",
    "market_id",
    "open_binanceusdm",
]
