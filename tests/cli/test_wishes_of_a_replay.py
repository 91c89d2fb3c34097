"""What a strategy with policies, plans and pauses leaves behind, verified and made again."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Tidegate

PRICES = [100.0, 101.0, 103.0, 102.0, 104.0, 106.0, 108.0, 107.0, 105.0, 104.0] * 3

PLANNER = '''"""Enters patiently, leaves by a plan, rests after refusals and pauses now and then."""

from decimal import Decimal

from messages import (
    ExecutionPolicy,
    FallbackOn,
    MarketFallback,
    OrderType,
    Plan,
    PlanStop,
    PlanTarget,
    Reprice,
    Rollback,
    Side,
)
from strategies import Strategy
from strategies.backoff import StrategyRejectionBackoff


class Planner(Strategy):
    """One trade after the other, each by a limit that follows the market and a plan."""

    uses_plans = True

    def __init__(self, desk, params):
        """Start with nothing asked."""
        super().__init__(desk, params)
        self.asked = 0
        self.backoff = StrategyRejectionBackoff(base_s=60)

    def execution_backoff(self):
        """Rest a minute after a refusal."""
        return self.backoff

    def book_state(self, symbol, position_side):
        """Return how often it has asked."""
        return self.asked

    def restore_book(self, symbol, position_side, state):
        """Take the count back."""
        self.asked = state

    def on_bar(self, bar):
        """Act by the number of the bar."""
        number = bar.timestamp // bar.timeframe_ms % 1440
        if number % 10 == 0:
            price = Decimal(repr(bar.close))
            policy = ExecutionPolicy(
                OrderType.LIMIT,
                limit_price=price - 1,
                timeout_ms=150_000,
                reprice=Reprice(60_000, 1, price),
                fallback=MarketFallback((FallbackOn.TIMEOUT,)),
                rollback=Rollback.IF_UNFILLED,
            )
            intent = self.desk.open(
                bar.symbol, Side.BUY, Decimal(1), policy=policy, decision_price=bar.close, tag="in"
            )
            self.asked += 1
            return [intent]
        if number % 10 == 4 and self.desk.position(bar.symbol):
            target = PlanTarget(distance_bps=Decimal(200))
            plan = Plan(PlanStop(distance_bps=Decimal(300)), (target,))
            return [self.desk.update_plan(bar.symbol, plan, tag="out")]
        if number == 12:
            too_much = self.desk.open(bar.symbol, Side.BUY, Decimal(10_000))
            return [self.desk.pause(self.desk.now + 60_000, "enough"), too_much]
        return None
'''


@pytest.fixture
def planned(tidegate: Tidegate, bars: Callable[..., Path]) -> Path:
    """Return the folder of a replay of the planner."""
    Path("planner.py").write_text(PLANNER)
    bars("a.csv", PRICES)
    ended = tidegate(
        "replay", "--data", "a.csv@A/USD", "--strategy", "planner.py:Planner", "--out", "out"
    )
    assert ended.exit_code == 0, ended.output
    return Path("out")


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open() as file:
        return list(csv.DictReader(file))


def test_all_of_it_is_in_the_files(planned: Path) -> None:
    """Entries with what they took, plans, their steps, the pause, what was refused; and trips."""
    intents = rows(planned / "intents.csv")
    actions = Counter(row["action"] for row in intents)
    (first, *_) = intents
    trips = rows(planned / "round_trips.csv")

    assert {"entry", "update_plan", "set_stop", "set_take_profit", "pause_trading"} <= set(actions)
    assert ["3", "1", "1", "filled"] == [
        first[name] for name in ("orders", "reprices", "fallbacks", "outcome")
    ]
    assert "refused" in {row["outcome"] for row in intents}
    assert trips[0]["plan_ids"]
    assert "1" == trips[0]["fallbacks"]
    assert "## Plans, rollbacks, backoffs" in (planned / "session.md").read_text()


def test_it_is_the_same_when_it_is_run_again(planned: Path, tidegate: Tidegate) -> None:
    """Plans, states, backoffs and further orders follow from data and seed like everything else."""
    verified = tidegate("verify", planned)

    assert verified.exit_code == 0, verified.output


def test_every_file_is_made_again_to_the_byte(planned: Path, tidegate: Tidegate) -> None:
    """From the journal alone, after somebody wrote into two of them."""
    before = {path.name: path.read_bytes() for path in planned.iterdir() if path.is_file()}
    for name in ("intents.csv", "round_trips.csv"):
        (planned / name).write_text("nonsense\n")
    found = tidegate("verify", planned)
    rebuilt = json.loads(tidegate("rebuild", planned, "--json").output)

    assert found.exit_code == 1
    assert "intents.csv is not what the session wrote" in found.output
    assert "round_trips.csv is not what the session wrote" in found.output
    assert "changed" in json.dumps(rebuilt)
    assert before == {path.name: path.read_bytes() for path in planned.iterdir() if path.is_file()}


def test_the_summary_tells_the_same(planned: Path, tidegate: Tidegate) -> None:
    """By strategy: what it took, what came of plans, what it cost."""
    summary = json.loads(tidegate("report", planned, "--json").output)["summary"]
    (result,) = summary["executions"]
    intents = [row for row in rows(planned / "intents.csv") if row["side"]]
    trips = rows(planned / "round_trips.csv")

    assert len(intents) == result["intents"]
    assert sum(int(row["orders"]) for row in intents) == result["orders"]
    assert len([row for row in trips if row["state"] != "open"]) == result["trips"]["closed"]
    assert result["plans"]["adopted"] >= 1
    assert 1 == result["backoffs"]


def test_a_step_of_a_plan_is_explained_up_to_the_bar(planned: Path, tidegate: Tidegate) -> None:
    """From the order that took the profit to the plan, and the bar that it was handed in at."""
    step = next(row for row in rows(planned / "intents.csv") if row["action"] == "set_take_profit")
    told = tidegate("explain", step["intent_id"], "--session", planned, "--json")
    document = json.loads(told.output)

    assert ["order", "intent", "plan_step", "plan", "market"] == [
        link["kind"] for link in document["chain"]
    ]
    assert step["plan_id"] == document["chain"][3]["id"]
