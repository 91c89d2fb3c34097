"""The driver lets an order go first: before collections, long states, and syncs of mere news."""

from __future__ import annotations

import asyncio

import pytest
from session_world import BTC, Script, flat, make_spec

from actors.inbox import Inbox
from actors.keeping import Keeper
from actors.paced import PacedDriver
from actors.runtime import AfterCommit, Pacer
from actors.runtime.limits import CHART_KEPT_EVERY
from actors.session import Session
from feeds.memory import MemoryFeed
from messages import OrderCommitted
from state.journal import Journal
from state.precedence import Precedence


class House:
    """A session that has started, its driver, and the commits that it asked for."""

    def __init__(self) -> None:
        spec = make_spec(MemoryFeed({BTC: flat(BTC, 4)}), Script().spec())
        groups = iter(spec.feed.groups())
        self.commits = 0
        self.hastened = False
        self.session = Session(spec, "test-abc", Counting(self), next(groups))
        self.session.start()
        self.session.assembly.dispatcher.settle_all()
        self.precedence = Precedence()
        inbox = Inbox()
        inbox.open(self.session)
        self.driver = PacedDriver(
            self.session,
            Pacer(0),
            inbox,
            stop=lambda: False,
            on_progress=lambda _count: None,
            precedence=self.precedence,
        )


class Counting(Journal):
    """A journal in memory that counts who waits for it."""

    def __init__(self, house: House) -> None:
        super().__init__([])
        self.house = house

    async def commit(self) -> int:
        """Count, and commit."""
        self.house.commits += 1
        return await super().commit()

    def hasten(self) -> None:
        """Note that what there is goes to the disk."""
        self.house.hastened = True


@pytest.mark.parametrize(
    ("elsewhere", "follows", "waited"),
    [(True, False, 0), (True, True, 1), (False, False, 1), (False, True, 1)],
)
async def test_news_of_a_venue_elsewhere_is_not_waited_for(
    elsewhere: bool, follows: bool, waited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hastened to the disk, and the venue has it; an order, and all else, waits for that."""
    house = House()
    await house.driver.commit()
    before = house.commits
    if elsewhere:
        monkeypatch.setattr(house.driver, "_witness", object())
    dispatcher = house.session.assembly.dispatcher
    cell = house.session.assembly.execution_cell
    committed = OrderCommitted("nobody's")
    if follows:
        dispatcher.emit(cell, (AfterCommit(committed),), "test")
    else:
        dispatcher.tell(cell, committed, "test")
    await house.driver.commit()
    await asyncio.sleep(0)

    assert waited == house.commits - before
    assert house.hastened is (not waited)
    assert not dispatcher.pending


@pytest.mark.parametrize("handed_over", [False, True])
async def test_what_was_handed_over_leaves_before_the_driver_goes_on(handed_over: bool) -> None:
    """Whoever sends it has its turn within the commit; without it nobody has."""
    house = House()
    await house.driver.commit()
    left: list[str] = []
    if handed_over:
        house.precedence.hold("order")
    asyncio.get_running_loop().call_soon(left.append, "order")
    await house.driver.commit()

    assert handed_over is bool(left)


@pytest.mark.parametrize("on_the_way", [False, True])
async def test_no_collection_while_an_order_is_on_its_way(
    on_the_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver rests by then, for it has nothing to do; the order has not left yet."""
    house = House()
    taken: list[bool] = []
    monkeypatch.setattr(house.driver._rests, "take", lambda: taken.append(True))
    if on_the_way:
        house.precedence.hold("order")
    await house.driver._until(house.session.assembly.clock.now)

    assert on_the_way is not bool(taken)


async def test_a_driver_has_precedence_but_when_it_rests() -> None:
    """From the moment at which it is stirred, before it has had its turn."""
    house = House()
    task = asyncio.ensure_future(house.driver._rest(60.0))
    await asyncio.sleep(0)
    at_rest = house.precedence.is_clear
    house.driver.stir()
    stirred = house.precedence.is_clear
    await task

    assert (True, False, False) == (at_rest, stirred, house.precedence.is_clear)


@pytest.mark.parametrize("ablated", [False, True])
def test_charts_are_not_encoded_on_the_way_of_an_order(ablated: bool) -> None:
    """They fall due while one is, and wait for a batch that nobody waits for; not without end."""
    loop = asyncio.new_event_loop()
    try:
        house = loop.run_until_complete(_made())
    finally:
        loop.close()
    session, precedence = house.session, Precedence()
    keeper = Keeper(session, precedence=None if ablated else precedence)
    first = "charts" in keeper.states()
    precedence.hold("order")
    found = []
    for turns in (CHART_KEPT_EVERY, 2 * CHART_KEPT_EVERY - 1, 2 * CHART_KEPT_EVERY):
        session.turns = turns
        found.append("charts" in keeper.states())
    assert first
    assert ([True, False, True] if ablated else [False, False, True]) == found


async def _made() -> House:
    return House()


def test_charts_that_are_due_are_kept_with_the_next_quiet_batch() -> None:
    """The first one that no order waits for."""
    loop = asyncio.new_event_loop()
    try:
        session = loop.run_until_complete(_made()).session
    finally:
        loop.close()
    precedence = Precedence()
    keeper = Keeper(session, precedence=precedence)
    keeper.states()
    session.turns = CHART_KEPT_EVERY + 1
    precedence.hold("order")
    on_the_way = "charts" in keeper.states()
    precedence.release("order")

    assert (False, True) == (on_the_way, "charts" in keeper.states())
