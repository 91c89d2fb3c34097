"""
Where ccxt leaves venues different in their market data, as tables; a venue without a row has none.

A row is looked up by the names of ccxt's class and of those that it derives from, so that a
venue's branches (``okxus``, ``bybiteu``) have the row of their house.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

CONTRACT_VOLUMES: Final = frozenset({"gate", "gateio", "kucoin", "kucoinfutures", "mexc"})
"""Venues of which ccxt gives a candle's volume in contracts; of the others it gives base units."""

COIN_AMOUNTS: Final = frozenset({"apex", "deribit", "gemini", "lighter"})
"""Venues that tell of a contract size, and count amounts in base units all the same."""


@dataclass(frozen=True, slots=True)
class ClosedWords:
    """
    How a venue says over its stream that a candle is closed, which ccxt leaves out.

    ``closed`` returns of a message the market's id and the open (int ms UTC) of each candle that
    is; an id stands for a spot market and a contract where ``is_spot`` tells them by the address.
    """

    closed: Callable[[Mapping[str, Any]], Iterable[tuple[str, int]]]
    is_spot: Callable[[str], bool]


def _okx(message: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    market = (message.get("arg") or {}).get("instId", "")
    # Time, four prices, three volumes, and whether it is completed.
    return [(market, int(each[0])) for each in message.get("data") or () if each[8:9] == ["1"]]


def _bybit(message: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    market = str(message.get("topic", "")).rpartition(".")[2]
    candles = message.get("data") or ()
    return [(market, int(each["start"])) for each in candles if each.get("confirm") is True]


def _binance(message: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    candle = message.get("k") or {}
    return [(candle["s"], int(candle["t"]))] if candle.get("x") is True else []


CLOSED_WORDS: Final[Mapping[str, ClosedWords]] = {
    "binance": ClosedWords(_binance, lambda url: "/stream" in url),
    "bybit": ClosedWords(_bybit, lambda url: "spot" in url),
    "okx": ClosedWords(_okx, lambda _url: False),
}
"""Of the others (Kraken, Hyperliquid) a candle is closed by the first word about the next one."""


def closed_words_of(exchange: type) -> ClosedWords | None:
    """Return how a venue says that a candle is closed; None where it does not."""
    names = (each.__name__ for each in exchange.__mro__)
    return next((CLOSED_WORDS[name] for name in names if name in CLOSED_WORDS), None)
