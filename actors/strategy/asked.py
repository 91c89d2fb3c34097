"""What a hook and a plan asked for in one step: put together, and whether it is plain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from messages import MARKET, OpenIntent, PauseIntent, PlanIntent, ReduceIntent
from strategies.desk import Asked


def are_plain(asked: Sequence[Asked]) -> bool:
    """Return whether nothing among ``asked`` needs more than to be sent."""
    for intent in asked:
        kind = type(intent)
        if kind is OpenIntent or kind is ReduceIntent:
            policy = intent.policy  # type: ignore[union-attr]
            if policy is not MARKET and policy.rollback is not MARKET.rollback:
                return False
        elif kind is PlanIntent or kind is PauseIntent:
            return False
    return True


def joined(*parts: Iterable[Any] | None) -> Iterable[Any] | None:
    """Return the parts one after the other, ``None`` where there is nothing at all."""
    found = [part for part in parts if part]
    if not found:
        return None
    return found[0] if len(found) == 1 else chain.from_iterable(found)
