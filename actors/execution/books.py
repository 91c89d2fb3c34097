"""What Execution owns and no incarnation takes with it: orders, ledger, what is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.execution.bracket import Brackets, is_put_back
from actors.execution.doubts import Doubts
from actors.execution.inquiry import Inquiries
from actors.execution.pursuit import Pursuit
from messages import ApprovedCancel, ApprovedOpen, ApprovedReduce, Cause
from state.ledger import Ledger
from state.orders import OrderStore


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
