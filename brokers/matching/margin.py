"""
What an account of perpetuals must cover: new orders, and what it holds, before it is liquidated.

One pool of money bears all positions (cross margin). Profit that is not realised counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from brokers.matching.account import Account, Position
from brokers.matching.orders import WorkingOrder
from state.money import ZERO, exact, ratio


def marked(account: Account, position: Position) -> Decimal:
    """Return what a position is worth at its last price, at cost where none is known."""
    mark = account.mark_of(position.symbol)
    return position.cost if mark is None else position.quantity * exact(mark)


def equity(account: Account) -> Decimal:
    """Return the cash and the profit of all open positions at their last prices."""
    return account.cash + sum(
        (marked(account, each) - each.cost for each in account.margined), ZERO
    )


def bound(account: Account, orders: Iterable[WorkingOrder]) -> Decimal:
    """Return the initial margin of all positions, and of the orders that may open more."""
    held = sum(
        (abs(marked(account, each)) * each.initial_margin for each in account.margined), ZERO
    )
    for order in orders:
        if not order.closing and not order.listing.spot:
            held += opened_value(account, order) * order.position.initial_margin
    return held


def opened_value(account: Account, order: WorkingOrder) -> Decimal:
    """Return the value at which an order would open what it does not close."""
    opened = max(ZERO, order.remaining - order.position.closable(is_buy=order.is_buy))
    level = order.limit or order.stop
    if level is not None:
        return opened * level.price
    mark = account.mark_of(order.symbol)
    return ZERO if mark is None else opened * exact(mark)


def shortfall(account: Account, orders: Iterable[WorkingOrder], order: WorkingOrder) -> str | None:
    """
    Return what is missing for a new order to be let in, as ``key=value`` pairs, or None.

    A position that is to be opened at an unknown price asks for nothing.
    """
    if order.closing or order.listing.spot:
        return None
    value = opened_value(account, order)
    needed = value * order.position.initial_margin + value * order.listing.taker_rate
    free = equity(account) - bound(account, orders)
    if not value or free >= needed:
        return None
    return f"margin_needed={needed} available={max(free, ZERO)}"


def maintenance(account: Account, rate: Decimal) -> Decimal:
    """Return the least equity that the positions may have, ``rate`` of their value."""
    return sum((abs(marked(account, each)) for each in account.margined), ZERO) * rate


def slope(account: Account, symbol: str, rate: Decimal) -> Decimal:
    """
    Return how the equity, less what must be maintained, changes with the price of ``symbol``.

    It is not the net position alone: of a hedged one both sides are to be maintained, so that one a
    little longer than short runs out as the price rises.
    """
    mine = [each for each in account.margined if each.symbol == symbol]
    net = sum((each.quantity for each in mine), ZERO)
    return net - sum((abs(each.quantity) for each in mine), ZERO) * rate


def liquidation_price(account: Account, symbol: str, rate: Decimal) -> Decimal | None:
    """
    Return the price of ``symbol`` at which the equity is what must be maintained, or None.

    All other prices stay where they are. Solves
    ``cash + others + quantity * p - cost = maintained by others + |quantity| * p * rate``.
    """
    cost = ZERO
    spare = account.cash
    for each in account.margined:
        if each.symbol == symbol:
            cost += each.cost
        else:
            value = marked(account, each)
            spare += value - each.cost - abs(value) * rate
    changes = slope(account, symbol, rate)
    if not changes:
        return None
    price = ratio(cost - spare, changes)
    return price if price > ZERO else None
