"""The broker of Alpaca: that of real venues, with alpaca-py where ccxt would be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from brokers.alpaca.client import AlpacaClient
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.broker import CcxtBroker

VENUE: Final = "alpaca"


class AlpacaBroker(CcxtBroker):
    """
    A broker whose venue is an account at Alpaca; what it promises is what ``CcxtBroker`` does.

    Shares are held outright: positions are what the balance has, sold short they are below zero.
    """

    def __init__(self, address: CcxtAddress, clock: VenueClock, symbols: Sequence[str]) -> None:
        """Stand ready; nothing is loaded and nothing connected."""
        assert address.exchange == VENUE, "an address of Alpaca's"
        super().__init__(address, clock, symbols)
        self._client_of = partial(AlpacaClient, symbols=tuple(symbols))
