"""The one gate that no intent can go round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.risk.guards import Guard, Proposal, propose
from actors.risk.view import RiskView
from actors.runtime import Actor, Effect, Effects
from actors.runtime.cell import Handler
from messages import (
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    CancelIntent,
    Cause,
    ExecutionReport,
    Intent,
    Message,
    OpenIntent,
    OperatorReduce,
    OrderRequest,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Verdict,
)

CLIENT_ID_PREFIX = "tg-"
"""What marks an order as ours at the venue."""


def client_order_id(order_id: str) -> str:
    """Return the client order id of an order: a pure function, so that a restart finds it again."""
    return CLIENT_ID_PREFIX + order_id


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_APPROVED: Final = Verdict.APPROVED
_DENIED: Final = Verdict.DENIED


class RiskActor(Actor):
    """
    Decide every intent by all guards and reserve what an approved one may cost.

    The reservation is made in the step of the verdict, so two intents can never both spend
    the same money. Cancels are never refused.
    """

    def __init__(self, view: RiskView, guards: tuple[Guard, ...]) -> None:
        """Decide by ``guards`` over ``view``."""
        self.view = view
        self.guards = guards

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {
            OpenIntent: self.on_intent,
            ReduceIntent: self.on_intent,
            OperatorReduce: self.on_intent,
            CancelIntent: self.on_cancel,
            ExecutionReport: self.on_report,
        }

    def on_intent(self, intent: Intent) -> Effects:
        """Return the decision, and the approved order if it is one."""
        view = self.view
        instrument = view.instruments.get(intent.symbol)
        if instrument is None:
            cause = Cause(ReasonCode.INSTRUMENT_UNKNOWN, f"symbol={intent.symbol}")
            return (self._denied(intent, (cause,)),)
        proposal = propose(intent, instrument, view)
        causes: list[Cause] | None = None
        for guard in self.guards:
            cause_found = guard(proposal, view)
            if cause_found is not None:
                if causes is None:
                    causes = []
                causes.append(cause_found)
        if causes is not None:
            return (self._denied(intent, tuple(causes)),)
        return self._approve(proposal)

    def _approve(self, proposal: Proposal) -> tuple[Effect, ...]:
        intent = proposal.intent
        policy = intent.policy
        price = proposal.price
        assert price is not None, "a guard refuses what cannot be valued"
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
            policy.post_only,
            proposal.limit_price,
            proposal.stop_price,
            policy.trail_bps,
            policy.expire_at,
            intent.valid_until,
            intent.decision_price,
            price,
        )
        self.view.remember(intent.intent_id)
        self.view.reserve(request, price, proposal.cash_per_unit)
        decision = RiskDecision(
            intent.intent_id,
            intent.strategy,
            intent.symbol,
            _APPROVED,
            proposal.now,
            proposal.quantity,
            proposal.limit_price,
            proposal.stop_price,
        )
        approved = ApprovedReduce(request) if proposal.reducing else ApprovedOpen(request)
        return (decision, approved)

    def _denied(self, intent: Intent, causes: tuple[Cause, ...]) -> RiskDecision:
        self.view.remember(intent.intent_id)
        return RiskDecision(
            intent.intent_id,
            intent.strategy,
            intent.symbol,
            _DENIED,
            self.view.clock.now,
            causes=causes,
        )

    def on_cancel(self, intent: CancelIntent) -> Effects:
        """Pass a cancel on: nothing may stand between a strategy and its way out."""
        return (ApprovedCancel(intent.intent_id, intent.strategy, intent.symbol, intent.order_id),)

    def on_report(self, report: ExecutionReport) -> Effects:
        """Take an order's step into account."""
        self.view.record(report)
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
