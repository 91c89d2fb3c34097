"""What Health watches in one session, and by which figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from actors.health.circuits import CircuitRules
from actors.health.vitals import MB, VitalRules, Vitals
from actors.settings import HealthSettings

AS_FAST_AS_IT_GOES = 3_600.0
"""Session seconds that count as a real one where nobody waits: a look costs more than a bar."""


@dataclass(frozen=True, slots=True)
class HealthPlan:
    """
    What to watch; times in ms of session time.

    Without ``vitals`` the machine is not watched. ``probe_timeout_ms`` is how long a venue may
    take to answer a probe; a feed has the time in which a bar must come. ``reconnect`` says that
    the feed's source can fall silent while it is connected, and is to be opened anew then; history
    cannot.
    """

    circuits: CircuitRules = field(default_factory=CircuitRules)
    stale_after_ms: int = 90_000
    vital_rules: VitalRules = field(default_factory=VitalRules)
    vitals: Vitals | None = None
    check_every_ms: int = 5_000
    probe_timeout_ms: int = 10_000
    reconnect: bool = False

    def on_machine(self, vitals: Vitals, speed: float) -> HealthPlan:
        """
        Return this plan over ``vitals``, looked at in real time.

        The session runs ``speed`` times faster than the machine (0: as fast as it goes).
        """
        every_ms = round(self.check_every_ms * max(1.0, speed or AS_FAST_AS_IT_GOES))
        return replace(self, vitals=vitals, check_every_ms=every_ms)


def plan_of(
    settings: HealthSettings, *, stale_after_s: float, reconnect: bool = False
) -> HealthPlan:
    """Return the plan that ``[health]`` and ``feed.stale_after_s`` ask for."""
    return HealthPlan(
        CircuitRules(
            failure_streak=settings.failure_streak,
            success_streak=settings.success_streak,
            pause_ms=_ms(settings.pause_s),
            pause_growth=settings.pause_growth,
            pause_max_ms=_ms(settings.pause_max_s),
            rate_limit_pause_ms=_ms(settings.rate_limit_pause_s),
            probe_every_ms=_ms(settings.check_every_s),
            quiet_ms=_ms(settings.pause_max_s),
        ),
        _ms(stale_after_s),
        VitalRules(
            settings.min_free_mb * MB, settings.max_clock_offset_ms, settings.stalls_per_minute
        ),
        None,
        _ms(settings.check_every_s),
        _ms(settings.probe_timeout_s),
        reconnect,
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
