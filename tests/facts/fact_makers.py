"""Sessions that did a bit of everything, and the facts that follow from their journals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from session_world import BTC, ETH, PERP, World, instruments_of, make_world
from workloads import busy_steps, market, trader

from actors.turns import Session
from messages import OrderStatus
from state.facts import Facts
from state.journal import Entry
from state.ledger import LotMethod
from state.orders import Order

BARS = 24


def busy_world(
    seed: int,
    *,
    brackets: bool = True,
    lots: LotMethod = LotMethod.FIFO,
    queued: bool = False,
    bars: int = BARS,
) -> World:
    """Return a busy session of two strategies that share a symbol; it has not run yet."""
    one = trader(busy_steps(2 * seed, 2 * bars, 1.2)).spec("one", (BTC, ETH))
    two = trader(busy_steps(2 * seed + 1, 2 * bars, 1.2)).spec("two", (BTC, PERP))
    return make_world(
        market(bars, seed),
        replace(one, lot_method=lots),
        replace(two, lot_method=lots),
        cash=20_000,
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25")),
        participation=Decimal("0.05"),
        brackets=brackets,
        queued=queued,
    )


def facts_of(session: Session, entries: Iterable[Entry] = ()) -> Facts:
    """Return what follows from ``entries`` with the configuration of ``session``."""
    spec = session.spec
    methods = {each.name: each.lot_method for each in spec.strategies}
    facts = Facts(spec.instruments, currency=spec.currency, deposit=spec.cash, lot_methods=methods)
    return facts.fold_all(entries)


def told(order: Order) -> tuple[Any, ...]:
    """Return all that is known of an order."""
    return (
        order.request,
        order.status,
        order.filled,
        order.notional,
        order.fee,
        order.fee_currency,
        order.other_fees,
        order.late_fills,
        order.updated_at,
        order.cause,
    )


def differences(session: Session, facts: Facts, *, in_order: bool = True) -> list[str]:
    """
    Return in what the session's own books and holds are not what the facts say.

    ``in_order``: live orders stand in the same order too. Under another schedule than the default
    one orders may be recorded in another order than they were taken up in.
    """
    books = session.assembly.books
    found = []
    if facts.ledger.snapshot() != books.ledger.snapshot():
        found.append(f"ledger: {facts.ledger!r} and {books.ledger!r}")
    live, folded = [
        {order.request.order_id: told(order) for order in store._by_order.values()}
        for store in (books.orders, facts.orders)
    ]
    for order_id in {**live, **folded}:
        mine, theirs = folded.get(order_id), live.get(order_id)
        # What was given up before it had a record is in no journal but by its refusal.
        unrecorded = mine is None and theirs and theirs[1] is OrderStatus.SUPPRESSED
        if mine != theirs and not unrecorded:
            found.append(f"order {order_id}: {mine} and {theirs}")
    mine_live, their_live = [
        [order.request.order_id for order in store.live()] for store in (facts.orders, books.orders)
    ]
    if mine_live != their_live and (in_order or sorted(mine_live) != sorted(their_live)):
        found.append(f"live orders: {mine_live} and {their_live}")
    if list(facts.holds.items()) != list(session.assembly.holds.view().items()):
        found.append(f"holds: {facts.holds} and {session.assembly.holds.view()}")
    return found
