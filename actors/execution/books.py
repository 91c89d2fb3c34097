"""What Execution owns and no incarnation takes with it: orders, ledger, what is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from actors.execution.bracket import Brackets, is_put_back
from actors.execution.doubt import DoubtPlan
from actors.execution.doubts import Doubts
from actors.execution.inquiry import Inquiries
from actors.execution.pursuit import Pursuit
from actors.runtime.clock import next_midnight
from messages import ApprovedCancel, ApprovedOpen, ApprovedReduce, Cause, OrderStatus
from state.ledger import Ledger
from state.orders import OrderStore
from state.outside import Outside

UNANSWERED: Final = frozenset({OrderStatus.JOURNALED, OrderStatus.SENT})
"""
States of an order of which the venue has said nothing: after a restart nobody knows whether it is
there. JOURNALED too, for what lies between the record and the word of its send is the send.
"""


@dataclass(slots=True)
class Books:
    """Orders and ledger, and what an incarnation was in the middle of."""

    orders: OrderStore
    ledger: Ledger
    lost_cancels: list[ApprovedCancel] = field(default_factory=list)
    """Cancels that an incarnation failed on: the next one's first duty."""
    cancel_causes: dict[str, Cause] = field(default_factory=dict)
    """Why orders at the venue are being cancelled, by order id, where no strategy asked for it."""
    pursuits: dict[str, Pursuit] = field(default_factory=dict)
    """Intents that may need more than one order, by intent id, until they are over."""
    inquiries: Inquiries = field(default_factory=Inquiries)
    doubts: Doubts = field(default_factory=Doubts)
    brackets: Brackets = field(default_factory=Brackets)
    outside: Outside = field(default_factory=Outside)
    """What was adopted into the account: as the journal says, so by no state of its own."""
    trades_upto: int = 0
    """The venue's watermark up to which its trades were listed; 0: from the session's start."""
    valued_upto: int | None = None
    """The newest midnight at which the account was valued, before the first the session's start."""

    def next_midnight(self, now: int) -> int:
        """Return when the account is to be valued next: at once where ``now`` is what is left."""
        if self.valued_upto is None:
            self.valued_upto = now
        return max(next_midnight(self.valued_upto), next_midnight(now - 1))

    def take_up(self, approved: ApprovedOpen | ApprovedReduce) -> bool:
        """
        Begin to pursue an approved intent, or go on with one by a further order.

        Return whether the order is still wanted: a further one's intent may be over by now. To be
        called for every approved order, whatever becomes of it: its end is the pursuit's to judge.
        """
        request = approved.request
        if request.root_id:
            pursuit = self.pursuits.get(request.root_id)
            if pursuit is not None:
                pursuit.taken_up(request.order_id)
            return pursuit is not None or is_put_back(request)
        if approved.intent is not None:
            self.pursuits[request.order_id] = Pursuit(approved.intent, request.quantity)
        return True

    # -- across restarts of the process

    def snapshot(self) -> dict[str, Any]:
        """Return what is under way, JSON-ready; orders and ledger are the journal's."""
        kept: dict[str, Any] = msgspec.to_builtins(
            {
                "lost_cancels": self.lost_cancels,
                "cancel_causes": self.cancel_causes,
                "inquiries": self.inquiries,
            },
            order="sorted",
        )
        kept["pursuits"] = [pursuit.snapshot() for pursuit in self.pursuits.values()]
        kept["doubts"] = self.doubts.snapshot()
        kept["brackets"] = self.brackets.snapshot()
        kept["trades_upto"] = self.trades_upto
        kept["valued_upto"] = self.valued_upto
        return kept

    def restore(self, state: Mapping[str, Any], plan: DoubtPlan) -> None:
        """Take back what ``snapshot`` gave; ``plan`` is how doubts are settled from now on."""
        self.lost_cancels = msgspec.convert(state["lost_cancels"], list[ApprovedCancel])
        self.cancel_causes = msgspec.convert(state["cancel_causes"], dict[str, Cause])
        self.inquiries = msgspec.convert(state["inquiries"], Inquiries)
        pursuits = [Pursuit.of(kept) for kept in state["pursuits"]]
        self.pursuits = {pursuit.intent.intent_id: pursuit for pursuit in pursuits}
        self.doubts.restore(state["doubts"], plan)
        self.brackets.restore(state["brackets"])
        self.trades_upto = int(state.get("trades_upto", 0))
        self.valued_upto = state.get("valued_upto")  # an older Tidegate did not say

    def inherit(self) -> None:
        """Doubt every order that the last process may have sent without hearing of it."""
        self.doubts.inherited = [
            order.request.order_id
            for order in self.orders.live()
            if order.status in UNANSWERED and not self.brackets.stays(order.request.order_id)
        ]
