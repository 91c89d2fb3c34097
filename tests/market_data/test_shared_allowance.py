"""The feed and the broker of an account at one venue use one allowance; the real ccxt asks."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import lowlevel
from market_data_house import BTC, MINUTE, LabVenue, minute, too_many

from brokers.ccxt.capabilities import Weights
from brokers.ccxt.lanes import Lane, Lanes, lanes_of
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import Allowance, CcxtVenue, Unshared, open_venue
from feeds.history import VenueTrouble
from tidegate.allowance import AccountsAllowance

EXCHANGE, ACCOUNT = "binanceusdm", "a test's own"
GRANTED = Weights(per_window=100, window_s=60.0, read=10)
QUESTIONS = 70
"""What questions may use of it; the rest is for cancels and orders."""


LOOKS = 500
"""How often it is looked whether a question has come that should not: about a second."""


class Seconds:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        await lowlevel.checkpoint()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def lanes(seconds: Seconds) -> Lanes:
    """Return the lanes that the broker of the account has made."""
    return lanes_of(EXCHANGE, ACCOUNT, GRANTED, seconds, seconds.sleep)


async def asked(venue: CcxtVenue) -> None:
    """Ask for a candle."""
    await venue.candles(BTC, MINUTE, minute(0), 1)


async def waits_for_its_turn(
    reach: Reach,
    lab: LabVenue,
    lanes: Lanes,
    seconds: Seconds,
    allowance: Allowance,
    looks: int = LOOKS,
) -> tuple[int, int]:
    """Return how often the venue was asked while the share of questions was used, and after."""
    lab.fill(range(2))
    async with open_venue(reach, allowance) as venue:
        await venue.load([BTC], "1m")
        lanes.allowance.told(QUESTIONS, seconds.now)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, venue)
            for _ in range(looks):
                await anyio.sleep(0.001)
                if lab.asked:
                    break
            meanwhile = len(lab.asked)
            # Whatever questions have used, a cancel goes at once.
            with anyio.fail_after(5):
                await lanes.turn(Lane.CANCEL, 1)
            seconds.now += GRANTED.window_s + 1
    return meanwhile, len(lab.asked)


async def test_a_question_of_the_feed_waits_behind_the_brokers(
    reach: Reach, venue: LabVenue, lanes: Lanes, seconds: Seconds
) -> None:
    """It goes when there is room again, and what is reserved for cancels is never touched."""
    shared = AccountsAllowance(EXCHANGE, ACCOUNT)

    assert (0, 1) == await waits_for_its_turn(reach, venue, lanes, seconds, shared)


async def test_without_sharing_it_asks_beyond_what_is_granted(
    reach: Reach, venue: LabVenue, lanes: Lanes, seconds: Seconds
) -> None:
    """Ablation: a feed that keeps ccxt's pace alone does not know what the broker has used."""
    found = await waits_for_its_turn(reach, venue, lanes, seconds, Unshared(), 60 * LOOKS)

    assert (1, 1) == found


async def test_what_the_feed_asks_is_counted_for_the_broker(
    reach: Reach, venue: LabVenue, lanes: Lanes
) -> None:
    """Its questions use up the allowance of questions."""
    before = lanes.allowance.used(0.0)
    venue.fill(range(2))
    async with open_venue(reach, AccountsAllowance(EXCHANGE, ACCOUNT)) as asking:
        await asking.load([BTC], "1m")
        await asked(asking)

    assert before + 2 * GRANTED.read == lanes.allowance.used(0.0)


async def test_a_venue_that_refuses_the_feed_is_left_alone_by_the_broker(
    reach: Reach, venue: LabVenue, lanes: Lanes
) -> None:
    """A Retry-After is for the address that asked, which is everybody here."""
    venue.fill(range(2))
    venue.faults.append(too_many(17))
    async with open_venue(reach, AccountsAllowance(EXCHANGE, ACCOUNT)) as asking:
        await asking.load([BTC], "1m")
        with pytest.raises(VenueTrouble):
            await asked(asking)

    assert 17.0 == lanes.allowance.pause_until_s


async def test_where_no_broker_asks_nobody_is_waited_for(reach: Reach, venue: LabVenue) -> None:
    """A feed beside a paper broker, or before its broker has connected."""
    alone: Any = AccountsAllowance(EXCHANGE, "nobody's")
    venue.fill(range(2))
    venue.faults.append(too_many(17))
    async with open_venue(reach, alone) as asking:
        await asking.load([BTC], "1m")
        with pytest.raises(VenueTrouble):
            await asked(asking)
        await asked(asking)

    assert 2 == len(venue.asked)


async def test_a_question_of_the_feed_keeps_no_place_for_ever(seconds: Seconds) -> None:
    """Where a venue takes one request at a time, the broker's cancel goes after any number."""
    one = Weights(per_window=100, window_s=60.0, read=10, at_once=1)
    lanes = lanes_of(EXCHANGE, "one at a time", one, seconds, seconds.sleep)
    shared = AccountsAllowance(EXCHANGE, "one at a time")
    with anyio.fail_after(5):
        for _ in range(3):
            await shared.turn()
        await lanes.turn(Lane.CANCEL, 1)

    assert 1 == lanes.allowance.under_way
