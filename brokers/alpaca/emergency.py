"""The emergency's way to Alpaca: that to a venue behind ccxt, with shares instead of contracts."""

from __future__ import annotations

from collections.abc import Sequence

from brokers.alpaca.client import AlpacaClient
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Done, words
from brokers.ccxt.emergency import CcxtEmergency
from brokers.ccxt.rounding import number
from brokers.emergency import HeldPosition, Sent, Trouble
from messages import PositionSide


class AlpacaEmergency(CcxtEmergency):
    """
    An account at Alpaca; with ``symbols`` only what is theirs is listed and touched.

    A position is closed by a market order that says that it closes. While the exchange is closed
    such an order waits for the opening.
    """

    _client: AlpacaClient

    def _made(self, address: CcxtAddress, clock: VenueClock) -> AlpacaClient:
        return AlpacaClient(address, self._row, clock, symbols=self._symbols)

    async def held(self) -> Sequence[HeldPosition] | Trouble:
        """Return all positions, in shares."""
        exchange = self._client.exchange
        found = await self._asked("list the positions", exchange.fetch_shares)
        if isinstance(found, Trouble):
            return found
        return [
            HeldPosition(symbol, PositionSide.BOTH, shares, number(price))
            for symbol, shares, price in found
            if shares and (not self._symbols or symbol in self._symbols)
        ]

    async def close(self, position: HeldPosition, name: str) -> tuple[Sent, str]:
        """Send a market order that closes, once."""
        exchange = self._client.exchange
        found = await self._calls.read(lambda: exchange.load_market(position.symbol))
        if not isinstance(found, Done):
            return Sent.REFUSED, f"{position.symbol}: its rules are not told: {words(found)}"
        return await super().close(position, name)
