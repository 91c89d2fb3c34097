"""Plans: standing instructions of a strategy, carried out step by step in its name."""

from strategies.plans.check import problems_of
from strategies.plans.keeper import PlanKeeper, Told

__all__ = ["PlanKeeper", "Told", "problems_of"]
