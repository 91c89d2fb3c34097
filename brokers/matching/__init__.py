"""The matching engine: a venue without clock, network or chance."""

from brokers.matching.account import Account, FundingPayment, VenueBalance, VenuePosition
from brokers.matching.config import EngineConfig
from brokers.matching.engine import MatchingEngine, OpenOrder

__all__ = [
    "Account",
    "EngineConfig",
    "FundingPayment",
    "MatchingEngine",
    "OpenOrder",
    "VenueBalance",
    "VenuePosition",
]
