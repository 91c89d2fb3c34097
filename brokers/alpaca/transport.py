"""
One asynchronous way to Alpaca's hosts: once, exact, and to no other host.

Nothing is sent again, no redirect is followed, and numbers stay as they are written. In a rehearsal
no host is ever resolved: each is the local port, trusted by the certificate that was given.
Otherwise only the hosts that the session may reach are: a paper session cannot reach the host where
money is.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from brokers.alpaca.errors import (
    ExchangeError,
    ExchangeNotAvailable,
    NetworkError,
    RequestTimeout,
    error_of,
)
from brokers.ccxt.client import LEFT, LoopbackResolver, MayOnlyAsk
from brokers.ccxt.errors import Stamp
from brokers.ccxt.leaving import LookingConnector
from brokers.contract import VenueUnreachable

HEARTBEAT_S: Final = 10.0
"""How often a stream's other end is asked for a sign of life; a dead one is gone twice as late."""

DATA_HOSTS: Final = frozenset({"data.alpaca.markets", "stream.data.alpaca.markets"})
PAPER_HOST: Final = "paper-api.alpaca.markets"
LIVE_HOST: Final = "api.alpaca.markets"

_TAKEN: Final = frozenset({200, 201, 204, 207})


class OnlyHosts(AbstractResolver):
    """Resolves the hosts that a session may reach, and refuses every other."""

    def __init__(self, hosts: frozenset[str]) -> None:
        """Ask the machine's own resolver for ``hosts``."""
        self.hosts = hosts
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host that may be reached; raises ``OSError`` for another."""
        if host not in self.hosts:
            raise OSError(f"{host} is none of {', '.join(sorted(self.hosts))}: not reached")
        return await self._resolver.resolve(host, port, family)

    async def close(self) -> None:
        """Close the machine's resolver."""
        await self._resolver.close()


def session_of(
    port: int, ca: Path | None, hosts: frozenset[str], timeout_s: float
) -> aiohttp.ClientSession:
    """Return connections to ``hosts``, or with a ``port`` to this machine and nowhere else."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise VenueUnreachable(f"[venue] loopback_ca: {ca}: {error}") from None
    resolver: AbstractResolver = LoopbackResolver(port) if port else OnlyHosts(hosts)
    return aiohttp.ClientSession(
        connector=LookingConnector(limit=0, ssl=context, resolver=resolver, use_dns_cache=False),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        trust_env=False,
    )


class Transport:
    """Requests and streams over ``session``; with ``only_asks`` nothing but questions leaves."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout_s: float,
        wall_ms: Callable[[], int],
        *,
        allowance: int = 200,
        only_asks: bool = False,
    ) -> None:
        """Ask nothing yet; ``allowance`` is how many requests there are in all, by our count."""
        self.session = session
        self.timeout_s = timeout_s
        self.only_asks = only_asks
        self.on_headers: Callable[[Mapping[str, str]], object] = lambda _headers: None
        self._wall_ms = wall_ms
        self._allowance = allowance

    async def ask(
        self, method: str, url: str, data: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> Any:
        """
        Send one request, once, and return its answer, ``None`` where that is empty.

        Raises what ``errors`` has, each with what the answer was.
        """
        path = urlsplit(url).path
        if self.only_asks and method != "GET":
            raise MayOnlyAsk(f"{method} {path} is not known to be a question there")
        params = body = None
        if method == "POST":
            body = json.dumps(data)
            headers = {**headers, "Content-Type": "application/json"}
        elif data:
            params = {name: _said(value) for name, value in data.items() if value is not None}
        if (left := LEFT.get()) is not None:
            left.append(method)
        try:
            async with self.session.request(
                method,
                url,
                params=params,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            ) as response:
                raw = await response.read()
                status, told = response.status, dict(response.headers)
        except aiohttp.ClientConnectorError as error:
            raise ExchangeNotAvailable(method) from error
        except TimeoutError as error:
            raise RequestTimeout(f"{method} {path}: {self.timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NetworkError(f"{method} {path}: {type(error).__name__}") from error
        told.update(self._left(status, told))
        self.on_headers(told)
        text = raw.decode("utf-8", "replace")
        stamp = Stamp(status, told, text)
        if status not in _TAKEN:
            raise error_of(status, method, path, stamp)
        if not raw:
            return None
        try:
            return exact(text)
        except ValueError:
            unread = ExchangeError(f"{method} {path}: an answer that is no JSON")
            unread.stamp = stamp
            raise unread from None

    def _left(self, status: int, headers: Mapping[str, str]) -> dict[str, str]:
        """
        Return how much of the allowance is used, and when to come again, as others say it.

        What is left counts, not what was used: some accounts may ask more often. Where nothing is
        left Alpaca says when there will be, and until then nobody goes: no longer.
        """
        low = {name.lower(): value for name, value in headers.items()}
        found: dict[str, str] = {}
        left = low.get("x-ratelimit-remaining", "")
        if left.isdigit() and status != 429:
            found["X-RateLimit-Used"] = str(max(0, self._allowance - int(left)))
        reset = low.get("x-ratelimit-reset", "")
        if reset.isdigit() and "retry-after" not in low:
            wait_ms = 1000 * int(reset) - self._wall_ms()
            found["Retry-After"] = str(min(max(0, -(-wait_ms // 1000)), 60))
        return found


class Socket:
    """A websocket as alpaca-py's streams use one: ``send``, ``recv``, ``close``."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, patience_s: float) -> None:
        """Use a socket that is open."""
        self._socket = socket
        self.patience_s: float | None = patience_s
        """How long a message is waited for; ``None`` once there need not be any."""

    @classmethod
    async def dialled(cls, transport: Transport, url: str, headers: Mapping[str, str]) -> Socket:
        """Open a socket; raises what ``errors`` has."""
        try:
            socket = await transport.session.ws_connect(url, headers=headers, heartbeat=HEARTBEAT_S)
            return cls(socket, transport.timeout_s)
        except aiohttp.WSServerHandshakeError as error:
            raise NetworkError(f"stream: HTTP {error.status}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NetworkError(f"stream: {type(error).__name__}") from error

    async def send(self, message: Any) -> None:
        """Send a text, bytes, or bytes in pieces."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                whole = message if isinstance(message, bytes) else b"".join(message)
                await self._socket.send_bytes(whole)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise NetworkError(f"stream: {type(error).__name__}") from error

    async def recv(self) -> Any:
        """Return the next message; raises ``NetworkError`` when there will be none."""
        try:
            message = await self._socket.receive(self.patience_s)
        except TimeoutError:
            raise NetworkError("stream: no answer in time") from None
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            return message.data
        raise NetworkError(f"stream: {message.type.name.lower()}, code {self._socket.close_code}")

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


def exact(text: str | bytes) -> Any:
    """Return a document with its numbers as they are written; raises ``ValueError``."""
    return json.loads(text, parse_float=Decimal)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(_said, value))
    return str(getattr(value, "value", value))
