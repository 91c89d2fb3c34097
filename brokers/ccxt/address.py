"""How a venue is reached through ccxt, and the machine's time as its broker is handed it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from messages import PositionMode
from state.loopback import is_local, pins_to_this_machine


@dataclass(frozen=True, slots=True)
class CcxtAddress:
    """
    A venue and an account at it.

    ``secrets`` are by our names (``api_key``, ``secret``, ``password``) and never shown. With a
    ``loopback_port`` every host of the venue is that local port; with ``urls`` of this machine
    alone (one address for all of them, or ccxt's own nest of names) only these are reached; else
    the venue itself is.
    ``leverage`` and ``margin_mode`` are set at the start where they are given; ``dead_man_s`` is
    the venue's own timer, 0 for none. ``allowance`` is how many times the venue's usual allowance
    the account is granted.
    """

    exchange: str
    account: str = "main"
    secrets: Mapping[str, str] = field(default_factory=dict)
    position_mode: PositionMode = PositionMode.ONE_WAY
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    urls: Mapping[str, Any] | str = field(default_factory=dict)
    loopback_port: int = 0
    loopback_ca: Path | None = None
    timeout_s: float = 5.0
    recv_window_ms: int = 5_000
    leverage: int | None = None
    margin_mode: str | None = None
    dead_man_s: int = 0
    allowance: float = 1.0

    def may_reach(self, host: str) -> bool:
        """Return whether a host may be dialled."""
        return bool(self.loopback_port) or not self.is_pinned or is_local(host)

    @property
    def is_pinned(self) -> bool:
        """Return whether no host but this machine is ever reached: a rehearsal."""
        return pins_to_this_machine(self.loopback_port, self.urls)

    def __repr__(self) -> str:
        """Return no secret."""
        return f"<CcxtAddress {self.exchange} {self.account}>"


@dataclass(frozen=True, slots=True)
class VenueClock:
    """The machine's time, handed in: UTC in ms, seconds that never step, and waiting."""

    wall_ms: Callable[[], int]
    monotonic_s: Callable[[], float]
    sleep_s: Callable[[float], Awaitable[None]]
