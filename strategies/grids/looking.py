"""
A look at a book: what should be there at this moment, what is, and what makes up the difference.

A look at a bar's close considers everything; one at a fill only asks for what it has room for, and
takes nothing back. A book in which nothing is due says between which prices, and until when; bars
in between cost a comparison of floats, and exact numbers are only formed where something is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from math import inf, nextafter
from typing import Final

import msgspec

from messages import ExecutionPolicy, IfAbsent, MinimumOrder, OrderFamily, PositionSide, Side
from state.instruments import Instrument
from state.money import ZERO
from strategies.backoff import StrategyRejectionBackoff
from strategies.desk import Asked, Desk
from strategies.grids.book import NEVER, Book, Order, Purpose, tag_of
from strategies.grids.lines import Lines, tidy
from strategies.grids.params import GridParams
from strategies.ladder.params import BelowMinimum
from strategies.ladder.sizing import Size, Sizing, least_quantity

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_ENTRY: Final = OrderFamily.ENTRY

STOP_POLICY: Final = ExecutionPolicy(if_absent=IfAbsent.SYNC)
"""Everything leaves at market."""


@dataclass(slots=True)
class Leasts:
    """The least quantities that close the levels of one book, and what they were worked out of."""

    lines: Lines
    minimum: MinimumOrder
    rules: Instrument
    by_level: dict[int, Decimal] = field(default_factory=dict)

    def is_of(self, lines: Lines, minimum: MinimumOrder, rules: Instrument) -> bool:
        """Return whether these very lines and rules were used."""
        return self.lines is lines and self.minimum is minimum and self.rules is rules


class Looker:
    """
    Looks at books and asks for what they lack, at the strategy's ``desk``.

    ``backoff`` is the strategy's own; ``minimums`` are the least orders by symbol.
    """

    def __init__(self, desk: Desk, params: GridParams, backoff: StrategyRejectionBackoff) -> None:
        """Look by ``params``."""
        self.desk = desk
        self.minimums: dict[str, MinimumOrder] = {}
        self._leasts: dict[tuple[str, PositionSide], Leasts] = {}
        self._set = params
        self._backoff = backoff
        self._sizing = Sizing(
            by_quantity=params.by_quantity,
            raises=params.below_minimum is BelowMinimum.RAISE,
            margin_bps=params.minimum_margin_bps,
        )
        self._open_policy = params.open_policy()
        self._close_policy = params.close_policy()
        self._pursues = {
            Purpose.OPEN: self._open_policy.pursues,
            Purpose.CLOSE: self._close_policy.pursues,
            Purpose.STOP: STOP_POLICY.pursues,
        }

    def pursues(self, purpose: Purpose) -> bool:
        """Return whether orders of such a purpose may have others follow."""
        return self._pursues[purpose]

    def level_at(self, book: Book, price: Decimal) -> int:
        """Return the level of a book that a price is in, or nearest to."""
        return self._lines(book, price).level_at(price, book.levels)

    def _lines(self, book: Book, price: Decimal) -> Lines:
        """Return the grid's lines, laid around ``price`` if they have not been laid yet."""
        if book.lines is None:
            anchor = (book.anchor or price) if self._set.floats else None
            book.anchored(anchor, self._set.lines(anchor or price))
        assert book.lines is not None, "they have just been laid"
        return book.lines

    def look(self, book: Book, price: Decimal | None, *, at_close: bool) -> list[Asked]:
        """
        Return what a book lacks, at a ``price`` that the market has just had.

        Without one the market is believed to be where it was last seen.
        """
        if price is None and book.place is None:
            return []
        desk = self.desk
        lines = self._lines(book, ZERO if price is None else price)
        held = desk.position(book.symbol, book.side) * book.sign
        average = desk.average_price(book.symbol, book.side)
        stray = lines.level_at(average, book.levels)
        book.reconcile(max(held, ZERO), stray, desk.intent, desk.filled)
        if price is not None:
            book.seen(lines.place(price))
        # Whatever is asked for below says when the book has to be looked at again.
        book.changed, book.wake_at = not at_close, NEVER
        book.low, book.high = lines.room(book.place or 0)
        if held < ZERO:
            return []  # turned round by somebody else: no grid of ours
        if at_close and price is not None and self._is_to_stop(book, lines, price):
            self._stop(book)
        if book.stopped:
            return self._outside(book, lines) if at_close else []
        return [
            *self._close(book, lines, at_close=at_close),
            *self._open(book, lines, price, at_close=at_close),
        ]

    # -- the stop

    def _is_to_stop(self, book: Book, lines: Lines, price: Decimal) -> bool:
        """Return whether a close ends everything; say which close would."""
        stop = None if book.stopped else self._set.stop(lines, book.sign)
        if stop is None:
            return False
        _wait_for(book, stop, above=book.sign < 0)
        return (price - stop) * book.sign <= ZERO

    def _stop(self, book: Book) -> None:
        pause_s = self._set.stop_pause_s
        book.stop(NEVER if pause_s is None else self.desk.now + max(1, round(pause_s * 1000)))

    def _outside(self, book: Book, lines: Lines) -> list[Asked]:
        """Take back what would open, close what is held, begin anew when it is time."""
        asked = self._cancel(book, book.live(Purpose.OPEN))
        if book.held:
            # What rests to close the levels ends with the position, by itself.
            return [*asked, *self._close_all(book)]
        asked.extend(self._cancel(book, book.live(Purpose.CLOSE)))
        book.changed = bool(book.orders)
        if book.changed:
            return asked
        if self.desk.now < book.rest_until:
            book.wake_at, book.low, book.high = book.rest_until, -inf, inf
        elif self._set.floats or 0 < (book.place or 0) < 2 * len(lines.prices):
            book.resume()
        return asked

    def _close_all(self, book: Book) -> list[Asked]:
        book.changed = True  # until it is gone
        if book.live(Purpose.STOP):
            return []
        intent = self.desk.close(
            book.symbol,
            position_side=book.side,
            policy=STOP_POLICY,
            tag=tag_of(book.sign, Purpose.STOP, 0),
        )
        book.asked(intent.intent_id, Order(Purpose.STOP, 0, book.quantity))
        return [intent]

    def _cancel(self, book: Book, orders: dict[str, Order]) -> list[Asked]:
        if orders:
            book.changed = True  # until they are gone
        return [
            self.desk.cancel(book.symbol, name, tag=tag_of(book.sign, order.purpose, order.level))
            for name, order in orders.items()
        ]

    # -- what a level holds leaves one line further on

    def _close(self, book: Book, lines: Lines, *, at_close: bool) -> list[Asked]:
        """Let the levels that hold something have their closings, the nearest at the venue."""
        opening = {order.level for order in book.live(Purpose.OPEN).values()}
        wanted = [
            level
            for level in book.nearest_held()
            if level not in opening and self.can_close(book, lines, level)
        ][: self._set.resting]
        live = book.live(Purpose.CLOSE)
        wrong = {
            name: order
            for name, order in live.items()
            if order.level not in wanted or order.rest != book.holds(order.level)
        }
        if not at_close:
            wrong = {}  # what is taken back at a fill would answer itself
        asked = self._cancel(book, wrong)
        there = {order.level for order in live.values()}
        room = self._set.resting - (len(live) - len(wrong))
        for level in wanted:
            if level not in there and room > 0:
                asked.append(self._ask_close(book, lines, level))
                room -= 1
        return asked

    def can_close(self, book: Book, lines: Lines, level: int) -> bool:
        """Return whether the venue accepts an order that closes what a level holds."""
        held = book.holds(level)
        minimum = self.minimums.get(book.symbol)
        if minimum is None or not held:
            return held > ZERO
        rules = self.desk.instruments.get(book.symbol)
        if rules is None or not rules.is_spot:  # a reduction has no least notional
            return held >= (minimum.min_quantity or ZERO)
        return held >= self._least(book, lines, level, minimum, rules)

    def _least(
        self, book: Book, lines: Lines, level: int, minimum: MinimumOrder, rules: Instrument
    ) -> Decimal:
        """Return the least that closes a level; worked out once, for it is asked at each look."""
        known = self._leasts.get((book.symbol, book.side))
        if known is None or not known.is_of(lines, minimum, rules):
            known = self._leasts[book.symbol, book.side] = Leasts(lines, minimum, rules)
        least = known.by_level.get(level)
        if least is None:
            price = rules.round_limit(closing_line(lines, level, book.sign), _SELL)
            least = known.by_level[level] = least_quantity(minimum, price, rules)
        return least

    def _ask_close(self, book: Book, lines: Lines, level: int) -> Asked:
        price, held = closing_line(lines, level, book.sign), book.holds(level)
        intent = self.desk.set_take_profit(
            book.symbol,
            price,
            held,
            position_side=book.side,
            policy=self._close_policy,
            decision_price=price,
            tag=tag_of(book.sign, Purpose.CLOSE, level),
        )
        book.asked(intent.intent_id, Order(Purpose.CLOSE, level, held))
        return intent

    # -- what holds nothing waits to be opened

    def _open(
        self, book: Book, lines: Lines, price: Decimal | None, *, at_close: bool
    ) -> list[Asked]:
        """Let the nearest free levels on this side of the market have their openings."""
        live = {order.level: name for name, order in book.live(Purpose.OPEN).items()}
        near = list(islice(self._free(book, lines, live), self._set.resting))
        asked: list[Asked] = []
        over: dict[str, Order] = {}
        if at_close:
            nearest = book.nearest
            over = {
                name: book.orders[name]
                for level, name in live.items()
                if (level not in near and self._is_beyond(book, level))
                or not _is_in_turn(book, level, nearest)
                or self._is_left_behind(book, lines, book.orders[name], price)
            }
            asked.extend(self._cancel(book, over))
        if book.symbol in self.desk.restricted:
            return asked
        rests = self._backoff.until(book.symbol, _ENTRY)
        if self.desk.now < rests:
            book.wake_at = rests
            return asked
        room = self._set.resting - (len(live) - len(over))
        for level in near:
            if level in live or room <= 0:
                continue
            size = self._size(book, lines, level)
            if size is not None:
                asked.append(self._ask_open(book, lines, level, size))
                room -= 1
        return asked

    def _is_beyond(self, book: Book, level: int) -> bool:
        """Return whether the market would have to come back to a level's opening line."""
        line = level - 1 if book.sign > 0 else level
        return ((book.place or 0) - (2 * line + 1)) * book.sign > 0

    def _free(self, book: Book, lines: Lines, live: dict[int, str]) -> Iterator[int]:
        """Yield the levels that may be opened or are about to be, nearest to the market first."""
        closing = {order.level for order in book.live(Purpose.CLOSE).values()}
        nearest = book.nearest
        for level in reversed(book.levels) if book.sign > 0 else book.levels:
            if not self._is_beyond(book, level) or not _is_in_turn(book, level, nearest):
                continue
            if level in live or not (level in closing or self.can_close(book, lines, level)):
                yield level

    def _is_left_behind(
        self, book: Book, lines: Lines, order: Order, price: Decimal | None
    ) -> bool:
        """
        Return whether the market has left an opening that was filled in part; else say where.

        Half the way to its closing line is far enough: what it has brought can be closed then.
        """
        if price is None or not self.can_close(book, lines, order.level):
            return False
        opens = opening_line(lines, order.level, book.sign)
        half = tidy((opens + closing_line(lines, order.level, book.sign)) / 2)
        _wait_for(book, half, above=book.sign > 0)
        return (price - half) * book.sign >= ZERO

    def _size(self, book: Book, lines: Lines, level: int) -> Size | None:
        """Return how much a level lacks, ``None`` if that is not to be ordered."""
        price, held = opening_line(lines, level, book.sign), book.holds(level)
        lacks = self._set.size - (held if self._set.by_quantity else held * price)
        if lacks <= ZERO:
            return None
        return self._sizing.of(
            lacks,
            price,
            _BUY if book.sign > 0 else _SELL,
            self.minimums.get(book.symbol),
            self.desk.instruments.get(book.symbol),
        )

    def _ask_open(self, book: Book, lines: Lines, level: int, size: Size) -> Asked:
        price = opening_line(lines, level, book.sign)
        intent = self.desk.open(
            book.symbol,
            _BUY if book.sign > 0 else _SELL,
            size.quantity,
            notional=size.notional,
            position_side=book.side,
            policy=msgspec.structs.replace(self._open_policy, limit_price=price),
            decision_price=price,
            planned_stop=self._set.stop(lines, book.sign),
            planned_target=closing_line(lines, level, book.sign),
            tag=tag_of(book.sign, Purpose.OPEN, level),
        )
        book.asked(intent.intent_id, Order(Purpose.OPEN, level, size.quantity))
        return intent


def opening_line(lines: Lines, level: int, sign: int) -> Decimal:
    """Return the price at which a level of a book of that direction is opened."""
    return lines.prices[level - 1 if sign > 0 else level]


def closing_line(lines: Lines, level: int, sign: int) -> Decimal:
    """Return the price at which it is closed: one line further on."""
    return lines.prices[level if sign > 0 else level - 1]


def _is_in_turn(book: Book, level: int, nearest: int | None) -> bool:
    """
    Return whether all other levels that hold something are farther from their closing.

    What is bought last is sold first, or the ledger would close another level's lot. A market
    that has left a gap behind is past the nearer levels when it comes back to it. ``nearest`` is
    the nearest one that holds something.
    """
    return nearest is None or (nearest - level) * book.sign >= 0


def _wait_for(book: Book, price: Decimal, *, above: bool) -> None:
    """Have the book looked at when a close reaches a price, above or below."""
    if above:
        book.high = min(book.high, nextafter(float(price), -inf))
    else:
        book.low = max(book.low, nextafter(float(price), inf))
