"""Whether what Risk knows is what the books say, at a moment when nothing is on its way."""

from __future__ import annotations

from decimal import Decimal

from actors.risk import RiskActor
from actors.runtime import Cell
from actors.turns import Session

ZERO = Decimal(0)


def reserved_otherwise(session: Session) -> tuple[str, str] | None:
    """
    Return what the books say and what Risk knows, ``None`` if that is the same or cannot be said.

    While anything waits in a mailbox, or Risk is down, the two may differ.
    """
    assembly = session.assembly
    risk = assembly.dispatcher.cells["risk"]
    if not risk.runs or not isinstance(risk.actor, RiskActor):
        return None
    if any(len(cell.mailbox) or not cell.runs for cell in _on_the_way(session)):
        return None
    view, books = risk.actor.view, assembly.books
    theirs = _said(
        books.ledger.cash,
        {order.request.order_id for order in books.orders.live()},
        {
            (position.strategy, position.symbol, position.position_side.value): position.quantity
            for position in books.ledger.positions()
            if position.quantity
        },
    )
    ours = _said(
        view.cash,
        set(view.reservations),
        {
            (strategy, symbol, side.value): quantity
            for (strategy, symbol, side), quantity in view.positions.items()
            if quantity
        },
    )
    return None if ours == theirs else (theirs, ours)


def _on_the_way(session: Session) -> list[Cell]:
    return [
        cell
        for name, cell in session.assembly.dispatcher.cells.items()
        if name in {"risk", "execution"}
    ]


def _said(cash: Decimal, orders: set[str], held: dict[tuple[str, str, str], Decimal]) -> str:
    positions = [f"{' '.join(key)} {held[key].normalize():f}" for key in sorted(held)]
    return (
        f"cash {cash.normalize():f}; positions {', '.join(positions) or 'none'}; "
        f"orders {', '.join(sorted(orders)) or 'none'}"
    )
