"""Ladders: what the strategies that average into a position have in common."""

from strategies.ladder.exits import AllAtOnce, EachLot, ExitRule, NewestLot
from strategies.ladder.params import LadderParams
from strategies.ladder.strategy import LadderStrategy

__all__ = ["AllAtOnce", "EachLot", "ExitRule", "LadderParams", "LadderStrategy", "NewestLot"]
