"""
The calls to a venue, each in its lane, and what is certain after it.

Nothing that changes the account is ever sent twice. Questions are asked again, so often and no
longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar

from brokers.ccxt.address import VenueClock
from brokers.ccxt.client import LEFT, CcxtClient, Headers
from brokers.ccxt.columns import CountdownCall, LookUp, TradesBy
from brokers.ccxt.errors import Failure, NotSent, Refused, Unknown, is_of_the_reply, judged
from brokers.ccxt.identity import IdUnfit, encoded
from brokers.ccxt.known import KnownOrder
from brokers.ccxt.lanes import Lane, Lanes
from brokers.ccxt.leaving import Look, Withheld, leaving, stepping_aside
from brokers.ccxt.limits import (
    CALM_S,
    READS_MAX,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    TRADES_PAGES_MAX,
    TRADES_SPANS_MAX,
)
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.stream import texts_in
from brokers.ccxt.translate import in_ccxts_words
from brokers.ccxt.wording import Worded
from state.crashpoints import passing
from state.precedence import Precedence

T = TypeVar("T")
Ask = Callable[[], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What the venue answered."""

    value: T


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades as ccxt has them, the oldest first; ``is_full``: there may be later ones."""

    trades: list[Mapping[str, Any]]
    is_full: bool


class Calls:
    """
    The calls that the broker makes.

    ``clock_is_off`` is called when the venue does not like our time. Questions step aside for
    whoever has ``precedence``: before they are signed, and before their answers are read.
    """

    def __init__(
        self,
        client: CcxtClient,
        lanes: Lanes,
        clock: VenueClock,
        redact: Redactor,
        precedence: Precedence | None = None,
    ) -> None:
        """Call through ``client`` when ``lanes`` permit."""
        self.client = client
        self.row = client.row
        self.lanes = lanes
        self.redact = redact
        self.clock_is_off: Callable[[], object] = lambda: None
        self._clock = clock
        self._precedence = precedence or Precedence()
        client.on_headers = self._take_headers
        client.on_limits = self._take_limits

    async def once(
        self, lane: Lane, weight: int, ask: Ask[T], *, order: Callable[[], object] | None = None
    ) -> Done[T] | Failure:
        """
        Make a call when it is its turn, and say what is certain after it.

        ``order`` is given where it places one: asked while that waits, to raise ``Withheld``.
        """
        if lane is not Lane.READ:
            return await self._once(lane, weight, ask, order)
        # Before its turn: nobody has a turn and lets others wait for it.
        await self._precedence.clear()
        with stepping_aside(self._aside):
            return await self._once(lane, weight, ask)

    async def _aside(self) -> None:
        # Where requests go one at a time, an order may be waiting for the end of this one.
        if not self.row.weights.at_once:
            await self._precedence.clear()

    async def _once(
        self, lane: Lane, weight: int, ask: Ask[T], order: Callable[[], object] | None = None
    ) -> Done[T] | Failure:
        try:
            if order is None:
                turn = await self.lanes.turn(lane, weight)
            else:
                turn = await self.lanes.turn(lane, weight, 1, order)
        except Withheld as withheld:
            return Refused(withheld.cause)
        has_left, late_s = True, self.client.address.recv_window_ms / 1000
        left: list[str] = []
        noting = LEFT.set(left)
        try:
            done = Done(await ask())
            late_s = 0.0
            return done
        except Withheld as withheld:
            has_left = False
            return Refused(withheld.cause)
        except Exception as error:  # noqa: BLE001 - what is not a known refusal is unknown
            failure = judged(error, self.row, self.redact)
            if is_of_the_reply(error, failure, left):
                failure = Unknown(words(failure))
            has_left = bool(left) and not isinstance(failure, NotSent)
            late_s = late_s if isinstance(failure, Unknown) else 0.0
            if isinstance(failure, Refused) and failure.retry_after_ms is not None:
                # Before its turn is over: whoever is next must know.
                wait_s = failure.retry_after_ms / 1000 or CALM_S
                self.lanes.left_alone(wait_s, failure.too_many, turn)
        finally:
            LEFT.reset(noting)
            self.lanes.over(turn, has_left=has_left, late_s=late_s)
        if isinstance(failure, Unknown) and not left:
            return NotSent(failure.detail)  # ccxt has failed by itself, before anything was sent
        if isinstance(failure, Refused) and failure.is_clock:
            self.clock_is_off()
        return failure

    async def read(self, ask: Ask[T], weight: int | None = None) -> Done[T] | Failure:
        """Ask a question, which changes nothing, until it is answered, so often and no longer."""
        wait_s = RETRY_FIRST_S
        cost = self.row.weights.read if weight is None else weight
        for attempt in range(1, READS_MAX + 1):
            found = await self.once(Lane.READ, cost, ask)
            again = isinstance(found, NotSent | Unknown) or (
                isinstance(found, Refused) and found.is_clock
            )
            if not again or attempt == READS_MAX:
                return found
            await self._clock.sleep_s(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)
        raise AssertionError("the last attempt returns")

    # -- orders

    async def create(
        self,
        lane: Lane,
        order: Worded,
        look: Look,
        waiting: Callable[[], object] = lambda: None,
    ) -> Done[Mapping[str, Any]] | Failure:
        """
        Place an order, once. A reply without the venue's id is no answer.

        ``look`` is asked when it leaves: what that returns is a refusal. While it waits for its
        turn ``waiting`` is called, to raise ``Withheld``.
        """
        exchange = self.client.exchange

        async def ask() -> Any:
            passing("request.leaving")
            with leaving(look):
                return await exchange.create_order(
                    order.symbol,
                    order.order_type,
                    order.side,
                    self._given(order.amount),
                    None if order.price is None else self._given(order.price),
                    order.params,
                )

        found = await self.once(lane, self.row.weights.create, ask, order=waiting)
        passing("request.answered")
        if isinstance(found, Done) and not _identified(found.value):
            return Unknown("the reply does not name an order")
        return found

    def _given(self, exact: str) -> str | float:
        """Return an exact number as ccxt takes it there, and as a float only if it is the same."""
        number = float(exact)
        is_same = Decimal(repr(number)) == Decimal(exact)
        return exact if self.row.takes_text or not is_same else number

    async def cancel(self, order: KnownOrder) -> Done[Any] | Failure:
        """Cancel an order, by our id where the venue can and it is one of ours."""
        row, exchange = self.row, self.client.exchange
        venue_id: str | None = order.venue_id or None
        wire = self._wire(order)
        params = {**self._apart(order), **self._kind(order)}
        if order.became:
            venue_id, params = order.became, {}
        elif row.cancel_parameter and wire is not None:
            params[row.cancel_parameter] = wire
            venue_id = None
        elif venue_id is None:
            return Unknown("the venue's id of the order is not known")

        async def ask() -> Any:
            passing("request.leaving")
            return await exchange.cancel_order(venue_id, order.symbol, params)

        found = await self.once(Lane.CANCEL, row.weights.cancel, ask)
        passing("request.answered")
        return found

    async def look_up(self, order: KnownOrder) -> Done[Mapping[str, Any] | None] | Failure:
        """
        Return the order as ccxt has it, ``None`` where the venue has none of this id.

        An answer without the venue's id is none. One that is not ours, as those by which a venue
        closes a position, is asked for by the venue's id.
        """
        if not order.venue_id and self._wire(order) is None:
            return NotSent(f"{order.name}: it is none of ours, and the venue's id is not known")
        match self.row.look_up:
            case LookUp.ORDER:
                found = await self._by_name(order)
            case LookUp.LISTS:
                found = await self._in_lists(order)
            case LookUp.VENUE_ID:
                found = await self._by_venue_id(order)
        if isinstance(found, Refused) and found.is_unknown:
            return Done(None)
        if isinstance(found, Done) and found.value is not None and not _identified(found.value):
            return Unknown(f"{order.name}: the answer does not name an order")
        if isinstance(found, Done) and found.value is not None:
            return Done(in_ccxts_words(found.value, self.row))
        return found

    async def _by_name(self, order: KnownOrder) -> Done[Mapping[str, Any] | None] | Failure:
        """
        Ask by our id; of one that has waited, and has become another, ask for that one.

        Where it waited nothing is said of what it has traded.
        """
        exchange, light = self.client.exchange, self.row.weights.light
        found = await self.read(lambda: self._order(order), light)
        if not isinstance(found, Done) or not self._apart(order):
            return found
        raw = found.value.get("info") if isinstance(found.value, Mapping) else None
        became = raw.get(self.row.triggers.becomes) if isinstance(raw, Mapping) else None
        order.became = str(became or "") or order.became
        if not order.became:
            return found
        found = await self.read(lambda: exchange.fetch_order(order.became, order.symbol), light)
        if isinstance(found, Refused) and found.is_unknown:
            # The one that waited is known: nothing is proven by that.
            return Unknown(f"{order.name}: the order that it has become is not known yet")
        return found

    async def _order(self, order: KnownOrder) -> Any:
        params, wire, venue_id = self._apart(order), self._wire(order), None
        if wire is None:
            venue_id = order.venue_id
        else:
            params[self.row.look_up_parameter] = wire
        return await self.client.exchange.fetch_order(venue_id, order.symbol, params)

    def _wire(self, order: KnownOrder) -> str | None:
        """Return our id of an order as the venue has it, ``None`` for one of somebody else."""
        try:
            return encoded(order.name, self.row)
        except IdUnfit:
            return None

    async def _by_venue_id(self, order: KnownOrder) -> Done[Mapping[str, Any] | None] | Failure:
        exchange, venue_id = self.client.exchange, order.venue_id
        if venue_id and exchange.has.get("fetchOrder") is True:
            found = await self.read(
                lambda: exchange.fetch_order(venue_id, order.symbol), self.row.weights.light
            )
            if not (isinstance(found, Refused) and (found.is_unknown or found.is_lacking)):
                return found
        return await self._in_lists(order)

    def _lists(self) -> Iterator[str]:
        """Yield the names of the calls that list orders: at rest, and over, however they ended."""
        has = self.client.exchange.has
        yield "fetch_open_orders"
        if has.get("fetchCanceledAndClosedOrders") is True:
            yield "fetch_canceled_and_closed_orders"
            return
        if has.get("fetchClosedOrders"):
            yield "fetch_closed_orders"
        if has.get("fetchCanceledOrders") is True:
            yield "fetch_canceled_orders"

    async def _in_lists(self, order: KnownOrder) -> Done[Mapping[str, Any] | None] | Failure:
        exchange, wire, params = self.client.exchange, self._wire(order), self._apart(order)
        if wire is not None:
            params[self.row.look_up_parameter] = wire
        listed = False
        for name in self._lists():
            fetch = getattr(exchange, name)
            found = await self.read(partial(fetch, order.symbol, params=params))
            if isinstance(found, Refused) and found.is_lacking:
                continue
            listed = listed or name != "fetch_open_orders"
            if not isinstance(found, Done):
                return found
            for each in found.value or ():
                # Some venues ignore the filter, and ccxt does not read every client id.
                names_it = wire is not None and wire in texts_in(each.get("info"))
                if names_it or (order.venue_id and each.get("id") == order.venue_id):
                    return Done(each)
        if wire is None or listed:
            return Done(None)
        return await self._by_trade(order, wire)

    async def _by_trade(
        self, order: KnownOrder, wire: str
    ) -> Done[Mapping[str, Any] | None] | Failure:
        """Ask for the order that a trade is of which names our id: where none lists ends."""
        exchange = self.client.exchange
        page = await self._trades_from(order.symbol, None)
        if not isinstance(page, Done):
            return page
        named = (each for each in page.value.trades if wire in texts_in(each.get("info")))
        venue_id = str(next(named, {}).get("order") or "")
        if not venue_id or exchange.has.get("fetchOrder") is not True:
            return Done(None)
        return await self.read(partial(exchange.fetch_order, venue_id, order.symbol))

    def _apart(self, order: KnownOrder) -> dict[str, Any]:
        apart = self.row.triggers.apart
        return {apart: True} if order.waits and apart else {}

    def _kind(self, order: KnownOrder) -> Mapping[str, str]:
        """Return what says of which kind an order is, where a cancel on spot needs it."""
        kind = self.row.triggers.spot_kind
        return kind if order.waits and kind and self._is_spot(order.symbol) else {}

    def _is_spot(self, symbol: str) -> bool:
        return bool(self.client.exchange.market(symbol).get("spot"))

    # -- trades and the account

    async def trades_of_order(
        self, order: KnownOrder, since: int | None
    ) -> Done[list[Mapping[str, Any]]] | Failure:
        """Return the trades of one order, as ccxt has them."""
        exchange, venue_id = self.client.exchange, order.became or order.venue_id
        match self.row.trades_by:
            case TradesBy.PARAMETER:
                params = {"orderId": venue_id}
                found = await self.read(
                    lambda: exchange.fetch_my_trades(
                        order.symbol, None, self.row.trades_page, params
                    )
                )
            case TradesBy.CALL:
                found = await self.read(lambda: exchange.fetch_order_trades(venue_id, order.symbol))
            case TradesBy.FILTER:
                found = await self.every_trade(order.symbol, since)
        if not isinstance(found, Done):
            return found
        return Done([trade for trade in found.value if str(trade.get("order")) == venue_id])

    async def every_trade(
        self, symbol: str, since: int | None
    ) -> Done[list[Mapping[str, Any]]] | Failure:
        """Return the account's trades in a symbol since then, page after page; each once."""
        trades: dict[str, Mapping[str, Any]] = {}
        for _ in range(TRADES_PAGES_MAX):
            page = await self.trades(symbol, since)
            if not isinstance(page, Done):
                return page
            trades.update((str(trade["id"]), trade) for trade in page.value.trades)
            if not page.value.is_full:
                return Done(_in_order(trades))
            since = max((since or 0) + 1, int(page.value.trades[-1]["timestamp"]))
        return Unknown(f"more trades of {symbol} than can be read")

    async def trades(self, symbol: str, since: int | None) -> Done[Trades] | Failure:
        """
        Return the account's trades in a symbol since then, none between them left out.

        Where a venue lists but a stretch from ``since`` on, the stretches after it are in the page.
        """
        fetch, row, now = self.client.exchange.fetch_my_trades, self.row, self.client.time()
        trades: dict[str, Mapping[str, Any]] = {}
        while True:
            page = await self._trades_from(symbol, since)
            if not isinstance(page, Done):
                return page
            trades.update((str(trade["id"]), trade) for trade in page.value.trades)
            is_full = page.value.is_full
            span_ms = row.trades_span_ms if since is not None and not is_full else 0
            if since is None or not span_ms or since + span_ms >= now:
                return Done(Trades(_in_order(trades), is_full))
            if trades and row.trades_after:
                after = {row.trades_after: max(map(int, trades)) + 1}
                found = await self.read(partial(fetch, symbol, None, row.trades_page, after))
                if not isinstance(found, Done):
                    return found
                trades.update((str(trade["id"]), trade) for trade in found.value)
                return Done(Trades(_in_order(trades), len(found.value) >= row.trades_page))
            since = max(since + span_ms, now - TRADES_SPANS_MAX * span_ms)

    async def _trades_from(self, symbol: str, since: int | None) -> Done[Trades] | Failure:
        """Return one answer; where that is the newest ones, with those before them."""
        fetch, size = self.client.exchange.fetch_my_trades, self.row.trades_page
        least = self.row.trades_page_least or size
        found = await self.read(partial(fetch, symbol, since, size))
        if not isinstance(found, Done):
            return found
        trades = {str(trade["id"]): trade for trade in found.value}
        is_full, page = len(found.value) >= least, found.value
        for _ in range(TRADES_PAGES_MAX):
            oldest = min((int(trade["timestamp"]) for trade in page), default=0)
            is_all = len(page) < least or since is None or oldest <= since
            if is_all or not self.row.trades_backward:
                return Done(Trades(_in_order(trades), is_full))
            # At that very moment there may have been more of them.
            older = await self.read(partial(fetch, symbol, since, size, {"until": oldest + 1}))
            if isinstance(older, Refused) and len(page) < size and older.is_for_good:
                return Done(Trades(_in_order(trades), is_full=False))  # it may know no such word
            if not isinstance(older, Done):
                return older
            known = len(trades)
            trades.update({str(trade["id"]): trade for trade in older.value})
            if len(trades) == known:
                return Done(Trades(_in_order(trades), is_full))
            is_full, page = False, older.value
        return Unknown(f"more trades of {symbol} than can be read")

    async def count_down(self, symbols: Iterable[str], span_ms: int) -> Done[Any] | Failure:
        """
        Set the venue's dead-man timer to ``span_ms``; 0 stops it.

        In the lane behind cancels: it is none, and must not be the one that tries.
        """
        exchange = self.client.exchange
        found: Done[Any] | Failure = Done(None)
        if self.row.dead_man is CountdownCall.SCHEDULE and not span_ms:
            return await self.once(Lane.REDUCE, self.row.weights.timer, self._unschedule)
        if self.row.dead_man is not CountdownCall.BINANCE_FUTURES:
            after = partial(exchange.cancel_all_orders_after, span_ms)
            return await self.once(Lane.REDUCE, self.row.weights.timer, after)
        for symbol in symbols:
            asked = {"symbol": exchange.market(symbol)["id"], "countdownTime": span_ms}
            ask = partial(exchange.fapiPrivatePostCountdownCancelAll, asked)
            found = await self.once(Lane.REDUCE, self.row.weights.timer, ask)
            if not isinstance(found, Done):
                return found
        return found

    async def _unschedule(self) -> Any:
        exchange = self.client.exchange
        action, nonce = {"type": "scheduleCancel"}, exchange.milliseconds()
        signature = exchange.sign_l1_action(action, nonce)
        asked = {"action": action, "nonce": nonce, "signature": signature}
        return await exchange.privatePostExchange(asked)

    def _take_headers(self, headers: Headers) -> None:
        name = self.row.weights.used_header.lower()
        for key, value in (headers or {}).items():
            if name and key.lower() == name and value.isdigit():
                self.lanes.told(int(value))
        self.lanes.told_orders(headers or {})

    def _take_limits(self, told: Iterable[Any]) -> None:
        self.lanes.limited(self.row.weights, told, self.client.address.allowance)


def _in_order(trades: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(trades.values(), key=lambda trade: int(trade["timestamp"]))


def _identified(reply: Any) -> bool:
    return isinstance(reply, Mapping) and bool(reply.get("id"))


def words(failure: Failure) -> str:
    """Return what there is to say of a failure."""
    return failure.cause.detail if isinstance(failure, Refused) else failure.detail
