"""Where a virtual venue is, and the machine's time as its broker is handed it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VenueAddress:
    """Where the venue is, how it is entered, and how long it is waited for."""

    url: str
    key: str
    timeout_s: float = 5.0
    recv_window_ms: int = 5_000

    def __repr__(self) -> str:
        """Return no key."""
        return f"<VenueAddress {self.url}>"


@dataclass(frozen=True, slots=True)
class MachineClock:
    """The machine's time, handed in: ``wall_ms`` dates requests, ``sleep_s`` waits."""

    wall_ms: Callable[[], int]
    sleep_s: Callable[[float], Awaitable[None]]
