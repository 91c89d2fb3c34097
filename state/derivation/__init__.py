"""Whether every order of a journal derives from what a strategy, or an operator, asked for."""

from state.derivation.chain import Link, LinkKind, Lookup, chain_of
from state.derivation.check import Underived, underived
from state.derivation.index import JournalIndex
from state.derivation.words import words

__all__ = [
    "JournalIndex",
    "Link",
    "LinkKind",
    "Lookup",
    "Underived",
    "chain_of",
    "underived",
    "words",
]
