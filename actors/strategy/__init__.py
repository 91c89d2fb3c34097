"""The host of a strategy: its border, its states, its plans, its backoff."""

from actors.strategy.actor import StrategyActor
from actors.strategy.border import ForeignEffect, MalformedIntent, own_intents
from actors.strategy.cell import strategy_cell
from actors.strategy.house import House

__all__ = [
    "ForeignEffect",
    "House",
    "MalformedIntent",
    "StrategyActor",
    "own_intents",
    "strategy_cell",
]
