"""Events of an order's life in words, as an operator reads them."""

from __future__ import annotations

from typing import Final

from messages import (
    ApprovedCancel,
    CancelIntent,
    DeadLetter,
    ExecutionReport,
    FollowUpReason,
    Intent,
    IntentEnded,
    KillStep,
    Message,
    OpenFollowUp,
    OperatorCommand,
    OperatorReduce,
    PauseIntent,
    PlanChanged,
    PlanIntent,
    ReduceFollowUp,
    RiskDecision,
    StrategyState,
    Verdict,
)
from state.money import plain
from state.projections.policy_text import plan_text, policy_text
from state.projections.timestamps import iso_ms

BECAUSE: Final = {
    FollowUpReason.RETRY: "it was refused, and is tried again",
    FollowUpReason.TAKE: "post-only it would have taken, and it is only preferred to make",
    FollowUpReason.REPRICE: "the market has left its price",
    FollowUpReason.FALLBACK_REJECT: "it was refused, and may go out at market then",
    FollowUpReason.FALLBACK_TIMEOUT: "its time was over, and may go out at market then",
    FollowUpReason.RESTORE: "it had made room for the other side of its bracket",
}
"""Why a further order was made of an intent, in words."""


def words(message: Message) -> str:
    """Return what an event says; empty for one that is of no order."""
    return _wish(message) or _news(message)


def _wish(message: Message) -> str:
    """Return what a strategy or an operator asks for."""
    match message:
        case OpenFollowUp() | ReduceFollowUp():
            return f"one more order of {message.root_id}: {BECAUSE[message.because]}"
        case OperatorReduce():
            return f"the operator asks to {asked(message)}"
        case Intent():
            return f"{message.strategy} asks to {asked(message)}"
        case CancelIntent():
            return f"{message.strategy} asks to cancel {message.order_id or message.symbol}"
        case PlanIntent():
            return f"{message.strategy} hands in a plan: {plan_text(message.plan)}"
        case PauseIntent():
            return f"{message.strategy} pauses until {iso_ms(message.until)}: {message.reason}"
        case OperatorCommand():
            flat = ", to be flat" if message.flatten else ""
            reason = f": {message.reason}" if message.reason else ""
            return f"{message.verb.value.replace('_', ' ')}{flat} by {message.by}{reason}"
        case _:
            return ""


def _news(message: Message) -> str:
    """Return what became of something."""
    match message:
        case ApprovedCancel():
            return f"cancel on its way: {message.code}"
        case RiskDecision():
            return _verdict(message)
        case ExecutionReport():
            return _report(message)
        case IntentEnded():
            return _end(message)
        case PlanChanged():
            return f"plan {message.status.value} {message.detail}".rstrip()
        case StrategyState():
            return f"the strategy's state: {message.occasion.value.replace('_', ' ')}"
        case KillStep():
            return f"kill {message.stage.value} {message.detail}".rstrip()
        case DeadLetter():
            return f"{message.message_type} is a dead letter: {message.reason} {message.detail}"
        case _:
            return ""


def asked(intent: Intent) -> str:
    """Return what an intent asks for: side, how much, what for, how, decided at which price."""
    decided = intent.decision_price
    parts = [
        f"{intent.side.value} {_how_much(intent)}{intent.symbol}",
        f"({intent.action.value.replace('_', ' ')})",
        policy_text(intent.policy),
    ]
    if intent.tag:
        parts.append(f"[{intent.tag}]")
    if decided is not None:
        parts.append(f"decided at {plain(decided)}")
    return " ".join(parts)


def _how_much(intent: Intent) -> str:
    if intent.quantity is not None:
        return f"{plain(intent.quantity)} "
    return "" if intent.notional is None else f"{plain(intent.notional)} worth of "


def _verdict(decision: RiskDecision) -> str:
    if decision.verdict is Verdict.DENIED:
        return f"refused: {'; '.join(str(cause) for cause in decision.causes)}"
    return decision.verdict.value


def _report(report: ExecutionReport) -> str:
    text = report.event.value
    if report.fill is not None:
        fill = report.fill
        text += f": {plain(fill.quantity)} at {plain(fill.price)}, fee {plain(fill.fee)}"
        text += f" {fill.fee_currency}; {plain(report.filled)} filled so far"
    if report.cause is not None:
        text += f": {report.cause}"
    if report.then is not None:
        text += f"; then {report.then.value}"
    return text


def _end(ended: IntentEnded) -> str:
    text = (
        f"over: {plain(ended.filled)} of {plain(ended.quantity)} filled, {ended.orders} orders, "
        f"{ended.retries} retries, {ended.reprices} new prices, {ended.fallbacks} fallbacks"
    )
    return text if ended.cause is None else f"{text}: {ended.cause}"
