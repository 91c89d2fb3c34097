"""
Orders, cancels and questions at the venue, and what each comes to.

A verdict is a rejection only where it is certain that nothing came of the request; whatever else
happens to an order's submit is SILENCE. An id that the venue has already is probably ours: that is
silence too, and the order is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.errors import Failure, NotSent, Refused
from brokers.ccxt.identity import decoded
from brokers.ccxt.known import KnownOrder, KnownOrders, Trade
from brokers.ccxt.lanes import Lane
from brokers.ccxt.leaving import Withheld, still_waiting
from brokers.ccxt.limits import (
    ABSENT_TWICE,
    READ_LAG_MS,
    SKEW_MS,
    UNALTERED_MAX,
    UNLISTED_MAX,
)
from brokers.ccxt.rounding import MarketRules, left_out, number
from brokers.ccxt.rulebook import UNLISTED
from brokers.ccxt.stream import texts_in
from brokers.ccxt.translate import (
    OPEN,
    Unreadable,
    answer_of,
    counted_of,
    position_side_of,
    side_of,
    trade_of,
)
from brokers.ccxt.wording import Worded, worded
from brokers.contract import News, VenueUnreachable
from messages import (
    Cause,
    Fill,
    OrderEvent,
    OrderRequest,
    PositionMode,
    ReasonCode,
    Side,
    VenueOrder,
    VenueReport,
    VenueTrades,
)

STREAM_DOWN: Final = Cause(ReasonCode.VENUE_REJECTED, "not sent: the private stream is not up")


class Ordering:
    """
    Makes the calls about orders.

    ``tell`` takes news, ``trouble`` what failed and has no other way to be told, ``check`` the name
    of an order to be asked about soon, and ``ready`` waits until the private stream is up and says
    whether it is. ``look`` returns why an order must not leave any more, asked as it leaves, and
    ``mark`` where the market of a symbol is, if that is known. ``misfit`` hears that an order was
    refused as if a market's rules were others than those we know, and ``note`` what there is to
    know of one that is not.
    ``connected_at`` is when this process began to send, by the machine's clock, ``connected_s`` by
    the one that never steps.
    """

    def __init__(
        self,
        calls: Calls,
        orders: KnownOrders,
        rules: Mapping[str, MarketRules],
        mode: PositionMode,
        clock: VenueClock,
        unwanted: Container[str] = (),
    ) -> None:
        """Place orders in the markets of ``rules``; of those ``unwanted`` the cancels wait."""
        self.gone: Container[str] = ()
        """Symbols that the venue does not list any more."""
        self._calls = calls
        self._row: Capabilities = calls.row
        self._orders = orders
        self._rules = rules
        self._mode = mode
        self._clock = clock
        self._unwanted = unwanted
        self.connected_at = clock.wall_ms()
        self.connected_s = clock.monotonic_s()
        self._unaltered: set[tuple[str, str, str]] = set()
        """What ccxt was found to leave as it is, by the markets that it has."""
        self.now = 0
        """The newest session time that was heard of."""
        self.tell: Callable[[Iterable[News]], object] = lambda _news: None
        self.trouble: Callable[[Failure], object] = lambda _failure: None
        self.check: Callable[[str], object] = lambda _name: None
        self.ready: Callable[[Callable[[], object]], Awaitable[bool]] = _always
        self.look: Callable[[OrderRequest], Cause | None] = lambda _request: None
        self.mark: Callable[[str], Decimal | None] = lambda _symbol: None
        self.misfit: Callable[[], object] = lambda: None
        self.note: Callable[[str], object] = lambda _detail: None

    @property
    def doubt_ms(self) -> int:
        """Return how long after its sending the venue may still show an order without answer."""
        return self._calls.client.address.recv_window_ms + SKEW_MS + READ_LAG_MS

    # -- submit

    async def submit(self, request: OrderRequest, lane: Lane) -> None:
        """Place an order, once, and tell what is certain of it."""
        order = self._orders.add(KnownOrder.of(request))
        asked = self._said(request)
        if isinstance(asked, Cause):
            self._reject(order, asked)
            return
        assert asked.fitted is not None, "it was worded by its market's rules"
        if told := left_out(request, self._rules[request.symbol], asked.fitted):
            self.note(told)
        # While it waits ccxt may come to other markets, and would round anew by these.
        look = partial(self._look, request, asked)
        waiting = partial(still_waiting, look, partial(self._is_unwanted, order))
        try:
            is_ready = lane is not Lane.CREATE or await self.ready(waiting)
        except Withheld as withheld:
            self._reject(order, withheld.cause)
            return
        if not is_ready:
            self._reject(order, STREAM_DOWN)
            return
        try:
            found = await self._calls.create(lane, asked, look, waiting)
        finally:
            # No later than now; when exactly, the line may have delayed. Given up in the middle
            # it may still arrive.
            order.sent_at, order.sent_s = self._clock.wall_ms(), self._clock.monotonic_s()
        if isinstance(found, Done):
            self._placed(order, found.value)
        elif isinstance(found, NotSent):
            self.trouble(found)
            cause = Cause(ReasonCode.VENUE_REJECTED, f"not sent: {found.detail}")
            self._reject(order, cause)
        elif isinstance(found, Refused) and not (found.is_duplicate or found.is_unknown):
            if found.retry_after_ms is not None:
                self.trouble(found)
            if found.code in self._row.rules_codes:
                self.misfit()
            self._reject(order, found.cause)
        else:
            self._doubt(order, found)

    def _said(self, request: OrderRequest) -> Worded | Cause:
        rules = self._rules.get(request.symbol)
        if rules is None:
            return Cause(ReasonCode.INSTRUMENT_UNKNOWN, request.symbol)
        if request.symbol in self.gone and not request.reduce_only:
            # Refused there it would count as a failure of the venue, and of all that is traded.
            return Cause(ReasonCode.INSTRUMENT_UNKNOWN, f"{request.symbol}: {UNLISTED}")
        margin_mode = self._calls.client.address.margin_mode
        mark = self.mark(request.symbol)
        asked = worded(request, rules, self._row, self._mode, margin_mode, mark)
        if isinstance(asked, Cause):
            return asked
        return self._altered(asked) or asked

    def _is_unwanted(self, order: KnownOrder) -> bool:
        return order.name in self._unwanted

    def _look(self, request: OrderRequest, asked: Worded) -> Cause | None:
        return self.look(request) or self._altered(asked)

    def _altered(self, asked: Worded) -> Cause | None:
        """Return what ccxt would make of an amount or a price that is not what we have rounded."""
        exchange = self._calls.client.exchange
        for what, ours, format_ in (
            ("amount", asked.amount, exchange.amount_to_precision),
            ("price", asked.price, exchange.price_to_precision),
        ):
            if ours is None or (asked.symbol, what, ours) in self._unaltered:
                continue
            try:
                theirs = format_(asked.symbol, ours)
            except Exception as error:  # noqa: BLE001 - in ccxt's words, where it is less than a step
                return Cause(ReasonCode.VENUE_UNSUPPORTED, f"{what}={ours} ccxt={error}")
            if number(theirs) != number(ours):
                detail = f"{what}={ours} ccxt={theirs}"
                return Cause(ReasonCode.VENUE_UNSUPPORTED, detail)
            if len(self._unaltered) >= UNALTERED_MAX:
                self._unaltered.clear()
            self._unaltered.add((asked.symbol, what, ours))
        return None

    def forget_markets(self) -> None:
        """Take it that ccxt has other markets than before."""
        self._unaltered.clear()

    def _placed(self, order: KnownOrder, reply: Mapping[str, Any]) -> None:
        rules = self._rules[order.symbol]
        self._orders.identify(order, str(reply["id"]))
        self.tell(order.accept(int(reply.get("timestamp") or self.now)))
        counted = counted_of(reply, rules)
        if (counted is not None and counted > order.gross) or reply.get("status") not in {
            None,
            OPEN,
        }:
            # What has traded or ended comes on the stream; if it does not, it is asked for.
            self.check(order.name)

    def _reject(self, order: KnownOrder, cause: Cause) -> None:
        if order.accepted:
            self.check(order.name)  # the stream has shown it: both cannot be true
            return
        self.tell(order.end(OrderEvent.REJECTED, self.now, None, cause))

    def _doubt(self, order: KnownOrder, found: Failure) -> None:
        if order.accepted or order.ended:
            self.check(order.name)
            return
        detail = words(found)
        if isinstance(found, Refused) and found.is_duplicate:
            cause = found.cause
        else:
            cause = Cause(ReasonCode.ANSWER_LOST, detail)
        self.tell([VenueReport(order.name, OrderEvent.SILENCE, self.now, None, cause)])

    # -- cancel

    async def cancel(self, order: KnownOrder) -> None:
        """Cancel an order; its end is told by the stream or asked for."""
        found = await self._calls.cancel(order)
        if isinstance(found, Done) or (isinstance(found, Refused) and found.is_unknown):
            # Unknown: over already, or never there. Its final state is what is wanted.
            self.check(order.name)
        elif isinstance(found, NotSent | Refused):
            self.trouble(found)
        else:
            cause = Cause(ReasonCode.ANSWER_LOST, words(found))
            self.tell([VenueReport(order.name, OrderEvent.SILENCE, self.now, None, cause)])

    # -- questions

    async def query(self, name: str, now: int) -> None:
        """Ask what there is to an order, and tell the answer if there is one."""
        order = self._orders.named(name)
        if order is None:
            self.trouble(NotSent(f"{name}: its symbol is not known, so it cannot be asked for"))
            return
        asked = self._clock.wall_ms(), self._clock.monotonic_s()
        found = await self._calls.look_up(order)
        if not isinstance(found, Done):
            self.trouble(found)
        elif found.value is None:
            self.tell([self._absent(order, now, *asked)])
        else:
            await self._answer(order, found.value, now)

    def _absent(self, order: KnownOrder, now: int, asked_at: int, asked_s: float) -> VenueOrder:
        """
        Return that the venue does not know an order, and whether that is proof.

        It is where the request cannot arrive any more, by a clock that never steps, when the venue
        was asked, and it was not known twice in a row; and while the venue would still know an end,
        by the machine's own, which goes on while the machine sleeps.
        """
        left_at = self.connected_at if order.sent_at is None else order.sent_at
        left_s = self.connected_s if order.sent_s is None else order.sent_s
        late = 1000 * (asked_s - left_s) > self.doubt_ms
        order.absent = order.absent + 1 if late else 0
        is_proof = order.absent >= ABSENT_TWICE and asked_at - left_at < self._row.remembers_ms
        at = None if not is_proof else order.created_at
        return VenueOrder(order.name, now, known=False, open=False, asked_at=now, remembers_from=at)

    async def _answer(self, order: KnownOrder, found: Mapping[str, Any], now: int) -> None:
        rules = self._rules[order.symbol]
        order.absent = 0
        self._orders.identify(order, str(found["id"]))
        self._orders.has_become(order, order.became)
        trades: list[Trade] = []
        counted = counted_of(found, rules)
        if counted:
            since = int(found.get("timestamp") or 0) or None
            page = await self._calls.trades_of_order(order, since)
            if not isinstance(page, Done):
                self.trouble(page)
                return
            trades = [trade_of(trade, order, rules, self._row) for trade in page.value]
        fresh = [trade for trade in trades if order.take(trade)]
        try:
            answer = answer_of(found, order, rules, trades, now)
        except Unreadable as error:
            # What has traded is told all the same: nobody will tell of it a second time.
            self.tell(_traded(order, trade) for trade in fresh)
            self.trouble(NotSent(str(error)))
            return
        order.accepted = True
        is_whole = counted == order.gross
        order.unlisted = order.unlisted + 1 if counted and counted > order.gross else 0
        order.ended = order.ended or (not answer.open and is_whole)
        self.tell([answer])
        if 0 < order.unlisted <= UNLISTED_MAX:
            self.check(order.name)  # its trades are listed late
        elif order.unlisted:
            missing = f"{order.name}: the venue counts {counted}, its trades are {order.gross}"
            self.trouble(NotSent(missing))

    # -- trades

    async def list_trades(self, since: int) -> None:
        """Ask for a page of trades of every symbol, and tell them."""
        fills: list[Fill] = []
        upto, more = since, False
        full: list[int] = []
        for symbol in self._rules:
            page = await self._calls.trades(symbol, since or None)
            if symbol in self.gone and isinstance(page, Refused):
                continue  # it is told that it is gone, and the others have traded
            if not isinstance(page, Done):
                self.trouble(page)
                return
            told = await self._fills_of(symbol, page.value.trades)
            if not isinstance(told, Done):
                self.trouble(told)
                return
            fills += told.value
            newest = max((int(trade["timestamp"]) for trade in page.value.trades), default=since)
            upto = max(upto, newest)
            if page.value.is_full:
                full.append(max(newest, since + 1))
        if full:
            # Of a symbol with a full page nothing later is known.
            upto, more = min(full), True
        self.tell([VenueTrades(since, upto, more, tuple(fills))])

    async def fills_since(self, since: int) -> list[Fill]:
        """
        Return the fills of all symbols from ``since`` on, by the venue's dates; 0 for the newest.

        Raises ``VenueUnreachable`` where the venue does not say, or tells of more than can be read.
        """
        fills: list[Fill] = []
        for symbol in self._rules:
            fills += await self._fills_in(symbol, since)
        return fills

    async def _fills_in(self, symbol: str, since: int) -> list[Fill]:
        found = await self._calls.every_trade(symbol, since or None)
        told = await self._fills_of(symbol, found.value) if isinstance(found, Done) else found
        if not isinstance(told, Done):
            raise VenueUnreachable(f"{self._calls.client.address.exchange}: {words(told)}")
        return told.value

    async def _fills_of(
        self, symbol: str, trades: Iterable[Mapping[str, Any]]
    ) -> Done[list[Fill]] | Failure:
        """Return trades as fills of the orders that they are of."""
        fills = []
        for trade in trades:
            order = await self._owner(symbol, trade)
            if not isinstance(order, KnownOrder):
                return order
            fills.append(trade_of(trade, order, self._rules[symbol], self._row).fill)
        return Done(fills)

    async def _owner(self, symbol: str, trade: Mapping[str, Any]) -> KnownOrder | Failure:
        """
        Return the order of a trade: by the venue's id, by ours if it has it, or asked for.

        Unanswered it is somebody else's, unless it may be of an order of ours whose id there is not
        known: then nobody can say.
        """
        venue_id = str(trade.get("order") or "")
        order = self._orders.of_venue(symbol, venue_id) or self._named_in(symbol, trade)
        if order is not None:
            return order
        exchange = self._calls.client.exchange
        found = await self._calls.read(lambda: exchange.fetch_order(venue_id, symbol))
        if not isinstance(found, Done):
            is_told = isinstance(found, Refused) and found.is_unknown
            if not is_told and self._may_be_ours(symbol, side_of(trade)):
                return found
        said = found.value if isinstance(found, Done) else {}
        name = decoded(str(said.get("clientOrderId") or ""), self._row) or venue_id
        raw = said.get("info")
        # A page instead of an answer, with a status of success, names no side.
        side = position_side_of(raw.get("positionSide") if isinstance(raw, Mapping) else None)
        order = self._orders.add(KnownOrder(name, symbol, side_of(trade), side))
        if isinstance(found, Done):
            self._orders.identify(order, venue_id)
        return order

    def _may_be_ours(self, symbol: str, side: Side) -> bool:
        """Return whether there is an order of ours that may be the venue's under any id."""
        becomes = self._row.triggers.becomes
        return any(
            (order.symbol, order.side) == (symbol, side)
            and (not order.venue_id or (order.waits and becomes and not order.became))
            for order in self._orders.live()
        )

    def _named_in(self, symbol: str, trade: Mapping[str, Any]) -> KnownOrder | None:
        """Return the order of ours that a trade names: ccxt leaves that out."""
        for text in texts_in(trade.get("info")):
            order = self._orders.named(decoded(text, self._row))
            # Somebody else's are known by the venue's numbers, which may be of anything.
            if order is not None and order.order_id and order.symbol == symbol:
                self._orders.identify(order, str(trade.get("order") or ""))
                return order
        return None


def lane_of(request: OrderRequest) -> Lane:
    """Return the lane of an order: what reduces goes before what opens."""
    return Lane.REDUCE if request.reduce_only else Lane.CREATE


def _traded(order: KnownOrder, trade: Trade) -> VenueReport:
    at = trade.fill.timestamp
    return VenueReport(order.name, OrderEvent.FILLED_PARTLY, at, trade.fill)


async def _always(_waiting: Callable[[], object]) -> bool:
    return True
