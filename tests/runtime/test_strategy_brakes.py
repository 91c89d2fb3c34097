"""A strategy's own brakes: its circuit, its backoff, its pause; and the venue's least order."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from session_world import BTC, ETH, MINUTE, START, World, flat, instruments_of, make_world

from actors.assembly import StrategySpec
from messages import (
    BackoffChanged,
    Bar,
    HoldLifted,
    HoldPlaced,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    RiskDecision,
    Side,
    Verdict,
)
from strategies import Desk, Strategy, StrategyParams
from strategies.backoff import StrategyRejectionBackoff
from strategies.contract import Intents

ONE = Decimal(1)
TINY = Decimal("0.001")

both = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


class Braked(Strategy):
    """Opens at every bar what ``size`` says, closes where it says none; brakes by its class."""

    size: Callable[[int], Decimal | None] = staticmethod(lambda _n: ONE)

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        super().__init__(desk, params)
        self.minimums: list[MinimumOrder] = []
        self.asked: list[OpenIntent] = []

    def on_bar(self, bar: Bar) -> Intents:
        size = type(self).size((bar.timestamp - START) // MINUTE)
        if size is None:
            return [self.desk.close(bar.symbol)] if self.desk.position(bar.symbol) else None
        return [self.desk.open(bar.symbol, Side.BUY, size)]

    def set_broker_min_order(self, minimum: MinimumOrder) -> None:
        self.minimums.append(minimum)


def run(
    kind: type[Braked], *, bars: int = 5, symbols: tuple[str, ...] = (BTC,), **settings: bool
) -> tuple[World, list[Braked]]:
    """Run a strategy of a class; return the world and its incarnations."""
    made: list[Braked] = []

    def make(desk: Desk, params: StrategyParams) -> Braked:
        made.append(kind(desk, params))
        return made[-1]

    spec = StrategySpec("one", make, StrategyParams(), symbols)
    rules = instruments_of(symbols, min_quantity=Decimal("0.01"))
    world = make_world({s: flat(s, bars) for s in symbols}, spec, instruments=rules, **settings)
    return world.run(), made


def refusals(world: World) -> list[list[str]]:
    return [
        [cause.code.value for cause in decision.causes]
        for decision in world.all(RiskDecision)
        if decision.verdict is Verdict.DENIED
    ]


# -- its own circuit


class Circuit(Braked):
    """Opens nothing once it holds two, and says why."""

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        self.asked.append(intent)
        return "two are enough" if self.desk.position(intent.symbol) >= 2 else None


@both
def test_a_strategys_own_circuit_withholds_openings_and_its_reason_is_kept(queued: bool) -> None:
    """The intent is journaled with the reason, refused by Risk, and answered like any other."""
    world, (one,) = run(Circuit, queued=queued)

    assert [["strategy_declined"]] * 3 == refusals(world)
    assert "two are enough" in world.all(RiskDecision)[-1].causes[0].detail
    assert 2 == len(world.sent())
    assert 5 == len(one.asked)
    assert 0 == one.desk.pending(BTC)


def test_what_reduces_is_not_asked_for() -> None:
    """A circuit that is open never keeps a position from being left."""

    class Leaves(Circuit):
        size = staticmethod(lambda n: ONE if n < 4 else None)

    _, (one,) = run(Leaves, bars=6)

    assert 0 == one.desk.position(BTC)
    assert all(isinstance(intent, OpenIntent) for intent in one.asked)


# -- its backoff


class Patient(Braked):
    """Is refused for its size, and rests for a minute and a half after it."""

    size = staticmethod(lambda n: TINY if n == 0 else ONE)

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        super().__init__(desk, params)
        self.patience = StrategyRejectionBackoff(base_s=90)

    def execution_backoff(self) -> StrategyRejectionBackoff:
        return self.patience


@both
def test_a_backoff_keeps_openings_back_until_its_time_and_tells_of_itself(queued: bool) -> None:
    """Refused at one minute: nothing at two, something at three; a fill ends the row."""
    world, _ = run(Patient, queued=queued)
    said = [
        (c.at - START, c.failures, c.until - START) for c in world.all(BackoffChanged) if c.until
    ]

    assert [["quantity_below_min"], ["strategy_backoff"]] == refusals(world)
    assert [(MINUTE, 1, MINUTE + 90_000)] == said
    assert 0 == world.all(BackoffChanged)[-1].failures
    assert 3 == len(world.sent())


def test_a_backoff_of_one_symbol_keeps_no_other_back() -> None:
    """Each symbol and family of orders for itself."""

    class Picky(Patient):
        def on_bar(self, bar: Bar) -> Intents:
            size = TINY if bar.symbol == BTC and not self.desk.position(ETH) else ONE
            return [self.desk.open(bar.symbol, Side.BUY, size)]

    world, _ = run(Picky, symbols=(BTC, ETH), bars=3)

    assert {BTC} == {d.symbol for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED}
    assert 3 == len([r for r in world.reports() if r.symbol == ETH and r.event.value == "sent"])


def test_a_backoff_survives_its_strategys_failure() -> None:
    """The next incarnation rests as long as this one would have."""

    class Fails(Patient):
        def on_bar(self, bar: Bar) -> Intents:
            if bar.timestamp == START + MINUTE and not self.patience.failures(
                BTC, OrderFamily.ENTRY
            ):
                raise AssertionError("it has been refused")
            if bar.timestamp == START + MINUTE:
                raise RuntimeError("a bug of the user's")
            return super().on_bar(bar)

    world, made = run(Fails)

    assert 2 == len(made)
    assert 1 == len(refusals(world))


# -- its pause


@both
def test_a_pause_holds_its_own_openings_until_its_time(queued: bool) -> None:
    """Of one symbol here: the other goes on, what closes goes on, and the hold ends by itself."""

    class Pauses(Braked):
        def on_bar(self, bar: Bar) -> Intents:
            number = (bar.timestamp - START) // MINUTE
            if number == 1 and bar.symbol == BTC:
                return [self.desk.pause(self.desk.now + 2 * MINUTE, "news", symbol=BTC)]
            if number == 2 and bar.symbol == BTC:
                return [self.desk.open(BTC, Side.BUY, ONE), self.desk.close(BTC)]
            return [self.desk.open(bar.symbol, Side.BUY, ONE)]

    world, _ = run(Pauses, symbols=(BTC, ETH), bars=6, queued=queued)
    placed = [hold.hold for hold in world.all(HoldPlaced)]

    assert ["pause-trading:one:BTC/USDT"] == [hold.hold_id for hold in placed]
    assert ("news", "strategy:one", START + 4 * MINUTE) == (
        placed[0].cause,
        placed[0].set_by,
        placed[0].until,
    )
    # At its last moment too: what the market brings at a time comes before what ends at it.
    assert [["held"]] * 2 == refusals(world)
    lifted = [hold.hold.hold_id for hold in world.all(HoldLifted)]
    assert ["pause-trading:one:BTC/USDT"] == lifted
    assert 6 == len([r for r in world.reports() if r.symbol == ETH and r.event.value == "sent"])


# -- the venue's least order


def test_a_strategy_is_told_the_least_order_before_its_start_and_when_it_changes() -> None:
    """By its hook and at its desk, each incarnation anew."""
    _, (one,) = run(Braked)

    assert [(BTC, Decimal("0.01"))] == [(m.symbol, m.min_quantity) for m in one.minimums]
    assert Decimal("0.01") == one.desk.minimums[BTC].min_quantity
