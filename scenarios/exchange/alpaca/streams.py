"""The websockets: who is there, who has signed in, what each listens to, and how news comes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import ClientConnectionResetError, WSMsgType, web

from messages import Bar
from scenarios.exchange.alpaca.book import stamp
from scenarios.exchange.faults import NEWS_FAULTS, Faults, WireFaultKind

UPDATES: Final = "trade_updates"
K = WireFaultKind
_log = logging.getLogger("tidegate.exchange")

Admits = Callable[[str, str], bool]


class Link:
    """One open connection; ``bars`` are the symbols whose bars it wants."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """Nobody has signed in yet."""
        self.socket = socket
        self.signed_in = False
        self.wants_updates = False
        self.bars: set[str] = set()
        self._request = request

    async def send(self, content: bytes) -> None:
        """Hand a message over, in a binary frame; what nobody reads is not waited for."""
        try:
            await self.socket.send_bytes(content)
        except (ClientConnectionResetError, ConnectionError):
            _log.debug("a stream was gone before its news")

    def abort(self) -> None:
        """Let the connection drop."""
        if self._request.transport is not None:
            self._request.transport.abort()


class Streams:
    """All connections; ``admits`` says whether a key and its secret are good."""

    def __init__(self, faults: Faults, admits: Admits) -> None:
        """Begin with none."""
        self.links: list[Link] = []
        self.subscribed: list[str] = []
        """The symbols whose bars were asked for, once for each connection."""
        self._faults = faults
        self._admits = admits

    async def serve_updates(self, request: web.Request) -> web.WebSocketResponse:
        """Serve the account's own stream: JSON."""
        return await self._serve(request, self._updates_asked, None)

    async def serve_data(self, request: web.Request) -> web.WebSocketResponse:
        """Serve market data: msgpack."""
        return await self._serve(request, self._data_asked, [{"T": "success", "msg": "connected"}])

    async def _serve(
        self,
        request: web.Request,
        asked: Callable[[Link, bytes], Awaitable[None]],
        greeting: object,
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        link = Link(socket, request)
        self.links.append(link)
        try:
            if greeting is not None:
                await link.send(msgspec.msgpack.encode(greeting))
            async for message in socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    raw = message.data
                    await asked(link, raw.encode() if isinstance(raw, str) else raw)
        finally:
            self.links.remove(link)
        return socket

    async def _updates_asked(self, link: Link, raw: bytes) -> None:
        asked: Mapping[str, Any] = msgspec.json.decode(raw)
        data: Mapping[str, Any] = asked.get("data") or {}
        if asked.get("action") == "authenticate":
            link.signed_in = self._admits(str(data.get("key_id")), str(data.get("secret_key")))
            status = "authorized" if link.signed_in else "unauthorized"
            told: dict[str, Any] = {"status": status, "action": "authenticate"}
            await link.send(msgspec.json.encode({"stream": "authorization", "data": told}))
        elif asked.get("action") == "listen" and link.signed_in:
            link.wants_updates = UPDATES in data.get("streams", ())
            names = [UPDATES] if link.wants_updates else []
            answer = {"stream": "listening", "data": {"streams": names}}
            await link.send(msgspec.json.encode(answer))

    async def _data_asked(self, link: Link, raw: bytes) -> None:
        asked: Mapping[str, Any] = msgspec.msgpack.decode(raw)
        if asked.get("action") == "auth":
            link.signed_in = self._admits(str(asked.get("key")), str(asked.get("secret")))
            told: dict[str, Any] = {"T": "success", "msg": "authenticated"}
            if not link.signed_in:
                told = {"T": "error", "code": 402, "msg": "auth failed"}
            await link.send(msgspec.msgpack.encode([told]))
        elif asked.get("action") == "subscribe" and link.signed_in:
            wanted = set(asked.get("bars", ()))
            self.subscribed += sorted(wanted - link.bars)
            link.bars |= wanted
            answer = [{"T": "subscription", "trades": [], "quotes": [], "bars": sorted(link.bars)}]
            await link.send(msgspec.msgpack.encode(answer))

    # -- delivery

    async def deliver(self, updates: Sequence[Mapping[str, Any]], bars: Sequence[Bar]) -> None:
        """Deliver what one step brought about."""
        for bar in bars:
            content = msgspec.msgpack.encode([streamed(bar)])
            for link in [link for link in self.links if bar.symbol in link.bars]:
                await link.send(content)
        if not updates:
            return
        fault = self._faults.strike("news")
        listening = [link for link in self.links if link.wants_updates]
        if fault is not None and fault.fault is K.CLOSE_STREAM:
            for link in listening:
                await link.socket.close()
            return
        if fault is not None and fault.fault is K.ABORT_STREAM:
            for link in listening:
                link.abort()
            return
        if fault is not None and fault.fault in NEWS_FAULTS:
            updates = self._faults.disturbed(fault.fault, updates)
        for update in updates:
            content = msgspec.json.encode({"stream": UPDATES, "data": update})
            for link in listening:
                await link.send(content)

    async def close(self) -> None:
        """Close every connection."""
        for link in list(self.links):
            await link.socket.close()


def streamed(bar: Bar) -> dict[str, Any]:
    """Return a closed bar as the stream has it."""
    moment = msgspec.msgpack.Ext(-1, (bar.timestamp // 1000).to_bytes(4, "big"))
    return {"T": "b", "S": bar.symbol, **figures(bar), "t": moment}


def figures(bar: Bar) -> dict[str, Any]:
    """Return a bar's figures as history has them."""
    return {
        "t": stamp(bar.timestamp).replace(f".{bar.timestamp % 1000:03d}123456", ""),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
        "n": 1,
        "vw": bar.close,
    }
