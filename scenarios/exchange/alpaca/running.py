"""One Alpaca that runs: its port, its certificate, its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.exchange.alpaca.server import REQUESTS_MAX, Alpaca, Keys
from scenarios.exchange.authority import TestAuthority
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import Faults

HOST: Final = "127.0.0.1"
TRUTH: Final = "truth.ndjson"


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    An exchange that is served on ``port`` of loopback, over TLS.

    ``truth`` is the folder of its log, ``ca_path`` what clients are to trust.
    """

    server: Alpaca
    port: int
    truth: Path
    ca_path: Path

    async def stop(self) -> None:
        """Answer what is under way, close streams, log and socket."""
        await self.server.stop()


async def open_alpaca(
    terms: Terms,
    folder: Path,
    *,
    credentials: Keys,
    ca: TestAuthority,
    faults: Faults | None = None,
    requests_max: int = REQUESTS_MAX,
    port: int = 0,
) -> Exchange:
    """
    Open an exchange in ``folder``, or go on with the one whose truth log is there; serve it.

    Whoever opens it stops it. Raises what ``Alpaca`` raises, and ``OSError`` for a port that is
    taken.
    """
    server = Alpaca(terms, folder / TRUTH, credentials, faults=faults, requests_max=requests_max)
    try:
        _, number = await server.start(HOST, port, ca.tls)
    except BaseException:
        await server.stop()
        raise
    return Exchange(server, number, folder, ca.ca_path)
