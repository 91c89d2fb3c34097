"""
The account is set up before a session begins, and what was set is read back.

Nothing is taken for done: a venue may answer that there is no need to change, or change nothing.
What cannot be read back is said, by name: there the venue's word that it was taken is all there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.errors import Failure, Refused
from brokers.ccxt.lanes import Lane
from brokers.ccxt.rounding import MarketRules, number, rules_of
from brokers.ccxt.taking_back import unfit_cancels
from brokers.contract import VenueUnreachable
from messages import PositionMode

POSITION_MODE: Final = "venue.position_mode"
"""What findings and warnings of the position mode are of."""

NEEDS_LEVERAGE: Final = "sets it together with the leverage, and [venue] leverage is not given"
"""Why a margin mode is refused where it is not set by itself."""

LEVERAGES: Final = ("longLeverage", "shortLeverage")
"""Where ccxt has the leverage of each side: a venue may have set one of them alone."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    An account that is set up.

    ``unverified`` are the settings that the venue was not heard to have, each with what is known.
    """

    rules: dict[str, MarketRules] = field(default_factory=dict)
    unverified: dict[str, str] = field(default_factory=dict)


async def prepared(calls: Calls, symbols: Sequence[str]) -> Prepared:
    """
    Return the rules of the symbols, with the account set up for them.

    Raises ``VenueUnreachable``, with the reason, where the venue does not have it so.
    """
    client = calls.client
    exchange, row, address = client.exchange, client.row, client.address
    if unfit := unfit_timer(address, row):
        raise VenueUnreachable(f"[venue] dead_man_s: {unfit}")
    if unfit := unfit_cancels(row, address.options, symbols):
        raise VenueUnreachable(unfit)
    await _done(calls, "load the markets", client.load)
    client.speak_of(symbols)
    if row.warm_up:
        # Else it is asked in the middle of the first order.
        await _done(calls, "ask of which kind the account is", getattr(exchange, row.warm_up))
    found = Prepared()
    for symbol in symbols:
        market = exchange.markets.get(symbol)
        if market is None:
            raise VenueUnreachable(unlisted(symbol, address.exchange, exchange.markets))
        if market.get("inverse"):
            raise VenueUnreachable(f"{symbol}: inverse contracts are not supported")
        found.rules[symbol] = rules_of(market, row)
    contracts = [symbol for symbol, market in found.rules.items() if market.is_contract]
    if contracts:
        _note(found, POSITION_MODE, await _position_mode(calls, address, contracts))
    for symbol in contracts:
        _note(found, f"margin_mode {symbol}", await _margin_mode(calls, address, symbol))
        _note(found, f"leverage {symbol}", await _leverage(calls, address, symbol))
    return found


def _note(found: Prepared, setting: str, unverified: str) -> None:
    if unverified:
        found.unverified[setting] = unverified


def unlisted(symbol: str, venue: str, markets: Mapping[str, Any]) -> str:
    """Return that a venue does not list a symbol, and what it does list."""
    alike = [each for each in sorted(markets) if each.partition("/")[0] == symbol.partition("/")[0]]
    like = f", like {', '.join((alike or sorted(markets))[:3])}" if markets else ""
    return f"{venue} does not list {symbol}; it has {len(markets)} markets{like}"


def unfit_timer(address: CcxtAddress, row: Capabilities) -> str:
    """Return why the venue's timer is not to be had so; empty where it is, or none is wanted."""
    least_s, most_s = row.dead_man_span_s
    if not address.dead_man_s:
        return ""
    if row.dead_man is None:
        return f"cannot be set at {address.exchange}"
    if not least_s <= address.dead_man_s <= most_s:
        return f"found {address.dead_man_s}, expected {least_s} to {most_s} at {address.exchange}"
    return ""


# ---------------------------------------------------------------------- what cannot be read back


def unread(value: object, venue: str, why: str = "", besides: str = "") -> str:
    """Return that a setting is not verified; the same before a session and in it."""
    why = why or f"ccxt cannot read it at {venue}"
    return f"set to {value} at the start and not read back: {why}{besides}; see to it at the venue"


def no_hedge(address: CcxtAddress) -> str:
    """Return why a venue without long and short apart is not entered in hedge mode."""
    return (
        f"found hedge, expected one_way: {address.exchange} keeps no long and short positions apart"
    )


def unread_position_mode(address: CcxtAddress, row: Capabilities, has: Mapping[str, Any]) -> str:
    """Return that nobody will know the position mode, empty where it can be read or is but one."""
    if has.get("fetchPositionMode") is True:
        return ""
    if row.position_mode_settable:
        return unread(address.position_mode.value, address.exchange)
    if has.get("setPositionMode"):
        return (
            f"taken to be one_way: it is not set at {address.exchange}, and ccxt cannot read it "
            "there; see to it at the venue"
        )
    return ""


def unread_margin_mode(address: CcxtAddress, row: Capabilities, has: Mapping[str, Any]) -> str:
    """Return that nobody will know the margin mode, empty where it can be read or is not set."""
    readable = has.get("fetchMarginMode") is True and not row.margin_mode_needs_leverage
    if address.margin_mode is None or readable:
        return ""
    besides = " (every order names it)" if row.margin_mode_parameter else ""
    return unread(address.margin_mode, address.exchange, besides=besides)


def unread_leverage(address: CcxtAddress, has: Mapping[str, Any]) -> str:
    """Return that nobody will know the leverage, empty where it can be read or is not set."""
    if address.leverage is None or has.get("fetchLeverage"):
        return ""
    return unread(address.leverage, address.exchange)


# -------------------------------------------------------------- each returns what is not verified


async def _position_mode(calls: Calls, address: CcxtAddress, contracts: list[str]) -> str:
    row, exchange = calls.row, calls.client.exchange
    hedged = address.position_mode is PositionMode.HEDGE
    if hedged and not row.hedge:
        raise VenueUnreachable(f"[venue] position_mode: {no_hedge(address)}")
    unknown = unread_position_mode(address, row, exchange.has)
    if not row.position_mode_settable:
        return unknown or await _is_one_way(calls, address, contracts[0])
    found = await _hedged(calls, contracts[0])
    if found is hedged:
        return ""
    what = f"set the position mode to {address.position_mode.value}"
    asked = await calls.once(
        Lane.CREATE, 1, lambda: exchange.set_position_mode(hedged, contracts[0])
    )
    _accept(asked, calls, what)
    found = await _hedged(calls, contracts[0])
    if found is not None and found is not hedged:
        raise VenueUnreachable(f"{address.exchange}: {what}: it did not change")
    return unknown


async def _hedged(calls: Calls, symbol: str) -> bool | None:
    exchange = calls.client.exchange
    if exchange.has.get("fetchPositionMode") is not True:
        return None
    found = await _done(
        calls, "read the position mode", lambda: exchange.fetch_position_mode(symbol)
    )
    return bool(found["hedged"])


async def _is_one_way(calls: Calls, address: CcxtAddress, symbol: str) -> str:
    """Return what is not known of a mode that is not set here; raises where it is another one."""
    exchange = calls.client.exchange
    if exchange.has.get("fetchPositionMode") is not True:
        return ""
    found = await calls.read(lambda: exchange.fetch_position_mode(symbol))
    if not isinstance(found, Done) or not isinstance(found.value, Mapping):
        why = "no answer" if isinstance(found, Done) else words(found)
        return f"taken to be one_way: {address.exchange} does not tell: {why}"
    if found.value.get("hedged"):
        raise VenueUnreachable(
            f"[venue] position_mode: found hedge at {address.exchange}, expected one_way: it "
            "cannot be set there from here"
        )
    return ""


async def _margin_mode(calls: Calls, address: CcxtAddress, symbol: str) -> str:
    wanted, exchange = address.margin_mode, calls.client.exchange
    if wanted is None:
        return ""
    _need(address, "margin_mode", calls.row.leverage_settable)
    unknown = unread_margin_mode(address, calls.row, exchange.has)
    if calls.row.margin_mode_needs_leverage:
        if address.leverage is None:
            raise VenueUnreachable(f"[venue] margin_mode: {address.exchange} {NEEDS_LEVERAGE}")
        return unknown
    what = f"set the margin mode of {symbol} to {wanted}"
    asked = await calls.once(Lane.CREATE, 1, lambda: exchange.set_margin_mode(wanted, symbol))
    _accept(asked, calls, what)
    if not unknown:
        found = await _done(calls, what, lambda: exchange.fetch_margin_mode(symbol))
        if found.get("marginMode") != wanted:
            raise VenueUnreachable(f"{address.exchange}: {what}: found {found.get('marginMode')}")
    return unknown


async def _leverage(calls: Calls, address: CcxtAddress, symbol: str) -> str:
    wanted, exchange = address.leverage, calls.client.exchange
    if wanted is None:
        return ""
    _need(address, "leverage", calls.row.leverage_settable)
    what = f"set the leverage of {symbol} to {wanted}"
    mode = mode_of_leverage(calls.row, address)
    reply = None
    for params in _books_of_leverage(calls, address, mode):
        ask = partial(exchange.set_leverage, wanted, symbol, params)
        reply = _accept(await calls.once(Lane.CREATE, 1, ask), calls, what)
    told = [reply.get("leverage")] if isinstance(reply, Mapping) else [None]
    if told == [None]:
        if unknown := unread_leverage(address, exchange.has):
            return unknown
        found = await _done(calls, what, lambda: exchange.fetch_leverage(symbol, mode))
        told = [found.get(side) for side in LEVERAGES]
    for each in told:
        if each is not None and number(each) != wanted:
            raise VenueUnreachable(f"{address.exchange}: {what}: found {each}")
    return unread(wanted, address.exchange, "the venue does not say it") if None in told else ""


def mode_of_leverage(row: Capabilities, address: CcxtAddress) -> dict[str, Any]:
    """Return what names the margin mode: without it the call would be of the other one."""
    if row.margin_mode_needs_leverage and address.margin_mode is not None:
        return {"marginMode": address.margin_mode}
    return {}


def _books_of_leverage(
    calls: Calls, address: CcxtAddress, mode: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the parameters of each call: one, or one for each side of an isolated book."""
    hedged, by_book = address.position_mode is PositionMode.HEDGE, calls.row.leverage_book_parameter
    if by_book and hedged and address.margin_mode == "isolated":
        return [{**mode, by_book: book} for book in ("long", "short")]
    return [mode]


def _need(address: CcxtAddress, key: str, settable: bool) -> None:  # noqa: FBT001
    if not settable:
        raise VenueUnreachable(f"[venue] {key}: cannot be set at {address.exchange}")


def _accept(asked: Done[Any] | Failure, calls: Calls, what: str) -> Any:
    """Return the reply; that nothing had to change is as good."""
    if isinstance(asked, Done):
        return asked.value
    if isinstance(asked, Refused) and asked.code in calls.row.unchanged_codes:
        return None
    raise VenueUnreachable(f"{calls.client.address.exchange}: {what}: {words(asked)}")


async def _done(calls: Calls, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
    found = await calls.read(ask)
    if not isinstance(found, Done):
        raise VenueUnreachable(f"{calls.client.address.exchange}: {what}: {words(found)}")
    return found.value
