"""
Orders that the newest session of an account was left with, and whether one may begin beside it.

A session whose process died is not over: its orders may rest at the venue, or be on their way. One
that begins beside it knows nothing of them, so it does not begin unless somebody says that they are
to be left. That holds on paper too, where they are gone with their process: the rehearsal is to be
like the performance, and a position that one meant to keep is lost there as well.

The end of a session that was stopped in order was somebody's decision, who had its orders before
their eyes; what of them rests at a venue elsewhere is found there by the start of the next one,
which then names it. An order in doubt is nowhere to be found yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import structlog

from actors.spec import SessionSpec
from messages import ExecutionReport, OrderRequest, OrderStatus, SessionEnded
from state.facts import UNANSWERED
from state.journal import JournalError
from state.journal.reader import check_journal, read_journal
from state.manifest import SessionStatus
from state.money import plain
from state.orders import TERMINAL
from tidegate.archive import Recorded, recorded_sessions
from tidegate.exits import StartRefused

COLUMNS = ("order", "strategy", "symbol", "side", "type", "quantity", "filled", "price", "status")
ABANDON = "--abandon-orders"


@dataclass(frozen=True, slots=True)
class LeftOrder:
    """One order that is not over, as the journal has it."""

    request: OrderRequest
    status: OrderStatus
    filled: Decimal

    @property
    def in_doubt(self) -> bool:
        """Return whether nobody knows if the venue has it."""
        return self.status in UNANSWERED


def refuse_beside_open_orders(spec: SessionSpec, *, abandon: bool) -> None:
    """
    Let a new session begin only where the newest one of the account left no order that is not over.

    ``abandon`` permits it. Raises ``StartRefused`` with a table of the orders. A journal that
    cannot be read says nothing: that is told, and stands in nobody's way.
    """
    newest = newest_of_account(spec)
    if newest is None or newest.manifest.status is SessionStatus.ENDED:
        return
    session_id = newest.manifest.session_id
    log = structlog.get_logger("session")
    try:
        orders = left_orders(newest.journal)
    except (JournalError, OSError) as error:
        log.warning("left_orders_unknown", session_id=session_id, error=str(error))
        return
    if newest.manifest.status is SessionStatus.INTERRUPTED:
        orders = [order for order in orders if order.in_doubt]
    if not orders:
        return
    doubtful = sum(order.in_doubt for order in orders)
    if abandon:
        log.warning(
            "orders_abandoned", session_id=session_id, orders=len(orders), in_doubt=doubtful
        )
        return
    count = "1 order" if len(orders) == 1 else f"{len(orders)} orders"
    refused = StartRefused(
        f"start-up refused: session {session_id} was left with {count} not over "
        f"({doubtful} in doubt); --resume goes on with it; --new {ABANDON} begins a new one and "
        "leaves them as they are"
    )
    refused.table = (COLUMNS, [_row(order) for order in orders])
    refused.details = {"session_id": session_id, "orders": [_plain(order) for order in orders]}
    raise refused


def left_orders(journal: Path) -> Sequence[LeftOrder]:
    """
    Return the orders of a session that are not over, the oldest first; none where it has ended.

    Raises ``JournalError`` for a journal that is damaged.
    """
    if not check_journal(journal):
        return ()
    requests: dict[str, OrderRequest] = {}
    left: dict[str, LeftOrder] = {}
    ended = False
    for entry in read_journal(journal):
        message = entry.message
        ended = isinstance(message, SessionEnded) and not message.stopped
        if not isinstance(message, ExecutionReport):
            continue
        name = message.order_id
        if message.order is not None:
            requests[name] = message.order
        if message.status in TERMINAL:
            left.pop(name, None)
            requests.pop(name, None)
        elif name in requests:  # it has a record: without one nothing has left
            left[name] = LeftOrder(requests[name], message.status, message.filled)
    return () if ended else tuple(left.values())


def said_of_left(spec: SessionSpec) -> str:
    """Return the words that name the account's newest session, if it can be gone on with."""
    newest = newest_of_account(spec)
    if newest is None or newest.manifest.status is SessionStatus.ENDED:
        return ""
    return f"; --resume goes on with session {newest.manifest.session_id} ({newest.status.value})"


def newest_of_account(spec: SessionSpec) -> Recorded | None:
    """Return the newest session of the account, if it has one."""
    sessions, _ = recorded_sessions(spec.runs_dir)
    of_account = [
        each
        for each in sessions
        if each.manifest.mode == spec.mode
        and each.manifest.config.get("venue", {}).get("account", spec.account) == spec.account
    ]
    return of_account[-1] if of_account else None


def _row(order: LeftOrder) -> tuple[str, ...]:
    shown = _plain(order)
    return tuple(str(shown[column]) for column in COLUMNS)


def _plain(order: LeftOrder) -> dict[str, str]:
    request = order.request
    price = request.stop_price if request.price is None else request.price
    return {
        "order": request.client_order_id,
        "strategy": request.strategy,
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.order_type.value,
        "quantity": plain(request.quantity),
        "filled": plain(order.filled),
        "price": "" if price is None else plain(price),
        "status": order.status.value,
    }
