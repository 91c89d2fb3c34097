"""Valuations: equity is cash plus what is held, at the start, each fill, midnight and the close."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import check_account_equation
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    PERP,
    START,
    Script,
    World,
    closes,
    flat,
    instruments_of,
    make_bar,
    make_world,
    on_bars,
)
from workloads import Step, busy_steps, market, trader

from messages import PortfolioMarked, Reconciled, Side, SnapshotTaken

ONE = Decimal(1)


def occasions(world: World) -> list[tuple[str, int]]:
    return [(mark.occasion, mark.at) for mark in world.all(PortfolioMarked)]


def test_a_session_is_valued_at_its_start_at_fills_and_at_its_close() -> None:
    """Each row says when and why; a fill's row carries the fill's time."""
    script = on_bars({0: lambda d: [d.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 3), script.spec()).run()

    assert occasions(world) == [
        ("start", START),
        ("fill", START + MINUTE),
        ("close", START + 3 * MINUTE),
    ]


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize("days", [1, 3, 10])
def test_every_midnight_of_a_gap_is_valued_at_its_own_time(days: int, queued: bool) -> None:
    """Several midnights between two bars: one row, one comparison and one snapshot for each."""
    script = on_bars({0: lambda d: [d.open(BTC, Side.BUY, ONE)]})
    bars = flat(BTC, 3, 100.0) + flat(BTC, 3, 250.0, start=START + days * DAY)
    world = make_world(bars, script.spec(), queued=queued).run()
    midnights = [at for occasion, at in occasions(world) if occasion == "midnight"]
    compared = [e.ts for e in world.entries if occasion_of(e.message) == "midnight"]
    marks = {m.marks for m in world.all(PortfolioMarked) if m.occasion == "midnight"}

    assert midnights == [START + (n + 1) * DAY for n in range(days)]
    assert compared == midnights
    assert marks == {((BTC, Decimal("100.0")),)}
    assert len(world.all(SnapshotTaken)) == days + 1
    assert [e.ts for e in world.entries] == sorted(e.ts for e in world.entries)


def occasion_of(message: object) -> str:
    return message.occasion if isinstance(message, Reconciled) else ""


def test_a_bar_that_closes_at_midnight_belongs_to_the_day() -> None:
    """Its close is the mark of that midnight."""
    script = on_bars({0: lambda d: [d.open(BTC, Side.BUY, ONE)]})
    start = START + DAY - 3 * MINUTE
    bars = closes(BTC, [100.0, 101.0, 102.0, 200.0, 201.0], start=start)
    world = make_world(bars, script.spec()).run()
    (midnight,) = [m for m in world.all(PortfolioMarked) if m.occasion == "midnight"]

    assert (midnight.at, midnight.marks) == (START + DAY, ((BTC, Decimal("102.0")),))


def test_a_midnight_on_which_nobody_is_positioned_is_valued_too() -> None:
    """The account has a row for every day, flat or not."""
    world = make_world(flat(BTC, 4, start=START + DAY - 2 * MINUTE), Script().spec()).run()
    (midnight,) = [m for m in world.all(PortfolioMarked) if m.occasion == "midnight"]

    assert midnight.marks == ()
    assert midnight.equity == midnight.cash == 1_000_000


def test_equity_by_hand_on_a_spot_round_trip() -> None:
    """Bought at 100, marked at 110, sold at 120 with ten basis points of fee on each side."""
    script = on_bars(
        {
            0: lambda d: [d.open(BTC, Side.BUY, ONE)],
            2: lambda d: [d.reduce(BTC, Side.SELL, ONE)],
        }
    )
    bars = [
        make_bar(BTC, START + n * MINUTE, close, open_=open_)
        for n, (open_, close) in enumerate([(90, 100), (100, 105), (105, 110), (120, 120)])
    ]
    world = make_world(
        bars, script.spec(), cash=1000, instruments=instruments_of([BTC], Decimal(10))
    ).run()
    rows: list[Any] = [(m.occasion, m.cash, m.equity, m.fees) for m in world.all(PortfolioMarked)]

    # A fill is valued at the open of its own bar, which is the newest price then.
    assert rows == [
        ("start", 1000, 1000, 0),
        ("fill", Decimal("899.9"), Decimal("999.9"), Decimal("0.1")),
        ("fill", Decimal("1019.78"), Decimal("1019.78"), Decimal("0.22")),
        ("close", Decimal("1019.78"), Decimal("1019.78"), Decimal("0.22")),
    ]


def test_equity_by_hand_on_a_short_perpetual() -> None:
    """Sold at 100: cash stays, the loss at 110 is unrealised, then realised at 120."""
    script = on_bars(
        {
            0: lambda d: [d.open(PERP, Side.SELL, Decimal(2))],
            2: lambda d: [d.reduce(PERP, Side.BUY, ONE)],
        }
    )
    bars = [
        make_bar(PERP, START + n * MINUTE, close, open_=open_)
        for n, (open_, close) in enumerate([(90, 100), (100, 105), (105, 110), (120, 130)])
    ]
    world = make_world(bars, script.spec(symbols=(PERP,)), cash=1000).run()
    rows: list[Any] = [
        (m.occasion, m.cash, m.equity, m.realized_pnl, m.unrealized_pnl)
        for m in world.all(PortfolioMarked)
    ]

    assert rows == [
        ("start", 1000, 1000, 0, 0),
        ("fill", 1000, 1000, 0, 0),
        ("fill", 980, 960, -20, -20),
        ("close", 980, 950, -20, -30),
    ]


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 29),
        st.sampled_from(("market", "limit", "stop", "close", "trailing")),
        st.sampled_from(Side),
        st.integers(1, 8),
        st.integers(-100, 100),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60)
@given(steps, st.integers(0, 40))
def test_the_account_equation_holds_in_every_row(work: Sequence[Step], fee_bps: int) -> None:
    """Recomputed from the fills alone, for spot and perpetuals together, exactly."""
    world = make_world(
        market(10),
        trader(work).spec("one", (BTC, ETH, PERP)),
        instruments=instruments_of((BTC, ETH, PERP), Decimal(fee_bps)),
        participation=Decimal("0.02"),
    ).run()

    check_account_equation(world)


def test_the_account_equation_holds_over_a_busy_session() -> None:
    """The same over hundreds of fills of two strategies in three markets."""
    world = make_world(
        market(150),
        trader(busy_steps(1, 450, 0.8)).spec("one", (BTC, ETH)),
        trader(busy_steps(2, 450, 0.8)).spec("two", (BTC, PERP)),
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10)),
    ).run()

    assert len(world.all(PortfolioMarked)) > 100
    check_account_equation(world)
