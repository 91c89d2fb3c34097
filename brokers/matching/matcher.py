"""How live orders meet one stretch of the market: whose turn it is, how much, at what cost."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from brokers.matching.account import Account
from brokers.matching.book import OrderBook
from brokers.matching.config import EngineConfig
from brokers.matching.fills import Volume, slipped
from brokers.matching.orders import WorkingOrder
from brokers.matching.triggers import Touch, is_far, touch, turn
from messages import (
    Bar,
    Cause,
    Fill,
    Liquidity,
    OrderEvent,
    ReasonCode,
    TimeInForce,
    VenueReport,
)
from state.money import BASIS_POINT, exact

_ONE: Final = Decimal(1)
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_TAKER: Final = Liquidity.TAKER
_FILLED: Final = OrderEvent.FILLED
_FILLED_PARTLY: Final = OrderEvent.FILLED_PARTLY
_CANCELLED: Final = OrderEvent.CANCELLED
_EXPIRED: Final = OrderEvent.EXPIRED

FILLS_KEPT: Final = 1_024
"""Newest fills that the venue can be asked about, by order; older ones are the journal's."""


class Matcher:
    """Fills and ends the live orders of ``book`` and moves ``account`` accordingly."""

    __slots__ = (
        "_account",
        "_book",
        "_check_funds",
        "_latency_ms",
        "_participation",
        "_slippage",
        "_trade_prefix",
        "fills",
        "trade_count",
    )

    def __init__(self, config: EngineConfig, book: OrderBook, account: Account) -> None:
        """Match for one account."""
        self._book = book
        self._account = account
        self._check_funds = config.check_funds
        self._latency_ms = config.latency_ms
        self._participation = None if config.participation == _ONE else config.participation
        self._slippage = config.slippage_bps * BASIS_POINT
        self._trade_prefix = f"T-{config.trade_tag}-" if config.trade_tag else ""
        self.trade_count = 0
        self.fills: deque[Fill] = deque(maxlen=FILLS_KEPT)

    def match(self, orders: list[WorkingOrder], bar: Bar, size: float) -> list[VenueReport]:
        """
        Let ``orders``, all of one symbol and oldest first, meet ``bar``; return the news in order.

        ``size`` is what the stretch offers in all, of which orders get their participation.
        """
        reports: list[VenueReport] = []
        ready = []
        for order in orders:
            if order.ends_at is not None and order.ends_at <= bar.timestamp:
                reports.append(self.expire(order))
            elif not is_far(order, bar) and self._has_arrived(order, bar):
                ready.append(order)
        if len(ready) > 1:
            ready.sort(key=lambda order: turn(order, bar))
        volume = None
        if self._participation is not None:
            volume = Volume(exact(size), self._participation)
        for order in ready:
            met = touch(order, bar)
            if met is None:
                continue
            if isinstance(met, Touch):
                self._execute(order, met, bar.timestamp, volume, reports)
            else:
                reports.append(self.end(order, bar.timestamp, Cause(met)))
        return reports

    def _has_arrived(self, order: WorkingOrder, bar: Bar) -> bool:
        """
        Tell whether the order was at the venue when ``bar`` opened.

        Without latency the next bar is the first to close after the decision, wherever it
        opens: bars may be spaced irregularly, and one that closes with the decision is its cause.
        """
        if self._latency_ms or not bar.timeframe_ms:
            return bar.timestamp >= order.submitted_at + self._latency_ms
        return bar.timestamp + bar.timeframe_ms > order.submitted_at

    def _execute(
        self,
        order: WorkingOrder,
        met: Touch,
        timestamp: int,
        volume: Volume | None,
        reports: list[VenueReport],
    ) -> None:
        """Fill what can be filled of an order that the market reached; end what cannot wait."""
        quantity = order.remaining
        if order.closing:
            quantity = min(quantity, order.position.closable(is_buy=order.is_buy))
            if not quantity:
                reports.append(self.end(order, timestamp, _nothing_to_reduce(order)))
                return
        if volume is not None:
            quantity = volume.offer(quantity, order.listing.lot_step)
        if order.time_in_force is _FOK and quantity < order.remaining:
            detail = f"quantity={order.remaining} available={quantity}"
            reports.append(self.end(order, timestamp, Cause(ReasonCode.FOK_UNFILLABLE, detail)))
            return
        if quantity:
            report = self.fill(order, met, quantity, timestamp)
            reports.append(report)
            if report.event is _CANCELLED:
                return
            if volume is not None:
                volume.take(quantity)
            if report.event is _FILLED:
                return
        if order.closing and not order.position.closable(is_buy=order.is_buy):
            reports.append(self.end(order, timestamp, _nothing_to_reduce(order)))
        elif order.time_in_force is _IOC:
            cause = Cause(ReasonCode.IOC_REMAINDER, f"remaining={order.remaining}")
            reports.append(self.end(order, timestamp, cause))

    def fill(
        self, order: WorkingOrder, met: Touch, quantity: Decimal, timestamp: int
    ) -> VenueReport:
        """Fill ``quantity``, or cancel the order if the account cannot bear it."""
        price, liquidity = met.price, met.liquidity
        listing, account, request = order.listing, self._account, order.request
        if self._slippage and order.limit is None:
            price = slipped(price, self._slippage, listing.price_tick, is_buy=order.is_buy)
        value = quantity * price
        fee = value * (listing.taker_rate if liquidity is _TAKER else listing.maker_rate)
        signed = quantity
        if not order.is_buy:
            signed, value = -quantity, -value
        if self._check_funds:
            missing = account.shortfall(order.position, signed, price, value, fee)
            if missing is not None:
                cause = Cause(ReasonCode.VENUE_INSUFFICIENT_FUNDS, missing)
                return self.end(order, timestamp, cause)
        account.book(order.position, signed, price, value, fee)
        self.trade_count += 1
        fill = Fill(
            f"{self._trade_prefix}{self.trade_count}",
            request.order_id,
            order.client_order_id,
            request.strategy,
            order.symbol,
            request.side,
            request.position_side,
            quantity,
            price,
            fee,
            account.currency,
            liquidity,
            timestamp,
        )
        self.fills.append(fill)
        order.remaining -= quantity
        event = _FILLED_PARTLY
        if not order.remaining:
            event = _FILLED
            self._book.remove(order, _FILLED, timestamp)
        return VenueReport(
            order.client_order_id, event, timestamp, fill, None, order.venue_order_id
        )

    def end(self, order: WorkingOrder, timestamp: int, cause: Cause) -> VenueReport:
        """Cancel what is left of a live order."""
        self._book.remove(order, _CANCELLED, timestamp, cause)
        return VenueReport(
            order.client_order_id,
            _CANCELLED,
            timestamp,
            None,
            cause,
            order.venue_order_id,
            order.request.quantity - order.remaining,
        )

    def expire(self, order: WorkingOrder) -> VenueReport:
        """End a live order at the time that was set for it."""
        ends_at = order.ends_at
        assert ends_at is not None, "only an order with an end expires"
        by_itself = ends_at == order.request.expire_at
        cause = Cause(ReasonCode.ORDER_EXPIRED if by_itself else ReasonCode.DAY_ENDED)
        self._book.remove(order, _EXPIRED, ends_at, cause)
        return VenueReport(
            order.client_order_id,
            _EXPIRED,
            ends_at,
            None,
            cause,
            order.venue_order_id,
            order.request.quantity - order.remaining,
        )


def _nothing_to_reduce(order: WorkingOrder) -> Cause:
    return Cause(
        ReasonCode.VENUE_REDUCE_ONLY,
        f"position={order.position.quantity} remaining={order.remaining}",
    )
