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

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from actors.evidence import position_text, positions_in, waits_in
from actors.execution import Books
from actors.netting import to_reduce
from actors.runtime import Origin, Supervisor, limits
from actors.stopwatch import Stopwatch
from brokers.contract import VenueSilent
from messages import (
    KILL_HOLD,
    PROTECTIVE,
    ApprovedCancel,
    Hold,
    HoldMode,
    KillReport,
    KillStage,
    KillStep,
    Message,
    OperatorReduce,
    OrderRequest,
    PositionSide,
    ReasonCode,
    Side,
    is_kill,
)
from state.ledger import Position
from state.orders import Order
from state.reconciliation import AccountView
from state.register import outliving

RISK: Final = "risk"
EXECUTION: Final = "execution"
"""The actors that a kill's orders and cancels go through."""

TIMER: Final = "kill"
"""The name of its timers."""

AFTER_DRAINED: Final = tuple(KillStage)[2:]
"""The stages of a kill that come after the answers to what was waiting."""

PositionKey = tuple[str, str, PositionSide]

Left = tuple[tuple[str, ...], tuple[str, ...]]
"""Client ids of the orders and the positions that are still there."""


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
        self.stopwatch = Stopwatch(lambda: supervisor.dispatcher.clock.now)
        """What stages are timed by: the session's own time, or, live, the machine's."""
        self.running = False
        self.report: KillReport | None = None
        self.on_done: Callable[[KillReport], object] = lambda _report: None
        self._count = 0
        self._kill_id = ""
        self._cause = ""
        self._by = ""
        self._flatten = False
        self._origin: Origin = None
        self._deadline = 0
        self._stages: dict[KillStage, int] = {}
        self._attempt = 0
        self._next_look = 0
        self._heard = False
        self._orders = 0
        self._sent: Counter[PositionKey] = Counter()
        self._overdue: Left | None = None
        self._said_waits = ""
        self._flatten_again = False

    # -- trigger

    def pull(
        self,
        cause: str,
        by: str,
        *,
        flatten: bool = False,
        hold_id: str = KILL_HOLD,
        waited_ms: int = 0,
        origin: Origin = None,
    ) -> str:
        """
        Latch, drain and start the sequence; return its id.

        Pulled again while latched it is the same kill: another ``hold_id`` is one more hold with
        its own cause, and ``flatten`` may be added, never taken away. ``waited_ms`` is how long
        ago the trigger was, ``origin`` the command that all the kill does follows from.
        """
        supervisor = self.supervisor
        again = bool(self._kill_id)
        if not again:
            self._begin(cause, by, waited_ms)
        before = supervisor.answered
        held = supervisor.dispatcher.holds.view().get(hold_id)
        if held is None or not is_kill(held):  # a milder one of this name is no kill
            supervisor.hold_open(hold_id, cause, mode=HoldMode.DRAIN, set_by=by, latched=True)
        if not again or (flatten and not self._flatten):
            self._flatten = self._flatten or flatten
            self._origin = origin
            self._start(cause, by, supervisor.answered - before)
        return self._kill_id

    def count_from(self, number: int) -> None:
        """Go on counting kills after an earlier process of the same session."""
        self._count = number

    def go_on(self) -> None:
        """
        Go on with the kill that an earlier session was left in, if one was.

        One that an earlier process of the same session began to flatten by is flattened by again,
        and one that nobody took before its process ended as it was asked for.
        """
        for hold in self._holds():
            flatten = self._flatten_again or hold.flatten
            self.pull(hold.cause, hold.set_by, hold_id=hold.hold_id, flatten=flatten)

    def snapshot(self) -> dict[str, Any]:
        """Return what of a kill its holds do not say, JSON-ready."""
        return {"flatten": self.flattens}

    def lasting(self) -> dict[str, Hold]:
        """
        Return the holds that outlive the session: with a kill's, that everything is to be flat.

        Until it is lifted that stands for the account, whichever session is the next one.
        """
        held = outliving(self.supervisor.dispatcher.holds.view().values())
        if not self.flattens:
            return held
        return {
            hold_id: replace(hold, flatten=True) if is_kill(hold) else hold
            for hold_id, hold in held.items()
        }

    @property
    def flattens(self) -> bool:
        """Return whether there is a kill by which everything is to be flat."""
        return bool(self._kill_id) and self._flatten

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave, before ``go_on``."""
        self._flatten_again = bool(state["flatten"])

    def _holds(self) -> list[Hold]:
        return [h for h in self.supervisor.dispatcher.holds.view().values() if is_kill(h)]

    def _begin(self, cause: str, by: str, waited_ms: int) -> None:
        self._count += 1
        self._kill_id = f"{self.tag}-K{self._count}"
        self._cause = cause
        self._by = by
        self._flatten = False
        self.stopwatch.start(waited_ms)
        self._stages = {}
        self._orders = 0
        self._sent.clear()
        self.report = None

    def _start(self, cause: str, by: str, answered: int) -> None:
        self._step(KillStage.LATCHED, detail=f"by {by}: {cause}")
        self._step(KillStage.DRAINED, answered)
        for stage in AFTER_DRAINED:  # all to be done once more where flattening was added
            self._stages.pop(stage, None)
        self._deadline = self.stopwatch.elapsed_ms() + limits.KILL_CONFIRM_MS
        self._overdue = None
        self._said_waits = ""
        self._run(running=True)
        self._attempt = 0
        self._cancel(self._to_cancel())
        self._again(0)

    def _run(self, *, running: bool) -> None:
        """Go on, or be done; meanwhile nothing waits for what strategies make of it."""
        self.running = running
        self.supervisor.dispatcher.defer_strangers(deferred=running)

    def stand_down(self) -> None:
        """Forget the kill once all its holds have been lifted."""
        if not self._holds():
            self._run(running=False)
            self._kill_id = ""

    def conclude(self) -> None:
        """Report what is left of a kill that its session's end overtakes; send nothing any more."""
        if not self.running:
            return
        if not self._to_cancel():
            self._step(KillStage.CANCELLED)
            if not self._flatten or not self._to_flatten():
                if self._flatten:
                    self._step(KillStage.FLAT)
                if self._confirm():
                    return
        self._step(KillStage.UNCONFIRMED)
        left, silence = self._left()
        self._publish_report(left, confirmed=False, detail=f"the session ends{silence}")
        self._run(running=False)

    def progress(self) -> dict[str, Any] | None:
        """Return how far the newest kill is, JSON-ready; ``None`` before any."""
        if not self._stages:
            return None
        return {
            "kill_id": self._kill_id or (self.report.kill_id if self.report else ""),
            "cause": self._causes(),
            "by": self._by,
            "flatten": self._flatten,
            "running": self.running,
            "latched": bool(self._kill_id),
            "stages_ms": {stage.value: at for stage, at in self._stages.items()},
        }

    def _causes(self) -> str:
        """Return the cause of the trigger, then those of the kills that came on top of it."""
        others = (hold.cause for hold in self._holds() if hold.cause != self._cause)
        return "; ".join((self._cause, *others))

    # -- the sequence

    def look_soon(self) -> None:
        """
        Look as soon as what was just heard of the venue has been handled.

        Only for what comes next: nothing is asked for again at such a look, or a venue that
        answers each cancel with a refusal would be asked without end in one moment.
        """
        if not self.running or self._heard:
            return
        self._heard = True
        clock = self.supervisor.dispatcher.clock
        kill_id = self._kill_id
        clock.call_at(clock.now, lambda _at: self._look_on(kill_id), TIMER)

    def _look_on(self, kill_id: str) -> None:
        self._heard = False
        if kill_id == self._kill_id:
            self.look_on()

    def look_on(self) -> None:
        """Do what comes next if it can be done at this moment; no handler may be running."""
        if self.running:
            self._sequence(again=False)

    def _again(self, delay_ms: int) -> None:
        clock = self.supervisor.dispatcher.clock
        clock.cancel(self._next_look)
        kill_id = self._kill_id
        self._next_look = clock.call_at(
            clock.now + delay_ms, lambda _at: self._look(kill_id), TIMER
        )

    def _look(self, kill_id: str) -> None:
        if not self.running or kill_id != self._kill_id:
            return
        if self._sequence(again=self._attempt > 0):
            return
        if self.stopwatch.elapsed_ms() >= self._deadline:
            self._say_overdue()
        else:
            self._say_waits()
        self._attempt += 1
        delay = limits.KILL_FIRST_LOOK_MS * 2 ** min(self._attempt - 1, 32)
        self._again(min(delay, limits.KILL_LOOK_MS_MAX))

    def _sequence(self, *, again: bool) -> bool:
        """
        Do what is still missing; return whether the venue has confirmed that nothing is.

        What was asked for already is asked for ``again`` or given its chance.
        """
        left = self._to_cancel()
        if left:
            # The first cancels have their chance still where their actor is down.
            if again and self._runs(EXECUTION):
                self._cancel(left)
            return False
        self._step(KillStage.CANCELLED)
        if self._flatten and not self._flat(again=again):
            return False
        return self._confirm()

    def _runs(self, *names: str) -> bool:
        cells = self.supervisor.dispatcher.cells
        return all(cells[name].runs for name in names)

    def _to_cancel(self) -> list[Order]:
        """
        Return the live orders that must go: all that add risk; to be flat, what binds a position.

        What protects a position stays until that is gone, and ends with it: a strategy or a plan
        would put it back at once, and a kill that waits for its end would wait for ever.
        """
        return [order for order in self.books.orders.live() if self._must_go(order)]

    def _must_go(self, order: Order) -> bool:
        request = order.request
        if not request.reduce_only:
            return True
        if not self._flatten or self._is_ours(request):
            return False
        if request.action not in PROTECTIVE:
            return True
        held = self.books.ledger.position(request.strategy, request.symbol, request.position_side)
        return held is None or not held.quantity

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

    def _flat(self, *, again: bool) -> bool:
        wanted = self._to_flatten()
        if not wanted:
            self._step(KillStage.FLAT)
            return True
        if any(self._is_ours(order.request) for order in self.books.orders.live()):
            return False
        if self._orders and not again:
            return False
        if not self._runs(RISK, EXECUTION):
            return False  # an order now would wait there beside the one of the next look
        self._step(KillStage.FLATTENING, len(wanted))
        now = self.supervisor.dispatcher.clock.now
        for position, quantity in wanted:
            key = (position.strategy, position.symbol, position.position_side)
            if self._sent[key] >= limits.KILL_FLATTEN_ORDERS_MAX:
                continue  # reported with what is left; the operator has to look
            self._sent[key] += 1
            self._orders += 1
            self._publish(
                OperatorReduce(
                    f"{self._kill_id}-{self._orders}",
                    position.strategy,
                    position.symbol,
                    Side.SELL if position.quantity > 0 else Side.BUY,
                    quantity,
                    now,
                    position.position_side,
                    tag="flatten",
                )
            )
        return False

    def _to_flatten(self) -> list[tuple[Position, Decimal]]:
        """Return the positions to be reduced, each with how much of it."""
        return to_reduce(self.books.ledger.positions())

    def _confirm(self) -> bool:
        view = self._asked()
        if isinstance(view, str):
            return False
        protective = {
            order.request.client_order_id
            for order in self.books.orders.live()
            if order.request.reduce_only
        }
        orders = tuple(sorted(view.open_orders))
        positions = positions_in(view)
        stay = [] if self._flatten else [name for name in orders if name in protective]
        if len(stay) < len(orders) or (self._flatten and positions):
            return False
        self._step(KillStage.CONFIRMED)
        self._run(running=False)
        self._publish_report((orders, positions), confirmed=True)
        return True

    def _asked(self) -> AccountView | str:
        """Return what the venue answers, or why it does not: a timer must not end the session."""
        try:
            return self.venue()
        except VenueSilent as silent:
            return str(silent)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is confirmed
            return repr(error)

    # -- evidence

    def _say_waits(self) -> None:
        """Report what is waited for, and until when, as soon as there is such a thing."""
        waits = self._waits()
        if waits and waits != self._said_waits:
            left, silence = self._left()
            self._publish_report(left, confirmed=False, detail=f"still asking{silence}")

    def _waits(self) -> str:
        return waits_in(self.supervisor.dispatcher.holds.view().values())

    def _say_overdue(self) -> None:
        """Report what is left, past the deadline, and again whenever that is something else."""
        left, silence = self._left()
        if left == self._overdue:
            return
        self._overdue = left
        self._step(KillStage.UNCONFIRMED)
        detail = f"past the deadline; still asking{silence}"
        self._publish_report(left, confirmed=False, detail=detail)

    def _left(self) -> tuple[Left, str]:
        """Return what the venue has, or what our books have; the text says so if it is silent."""
        view = self._asked()
        if not isinstance(view, str):
            return (tuple(sorted(view.open_orders)), positions_in(view)), ""
        orders = tuple(order.request.client_order_id for order in self.books.orders.live())
        positions = tuple(
            position_text(p.symbol, p.position_side.value, p.quantity)
            for p in self.books.ledger.positions()
            if p.quantity
        )
        return (orders, positions), f"; the venue does not answer ({view}): from our own books"

    def _publish_report(self, left: Left, *, confirmed: bool, detail: str = "") -> None:
        orders, positions = left
        self._said_waits = "" if confirmed else self._waits()
        detail = "; ".join(filter(None, (detail, self._said_waits)))
        self.report = KillReport(
            "kill",
            self.supervisor.dispatcher.clock.now,
            self._kill_id,
            self._causes(),
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
        elapsed = self.stopwatch.elapsed_ms()
        self._stages[stage] = elapsed
        now = self.supervisor.dispatcher.clock.now
        self._publish(KillStep("kill", now, self._kill_id, stage, elapsed, count, detail))

    def _publish(self, message: Message) -> None:
        self.supervisor.dispatcher.publish("kill", message, self._origin)
