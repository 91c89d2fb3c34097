"""What Execution owns and no incarnation takes with it: orders, ledger, what is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.execution.bracket import Brackets
from actors.execution.inquiry import Inquiries
from actors.execution.pursuit import Pursuit
from messages import ApprovedCancel, Cause
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
    brackets: Brackets = field(default_factory=Brackets)
