"""The scenarios of limits notice a limit that stands a hair beside where it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from ablations import all_of, file_of, unaltered, with_guards

from actors.risk import RiskLimits, guards_for
from actors.risk.rates import RateWindow
from actors.risk.registry import GUARDS
from actors.turns import Session
from scenarios.director import Alter
from scenarios.runner import run_scenario

FIELDS = {"strategy_budget": "strategy_budgets"}
"""Limits whose field of ``RiskLimits`` is not called like their guard."""

NO_NUMBERS = frozenset({"universe", "block_stacking"})

HAIR = Decimal("0.000001")
"""How much tighter a limit is set, as a part of it: what equalled it is beyond it then."""

SLACK = Decimal("0.06")
"""How much wider a limit is set: scenarios try something nearer beyond the edge than that."""


def moved(limits: RiskLimits, guard: str, part: Decimal) -> RiskLimits:
    """Return ``limits`` with one of them wider by ``part``; a count moves by one."""
    name = FIELDS.get(guard, guard)
    return replace(limits, **{name: _moved(getattr(limits, name), part)})


def _moved(value: Any, part: Decimal) -> Any:
    if isinstance(value, Mapping):
        return {key: _moved(amount, part) for key, amount in value.items()}
    if isinstance(value, int):
        return value + (1 if part > 0 else -1)
    return value * (1 + part)


def with_limit_moved(guard: str, part: Decimal) -> Alter:
    """Return an ablation in which one limit stands elsewhere, for guards, watch and windows."""

    def remembered(session: Session) -> None:
        memory = session.assembly.core.risk_memory
        limits = session.spec.limits
        if memory.watch is not None:
            memory.watch.limits = moved(limits, guard, part)
        if guard == "max_orders_per_minute":
            memory.openings = RateWindow(moved(limits, guard, part).max_orders_per_minute or 0)
        if guard == "max_cancels_per_minute":
            most = moved(limits, guard, part).max_cancels_per_minute or 0
            memory.cancels = RateWindow(most + 1)

    return all_of(with_guards(lambda old: guards_for(moved(old.limits, guard, part))), remembered)


NUMBERS = tuple(spec.name for spec in GUARDS if spec.name not in NO_NUMBERS)


TIGHTER_IS_MORE = frozenset({"min_reward_to_risk", "order_value_buffer_pct"})


def assert_noticed(guard: str, part: Decimal) -> None:
    """Assert that a moved limit changes what happens, and not only the figures in refusals."""
    altered = run_scenario(file_of(f"guards/{guard}"), alter=with_limit_moved(guard, part))
    other = [
        miss
        for miss in altered.misses
        if "causes say" not in miss.expected and "cause~" not in miss.expected
    ]

    assert unaltered(f"guards/{guard}").passed
    assert other, altered.report()


@pytest.mark.parametrize("guard", NUMBERS)
def test_the_scenario_of_a_limit_fails_where_the_limit_is_a_hair_tighter(guard: str) -> None:
    """What equals a limit passes: every scenario has an order, or an account, at the very edge."""
    assert_noticed(guard, HAIR if guard in TIGHTER_IS_MORE else -HAIR)


@pytest.mark.parametrize("guard", NUMBERS)
def test_the_scenario_of_a_limit_fails_where_the_limit_is_a_little_wider(guard: str) -> None:
    """What is beyond a limit is refused: every scenario tries something close beyond the edge."""
    assert_noticed(guard, -SLACK if guard in TIGHTER_IS_MORE else SLACK)
