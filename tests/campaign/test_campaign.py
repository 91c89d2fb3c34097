"""A short campaign, and what the machine that it runs on promises."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import anyio
import ccxt.async_support
import checks
import pytest
from campaign import Outcome, Strikes, parser, quiet, run, tried
from ccxt.async_support.base import throttler
from checks import CHECKS, as_rounded, strikes
from machine import BEGAN_S, Machine
from plans import ALONE_EVERY, KINDS, Feed, planned
from workload import BTC

from messages import OrderRequest, OrderType, PositionSide, Side, TimeInForce
from scenarios.exchange.faults import BAR_FAULTS

pytestmark = pytest.mark.exhaustive

SHORT = (7, 11, 24, 109, 118, 130, 203, 257)
"""
Runs of several faults each, and one of a single one: kills, restarts, both modes, with and without
TLS, bars that are given, polled and streamed, and funding are among them.
"""

LIVE = Feed.POLLED, Feed.STREAMED


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("number", SHORT)
def test_whatever_fails_the_books_are_the_truth_and_nothing_is_sent_twice(number: int) -> None:
    """A whole session under several faults at once: see ``checks`` for all that must hold."""
    outcome = tried(planned(1, number))

    assert [] == outcome.found, str(outcome)
    assert outcome.counts["orders sent"] or outcome.counts["bars listened to"]


def test_every_kind_of_fault_has_runs_of_its_own() -> None:
    """One kind after the other, none left out; the others have at least two kinds at once."""
    numbers = range(len(KINDS) * ALONE_EVERY)
    plans = [planned(1, number) for number in numbers]

    assert list(KINDS) == [plan.kinds[0] for plan in plans if len(plan.kinds) == 1]
    assert all(len(plan.kinds) >= 2 for plan in plans if plan.number % ALONE_EVERY)


def test_who_has_a_fault_of_bars_asks_for_them_and_a_share_of_the_others_does() -> None:
    """A fault of bars strikes who asks; feeds and funding are there with every other fault too."""
    plans = [planned(1, number) for number in range(len(KINDS) * ALONE_EVERY)]
    bars = {kind.value for kind in BAR_FAULTS}
    others = [plan for plan in plans if not bars & set(plan.kinds)]

    assert all(plan.feed in LIVE for plan in plans if bars & set(plan.kinds))
    assert {*Feed} == {plan.feed for plan in others}
    assert 0.2 < sum(bool(plan.funding) for plan in plans) / len(plans) < 0.6


def test_a_fault_that_is_alone_strikes_however_unlikely_it_is() -> None:
    """What chance has not let strike by the end of its time is made certain."""
    seldom = {"fault": "race_fills", "chance": 0.000_001}
    plan = replace(planned(1, 115), faults=(seldom,), funding=())
    outcome = tried(plan)

    assert [] == outcome.found, str(outcome)
    assert plan.alone
    assert 1 <= outcome.struck["race_fills"] <= 2


def test_a_campaign_in_which_a_kind_never_struck_has_failed_and_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1 although nothing else was found: the counts alone say it."""
    monkeypatch.setattr(checks, "CHECKS", tuple(each for each in CHECKS if each is not strikes))
    asked = parser().parse_args(["--run", "0", "--jobs", "1", "--without", "striking"])

    code = run(asked)

    printed = capsys.readouterr()
    assert 1 == code
    assert [] == json.loads(printed.out)["failures"]
    assert "never struck: lose_requests" in printed.err


def test_every_kind_is_counted_by_itself() -> None:
    """A kind that has struck only among others counts as one that never did."""
    counted = Strikes()
    plans = [planned(1, number) for number in range(len(KINDS) * ALONE_EVERY)]
    for plan in plans:
        struck = Counter({kind: 1 for kind in plan.kinds if not plan.alone or kind != "hang"})
        counted.take(Outcome(plan, struck=struck))

    assert ["hang"] == counted.never()
    assert counted.runs["hang"]


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


def test_who_took_the_clock_by_name_goes_by_the_machines_time() -> None:
    """
    ccxt's throttle asks ``time`` under a name of its own: by another clock than the loop's it would
    look once a millisecond for the tenth of a second that never passes.
    """
    exchange_class = ccxt.async_support.binanceusdm

    async def main() -> tuple[float, float]:
        exchange = exchange_class({"enableRateLimit": True, "rateLimit": 100})
        for _ in range(4):
            await exchange.throttle(1)
        return time.monotonic(), throttler.time()

    waited_s, told_s = Machine().run(main)

    assert pytest.approx(0.3, abs=0.05) == waited_s
    assert pytest.approx(BEGAN_S + waited_s, abs=0.01) == told_s
    assert throttler.time is time.time


def real_sleep(delay_s: float) -> None:
    """Keep a thread busy for a while that is the operating system's and not the machine's."""
    threading.Event().wait(delay_s)


def test_the_same_seed_is_the_same_run() -> None:
    """What fails can be seen again: requests, orders and faults are the same."""
    first, second = (tried(planned(1, 11)) for _ in range(2))

    assert first.counts == second.counts
    assert first.struck == second.struck
