"""A policy or a plan whose field is of another type is told by that field, in few words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.strategy.border import MalformedIntent, brief, check_policy
from actors.strategy.forms import Misfit, misfit_of
from messages import (
    ExecutionPolicy,
    FallbackOn,
    MarketFallback,
    OrderType,
    Plan,
    PlanStop,
    PlanTarget,
    Reprice,
    Retry,
)

TWO = Decimal(2)
AT_LIMIT = ExecutionPolicy(OrderType.LIMIT)
LIMIT: Any = {"order_type": OrderType.LIMIT, "limit_price": TWO}


@pytest.mark.parametrize(
    ("value", "misfit"),
    [
        (
            ExecutionPolicy(**LIMIT, fallback=MarketFallback(FallbackOn.TIMEOUT)),  # type: ignore[arg-type]
            ("fallback.on", "timeout", "a tuple"),
        ),
        (ExecutionPolicy(**LIMIT, timeout_ms="soon"), ("timeout_ms", "soon", "int or None")),  # type: ignore[arg-type]
        (ExecutionPolicy(**LIMIT, timeout_ms=1.5), ("timeout_ms", 1.5, "int or None")),  # type: ignore[arg-type]
        (
            ExecutionPolicy(**LIMIT, fallback=FallbackOn.TIMEOUT),  # type: ignore[arg-type]
            ("fallback", "timeout", "a struct of its own kind or None"),
        ),
        (
            ExecutionPolicy(**LIMIT, reprice=Reprice(1_000, 3, 99.5)),  # type: ignore[arg-type]
            ("reprice.worst_price", 99.5, "a Decimal"),
        ),
        (
            ExecutionPolicy(**LIMIT, retry=Retry(1, ("tired",))),  # type: ignore[arg-type]
            ("retry.codes[0]", "tired", "fields of their own types"),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_field_of_a_policy_is_named(value: Any, misfit: tuple[str, object, str]) -> None:
    """Where it is, what was found, what is needed."""
    found = misfit_of(value, ExecutionPolicy)

    assert found is not None
    assert misfit[2] in found.expected
    if misfit[2] != "fields of their own types":
        assert misfit[:2] == found[:2]


@pytest.mark.parametrize(
    ("plan", "misfit"),
    [
        (Plan(stop=PlanStop(distance_bps=5.0)), Misfit("stop.distance_bps", 5.0, "a Decimal")),  # type: ignore[arg-type]
        (
            Plan(targets=(PlanTarget(TWO), PlanTarget(TWO, share=0.5))),  # type: ignore[arg-type]
            Misfit("targets[1].share", 0.5, "a Decimal"),
        ),
        (Plan(targets=PlanTarget(TWO)), Misfit("targets", {"price": "2"}, "a tuple")),  # type: ignore[arg-type]
        (Plan(time_stop=1.5), Misfit("time_stop", 1.5, "int or None")),  # type: ignore[arg-type]
    ],
    ids=lambda value: value.at if isinstance(value, Misfit) else "",
)
def test_the_field_of_a_plan_is_named(plan: Plan, misfit: Misfit) -> None:
    """However deep it is."""
    assert misfit == misfit_of(plan, Plan)


def test_what_has_its_form_has_no_misfit() -> None:
    """A policy and a plan of the right types are left alone."""
    retry = Retry(2, ())

    assert misfit_of(ExecutionPolicy(**LIMIT, retry=retry, timeout_ms=5), ExecutionPolicy) is None
    assert (
        misfit_of(Plan(stop=PlanStop(TWO), targets=(PlanTarget(TWO, how=AT_LIMIT),)), Plan) is None
    )


def test_another_class_is_no_plan() -> None:
    """Also one that is written like it."""
    assert Misfit("", AT_LIMIT, "Plan") == misfit_of(AT_LIMIT, Plan)


def test_what_cannot_be_written_has_no_form() -> None:
    """A lambda for a price is told in the words of whoever could not write it."""
    found = misfit_of(ExecutionPolicy(stop_price=lambda: 5), ExecutionPolicy)  # type: ignore[arg-type]

    assert found is not None
    assert "unsupported" in found.expected


def test_an_error_is_short_enough_to_be_read() -> None:
    """A struct is told by its kind, and whatever is long is cut."""
    policy = ExecutionPolicy(**LIMIT, fallback=MarketFallback(FallbackOn.TIMEOUT))  # type: ignore[arg-type]

    with pytest.raises(MalformedIntent) as refused:
        check_policy(policy)

    assert "policy.fallback.on is 'timeout', expected a tuple" == str(refused.value)
    assert "one ExecutionPolicy" == brief(policy)
    assert 60 == len(brief("x" * 500))
    assert isinstance(policy, msgspec.Struct)
