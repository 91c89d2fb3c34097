"""Price grids: their parameters, their lines, what a book of one believes, what it lacks."""

from strategies.grids.book import Book
from strategies.grids.looking import Looker
from strategies.grids.params import Direction, GridParams

__all__ = ["Book", "Direction", "GridParams", "Looker"]
