"""Decisions: the contract of a strategy and those that ship. Knows no actor and no broker."""

from strategies.contract import Desk, Intents, Strategy, StrategyParams

__all__ = ["Desk", "Intents", "Strategy", "StrategyParams"]
