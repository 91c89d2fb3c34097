"""Scenarios in few words, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from actors.turns import Session
from scenarios.model import Scenario
from scenarios.reading import parse_scenario
from scenarios.runner import ScenarioResult, run_scenario

BTC = "BTC/USDT"
PERP = "BTC/USDT:USDT"
COMPLETED = ({"outcome": "completed"},)
Line = dict[str, Any]


def opens(bar: int, tag: str, quantity: str = "1", **more: Any) -> Line:
    """Return a line that buys at a bar."""
    return {"bar": bar, "do": "open", "side": "buy", "quantity": quantity, "tag": tag, **more}


def reduces(bar: int, tag: str, quantity: str = "1", **more: Any) -> Line:
    """Return a line that sells what is held at a bar."""
    return {"bar": bar, "do": "reduce", "side": "sell", "quantity": quantity, "tag": tag, **more}


def limit(price: str) -> dict[str, Any]:
    """Return the policy of a limit order."""
    return {"policy": {"order_type": "limit", "limit_price": price}}


def document(
    script: Sequence[Line] = (),
    steps: Sequence[Any] = (),
    expect: Sequence[Any] = COMPLETED,
    *,
    bars: int = 8,
    market: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a scenario's document over a flat market of ``bars`` bars at 100."""
    return {
        "scenario": "a test",
        "strategies": [{"name": "one", "use": "scripted", "script": list(script)}],
        "market": market or {BTC: {"flat": {"price": 100, "bars": bars}}},
        "steps": list(steps),
        "expect": list(expect),
        **more,
    }


def scenario(*args: Any, **more: Any) -> Scenario:
    """Return the scenario of a document made of these."""
    return parse_scenario(document(*args, **more), "test")


def rehearse(
    script: Sequence[Line] = (),
    steps: Sequence[Any] = (),
    expect: Sequence[Any] = COMPLETED,
    *,
    alter: Callable[[Session], None] | None = None,
    queued: bool = False,
    folder: Path | None = None,
    **more: Any,
) -> ScenarioResult:
    """Run a scenario made of these."""
    made = scenario(script, steps, expect, **more)
    return run_scenario(made, alter=alter, queued=queued, folder=folder)


def check_passes(result: ScenarioResult) -> None:
    """Assert that a scenario passed, or show why not."""
    assert result.passed, result.report()


def missed(result: ScenarioResult) -> list[str]:
    """Return ``place: expected -> found`` of every miss."""
    return [f"{miss.place}: {miss.expected} -> {miss.found}" for miss in result.misses]


def lines(result: ScenarioResult, *words: str) -> list[str]:
    """Return the timeline's lines that have all the words."""
    return [line for line in result.timeline if all(word in line for word in words)]
