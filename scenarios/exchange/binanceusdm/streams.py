"""
Websockets: who listens to what, listen keys and their ends, and how news is delivered.

A message is handed to the connection before the answer to the request that brought it about is:
what reads both sees the news first. A connection that does not keep up is dropped, not waited for.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import ClientConnectionResetError, WSMsgType, web

from scenarios.exchange.binanceusdm.auth import Keys
from scenarios.exchange.binanceusdm.errors import NO_LISTEN_KEY, Refused
from scenarios.exchange.binanceusdm.events import Event, expired_key
from scenarios.exchange.faults import NEWS_FAULTS, Faults, WireFault, WireFaultKind

KEY_LIFE_MS: Final = 60 * 60_000
"""How long a listen key is good without being kept alive."""

UNSENT_BYTES_MAX: Final = 1_000_000
"""A connection that has more than this unread is dropped."""

STREAMS_MAX: Final = 200
"""Most public streams of one connection."""

ANSWER_FIRST_MS: Final = 50
"""How long news waits so that the answer is there first."""

K = WireFaultKind
_log = logging.getLogger("tidegate.exchange")


class Link:
    """One open connection: the account's where ``key`` is a listen key, else public."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, key: str, *, wrapped: bool
    ) -> None:
        """Listen to nothing public yet; ``wrapped`` messages name their stream."""
        self.key = key
        self.streams: dict[str, None] = {}
        self.silent = False
        self._socket = socket
        self._request = request
        self._wrapped = wrapped

    async def send(self, event: Event) -> None:
        """Hand a message over; what nobody reads is not waited for."""
        content: dict[str, Any] = event.content
        if self._wrapped:
            content = {"stream": event.stream or self.key, "data": content}
        await self.say(content)

    async def say(self, content: object) -> None:
        """Hand any document over."""
        transport = self._request.transport
        if self.silent or self._socket.closed or transport is None:
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            _log.warning("a stream that does not keep up was dropped")
            transport.abort()
            return
        try:
            await self._socket.send_str(msgspec.json.encode(content).decode())
        except (ClientConnectionResetError, ConnectionError):
            _log.debug("a stream was gone before its news")

    async def ping(self) -> None:
        """Ask whether anybody is there; the answer is not waited for."""
        try:
            await self._socket.ping()
        except (ClientConnectionResetError, ConnectionError):
            _log.debug("a stream was gone before its ping")

    async def close(self) -> None:
        """Close it in due form."""
        await self._socket.close(code=1001)

    def abort(self) -> None:
        """Drop the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


class Streams:
    """All connections and listen keys of the venue."""

    def __init__(
        self,
        keys: Keys,
        faults: Faults,
        now: Callable[[], int],
        later: Callable[[float, Callable[[], Awaitable[None]]], None],
    ) -> None:
        """
        Serve nobody yet.

        ``now`` is the machine's clock, by which listen keys expire; ``later`` does something after
        a number of seconds.
        """
        self._keys = keys
        self._faults = faults
        self._now = now
        self._later = later
        self._links: list[Link] = []
        self._listen: dict[str, int] = {}
        self._made = 0
        self._held: list[Event] = []
        self._holding = False

    # -- listen keys

    def listen_key(self) -> str:
        """Return the key that is good now, made if there is none, and lengthen its life."""
        now = self._now()
        for key, until in self._listen.items():
            if now < until:
                self._listen[key] = now + KEY_LIFE_MS
                return key
        self._made += 1
        seed = f"listen key {self._made} {now}".encode()
        key = hmac.new(self._keys.secret.encode(), seed, hashlib.sha256).hexdigest()
        self._listen = {key: now + KEY_LIFE_MS}
        return key

    def keep(self) -> str:
        """Lengthen the life of the key that is good now; refuses where there is none."""
        if not any(self._now() < until for until in self._listen.values()):
            raise Refused(NO_LISTEN_KEY)
        return self.listen_key()

    def is_good(self, key: str) -> bool:
        """Tell whether a listen key may be listened with."""
        return self._now() < self._listen.get(key, 0)

    async def drop_key(self) -> None:
        """End the listen key without a word, at its owner's wish."""
        self._listen.clear()
        await self._close(link for link in self._private())

    async def expire(self, at: int, *, all_of_them: bool = False) -> None:
        """End the listen keys whose time has come, with a word to whoever listens."""
        now = self._now()
        over = [key for key, until in self._listen.items() if all_of_them or now >= until]
        for key in over:
            del self._listen[key]
            mine = [link for link in self._links if link.key == key]
            for link in mine:
                await link.send(expired_key(key, at))
            await self._close(mine)

    # -- connections

    @property
    def wanted(self) -> set[str]:
        """Return the public streams that somebody listens to."""
        return {stream for link in self._links for stream in link.streams}

    @property
    def open(self) -> int:
        """Return how many connections there are."""
        return len(self._links)

    async def serve(
        self,
        request: web.Request,
        key: str,
        streams: Sequence[str],
        *,
        wrapped: bool,
        changed: Callable[[], None],
    ) -> web.WebSocketResponse:
        """Serve one connection until it ends; ``changed`` hears when it wants something else."""
        socket = web.WebSocketResponse(autoping=False, heartbeat=None, compress=False)
        await socket.prepare(request)
        if request.transport is not None:
            # So that handing over never waits: who is that far behind is dropped before.
            request.transport.set_write_buffer_limits(high=2 * UNSENT_BYTES_MAX)
        link = Link(socket, request, key, wrapped=wrapped)
        link.streams.update(dict.fromkeys(streams))
        self._links.append(link)
        changed()
        try:
            async for message in socket:
                if message.type is WSMsgType.PING:
                    if not link.silent:
                        await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._asked(link, message.data)
                    changed()
        finally:
            self._links.remove(link)
            changed()
        return socket

    async def _asked(self, link: Link, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
            method, names = asked.get("method"), asked.get("params", [])
        except msgspec.DecodeError:
            await link.say({"error": {"code": 3, "msg": "Invalid JSON"}})
            return
        number = asked.get("id")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            error = {"code": 2, "msg": "Invalid request: params must be a list of strings"}
            await link.say({"error": error, "id": number})
            return
        if method == "SUBSCRIBE" and len(link.streams) + len(names) <= STREAMS_MAX:
            link.streams.update(dict.fromkeys(names))
            await link.say({"result": None, "id": number})
        elif method == "UNSUBSCRIBE":
            for name in names:
                link.streams.pop(name, None)
            await link.say({"result": None, "id": number})
        elif method == "LIST_SUBSCRIPTIONS":
            await link.say({"result": list(link.streams), "id": number})
        else:
            error = {"code": 2, "msg": f"Invalid request: unknown or refused method {method}"}
            await link.say({"error": error, "id": number})

    async def ping(self) -> None:
        """Ping everybody, as the venue does now and then."""
        for link in list(self._links):
            if not link.silent:
                await link.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self._close(list(self._links))

    async def _close(self, links: Iterable[Link]) -> None:
        for link in list(links):
            await link.close()

    def _private(self) -> list[Link]:
        return [link for link in self._links if link.key]

    # -- delivery

    async def deliver(self, events: Sequence[Event], at: int) -> None:
        """Deliver what one step brought about: the account's news to its owner, the rest to all."""
        mine = [event for event in events if not event.stream]
        for event in events:
            if event.stream:
                for link in list(self._links):
                    if event.stream in link.streams:
                        await link.send(event)
        if mine:
            fault = self._faults.strike("news")
            if fault is None and not self._holding:
                await self._tell(mine)
            else:
                await self._disturbed(mine, fault, at)

    async def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            for link in self._private():
                await link.send(event)

    async def _disturbed(self, events: list[Event], fault: WireFault | None, at: int) -> None:
        kind = None if fault is None else fault.fault
        if self._holding:
            # A burst: what comes while older news is held waits behind it.
            self._held += events
        elif kind in NEWS_FAULTS and kind is not K.DELAY_NEWS:
            assert kind is not None, "it is one of the faults"
            await self._tell(self._faults.disturbed(kind, events))
        elif kind in {K.DELAY_NEWS, K.ANSWER_FIRST}:
            self._holding = True
            self._held = events
            by = fault.by if fault is not None and kind is K.DELAY_NEWS else 0
            self._later(max(by, ANSWER_FIRST_MS) / 1000, self._burst)
        elif kind is K.FILLS_FIRST:
            await self._tell(sorted(events, key=lambda event: not event.fills))
        elif kind is K.EXPIRE_KEY:
            await self.expire(at, all_of_them=True)
        else:
            await self._broken(kind)

    async def _broken(self, kind: WireFaultKind | None) -> None:
        """End or silence the account's connections; the news is lost with them."""
        for link in self._private():
            if kind is K.CLOSE_STREAM:
                await link.close()
            elif kind is K.ABORT_STREAM:
                link.abort()
            else:
                assert kind is K.SILENCE_STREAM, "every fault of news is dealt with"
                link.silent = True

    async def _burst(self) -> None:
        self._holding = False
        held, self._held = self._held, []
        await self._tell(held)
