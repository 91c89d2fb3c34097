"""
The simulated venue: orders in, market in, reports out; no clock, no asyncio, no chance.

Data is matched before anyone decides on it: a caller passes each bar here first, then to the
strategies, whose orders thereby meet the next bar at the earliest. Time is whatever the caller
says: ``now`` at the door, and the data's own timestamps afterwards. The same calls give the
same reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from brokers.matching.account import (
    Account,
    FundingPayment,
    Position,
    VenueBalance,
    VenuePosition,
)
from brokers.matching.admission import refusal
from brokers.matching.book import Ended, OrderBook
from brokers.matching.config import EngineConfig
from brokers.matching.instruments import Listing
from brokers.matching.margin import shortfall
from brokers.matching.matcher import Matcher
from brokers.matching.orders import OpenOrder, Stage, WorkingOrder
from brokers.matching.prices import LastPrices
from brokers.matching.triggers import Touch
from messages import (
    Bar,
    Cause,
    Fill,
    FundingRate,
    Liquidity,
    MinimumOrder,
    OrderEvent,
    OrderRequest,
    PositionMode,
    Quote,
    ReasonCode,
    Side,
    Tick,
    VenueOrder,
    VenueReport,
)
from state.instruments import ONE, Instrument
from state.money import ZERO, exact, ratio

_ACCEPTED: Final = OrderEvent.ACCEPTED
_REJECTED: Final = OrderEvent.REJECTED
_PLENTY: Final = 1e18
"""What a print without a size of its own offers: more than anybody has money for."""


class MatchingEngine:
    """
    One account at one simulated venue.

    ``working`` maps each symbol that has live orders to them; it is empty when there are none,
    stays the same object for the engine's whole life, and is there for callers to look at
    before they call ``on_bar``: a bar of a symbol that is not in it needs no call.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        config: EngineConfig,
        *,
        currency: str,
        deposit: Decimal,
        mark_of: Callable[[str], float | None] | None = None,
    ) -> None:
        """
        Open the account with ``deposit``; every instrument must settle in ``currency``.

        ``mark_of`` gives the last price of a symbol, or None; it values positions in other
        symbols when margin is checked. Without it they are valued at the last price that the
        engine was shown, which is old where bars of idle symbols are kept from it.
        """
        for instrument in instruments.values():
            if instrument.settle != currency:
                raise ValueError(
                    f"{instrument.symbol} settles in {instrument.settle}, "
                    f"but the account is in {currency}"
                )
        self.config = config
        self._listings = {
            symbol: Listing(instrument, config.position_mode)
            for symbol, instrument in instruments.items()
        }
        self._prices = LastPrices()
        self.account = Account(
            currency,
            deposit,
            (book for listing in self._listings.values() for book in listing.positions),
            mark_of or self._prices.mark,
        )
        self._book = OrderBook()
        self.working = self._book.by_symbol
        self._matcher = Matcher(config, self._book, self.account)
        self._order_count = 0
        self._order_prefix = f"V-{config.trade_tag}-" if config.trade_tag else ""
        # Symbols that quotes or trades drive: their bars tell the same past once more.
        self._by_print: set[str] = set()

    # -- orders in

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what is listed."""
        return tuple(self._listings)

    def submit(self, request: OrderRequest, now: int) -> list[VenueReport]:
        """
        Accept or reject an order at ``now``; fills come with the data after it.

        An order meets the market ``latency_ms`` after ``now``: at the first bar that opens no
        earlier. Without latency that is the next bar, the first to close after ``now``,
        wherever it opens (all bars of a session have one time frame).
        """
        client_order_id = request.client_order_id
        if self._book.knows(client_order_id):
            cause = Cause(ReasonCode.DUPLICATE_CLIENT_ORDER_ID)
            return [VenueReport(client_order_id, _REJECTED, now, None, cause)]
        listing = self._listings.get(request.symbol)
        position = None if listing is None else listing.position(request.position_side)
        bound = ZERO if position is None or self.config.brackets else self._bound(position)
        refused = refusal(request, listing, position, now, bound)
        if refused is None and request.post_only:
            refused = self._prices.would_take(request, now)
        if listing is None or position is None or refused is not None:
            self._book.remember(client_order_id, Ended(_REJECTED, now, ZERO, refused))
            return [VenueReport(client_order_id, _REJECTED, now, None, refused)]
        number = self._order_count + 1
        venue_order_id = f"{self._order_prefix}{number}"
        order = WorkingOrder(request, listing, position, number, venue_order_id, now)
        if self.config.reserves:
            missing = shortfall(self.account, self._book.orders.values(), order)
            if missing is not None:
                cause = Cause(ReasonCode.VENUE_INSUFFICIENT_FUNDS, missing)
                self._book.remember(client_order_id, Ended(_REJECTED, now, ZERO, cause))
                return [VenueReport(client_order_id, _REJECTED, now, None, cause)]
        self._order_count = number
        self._book.add(order)
        accepted = VenueReport(client_order_id, _ACCEPTED, now, None, None, venue_order_id)
        return [accepted, *(self._arrive(order, now) if self.config.at_once else ())]

    def _arrive(self, order: WorkingOrder, now: int) -> list[VenueReport]:
        """Let a new order meet the last price known, as a print of this moment."""
        if order.stage not in {Stage.AT_MARKET, Stage.LIMIT}:
            return []
        price = self._prices.side(order.symbol, is_buy=order.is_buy)
        if price is None:
            return []
        seen = Bar(order.symbol, now, price, price, price, price, _PLENTY, 0)
        return self._matcher.match([order], seen, _PLENTY)

    def cancel(
        self,
        client_order_id: str,
        now: int,
        code: ReasonCode = ReasonCode.CANCEL_REQUESTED,
    ) -> list[VenueReport]:
        """Cancel an order at once, whatever the latency; unknown or final brings no report."""
        order = self._book.orders.get(client_order_id)
        return [] if order is None else [self._matcher.end(order, now, Cause(code))]

    def _bound(self, position: Position) -> Decimal:
        """Return what of a position is bound by live orders that are to close it."""
        bound = ZERO
        for order in self.working.get(position.symbol, {}).values():
            if order.position is position and order.closing:
                bound += order.remaining
        return bound

    def order(self, client_order_id: str, now: int) -> VenueOrder:
        """
        Tell what there is to an order: whether it lives or how it ended, and its fills.

        Fills are told as far as they are remembered; ``filled`` counts them all.
        """
        book = self._book
        live = book.orders.get(client_order_id)
        ended = book.end_of(client_order_id) if live is None else None
        filled = ended.filled if ended is not None else None
        if live is not None:
            filled = live.request.quantity - live.remaining
        fills: tuple[Fill, ...] = ()
        if filled is None or filled:  # most that are asked about have none: none are looked for
            fills = tuple(
                fill for fill in self._matcher.fills if fill.client_order_id == client_order_id
            )
        return VenueOrder(
            client_order_id,
            now,
            live is not None or ended is not None,
            live is not None,
            fills,
            None if ended is None else ended.event,
            None if ended is None else ended.cause,
            filled,
            now,
            book.remembers_from,
        )

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Ask for another least order of a symbol from now on; raises ``KeyError`` for none."""
        self._listings[minimum.symbol].set_minimum(minimum.min_quantity, minimum.min_notional)

    def cancel_all(self, now: int, symbol: str | None = None) -> list[VenueReport]:
        """Cancel every live order, or those of ``symbol``, oldest first."""
        cause = Cause(ReasonCode.CANCEL_REQUESTED)
        return [
            self._matcher.end(order, now, cause)
            for order in list(self._book.orders.values())
            if symbol is None or order.symbol == symbol
        ]

    # -- what a venue does by itself, or on its members' word

    def is_live(self, client_order_id: str) -> bool:
        """Tell whether an order of this id lives."""
        return client_order_id in self._book.orders

    def waits(self, client_order_id: str) -> bool:
        """Tell whether a live order still waits for its stop or target."""
        order = self._book.orders.get(client_order_id)
        return order is not None and order.stage in {Stage.STOP, Stage.TRAIL, Stage.TARGET}

    def amend(
        self, client_order_id: str, quantity: Decimal, price: Decimal, now: int
    ) -> Cause | OrderRequest:
        """
        Change a live limit order and return its new request, or why it stays as it was.

        What it was filled with counts. It keeps its id, meets the market anew, and waits behind
        all the others.
        """
        order = self._book.orders.get(client_order_id)
        if order is None or order.limit is None:
            return Cause(ReasonCode.UNKNOWN_ORDER)
        request = msgspec.structs.replace(order.request, quantity=quantity, price=price)
        filled = order.request.quantity - order.remaining
        if quantity <= filled:
            return Cause(ReasonCode.VENUE_REJECTED, f"quantity={quantity} filled={filled}")
        refused = refusal(request, order.listing, order.position, now)
        if refused is None and request.post_only:
            refused = self._prices.would_take(request, now)
        if refused is not None:
            return refused
        self._order_count += 1
        amended = WorkingOrder(
            request, order.listing, order.position, self._order_count, order.venue_order_id, now
        )
        amended.remaining = quantity - filled
        if self.config.reserves:
            others = [each for each in self._book.orders.values() if each is not order]
            missing = shortfall(self.account, others, amended)
            if missing is not None:
                return Cause(ReasonCode.VENUE_INSUFFICIENT_FUNDS, missing)
        self._book.replace(amended)
        return request

    def arrive(self, client_order_id: str, now: int) -> list[VenueReport]:
        """Let an amended order meet the last price known, where orders do so at once."""
        order = self._book.orders.get(client_order_id)
        return [] if order is None or not self.config.at_once else self._arrive(order, now)

    def meet(
        self, client_order_id: str, quantity: Decimal, price: Decimal, now: int
    ) -> list[VenueReport]:
        """Let somebody come to one live order and trade up to ``quantity`` at ``price``."""
        order = self._book.orders.get(client_order_id)
        if order is None:
            return []
        wanted = min(quantity, order.remaining)
        if order.closing:
            wanted = min(wanted, order.position.closable(is_buy=order.is_buy))
        if wanted <= ZERO:
            return []
        order.fresh = False
        maker = order.limit is not None
        met = Touch(price, Liquidity.MAKER if maker else Liquidity.TAKER)
        return [self._matcher.fill(order, met, wanted, now)]

    def force(self, request: OrderRequest, now: int) -> list[VenueReport]:
        """
        Close what ``request`` closes at its own price, whoever may want it or not.

        Raises ``ValueError`` where it would open anything.
        """
        listing = self._listings[request.symbol]
        position = listing.position(request.position_side)
        is_buy = request.side is Side.BUY
        if position is None or request.quantity > position.closable(is_buy=is_buy):
            raise ValueError(f"{request.symbol}: {request.quantity} is more than there is to close")
        assert request.price is not None, "a forced order has a price"
        self._order_count += 1
        number = self._order_count
        order = WorkingOrder(
            request, listing, position, number, f"{self._order_prefix}{number}", now
        )
        self._book.add(order)
        accepted = VenueReport(
            request.client_order_id, _ACCEPTED, now, None, None, order.venue_order_id
        )
        met = Touch(request.price, Liquidity.TAKER)
        return [accepted, self._matcher.fill(order, met, request.quantity, now)]

    def absorb(self) -> Decimal:
        """Make up for a cash below zero, which nobody can pay; return how much that took."""
        missing = max(ZERO, -self.account.cash)
        self.account.cash += missing
        return missing

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Ask for ``1 / leverage`` of the value of positions in a symbol as margin."""
        for position in self._listings[symbol].positions:
            position.initial_margin = ratio(ONE, Decimal(leverage))

    def set_rules(self, instrument: Instrument) -> None:
        """Have other rules and rates for an instrument from now on; its margin stays."""
        self._listings[instrument.symbol].set_rules(instrument)

    def set_position_mode(self, mode: PositionMode) -> None:
        """Keep books of another kind; raises ``ValueError`` with open orders or positions."""
        if self._book.orders or any(book.quantity for book in self.account.positions):
            raise ValueError("there are open orders or positions")
        for listing in self._listings.values():
            margin = listing.positions[0].initial_margin
            listing.set_mode(mode)
            for position in listing.positions:
                position.initial_margin = margin
        self.account.keep(book for listing in self._listings.values() for book in listing.positions)

    def live_orders(self) -> list[WorkingOrder]:
        """Return the live orders as they are matched, oldest first; to be looked at only."""
        return list(self._book.orders.values())

    # -- market and time in

    def on_bar(self, bar: Bar) -> list[VenueReport]:
        """
        Match the symbol's live orders within a closed bar.

        Once quotes or trades have driven a symbol, its bars match nothing.
        """
        if self._by_print and bar.symbol in self._by_print:
            return []
        self._prices.note_bar(bar)
        orders = self.working.get(bar.symbol)
        if orders is None:
            return []
        return self._matcher.match(list(orders.values()), bar, bar.volume)

    def on_quote(self, quote: Quote) -> list[VenueReport]:
        """Match the symbol's live orders on a quote: buys at the ask, then sells at the bid."""
        symbol, timestamp = quote.symbol, quote.timestamp
        self._by_print.add(symbol)
        self._prices.note_print(symbol, quote.bid, quote.ask, timestamp)
        live = list(self.working.get(symbol, {}).values())
        reports = []
        for is_buy, price, size in (
            (True, quote.ask, quote.ask_size),
            (False, quote.bid, quote.bid_size),
        ):
            orders = [order for order in live if order.is_buy is is_buy]
            if orders:
                seen = Bar(symbol, timestamp, price, price, price, price, size, 0)
                reports.extend(self._matcher.match(orders, seen, size))
        return reports

    def on_tick(self, tick: Tick) -> list[VenueReport]:
        """Match the symbol's live orders on a public trade, at its price."""
        symbol, price = tick.symbol, tick.price
        self._by_print.add(symbol)
        self._prices.note_print(symbol, price, price, tick.timestamp)
        orders = self.working.get(symbol)
        if orders is None:
            return []
        seen = Bar(symbol, tick.timestamp, price, price, price, price, tick.size, 0)
        return self._matcher.match(list(orders.values()), seen, tick.size)

    def on_time(self, now: int) -> list[VenueReport]:
        """
        End the orders whose day or own expiry has come.

        To be called after the data of the same instant: a bar that closes at midnight is still
        of the day.
        """
        return [
            self._matcher.expire(order)
            for order in list(self._book.orders.values())
            if order.ends_at is not None and order.ends_at <= now
        ]

    def next_end(self) -> int | None:
        """Return when the next live order ends by itself, or None."""
        ends = [order.ends_at for order in self._book.orders.values() if order.ends_at is not None]
        return min(ends, default=None)

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> list[FundingPayment]:
        """Settle funding of every position in the symbol: a long pays a positive rate."""
        return self.account.settle_funding(
            rate.symbol, exact(rate.rate), exact(mark), rate.timestamp
        )

    # -- what there is, for reconciliation

    def open_orders(self) -> list[OpenOrder]:
        """Return the live orders, oldest first."""
        return [order.view() for order in self._book.orders.values()]

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Return the newest fills, oldest first, as far as they are remembered."""
        return tuple(self._matcher.fills)

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

    # -- what must survive a restart

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """
        Return everything that matching depends on, JSON-ready.

        Without ``ends`` the orders that have ended are left out, of which there are many: for
        whoever has them in a journal, and takes no order to be there that is not.
        """
        return {
            "order_count": self._order_count,
            "trade_count": self._matcher.trade_count,
            "orders": [order.snapshot() for order in self._book.orders.values()],
            "finished": self._book.finished() if ends else [],
            "remembers_from": self._book.remembers_from,
            "prices": self._prices.snapshot(),
            "by_print": sorted(self._by_print),
            "account": self.account.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave, on an engine that has seen nothing yet."""
        assert not self._order_count, "only a new engine can be restored"
        self.account.restore(state["account"])
        for kept in state["orders"]:
            self._book.add(self._restored(kept))
        self._book.remember_all(state["finished"], state["remembers_from"])
        self._prices.restore(state["prices"])
        self._by_print.update(state["by_print"])
        self._order_count = state["order_count"]
        self._matcher.trade_count = state["trade_count"]

    def _restored(self, kept: dict[str, Any]) -> WorkingOrder:
        """Return the live order that ``kept`` describes."""
        request = msgspec.convert(kept["request"], OrderRequest)
        listing = self._listings.get(request.symbol)
        position = None if listing is None else listing.position(request.position_side)
        if listing is None or position is None:
            raise ValueError(
                f"the snapshot has a live order in {request.symbol} "
                f"({request.position_side.value}), which is no book here"
            )
        order = WorkingOrder(
            request, listing, position, kept["number"], kept["venue_order_id"], kept["submitted_at"]
        )
        order.resume(kept)
        return order
