"""
ccxt itself: loaded here and nowhere else, told what it must not do, and kept quiet.

Nothing is ever sent twice by the transport: no retries, no redirects. In a rehearsal no host is
ever resolved: each is the local port, trusted by the certificate that was given, so the addresses,
the signatures and the error tables are those of the real venue. Where nothing pins the client to
this machine the hosts are resolved as the system does, and that is all the difference.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.columns import Capabilities, Weights
from brokers.ccxt.errors import LeftElsewhere, NoAnswer, Stamp
from brokers.ccxt.leaving import LookingConnector, watched
from brokers.ccxt.listing import Listing, learned, listed
from brokers.contract import VenueUnreachable
from state.loopback import UrlsUnfit, is_local, leaves_of, merged
from state.money import apart
from state.overlay import overlaid

STREAM_KEEP_ALIVE_MS: Final = 10_000
"""How often the stream's other end is asked for a sign of life; ccxt's own default is minutes."""

STREAM_MISSES_MAX: Final = 2

CALLS_PER_WINDOW_MIN: Final = 60
"""Least allowance of a venue that is not in the table: one call a second is little anywhere."""

LEFT: Final[ContextVar[list[str] | None]] = ContextVar("LEFT", default=None)
"""What has left in the course of a call, as it is noted by whoever makes the call."""

Headers = Mapping[str, str]


FETCHING: Final[ContextVar[bool]] = ContextVar("FETCHING", default=False)
"""Whether a method of ccxt is under way that asks."""

CHANGING: Final = frozenset((
    "add", "amend", "approve", "authorize", "buy", "cancel", "change", "close", "create", "delete",
    "edit", "execute", "modify", "new", "place", "remove", "sell", "send", "set", "submit",
    "transfer", "update", "w", "withdraw",
))  # fmt: skip
"""Words of a path by which something is done there; ``w`` is bitfinex's, for all that writes."""

WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class MayOnlyAsk(Exception):
    """A client that may only ask was to send something else; nothing has left."""


class LoopbackResolver(AbstractResolver):
    """Every host is this machine: at ``port``, or only the local hosts if that is 0."""

    def __init__(self, port: int) -> None:
        """Resolve without asking anybody."""
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine, or refuse a host that is elsewhere."""
        if not self.port and not is_local(host):
            raise OSError(f"{host} is not this machine, and a rehearsal leaves it never")
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
        """Do nothing."""


class VenueTime:
    """The machine's time, moved by how far the venue's is from it."""

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock
        self._newest = 0
        self.offset_ms = 0

    def __call__(self) -> int:
        """Return the venue's time, ms."""
        return self._clock.wall_ms() + self.offset_ms

    def next(self) -> int:
        """Return the time, or a little more: greater than any that was returned before."""
        self._newest = max(self._newest + 1, self())
        return self._newest


class CcxtClient:
    """
    One ccxt exchange object, opened and set up; ``exchange`` is it.

    ``on_headers`` hears the headers of every answer, ``on_limits`` the limits that one tells of, in
    ``rateLimits``, ``on_message`` every raw message of a stream
    before ccxt has looked at it, ``on_stream`` whether a stream has come up (True) or gone (False).
    """

    def __init__(
        self,
        address: CcxtAddress,
        row: Capabilities,
        clock: VenueClock,
        *,
        only_asks: bool = False,
    ) -> None:
        """
        Load ccxt and make the object; raises ``VenueUnreachable`` where that cannot be.

        With ``only_asks`` whatever could change an account raises ``MayOnlyAsk``, and never leaves.
        """
        self.address = address
        self.only_asks = only_asks
        self.row = row
        self.time = VenueTime(clock)
        self.on_headers: Callable[[Headers], object] = _nothing
        self.on_limits: Callable[[list[Any]], object] = _nothing
        self.on_message: Callable[[Any], object] = _nothing
        self.on_stream: Callable[[bool], object] = _nothing
        self._clock = clock
        self._session = _session(address)
        try:
            self.exchange: Any = self._made()
        except BaseException:
            self._session.detach()  # nothing was opened yet, and nobody will close it
            raise

    def __repr__(self) -> str:
        """Return the venue and no secret."""
        return f"<CcxtClient {self.address.exchange}>"

    @property
    def weights(self) -> Weights:
        """Return the account's allowance; of a venue without one of its own half of ccxt's pace."""
        weights = self.row.weights
        if not weights.per_window:
            calls = int(1000 * weights.window_s / float(self.exchange.rateLimit)) // 2
            weights = replace(weights, per_window=max(CALLS_PER_WINDOW_MIN, calls))
        return weights.granted(self.address.allowance)

    async def load(self) -> None:
        """Load the markets and find out how far the venue's clock is from ours."""
        await self.exchange.load_markets()
        await self.sync_time()

    async def listed(self, symbols: Collection[str]) -> Listing:
        """Return markets as they are now; until they are taken it goes by those it has."""
        return await listed(self.exchange, symbols, self.row.listed_by)

    async def learn(self, ids: Collection[str]) -> None:
        """Know the markets that the venue calls by ``ids`` as well, if it lists them by now."""
        found = await learned(self.exchange, ids, self.row.listed_by)
        found.take(found.markets)

    def speak_of(self, symbols: Iterable[str]) -> None:
        """Have what is asked of the account asked of the kind of market that ``symbols`` are of."""
        found = (self.exchange.markets.get(symbol) for symbol in symbols)
        kinds = {str(market["type"]) for market in found if market is not None}
        if self.row.default_type and len(kinds) == 1 and "defaultType" not in self.address.options:
            self.exchange.options["defaultType"] = kinds.pop()

    async def sync_time(self) -> None:
        """Take the venue's time, half the way of the question assumed for its answer."""
        if not self.exchange.has.get("fetchTime"):
            return
        asked_at = self._clock.wall_ms()
        theirs = await self.exchange.fetch_time()
        answered_at = self._clock.wall_ms()
        if isinstance(theirs, int | str):
            self.time.offset_ms = int(theirs) - (asked_at + answered_at) // 2

    def repair_stream(self) -> None:
        """Forget the key of the private stream: ccxt would dial a dead one for twenty minutes."""
        for options in self.exchange.options.values():
            if isinstance(options, dict) and "lastAuthenticatedTime" in options:
                options["lastAuthenticatedTime"] = 0

    def redial(self, why: str) -> None:
        """Give up the streams that are open, and dial anew with a new key."""
        from ccxt import NetworkError

        self.repair_stream()
        for stream in list((self.exchange.clients or {}).values()):
            if stream.isConnected:
                stream.on_error(NetworkError(why))

    async def close(self) -> None:
        """Close the streams and the connections."""
        try:
            await self.exchange.close()
        finally:
            await self._session.close()

    # -- how it is made

    def _made(self) -> Any:
        base = class_of(self.address.exchange)
        client = self

        class Stamped(base):  # type: ignore[valid-type, misc]
            """The exchange, with what an answer was on every exception made of it."""

            async def fetch(
                self, url: str, method: str = "GET", headers: Any = None, body: Any = None
            ) -> Any:
                if client.only_asks:
                    refuse_change(method, url, client.row)
                client.refuse_elsewhere(url)
                if (left := LEFT.get()) is not None:
                    left.append(method)
                return await super().fetch(url, method, headers, body)

            def client(self, url: str) -> Any:
                if client.only_asks:  # some venues take orders on their streams
                    raise MayOnlyAsk("a stream")
                client.refuse_elsewhere(url)
                return super().client(url)

            def handle_errors(self, code: int, reason: str, *args: Any) -> Any:
                url, method, headers, body = args[:4]
                client.on_headers(headers)
                if isinstance(args[4], dict) and isinstance(args[4].get("rateLimits"), list):
                    client.on_limits(args[4]["rateLimits"])
                stamp = _stamp(code, headers, body, method, url)
                if args[4] is None and str(body or "").lstrip().startswith("<"):
                    return client.stamped(_refuse_page, stamp, super().handle_errors, reason, *args)
                return client.stamped(super().handle_errors, stamp, reason, *args)

            def handle_http_status_code(
                self, code: int, reason: str, url: str, method: str, body: str
            ) -> Any:
                handle = super().handle_http_status_code
                stamp = _stamp(code, {}, body, method, url)
                return client.stamped(handle, stamp, reason, url, method, body)

            def handle_message(self, stream: Any, message: Any) -> Any:
                client.on_message(message)
                return super().handle_message(stream, message)

            def on_connected(self, stream: Any, message: Any = None) -> Any:
                super().on_connected(stream, message)
                client.on_stream(True)  # noqa: FBT003 - ccxt's callback has one word for each

            def on_error(self, stream: Any, error: Any) -> Any:
                super().on_error(stream, error)
                client.on_stream(False)  # noqa: FBT003

            def on_close(self, stream: Any, error: Any) -> Any:
                super().on_close(stream, error)
                client.on_stream(False)  # noqa: FBT003

        return self._set_up(Stamped(self._constructor()))

    def _set_up(self, exchange: Any) -> Any:
        exchange.decimal_to_precision = apart(exchange.decimal_to_precision)
        # Numbers stay as they are written.
        exchange.number = str
        exchange.logger = _silent()
        exchange.milliseconds = self.time
        if self.row.strict_nonce:
            exchange.nonce = self.time.next
        if self.row.builder_fee:
            exchange.initialize_client = _ready
        if self.only_asks and self.row.asks_in_fetch:
            for name in dir(type(exchange)):
                if name.startswith("fetch_"):
                    setattr(exchange, name, partial(_fetching, getattr(exchange, name)))
        try:
            exchange.urls = merged(exchange.urls, self.address.urls)
        except UrlsUnfit as unfit:
            raise VenueUnreachable(f"[venue.ccxt] {unfit}") from None
        return exchange

    def refuse_elsewhere(self, url: str) -> None:
        """Raise ``LeftElsewhere`` for an address that must not be dialled."""
        host = urlsplit(url).hostname or ""
        if not self.address.may_reach(host):
            places = [
                place
                for place, each in leaves_of(self.exchange.urls["api"])
                if urlsplit(self.exchange.implode_hostname(each)).hostname == host
            ]
            named = f"urls.api.{places[0]}" if places else "urls"
            raise LeftElsewhere(
                f"[venue.ccxt] {named}: {host} is not this machine and is not dialled; expected a "
                "local address there, or [venue] loopback_port"
            )

    @staticmethod
    def stamped(handle: Callable[..., Any], stamp: Stamp, *args: Any) -> Any:
        """Call ``handle``; put what the answer was on whatever it raises."""
        try:
            return handle(stamp.status, *args)
        except Exception as error:
            if getattr(error, "stamp", None) is None:
                error.stamp = stamp  # type: ignore[attr-defined]
            raise

    def _constructor(self) -> dict[str, Any]:
        address = self.address
        names = self.row.credentials
        secrets = {names[ours]: text for ours, text in address.secrets.items() if ours in names}
        options = {
            **self.row.options,
            "recvWindow": address.recv_window_ms,
            "adjustForTimeDifference": False,
            "maxRetriesOnFailure": 0,
        }
        made: dict[str, Any] = {
            "enableRateLimit": False,
            "timeout": int(1000 * address.timeout_s),
            "streaming": {
                "keepAlive": STREAM_KEEP_ALIVE_MS,
                "maxPingPongMisses": STREAM_MISSES_MAX,
            },
            # Names and precision come with the markets; the list of coins is not ours to read.
            "has": {"fetchCurrencies": False},
        }
        return {
            **overlaid(made, address.params),
            **secrets,
            "session": self._session,
            "options": overlaid(options, address.options),
        }


def refuse_change(method: str, url: str, row: Capabilities) -> None:
    """Raise ``MayOnlyAsk`` for a request that is not a question at the venue of ``row``."""
    path = urlsplit(url).path
    if row.asks_in_fetch:
        words = {word.lower() for word in WORDS.findall(path)}
        # Some place orders by GET, and many are asked by POST.
        is_question = FETCHING.get() and (method == "GET" or not words & CHANGING)
    else:
        is_question = method == "GET" or path.rpartition("/")[2] in row.asks_by_post
    if not is_question:
        raise MayOnlyAsk(f"{method} {path} is not known to be a question there")


async def _fetching(ask: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
    asking = FETCHING.set(True)
    try:
        return await ask(*args, **named)
    finally:
        FETCHING.reset(asking)


def class_of(exchange: str) -> Any:
    """Return ccxt's class; raises ``VenueUnreachable`` where it has none, or is not installed."""
    try:
        import ccxt.pro as streaming
    except ImportError:
        raise VenueUnreachable(
            "adapter 'ccxt' needs the package ccxt, and it is not installed: tidegate[ccxt]"
        ) from None
    if exchange not in streaming.exchanges:
        import ccxt.async_support as asking

        if exchange not in asking.exchanges:
            raise VenueUnreachable(f"[venue] exchange: ccxt knows no {exchange!r}")
        return getattr(asking, exchange)
    return getattr(streaming, exchange)


def _session(address: CcxtAddress) -> aiohttp.ClientSession:
    ca = None if address.loopback_ca is None else str(address.loopback_ca)
    if ca is not None and not address.is_pinned:
        raise VenueUnreachable(f"[venue] loopback_ca: {ca}: a rehearsal's, and nothing is pinned")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise VenueUnreachable(f"[venue] loopback_ca: {ca}: {error}") from None
    trace = watched(aiohttp.TraceConfig())
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=LookingConnector(
            limit=0,
            ssl=context,
            resolver=LoopbackResolver(address.loopback_port) if address.is_pinned else None,
            use_dns_cache=not address.is_pinned,
        ),
        trust_env=False,
        trace_configs=[trace],
    )


async def _refuse_redirect(_session: Any, _context: Any, params: Any) -> None:
    raise aiohttp.ClientPayloadError(f"redirected from {params.url.host}: not followed")


def _refuse_page(code: int, handle: Callable[..., Any], reason: str, *args: Any) -> Any:
    """Let ccxt judge a page by its status, and take none for an answer: it would be empty."""
    found = handle(code, reason, *args)
    if code < HTTPStatus.BAD_REQUEST:
        raise NoAnswer("a page, and no JSON")
    return found


def _stamp(code: int, headers: Headers, body: str, method: str, url: str) -> Stamp:
    return Stamp(code, dict(headers or {}), body or "", f"{method} {urlsplit(url).path}")


def _silent() -> logging.Logger:
    logger = logging.getLogger("brokers.ccxt.silent")
    logger.disabled = True
    return logger


async def _ready() -> bool:
    """Stand in for ccxt's own first step at a venue, which signs approvals of a fee of its own."""
    return True


def _nothing(_heard: object) -> None:
    return None
