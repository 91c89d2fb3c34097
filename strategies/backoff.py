"""
A strategy's own patience: how long it waits after refusals, by symbol and family of orders.

The strategy owns it and sets its figures; the runner feeds it with what became of the strategy's
orders, tells everybody when it changes, and keeps openings back while it lasts. It never keeps
back anything that reduces: a storm of refused entries must not stand in the way of a stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from messages import Cause, OrderFamily, ReasonCode

NOT_COUNTED: Final = frozenset(
    {
        ReasonCode.DUPLICATE_INTENT,
        ReasonCode.HELD,
        ReasonCode.STRATEGY_BACKOFF,
        ReasonCode.STRATEGY_DECLINED,
        ReasonCode.STRATEGY_QUARANTINED,
        ReasonCode.UNIVERSE_DENIED,
    }
)
"""Refusals that another try later would not change, or that are somebody's pause already."""


class Patience(msgspec.Struct):
    """How one family of orders on one symbol stands: refusals in a row, and until when it rests."""

    failures: int = 0
    until: int = 0


class StrategyRejectionBackoff:
    """
    Growing pauses after refusals in a row, for each symbol and order family by itself.

    The first ``tolerated`` refusals in a row cost nothing; the next rests for ``base_s``, each
    further one ``factor`` times as long, at most ``max_s``. A fill of the family ends the row.
    A refusal counts unless all its causes are in ``not_counted``, or the intent's own policy has
    another order follow it.
    """

    def __init__(
        self,
        *,
        base_s: float = 30.0,
        factor: float = 2.0,
        max_s: float = 3_600.0,
        tolerated: int = 0,
        not_counted: Iterable[ReasonCode] = NOT_COUNTED,
    ) -> None:
        """Start without any refusal; raises ``ValueError`` for figures that never rest or end."""
        for name, value, least in (
            ("base_s", base_s, 0.001),
            ("factor", factor, 1.0),
            ("max_s", max_s, base_s),
            ("tolerated", tolerated, 0),
        ):
            if not value >= least:
                raise ValueError(f"{name} is {value}, expected at least {least}")
        self.base_s = base_s
        self.factor = factor
        self.max_s = max_s
        self.tolerated = tolerated
        self.not_counted = frozenset(not_counted)
        self._known: dict[tuple[str, OrderFamily], Patience] = {}

    @property
    def is_clear(self) -> bool:
        """Return whether no family of any symbol has a refusal in its row."""
        return not self._known

    def pause_s(self, failures: int) -> float:
        """Return how long to rest after so many refusals in a row."""
        counted = failures - self.tolerated
        if counted <= 0:
            return 0.0
        # The exponent is bounded: nobody waits for a power that is no number any more.
        return min(self.max_s, self.base_s * self.factor ** min(counted - 1, 64))

    def record_rejection(
        self, symbol: str, family: OrderFamily, at: int, causes: Iterable[Cause] = ()
    ) -> bool:
        """Count a refusal at ``at`` (int ms UTC); return whether it did count."""
        codes = [cause.code for cause in causes]
        if codes and all(code in self.not_counted for code in codes):
            return False
        patience = self._known.setdefault((symbol, family), Patience())
        patience.failures += 1
        patience.until = at + round(self.pause_s(patience.failures) * 1000)
        return True

    def record_success(self, symbol: str, family: OrderFamily) -> bool:
        """End the row of refusals of a family; return whether there was one."""
        return self._known.pop((symbol, family), None) is not None

    def failures(self, symbol: str, family: OrderFamily) -> int:
        """Return how many refusals in a row there have been."""
        patience = self._known.get((symbol, family))
        return 0 if patience is None else patience.failures

    def until(self, symbol: str, family: OrderFamily) -> int:
        """Return until when (int ms UTC) the family rests, 0 if it does not."""
        patience = self._known.get((symbol, family))
        return 0 if patience is None else patience.until

    def rests(self, symbol: str, family: OrderFamily, now: int) -> bool:
        """Return whether the family rests at ``now``."""
        return now < self.until(symbol, family)

    def known(self) -> list[tuple[str, OrderFamily]]:
        """Return every (symbol, family) with refusals in a row, in sorted order."""
        return sorted(self._known)

    def export_state(self) -> list[list[Any]]:
        """Return ``[symbol, family, failures, until]`` of each, JSON-ready."""
        return [
            [symbol, family.value, found.failures, found.until]
            for (symbol, family), found in sorted(self._known.items())
        ]

    def import_state(self, state: Iterable[Any]) -> None:
        """Replace everything by what ``export_state`` gave."""
        self._known = {
            (str(symbol), OrderFamily(family)): Patience(int(failures), int(until))
            for symbol, family, failures, until in state
        }
