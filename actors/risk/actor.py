"""The one gate that no intent can go round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from actors.risk.account import AccountState
from actors.risk.guards import Guard
from actors.risk.proposal import Proposal, propose, worst_market
from actors.risk.registry import GuardSet, account_breaches
from actors.risk.view import RiskView
from actors.runtime import Actor, Effect, Effects
from actors.runtime.cell import Handler
from messages import (
    MARKET,
    AccountAdopted,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    BackoffChanged,
    CancelIntent,
    Cause,
    ExecutionReport,
    FundingBooked,
    HoldLifted,
    Intent,
    Maker,
    Message,
    MinimumOrder,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    OrderRequest,
    PortfolioMarked,
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    RiskBreached,
    RiskDecision,
    Verdict,
)

CLIENT_ID_PREFIX = "tg-"
"""What marks an order as ours at the venue."""


def client_order_id(order_id: str) -> str:
    """
    Return the client order id of an order: a pure function, so that a restart finds it again.

    Lower case: a kill's ids are not, and venues whose alphabet or room is small take nothing else.
    """
    return CLIENT_ID_PREFIX + order_id.lower()


FILL: Final = "fill"
"""The occasion of a valuation that a fill has brought about."""

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_APPROVED: Final = Verdict.APPROVED
_DENIED: Final = Verdict.DENIED
_ANY: Final = Maker.ANY
FOLLOW_UPS: Final = frozenset({OpenFollowUp, ReduceFollowUp})


def root_of(intent: Intent) -> str:
    """Return the id of the intent that this one is a follow-up of, empty for one of its own."""
    return intent.root_id if isinstance(intent, OpenFollowUp | ReduceFollowUp) else ""


class RiskActor(Actor):
    """
    Decide every intent by all guards and reserve what an approved one may cost.

    The reservation is made in the step of the verdict, so two intents can never both spend
    the same money. Cancels are never refused. A breach that calls for more than a refusal is
    journaled after the decision and told to ``on_breach`` from within the handler: whoever acts
    on it waits for the handler's end.
    """

    def __init__(
        self,
        view: RiskView,
        guards: GuardSet,
        on_breach: Callable[[RiskBreached], object] = lambda _breach: None,
    ) -> None:
        """Decide by ``guards`` over ``view``; tell ``on_breach`` of what is more than a refusal."""
        self.view = view
        self.guards = guards.checks
        self.guard_set = guards
        self.on_breach = on_breach

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers; what no limit needs is not watched."""
        view = self.view
        handlers: dict[type[Message], Handler] = {
            OpenIntent: self.on_intent,
            ReduceIntent: self.on_intent,
            OpenFollowUp: self.on_intent,
            ReduceFollowUp: self.on_intent,
            OperatorReduce: self.on_intent,
            BackoffChanged: self.on_backoff,
            MinimumOrder: self.on_minimum,
            CancelIntent: self.on_cancel if view.cancels is None else self.on_counted_cancel,
            ExecutionReport: self.on_report,
            FundingBooked: self.on_funding,
            AccountAdopted: self.on_adopted,
        }
        if view.watch is not None:
            handlers[ExecutionReport] = self.on_watched_report
            handlers[PortfolioMarked] = self.on_marked
            handlers[HoldLifted] = self.on_lifted
        return handlers

    def on_intent(self, intent: Intent) -> Effects:
        """Return the decision, and the approved order if it is one."""
        view = self.view
        instrument = view.instruments.get(intent.symbol)
        if instrument is None:
            return (self._denied(intent, self._unknown(intent)),)
        proposal = propose(intent, instrument, view)
        found: list[tuple[Guard, Cause]] | None = None
        for guard in self.guards:
            cause = guard(proposal, view)
            if cause is not None:
                if found is None:
                    found = []
                found.append((guard, cause))
        if found is not None:
            return self._refused(proposal, found)
        return self._approve(proposal)

    def _unknown(self, intent: Intent) -> tuple[Cause, ...]:
        """Return why an intent on a symbol without an instrument is refused."""
        cause = Cause(ReasonCode.INSTRUMENT_UNKNOWN, f"symbol={intent.symbol}")
        denied = self.view.limits.denied(intent.symbol)
        return (cause,) if denied is None else (denied, cause)

    def _refused(self, proposal: Proposal, found: list[tuple[Guard, Cause]]) -> tuple[Effect, ...]:
        decision = self._denied(proposal.intent, tuple(cause for _, cause in found))
        escalating = self.guard_set.escalating
        if not escalating:
            return (decision,)
        watch = self.view.watch
        equity = None if watch is None else watch.state.equity
        breaches = []
        for guard, cause in found:
            spec = escalating.get(guard)
            if spec is None or (spec.account and watch is not None and not watch.report(spec.name)):
                continue  # the account's breach has been told of, and is still the same
            breaches.append(self.guard_set.breach(spec, cause, proposal.now, equity))
        return (decision, *self._told(breaches))

    def _told(self, breaches: list[RiskBreached]) -> tuple[RiskBreached, ...]:
        for breach in breaches:
            self.on_breach(breach)
        return tuple(breaches)

    def _approve(self, proposal: Proposal) -> tuple[Effect, ...]:
        intent = proposal.intent
        policy = intent.policy
        price = proposal.price
        assert price is not None, "a guard refuses what cannot be valued"
        root_id = root_of(intent) if type(intent) in FOLLOW_UPS else ""
        request = OrderRequest(
            intent.intent_id,
            client_order_id(intent.intent_id),
            intent.strategy,
            intent.symbol,
            intent.side,
            intent.position_side,
            policy.order_type,
            policy.time_in_force,
            proposal.quantity,
            intent.created_at,
            proposal.reducing,
            policy.maker is not _ANY,
            proposal.limit_price,
            proposal.stop_price,
            policy.trail_bps,
            policy.expire_at,
            intent.valid_until,
            intent.decision_price,
            price,
            intent.action,
            root_id,
            intent.replaces,
            None if policy.slippage_bps_max is None else worst_market(intent),
        )
        view = self.view
        view.remember(intent.intent_id)
        view.reserve(request, price, proposal.cash_per_unit)
        if view.openings is not None and not proposal.reducing:
            view.openings.note(proposal.now)
        decision = RiskDecision(
            intent.intent_id,
            intent.strategy,
            intent.symbol,
            _APPROVED,
            proposal.now,
            proposal.quantity,
            proposal.limit_price,
            proposal.stop_price,
            root_id=root_id,
        )
        pursued = None if policy is MARKET or not policy.pursues else intent
        kind = ApprovedReduce if proposal.reducing else ApprovedOpen
        return (decision, kind(request, pursued))

    def _denied(self, intent: Intent, causes: tuple[Cause, ...]) -> RiskDecision:
        self.view.remember(intent.intent_id)
        return RiskDecision(
            intent.intent_id,
            intent.strategy,
            intent.symbol,
            _DENIED,
            self.view.clock.now,
            causes=causes,
            root_id=root_of(intent),
        )

    def on_backoff(self, changed: BackoffChanged) -> Effects:
        """Take note of a strategy's own backoff."""
        self.view.note_backoff(changed)
        return None

    def on_minimum(self, minimum: MinimumOrder) -> Effects:
        """Judge by another least order from now on."""
        self.view.note_minimum(minimum)
        return None

    def on_cancel(self, intent: CancelIntent) -> Effects:
        """Pass a cancel on: nothing may stand between a strategy and its way out."""
        return (ApprovedCancel(intent.intent_id, intent.strategy, intent.symbol, intent.order_id),)

    def on_counted_cancel(self, intent: CancelIntent) -> Effects:
        """Pass a cancel on, counting the orders that it is for."""
        view = self.view
        assert view.cancels is not None, "only counted where a limit needs it"
        orders = 1 if intent.order_id else view.unfinished(intent.strategy, intent.symbol)
        view.cancels.note(view.clock.now, max(1, orders))
        return self.on_cancel(intent)

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take an order's step into account."""
        self.view.record(report)
        return None

    def on_funding(self, booked: FundingBooked) -> Effects:
        """Take funding into account: what was paid cannot be spent."""
        self.view.count_cash()
        return None

    def on_adopted(self, adopted: AccountAdopted) -> Effects:
        """Count what was adopted as exposure and as money; neither is a profit, see ``shift``."""
        self.view.adopt(adopted)
        return None

    def on_watched_report(self, report: ExecutionReport) -> Effects:
        """Take an order's step into account, and into the account's watch."""
        watch = self.view.watch
        assert watch is not None, "only where a limit watches the account"
        self.view.record(report)
        found = watch.record(report)
        if not found:
            return None
        at = self.view.clock.now
        return self._told(account_breaches(found, watch.limits, at, watch.state.equity))

    def on_marked(self, marked: PortfolioMarked) -> Effects:
        """Take the account's value after a fill, and at midnight, into the account's watch."""
        watch = self.view.watch
        assert watch is not None, "only where a limit watches the account"
        state = AccountState(marked.equity, self.view.margin(), marked.funding)
        found = watch.observe(marked.at, state, before=marked.occasion == FILL)
        if not found:
            return None
        return self._told(account_breaches(found, watch.limits, marked.at, marked.equity))

    def on_lifted(self, lifted: HoldLifted) -> Effects:
        """Measure a limit of the account afresh after its hold ``risk:NAME`` was lifted."""
        watch = self.view.watch
        assert watch is not None, "only where a limit watches the account"
        watch.acknowledge(lifted.hold.hold_id.partition(":")[2])
        return None

    def lost(self, message: Message) -> Effects:
        """Refuse an intent on which a guard failed: its strategy must not wait for ever."""
        if not isinstance(message, Intent):
            return None
        return (self._denied(message, (Cause(ReasonCode.HANDLER_FAILED, "actor=risk"),)),)

    def refuse(self, message: Message, causes: tuple[Cause, ...]) -> Effects:
        """Answer an intent that a hold or a full lane turned away."""
        assert isinstance(message, Intent), f"only intents are refused here, not {message!r}"
        return (self._denied(message, causes),)
