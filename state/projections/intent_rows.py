"""
Rows of ``intents.csv``: what became of everything that orders were made of.

Theory of operation. A *root* is an intent of a strategy, or an operator's close. Its first order
has its id; the further ones that its policy permits name it and count to it. It is over when its
order is, unless something is to follow (``then``), or, where its policy permits more than one
order, when the journal says so. Its row waits until then, and stands where it was asked for.

The plainest intent, filled whole by one fill of one order, is most of a session: it passes through
here in two steps, and its row is one formatted string.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final

from messages import (
    FAMILIES,
    MARKET,
    CancelIntent,
    ExecutionReport,
    Fill,
    FollowUp,
    FollowUpReason,
    Intent,
    IntentEnded,
    OrderStatus,
    ReasonCode,
    RiskDecision,
    Side,
    Verdict,
)
from state.money import plain, ratio
from state.orders import TERMINAL
from state.projections.csv_text import Words, quoted
from state.projections.execution_tally import ExecutionTally
from state.projections.ordered_rows import Rows
from state.projections.policy_text import PLAINEST, policy_text
from state.projections.roots import Root
from state.projections.round_trips import BPS, RoundTrips
from state.projections.timestamps import iso_ms
from state.projections.wish_rows import CANCELLED, UNFINISHED, CancelRows, PlanRows

INTENT_COLUMNS: Final = (
    "intent_id",
    "created_at",
    "ended_at",
    "strategy",
    "symbol",
    "position_side",
    "action",
    "side",
    "sizing",
    "quantity",
    "notional",
    "policy",
    "decision_price",
    "plan_id",
    "tag",
    "orders",
    "retries",
    "reprices",
    "fallbacks",
    "filled",
    "average_price",
    "slippage",
    "slippage_bps",
    "outcome",
    "causes",
)

_BUY: Final = Side.BUY
_DENIED: Final = Verdict.DENIED
_FILLED: Final = OrderStatus.FILLED
_RETRY: Final = FollowUpReason.RETRY
_REPRICE: Final = FollowUpReason.REPRICE
_FALLBACKS: Final = frozenset({FollowUpReason.FALLBACK_REJECT, FollowUpReason.FALLBACK_TIMEOUT})
REFUSED: Final = "refused"
TAKEN_BACK: Final = frozenset(
    {
        ReasonCode.CANCEL_REQUESTED,
        ReasonCode.QUARANTINE_CANCEL,
        ReasonCode.KILL_CANCEL,
        ReasonCode.COMMAND_CANCEL,
        ReasonCode.BRACKET,
    }
)
"""Why an intent ends while its newest order has ended before, in another way."""


class IntentRows:
    """
    Follow every root from its intent to its end; tell ``trips`` of fills and ``tally`` of counts.

    Rows go to ``rows`` if it ``writes``, in order of creation. A fill that comes after its
    intent's end is in no row any more. Memory depends on how many intents are unfinished. Call
    everything under ``EXACT``.
    """

    __slots__ = (
        "_cancels",
        "_plans",
        "_repeats",
        "_roots",
        "_rows",
        "_tally",
        "_trips",
        "_words",
        "_writes",
    )

    def __init__(
        self,
        rows: Rows,
        cancels: CancelRows,
        plans: PlanRows,
        trips: RoundTrips,
        tally: ExecutionTally,
        *,
        writes: bool,
    ) -> None:
        self._roots: dict[str, Root] = {}  # by the id of each unfinished order
        self._repeats: dict[str, list[Root]] = {}
        self._rows = rows
        self._writes = writes
        self._cancels = cancels
        self._plans = plans
        self._trips = trips
        self._tally = tally
        self._words = Words()

    # -- what is asked

    def on_intent(self, intent: Intent) -> None:
        """Begin a root; a repeat of an unfinished one gets a row of its own, for its refusal."""
        policy = intent.policy
        root = Root(intent, self._rows.take_place(), policy is not MARKET and policy.pursues)
        if intent.intent_id in self._roots:
            self._repeats.setdefault(intent.intent_id, []).append(root)
        else:
            self._roots[intent.intent_id] = root
        if intent.plan_id:
            self._plans.on_step(intent.plan_id)

    def on_follow_up(self, intent: FollowUp) -> None:
        """Count a further order to its root."""
        root = self._roots.get(intent.root_id)
        if root is None:
            return
        because = intent.because
        if because is _RETRY:
            root.retries += 1
        elif because is _REPRICE:
            root.reprices += 1
        elif because in _FALLBACKS:
            root.fallbacks += 1
        self._roots[intent.intent_id] = root
        if root.live is None:
            root.live = []
        root.live.append(intent.intent_id)
        self._count(root)

    def on_decision(self, decision: RiskDecision) -> None:
        """Take what was approved; end a root that was refused."""
        root = self._roots.get(decision.intent_id)
        if root is None:
            return
        if decision.verdict is _DENIED:
            self._refuse(root, decision)
            return
        root.orders += 1
        if decision.root_id:
            self._count(root)
        else:
            root.quantity = decision.quantity

    def _refuse(self, root: Root, decision: RiskDecision) -> None:
        if self._repeats and any(c.code is ReasonCode.DUPLICATE_INTENT for c in decision.causes):
            repeats = self._repeats.get(decision.intent_id)
            if repeats:
                root = repeats.pop(0)
        self._tally.on_refusal(decision, FAMILIES[root.intent.action])
        root.outcome, root.causes = REFUSED, decision.causes
        if not decision.root_id:
            self._end(root, decision.decided_at)
            return
        self._forget_order(root, decision.intent_id)
        if not root.pursued:
            self._end(root, decision.decided_at)

    def _count(self, root: Root) -> None:
        """Tell the trip that a root belongs to at once what more it has taken."""
        trip = root.trip
        if trip is not None and not trip.is_over:
            trip.count(root)

    # -- what comes of it

    def on_news(self, report: ExecutionReport) -> None:
        """Take a fill or an order's end."""
        fill = report.fill
        order_id = report.order_id
        root = self._roots.get(order_id)
        if fill is not None:
            self._trips.on_fill(fill, report.booking, root)
            if root is None:
                return
            whole = report.status is _FILLED and not root.pursued
            if whole and root.orders == 1 and not root.filled:
                self._end_plain(root, fill)
                return
            root.filled += fill.quantity
            root.notional += fill.quantity * fill.price
        if root is None or report.status not in TERMINAL:
            return
        root.outcome = report.status.value
        root.causes = () if report.cause is None else (report.cause,)
        if order_id != root.intent.intent_id:
            self._forget_order(root, order_id)
        if not root.pursued and report.then is None:
            self._end(root, report.timestamp)

    def on_ended(self, ended: IntentEnded) -> None:
        """End a root whose policy permits more than one order, or that is not put back."""
        root = self._roots.get(ended.intent_id)
        if root is not None:
            if ended.cause is not None:
                root.causes = (ended.cause,)
                if ended.cause.code in TAKEN_BACK:  # while nothing of it was at the venue
                    root.outcome = CANCELLED
            self._end(root, ended.at)

    def finish(self) -> None:
        """Write what is unfinished as it stands; it counts as unfinished still."""
        for root in self.unfinished():
            self._put(root, None, UNFINISHED)

    def unfinished(self) -> Iterable[Root]:
        """Return every root that is not over, once, oldest first, repeats last."""
        repeats = chain.from_iterable(self._repeats.values())
        return {id(root): root for root in chain(self._roots.values(), repeats)}.values()

    def meant(self, cancel: CancelIntent) -> Iterable[Root]:
        """Return the unfinished roots that a cancel is for."""
        if cancel.order_id:
            root = self._roots.get(cancel.order_id)
            own = root is not None and root.intent.strategy == cancel.strategy
            return [root] if root is not None and own else []
        book = (cancel.strategy, cancel.symbol)
        return [
            root
            for root in {id(each): each for each in self._roots.values()}.values()
            if (root.intent.strategy, root.intent.symbol) == book
        ]

    # -- ends

    def _forget_order(self, root: Root, order_id: str) -> None:
        del self._roots[order_id]
        if root.live is not None:
            root.live.remove(order_id)

    def _end(self, root: Root, at: int) -> None:
        if self._roots.get(root.intent.intent_id) is root:
            del self._roots[root.intent.intent_id]
        for order_id in root.live or ():
            self._roots.pop(order_id, None)
        if root.watches is not None:
            self._cancels.on_end(root, at)
        self._put(root, at, root.result)

    def _end_plain(self, root: Root, fill: Fill) -> None:
        """End a root that one fill of its only order has filled: nearly all are."""
        intent = root.intent
        del self._roots[intent.intent_id]
        if root.watches is not None:
            self._cancels.on_end(root, fill.timestamp)
        self._tally.on_end(root)
        if not self._writes:
            return
        decided = intent.decision_price
        money = f"{fill.quantity!s},{fill.price!s}"
        slipped = ","
        if decided is not None:
            missed = fill.price - decided if fill.side is _BUY else decided - fill.price
            bps = ratio(missed * BPS, decided) if missed and decided else missed
            slipped = f"{missed or 0!s},{bps or 0!s}"
        if "E" in money or "E" in slipped:
            root.filled, root.notional = fill.quantity, fill.quantity * fill.price
            self._put(root, fill.timestamp, "filled")
            return
        self._rows.put(
            root.place,
            f"{self._head(root, fill.timestamp)},{root.orders},0,0,0,{money},{slipped},filled,\n",
        )

    def _put(self, root: Root, at: int | None, outcome: str) -> None:
        """Write the row of a root that is over, or (``at`` ``None``) as it stands."""
        if at is not None:
            self._tally.on_end(root)
        if not self._writes:
            return
        average = slipped = bps = ""
        if root.filled:
            average = plain(ratio(root.notional, root.filled))
            slipped, bps = _slippage(root)
        causes = quoted(";".join(map(str, root.causes))) if root.causes else ""
        self._rows.put(
            root.place,
            f"{self._head(root, at)},{root.orders},{root.retries},{root.reprices},"
            f"{root.fallbacks},{plain(root.filled)},{average},{slipped},{bps},{outcome},{causes}\n",
        )

    def _head(self, root: Root, at: int | None) -> str:
        """Return the columns that say what was asked."""
        intent = root.intent
        words = self._words
        quantity = intent.quantity if root.quantity is None else root.quantity
        decided, policy = intent.decision_price, intent.policy
        return (
            f"{quoted(intent.intent_id)},{iso_ms(intent.created_at)},"
            f"{'' if at is None else iso_ms(at)},{words[intent.strategy]},{words[intent.symbol]},"
            f"{words[intent.position_side]},{words[intent.action]},{words[intent.side]},"
            f"{words[intent.sizing]},{'' if quantity is None else plain(quantity)},"
            f"{'' if intent.notional is None else plain(intent.notional)},"
            f"{PLAINEST if policy is MARKET else policy_text(policy)},"
            f"{'' if decided is None else plain(decided)},"
            f"{quoted(intent.plan_id) if intent.plan_id else ''},"
            f"{quoted(intent.tag) if intent.tag else ''}"
        )


def _slippage(root: Root) -> tuple[str, str]:
    """Return slippage a unit and in basis points, of all fills by their quantities."""
    decided = root.intent.decision_price
    if decided is None:
        return "", ""
    missed = root.notional - decided * root.filled
    if root.intent.side is not _BUY:
        missed = -missed
    bps = ratio(missed * BPS, decided * root.filled) if missed and decided else missed
    return plain(ratio(missed, root.filled)), plain(bps)
