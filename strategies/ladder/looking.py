"""
A look at a book: what should be there at this moment, what is, and what makes up the difference.

A look at a bar's close considers everything; one at a fill what needs no price: what rests at the
venue. A book in which nothing is due says until when, or until which price; bars in between cost a
comparison of floats, and exact numbers are only formed where something is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import inf, nextafter
from typing import Any, Final

import msgspec

from messages import Bar, ExecutionPolicy, MinimumOrder, OrderFamily, OrderType, Side
from state.money import ZERO, exact
from strategies.backoff import StrategyRejectionBackoff
from strategies.desk import Asked, Desk
from strategies.ladder.book import NEVER, Book
from strategies.ladder.exits import Exit, ExitRule
from strategies.ladder.levels import loss_price, profit_price
from strategies.ladder.lots import ALL, Order, Purpose, tag_of
from strategies.ladder.params import BelowMinimum, LadderParams
from strategies.ladder.sizing import Size, Sizing

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_ENTRY: Final = OrderFamily.ENTRY
_ADD: Final = OrderFamily.ADD


class Looker:
    """
    Looks at books and asks for what they lack, at the strategy's ``desk``.

    ``backoff`` is the strategy's own; ``minimums`` are the least orders by symbol.
    """

    def __init__(
        self, desk: Desk, params: LadderParams, rule: ExitRule, backoff: StrategyRejectionBackoff
    ) -> None:
        """Look by ``params``; ``rule`` says which lots leave where."""
        self.desk = desk
        self.minimums: dict[str, MinimumOrder] = {}
        self._set = params
        self._rule = rule
        self._backoff = backoff
        self._levels = params.levels()
        self._sizing = Sizing(
            by_quantity=params.by_quantity,
            raises=params.below_minimum is BelowMinimum.RAISE,
            margin_bps=params.minimum_margin_bps,
        )
        self._entry_policy = params.entry_policy()
        self._dca_policy = params.dca_policy()
        self._exit_policy = params.exit_policy()
        self._policies = {
            Purpose.ENTRY: self._entry_policy,
            Purpose.RUNG: self._dca_policy,
            Purpose.EXIT: self._exit_policy,
        }

    def look(self, book: Book, bar: Bar | None) -> list[Asked]:
        """Return what a book lacks: at a close everything, else what rests at the venue."""
        desk = self.desk
        held = desk.position(book.symbol, book.side) * book.sign
        book.reconcile(max(held, ZERO), self._average(book), desk.intent, desk.filled)
        # Whatever is asked for below says when the book has to be looked at again.
        book.changed, book.low, book.high, book.wake_at = bar is None, -inf, inf, NEVER
        if held < ZERO:
            return []  # turned round by somebody else: no ladder of ours
        return self._inside(book, bar) if book.lots else self._outside(book, bar)

    def _average(self, book: Book) -> Decimal:
        return self.desk.average_price(book.symbol, book.side)

    def pursues(self, purpose: Purpose) -> bool:
        """Return whether orders of such a purpose may have others follow."""
        policy = self._policies.get(purpose)
        return policy is not None and policy.pursues

    # -- flat

    def _outside(self, book: Book, bar: Bar | None) -> list[Asked]:
        """Take back what is left of a cycle, end it, and begin another when it is time."""
        if book.live(Purpose.ENTRY):
            return []
        if bar is None:
            # What protected the position ends with it, by itself.
            return self._cancel(book, book.opening())
        if book.orders:
            return self._cancel(book, book.orders)
        if book.base is not None:
            book.finish(self.desk.now + self._set.cooldown_bars * bar.timeframe_ms)
        rests = max(book.rest_until, self._backoff.until(book.symbol, _ENTRY))
        if self.desk.now < rests:
            book.wake_at = rests
            return []
        return self._enter(book, exact(bar.close))

    def _cancel(self, book: Book, orders: Mapping[str, Order]) -> list[Asked]:
        if orders:
            book.changed = True  # until they are gone
        return [
            self.desk.cancel(book.symbol, name, tag=tag_of(book.sign, order.purpose, order.number))
            for name, order in orders.items()
        ]

    def _enter(self, book: Book, close: Decimal) -> list[Asked]:
        if book.symbol in self.desk.restricted:
            return []
        price = profit_price(close, -self._set.entry_offset_bps, book.sign)
        size = self._size(book, 0, price)
        if size is None:
            book.changed = True  # at another price it may be large enough
            return []
        intent = self.desk.open(
            book.symbol,
            _BUY if book.sign > 0 else _SELL,
            size.quantity,
            notional=size.notional,
            position_side=book.side,
            policy=_priced(self._entry_policy, price),
            decision_price=close,
            planned_stop=self._planned_stop(book, price),
            planned_target=profit_price(price, self._set.take_profit_bps, book.sign),
            tag=tag_of(book.sign, Purpose.ENTRY, 0),
        )
        book.base = price
        book.asked(intent.intent_id, Order(Purpose.ENTRY, 0, size.quantity, price))
        return [intent]

    def _size(self, book: Book, rung: int, price: Decimal) -> Size | None:
        symbol = book.symbol
        return self._sizing.of(
            self._levels.sizes[rung],
            price,
            _BUY if book.sign > 0 else _SELL,
            self.minimums.get(symbol),
            self.desk.instruments.get(symbol),
        )

    def _planned_stop(self, book: Book, base: Decimal) -> Decimal | None:
        """Return where the stop of the whole ladder would be, if it has one."""
        if self._set.stop_bps is None:
            return None
        mean = self._levels.average(book.sign, by_quantity=self._set.by_quantity)
        return loss_price(base * mean, self._set.stop_bps, book.sign)

    # -- not flat

    def _inside(self, book: Book, bar: Bar | None) -> list[Asked]:
        """Return what protects the position first, then what adds to it."""
        minimum = self.minimums.get(book.symbol)
        least = ZERO if minimum is None else minimum.min_quantity or ZERO
        book.merge_dust(least)
        wanted = self._rule.exits(book.lots, self._average(book), book.sign)
        leave = self._rest_exits if self._set.exits_rest else self._leave_here
        return [
            *leave(book, wanted, least, bar),
            *self._stop(book, least, bar),
            *self._add(book, bar),
        ]

    # -- exits

    def _exits_by_place(self, book: Book) -> dict[int, dict[str, Order]]:
        found: dict[int, dict[str, Order]] = {}
        for name, order in book.live(Purpose.EXIT).items():
            found.setdefault(self._rule.place(order.number), {})[name] = order
        return found

    def _rest_exits(
        self, book: Book, wanted: list[Exit], least: Decimal, bar: Bar | None
    ) -> list[Asked]:
        """Let the wanted exits rest at the venue, each in the place of the one before it."""
        asked: list[Asked] = []
        there = self._exits_by_place(book)
        for exit_ in wanted:
            orders = there.pop(self._rule.place(exit_.number), {})
            newest = next(reversed(orders), "")
            asked.extend(self._make_room(book, orders, bar))
            if newest and _is(orders[newest], exit_.number, exit_.quantity, exit_.price):
                continue
            if len(orders) > 1 and not orders[newest].there:
                book.changed = True  # it is about to take the place of another one itself
            elif exit_.quantity >= least:
                asked.append(self._rest_exit(book, exit_, newest))
        for orders in there.values():
            asked.extend(self._cancel(book, orders))
        return asked

    def _rest_exit(self, book: Book, exit_: Exit, replaces: str) -> Asked:
        intent = self.desk.set_take_profit(
            book.symbol,
            exit_.price,
            exit_.quantity,
            position_side=book.side,
            policy=self._exit_policy,
            decision_price=exit_.price,
            tag=tag_of(book.sign, Purpose.EXIT, exit_.number),
            replaces=replaces,
        )
        order = Order(Purpose.EXIT, exit_.number, exit_.quantity, exit_.price)
        book.asked(intent.intent_id, order)
        return intent

    def _make_room(self, book: Book, orders: dict[str, Order], bar: Bar | None) -> list[Asked]:
        """Cancel what the newest order has not replaced although it is there: news can get lost."""
        newest = next(reversed(orders), "")
        if bar is None or not newest or not orders[newest].there:
            return []
        return self._cancel(book, {name: orders[name] for name in orders if name != newest})

    def _leave_here(
        self, book: Book, wanted: list[Exit], least: Decimal, bar: Bar | None
    ) -> list[Asked]:
        """Let lots leave whose price the close has reached; wait for the others' prices."""
        asked: list[Asked] = []
        there = self._exits_by_place(book)
        for exit_ in wanted:
            if bar is None or there.get(self._rule.place(exit_.number)):
                continue
            close = exact(bar.close)
            if (close - exit_.price) * book.sign < ZERO:
                _wait_for(book, exit_.price, better=True)
            elif exit_.quantity >= least:
                asked.append(self._leave(book, exit_, close))
        return asked

    def _leave(self, book: Book, exit_: Exit, close: Decimal) -> Asked:
        terms: dict[str, Any] = {
            "position_side": book.side,
            "policy": _priced(self._exit_policy, close),
            "decision_price": close,
            "tag": tag_of(book.sign, Purpose.EXIT, exit_.number),
        }
        intent = (
            self.desk.close(book.symbol, **terms)
            if exit_.number == ALL
            else self.desk.partial_close(book.symbol, exit_.quantity, **terms)
        )
        book.asked(intent.intent_id, Order(Purpose.EXIT, exit_.number, exit_.quantity, close))
        return intent

    def _stop(self, book: Book, least: Decimal, bar: Bar | None) -> list[Asked]:
        """Protect what a whole ladder holds; once there, a stop stays until the book is flat."""
        bps, held = self._set.stop_bps, book.quantity
        if bps is None or held < least or not self._is_exhausted(book):
            return []
        price = loss_price(self._average(book), bps, book.sign)
        orders = book.live(Purpose.STOP)
        newest = next(reversed(orders), "")
        asked = self._make_room(book, orders, bar)
        if newest:
            order = orders[newest]
            # A venue takes off no more than there is: a larger one will do.
            if order.price == price and (order.rest or ZERO) >= held:
                return asked
            if len(orders) > 1 and not order.there:
                book.changed = True
                return asked
        intent = self.desk.set_stop(
            book.symbol,
            price,
            held,
            position_side=book.side,
            decision_price=price,
            tag=tag_of(book.sign, Purpose.STOP, 0),
            replaces=newest,
        )
        book.asked(intent.intent_id, Order(Purpose.STOP, 0, held, price))
        return [*asked, intent]

    # -- adds

    def _is_exhausted(self, book: Book) -> bool:
        return not book.opening() and next(self._free_rungs(book), None) is None

    def _free_rungs(self, book: Book) -> Iterator[tuple[int, Decimal, Size]]:
        """Yield (rung, price, size) of every rung that may be asked for, nearest first."""
        if book.base is None:
            return
        for rung in range(1, self._set.rungs + 1):
            if rung not in book.taken:
                price = self._levels.price(book.base, rung, book.sign)
                size = self._size(book, rung, price)
                if size is not None:
                    yield rung, price, size

    def _add(self, book: Book, bar: Bar | None) -> list[Asked]:
        """Ask for the rungs that are next."""
        symbol = book.symbol
        if book.live(Purpose.ENTRY) or book.has_strays or symbol in self.desk.restricted:
            return []
        rests = self._backoff.until(symbol, _ADD)
        if self.desk.now < rests:
            book.wake_at = rests
            return []
        return self._rest_adds(book) if self._set.adds_rest else self._add_here(book, bar)

    def _rest_adds(self, book: Book) -> list[Asked]:
        """Let the rungs up to so many beyond the deepest one held rest at the venue."""
        asked: list[Asked] = []
        left = self._set.resting_rungs
        deepest = book.deepest
        beyond = {o.number for o in book.live(Purpose.RUNG).values() if o.number > deepest}
        for rung, price, size in self._free_rungs(book):
            if rung > deepest:
                nearer = sum(1 for number in beyond if number < rung)
                if nearer >= left:
                    break
                beyond.add(rung)
            asked.append(self._ask_rung(book, rung, price, size))
        return asked

    def _add_here(self, book: Book, bar: Bar | None) -> list[Asked]:
        """Ask for the next rung if the close has reached it: one at a time."""
        if bar is None or book.live(Purpose.RUNG):
            return []
        found = next(self._free_rungs(book), None)
        if found is None:
            return []
        rung, price, _ = found
        close = exact(bar.close)
        if (close - price) * book.sign > ZERO:
            _wait_for(book, price, better=False)
            return []
        size = self._size(book, rung, close)
        if size is None:
            book.changed = True  # too small at this price
            return []
        return [self._ask_rung(book, rung, close, size)]

    def _ask_rung(self, book: Book, rung: int, price: Decimal, size: Size) -> Asked:
        base = price if book.base is None else book.base
        intent = self.desk.add(
            book.symbol,
            _BUY if book.sign > 0 else _SELL,
            size.quantity,
            notional=size.notional,
            position_side=book.side,
            policy=_priced(self._dca_policy, price),
            decision_price=price,
            planned_stop=self._planned_stop(book, base),
            planned_target=profit_price(price, self._set.take_profit_bps, book.sign),
            tag=tag_of(book.sign, Purpose.RUNG, rung),
        )
        book.asked(intent.intent_id, Order(Purpose.RUNG, rung, size.quantity, price))
        return intent


def _priced(policy: ExecutionPolicy, price: Decimal) -> ExecutionPolicy:
    """Return a policy with its price, where its kind of order has one."""
    if policy.order_type is not OrderType.LIMIT:
        return policy
    return msgspec.structs.replace(policy, limit_price=price)


def _is(order: Order, number: int, quantity: Decimal, price: Decimal) -> bool:
    return order.number == number and order.rest == quantity and order.price == price


def _wait_for(book: Book, price: Decimal, *, better: bool) -> None:
    """Have the book looked at when a close reaches a price, better or worse than now."""
    if (book.sign > 0) is better:
        book.high = min(book.high, nextafter(float(price), -inf))
    else:
        book.low = max(book.low, nextafter(float(price), inf))
