"""Risk: the guards, what they read, and the actor that asks them all."""

from actors.risk.actor import RiskActor, client_order_id
from actors.risk.guards import ALWAYS, Guard, Proposal, guards_for, propose
from actors.risk.limits import RiskLimits
from actors.risk.view import Reservation, RiskView

__all__ = [
    "ALWAYS",
    "Guard",
    "Proposal",
    "Reservation",
    "RiskActor",
    "RiskLimits",
    "RiskView",
    "client_order_id",
    "guards_for",
    "propose",
]
