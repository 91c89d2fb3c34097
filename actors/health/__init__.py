"""Health: circuits of tools, freshness of data, vitals of the machine. It never trades."""

from actors.health.actor import HealthActor, HealthState, Ports
from actors.health.circuits import CircuitRules, Circuits, CircuitState
from actors.health.freshness import Freshness, overdue
from actors.health.plan import HealthPlan, plan_of
from actors.health.vitals import MachineVitals, Reading, VitalRules, Vitals, judge
from actors.health.wiring import NOTHING_STALE, Watch, watch

__all__ = [
    "NOTHING_STALE",
    "CircuitRules",
    "CircuitState",
    "Circuits",
    "Freshness",
    "HealthActor",
    "HealthPlan",
    "HealthState",
    "MachineVitals",
    "Ports",
    "Reading",
    "VitalRules",
    "Vitals",
    "Watch",
    "judge",
    "overdue",
    "plan_of",
    "watch",
]
