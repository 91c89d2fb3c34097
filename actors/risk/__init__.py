"""Risk: the guards, what they read, the account's watch, and the actor that asks them all."""

from actors.risk.account import AccountState, AccountWatch, Breach
from actors.risk.actor import RiskActor, client_order_id
from actors.risk.guards import ALWAYS, Guard
from actors.risk.limits import RiskLimits
from actors.risk.proposal import Proposal, propose
from actors.risk.registry import (
    GUARDS,
    SPECS,
    GuardSet,
    GuardSpec,
    account_breaches,
    guards_for,
)
from actors.risk.view import Reservation, RiskMemory, RiskView

__all__ = [
    "ALWAYS",
    "GUARDS",
    "SPECS",
    "AccountState",
    "AccountWatch",
    "Breach",
    "Guard",
    "GuardSet",
    "GuardSpec",
    "Proposal",
    "Reservation",
    "RiskActor",
    "RiskLimits",
    "RiskMemory",
    "RiskView",
    "account_breaches",
    "client_order_id",
    "guards_for",
    "propose",
]
