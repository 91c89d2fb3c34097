"""
What a running session shows of itself: pure reads, JSON-ready.

Called in the session's own thread where no handler is running. ``explain`` answers the question
that users of trading programs ask most: why does it not trade? Every answer is a list of causes
in the order in which an order would meet them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from actors import wishes
from actors.commands import QUARANTINE_HOLDS
from actors.execution.doubts import words
from actors.refusals import Refusal
from actors.runtime import CellState
from actors.runtime.holds import LONG, SHORT
from actors.turns import Session
from messages import STRATEGY_PAUSES, Hold, HoldMode, OrderFamily, ReasonCode, Scope
from state.money import plain
from state.orders import Order
from state.projections import iso_ms

ORDERS_SHOWN = 10


def holds(session: Session) -> dict[str, Any]:
    """Return the holds in force, in order of placement, and what they come to."""
    found = [hold_document(hold, session) for hold in _in_force(session)]
    return {"held": bool(found), "holds": found}


def hold_document(hold: Hold, session: Session) -> dict[str, Any]:
    """Return one hold with its age and how it is lifted."""
    now = session.assembly.clock.now
    # A hold of an earlier session may be younger than this one's time.
    return {**kept_hold(hold), "age_s": round(max(0, now - hold.since) / 1000, 3)}


def kept_hold(hold: Hold) -> dict[str, Any]:
    """Return one hold and how it is lifted, whether a session has it in force or not."""
    return {
        **msgspec.to_builtins(hold),
        "scope": str(hold.scope),
        "until": hold.until,
        "latched": hold.latched,
        "lifted_by": _way_out(hold),
    }


def _way_out(hold: Hold) -> str:
    if hold.hold_id.startswith(QUARANTINE_HOLDS):
        return f"resume --hold {hold.hold_id} --unlatch --reason TEXT"
    if hold.latched:
        return "resume --unlatch --reason TEXT"
    if hold.hold_id.startswith(STRATEGY_PAUSES) and hold.until is not None:
        return f"itself at {iso_ms(hold.until)}, or resume --hold {hold.hold_id}"
    if hold.until is not None:
        return f"itself at {iso_ms(hold.until)}, or resume"
    if hold.hold_id.startswith(("stop-new-orders", "pause", "risk:")):
        return "resume"
    return f"{hold.set_by}, on evidence"


def status(session: Session) -> dict[str, Any]:
    """Return what the session is doing now."""
    assembly = session.assembly
    books = assembly.books
    clock = assembly.clock
    in_force = _in_force(session)
    value = books.ledger.valuation(assembly.board.known) if _valued(session) else None
    return {
        "live": True,
        "session_id": session.session_id,
        "mode": session.spec.mode,
        "admission": dict(session.spec.admission),
        "state": _state(session, in_force),
        "session_time": clock.now,
        "turns": session.turns,
        "bars": session.bars,
        "last_bar_at": session.last_bar_at,
        "cash": plain(books.ledger.cash),
        "equity": None if value is None else plain(value.equity),
        "realized_pnl": plain(books.ledger.realized_pnl),
        "fees": plain(books.ledger.fees),
        "currency": books.ledger.currency,
        "positions": [
            {
                "strategy": position.strategy,
                "symbol": position.symbol,
                "position_side": position.position_side.value,
                "quantity": plain(position.quantity),
                "average_price": plain(position.average_price),
            }
            for position in books.ledger.positions()
            if position.quantity
        ],
        "open_orders": [order_document(order) for order in books.orders.live()],
        "holds": [hold_document(hold, session) for hold in in_force],
        "doubts": [words(doubt, clock.now) for doubt in books.doubts.open.values()],
        "plans": wishes.plans(session),
        "backoffs": wishes.backoffs(session),
        "take_profits_waiting": wishes.take_profits_waiting(session),
        "strategies": {name: cell.state.value for name, cell in assembly.strategy_cells.items()},
        "actors": {name: actor_document(session, name) for name in assembly.dispatcher.cells},
        "symbols": {
            symbol: symbol_document(session, symbol) for symbol in session.spec.feed.symbols
        },
        "kill": kill_document(session),
        "dead_letters": assembly.supervisor.dead_letter_count,
    }


def _state(session: Session, in_force: list[Hold]) -> str:
    if session.halted is not None:
        return "halted"
    if any(hold.mode is HoldMode.DRAIN and hold.scope == Scope() for hold in in_force):
        return "killed"
    if any(hold.scope == Scope() for hold in in_force):
        return "held"
    return "held in part" if in_force else "trading"


def actor_document(session: Session, name: str) -> dict[str, Any]:
    """Return one actor's counts."""
    stats = session.assembly.dispatcher.cells[name].stats()
    document: dict[str, Any] = {
        "state": stats.state.value,
        "incarnation": stats.incarnation,
        "failures": stats.failures,
        "handled": stats.handled,
        "refused": stats.refused,
        "dead": stats.dead,
        "queued": list(stats.mailbox.queued),
    }
    return document


def symbol_document(session: Session, symbol: str) -> dict[str, Any]:
    """Return the newest data of a symbol and its age in session time."""
    bar = session.assembly.board.last.get(symbol)
    if bar is None:
        return {"last_close": None, "closed_at": None, "age_s": None}
    closed_at = bar.timestamp + bar.timeframe_ms
    return {
        "last_close": bar.close,
        "closed_at": closed_at,
        "age_s": round((session.assembly.clock.now - closed_at) / 1000, 3),
    }


def order_document(order: Order) -> dict[str, Any]:
    """Return one order as an operator reads it."""
    request = order.request
    return {
        "order_id": request.order_id,
        "client_order_id": request.client_order_id,
        "strategy": request.strategy,
        "symbol": request.symbol,
        "side": request.side.value,
        "position_side": request.position_side.value,
        "type": request.order_type.value,
        "reduce_only": request.reduce_only,
        "quantity": plain(request.quantity),
        "price": None if request.price is None else plain(request.price),
        "stop_price": None if request.stop_price is None else plain(request.stop_price),
        "filled": plain(order.filled),
        "status": order.status.value,
    }


def kill_document(session: Session) -> dict[str, Any] | None:
    """Return the newest kill: how far it is, and its evidence once there is any."""
    kill = session.assembly.kill
    progress = kill.progress()
    if progress is None:
        return None
    report = kill.report
    if report is not None and report.confirmed and kill.running:
        report = None  # it is of before flattening was added, which nobody has confirmed yet
    return {**progress, "report": None if report is None else msgspec.to_builtins(report)}


def explain(session: Session, target: str) -> dict[str, Any]:
    """
    Return why a symbol is or is not traded now, or what became of an order.

    ``target`` is a symbol of the session or an order's id (ours or the venue-side client id).
    Raises ``LookupError`` naming what there is.
    """
    orders = session.assembly.books.orders
    order = orders.by_order_id(target) or orders.by_client_id(target)
    if order is not None:
        return {"target": target, "kind": "order", **order_document(order)}
    if target in session.spec.feed.symbols:
        return _explain_symbol(session, target)
    known = ", ".join(session.spec.feed.symbols)
    raise LookupError(f"found {target!r}, expected a symbol ({known}) or the id of an order")


class _Causes:
    """
    What stands between a strategy's wish and an order, in the order in which an order meets it.

    ``ways`` are the (strategy, side) pairs that may open something; a cause closes all or some.
    """

    def __init__(self, ways: Iterable[tuple[str, str]]) -> None:
        self.all = tuple(ways)
        self.open = dict.fromkeys(self.all)
        self.rows: list[dict[str, str]] = []

    def add(self, kind: str, text: str, closes: Iterable[tuple[str, str]] = ()) -> None:
        """Note a cause and the ways that it closes."""
        closed = list(closes)
        for way in closed:
            self.open.pop(way, None)
        stops = "nothing"
        if closed:
            stops = "opening" if len(closed) == len(self.all) else "part of opening"
        self.rows.append({"kind": kind, "stops": stops, "text": text})


def _explain_symbol(session: Session, symbol: str) -> dict[str, Any]:
    assembly = session.assembly
    trading = [spec for spec in session.spec.strategies if symbol in spec.symbols]
    ways = [(spec.name, side) for spec in trading for side in (LONG, SHORT)]
    causes = _Causes(ways or [("", "")])
    everything = causes.all
    if session.halted is not None:
        causes.add("session", f"the session is halted: {session.halted}", everything)
    for name in ("execution", "risk"):
        cell = assembly.dispatcher.cells[name]
        if not cell.runs:
            causes.add("actor", f"{name} is {cell.state.value}", everything)
    _add_holds(session, symbol, causes)
    data = symbol_document(session, symbol)
    if data["closed_at"] is None:
        causes.add("data", f"no bar of {symbol} has come yet", everything)
    if not trading:
        causes.add("strategy", f"no strategy trades {symbol}", everything)
    for spec in trading:
        state = assembly.strategy_cells[spec.name].state
        if state is not CellState.RUNNING:
            reason = assembly.supervisor.quarantined.get(spec.name, "")
            own = [way for way in everything if way[0] == spec.name]
            causes.add("strategy", f"{spec.name} is {state.value} {reason}".strip(), own)
    _add_wishes(session, symbol, causes)
    _add_refusals(session, symbol, causes)
    live = assembly.books.orders.live_of(symbol=symbol)
    for doubt in assembly.books.doubts.open.values():
        if doubt.symbol == symbol:
            causes.add("doubt", words(doubt, assembly.clock.now))
    if not causes.rows and not live:
        causes.add("strategy", "nothing stands in the way: no strategy asks for anything")
    return {
        "target": symbol,
        "kind": "symbol",
        "may_open": bool(causes.open),
        "open_to": [f"{strategy} {side}" for strategy, side in causes.open],
        "causes": causes.rows,
        "data": data,
        "strategies": {
            spec.name: assembly.strategy_cells[spec.name].state.value for spec in trading
        },
        "open_orders": [order_document(order) for order in live][:ORDERS_SHOWN],
        "positions": [
            {
                "strategy": position.strategy,
                "position_side": position.position_side.value,
                "quantity": plain(position.quantity),
            }
            for position in assembly.books.ledger.positions()
            if position.symbol == symbol and position.quantity
        ],
    }


def _add_holds(session: Session, symbol: str, causes: _Causes) -> None:
    """Add the holds that cover a symbol, a strategy's own pauses among them."""
    venue = session.assembly.holds.venue
    for hold in _in_force(session):
        scope = hold.scope
        if scope.symbol not in (None, symbol) or scope.venue not in (None, venue):
            continue
        covered = [
            (strategy, side)
            for strategy, side in causes.all
            if scope.strategy in (None, strategy) and scope.side in (None, side)
        ]
        if covered:
            kind = "pause" if hold.hold_id.startswith(STRATEGY_PAUSES) else "hold"
            text = f"{hold.hold_id} ({hold.mode.value}, {scope}) by {hold.set_by}: {hold.cause}"
            causes.add(kind, f"{text}; lifted by {_way_out(hold)}", covered)


def _add_wishes(session: Session, symbol: str, causes: _Causes) -> None:
    """Add what strategies themselves keep back, and the plans that stand for their books."""
    holding = {
        position.strategy
        for position in session.assembly.books.ledger.positions()
        if position.symbol == symbol and position.quantity
    }
    for backoff in wishes.backoffs(session):
        if backoff["symbol"] == symbol:
            strategy, family = backoff["strategy"], backoff["family"]
            # What is flat is entered, what is held is added to: only that is kept back.
            kept_back = OrderFamily.ADD if strategy in holding else OrderFamily.ENTRY
            own = [way for way in causes.all if way[0] == strategy]
            closes = own if family == kept_back.value else []
            causes.add("backoff", wishes.backoff_words(backoff), closes)
    for plan in wishes.plans(session, symbol):
        causes.add("plan", wishes.plan_words(plan))


REFUSALS: Final = {
    ReasonCode.STRATEGY_DECLINED: "declined",
    ReasonCode.QUANTITY_MISSING: "unsized",
}
"""What refusals of an intent are called that are the strategy's own doing; they come first."""


def _add_refusals(session: Session, symbol: str, causes: _Causes) -> None:
    """Add the newest refusals, in the order in which an intent would meet their causes."""
    kinds = [*REFUSALS.values(), "refusal"]
    found = [(_kind_of(refusal), refusal) for refusal in session.assembly.refusals.of(symbol)]
    for kind, refusal in sorted(found, key=lambda each: kinds.index(each[0])):
        causes.add(kind, str(refusal))


def _kind_of(refusal: Refusal) -> str:
    for cause in refusal.causes:
        if cause.code in REFUSALS:
            return REFUSALS[cause.code]
    return "refusal"


def _in_force(session: Session) -> list[Hold]:
    return list(session.assembly.holds.view().values())


def _valued(session: Session) -> bool:
    last = session.assembly.board.last
    return all(position.symbol in last for position in session.assembly.books.ledger.positions())
