"""
What is to be done about a child that failed: a pure function, and the words it uses.

Each child's spec says how it restarts, how often it may, and who depends on it. Past its restart
intensity, which has two bounds, a burst and a sustained rate, it takes the next rung of the ladder:

    restart (with backoff) -> quarantine (a strategy: its orders are cancelled, it runs no more)
    -> hold OPEN everywhere -> end the process, to come back held until reconciled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Restart(StrEnum):
    """What a child's failure does to the children declared after it."""

    ONE_FOR_ONE = "one_for_one"  # nothing
    REST_FOR_ONE = "rest_for_one"  # they restart too: they depend on it


class WhenExhausted(StrEnum):
    """The rung after the last restart that the intensity allows."""

    QUARANTINE = "quarantine"
    ABANDON = "abandon"  # do without it: it decides nothing
    HOLD = "hold"  # do without it, and let nothing open while nobody does its work
    HALT = "halt"


ABANDONED_HOLDS = "abandoned:"
"""How the hold begins of a child that is done without: its next first incarnation lifts it."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most ``burst`` restarts within ``burst_s`` and ``sustained`` within ``sustained_s``."""

    burst: int
    burst_s: float
    sustained: int
    sustained_s: float

    def allows(self, restarts: Sequence[int], now: int) -> bool:
        """Return whether one more restart at ``now`` (ms) stays within both bounds."""
        recent = sum(1 for at in restarts if now - at < self.burst_s * 1000)
        lately = sum(1 for at in restarts if now - at < self.sustained_s * 1000)
        return recent < self.burst and lately < self.sustained


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delay before restart number n (from 0): ``base_s * factor**n``, at most ``max_s``."""

    base_s: float = 1.0
    factor: float = 2.0
    max_s: float = 60.0

    def delay_s(self, restarts: int) -> float:
        """Return the delay before the next restart after ``restarts`` recent ones."""
        return min(self.max_s, self.base_s * self.factor ** min(restarts, 32))


STRATEGY_INTENSITY = Intensity(burst=3, burst_s=600.0, sustained=10, sustained_s=86_400.0)
CORE_INTENSITY = Intensity(burst=2, burst_s=60.0, sustained=5, sustained_s=86_400.0)
FEED_INTENSITY = Intensity(burst=5, burst_s=60.0, sustained=100, sustained_s=86_400.0)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How one child is kept alive."""

    name: str
    restart: Restart = Restart.ONE_FOR_ONE
    intensity: Intensity = CORE_INTENSITY
    backoff: Backoff = field(default_factory=Backoff)
    when_exhausted: WhenExhausted = WhenExhausted.HALT
    strategy: str | None = None
    holds_open_while_down: bool = False


@dataclass(frozen=True, slots=True)
class RestartChild:
    """
    Make a new incarnation after ``delay_s``.

    Of a ``healthy`` child, which restarts because of another, the state is kept first.
    """

    name: str
    delay_s: float
    healthy: bool = False


@dataclass(frozen=True, slots=True)
class QuarantineChild:
    """Stop a strategy for good and have its orders cancelled."""

    name: str
    strategy: str
    reason: str


@dataclass(frozen=True, slots=True)
class AbandonChild:
    """Go on without a child."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class HoldOpen:
    """Hold OPEN everywhere."""

    hold_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Halt:
    """End the session with the exit code of a fault inside."""

    reason: str


Action = RestartChild | QuarantineChild | AbandonChild | HoldOpen | Halt


def plan(
    specs: Sequence[ChildSpec],
    histories: Mapping[str, Sequence[int]],
    failed: str,
    now: int,
) -> list[Action]:
    """
    Return what to do about the failure of ``failed`` at ``now`` (ms), in order.

    ``histories`` holds the times of each child's restarts. Pure: the same arguments give the
    same actions.
    """
    names = [spec.name for spec in specs]
    position = names.index(failed)
    spec = specs[position]
    history = histories.get(failed, ())
    if not spec.intensity.allows(history, now):
        reason = f"{failed} failed more often than its restart intensity allows"
        if spec.when_exhausted is WhenExhausted.QUARANTINE and spec.strategy is not None:
            return [QuarantineChild(failed, spec.strategy, reason)]
        if spec.when_exhausted is WhenExhausted.ABANDON:
            return [AbandonChild(failed, reason)]
        if spec.when_exhausted is WhenExhausted.HOLD:
            return [HoldOpen(f"{ABANDONED_HOLDS}{failed}", reason), AbandonChild(failed, reason)]
        return [HoldOpen(f"failed:{failed}", reason), Halt(reason)]
    actions: list[Action] = []
    if spec.holds_open_while_down:
        actions.append(HoldOpen(f"restarting:{failed}", f"{failed} failed and is restarting"))
    recent = sum(1 for at in history if now - at < spec.intensity.burst_s * 1000)
    delay_s = spec.backoff.delay_s(recent)
    actions.append(RestartChild(failed, delay_s))
    if spec.restart is Restart.REST_FOR_ONE:
        actions.extend(
            RestartChild(later.name, delay_s, healthy=True) for later in specs[position + 1 :]
        )
    return actions
