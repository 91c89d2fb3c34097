"""How Alpaca's market data is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AlpacaReach:
    """
    A key, and whose trades bars are made of.

    With a ``loopback_port`` every host is that local port, trusted by ``loopback_ca``. The key is
    that of the ``paper`` account unless told otherwise: market data is the same for both. With
    ``own_time`` a rehearsal plays bars of some other day: no clock and no calendar is theirs.
    """

    key_id: str
    secret: str
    data_feed: str = "iex"
    adjustment: str = "raw"
    paper: bool = True
    loopback_port: int = 0
    loopback_ca: Path | None = None
    timeout_s: float = 10.0
    own_time: bool = False

    @property
    def name(self) -> str:
        """Return what the series are called in a store: bars of another make are other bars."""
        adjusted = "" if self.adjustment == "raw" else f"-{self.adjustment}"
        return f"alpaca-{self.data_feed}{adjusted}"

    def __repr__(self) -> str:
        """Return no secret."""
        return f"<AlpacaReach {self.name}>"
