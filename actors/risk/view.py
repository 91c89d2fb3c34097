"""
What Risk knows: positions, what is on its way, and the money that is left.

Exposure is worst case: position + open + in flight + in doubt. A reservation is made in the
step of the verdict, before anything else can be decided, and shrinks only by fills and final
states that the venue reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

import msgspec

from actors.board import Board
from actors.risk.account import AccountWatch, Book
from actors.risk.limits import RiskLimits
from actors.risk.rates import RateWindow
from actors.runtime.clock import Clock
from messages import (
    AccountAdopted,
    BackoffChanged,
    Booking,
    ExecutionReport,
    InstrumentKind,
    IntentAction,
    MinimumOrder,
    OrderFamily,
    OrderRequest,
    PositionMode,
    Side,
)
from state.instruments import Instrument
from state.ledger import Ledger
from state.money import BASIS_POINT, ZERO
from state.orders import TERMINAL, OrderStore, RecentIds

INTENTS_REMEMBERED = 16_384
"""Ids kept to recognise a repeated intent; older repeats are caught by the order store's ids and
by their own ``valid_until``."""


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_PERPETUAL: Final = InstrumentKind.LINEAR_PERPETUAL
_BUY: Final = Side.BUY


class Kind(IntEnum):
    """
    What a reducing order is to its book.

    A position may be protected by stops and by targets at once: only one of them comes true, and
    they end with the position. Of each kind there is never more than the position; what is on
    its way out now is judged without them.
    """

    NOW = 0
    STOP = 1
    TARGET = 2


_NOW: Final = Kind.NOW
KINDS: Final = {
    IntentAction.SET_STOP: Kind.STOP,
    IntentAction.TRAIL: Kind.STOP,
    IntentAction.SET_TAKE_PROFIT: Kind.TARGET,
}


@dataclass(slots=True)
class RiskMemory:
    """
    What Risk remembers beyond an incarnation: the session's, as the books are.

    ``watch``, ``openings`` (approved orders that add exposure) and ``cancels`` exist only where
    a limit needs them. ``backoffs`` is until when strategies' own backoffs last, ``minimums`` the
    least orders that the venue has told of since the start.
    """

    decided: RecentIds = field(default_factory=lambda: RecentIds(INTENTS_REMEMBERED))
    watch: AccountWatch | None = None
    openings: RateWindow | None = None
    cancels: RateWindow | None = None
    backoffs: dict[tuple[str, str, OrderFamily], int] = field(default_factory=dict)
    minimums: dict[str, MinimumOrder] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: RiskLimits, equity: Decimal, at: int) -> RiskMemory:
        """Return an empty memory with what ``limits`` need; the session begins with ``equity``."""
        orders, cancels = limits.max_orders_per_minute, limits.max_cancels_per_minute
        return cls(
            watch=AccountWatch(limits, equity, at) if limits.watches_the_account() else None,
            openings=RateWindow(orders) if orders is not None else None,
            # The one beyond the limit is the one that shuts the door.
            cancels=RateWindow(cancels + 1) if cancels is not None else None,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return what a restart of the session must not forget, JSON-ready."""
        kept: dict[str, Any] = {
            name: part.snapshot()
            for name, part in (
                ("watch", self.watch),
                ("openings", self.openings),
                ("cancels", self.cancels),
            )
            if part is not None
        }
        kept["backoffs"] = [
            [strategy, symbol, family.value, until]
            for (strategy, symbol, family), until in sorted(self.backoffs.items())
        ]
        return kept

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``snapshot`` returned, as far as this session's limits need it."""
        if self.watch is not None and "watch" in saved:
            self.watch.restore(saved["watch"])
        for name, window in (("openings", self.openings), ("cancels", self.cancels)):
            if window is not None and name in saved:
                window.restore(saved[name])
        for strategy, symbol, family, until in saved.get("backoffs", ()):
            self.backoffs[strategy, symbol, OrderFamily(family)] = int(until)


class Reservation(msgspec.Struct, gc=False):
    """
    What one order may still do to the account: ``quantity`` at ``price``.

    ``cash_per_unit`` is what each unit may cost.
    """

    book: Book
    side: Side
    quantity: Decimal
    price: Decimal
    cash_per_unit: Decimal
    reducing: bool
    kind: Kind = _NOW
    root_id: str = ""
    replaces: str = ""


class RiskView:
    """The state that guards read. Only ``remember``, ``reserve`` and ``record`` change it."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        board: Board,
        clock: Clock,
        *,
        cash: Decimal,
        position_mode: PositionMode,
        slippage_bps: Decimal = ZERO,
        memory: RiskMemory | None = None,
        quarantined: Mapping[str, str] | None = None,
        limits: RiskLimits | None = None,
        intent_age_ms_max: int | None = None,
    ) -> None:
        """
        Start flat with ``cash``.

        ``memory`` outlives incarnations; ``quarantined`` are the strategies, with reasons, whose
        intents are refused: the supervisor's own mapping. An opening intent without
        ``valid_until`` that is older than ``intent_age_ms_max`` is refused.
        """
        self.instruments = instruments
        self.board = board
        self.clock = clock
        self.cash = cash
        self._ledger: Ledger | None = None
        self.position_mode = position_mode
        self.slippage = slippage_bps * BASIS_POINT
        self.positions: dict[Book, Decimal] = {}
        self.averages: dict[Book, Decimal] = {}
        self.reservations: dict[str, Reservation] = {}
        self.reserved_cash = ZERO
        self._reducing: dict[tuple[Book, Kind], Decimal] = {}
        self.quarantined = quarantined if quarantined is not None else {}
        self.limits = limits if limits is not None else RiskLimits()
        self.intent_age_ms_max = intent_age_ms_max
        self.memory = memory if memory is not None else RiskMemory()
        self.watch = self.memory.watch
        self.openings = self.memory.openings
        self.cancels = self.memory.cancels
        self.decided = self.memory.decided
        self.backoffs = self.memory.backoffs
        for minimum in self.memory.minimums.values():
            self.note_minimum(minimum)

    # -- questions

    def opening(self, book: Book, side: Side) -> Decimal:
        """Return the unfinished quantity of a book's orders on ``side`` that are not reducing."""
        total = ZERO
        for reservation in self.reservations.values():
            if not reservation.reducing and reservation.side is side and reservation.book == book:
                total += reservation.quantity
        return total

    def position(self, book: Book) -> Decimal:
        """Return the signed position of a book."""
        return self.positions.get(book, ZERO)

    def reducing(self, book: Book, kind: Kind = _NOW) -> Decimal:
        """Return the quantity of a kind of the book's reducing orders that are not finished."""
        return self._reducing.get((book, kind), ZERO)

    def replaced(self, order_id: str, book: Book, kind: Kind) -> Decimal:
        """
        Return what the intent that another one takes the place of still counts for.

        It may itself be about to take the place of one that has not gone yet: of a stop that is
        made smaller and then replaced by a trail in the same step, all but the last one go.
        """
        total = ZERO
        seen: set[str] = set()
        while order_id and order_id not in seen:
            seen.add(order_id)
            reservation = self.reservations.get(order_id) or next(
                (found for found in self.reservations.values() if found.root_id == order_id), None
            )
            if reservation is None or reservation.book != book or reservation.kind is not kind:
                break
            total += reservation.quantity if reservation.reducing else ZERO
            order_id = reservation.replaces
        return total

    def free_cash(self) -> Decimal:
        """Return the cash that nothing else needs: reservations, margin in use, open losses."""
        profit, margin = self._perpetuals()
        return self.cash - self.reserved_cash - margin + min(ZERO, profit)

    def free_margin(self) -> Decimal:
        """Return equity less the margin that positions use and everything reserved."""
        profit, margin = self._perpetuals()
        return self.cash - self.reserved_cash - margin + profit

    def _perpetuals(self) -> tuple[Decimal, Decimal]:
        profit = margin = ZERO
        for book, quantity in self.positions.items():
            instrument = self.instruments[book[1]]
            if not instrument.is_spot:
                mark = self.board.known(book[1])
                profit += quantity * (mark - self.averages[book])
                margin += abs(quantity) * mark * instrument.initial_margin
        return profit, margin

    def cash_per_unit(
        self, instrument: Instrument, side: Side, price: Decimal, *, reducing: bool
    ) -> Decimal:
        """Return what one unit of an order may take from the account: price or margin, and fee."""
        if reducing:
            return ZERO
        fee = price * instrument.taker_fee_bps * BASIS_POINT
        if instrument.kind is _PERPETUAL:
            return price * instrument.initial_margin + fee
        return price + fee if side is _BUY else ZERO

    def exposure(self, symbol: str | None = None) -> Decimal:
        """Return the worst-case gross notional of one symbol, or of all: held plus opening."""
        total = ZERO
        for book, quantity in self.positions.items():
            if symbol is None or book[1] == symbol:
                total += abs(quantity) * self.board.known(book[1])
        for reservation in self.reservations.values():
            if not reservation.reducing and (symbol is None or reservation.book[1] == symbol):
                total += reservation.quantity * reservation.price
        return total

    def invested(self, strategy: str) -> Decimal:
        """Return the worst-case gross notional of one strategy: held plus opening."""
        total = ZERO
        for book, quantity in self.positions.items():
            if book[0] == strategy:
                total += abs(quantity) * self.board.known(book[1])
        for reservation in self.reservations.values():
            if not reservation.reducing and reservation.book[0] == strategy:
                total += reservation.quantity * reservation.price
        return total

    def net_exposure(self, side: Side) -> Decimal:
        """
        Return how far all positions together lean towards ``side`` at worst: a signed notional.

        What is on its way on ``side`` counts as done, closes included: a close of one position
        unbalances the others. What is on its way on the other side may never be filled.
        """
        total = ZERO
        for book, quantity in self.positions.items():
            total += quantity * self.board.known(book[1])
        if side is not _BUY:
            total = -total
        for reservation in self.reservations.values():
            if reservation.side is side:
                total += reservation.quantity * reservation.price
        return total

    def margin(self) -> Decimal:
        """Return the initial margin that perpetual positions bind at the marks."""
        total = ZERO
        for book, quantity in self.positions.items():
            instrument = self.instruments[book[1]]
            if not instrument.is_spot:
                mark = self.board.known(book[1])
                total += abs(quantity) * mark * instrument.initial_margin
        return total

    def margin_on_its_way(self) -> Decimal:
        """Return the initial margin that unfinished openings of perpetuals will bind."""
        total = ZERO
        for reservation in self.reservations.values():
            instrument = self.instruments[reservation.book[1]]
            if not reservation.reducing and not instrument.is_spot:
                total += reservation.quantity * reservation.price * instrument.initial_margin
        return total

    def unfinished(self, strategy: str, symbol: str) -> int:
        """Return how many of a strategy's orders on ``symbol`` (empty: anywhere) are unfinished."""
        return sum(
            1
            for reservation in self.reservations.values()
            if reservation.book[0] == strategy and symbol in ("", reservation.book[1])
        )

    # -- changes

    def rebuild(self, ledger: Ledger, orders: OrderStore) -> None:
        """Take positions and cash from the ledger and reserve for every order that lives."""
        self._ledger = ledger
        self.count_cash()
        if self.watch is not None:
            self.watch.catch_up(ledger, orders)
        for position in ledger.positions():
            book = (position.strategy, position.symbol, position.position_side)
            self.positions[book] = position.quantity
            self.averages[book] = position.average_price
        for order in orders.live():
            request = order.request
            self.remember(request.order_id)
            price = request.valued_price
            assert price is not None, "Risk has valued every order that it approved"
            per_unit = self.cash_per_unit(
                self.instruments[request.symbol], request.side, price, reducing=request.reduce_only
            )
            self.reserve(request, price, per_unit)
            self._shrink(request.order_id, order.filled)

    def count_cash(self) -> None:
        """Take the cash from the ledger: a total cannot be counted twice, an amount can."""
        if self._ledger is not None:
            self.cash = self._ledger.cash

    def remember(self, intent_id: str) -> None:
        """Note that an intent was decided."""
        self.decided.add(intent_id)

    def note_backoff(self, changed: BackoffChanged) -> None:
        """Note until when a strategy's own backoff lasts."""
        key = (changed.strategy, changed.symbol, changed.family)
        if changed.until > changed.at:
            self.backoffs[key] = changed.until
        else:
            self.backoffs.pop(key, None)

    def note_minimum(self, minimum: MinimumOrder) -> None:
        """Judge a symbol's orders by another least order from now on."""
        instrument = self.instruments.get(minimum.symbol)
        if instrument is None:
            return
        self.memory.minimums[minimum.symbol] = minimum
        changed = replace(
            instrument, min_quantity=minimum.min_quantity, min_notional=minimum.min_notional
        )
        self.instruments = {**self.instruments, minimum.symbol: changed}

    def reserve(self, request: OrderRequest, price: Decimal, cash_per_unit: Decimal) -> None:
        """Count an approved order as if the worst had happened already."""
        book = (request.strategy, request.symbol, request.position_side)
        kind = KINDS.get(request.action, _NOW) if request.reduce_only else _NOW
        self.reservations[request.order_id] = Reservation(
            book,
            request.side,
            request.quantity,
            price,
            cash_per_unit,
            request.reduce_only,
            kind,
            request.root_id,
            request.replaces,
        )
        if cash_per_unit:
            self.reserved_cash += request.quantity * cash_per_unit
        if request.reduce_only:
            self._reducing[book, kind] = self.reducing(book, kind) + request.quantity

    def record(self, report: ExecutionReport) -> None:
        """Take one step of an order into account."""
        fill = report.fill
        if fill is not None and report.booking is not None:
            book = (fill.strategy, fill.symbol, fill.position_side)
            self.set_position(book, report.booking)
            self.cash = report.booking.cash
            self._shrink(report.order_id, fill.quantity)
        if report.status in TERMINAL:
            reservation = self.reservations.get(report.order_id)
            if reservation is not None:
                self._shrink(report.order_id, reservation.quantity)
                del self.reservations[report.order_id]

    def adopt(self, adopted: AccountAdopted) -> None:
        """
        Take over what is in the account though no order made it.

        It is no profit. Money that is gone while the session runs counts as lost, though: nobody
        knows better.
        """
        adoption, booking = adopted.adoption, adopted.booking
        gained = adoption.transfer
        fill = adoption.fill
        if fill is not None and booking is not None:
            self.set_position((fill.strategy, fill.symbol, fill.position_side), booking)
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            mark = self.board.mark(fill.symbol)
            gained += signed * ((fill.price if mark is None else mark) - fill.price) - fill.fee
        self.count_cash()
        if self.watch is not None and (gained > ZERO or adopted.occasion == "start"):
            self.watch.shift(gained)

    def set_position(self, book: Book, booking: Booking) -> None:
        """Take what a booking says that a book holds."""
        if booking.quantity:
            self.positions[book] = booking.quantity
            self.averages[book] = booking.average_price
        else:
            self.positions.pop(book, None)
            self.averages.pop(book, None)

    def _shrink(self, order_id: str, quantity: Decimal) -> None:
        reservation = self.reservations.get(order_id)
        if reservation is None or not quantity:
            return
        quantity = min(quantity, reservation.quantity)
        reservation.quantity -= quantity
        if reservation.cash_per_unit:
            self.reserved_cash -= quantity * reservation.cash_per_unit
        if reservation.reducing:
            key = (reservation.book, reservation.kind)
            left = self._reducing[key] - quantity
            if left:
                self._reducing[key] = left
            else:
                del self._reducing[key]
