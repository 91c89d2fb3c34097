"""
The only source of chance: the session's seed, or (for live session ids) the machine.

Choices of a schedule or a fault campaign come from a ``Tape``: ``choose(label, n)`` returns a
number below ``n``, where 0 is always the boring option. Each label draws from a generator of
its own, so one more draw somewhere does not reshuffle everything else.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Protocol


class Tape(Protocol):
    """A source of choices."""

    def choose(self, label: str, n: int) -> int:
        """Return a choice in ``range(n)``; 0 is the boring one."""


class DefaultTape:
    """Always the boring option: first in order, no fault."""

    def choose(self, label: str, n: int) -> int:
        """Return 0."""
        return 0


class SeededTape:
    """Choices drawn from a seed, one generator per label; what was drawn is kept in ``drawn``."""

    def __init__(self, seed: int) -> None:
        """Draw from ``seed``."""
        self._seed = seed
        self._generators: dict[str, random.Random] = {}
        self.drawn: list[int] = []

    def choose(self, label: str, n: int) -> int:
        """Return a choice in ``range(n)``."""
        generator = self._generators.get(label)
        if generator is None:
            generator = self._generators[label] = random.Random(f"{self._seed}:{label}")
        choice = generator.randrange(n)
        self.drawn.append(choice)
        return choice


class RecordedTape:
    """Choices as recorded; past the end of the record, the boring option."""

    def __init__(self, choices: Sequence[int]) -> None:
        """Replay ``choices``."""
        self._choices = list(choices)
        self._next = 0

    def choose(self, label: str, n: int) -> int:
        """Return the recorded choice, reduced to ``range(n)``."""
        if self._next >= len(self._choices):
            return 0
        choice = self._choices[self._next] % n
        self._next += 1
        return choice


def session_entropy() -> str:
    """Return ten hexadecimal digits from the machine, for a live session's id."""
    return os.urandom(5).hex()
