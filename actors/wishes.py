"""
What strategies have in mind, as operators see it: plans that stand, backoffs, what waits here.

Pure reads, JSON-ready, called in the session's own thread where no handler is running.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from actors.strategy import StrategyActor
from actors.turns import Session
from messages import PositionSide
from state.money import plain
from state.projections import iso_ms
from state.projections.policy_text import plan_text
from strategies.plans import StepState, StepView

AT_ONCE_WORDS = {
    StepState.HERE: "waits here",
    StepState.LATER: "to come",
    StepState.REFUSED: "refused, not asked for again before the book changes",
    StepState.OVER: "over",
}
"""Where a step is that no intent stands for."""


def _actors(session: Session) -> list[tuple[str, StrategyActor]]:
    """Return the strategies that are there, by name."""
    return [
        (name, cell.actor)
        for name, cell in session.assembly.strategy_cells.items()
        if isinstance(cell.actor, StrategyActor)
    ]


def plans(session: Session, symbol: str | None = None) -> list[dict[str, Any]]:
    """Return every plan that stands, of one symbol if it is named, with its steps."""
    return [
        {
            "strategy": name,
            "symbol": book[0],
            "position_side": book[1].value,
            "plan_id": standing.intent.intent_id,
            "since": standing.intent.created_at,
            "place": standing.plan.place.value,
            "plan": plan_text(standing.plan),
            "steps": [_step(session, view) for view in actor.plans.outlook(book)],
        }
        for name, actor in _actors(session)
        for book, standing in actor.plans.standing.items()
        if symbol in (None, book[0])
    ]


def _step(session: Session, view: StepView) -> dict[str, Any]:
    """Return one step, and where it is."""
    return {
        "name": view.name,
        "price": None if view.price is None else plain(view.price.normalize()),
        "quantity": plain(view.quantity),
        "filled": plain(view.filled),
        "state": view.state.value,
        "where": _where(session, view),
        "intent_id": view.intent_id,
    }


def _where(session: Session, view: StepView) -> str:
    if view.state is not StepState.ASKED:
        return AT_ONCE_WORDS[view.state]
    books = session.assembly.books
    pursuit = books.pursuits.get(view.intent_id)
    number = books.brackets.numbers.get(view.intent_id)
    name = view.intent_id if pursuit is None else pursuit.order_id
    order = books.orders.by_order_id(name)
    if order is not None and not order.live and number is not None:
        order = books.orders.by_order_id(f"{view.intent_id}-b{number}") or order
    if order is None:
        return "asked for"
    if books.brackets.is_displaced(order):
        return "makes room for a close, and comes back"
    kept = books.brackets.kept.get(order.request.order_id)
    if kept is not None and not kept.touched:
        return f"waits here for {plain(kept.price)}"
    return f"{order.request.order_id} is {order.status.value}"


def plan_words(document: dict[str, Any]) -> str:
    """Return a plan that stands on one line: whose, since when, each step and where it is."""
    steps = "; ".join(
        f"{step['name']}{'' if step['price'] is None else ' at ' + step['price']}: {step['where']}"
        for step in document["steps"]
    )
    side = document["position_side"]
    book = "" if side == PositionSide.BOTH.value else f" ({side})"
    return (
        f"plan {document['plan_id']} of {document['strategy']}{book} stands since "
        f"{iso_ms(document['since'])}: {steps or 'nothing is left of it'}"
    )


def backoffs(session: Session) -> list[dict[str, Any]]:
    """Return every family of orders that a strategy lets rest now, and until when."""
    now = session.assembly.clock.now
    own = dict(_actors(session))
    found = []
    for (strategy, symbol, family), until in sorted(
        session.assembly.core.risk_memory.backoffs.items()
    ):
        if until <= now:
            continue
        actor = own.get(strategy)
        backoff = None if actor is None else actor.backoff
        found.append(
            {
                "strategy": strategy,
                "symbol": symbol,
                "family": family.value,
                "until": until,
                "left_s": round((until - now) / 1000, 3),
                "failures": None if backoff is None else backoff.failures(symbol, family),
            }
        )
    return found


def backoff_words(document: dict[str, Any]) -> str:
    """Return a backoff on one line: whose, of which orders, until when, after how many refusals."""
    failures = document["failures"]
    after = "" if failures is None else f" after {failures} refusals in a row"
    return (
        f"{document['strategy']} lets {document['family'].replace('_', ' ')} orders rest until "
        f"{iso_ms(document['until'])}{after}"
    )


def take_profits_waiting(session: Session) -> dict[str, int]:
    """Return how many take-profits wait here for their price, by symbol."""
    kept = session.assembly.books.brackets.kept.values()
    return dict(sorted(Counter(each.symbol for each in kept if not each.touched).items()))
