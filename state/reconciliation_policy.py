"""
What is done about a difference, by its class; and which differences have lasted.

Pure. A policy says what the house may do by itself: nothing (``refuse``), take the venue's word
into the books (``adopt``), or cancel an order that is its own (``cancel``).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from state.money import plain
from state.reconciliation import Mismatch, MismatchKind


class Policy(StrEnum):
    """What is done about a difference."""

    REFUSE = "refuse"  # no start; while running, a hold until it is gone
    ADOPT = "adopt"  # the venue's word is taken into the books, as entries of their own
    CANCEL = "cancel"  # an order with a client id of ours is cancelled


K = MismatchKind

SENSIBLE: Final[Mapping[MismatchKind, frozenset[Policy]]] = {
    **dict.fromkeys(MismatchKind, frozenset({Policy.REFUSE, Policy.ADOPT})),
    K.STRAY_ORDER: frozenset(Policy),
    K.NO_ANSWER: frozenset({Policy.REFUSE}),
}
"""Which policies a class can have. Only an order of our own is ever cancelled."""

OWN_EVIDENCE: Final = frozenset({K.MISSING_FILL, K.STALE_ORDER})
"""Classes that are about our own orders: the venue's evidence settles them, unless refused."""


SILENT_LOOKS: Final = 3
"""How many looks in a row a venue elsewhere may leave unanswered before that counts."""


@dataclass(frozen=True, slots=True)
class ReconciliationPlan:
    """
    How differences are looked for and what is done about them; times in ms of session time.

    ``every_ms`` is how often; 0 leaves it to the start, midnight and the end. A difference counts
    once it was seen twice, or is ``grace_ms`` old; where all news comes at once (``patient`` is
    false) it counts at first sight. ``policies`` says what differs from ``policy``.
    """

    policy: Policy = Policy.REFUSE
    policies: Mapping[MismatchKind, Policy] = field(default_factory=dict)
    every_ms: int = 30_000
    grace_ms: int = 10_000
    patient: bool = False

    def policy_of(self, kind: MismatchKind) -> Policy:
        """Return what is done about a difference of ``kind``."""
        given = self.policies.get(kind)
        if given is not None:
            return given
        if kind in OWN_EVIDENCE:
            return Policy.ADOPT
        return self.policy if self.policy in SENSIBLE[kind] else Policy.REFUSE


@dataclass(slots=True)
class Sighting:
    """One difference that is there: since when, and how often it was seen."""

    since: int
    looks: int = 0


class Watchlist:
    """
    The differences that were seen by the last look, and which of them have lasted.

    A difference is the same one as long as its kind, its subject and how far the sides are apart
    are: both may trade on meanwhile. One that changes is news under way.
    """

    def __init__(self, plan: ReconciliationPlan) -> None:
        """Begin with none."""
        self._plan = plan
        self._seen: dict[tuple[str, str, str], Sighting] = {}

    def look(self, now: int, found: Iterable[Mismatch]) -> list[Mismatch]:
        """Take what a look at ``now`` has found; return what has lasted, in the same order."""
        before, self._seen = self._seen, {}
        lasting = []
        for mismatch in found:
            key = (mismatch.kind.value, mismatch.subject, plain(mismatch.delta))
            sighting = before.get(key) or Sighting(now)
            sighting.looks += 1
            self._seen[key] = sighting
            if self._has_lasted(mismatch.kind, sighting, now):
                lasting.append(mismatch)
        return lasting

    def _has_lasted(self, kind: MismatchKind, sighting: Sighting, now: int) -> bool:
        if not self._plan.patient:
            return True
        old = now - sighting.since >= self._plan.grace_ms
        if kind is K.NO_ANSWER:  # in the middle of news it is the rule
            return old and sighting.looks >= SILENT_LOOKS
        return old or sighting.looks > 1

    def has_any(self, kinds: Container[MismatchKind]) -> bool:
        """Return whether the last look found a difference of these kinds, lasting or not."""
        return any(MismatchKind(kind) in kinds for kind, _, _ in self._seen)

    @property
    def any_new(self) -> bool:
        """Return whether something was seen only once, so that another look is due soon."""
        return any(sighting.looks == 1 for sighting in self._seen.values())
