"""
An intent as it would go out: how much it comes to, rounded to the instrument's rules, and valued.

Everything errs on the side that never crosses what the strategy asked for: a quantity never
grows, and the price is the worst one to expect.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from actors.risk.account import Book
from actors.risk.view import KINDS, Kind, RiskView
from messages import (
    IfAbsent,
    Intent,
    IntentAction,
    OrderType,
    ReduceIntent,
    Side,
    Sizing,
)
from state.instruments import Instrument
from state.money import BASIS_POINT, ZERO, ratio

TARGETS = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_NOW: Final = Kind.NOW
_CLOSE: Final = IntentAction.CLOSE
_SYNC: Final = IfAbsent.SYNC


class Proposal(msgspec.Struct, gc=False):
    """
    One intent as it would go out: rounded to the instrument's rules and valued.

    ``price`` is the worst one to expect: the limit where there is one, else the stop, else
    the mark with the configured slippage against us; ``None`` when no price is known.
    """

    intent: Intent
    instrument: Instrument
    book: Book
    reducing: bool
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    price: Decimal | None
    notional: Decimal
    cash_per_unit: Decimal
    now: int


def propose(intent: Intent, instrument: Instrument, view: RiskView) -> Proposal:
    """Round an intent in the directions that never cross what its strategy asked for; value it."""
    policy = intent.policy
    side = intent.side
    limit = policy.limit_price
    stop = policy.stop_price
    if limit is not None:
        limit = instrument.round_limit(limit, side)
    if stop is not None:
        rounded = instrument.round_target if policy.order_type in TARGETS else instrument.round_stop
        stop = rounded(stop, side)
    price = _worst_price(intent, limit, stop, view)
    reducing = isinstance(intent, ReduceIntent)
    book = (intent.strategy, intent.symbol, intent.position_side)
    asked = intent.quantity
    if asked is None or policy.if_absent is _SYNC:
        asked = _how_much(intent, book, price, view)
    quantity = instrument.round_quantity(asked)
    if reducing:
        quantity = _in_one_order(quantity, instrument)
    return Proposal(
        intent,
        instrument,
        book,
        reducing,
        quantity,
        limit,
        stop,
        price,
        quantity * price if price is not None else ZERO,
        view.cash_per_unit(instrument, side, price, reducing=reducing)
        if price is not None
        else ZERO,
        view.clock.now,
    )


def _in_one_order(quantity: Decimal, instrument: Instrument) -> Decimal:
    """
    Return how much of a reducing order goes in one: what is left of a position is for the next.

    A position grows by several orders. Refused for its size, what is to end or protect it would
    leave all of it as it is.
    """
    most = instrument.max_quantity
    if most is None or quantity <= most:
        return quantity
    return instrument.round_quantity(most)


def _how_much(intent: Intent, book: Book, price: Decimal | None, view: RiskView) -> Decimal:
    """
    Return the quantity that an intent comes to where it does not name one, or not the last word.

    Zero where it does not say how much at all.
    """
    quantity = intent.quantity
    if intent.sizing is Sizing.DELEGATE_NOTIONAL and quantity is None:
        if intent.notional is None or price is None or price <= ZERO:
            return ZERO
        quantity = ratio(intent.notional, price)
    if isinstance(intent, ReduceIntent):
        if intent.action is _CLOSE and quantity is None:
            return max(ZERO, left_to_reduce(intent, book, view)[0])
        if quantity is not None and intent.policy.if_absent is _SYNC:
            return max(ZERO, min(quantity, left_to_reduce(intent, book, view)[0]))
    return ZERO if quantity is None else quantity


def left_to_reduce(intent: Intent, book: Book, view: RiskView) -> tuple[Decimal, Decimal, Decimal]:
    """
    Return how much of a book such an intent may take off, what is held, and what is taken.

    Orders that leave now compete with each other; a stop only with stops and a target only with
    targets, besides those, for they end with the position. One in whose place it comes does not
    count.
    """
    side = intent.side
    held = view.position(book)
    kind = KINDS.get(intent.action, _NOW)
    taken = view.reducing(book) + view.opening(book, side)
    if kind is not _NOW:
        taken += view.reducing(book, kind)
    if intent.replaces:
        taken -= view.replaced(intent.replaces, book, kind)
    return (held if side is _SELL else -held) - taken, held, taken


def _worst_price(
    intent: Intent, limit: Decimal | None, stop: Decimal | None, view: RiskView
) -> Decimal | None:
    """
    Return the highest price at which the order may trade: what exposure is measured by.

    A buy pays its limit at most. Everything else may trade at the market, with slippage, or
    at its own price, whichever is higher. What only reduces waits for no price: before there is
    one, what is held counts at what it was taken over at.
    """
    if limit is not None and intent.side is _BUY:
        return limit
    mark = view.board.mark(intent.symbol)
    if mark is None and isinstance(intent, ReduceIntent):
        mark = view.board.assumed.get(intent.symbol)
    if mark is not None and view.slippage and limit is None:
        mark += mark * view.slippage * intent.side.sign
    own = limit if limit is not None else stop
    if own is None or mark is None:
        return mark if own is None else own
    return max(own, mark)


def worst_market(intent: Intent) -> Decimal | None:
    """Return the mark beyond which an intent's own policy has nothing leave any more."""
    decided, limit = intent.decision_price, intent.policy.slippage_bps_max
    if limit is None or decided is None or decided <= ZERO:
        return None
    return decided + decided * limit * BASIS_POINT * intent.side.sign
