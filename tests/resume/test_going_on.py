"""Sessions cut at any batch of their journal go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder_makers import HYPE, ladder_spec, wander
from resumed_world import Act, Disk, Process, Trader, check_sound, run_cut, trader_spec
from session_world import BTC, PERP, instruments_of, make_spec
from workloads import SYMBOLS, Step, busy_steps, market

from actors.commands import Request
from actors.risk import RiskLimits
from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import (
    ActorFailed,
    CommandVerb,
    Fill,
    FundingRate,
    HoldMode,
    MinimumOrder,
    PositionMode,
    PositionSide,
    Side,
)
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Intents

pytestmark = pytest.mark.exhaustive

BARS = 24
CUTS = 3
LIMITS = RiskLimits(
    max_orders_per_minute=8,
    max_cancels_per_minute=20,
    max_drawdown_pct=Decimal(50),
    max_daily_loss=Decimal(5000),
)


def traders(seed: int, *, hedge: bool = False) -> SessionSpec:
    """Return a session of two traders in three markets that do a bit of everything."""
    markets = market(BARS, seed)
    specs = [
        trader_spec(busy_steps(seed * 10 + number, BARS * 3, 0.6), name, SYMBOLS)
        for number, name in enumerate(("one", "two"))
    ]
    return make_spec(
        MemoryFeed(markets),
        *specs,
        instruments=instruments_of(markets, Decimal(10)),
        limits=LIMITS,
        participation=Decimal("0.3") if seed % 2 else Decimal(1),
        position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
    )


def ladder(seed: int, *, hedge: bool = False) -> SessionSpec:
    """Return a session of a ladder with a backoff, resting rungs, rollbacks and partial fills."""
    spec = ladder_spec(
        "dual_dca",
        quantity=Decimal(5),
        rungs=3,
        step_bps=Decimal(40),
        take_profit_bps=Decimal(60),
        dca_order_type="limit",
        resting_rungs=2,
        backoff_base_s=90,
    )
    return make_spec(
        MemoryFeed({HYPE: wander(60, seed, dip=9)}),
        spec,
        instruments=instruments_of((HYPE,), Decimal(5)),
        limits=RiskLimits(max_orders_per_minute=3, max_drawdown_pct=Decimal(60)),
        participation=Decimal("0.3"),
        position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
    )


def silent(spec: SessionSpec) -> SessionSpec:
    """
    Return a session whose ladder wants nothing because it starts.

    It may do so, as after a failure; but then it asks at once for what the next bar would bring.
    """

    def make(desk: Desk, params: StrategyParams) -> Strategy:
        strategy = ladder_factory(desk, params)
        setattr(strategy, "on_start", lambda: None)  # noqa: B010 - a method of one instance
        return strategy

    (one,) = spec.strategies
    ladder_factory = one.factory
    return replace(spec, strategies=(replace(one, factory=make),))


def command(verb: CommandVerb, **more: object) -> Act:
    """Return an act by which an operator gives a command."""

    def give(process: Process) -> None:
        request = Request(verb=verb, by="test", reason="drill", **more)  # type: ignore[arg-type]
        process.assembly.desk.take(request)

    return give


def circuit(process: Process) -> None:
    """Hold what opens in order, as an open circuit does."""
    process.assembly.supervisor.hold_open(
        "drill-circuit", "a drill", mode=HoldMode.BLOCK, until=process.assembly.clock.now + 150_000
    )


def brief(process: Process) -> None:
    """The same, over before the intent that waits behind it is too old."""
    process.assembly.supervisor.hold_open(
        "drill-circuit", "a drill", mode=HoldMode.BLOCK, until=process.assembly.clock.now + 30_000
    )


def funding(process: Process) -> None:
    """Settle funding."""
    process.session.observe(FundingRate(PERP, process.assembly.clock.now, 0.0001))


def minimum(process: Process) -> None:
    """Let the venue ask for more."""
    now = process.assembly.clock.now
    process.session.change_minimum(MinimumOrder(BTC, now, Decimal("0.5"), None))


def failing(process: Process) -> None:
    """Let strategy one fail until it is quarantined."""
    cell = process.assembly.strategy_cells["one"]
    for _ in range(20):
        process.assembly.supervisor.actor_failed(cell, None, RuntimeError("a drill"))
        while process.session.fire_next(process.assembly.clock.now + 59_000) and not cell.runs:
            process.assembly.dispatcher.settle_all()


def failure(process: Process) -> None:
    """Let strategy one fail, once: it restarts a second later."""
    cell = process.assembly.strategy_cells["one"]
    if cell.runs:
        process.assembly.supervisor.actor_failed(cell, None, RuntimeError("a drill"))


ACTS: Mapping[str, Mapping[int, Act]] = {
    "nothing": {},
    "stopped and resumed": {
        4: command(CommandVerb.STOP_NEW_ORDERS),
        20: command(CommandVerb.RESUME),
    },
    # At a whole minute: that is where sessions are stopped, and where other timers are due.
    "paused with an end": {6: command(CommandVerb.PAUSE, for_s=300.001)},
    "a circuit": {5: circuit, 15: circuit},
    "funding and a minimum": {5: funding, 9: minimum, 14: funding},
}


def check_every_way(
    make: Callable[[], SessionSpec], acts: Mapping[int, Act], chance: Random, exactly: bool = True
) -> None:
    """Compare the whole session with itself, cut at batches chosen by ``chance``."""
    whole = Process(make(), Disk(), acts=acts).run()
    check_sound(whole)
    expected = whole.outcome()
    last = whole.session.turns
    sure = [batch for batch, turns in whole.sure if turns < last]
    for _ in range(CUTS):
        cut_at = chance.choice(sure if sure and chance.random() < 0.7 else range(whole.batches - 1))
        found, unsure = run_cut(make, [cut_at], acts)
        check_sound(found)
        if cut_at in sure and exactly:
            assert not unsure
            assert expected == found.outcome(), f"cut at batch {cut_at}"


@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_traders_cut_anywhere_go_on(seed: int, acts: Mapping[int, Act], *, hedge: bool) -> None:
    """Nothing between record and send: everything as if uninterrupted. Otherwise: sound."""
    check_every_way(lambda: traders(seed, hedge=hedge), acts, Random(seed))


@pytest.mark.parametrize("acts", [ACTS["nothing"], ACTS["a circuit"]])
@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_ladder_cut_anywhere_goes_on(seed: int, acts: Mapping[int, Act], *, hedge: bool) -> None:
    """Its rungs, lots, backoff and rollbacks are as they were."""
    check_every_way(lambda: silent(ladder(seed, hedge=hedge)), acts, Random(seed))
    check_every_way(lambda: ladder(seed, hedge=hedge), acts, Random(seed), exactly=False)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_session_that_is_killed_in_the_middle_goes_on_soundly(seed: int) -> None:
    """The kill is done once more from its beginning: how, is another matter."""
    acts: Mapping[int, Act] = {15: command(CommandVerb.KILL, flatten=True)}
    check_every_way(lambda: traders(seed), acts, Random(seed), exactly=False)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_session_whose_strategy_fails_goes_on_soundly(seed: int) -> None:
    """How far back a strategy goes that fails is another matter; nothing is lost or done twice."""
    acts: Mapping[int, Act] = {7: failure, 16: lambda process: process.session.take_snapshots()}
    check_every_way(lambda: traders(seed), acts, Random(seed), exactly=False)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_session_may_be_cut_again_and_again(seed: int) -> None:
    """The fifth process goes on like the second one."""
    chance = Random(seed)
    cuts = [chance.randrange(1, 60) for _ in range(5)]

    found, _ = run_cut(lambda: traders(seed), cuts)

    check_sound(found)


def test_a_kill_that_was_to_flatten_flattens_whenever_its_process_dies() -> None:
    """The operator asked for no position: whichever process comes to it sees to that."""
    acts = {15: command(CommandVerb.KILL, flatten=True)}
    whole = Process(ladder(3), Disk(), acts=acts).run()
    assert whole.assembly.books.ledger.flat
    around = [batch for batch, turns in whole.seen if 14 <= turns <= 20]

    for cut_at in around:
        found, _ = run_cut(lambda: ladder(3), [cut_at], acts)
        check_sound(found)
        assert found.assembly.books.ledger.flat, f"cut at batch {cut_at}"


def test_a_quarantined_strategy_stays_so_until_its_hold_is_lifted() -> None:
    """It does not start again, and its orders stay away; once the hold is lifted it does."""
    bars = {3: failing}
    disk = Disk()
    before = Process(traders(3), disk, acts=bars, cut_at=150).run()
    assert ["one"] == list(before.assembly.supervisor.quarantined)

    after = Process(traders(3), disk).run()

    assert {"one"} == set(after.assembly.supervisor.quarantined)
    assert 0 == after.assembly.strategy_cells["one"].incarnation
    assert 1 == after.assembly.strategy_cells["two"].incarnation
    check_sound(after)


def test_without_its_hold_a_quarantined_strategy_starts_again() -> None:
    """Whoever lifts the hold wants it to trade; the next process is its next chance."""

    def lift(process: Process) -> None:
        process.assembly.supervisor.lift("quarantine:one", "test", "repaired")

    disk = Disk()
    Process(traders(3), disk, acts={3: failing, 5: lift}, cut_at=200).run()

    after = Process(traders(3), disk).run()

    assert {} == after.assembly.supervisor.quarantined
    assert after.assembly.strategy_cells["one"].incarnation


class Clumsy(Trader):
    """A trader that fails on its second fill."""

    def on_fill(self, fill: Fill) -> Intents:
        """Fail on the second one, whatever it remembers."""
        if fill.trade_id.endswith("-2"):
            raise RuntimeError("a drill")
        return super().on_fill(fill)


def test_news_that_a_strategy_failed_on_is_not_lost_with_the_process() -> None:
    """Its desk and plans have taken it, although no incarnation has run since."""
    steps = [Step(2, "market", Side.BUY, 4), Step(4, "market", Side.BUY, 8)]
    bars = market(BARS, 1)[BTC]

    def make() -> SessionSpec:
        spec = replace(
            trader_spec((), "one", (BTC,)),
            factory=lambda desk, params: Clumsy(desk, params, steps),
        )
        return make_spec(MemoryFeed({BTC: bars}), spec)

    whole = Process(make(), Disk()).run()
    failed = {entry.seq for entry in whole.disk.entries if isinstance(entry.message, ActorFailed)}
    assert failed

    for cut_at in range(1, whole.batches - 1):
        found, _ = run_cut(make, [cut_at])
        check_sound(found)
        desk = found.assembly.core.houses["one"].desk
        position = found.assembly.books.ledger.position("one", BTC, PositionSide.BOTH)
        assert position is not None
        assert position.quantity == desk.position(BTC)


def test_a_session_goes_on_whatever_its_first_actor_has_to_say_under_a_kill() -> None:
    """A fallback that falls due at the start is refused by the kill before Risk has begun."""
    acts: Mapping[int, Act] = {15: command(CommandVerb.KILL, flatten=True)}

    check_every_way(lambda: traders(2000), acts, Random(2000), exactly=False)


def test_what_waits_behind_recovery_is_not_refused() -> None:
    """Intents of a turn that was cut in the middle wait for the comparison, and go out."""
    steps = [Step(2, "market", Side.BUY, 4)]
    bars = market(BARS, 1)

    def make() -> SessionSpec:
        return make_spec(MemoryFeed({BTC: bars[BTC]}), trader_spec(steps, "one", (BTC,)))

    acts: Mapping[int, Act] = {2: brief}
    whole = Process(make(), Disk(), acts=acts).run()
    cuts = [batch for batch, turns in whole.sure if 2 <= turns <= 4]
    assert cuts

    for cut_at in cuts:
        found, _ = run_cut(make, [cut_at], acts)
        assert whole.outcome() == found.outcome()
    assert whole.fills()
