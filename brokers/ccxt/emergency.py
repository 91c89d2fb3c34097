"""
The emergency's way to a real venue: the broker's own client, calls and table, and nothing else.

No setting of the account is made or changed: the venue says of each position whether it is one of
two books, and its order is worded by that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

import anyio

from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.columns import CancelAll
from brokers.ccxt.errors import UNREADABLE, Refused, Unknown
from brokers.ccxt.identity import decoded, encoded
from brokers.ccxt.known import KnownOrder
from brokers.ccxt.lanes import Lane, Lanes
from brokers.ccxt.limits import READ_LAG_MS, SKEW_MS, WORKERS
from brokers.ccxt.opening import unlisted
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import most_in_one, number, rules_of
from brokers.ccxt.translate import ENDED, OPEN, position_side_of
from brokers.ccxt.wording import Worded
from brokers.contract import VenueUnreachable
from brokers.emergency import Fate, HeldPosition, RestingOrder, Sent, Trouble
from messages import OrderType, PositionMode, PositionSide
from state.money import EXACT, plain

ASKED_WITHOUT_SYMBOL: Final = {"warnOnFetchOpenOrdersWithoutSymbol": False}
"""ccxt raises instead of asking for the orders of a whole account unless it is told so."""

KINDS: Final = frozenset({"spot", "swap", "future"})
"""ccxt's kinds of markets that a session can trade."""

NO_REDUCE_ONLY: Final = (
    "{} has no reduce-only orders that we know of, and any other could turn the position round: "
    "close it by the venue's own means"
)


class CcxtEmergency:
    """An account behind ccxt; with ``symbols`` only what is theirs is listed and touched."""

    def __init__(
        self, address: CcxtAddress, clock: VenueClock, symbols: Sequence[str] = ()
    ) -> None:
        """Load ccxt; raises ``VenueUnreachable`` where that cannot be."""
        self._row = capabilities_of(address.exchange)
        self._symbols = tuple(symbols)
        self._client = self._made(address, clock)
        lanes = Lanes(self._client.weights, clock.monotonic_s, clock.sleep_s)
        redact = Redactor(address.secrets.values())
        self._calls = Calls(self._client, lanes, clock, redact)
        self._calls.clock_is_off = self._distrust_clock
        self._mode = address.position_mode
        self._clock_is_off = False
        self.doubt_ms = address.recv_window_ms + SKEW_MS + READ_LAG_MS

    def _made(self, address: CcxtAddress, clock: VenueClock) -> CcxtClient:
        options = {**ASKED_WITHOUT_SYMBOL, **address.options}
        return CcxtClient(replace(address, options=options), self._row, clock)

    def _distrust_clock(self) -> None:
        self._clock_is_off = True

    async def connect(self) -> Trouble | None:
        """Load the markets and the venue's time."""
        found = await self._asked("load the markets", self._client.load, 1)
        if isinstance(found, Trouble):
            return found
        for symbol in self._symbols:
            if symbol not in self._client.exchange.markets:
                raise VenueUnreachable(
                    unlisted(symbol, self._row.venue, self._client.exchange.markets)
                )
        self._client.speak_of(self._symbols)
        return None

    # -- what there is

    async def resting(self) -> Sequence[RestingOrder] | Trouble:
        """Return all open orders, those that wait for a price too."""
        try:
            return await self._list_orders()
        except UNREADABLE as error:
            return _unread("the open orders", error)

    async def _list_orders(self) -> Sequence[RestingOrder] | Trouble:
        if self._clock_is_off:
            self._clock_is_off = isinstance(
                await self._asked("read the venue's clock", self._client.sync_time, 1), Trouble
            )
        lists = [({}, False), *((params, True) for params in self._waiting)]
        found: list[RestingOrder] = []
        fetch = self._client.exchange.fetch_open_orders
        for symbol, kind in self._wherever:
            for params, waits in lists:
                ask = partial(fetch, symbol, params={**kind, **params})
                # Of a whole account it may weigh more: the venue's own count says so afterwards.
                weight = self._row.weights.light if symbol else None
                orders = await self._asked("list the open orders", ask, weight)
                if isinstance(orders, Trouble):
                    return orders
                found += [self._resting(order, waits=waits) for order in orders]
        return found

    @property
    def _wherever(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Return where orders may be: by symbol, or by kind of market, or all in one."""
        if self._symbols:
            return [(symbol, {}) for symbol in self._symbols]
        if self._row.settle_parameter:
            return [(None, {"type": "spot"}), *((None, params) for params in self._of_contracts)]
        if not self._row.default_type:
            return [(None, {})]
        markets = self._client.exchange.markets.values()
        kinds = {str(market["type"]) for market in markets} & KINDS
        return [(None, {"type": kind}) for kind in sorted(kinds)]

    @property
    def _of_contracts(self) -> list[dict[str, Any]]:
        """Return with what to ask for all that there is in contracts."""
        if not self._row.settle_parameter:
            return [{}]
        markets = self._client.exchange.markets.values()
        settles = {str(market["settle"]) for market in markets if market.get("contract")}
        return [{self._row.settle_parameter: settle} for settle in sorted(settles)]

    def _resting(self, order: Mapping[str, Any], *, waits: bool) -> RestingOrder:
        return RestingOrder(
            str(order.get("id") or ""),
            decoded(str(order.get("clientOrderId") or ""), self._row),
            str(order.get("symbol") or ""),
            str(order.get("side") or ""),
            str(order.get("remaining") or order.get("amount") or ""),
            waits,
        )

    async def held(self) -> Sequence[HeldPosition] | Trouble:
        """Return all open positions in contracts; what is held on spot is none."""
        try:
            return await self._list_positions()
        except UNREADABLE as error:
            return _unread("the positions", error)

    async def _list_positions(self) -> Sequence[HeldPosition] | Trouble:
        exchange = self._client.exchange
        if exchange.has.get("fetchPositions") is not True or not self._has_contracts:
            return []
        found: list[HeldPosition] = []
        for params in self._of_contracts:
            ask = partial(exchange.fetch_positions, None, params)
            rows = await self._asked("list the positions", ask)
            if isinstance(rows, Trouble):
                return rows
            found += [self._position(row) for row in rows]
        return [
            position
            for position in found
            if position.amount and (not self._symbols or position.symbol in self._symbols)
        ]

    @property
    def _has_contracts(self) -> bool:
        return any(market.get("contract") for market in self._client.exchange.markets.values())

    def _position(self, row: Mapping[str, Any]) -> HeldPosition:
        amount = abs(number(row.get("contracts")) or Decimal(0))
        side = position_side_of(row.get("side"))
        hedged = row.get("hedged")
        if hedged is None:
            hedged = self._mode is PositionMode.HEDGE
        price, worth = number(row.get("markPrice")), number(row.get("notional"))
        if price is None and worth and amount:
            size = number(row.get("contractSize")) or Decimal(1)
            price = abs(worth) / EXACT.multiply(amount, size)
        signed = EXACT.minus(amount) if side is PositionSide.SHORT else amount
        book = side if hedged else PositionSide.BOTH
        margin_mode = str(row.get("marginMode") or "")
        return HeldPosition(str(row["symbol"]), book, signed, price, margin_mode)

    # -- what is done

    async def cancel(
        self, orders: Sequence[RestingOrder], *, one_by_one: bool
    ) -> Sequence[Trouble]:
        """Cancel these orders, by market or account where the venue's row says how."""
        exchange, asks = self._client.exchange, list[Callable[[], Awaitable[Any]]]()
        kind = CancelAll.ONE_BY_ONE if one_by_one else self._row.cancel_all
        if kind is CancelAll.ACCOUNT and not self._symbols:
            asks.append(exchange.cancel_all_orders)
        elif kind is CancelAll.SYMBOL:
            for symbol, waits in sorted({(order.symbol, order.waits) for order in orders}):
                asks += [
                    partial(exchange.cancel_all_orders, symbol, params)
                    for params in self._kinds(symbol, waits=waits)
                ]
        else:
            for order in orders:
                asks += [
                    partial(exchange.cancel_order, order.order_id, order.symbol, params)
                    for params in self._kinds(order.symbol, waits=order.waits)
                ]
        troubles: list[Trouble] = []
        room = anyio.CapacityLimiter(WORKERS["cancel"])

        async def ask_for(ask: Callable[[], Awaitable[Any]]) -> None:
            async with room:
                found = await self._calls.once(Lane.CANCEL, self._row.weights.cancel, ask)
            # An order that is not known any more is what is wanted.
            if not isinstance(found, Done) and not (
                isinstance(found, Refused) and found.is_unknown
            ):
                troubles.append(Trouble(f"cancel: {words(found)}"))

        async with anyio.create_task_group() as tasks:
            for ask in asks:
                tasks.start_soon(ask_for, ask)
        return troubles

    async def close(self, position: HeldPosition, name: str) -> tuple[Sent, str]:
        """Send a reduce-only market order, once."""
        market = self._client.exchange.markets.get(position.symbol)
        if market is None:
            return Sent.REFUSED, f"{position.symbol}: the venue does not list it any more"
        if not self._row.reduce_only:
            return Sent.REFUSED, NO_REDUCE_ONLY.format(self._row.venue)
        if self._row.market_needs_price and position.price is None:
            return Sent.REFUSED, f"{position.symbol}: the venue tells no price to bound it by"
        rules = rules_of(market, self._row)
        amount = most_in_one(OrderType.MARKET, rules, abs(position.amount))
        price = plain(position.price) if self._row.market_needs_price and position.price else None
        params = {"clientOrderId": encoded(name, self._row), **only_reducing(position)}
        if self._row.margin_mode_parameter and position.margin_mode:
            params[self._row.margin_mode_parameter] = position.margin_mode
        side = position.closing_side.value
        order = Worded(position.symbol, "market", side, plain(amount), price, params)
        found = await self._calls.create(Lane.REDUCE, order, lambda: None)
        if isinstance(found, Done):
            return Sent.PLACED, ""
        is_lost = isinstance(found, Unknown) or (
            isinstance(found, Refused) and (found.is_duplicate or found.is_unknown)
        )
        return Sent.LOST if is_lost else Sent.REFUSED, words(found)

    async def fate(self, position: HeldPosition, name: str) -> tuple[Fate, str]:
        """Ask for an order by our id."""
        order = KnownOrder(name, position.symbol, position.closing_side, position.book)
        found = await self._calls.look_up(order)
        if not isinstance(found, Done):
            return Fate.UNTOLD, words(found)
        if found.value is None:
            return Fate.ABSENT, ""
        status = str(found.value.get("status") or "")
        if status == OPEN:
            return Fate.OPEN, ""
        return (Fate.OVER, "") if status in ENDED else (Fate.UNTOLD, f"status {status!r}")

    async def shut(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _kinds(self, symbol: str, *, waits: bool) -> list[dict[str, Any]]:
        """Return with what to cancel in a market: each kind of order there by itself."""
        params = self._apart(waits=waits)
        market = self._client.exchange.markets.get(symbol)
        is_spot = market is not None and bool(market.get("spot"))
        kinds = self._row.triggers.spot_kinds if is_spot else ()
        return [params, *({**params, **kind} for kind in kinds)]

    @property
    def _waiting(self) -> list[dict[str, Any]]:
        """Return with what to ask for each list of orders that wait for a price."""
        triggers = self._row.triggers
        apart = [{triggers.apart: True}] if triggers.apart else []
        return [*apart, *map(dict, triggers.strange)]

    def _apart(self, *, waits: bool) -> dict[str, Any]:
        """Return with what to cancel: whatever waits has one endpoint, if it is not that of all."""
        return self._waiting[0] if waits and self._waiting else {}

    async def _asked(
        self, what: str, ask: Callable[[], Awaitable[Any]], weight: int | None = None
    ) -> Any:
        cost = self._row.weights.read if weight is None else weight
        found = await self._calls.once(Lane.READ, cost, ask)
        return found.value if isinstance(found, Done) else Trouble(f"{what}: {words(found)}")


def _unread(what: str, error: Exception) -> Trouble:
    """Return that an answer cannot be read: what can be done without it is done all the same."""
    return Trouble(f"what the venue says of {what} cannot be read: {type(error).__name__}")


def only_reducing(position: HeldPosition) -> dict[str, Any]:
    """Return the parameters without which an order could turn a position round."""
    if position.book is PositionSide.BOTH:
        return {"reduceOnly": True}
    # ccxt derives the book from the side and, for what closes, turns it round.
    return {"hedged": True, "reduceOnly": True}
