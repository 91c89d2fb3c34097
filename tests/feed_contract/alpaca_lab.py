"""The stand-in for Alpaca as the feed suite's lab: its bars and its time are a test's."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from alpaca_house import KEYS, share
from market_data_house import bar_at

from messages import Bar
from scenarios.exchange.alpaca import Alpaca
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import FaultScript


class LabAlpaca:
    """The stand-in for Alpaca, in a time that a test moves."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.server: Alpaca | None = None
        self.bars: dict[str, dict[int, Bar]] = {}
        self.failures = 0
        # Around the clock, unless a test closes it: the house's new year is a Sunday evening there.
        self.calendar = [
            {"date": f"{first:%Y-%m-%d}", "open": "00:00", "close": "23:59"}
            for first in (datetime(2023, 12, 31), datetime(2024, 1, 1))
        ]

    @asynccontextmanager
    async def serving(self, folder: Path, certificate: Path) -> AsyncIterator[int]:
        """Let it listen on a port of loopback, which is given."""
        listed = Terms({each: share(each) for each in self.bars}, "USD", Decimal(1), "t")
        server = self.server = Alpaca(listed, folder / "truth.ndjson", KEYS, requests_max=100_000)
        server.tells, server.calendar = lambda: self.now, self.calendar
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        _, port = await server.start(tls=context)
        self.apply()
        try:
            yield port
        finally:
            await server.stop()

    def apply(self) -> None:
        """Let it have the bars and the failures."""
        if self.server is None:
            return
        for symbol, mine in self.bars.items():
            self.server.book.bars[symbol] = [mine[at] for at in sorted(mine)]
        if self.failures:
            fault = {"fault": "fail_before", "on": ["bars"], "count": self.failures}
            self.server.faults.replace(FaultScript.model_validate({"faults": [fault]}))
            self.failures = 0

    @property
    def subscribed(self) -> list[str]:
        """Return whose bars were asked for, once for each connection."""
        return [] if self.server is None else self.server.streams.subscribed

    async def send_candle(self, place: int, symbol: str) -> None:
        """Stream a closed bar, and have it."""
        assert self.server is not None
        bar = bar_at(place, symbol=symbol)
        self.bars[symbol][bar.timestamp] = bar
        self.apply()
        await self.server.streams.deliver([], [bar])
