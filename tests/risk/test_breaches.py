"""What a breached limit brings about: once, after the decision, and without any order too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from limit_edges import EDGES, Edge, R
from risk_bench import BUY, PERP, SELL, SPOT, Bench, codes
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    START,
    World,
    closes,
    flat,
    instruments_of,
    make_bar,
    make_world,
    on_bars,
)
from session_world import PERP as BTC_PERP

from actors.risk import GUARDS, SPECS, RiskLimits
from messages import (
    BreachAction,
    ExecutionPolicy,
    ExecutionReport,
    FundingBooked,
    FundingRate,
    HoldMode,
    HoldPlaced,
    KillReport,
    OpenIntent,
    OrderType,
    PortfolioMarked,
    RiskBreached,
    RiskDecision,
    Side,
    Verdict,
)

D = Decimal
HALT, REDUCE_ONLY, REFUSE = BreachAction.HALT, BreachAction.REDUCE_ONLY, BreachAction.REFUSE


# -- the actor


def acting(edge: Edge, action: BreachAction) -> RiskLimits:
    given = {name: getattr(edge.limits, name) for name in edge.limits.__slots__}
    return RiskLimits(**{**given, "actions": {edge.guard: action}})


@pytest.mark.parametrize("action", [REDUCE_ONLY, HALT])
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_every_guard_can_do_more_than_refuse(edge: Edge, action: BreachAction) -> None:
    """Told and journaled: which guard, what it calls for, and the refusal's own figures."""
    bench = Bench(limits=acting(edge, action), **edge.bench)
    decision = edge.ask(bench, True)
    # What the account's watch found at a close was told before any intent.
    breaches = bench.journaled or bench.closed

    assert [edge.code] == codes(decision)
    assert [edge.guard] == [breach.guard for breach in breaches]
    assert [action] == [breach.action for breach in breaches]
    assert [edge.code] == [breach.cause.code for breach in breaches]
    assert bench.told == bench.journaled


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_a_guard_that_only_refuses_tells_nobody(edge: Edge) -> None:
    """The refusal is the whole answer."""
    bench = Bench(limits=acting(edge, REFUSE), **edge.bench)

    assert [edge.code] == codes(edge.ask(bench, True))
    assert [] == bench.told == bench.journaled == bench.closed


def test_an_accounts_breach_is_not_told_again_by_each_intent() -> None:
    """The close has told of it; intents are refused by the same figures, quietly."""
    bench = Bench(1000, limits=RiskLimits(max_drawdown_pct=D(10)), initial_margin=D("0.1"))
    bench.fill(bench.open(BUY, 5, symbol=PERP))
    bench.mark(PERP, 79.0)

    (breach,) = bench.close()
    first, second = bench.open(BUY), bench.open(BUY)
    assert [breach.cause] == list(first.causes) == list(second.causes)
    assert [] == bench.told
    assert D(895) == breach.equity


def test_a_fill_that_passes_a_limit_says_so_by_itself() -> None:
    """A loss that is realised between two closes, on an account that is flat afterwards."""
    bench = Bench(1000, limits=RiskLimits(max_session_loss=D(50)), initial_margin=D("0.1"))
    bench.fill(bench.open(BUY, 10, symbol=PERP))
    bench.mark(PERP, 94.0)
    bench.fill(bench.reduce(SELL, 10, symbol=PERP), price=94)

    assert ["max_session_loss"] == [breach.guard for breach in bench.told]
    assert bench.told == bench.journaled


def test_the_last_loss_of_a_streak_says_so_by_itself() -> None:
    """With the report of the fill that ends the trade, before anything else is asked for."""
    bench = Bench(limits=RiskLimits(max_consecutive_losses=2))
    for _ in range(2):
        assert [] == bench.told
        bench.fill(bench.open(BUY))
        bench.fill(bench.reduce(SELL), price=99)

    assert ["max_consecutive_losses"] == [breach.guard for breach in bench.told]
    assert REDUCE_ONLY is bench.told[0].action


def test_the_defaults_of_actions_are_what_the_registry_says() -> None:
    """What ends a session by default are losses; a single order never does."""
    halting = {spec.name for spec in GUARDS if spec.action is HALT}

    assert {"max_drawdown_pct", "max_daily_loss", "max_session_loss"} == halting
    assert all(spec.account for spec in GUARDS if spec.action is not REFUSE)
    assert SPECS["max_drawdown_pct"].action_in(RiskLimits()) is HALT


def test_names_codes_and_settings_of_limits_are_unique() -> None:
    """A hold, an action and a line of the documentation each mean one limit."""
    assert len(SPECS) == len(GUARDS) == len({spec.setting for spec in GUARDS})
    assert {spec.name for spec in GUARDS if spec.setting != f"risk.{spec.name}"} == {
        "universe",
        "strategy_budget",
    }


# -- in a session


def falling(action: BreachAction | None, prices: list[float], **more: Any) -> World:
    """Return the world of a long position that loses: 10 of an account of 1,000, from 100 on."""
    actions = {} if action is None else {"max_drawdown_pct": action}
    limits = RiskLimits(max_drawdown_pct=D(10), actions=actions, **more.pop("limits", {}))
    script = on_bars(
        {0: lambda d: [d.open(BTC_PERP, Side.BUY, D(10))]}
        | {n: (lambda d: [d.open(BTC_PERP, Side.BUY, D("0.1"))]) for n in more.pop("again", ())}
    )
    return make_world(
        {BTC_PERP: closes(BTC_PERP, prices)},
        script.spec(symbols=(BTC_PERP,)),
        cash=1000,
        limits=limits,
        instruments=instruments_of([BTC_PERP], initial_margin=D("0.1")),
        **more,
    )


FALL = [100.0, 100.0, 95.0, 90.0, 89.9, 88.0, 88.0, 88.0]


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_a_drawdown_halts_without_any_intent(queued: bool) -> None:
    """At the close that passes the limit, and not at the one that equals it."""
    world = falling(None, FALL, queued=queued).run()
    (breach,) = world.all(RiskBreached)
    holds = [placed.hold for placed in world.all(HoldPlaced)]

    assert START + 5 * MINUTE == breach.at
    assert (HALT, D("899.0")) == (breach.action, breach.equity)
    assert ["risk:max_drawdown_pct"] == [hold.hold_id for hold in holds]
    assert (HoldMode.DRAIN, True, str(breach.cause)) == (
        holds[0].mode,
        holds[0].latched,
        holds[0].cause,
    )
    assert world.all(KillReport)


def test_a_drawdown_can_leave_it_at_reducing() -> None:
    """By configuration: a hold on what opens, that the operator lifts, and no kill."""
    world = falling(REDUCE_ONLY, FALL).run()
    (placed,) = world.all(HoldPlaced)

    assert ("risk:max_drawdown_pct", HoldMode.REFUSE, False) == (
        placed.hold.hold_id,
        placed.hold.mode,
        placed.hold.latched,
    )
    assert [] == world.all(KillReport)


def test_the_breach_is_in_force_before_anybody_decides_at_that_close() -> None:
    """What a strategy asks for at the very close that broke the limit is refused."""
    world = falling(REDUCE_ONLY, FALL, again=(4,)).run()
    (refused,) = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]

    assert [R.HELD] == [cause.code for cause in refused.causes]
    assert world.story().index("RiskBreached") < world.story().index("HoldPlaced")


def resumed(*, told: bool) -> World:
    """Return the world of a drawdown that is held at turn 4 and resumed at turn 6, with a dip."""
    world = falling(REDUCE_ONLY, [*FALL, 88.0, 88.0, 78.0, 78.0], again=(7,))

    def resume(_world: World) -> None:
        if not told:
            watch = world.assembly.watch
            assert watch is not None
            watch.acknowledge = lambda _guard: None  # type: ignore[method-assign]
        assert world.assembly.supervisor.lift("risk:max_drawdown_pct", "cli:test", "seen")

    return world.before_turn(6, resume).run()


def test_after_a_resume_a_limit_is_measured_afresh() -> None:
    """What was answered for refuses nothing any more; as much lost again is a new breach."""
    world = resumed(told=True)

    assert [[], []] == [[c.code for c in d.causes] for d in world.all(RiskDecision)]
    assert [D(899), D(779)] == [breach.equity for breach in world.all(RiskBreached)]


def test_without_the_acknowledgement_a_resume_would_change_nothing() -> None:
    """The ablation: the drawdown is still there, and so is its refusal."""
    world = resumed(told=False)

    assert [[], [R.MAX_DRAWDOWN]] == [[c.code for c in d.causes] for d in world.all(RiskDecision)]


def test_a_limit_that_only_refuses_holds_nothing_and_lets_go_when_it_clears() -> None:
    """Intents are refused by its code while it lasts, and pass when equity is back."""
    world = falling(REFUSE, [*FALL, 100.0, 100.0, 100.0], again=(4, 6, 9)).run()
    decisions = world.all(RiskDecision)

    assert [[], [R.MAX_DRAWDOWN], [R.MAX_DRAWDOWN], []] == [
        [cause.code for cause in decision.causes] for decision in decisions
    ]
    assert [] == world.all(RiskBreached)
    assert [] == world.all(HoldPlaced)


def test_a_hold_stands_with_its_first_cause_while_equity_swings_about_the_limit() -> None:
    """Each crossing is a breach on record; the hold is one, since the first."""
    world = falling(REDUCE_ONLY, [100.0, 100.0, 89.0, 91.0, 88.0, 92.0, 87.0]).run()
    breaches = world.all(RiskBreached)

    assert [D(890), D(880), D(870)] == [breach.equity for breach in breaches]
    assert [str(breaches[0].cause)] == [placed.hold.cause for placed in world.all(HoldPlaced)]


def test_a_loss_that_risk_failed_to_hear_of_is_found_at_the_next_close() -> None:
    """Flat again, and its last valuation lost with Risk's crash: the books tell all the same."""
    script = on_bars(
        {
            0: lambda d: [d.open(BTC, Side.BUY, D(1))],
            1: lambda d: [d.reduce(BTC, Side.SELL, D(1))],
        }
    )
    bars = [
        make_bar(BTC, START, 100.0),
        make_bar(BTC, START + MINUTE, 100.0),
        make_bar(BTC, START + 2 * MINUTE, 90.0, open_=90.0),
        make_bar(BTC, START + 3 * MINUTE, 90.0),
    ]
    world = make_world(
        bars,
        script.spec(),
        limits=RiskLimits(max_session_loss=D(5), actions={"max_session_loss": REDUCE_ONLY}),
    )
    world.poison("risk", PortfolioMarked, when=lambda marked, _count: marked.realized_pnl < 0)
    world.run()

    assert ["max_session_loss"] == [breach.guard for breach in world.all(RiskBreached)]


def test_without_the_limit_the_same_session_trades_on() -> None:
    """The ablation: nothing is held, and the later order goes out."""
    script = on_bars(
        {
            0: lambda d: [d.open(BTC_PERP, Side.BUY, D(10))],
            5: lambda d: [d.open(BTC_PERP, Side.BUY, D("0.1"))],
        }
    )
    world = make_world(
        {BTC_PERP: closes(BTC_PERP, FALL)},
        script.spec(symbols=(BTC_PERP,)),
        cash=1000,
        instruments=instruments_of([BTC_PERP], initial_margin=D("0.1")),
    ).run()

    assert [] == world.all(HoldPlaced) == world.all(RiskBreached)
    assert 2 == len(world.sent())


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_a_guard_of_orders_can_halt_after_its_refusal_is_on_record(queued: bool) -> None:
    """First the decision, then the breach, then the hold: cause before effect, in the journal."""
    script = on_bars(
        {
            0: lambda d: [d.open(BTC, Side.BUY, D(1))],
            2: lambda d: [d.open(BTC, Side.BUY, D(3))],
            3: lambda d: [d.open(BTC, Side.BUY, D(1))],
            4: lambda d: [d.reduce(BTC, Side.SELL, D(1))],
        }
    )
    limits = RiskLimits(
        max_order_notional=D(200), actions={"max_order_notional": BreachAction.REDUCE_ONLY}
    )
    world = make_world(flat(BTC, 8), script.spec(), limits=limits, queued=queued).run()
    story = [
        kind for kind in world.story() if kind in {"RiskDecision", "RiskBreached", "HoldPlaced"}
    ]
    verdicts = [[c.code for c in d.causes] for d in world.all(RiskDecision)]

    assert [[], [R.MAX_ORDER_NOTIONAL], [R.HELD], []] == verdicts
    assert ["RiskDecision", "RiskDecision", "RiskBreached", "HoldPlaced"] == story[:4]
    assert 2 == len(world.sent())  # the first, and the close


def test_an_intent_that_waited_for_longer_than_a_time_frame_is_not_executed() -> None:
    """What a pause kept is released, and refused as expired when its time frame is over."""
    script = on_bars(
        {
            2: lambda d: [d.open(BTC, Side.BUY, D(1))],
            4: lambda d: [d.open(BTC, Side.BUY, D(1))],
        }
    )
    world = make_world(flat(BTC, 8), script.spec())
    world.hold_between(2, 5, "pause", HoldMode.BLOCK).run()

    assert [[R.INTENT_EXPIRED], []] == [
        [cause.code for cause in decision.causes] for decision in world.all(RiskDecision)
    ]
    assert "waited=120000 limit=60000" in str(world.all(RiskDecision)[0].causes[0])


def test_a_streak_is_told_of_across_a_crash_of_risk() -> None:
    """Risk fails on the report that ends the second losing trade: it is counted all the same."""
    sells = {n: lambda d: [d.reduce(BTC, Side.SELL, D(1))] for n in (2, 6)}
    buys = {n: lambda d: [d.open(BTC, Side.BUY, D(1))] for n in (0, 4, 9)}
    prices = [100.0, 100.0, 99.0, 99.0, 98.0, 98.0, 97.0, 97.0, 96.0, 96.0, 96.0, 96.0]
    world = make_world(
        closes(BTC, prices),
        on_bars({**sells, **buys}).spec(),
        limits=RiskLimits(max_consecutive_losses=2, actions={"max_consecutive_losses": REFUSE}),
    )
    world.poison(
        "risk",
        ExecutionReport,
        when=lambda report, _count: report.order_id == "abc-1-4" and report.fill is not None,
    )
    world.run()
    last = world.all(RiskDecision)[-1]

    assert [R.CONSECUTIVE_LOSSES] == [cause.code for cause in last.causes]


def test_the_watch_and_the_books_never_part() -> None:
    """At every close the watch's equity is the ledger's, to the last digit, fees included."""
    script = on_bars(
        {
            0: lambda d: [d.open(BTC, Side.BUY, D("0.3")), d.open(ETH, Side.BUY, D("0.7"))],
            3: lambda d: [d.reduce(BTC, Side.SELL, D("0.1"))],
            5: lambda d: [d.reduce(BTC, Side.SELL, D("0.2")), d.reduce(ETH, Side.SELL, D("0.7"))],
        }
    )
    bars = {
        BTC: closes(BTC, [100.0, 101.37, 99.21, 98.7, 103.3, 100.1, 99.9, 98.8]),
        ETH: closes(ETH, [50.0, 50.37, 49.21, 48.7, 53.3, 50.1, 49.9, 48.8]),
    }
    world = make_world(
        bars,
        script.spec(symbols=(BTC, ETH)),
        cash=1000,
        limits=RiskLimits(max_drawdown_pct=D(99)),
        instruments=instruments_of([BTC, ETH], D(7)),
    )
    seen: list[tuple[Decimal, Decimal]] = []

    def compare(_world: World) -> None:
        watch = world.assembly.watch
        assert watch is not None
        value = world.assembly.books.ledger.valuation(world.assembly.board.known)
        seen.append((watch.state.equity, value.equity))

    for turn in range(1, 8):
        world.before_turn(turn, compare)
    world.run()

    assert all(watched == booked for watched, booked in seen)
    assert len({watched for watched, _ in seen}) > 3


@pytest.mark.parametrize(
    ("hours", "expected"), [(1, ["max_daily_loss"]), (0, [])], ids=["one day", "over midnight"]
)
def test_a_days_loss_is_a_days(hours: int, expected: list[str]) -> None:
    """The same fall within one day passes the limit; with midnight in its middle it does not."""
    prices = [100.0, 100.0, 97.0, 94.0, 94.0]
    start = START + DAY - (3 * MINUTE if not hours else 60 * MINUTE)
    bars = [
        make_bar(BTC_PERP, start + n * MINUTE, price, open_=prices[max(0, n - 1)])
        for n, price in enumerate(prices)
    ]
    script = on_bars({0: lambda d: [d.open(BTC_PERP, Side.BUY, D(10))]})
    world = make_world(
        {BTC_PERP: bars},
        script.spec(symbols=(BTC_PERP,)),
        cash=1000,
        limits=RiskLimits(max_daily_loss=D(50), actions={"max_daily_loss": REDUCE_ONLY}),
        instruments=instruments_of([BTC_PERP], initial_margin=D("0.1")),
    ).run()

    assert expected == [breach.guard for breach in world.all(RiskBreached)]


def test_funding_that_was_paid_counts_and_cannot_be_spent() -> None:
    """It lowers free cash in Risk at once, and passes a limit of its own at the next close."""
    script = on_bars({0: lambda d: [d.open(BTC_PERP, Side.BUY, D(1))]})
    world = make_world(
        {BTC_PERP: flat(BTC_PERP, 6)},
        script.spec(symbols=(BTC_PERP,)),
        cash=1000,
        limits=RiskLimits(max_funding_cost=D("0.5")),
        instruments=instruments_of([BTC_PERP]),
    )
    free: list[Decimal] = []

    def settle(_world: World) -> None:
        session = world.session
        session.observe(FundingRate(BTC_PERP, world.assembly.clock.now, 0.01))
        risk: Any = world.cell("risk").actor
        free.append(risk.view.cash)

    world.before_turn(3, settle)
    world.run()

    assert [D(-1)] == [booked.amount for booked in world.all(FundingBooked)]
    assert [D(999)] == free
    assert ["max_funding_cost"] == [breach.guard for breach in world.all(RiskBreached)]


def test_a_session_without_limits_of_the_account_values_nothing() -> None:
    """No watch, nobody listening to valuations: a replay pays for no limit that it has not."""
    unlimited = make_world(flat(BTC, 2), on_bars({}).spec())
    limited = make_world(flat(BTC, 2), on_bars({}).spec(), limits=RiskLimits(max_drawdown_pct=D(5)))

    assert unlimited.assembly.watch is None
    assert "PortfolioMarked" not in unlimited.assembly.dispatcher.topology()
    assert ("risk",) == limited.assembly.dispatcher.topology()["PortfolioMarked"]


def test_an_intent_is_told_apart_by_its_class_and_not_by_its_looks() -> None:
    """Reducing is what the class says: an opening sale of a spot holding meets the limits."""
    bench = Bench(limits=RiskLimits(max_order_notional=D(100)))
    bench.fill(bench.open(BUY, 1))
    bench.mark(SPOT, 200.0)
    intent = bench.intent(SELL, 1, policy=ExecutionPolicy(OrderType.MARKET))

    assert isinstance(intent, OpenIntent)
    assert [R.MAX_ORDER_NOTIONAL] == codes(bench.ask(intent))
    assert [] == codes(bench.reduce(SELL, 1))
