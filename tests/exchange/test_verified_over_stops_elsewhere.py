"""A session at a venue elsewhere, however it was stopped, killed and gone on with, is the same."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from exchange_house import serving
from recorded_house import QUICK, WELL

sys.path.append(str(Path(__file__).parents[1] / "safety"))

from stopped_house import Life, spec_of

from actors.runtime.clock import sleep_s, wall_ms
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.virtual.address import MachineClock
from brokers.virtual.broker import VirtualBroker
from scenarios.exchange.facts import Terms
from state.reconciliation_policy import ReconciliationPlan

LOST: list[dict[str, Any]] = [
    {"fault": "lose_answers", "on": ["submit"], "chance": 0.3},
    {"fault": "duplicate_news", "chance": 0.3},
    {"fault": "reorder_news", "chance": 0.3},
]


async def alive(folder: Path, seed: int, *faults: dict[str, Any]) -> Life:
    """Run a session at an exchange with ``faults`` over the ends of its processes."""
    listed = spec_of(folder)
    terms = Terms(dict(listed.instruments), listed.currency, listed.cash, "venue")
    async with serving(folder / "truth", *faults, listed=terms, seed=seed) as (_, url):

        def broker(engine: MatchingEngine) -> SessionBroker:
            address = replace(WELL, url=url)
            clock = MachineClock(wall_ms, sleep_s)
            return VirtualBroker(address, clock, source=engine.config.trade_tag)

        plan = ReconciliationPlan(every_ms=120_000, patient=True)
        life = Life(folder, seed, {"broker": broker, "doubts": QUICK, "reconciliation": plan})
        await life.run()
    return life


def check_same(folder: Path, seed: int, *faults: dict[str, Any]) -> None:
    """Check that nothing differs."""
    life = anyio.run(alive, folder, seed, *faults)

    assert "" == life.difference(), f"seed {seed}: {life.ended}"


@pytest.mark.parametrize("seed", range(3))
def test_a_session_elsewhere_is_the_same_wherever_its_processes_ended(
    tmp_path: Path, seed: int
) -> None:
    """Stopped or dead between bars, amid the news, gone on with, and again."""
    check_same(tmp_path, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("faults", [[], LOST], ids=["all is well", "lost answers"])
@pytest.mark.parametrize("seed", range(3, 30))
def test_a_session_elsewhere_is_the_same_wherever_else_its_processes_ended(
    tmp_path: Path, seed: int, faults: list[dict[str, Any]]
) -> None:
    """The same at many more moments, and where answers get lost."""
    check_same(tmp_path, seed, *faults)
