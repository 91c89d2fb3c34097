"""
Execution's dealings with what no order of ours explains, and with trades whose news never came.

Both are asked for by the Reconciler. Funding comes unasked: each payment is booked once, by its
id, in the books of those who had the position. A missed trade takes the same way as any other:
once, by its trade id, through the order's own table and the ledger. What is adopted is an entry of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from actors.board import Board
from actors.execution.account import book_payment, valuation
from actors.execution.books import Books
from actors.execution.resolver import DoubtPorts
from actors.runtime import Clock, Effect
from brokers.contract import Broker, TradeLister
from messages import (
    OUTSIDE_HOLDS,
    AccountAdopted,
    AdoptAccount,
    Adoption,
    CompareAccount,
    DeadLetter,
    Fill,
    OrderEvent,
    OrderStatus,
    Scope,
    SyncTrades,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueTrades,
)
from state.ledger import ImpossibleFill
from state.orders import Order
from state.outside import adopt, external

PAGES_MAX: Final = 5
"""Most pages of trades in one pass: the rest waits for the next, whatever the venue has."""


ENDS: Final = frozenset(
    {OrderEvent.FILLED, OrderEvent.CANCELLED, OrderEvent.EXPIRED, OrderEvent.REJECTED}
)
"""News after which nothing more comes of an order."""


class FillHands(Protocol):
    """The actor, as this part of it knows it."""

    def heard(self, order: Order, report: VenueReport) -> Iterable[Effect]:
        """Take a step of an order that is no fill."""

    def book(self, order: Order, report: VenueReport, fill: Fill) -> Iterable[Effect]:
        """Book a fill of an order of ours."""


class OutsideHands:
    """Fetches missed trades and adopts; every method returns its effects."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        board: Board,
        clock: Clock,
        hands: FillHands,
        ports: DoubtPorts,
    ) -> None:
        """Go on with ``books``; pages that were asked for by an earlier one may still come."""
        self._ports = ports
        self._books = books
        self._broker = broker
        self._board = board
        self._clock = clock
        self._hands = hands
        self._pages_left = 0
        self._left_out = False
        """Whether this pass over the trades has left one out that came too soon."""

    # -- trades that were missed

    def sync(self, _sync: SyncTrades) -> Iterable[Effect]:
        """Begin a pass over the venue's trades, a little behind the watermark."""
        broker = self._broker
        if not isinstance(broker, TradeLister):
            return ()
        self._pages_left, self._left_out = PAGES_MAX, False
        return self._ask(broker, max(0, self._books.trades_upto - broker.trades_overlap))

    def _ask(self, broker: TradeLister, since: int) -> tuple[Effect, ...]:
        now = self._clock.now
        self._pages_left -= 1
        try:
            broker.list_trades(since, now)
        except Exception as error:  # noqa: BLE001 - a question that cannot be asked is unanswered
            return (DeadLetter("execution", now, "list_trades", "question_failed", repr(error)),)
        return ()

    def take_trades(self, answer: VenueTrades) -> Iterable[Effect]:
        """
        Book the trades of our own orders that are not booked; go on with the next page.

        What still comes before its own reason to be is left for the next pass, which begins no
        later than this one.
        """
        books = self._books
        effects: list[Effect] = []
        for fill in answer.trades:
            if fill.trade_id in books.orders.booked:
                continue
            order = books.orders.by_client_id(fill.client_order_id)
            if order is not None and self.is_too_soon(fill):
                self._left_out = True
            elif order is not None and books.orders.book_once(fill.trade_id):
                name, at = fill.client_order_id, fill.timestamp
                report = VenueReport(name, OrderEvent.FILLED_PARTLY, at, fill)
                effects.extend(self._hands.book(order, report, fill))
            elif order is None and fill.client_order_id in books.outside.watched:
                effects.extend(self._adopt_fill(fill))
        if not self._left_out:
            books.trades_upto = max(books.trades_upto, answer.upto)
        broker = self._broker
        if answer.more and self._pages_left > 0 and isinstance(broker, TradeLister):
            effects.extend(self._ask(broker, answer.upto))
        return effects

    def missed(self, order: Order, answer: VenueOrder) -> Iterable[Effect]:
        """Take what an answer about one order tells that its news has not."""
        effects: list[Effect] = []
        name, at = answer.client_order_id, answer.timestamp
        if order.status is OrderStatus.IN_DOUBT and answer.known and answer.open:
            accepted = VenueReport(name, OrderEvent.ACCEPTED, at)
            effects.extend(self._hands.heard(order, accepted))
        for fill in answer.fills:
            is_new = fill.trade_id not in self._books.orders.booked
            if is_new and self.is_too_soon(fill):
                effects.extend(self.hear_too_soon(fill))
            elif self._books.orders.book_once(fill.trade_id):
                report = VenueReport(name, OrderEvent.FILLED_PARTLY, at, fill)
                effects.extend(self._hands.book(order, report, fill))
        return effects

    # -- trades that were overtaken

    def is_too_soon(self, fill: Fill) -> bool:
        """
        Return whether a fill cannot be booked before others whose news is missing.

        It closes more of a hedged position than we know of. Only where the others can be asked for:
        else nothing would ever come of it.
        """
        return isinstance(self._broker, TradeLister) and self._books.ledger.would_turn(fill)

    def hear_too_soon(self, fill: Fill) -> Iterable[Effect]:
        """
        Leave such a fill to the list of trades, which has it in its place, and ask for that.

        Nothing opens in that symbol until both sides are known to agree (see ``Agreement``).
        """
        cause = f"trade {fill.trade_id} of {fill.client_order_id}: it closes more than is booked"
        asked = self.sync(SyncTrades(self._clock.now))
        return (*self._look_outside(fill.symbol, cause), *asked)

    # -- payments

    def take_payment(self, payment: VenuePayment) -> Iterable[Effect]:
        """Book funding that the venue has paid or taken, once."""
        books = self._books
        if not books.orders.payments.add(payment.payment_id, payment.timestamp):
            return ()
        booked = book_payment(books.ledger, payment)
        return (*booked, valuation(books.ledger, self._board, self._clock.now, "fill"))

    # -- what is nobody's here

    def hear_strange(self, report: VenueReport) -> Iterable[Effect]:
        """
        Take an execution that no order of ours explains: a liquidation, or somebody else's.

        The position is not what our books say: nothing opens in that symbol, and the account is
        looked at, until both sides are known to agree (see ``Agreement``).
        """
        fill = report.fill
        if fill is None:
            return ()
        cause = f"trade {fill.trade_id} of {report.client_order_id}: no order of ours"
        return self._look_outside(fill.symbol, cause)

    def _look_outside(self, symbol: str, cause: str) -> Iterable[Effect]:
        self._ports.hold(f"{OUTSIDE_HOLDS}{symbol}", cause, Scope(symbol=symbol))
        return (CompareAccount(self._clock.now, symbol),)

    # -- what is adopted

    def watches(self, client_order_id: str) -> bool:
        """Return whether an order is a foreign one that was adopted."""
        return client_order_id in self._books.outside.watched

    def hear_watched(self, report: VenueReport) -> Iterable[Effect]:
        """Take news of a foreign order that was adopted: what it trades is adopted with it."""
        fill = report.fill
        if fill is not None:
            booked = fill.trade_id in self._books.orders.booked
            told: Iterable[Effect] = () if booked else self._adopt_fill(fill)
        else:
            told = ()
        if report.event in ENDS:
            self._books.outside.watched.discard(report.client_order_id)
        return told

    def _adopt_fill(self, fill: Fill) -> Iterable[Effect]:
        reason = f"trade {fill.trade_id} of watched order {fill.client_order_id}"
        return self._adopt(Adoption(reason, external(fill)))

    def take_over(self, asked: AdoptAccount) -> Iterable[Effect]:
        """Enter what is to be adopted, each as an entry of its own."""
        return [effect for adoption in asked.adoptions for effect in self._adopt(adoption)]

    def _adopt(self, adoption: Adoption) -> list[Effect]:
        now = self._clock.now
        books, ledger = self._books, self._books.ledger
        try:
            booking = adopt(adoption, ledger, books.orders, books.outside)
        except ImpossibleFill as error:
            return [DeadLetter("execution", now, "Adoption", "impossible_fill", str(error))]
        assume_price(self._board, adoption)
        adopted = AccountAdopted("execution", now, adoption, ledger.cash, booking)
        if booking is None and not adoption.transfer:
            return [adopted]
        return [adopted, valuation(ledger, self._board, now, "fill")]


def assume_price(board: Board, adoption: Adoption) -> None:
    """Let lots that were adopted be valued at their own price until their market is seen."""
    fill = adoption.fill
    if fill is not None:
        board.assumed[fill.symbol] = fill.price
