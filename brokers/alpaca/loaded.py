"""
alpaca-py itself: loaded here and nowhere else on this floor, and put on our own connections.

Its clients are asked by their methods, and what they would have sent goes through ``Transport``:
each method returns what is to be awaited. Its streams keep their words (how one signs in, what one
listens to) and lose their sockets. It costs a second to import, for it loads pandas.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from brokers.alpaca.transport import Socket, Transport
from brokers.contract import VenueUnreachable

MISSING: Final = (
    "adapter 'alpaca' needs the package alpaca-py, and it is not installed: tidegate[alpaca]"
)


@dataclass(frozen=True, slots=True)
class Exact:
    """The fields of a request, which go out as they are: alpaca-py's models make floats of them."""

    fields: Mapping[str, Any]

    def to_request_fields(self) -> dict[str, Any]:
        """Return the fields, as alpaca-py asks its own models for them."""
        return dict(self.fields)


def module(name: str) -> Any:
    """Return a module of alpaca-py; raises ``VenueUnreachable`` without the package."""
    try:
        with warnings.catch_warnings():
            # It imports the old websockets client, which warns, and which is not used here.
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(name)
    except ImportError:
        raise VenueUnreachable(MISSING) from None


def trading_client(transport: Transport, key: str, secret: str, *, paper: bool) -> Any:
    """Return a ``TradingClient`` whose methods are to be awaited and give documents."""
    base = module("alpaca.trading.client").TradingClient

    class Trading(base):  # type: ignore[misc, valid-type]
        """alpaca-py's client on our own connections."""

        def _request(
            self,
            method: str,
            path: str,
            data: Any = None,
            base_url: Any = None,
            api_version: str | None = None,
        ) -> Any:
            root = (base_url or self._base_url) + "/" + (api_version or self._api_version)
            return transport.ask(method, root + path, data, self._get_default_headers())

    return Trading(api_key=key, secret_key=secret, paper=paper, raw_data=True)


def trading_stream(transport: Transport, key: str, secret: str, *, paper: bool) -> Any:
    """Return a ``TradingStream`` whose socket is ours and whose messages are not looked at."""
    base = module("alpaca.trading.stream").TradingStream
    agent = module("alpaca.common.utils").get_default_user_agent

    class Updates(base):  # type: ignore[misc, valid-type]
        """alpaca-py's stream on our own connections."""

        async def _connect(self) -> None:
            headers = {"User-Agent": agent()}
            self._ws = await Socket.dialled(transport, str(self._endpoint.value), headers)

    stream = Updates(key, secret, paper=paper, raw_data=True)
    stream.subscribe_trade_updates(_unheard)
    return stream


async def _unheard(_message: Any) -> None:
    """Stand for a listener: without one alpaca-py would not ask for the stream."""
