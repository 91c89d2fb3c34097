"""
Whether every order of a journal derives from what was asked for, checked from the journal alone.

Theory of operation. The runner invents nothing. So each order that was put on record must be found
again, term by term, in an intent of its strategy: as Risk rounded it (``orders``), and, of a
further order, as the intent's policy permits it (``further``). An intent that names a plan must be
a step of it (``steps``). An operator's close must follow from a kill that an operator told to
flatten. What cannot be explained so is *underived*: somebody between the strategy and the venue
has decided something that was not his to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from messages import (
    CommandVerb,
    ExecutionReport,
    FollowUp,
    HoldPlaced,
    Intent,
    IntentEnded,
    KillStep,
    OpenFollowUp,
    OpenIntent,
    OperatorCommand,
    OperatorReduce,
    OrderRequest,
    PlanIntent,
    PositionSide,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    Side,
    Verdict,
    is_kill,
)
from state.derivation.further import further_faults
from state.derivation.lives import OrderLife, RootLife
from state.derivation.orders import Fault, order_faults
from state.derivation.steps import step_faults
from state.instruments import Instrument
from state.journal import Entry
from state.money import EXACT, ZERO

Book = tuple[str, str, PositionSide]


@dataclass(frozen=True, slots=True)
class Underived:
    """One thing about an order that nothing and nobody asked for; ``seq`` is the entry's."""

    seq: int
    order_id: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.order_id} {self.what}: {self.found}, expected {self.expected}"


def underived(
    entries: Iterable[Entry],
    instruments: Mapping[str, Instrument] | None = None,
    *,
    told: Iterable[Intent] = (),
) -> Iterator[Underived]:
    """
    Yield whatever of any order does not derive from an intent and its policy, in order.

    ``entries`` are a whole journal from its first entry on. With the session's ``instruments``
    rounding is checked to the digit, without them its direction. ``told`` are intents that Risk was
    given past the journal, as rehearsals do.
    """
    check = _Check(instruments or {})
    for intent in told:
        list(check.on_intent(intent))
    for entry in entries:
        handler = check.handlers.get(type(entry.message))
        if handler is None:
            continue
        with localcontext(EXACT):  # never while somebody else runs between two findings
            faults = list(handler(entry.message))
        for order_id, (what, expected, found) in faults:
            yield Underived(entry.seq, order_id, what, expected, found)


Found = Iterable[tuple[str, Fault]]


class _Check:
    """One reading of a journal."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = instruments
        self.roots: dict[str, RootLife] = {}
        self.intents: dict[str, Intent] = {}
        self.plans: dict[str, PlanIntent] = {}
        self.decisions: dict[str, RiskDecision] = {}
        self.orders: dict[str, OrderLife] = {}
        self.held: dict[Book, Decimal] = {}
        self.kills: set[str] = set()
        self.flattens = False
        self.handlers: dict[type, Callable[[Any], Found]] = {
            OpenIntent: self.on_intent,
            ReduceIntent: self.on_intent,
            OperatorReduce: self.on_close,
            OpenFollowUp: self.on_further,
            ReduceFollowUp: self.on_further,
            PlanIntent: self.on_plan,
            RiskDecision: self.on_decision,
            ExecutionReport: self.on_report,
            IntentEnded: self.on_end,
            OperatorCommand: self.on_command,
            HoldPlaced: self.on_hold,
            KillStep: self.on_kill,
        }

    # -- what is asked

    def on_intent(self, intent: Intent) -> Found:
        """Begin a root; an intent that names a plan must be a step of it."""
        if intent.intent_id not in self.intents:
            self.intents[intent.intent_id] = intent
            self.roots[intent.intent_id] = RootLife(intent)
        if intent.plan_id:
            for fault in step_faults(intent, self.plans.get(intent.plan_id)):
                yield intent.intent_id, fault

    def on_close(self, intent: OperatorReduce) -> Found:
        """Begin an operator's close: of a kill that an operator told to flatten."""
        yield from self.on_intent(intent)
        kill_id = intent.intent_id.rpartition("-")[0]
        if kill_id not in self.kills:
            yield intent.intent_id, ("kill", "one that was pulled", kill_id)
        if not self.flattens:
            yield intent.intent_id, ("command", "a kill with flatten", "none")

    def on_further(self, intent: FollowUp) -> Found:
        """Hold a further order against its root's policy."""
        root = self.roots.get(intent.root_id)
        self.intents[intent.intent_id] = intent
        if root is None:
            yield intent.intent_id, ("root", "an intent", intent.root_id or "none")
            return
        held = self._held_by(intent)
        for fault in further_faults(intent, root, held):
            yield intent.intent_id, fault
        root.asked.append(intent)

    def on_plan(self, intent: PlanIntent) -> Found:
        """Keep a plan."""
        self.plans[intent.intent_id] = intent
        return ()

    def on_decision(self, decision: RiskDecision) -> Found:
        """Keep a verdict; a plan that was refused has no steps."""
        approved = decision.verdict is Verdict.APPROVED
        if approved:
            self.decisions[decision.intent_id] = decision
        else:
            self.plans.pop(decision.intent_id, None)
        root = self.roots.get(decision.root_id or decision.intent_id)
        if root is not None:
            root.take_decision(decision, approved=approved)
        return ()

    # -- what comes of it

    def on_report(self, report: ExecutionReport) -> Found:
        """Take a step; an order that is put on record is held against its intent."""
        order = self.orders.get(report.order_id)
        if order is None:
            order = self.orders[report.order_id] = OrderLife(report.order_id)
            root = self.roots.get(report.root_id or report.order_id)
            if root is not None:
                root.orders.append(order)
        again = report.order is not None and order.request is not None
        order.take(report)
        fill = report.fill
        if fill is not None:
            book = (fill.strategy, fill.symbol, fill.position_side)
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            self.held[book] = self.held.get(book, ZERO) + signed
        if report.order is None:
            return ()
        return self._order(report, report.order, again=again)

    def on_end(self, ended: IntentEnded) -> Found:
        """Take note of an intent's end: nothing may follow from it."""
        root = self.roots.get(ended.intent_id)
        if root is not None:
            root.is_over = True
        return ()

    def _order(self, report: ExecutionReport, request: OrderRequest, *, again: bool) -> Found:
        order_id = report.order_id
        intent = self.intents.get(order_id)
        decision = self.decisions.get(order_id)
        if again:
            yield order_id, ("order", "one of an intent", "one more")
        if intent is None:
            yield order_id, ("intent", "one that asks for it", "none")
        elif decision is None:
            yield order_id, ("approval", "one by Risk", "none")
        else:
            root_id = intent.root_id if isinstance(intent, OpenFollowUp | ReduceFollowUp) else ""
            if request.root_id != root_id:
                yield order_id, ("root_id", root_id, request.root_id)
            root = self.roots.get(root_id or order_id)
            if root is not None and root.is_over:
                yield order_id, ("when", "before the end of its intent", "after it")
            instrument = self.instruments.get(intent.symbol)
            held = self._held_by(intent)
            for fault in order_faults(request, intent, decision, held, instrument):
                yield order_id, fault

    def _held_by(self, intent: Intent) -> Decimal:
        return self.held.get((intent.strategy, intent.symbol, intent.position_side), ZERO)

    # -- the operator

    def on_command(self, command: OperatorCommand) -> Found:
        """Take note of whether an operator wants everything to be flat."""
        if command.verb is CommandVerb.KILL and command.flatten:
            self.flattens = True
        return ()

    def on_hold(self, placed: HoldPlaced) -> Found:
        """Take note of it too where the command was latched for this start by its bringer."""
        if placed.hold.flatten and is_kill(placed.hold):
            self.flattens = True
        return ()

    def on_kill(self, step: KillStep) -> Found:
        """Take note of a kill."""
        self.kills.add(step.kill_id)
        return ()
