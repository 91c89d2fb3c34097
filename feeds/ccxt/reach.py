"""How a venue's market data is reached, and how a rehearsal keeps it on this machine."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from feeds.errors import FeedSettingError
from state.loopback import hosts_of, is_local


@dataclass(frozen=True, slots=True)
class Reach:
    """
    A venue by its ccxt id, and what its constructor is given.

    ``params`` go to the constructor as they are; ``urls`` among them are one address for all of the
    venue's, or ccxt's own nest of names. With a ``loopback_port`` every host of the venue is that
    local port, trusted by ``loopback_ca``; with local ``urls`` nothing but this machine is dialled.
    There are no credentials here: market data is public.
    """

    exchange: str
    params: Mapping[str, Any] = field(default_factory=dict)
    loopback_port: int = 0
    loopback_ca: Path | None = None
    timeout_s: float = 10.0

    @property
    def stays_here(self) -> bool:
        """Return whether nothing but this machine may be reached."""
        return bool(self.loopback_port) or any(map(is_local, hosts_of(self.params.get("urls"))))

    def may_reach(self, host: str) -> bool:
        """Return whether a host may be dialled."""
        return bool(self.loopback_port) or not self.stays_here or is_local(host)


class LoopbackResolver(AbstractResolver):
    """Every host is this machine, at one port, or at its own if that is 0: none is looked up."""

    def __init__(self, port: int) -> None:
        """Resolve to ``port``."""
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine."""
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self.port or port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Do nothing: nothing is kept."""


def session_of(reach: Reach) -> aiohttp.ClientSession | None:
    """Return the connections of a rehearsal, or None where the venue itself is meant."""
    if not reach.stays_here:
        return None
    context: ssl.SSLContext | bool = True
    if reach.loopback_ca is not None:
        try:
            context = ssl.create_default_context(cafile=reach.loopback_ca)
        except OSError as error:
            raise FeedSettingError(
                f"venue.loopback_ca {reach.loopback_ca}: {error.strerror or error}; "
                "expected the certificate of the rehearsal's server (PEM)"
            ) from error
    connector = aiohttp.TCPConnector(ssl=context, resolver=LoopbackResolver(reach.loopback_port))
    return aiohttp.ClientSession(connector=connector)
