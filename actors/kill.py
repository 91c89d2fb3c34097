"""
The kill switch.

Theory of operation. A kill is latched first: from the step in which its hold is in force no
order that adds risk leaves, whatever else works or does not. Everything after that is done in
stages, each journaled with the time that it took, by a small machine that belongs to no actor
and runs on the clock's timers, so that a failed actor or a silent venue can delay a stage but
never the hold:

    latched -> drained -> cancelling -> cancelled -> (flattening -> flat) -> confirmed

It looks, does what is still missing, and looks again later, with growing pauses. Only the venue's
own answer confirms; without one the kill is reported as unconfirmed past a deadline, and the
asking goes on. Protective orders (reduce-only) stay unless everything is to be flat.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from actors.execution import Books
from actors.runtime import Supervisor, limits
from brokers.contract import VenueSilent
from messages import (
    ApprovedCancel,
    Hold,
    HoldMode,
    KillReport,
    KillStage,
    KillStep,
    Message,
    OperatorReduce,
    OrderRequest,
    ReasonCode,
    Side,
)
from state import register
from state.money import plain
from state.orders import Order
from state.reconciliation import AccountView

KILL_HOLD: Final = register.KILL_HOLD

RISK_HOLDS: Final = "risk:"
"""How the ids of holds begin that a guard placed."""


def is_kill(hold: Hold) -> bool:
    """Return whether a hold is a kill's: the operator's or a guard's."""
    return (
        hold.latched
        and hold.mode is HoldMode.DRAIN
        and (hold.hold_id == KILL_HOLD or hold.hold_id.startswith(RISK_HOLDS))
    )


class KillSwitch:
    """
    One session's kill switch.

    ``pull`` may be called anywhere but in the middle of a handler. ``report`` is the evidence of
    the newest kill once there is any; ``running`` is true until the venue has confirmed.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        books: Books,
        venue: Callable[[], AccountView],
        tag: str,
    ) -> None:
        """Hold through ``supervisor``, cancel what ``books`` know, ask ``venue``."""
        self.supervisor = supervisor
        self.books = books
        self.venue = venue
        self.tag = tag
        self.stopwatch: Callable[[], int] = lambda: supervisor.dispatcher.clock.now
        """What stages are timed by, in ms: the session's own time, or, live, the machine's."""
        self.running = False
        self.report: KillReport | None = None
        self.on_done: Callable[[KillReport], object] = lambda _report: None
        self._count = 0
        self._kill_id = ""
        self._cause = ""
        self._by = ""
        self._flatten = False
        self._since = 0
        self._stages: dict[KillStage, int] = {}
        self._attempt = 0
        self._orders = 0
        self._reported = False

    # -- trigger

    def pull(self, cause: str, by: str, *, flatten: bool = False, hold_id: str = KILL_HOLD) -> str:
        """
        Latch, drain and start the sequence; return its id.

        Pulled again while latched it is the same kill: another ``hold_id`` is one more hold with
        its own cause, and ``flatten`` may be added, never taken away.
        """
        supervisor = self.supervisor
        running = bool(self._kill_id)
        if not running:
            self._begin(cause, by)
        before = supervisor.answered
        if hold_id not in supervisor.dispatcher.holds.view():
            supervisor.hold_open(hold_id, cause, mode=HoldMode.DRAIN, set_by=by, latched=True)
        if not running or (flatten and not self._flatten):
            self._flatten = self._flatten or flatten
            self._start(cause, by, supervisor.answered - before)
        return self._kill_id

    def go_on(self) -> None:
        """Go on with the kill that an earlier session was left in, if one was."""
        for hold in self.supervisor.dispatcher.holds.view().values():
            if is_kill(hold):
                self.pull(hold.cause, hold.set_by, hold_id=hold.hold_id)

    def _start(self, cause: str, by: str, answered: int) -> None:
        self._step(KillStage.LATCHED, detail=f"by {by}: {cause}")
        self._step(KillStage.DRAINED, answered)
        self.running = True
        self._attempt = 0
        self._cancel(self._to_cancel())
        self._again(0)

    def _begin(self, cause: str, by: str) -> None:
        self._count += 1
        self._kill_id = f"{self.tag}-K{self._count}"
        self._cause = cause
        self._by = by
        self._flatten = False
        self._since = self.stopwatch()
        self._stages = {}
        self._orders = 0
        self._reported = False
        self.report = None

    def stand_down(self) -> None:
        """Forget the kill once all its holds have been lifted."""
        if not any(is_kill(hold) for hold in self.supervisor.dispatcher.holds.view().values()):
            self.running = False
            self._kill_id = ""

    def progress(self) -> dict[str, Any] | None:
        """Return how far the newest kill is, JSON-ready; ``None`` before any."""
        if not self._stages:
            return None
        return {
            "kill_id": self._kill_id or (self.report.kill_id if self.report else ""),
            "cause": self._cause,
            "by": self._by,
            "flatten": self._flatten,
            "running": self.running,
            "latched": bool(self._kill_id),
            "stages_ms": {stage.value: at for stage, at in self._stages.items()},
        }

    # -- the sequence

    def _again(self, delay_ms: int) -> None:
        clock = self.supervisor.dispatcher.clock
        kill_id = self._kill_id
        clock.call_at(clock.now + delay_ms, lambda _at: self._look(kill_id))

    def _look(self, kill_id: str) -> None:
        if not self.running or kill_id != self._kill_id:
            return
        if self._sequence():
            return
        elapsed = self._elapsed_ms()
        if elapsed >= limits.KILL_CONFIRM_MS and not self._reported:
            self._reported = True
            self._step(KillStage.UNCONFIRMED)
            self._publish_report(confirmed=False, detail="past the deadline; still asking")
        self._attempt += 1
        delay = limits.KILL_FIRST_LOOK_MS * 2 ** min(self._attempt - 1, 32)
        self._again(min(delay, limits.KILL_LOOK_MS_MAX))

    def _sequence(self) -> bool:
        """Do what is still missing; return whether the venue has confirmed that nothing is."""
        left = self._to_cancel()
        if left:
            if self._attempt:  # the first cancels had their chance
                self._cancel(left)
            return False
        self._step(KillStage.CANCELLED)
        if self._flatten and not self._flat():
            return False
        return self._confirm()

    def _to_cancel(self) -> list[Order]:
        """Return the live orders that must go: all that add risk; to be flat, all but our own."""
        return [
            order
            for order in self.books.orders.live()
            if not order.request.reduce_only or (self._flatten and not self._is_ours(order.request))
        ]

    def _is_ours(self, request: OrderRequest) -> bool:
        return request.order_id.startswith(f"{self._kill_id}-")

    def _cancel(self, orders: list[Order]) -> None:
        self._step(KillStage.CANCELLING, len(orders))
        for order in orders:
            request = order.request
            self._publish(
                ApprovedCancel(
                    f"{self._kill_id}-cancel-{request.order_id}",
                    request.strategy,
                    request.symbol,
                    request.order_id,
                    ReasonCode.KILL_CANCEL.value,
                )
            )

    def _flat(self) -> bool:
        held = [position for position in self.books.ledger.positions() if position.quantity]
        if not held:
            self._step(KillStage.FLAT)
            return True
        if any(self._is_ours(order.request) for order in self.books.orders.live()):
            return False
        if self._orders >= limits.KILL_FLATTEN_ORDERS_MAX:
            return False  # reported with what is left; the operator has to look
        self._step(KillStage.FLATTENING, len(held))
        now = self.supervisor.dispatcher.clock.now
        for position in held:
            self._orders += 1
            self._publish(
                OperatorReduce(
                    f"{self._kill_id}-{self._orders}",
                    position.strategy,
                    position.symbol,
                    Side.SELL if position.quantity > 0 else Side.BUY,
                    abs(position.quantity),
                    now,
                    position.position_side,
                    tag="flatten",
                )
            )
        return False

    def _confirm(self) -> bool:
        try:
            view = self.venue()
        except VenueSilent:
            return False
        protective = {
            order.request.client_order_id
            for order in self.books.orders.live()
            if order.request.reduce_only
        }
        orders = tuple(sorted(view.open_orders))
        positions = _positions(view)
        stay = [] if self._flatten else [name for name in orders if name in protective]
        if len(stay) < len(orders) or (self._flatten and positions):
            return False
        self._step(KillStage.CONFIRMED)
        self.running = False
        self._publish_report(confirmed=True, orders=orders, positions=positions)
        return True

    # -- evidence

    def _publish_report(
        self,
        *,
        confirmed: bool,
        orders: tuple[str, ...] | None = None,
        positions: tuple[str, ...] | None = None,
        detail: str = "",
    ) -> None:
        if orders is None or positions is None:
            try:
                view = self.venue()
                orders, positions = tuple(sorted(view.open_orders)), _positions(view)
            except VenueSilent as silent:
                orders = tuple(order.request.client_order_id for order in self.books.orders.live())
                positions = tuple(
                    _position(p.symbol, p.position_side.value, p.quantity)
                    for p in self.books.ledger.positions()
                )
                detail = f"the venue does not answer ({silent}); from our own books"
        self.report = KillReport(
            "kill",
            self.supervisor.dispatcher.clock.now,
            self._kill_id,
            self._cause,
            self._by,
            self._flatten,
            confirmed,
            orders,
            positions,
            tuple(f"{stage.value}={at}" for stage, at in self._stages.items()),
            detail,
        )
        self._publish(self.report)
        self.on_done(self.report)

    def _step(self, stage: KillStage, count: int = 0, detail: str = "") -> None:
        if stage in self._stages:
            return
        elapsed = self._elapsed_ms()
        self._stages[stage] = elapsed
        now = self.supervisor.dispatcher.clock.now
        self._publish(KillStep("kill", now, self._kill_id, stage, elapsed, count, detail))

    def _elapsed_ms(self) -> int:
        return self.stopwatch() - self._since

    def _publish(self, message: Message) -> None:
        self.supervisor.dispatcher.publish("kill", message)


def _positions(view: AccountView) -> tuple[str, ...]:
    return tuple(
        _position(symbol, side.value, quantity)
        for (symbol, side), quantity in sorted(view.positions.items())
    )


def _position(symbol: str, side: str, quantity: Decimal) -> str:
    return f"{symbol} {side} {plain(quantity)}"
