"""Plans: standing instructions of a strategy, carried out step by step in its name."""

from strategies.plans.check import problems_of
from strategies.plans.keeper import PlanKeeper, Told
from strategies.plans.outlook import StepState, StepView

__all__ = ["PlanKeeper", "StepState", "StepView", "Told", "problems_of"]
