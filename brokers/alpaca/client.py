"""Alpaca as the broker of real venues is handed one: the place of ccxt's client."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from brokers.alpaca.exchange import AlpacaExchange
from brokers.alpaca.transport import LIVE_HOST, PAPER_HOST, Transport, session_of
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.client import CcxtClient, VenueTime
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.listing import Listing

PAPER: Final = "paper"
"""The option of an address that is false where money is meant; without it none is."""


class AlpacaClient(CcxtClient):
    """
    One account at Alpaca; ``exchange`` has the methods of ccxt's.

    Without ``options.paper = False`` the paper account is meant, and the other host is not reached.
    """

    exchange: AlpacaExchange

    def __init__(
        self,
        address: CcxtAddress,
        row: Capabilities,
        clock: VenueClock,
        *,
        symbols: Sequence[str] = (),
        only_asks: bool = False,
    ) -> None:
        """Load alpaca-py; raises ``VenueUnreachable`` where that cannot be."""
        self.address = address
        self.only_asks = only_asks
        self.row = row
        self.time = VenueTime(clock)
        self.on_headers = _nothing
        self.on_message = _nothing
        self.on_stream = _nothing
        self._clock = clock
        paper = address.options.get(PAPER) is not False
        host = PAPER_HOST if paper else LIVE_HOST
        self._session = session_of(
            address.loopback_port, address.loopback_ca, frozenset({host}), address.timeout_s
        )
        transport = Transport(
            self._session,
            address.timeout_s,
            clock.wall_ms,
            allowance=row.weights.granted(address.allowance).per_window,
            only_asks=only_asks,
        )
        transport.on_headers = lambda headers: self.on_headers(headers)  # noqa: PLW0108 - set later
        self.exchange = AlpacaExchange(
            transport,
            address.secrets,
            symbols,
            paper=paper,
            extended_hours=bool(address.options.get("extended_hours")),
        )
        self.exchange.on_message = lambda message: self.on_message(message)  # noqa: PLW0108 - set later
        self.exchange.on_stream = lambda up: self.on_stream(up)  # noqa: PLW0108 - set later

    def __repr__(self) -> str:
        """Return the venue and no secret."""
        return "<AlpacaClient>"

    async def listed(self, _symbols: Collection[str]) -> Listing:
        """Return the shares of the session as they are now: few, each by a request of its own."""
        found = await self.exchange.fetch_markets()
        markets = {market["symbol"]: market for market in found}

        def take(symbols: Collection[str]) -> None:
            self.exchange.markets.update({each: markets[each] for each in symbols})

        return Listing(markets, take)

    def repair_stream(self) -> None:
        """Do nothing: the stream is opened anew by itself."""

    def redial(self, why: str) -> None:
        """Do nothing: no key of Alpaca's stream expires."""


def _nothing(_heard: Mapping[str, Any] | Any) -> None:
    return None
