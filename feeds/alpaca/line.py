"""
The connections to Alpaca's market data: questions, and one stream for all symbols.

alpaca-py says what is asked and how one signs in; its own connections would block, and would dial
anew without a word. So what it would send goes over these.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import warnings
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import aiohttp

from feeds.alpaca.reach import AlpacaReach
from feeds.ccxt.reach import LoopbackResolver
from feeds.ccxt.venue import Allowance, Unshared
from feeds.errors import ExtraMissing, FeedSettingError
from feeds.history import VenueRefused, VenueTrouble

HEARTBEAT_S: Final = 10.0
"""How often the stream's other end is asked for a sign of life."""

CALM_S: Final = 1.0
"""How long nobody asks after a rate limit that does not say for how long."""

WAITING_MAX: Final = 10_000
"""Most messages of one kind and symbol that wait; past this the oldest are let go."""

REFUSING: Final = frozenset({400, 401, 403, 404, 422})
"""Statuses that no second try would change, where Alpaca says so itself."""

HEADERS: Final = {"Content-Type": "application/msgpack"}

AUTH_FAILED: Final = ("auth failed", "insufficient subscription", "failed to authenticate")
"""Words of a stream after which dialling anew is of no use."""


def module(name: str) -> Any:
    """Return a module of alpaca-py; raises ``ExtraMissing`` without the package."""
    try:
        with warnings.catch_warnings():
            # It imports the old websockets client, which warns, and which is not used here.
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(name)
    except ImportError as error:
        raise ExtraMissing("alpaca", "alpaca-py", "alpaca") from error


def session_of(reach: AlpacaReach) -> aiohttp.ClientSession:
    """Return connections; of a rehearsal they lead to this machine and nowhere else."""
    context: ssl.SSLContext | bool = True
    if reach.loopback_ca is not None:
        try:
            context = ssl.create_default_context(cafile=reach.loopback_ca)
        except OSError as error:
            raise FeedSettingError(
                f"venue.loopback_ca {reach.loopback_ca}: {error.strerror or error}; "
                "expected the certificate of the rehearsal's server (PEM)"
            ) from error
    resolver = LoopbackResolver(reach.loopback_port) if reach.loopback_port else None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, resolver=resolver),
        timeout=aiohttp.ClientTimeout(total=reach.timeout_s),
        trust_env=False,
    )


class Questions:
    """What alpaca-py's clients ask, asked asynchronously; nothing but questions leaves."""

    def __init__(
        self, session: aiohttp.ClientSession, reach: AlpacaReach, allowance: Allowance
    ) -> None:
        """Ask nothing yet; what the trading host is asked takes its turn of ``allowance``."""
        self._session = session
        self._name = reach.name
        key, secret = reach.key_id or "none", reach.secret or "none"
        trading = self._over(module("alpaca.trading.client").TradingClient, allowance)
        history = self._over(
            module("alpaca.data.historical.stock").StockHistoricalDataClient, Unshared()
        )
        self.trading = trading(key, secret, paper=reach.paper, raw_data=True)
        self.history = history(key, secret, raw_data=True)

    def _over(self, base: Any, allowance: Allowance) -> Any:
        questions = self

        class Asking(base):  # type: ignore[misc]
            """alpaca-py's client on our own connections."""

            def _request(self, method: str, path: str, data: Any = None, **_given: Any) -> Any:
                assert method == "GET", "market data is asked for, and nothing is changed"
                url = self._base_url + "/" + self._api_version + path
                headers = self._get_default_headers()
                return questions.ask(url, data or {}, headers, allowance)

        return Asking

    async def ask(
        self, url: str, data: Mapping[str, Any], headers: Mapping[str, str], allowance: Allowance
    ) -> Any:
        """Return an answer when it is our turn; raises ``VenueTrouble`` or ``VenueRefused``."""
        await allowance.turn()
        params = {name: _said(value) for name, value in data.items() if value is not None}
        try:
            async with self._session.get(
                url, params=params, headers=headers, allow_redirects=False
            ) as response:
                status, text = response.status, await response.text("utf-8", "replace")
                again = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VenueTrouble(f"{self._name}: {type(error).__name__}") from error
        try:
            document = json.loads(text)
        except ValueError:
            raise VenueTrouble(f"{self._name}: HTTP {status} without JSON") from None
        if status == 200:
            return document
        words = document.get("message") if isinstance(document, dict) else None
        told = f"{self._name}: HTTP {status}: {words or 'no reason'}"
        if status in REFUSING and words:
            raise VenueRefused(told)
        after_s = float(again) if again.isdigit() else None
        if status == 429:
            allowance.left_alone(after_s or CALM_S)
        raise VenueTrouble(told, after_s)


def _said(value: Any) -> str:
    return str(getattr(value, "value", value))


class Stream:
    """
    One connection for all symbols; what comes waits for whoever watches.

    It is dialled by the first who watches, and anew by the next one after it was lost.
    """

    def __init__(self, session: aiohttp.ClientSession, reach: AlpacaReach) -> None:
        """Dial nothing yet."""
        self._session = session
        self._reach = reach
        self._wanted: dict[str, set[str]] = {"bars": set(), "quotes": set(), "trades": set()}
        self._asked: dict[str, set[str]] = {}
        self._waiting: dict[tuple[str, str], deque[Mapping[str, Any]]] = {}
        self._came = asyncio.Event()
        self._dialling = asyncio.Lock()
        self._socket: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._lost: Exception | None = None
        self.dials = 0
        """How often it was dialled."""

    async def next(self, channel: str, symbol: str) -> Mapping[str, Any]:
        """Return the next message of a channel (``bars``...) about a symbol."""
        self._wanted[channel].add(symbol)
        queue = self._waiting.setdefault((channel, symbol), deque(maxlen=WAITING_MAX))
        dialled = await self._up()
        while not queue:
            if self.dials != dialled or self._reader is None:
                raise VenueTrouble("alpaca: the stream was dialled anew")
            if self._lost is not None:
                raise self._lost
            came = self._came
            await came.wait()
        return queue.popleft()

    async def _up(self) -> int:
        async with self._dialling:
            if self._reader is None or self._lost is not None:
                await self.close()
                await self._dial()
            if self._asked != self._wanted:
                await self._subscribe()
            return self.dials

    async def _dial(self) -> None:
        self._lost = None
        self._stream = self._made()
        try:
            await self._stream._start_ws()  # noqa: SLF001 - alpaca-py's own words
        except ValueError as error:
            await self._stream.close()
            known = any(words in str(error) for words in AUTH_FAILED)
            raise (VenueRefused if known else VenueTrouble)(f"alpaca stream: {error}") from None
        except VenueTrouble:
            await self._stream.close()
            raise
        self._asked = {}
        self.dials += 1
        reading = self._read(self._stream._ws)  # noqa: SLF001 - the socket is ours
        loop = asyncio.get_running_loop()
        self._reader = loop.create_task(reading)  # seam: ended by close; its end reaches watchers

    async def _subscribe(self) -> None:
        for channel, symbols in self._wanted.items():
            self._stream._handlers[channel] = dict.fromkeys(symbols, _unheard)  # noqa: SLF001
        await self._stream._send_subscribe_msg()  # noqa: SLF001
        self._asked = {channel: set(symbols) for channel, symbols in self._wanted.items()}

    def _made(self) -> Any:
        data = module("alpaca.data.live.stock")
        agent = module("alpaca.common.utils").get_default_user_agent
        feed = module("alpaca.data.enums").DataFeed(self._reach.data_feed)
        unpacked = module("msgpack").unpackb
        session, patience_s = self._session, self._reach.timeout_s

        class Listening(data.StockDataStream):  # type: ignore[misc, name-defined]
            """alpaca-py's stream on our own connection."""

            async def _connect(self) -> None:
                headers = {**HEADERS, "User-Agent": agent()}
                self._ws = await _Socket.dialled(session, self._endpoint, headers, patience_s)
                greeting = unpacked(await self._ws.recv())
                if greeting[0].get("msg") != "connected":
                    raise ValueError(str(greeting[0].get("msg")))

        return Listening(
            self._reach.key_id or "none", self._reach.secret or "none", raw_data=True, feed=feed
        )

    async def _read(self, socket: _Socket) -> None:
        unpacked = module("msgpack").unpackb
        channels = {"b": "bars", "q": "quotes", "t": "trades"}
        socket.patience_s = None
        try:
            while True:
                for message in unpacked(await socket.recv()):
                    if message.get("T") == "error":
                        words = f"alpaca stream: {message.get('msg')}"
                        known = any(each in words for each in AUTH_FAILED)
                        raise (VenueRefused if known else VenueTrouble)(words)
                    key = (channels.get(message.get("T"), ""), str(message.get("S")))
                    if key in self._waiting:
                        self._waiting[key].append(message)
                self._wake()
        except (VenueTrouble, VenueRefused) as lost:
            self._lost = lost
        except (ValueError, TypeError, AttributeError) as error:
            self._lost = VenueTrouble(f"alpaca stream: {type(error).__name__}: {error}")
        finally:
            self._wake()

    def _wake(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()

    def hang_up(self) -> None:
        """Lose the connection: whoever watches hears so, and dials anew."""
        if self._reader is not None:
            self._lost = self._lost or VenueTrouble("alpaca: hung up")
            self._wake()

    async def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
            await self._stream.close()
            self._wake()


class _Socket:
    """A websocket as alpaca-py's streams use one."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, patience_s: float) -> None:
        self._socket = socket
        self.patience_s: float | None = patience_s

    @classmethod
    async def dialled(
        cls, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], patience_s: float
    ) -> _Socket:
        """Open a socket; raises ``VenueTrouble``."""
        try:
            socket = await session.ws_connect(url, headers=headers, heartbeat=HEARTBEAT_S)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VenueTrouble(f"alpaca stream: {type(error).__name__}") from error
        return cls(socket, patience_s)

    async def send(self, message: Any) -> None:
        """Send bytes, whole or in pieces."""
        whole = message if isinstance(message, bytes) else b"".join(message)
        try:
            await self._socket.send_bytes(whole)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise VenueTrouble(f"alpaca stream: {type(error).__name__}") from error

    async def recv(self) -> bytes:
        """Return the next message; raises ``VenueTrouble`` when there will be none."""
        try:
            message = await self._socket.receive(self.patience_s)
        except TimeoutError:
            raise VenueTrouble("alpaca stream: no answer in time") from None
        if message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
            data = message.data
            return data.encode() if isinstance(data, str) else bytes(data)
        raise VenueTrouble(f"alpaca stream: {message.type.name.lower()}")

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


async def _unheard(_message: Any) -> None:
    """Stand for a listener: what alpaca-py would call is read here."""
