"""
The account is set up before a session begins, and what was set is read back.

Nothing is taken for done: a venue may answer that there is no need to change, or change nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.errors import Failure, Refused
from brokers.ccxt.lanes import Lane
from brokers.ccxt.rounding import MarketRules, rules_of
from brokers.contract import VenueUnreachable
from messages import PositionMode

UNCHANGED = ("-4059", "-4046", "110025", "110026", "110043", "59000")
"""Codes by which venues say that what is set is what it was."""


async def prepared(calls: Calls, symbols: Sequence[str]) -> dict[str, MarketRules]:
    """
    Return the rules of the symbols, with the account set up for them.

    Raises ``VenueUnreachable``, with the reason, where the venue does not have it so.
    """
    client = calls.client
    exchange, row, address = client.exchange, client.row, client.address
    if address.dead_man_s:
        _need(address, "dead_man_s", row.dead_man is not None)
    await _done(calls, "load the markets", client.load)
    client.speak_of(symbols)
    rules: dict[str, MarketRules] = {}
    for symbol in symbols:
        market = exchange.markets.get(symbol)
        if market is None:
            raise VenueUnreachable(unlisted(symbol, address.exchange, exchange.markets))
        if market.get("inverse"):
            raise VenueUnreachable(f"{symbol}: inverse contracts are not supported")
        rules[symbol] = rules_of(market, row)
    contracts = [symbol for symbol, market in rules.items() if market.is_contract]
    if contracts:
        await _position_mode(calls, address, contracts)
    for symbol in contracts:
        await _margin_mode(calls, address, symbol)
        await _leverage(calls, address, symbol)
    return rules


def unlisted(symbol: str, venue: str, markets: Mapping[str, Any]) -> str:
    """Return that a venue does not list a symbol, and what it does list."""
    alike = [each for each in sorted(markets) if each.partition("/")[0] == symbol.partition("/")[0]]
    like = f", like {', '.join((alike or sorted(markets))[:3])}" if markets else ""
    return f"{venue} does not list {symbol}; it has {len(markets)} markets{like}"


async def _position_mode(calls: Calls, address: CcxtAddress, contracts: list[str]) -> None:
    row, exchange = calls.row, calls.client.exchange
    hedged = address.position_mode is PositionMode.HEDGE
    if hedged and not row.hedge:
        raise VenueUnreachable(f"{address.exchange} keeps no long and short positions apart")
    if not row.position_mode_settable:
        return
    found = await _hedged(calls, contracts[0])
    if found is hedged:
        return
    what = f"set the position mode to {address.position_mode.value}"
    asked = await calls.once(
        Lane.CREATE, 1, lambda: exchange.set_position_mode(hedged, contracts[0])
    )
    _accept(asked, address, what)
    found = await _hedged(calls, contracts[0])
    if found is not None and found is not hedged:
        raise VenueUnreachable(f"{address.exchange}: {what}: it did not change")


async def _hedged(calls: Calls, symbol: str) -> bool | None:
    exchange = calls.client.exchange
    if exchange.has.get("fetchPositionMode") is not True:
        return None
    found = await _done(
        calls, "read the position mode", lambda: exchange.fetch_position_mode(symbol)
    )
    return bool(found["hedged"])


async def _margin_mode(calls: Calls, address: CcxtAddress, symbol: str) -> None:
    wanted, exchange = address.margin_mode, calls.client.exchange
    if wanted is None:
        return
    _need(address, "margin_mode", calls.row.leverage_settable)
    if calls.row.margin_mode_needs_leverage:
        if address.leverage is None:
            raise VenueUnreachable(
                f"[venue] margin_mode: {address.exchange} sets it together with the leverage, and "
                "[venue] leverage is not given"
            )
        return
    what = f"set the margin mode of {symbol} to {wanted}"
    asked = await calls.once(Lane.CREATE, 1, lambda: exchange.set_margin_mode(wanted, symbol))
    _accept(asked, address, what)
    if exchange.has.get("fetchMarginMode") is True:
        found = await _done(calls, what, lambda: exchange.fetch_margin_mode(symbol))
        if found.get("marginMode") != wanted:
            raise VenueUnreachable(f"{address.exchange}: {what}: found {found.get('marginMode')}")


async def _leverage(calls: Calls, address: CcxtAddress, symbol: str) -> None:
    wanted, exchange = address.leverage, calls.client.exchange
    if wanted is None:
        return
    _need(address, "leverage", calls.row.leverage_settable)
    what = f"set the leverage of {symbol} to {wanted}"
    mode = _mode_of_leverage(calls, address)
    reply = None
    for params in _books_of_leverage(calls, address, mode):
        ask = partial(exchange.set_leverage, wanted, symbol, params)
        reply = _accept(await calls.once(Lane.CREATE, 1, ask), address, what)
    told = reply.get("leverage") if isinstance(reply, Mapping) else None
    if told is None and exchange.has.get("fetchLeverage"):
        found = await _done(calls, what, lambda: exchange.fetch_leverage(symbol, mode))
        told = found.get("longLeverage")
    if told is not None and int(float(told)) != wanted:
        raise VenueUnreachable(f"{address.exchange}: {what}: found {told}")


def _mode_of_leverage(calls: Calls, address: CcxtAddress) -> dict[str, Any]:
    """Return what names the margin mode: without it the call would set the other one."""
    if calls.row.margin_mode_needs_leverage and address.margin_mode is not None:
        return {"marginMode": address.margin_mode}
    return {}


def _books_of_leverage(
    calls: Calls, address: CcxtAddress, mode: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the parameters of each call: one, or one for each side of an isolated book."""
    hedged = address.position_mode is PositionMode.HEDGE
    if calls.row.leverage_by_book and hedged and address.margin_mode == "isolated":
        return [{**mode, "posSide": book} for book in ("long", "short")]
    return [mode]


def _need(address: CcxtAddress, key: str, settable: bool) -> None:  # noqa: FBT001
    if not settable:
        raise VenueUnreachable(f"[venue] {key}: cannot be set at {address.exchange}")


def _accept(asked: Done[Any] | Failure, address: CcxtAddress, what: str) -> Any:
    """Return the reply; that nothing had to change is as good."""
    if isinstance(asked, Done):
        return asked.value
    if isinstance(asked, Refused) and asked.code in UNCHANGED:
        return None
    raise VenueUnreachable(f"{address.exchange}: {what}: {words(asked)}")


async def _done(calls: Calls, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
    found = await calls.read(ask)
    if not isinstance(found, Done):
        raise VenueUnreachable(f"{calls.client.address.exchange}: {what}: {words(found)}")
    return found.value
