"""
The virtual venue as Alpaca: the real alpaca-py trades on it, the addresses unmodified.

A thin translation: what is true is the core's business (``scenarios.exchange``). It is a cash
account of US shares that sells nothing short, and its exchange never closes unless it is told so;
then orders are taken and matched all the same: nothing here waits for an opening.
"""

from __future__ import annotations

from scenarios.exchange.alpaca.running import Exchange, open_alpaca
from scenarios.exchange.alpaca.server import Alpaca, Hit, Keys

__all__ = ["Alpaca", "Exchange", "Hit", "Keys", "open_alpaca"]
