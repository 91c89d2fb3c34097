"""
The simulated venue: orders in, market in, reports out; no clock, no asyncio, no chance.

Data is matched before anyone decides on it: a caller passes each bar here first, then to the
strategies, whose orders thereby meet the next bar at the earliest. Time is whatever the caller
says: ``now`` at the door, and the data's own timestamps afterwards. The same calls give the
same reports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from brokers.matching import triggers
from brokers.matching.account import Account, FundingPayment, VenueBalance, VenuePosition
from brokers.matching.admission import refusal
from brokers.matching.config import FINISHED_IDS_MAX, INSTANT_MARK_LIFE_MS, EngineConfig
from brokers.matching.fills import Volume, slipped
from brokers.matching.instruments import Listing
from brokers.matching.orders import WorkingOrder
from messages import (
    Bar,
    Cause,
    Fill,
    FundingRate,
    Liquidity,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionSide,
    Quote,
    ReasonCode,
    Side,
    Tick,
    TimeInForce,
    VenueReport,
)
from state.instruments import Instrument
from state.money import BASIS_POINT, exact

_ONE: Final = Decimal(1)
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_MAKER: Final = Liquidity.MAKER
_TAKER: Final = Liquidity.TAKER
_FILLED: Final = OrderEvent.FILLED
_FILLED_PARTLY: Final = OrderEvent.FILLED_PARTLY
_CANCELLED: Final = OrderEvent.CANCELLED
_ACCEPTED: Final = OrderEvent.ACCEPTED


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A live order as the venue reports it."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: OrderType
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    stop_price: Decimal | None


class MatchingEngine:
    """
    One account at one simulated venue.

    ``working`` maps each symbol that has live orders to them; it is empty when there are none,
    stays the same object for the engine's whole life, and is there for callers to look at
    before they call ``on_bar``: a bar of a symbol that is not in it needs no call.
    ``marks`` (symbol to last price) may be the caller's own mapping; it values positions in
    other symbols when margin is checked.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        config: EngineConfig,
        *,
        currency: str,
        deposit: Decimal,
        marks: Mapping[str, float] | None = None,
    ) -> None:
        """Open the account with ``deposit``; every instrument must be paid in ``currency``."""
        for instrument in instruments.values():
            if instrument.settle != currency:
                raise ValueError(
                    f"{instrument.symbol} settles in {instrument.settle}, "
                    f"the account holds {currency}"
                )
        self.config = config
        self.working: dict[str, dict[str, WorkingOrder]] = {}
        self._listings = {
            symbol: Listing(instrument, config.position_mode)
            for symbol, instrument in instruments.items()
        }
        self._own_marks: dict[str, float] = {}
        self.account = Account(
            currency,
            deposit,
            (book for listing in self._listings.values() for book in listing.positions),
            self._own_marks if marks is None else marks,
        )
        self._orders: dict[str, WorkingOrder] = {}
        self._finished: set[str] = set()
        self._finished_in_order: deque[str] = deque()
        self._order_count = 0
        self._trade_count = 0
        self._order_prefix = f"V-{config.trade_tag}-"
        self._trade_prefix = f"T-{config.trade_tag}-"
        self._slippage = config.slippage_bps * BASIS_POINT
        self._unlimited = config.participation == _ONE
        self._latency_ms = config.latency_ms
        # Symbol -> (best bid, best ask, until when they count as known).
        self._last: dict[str, tuple[float, float, int]] = {}
        # Symbols that quotes or trades drive: their bars tell the same past once more.
        self._by_print: set[str] = set()

    # -- orders in

    def submit(self, request: OrderRequest, now: int) -> list[VenueReport]:
        """
        Accept or reject an order at ``now``; fills come with the data after it.

        An order meets the market ``latency_ms`` after ``now``: at the first bar that opens no
        earlier. Without latency that is the next bar, the first to close after ``now``,
        wherever it opens (all bars of a session have one time frame).
        """
        client_order_id = request.client_order_id
        if client_order_id in self._orders or client_order_id in self._finished:
            return [_rejected(request, now, Cause(ReasonCode.DUPLICATE_CLIENT_ORDER_ID))]
        listing = self._listings.get(request.symbol)
        if listing is None:
            cause = Cause(ReasonCode.INSTRUMENT_UNKNOWN, f"symbol={request.symbol}")
            return [_rejected(request, now, cause)]
        position = listing.position(request.position_side)
        refused = refusal(request, listing, position, now)
        if refused is None and request.post_only:
            refused = self._would_take(request, now)
        if refused is not None:
            self._finish_id(client_order_id)
            return [_rejected(request, now, refused)]
        assert position is not None, "refused above"
        self._order_count = number = self._order_count + 1
        venue_order_id = f"{self._order_prefix}{number}"
        order = WorkingOrder(request, listing, position, number, venue_order_id, now)
        self._orders[client_order_id] = order
        book = self.working.get(request.symbol)
        if book is None:
            self.working[request.symbol] = {client_order_id: order}
        else:
            book[client_order_id] = order
        return [VenueReport(client_order_id, _ACCEPTED, now, None, None, venue_order_id)]

    def cancel(
        self,
        client_order_id: str,
        now: int,
        code: ReasonCode = ReasonCode.CANCEL_REQUESTED,
    ) -> list[VenueReport]:
        """Cancel an order at once, whatever the latency; unknown or final brings no report."""
        order = self._orders.get(client_order_id)
        return [] if order is None else [self._end(order, now, Cause(code))]

    def cancel_all(self, now: int, symbol: str | None = None) -> list[VenueReport]:
        """Cancel every live order, or those of ``symbol``, oldest first."""
        cause = Cause(ReasonCode.CANCEL_REQUESTED)
        return [
            self._end(order, now, cause)
            for order in list(self._orders.values())
            if symbol is None or order.request.symbol == symbol
        ]

    # -- market and time in

    def on_bar(self, bar: Bar) -> list[VenueReport]:
        """
        Match the symbol's live orders within a closed bar.

        Once quotes or trades have driven a symbol its bars match nothing.
        """
        symbol = bar.symbol
        close_at = bar.timestamp + bar.timeframe_ms
        self._own_marks[symbol] = bar.close
        if symbol in self._by_print:
            return []
        self._last[symbol] = (bar.close, bar.close, close_at + bar.timeframe_ms)
        book = self.working.get(symbol)
        if book is None:
            return []
        return self._match(list(book.values()), bar, bar.volume)

    def on_quote(self, quote: Quote) -> list[VenueReport]:
        """Match the symbol's live orders on a quote: buys at the ask, sells at the bid."""
        symbol, timestamp = quote.symbol, quote.timestamp
        self._note_print(symbol, quote.bid, quote.ask, timestamp)
        book = self.working.get(symbol)
        if book is None:
            return []
        buys = [order for order in book.values() if order.is_buy]
        sells = [order for order in book.values() if not order.is_buy]
        reports = []
        for orders, price, size in (
            (buys, quote.ask, quote.ask_size),
            (sells, quote.bid, quote.bid_size),
        ):
            if orders:
                print_ = Bar(symbol, timestamp, price, price, price, price, size, 0)
                reports.extend(self._match(orders, print_, size))
        return reports

    def on_tick(self, tick: Tick) -> list[VenueReport]:
        """Match the symbol's live orders on a public trade, at its price."""
        symbol, price = tick.symbol, tick.price
        self._note_print(symbol, price, price, tick.timestamp)
        book = self.working.get(symbol)
        if book is None:
            return []
        print_ = Bar(symbol, tick.timestamp, price, price, price, price, tick.size, 0)
        return self._match(list(book.values()), print_, tick.size)

    def on_time(self, now: int) -> list[VenueReport]:
        """
        End the orders whose day or own expiry has come.

        To be called after the data of the same instant: a bar that closes at midnight is still
        of the day.
        """
        return [
            self._expire(order)
            for order in list(self._orders.values())
            if order.ends_at is not None and order.ends_at <= now
        ]

    def next_end(self) -> int | None:
        """Return when the next live order ends by itself, or None."""
        ends = [order.ends_at for order in self._orders.values() if order.ends_at is not None]
        return min(ends, default=None)

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> list[FundingPayment]:
        """Settle funding of every position in the symbol: a long pays a positive rate."""
        price = exact(mark) if isinstance(mark, float) else mark
        return self.account.settle_funding(rate.symbol, exact(rate.rate), price, rate.timestamp)

    # -- what there is, for reconciliation

    def open_orders(self) -> list[OpenOrder]:
        """Return the live orders, oldest first."""
        return [
            OpenOrder(
                order.client_order_id,
                order.venue_order_id,
                order.request.symbol,
                order.request.side,
                order.request.position_side,
                order.request.order_type,
                order.request.quantity,
                order.request.quantity - order.remaining,
                order.request.price,
                order.request.stop_price if order.stop is None else order.stop.price,
            )
            for order in self._orders.values()
        ]

    def positions(self) -> list[VenuePosition]:
        """Return the positions that are not flat, in order of listing."""
        return [
            VenuePosition(book.symbol, book.side, book.quantity, book.average_price)
            for book in self.account.positions
            if book.quantity
        ]

    def balance(self) -> VenueBalance:
        """Return the account's cash and what moved it."""
        return self.account.balance()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that matching depends on, JSON-ready."""
        return {
            "trade_tag": self.config.trade_tag,
            "order_count": self._order_count,
            "trade_count": self._trade_count,
            "orders": [order.snapshot() for order in self._orders.values()],
            "finished": list(self._finished_in_order),
            "last": {symbol: list(known) for symbol, known in self._last.items()},
            "marks": dict(self._own_marks),
            "by_print": sorted(self._by_print),
            "account": self.account.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave, on an engine that has seen nothing yet."""
        assert not self._order_count, "only a new engine can be restored"
        if state["trade_tag"] != self.config.trade_tag:
            raise ValueError(
                f"snapshot is of trade tag {state['trade_tag']}, "
                f"expected {self.config.trade_tag}: its ids would not go on"
            )
        self.account.restore(state["account"])
        for kept in state["orders"]:
            self._restore_order(kept)
        self._order_count = state["order_count"]
        self._trade_count = state["trade_count"]
        for client_order_id in state["finished"]:
            self._finish_id(client_order_id)
        self._last = {
            symbol: (bid, ask, until) for symbol, (bid, ask, until) in state["last"].items()
        }
        self._own_marks.update(state["marks"])
        self._by_print.update(state["by_print"])

    def _restore_order(self, kept: dict[str, Any]) -> None:
        request = msgspec.convert(kept["request"], OrderRequest)
        listing = self._listings.get(request.symbol)
        position = None if listing is None else listing.position(request.position_side)
        if listing is None or position is None:
            raise ValueError(
                f"snapshot has a live order in {request.symbol} "
                f"({request.position_side.value}), which is no book here"
            )
        order = WorkingOrder(
            request,
            listing,
            position,
            kept["number"],
            kept["venue_order_id"],
            kept["submitted_at"],
        )
        order.resume(kept)
        self._orders[order.client_order_id] = order
        self.working.setdefault(request.symbol, {})[order.client_order_id] = order

    # -- matching

    def _match(self, orders: list[WorkingOrder], bar: Bar, size: float) -> list[VenueReport]:
        """Let ``orders`` (of one symbol, oldest first) meet one stretch of its market."""
        reports: list[VenueReport] = []
        ready = []
        for order in orders:
            if order.ends_at is not None and order.ends_at <= bar.timestamp:
                reports.append(self._expire(order))
            elif self._has_arrived(order, bar):
                ready.append(order)
        if not ready:
            return reports
        if len(ready) > 1:
            ready.sort(key=lambda order: (triggers.rank(order, bar), order.number))
        volume = None if self._unlimited else Volume(exact(size), self.config.participation)
        for order in ready:
            touch = triggers.touch(order, bar)
            if touch is None:
                continue
            if isinstance(touch, ReasonCode):
                reports.append(self._end(order, bar.timestamp, Cause(touch)))
            else:
                self._execute(order, touch, bar.timestamp, volume, reports)
        return reports

    def _has_arrived(self, order: WorkingOrder, bar: Bar) -> bool:
        """Tell whether the order was at the venue when ``bar`` opened."""
        if self._latency_ms or not bar.timeframe_ms:
            return bar.timestamp >= order.submitted_at + self._latency_ms
        return bar.timestamp + bar.timeframe_ms > order.submitted_at

    def _execute(
        self,
        order: WorkingOrder,
        touch: triggers.Touch,
        timestamp: int,
        volume: Volume | None,
        reports: list[VenueReport],
    ) -> None:
        """Fill what can be filled of an order that the market reached, and end what cannot be."""
        quantity = order.remaining
        if order.closing:
            quantity = min(quantity, order.position.closable(is_buy=order.is_buy))
            if not quantity:
                reports.append(self._end(order, timestamp, _nothing_to_reduce(order)))
                return
        if volume is not None:
            quantity = volume.offer(quantity, order.listing.lot_step)
        if order.time_in_force is _FOK and quantity < order.remaining:
            cause = Cause(
                ReasonCode.FOK_UNFILLABLE, f"quantity={order.remaining} available={quantity}"
            )
            reports.append(self._end(order, timestamp, cause))
            return
        if quantity:
            report = self._fill(order, touch, quantity, timestamp)
            reports.append(report)
            if report.event is not _FILLED_PARTLY:
                return
            if volume is not None:
                volume.take(quantity)
        if order.time_in_force is _IOC:
            cause = Cause(ReasonCode.IOC_REMAINDER, f"remaining={order.remaining}")
            reports.append(self._end(order, timestamp, cause))
        elif order.closing and not order.position.closable(is_buy=order.is_buy):
            reports.append(self._end(order, timestamp, _nothing_to_reduce(order)))

    def _fill(
        self, order: WorkingOrder, touch: triggers.Touch, quantity: Decimal, timestamp: int
    ) -> VenueReport:
        """Fill ``quantity``, or cancel the order if the account cannot bear it."""
        listing = order.listing
        price, takes, slips = touch
        if slips and self._slippage:
            price = slipped(price, self._slippage, listing.price_tick, is_buy=order.is_buy)
        notional = quantity * price
        fee = notional * (listing.taker_rate if takes else listing.maker_rate)
        signed, value = (quantity, notional) if order.is_buy else (-quantity, -notional)
        account = self.account
        if self.config.check_funds:
            missing = account.shortfall(order.position, signed, price, value, fee)
            if missing is not None:
                cause = Cause(ReasonCode.VENUE_INSUFFICIENT_FUNDS, missing)
                return self._end(order, timestamp, cause)
        account.book(order.position, signed, price, value, fee)
        self._trade_count = trade = self._trade_count + 1
        request = order.request
        fill = Fill(
            f"{self._trade_prefix}{trade}",
            request.order_id,
            request.client_order_id,
            request.strategy,
            request.symbol,
            request.side,
            request.position_side,
            quantity,
            price,
            fee,
            account.currency,
            _TAKER if takes else _MAKER,
            timestamp,
        )
        order.remaining = remaining = order.remaining - quantity
        event = _FILLED_PARTLY
        if not remaining:
            event = _FILLED
            self._forget(order)
        return VenueReport(
            request.client_order_id, event, timestamp, fill, None, order.venue_order_id
        )

    # -- ends

    def _end(self, order: WorkingOrder, timestamp: int, cause: Cause) -> VenueReport:
        self._forget(order)
        return VenueReport(
            order.client_order_id, _CANCELLED, timestamp, None, cause, order.venue_order_id
        )

    def _expire(self, order: WorkingOrder) -> VenueReport:
        assert order.ends_at is not None, "only an order with an end expires"
        by_itself = order.ends_at == order.request.expire_at
        code = ReasonCode.ORDER_EXPIRED if by_itself else ReasonCode.DAY_ENDED
        self._forget(order)
        return VenueReport(
            order.client_order_id,
            OrderEvent.EXPIRED,
            order.ends_at,
            None,
            Cause(code),
            order.venue_order_id,
        )

    def _forget(self, order: WorkingOrder) -> None:
        """Take a finished order out of the books; its client order id stays known."""
        client_order_id = order.client_order_id
        del self._orders[client_order_id]
        symbol = order.request.symbol
        book = self.working[symbol]
        del book[client_order_id]
        if not book:
            del self.working[symbol]
        self._finish_id(client_order_id)

    def _finish_id(self, client_order_id: str) -> None:
        if len(self._finished_in_order) == FINISHED_IDS_MAX:
            self._finished.discard(self._finished_in_order.popleft())
        self._finished_in_order.append(client_order_id)
        self._finished.add(client_order_id)

    # -- last known prices

    def _note_print(self, symbol: str, bid: float, ask: float, timestamp: int) -> None:
        self._by_print.add(symbol)
        self._own_marks[symbol] = (bid + ask) / 2
        self._last[symbol] = (bid, ask, timestamp + INSTANT_MARK_LIFE_MS)

    def _would_take(self, request: OrderRequest, now: int) -> Cause | None:
        """Return why a post-only limit order cannot rest at the last known price, or None."""
        if request.order_type is not OrderType.LIMIT or request.price is None:
            return None
        bid, ask, until = self._last.get(request.symbol, (0.0, 0.0, 0))
        if now >= until:
            return None  # Not known, or too old to be: the first price that it meets decides.
        is_buy = request.side is Side.BUY
        market = exact(ask if is_buy else bid)
        if (request.price < market) if is_buy else (request.price > market):
            return None
        return Cause(ReasonCode.POST_ONLY_WOULD_TAKE, f"price={request.price} market={market}")


def _rejected(request: OrderRequest, now: int, cause: Cause) -> VenueReport:
    return VenueReport(request.client_order_id, OrderEvent.REJECTED, now, None, cause)


def _nothing_to_reduce(order: WorkingOrder) -> Cause:
    return Cause(
        ReasonCode.VENUE_REDUCE_ONLY,
        f"position={order.position.quantity} remaining={order.remaining}",
    )
