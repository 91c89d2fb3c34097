"""A short campaign, and what the machine that it runs on promises."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import anyio
import pytest
from campaign import quiet, tried
from checks import as_rounded
from machine import Machine
from plans import ALONE_EVERY, KINDS, planned
from workload import BTC

from messages import OrderRequest, OrderType, PositionSide, Side, TimeInForce

pytestmark = pytest.mark.exhaustive

SHORT = (3, 7, 11, 118, 121, 154, 203, 257)
"""Runs of several faults each: kills, restarts, both modes, with and without TLS are among them."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("number", SHORT)
def test_whatever_fails_the_books_are_the_truth_and_nothing_is_sent_twice(number: int) -> None:
    """A whole session under several faults at once: see ``checks`` for all that must hold."""
    outcome = tried(planned(1, number))

    assert [] == outcome.found, str(outcome)
    assert outcome.counts["orders sent"]


def test_every_kind_of_fault_has_runs_of_its_own() -> None:
    """One kind after the other, none left out; the others have at least two kinds at once."""
    numbers = range(len(KINDS) * ALONE_EVERY)
    plans = [planned(1, number) for number in numbers]

    assert list(KINDS) == [plan.kinds[0] for plan in plans if len(plan.kinds) == 1]
    assert all(len(plan.kinds) >= 2 for plan in plans if plan.number % ALONE_EVERY)


@pytest.mark.parametrize(
    ("side", "price", "arrived", "is_fine"),
    [
        (Side.SELL, "50030.3", "50031", True),
        (Side.SELL, "50030.3", "50030", False),
        (Side.BUY, "50030.3", "50030", True),
        (Side.BUY, "50030.3", "50031", False),
        (Side.SELL, "50030.3", "50032", False),
    ],
)
def test_a_limit_may_arrive_rounded_to_a_coarser_tick_and_never_through_itself(
    side: Side, price: str, arrived: str, *, is_fine: bool
) -> None:
    """A venue whose rules have changed takes whole ticks: what that makes of a price is known."""
    asked = limit(side, price)
    came = limit(side, arrived)

    assert is_fine is (as_rounded(asked, came).price == came.price)


def limit(side: Side, price: str) -> OrderRequest:
    """Return a limit order."""
    return OrderRequest(
        "o-1",
        "tg-1",
        "s",
        BTC,
        side,
        PositionSide.BOTH,
        OrderType.LIMIT,
        TimeInForce.GTC,
        Decimal("0.01"),
        0,
        price=Decimal(price),
    )


def test_waiting_costs_nothing_and_order_is_kept() -> None:
    """An hour of timers passes in their order; what a thread does takes no time at all."""
    order: list[str] = []

    async def wait(name: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        order.append(name)

    async def main() -> tuple[float, float]:
        began_s = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, "late", 3_600.0)
            tasks.start_soon(wait, "early", 1.0)
        waited_s = time.monotonic() - began_s
        await anyio.to_thread.run_sync(real_sleep, 0.02)
        return waited_s, time.monotonic() - began_s

    waited_s, all_s = Machine().run(main)

    assert ["early", "late"] == order
    assert pytest.approx(3_600.0, abs=0.1) == waited_s
    assert pytest.approx(waited_s, abs=0.1) == all_s


def real_sleep(delay_s: float) -> None:
    """Keep a thread busy for a while that is the operating system's and not the machine's."""
    threading.Event().wait(delay_s)


def test_the_same_seed_is_the_same_run() -> None:
    """What fails can be seen again: requests, orders and faults are the same."""
    first, second = (tried(planned(1, 11)) for _ in range(2))

    assert first.counts == second.counts
    assert first.struck == second.struck
