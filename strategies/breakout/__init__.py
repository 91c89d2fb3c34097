"""What a breakout strategy is made of: its parameters, its market, its books."""

from strategies.breakout.book import Book
from strategies.breakout.market import Market
from strategies.breakout.params import BreakoutParams, Sides

__all__ = ["Book", "BreakoutParams", "Market", "Sides"]
