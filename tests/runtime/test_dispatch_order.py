"""Delivery: depth first, effects in order, and the same journal fused or queued."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import Watch, check_all
from session_world import (
    BTC,
    ETH,
    PERP,
    Script,
    World,
    flat,
    instruments_of,
    make_world,
    on_bars,
)
from workloads import KINDS, Step, busy_steps, market, trader

from actors.risk import RiskLimits
from messages import (
    ActorFailed,
    Bar,
    CancelIntent,
    DeadLetter,
    ExecutionPolicy,
    ExecutionReport,
    HoldMode,
    Message,
    OpenIntent,
    OrderCommitted,
    OrderType,
    ReduceIntent,
    RiskDecision,
    Scope,
    Side,
    VenueReport,
    Wake,
)

ONE = Decimal(1)
BARS = 14


def both(make: Any) -> tuple[World, World]:
    """Return the same session run fused and queued."""
    return make(queued=False).run(), make(queued=True).run()


def check_same_journal(fused: World, queued: World) -> None:
    """Compare byte by byte; on a difference show the first entry that differs."""
    for one, other in zip(fused.entries, queued.entries, strict=False):
        assert one == other
    assert fused.lines == queued.lines


def check_same_decisions(fused: World, queued: World) -> None:
    """Compare everything but the text of tracebacks, which test_determinism looks at."""

    def told(world: World) -> list[object]:
        return [
            msgspec.structs.replace(entry, message=msgspec.structs.replace(message, traceback=""))
            if isinstance(message := entry.message, ActorFailed)
            else entry
            for entry in world.entries
        ]

    for one, other in zip(told(fused), told(queued), strict=False):
        assert one == other
    assert len(fused.entries) == len(queued.entries)


# -- the order


def test_each_effect_is_followed_to_its_end_before_the_next() -> None:
    """Of two intents returned together the first is decided and journaled before the second."""
    script = on_bars(
        {0: lambda desk: [desk.open(BTC, Side.BUY, ONE), desk.open(BTC, Side.BUY, ONE)]}
    )
    world = make_world(flat(BTC, 1), script.spec()).run()

    story = [
        (type(entry.message).__name__, entry.correlation)
        for entry in world.entries
        if entry.correlation
    ][:6]

    assert story == [
        (name, order_id)
        for order_id in ("abc-1-1", "abc-1-2")
        for name in ("OpenIntent", "RiskDecision", "ExecutionReport")
    ]


def test_bars_of_one_moment_reach_strategies_by_symbol_then_by_declaration() -> None:
    """Who decides first at one timestamp is fixed by the configuration, not by chance."""
    first, second = Script(), Script()
    order: list[tuple[str, str]] = []
    first.on_bar = lambda _s, bar: order.append(("first", bar.symbol))
    second.on_bar = lambda _s, bar: order.append(("second", bar.symbol))
    world = make_world(
        {ETH: flat(ETH, 1), BTC: flat(BTC, 1)},
        first.spec("first", (ETH, BTC)),
        second.spec("second", (BTC, ETH)),
    )
    world.run()

    assert order == [("first", BTC), ("second", BTC), ("first", ETH), ("second", ETH)]


def test_causation_leads_from_every_order_event_back_to_the_bar() -> None:
    """Following causation ids from a fill's intent ends at the bar that was decided on."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 3), script.spec()).run()
    by_seq = {str(entry.seq): entry for entry in world.entries}

    sent = next(
        entry
        for entry in world.entries
        if isinstance(entry.message, ExecutionReport) and entry.message.event.value == "sent"
    )
    path = []
    entry = sent
    while entry.causation in by_seq:
        entry = by_seq[entry.causation]
        path.append(type(entry.message).__name__)

    assert path == ["ExecutionReport", "RiskDecision", "OpenIntent"]
    assert entry.causation == f"bar:BTC/USDT:{flat(BTC, 1)[0].timestamp}"


def test_an_acceptance_follows_from_its_send() -> None:
    """An order accepted at once was accepted because it was sent, and not because of the start."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 3), script.spec()).run()

    causes = {
        entry.message.event.value: entry.causation
        for entry in world.entries
        if isinstance(entry.message, ExecutionReport)
    }

    assert causes["accepted"] not in ("start", "")
    assert causes["accepted"] == causes["sent"] or causes["accepted"].isdigit()


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_a_cancellation_follows_from_the_cancel_that_asked_for_it(queued: bool) -> None:
    """And not from whatever was journaled next, when several things are asked for at once."""
    far = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=far)],
            2: lambda desk: [desk.cancel(BTC, "abc-1-1"), desk.open(BTC, Side.BUY, ONE)],
        }
    )
    world = make_world(flat(BTC, 5), script.spec(), queued=queued).run()
    asked = {
        entry.message.intent_id: str(entry.seq)
        for entry in world.entries
        if isinstance(entry.message, CancelIntent)
    }
    (caused_by,) = [
        entry.causation
        for entry in world.entries
        if isinstance(entry.message, ExecutionReport) and entry.message.event.value == "cancelled"
    ]

    assert caused_by == asked["abc-1-2"]


# -- fused is an optimisation only

steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 3 * BARS - 1),
        st.sampled_from(KINDS),
        st.sampled_from(Side),
        st.integers(1, 8),
        st.integers(-150, 150),
    ),
    max_size=25,
)
gates = st.lists(
    st.tuples(
        st.integers(0, BARS - 2),
        st.sampled_from(HoldMode),
        st.sampled_from((Scope(), Scope(symbol=BTC), Scope(strategy="one"))),
        st.integers(1, 4),
    ),
    max_size=2,
)


def busy_world(
    first: list[Step],
    second: list[Step],
    holds: list[tuple[int, HoldMode, Scope, int]],
    *,
    queued: bool,
    **engine: Any,
) -> World:
    world = make_world(
        market(BARS),
        trader(first).spec("one", (BTC, ETH)),
        trader(second).spec("two", (BTC, PERP)),
        cash=2_500,
        instruments=instruments_of(
            (BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25"), price_tick=Decimal("0.05")
        ),
        limits=RiskLimits(max_order_notional=Decimal(190), max_gross_exposure=Decimal(1500)),
        queued=queued,
        **engine,
    )
    for number, (turn, mode, scope, lasts) in enumerate(holds):
        world.hold_between(turn, min(turn + lasts, BARS - 1), f"hold-{number}", mode, scope)
    return world


@settings(max_examples=120)
@given(steps, steps, gates, st.sampled_from((0, 60_000, 90_000)), st.sampled_from((1, "0.01")))
def test_fused_and_queued_dispatch_give_the_same_journal(
    first: list[Step],
    second: list[Step],
    holds: list[tuple[int, HoldMode, Scope, int]],
    latency_ms: int,
    participation: Any,
) -> None:
    """For any workload and any holds: byte for byte, with every invariant kept."""
    terms = {
        "latency_ms": latency_ms,
        "participation": Decimal(participation),
        "slippage_bps": Decimal(3),
    }
    fused = busy_world(first, second, holds, queued=False, **terms)
    watch = Watch(fused)
    queued = busy_world(first, second, holds, queued=True, **terms)

    check_same_journal(fused.run(), queued.run())
    check_all(fused, watch)


def test_the_workload_does_a_bit_of_everything() -> None:
    """The property above is not vacuous: fills, refusals, cancels, expiries and partial fills."""
    world = busy_world(
        busy_steps(1, 3 * BARS, 2.0),
        busy_steps(2, 3 * BARS, 2.0),
        [],
        queued=False,
        participation=Decimal("0.01"),
    ).run()
    events = {report.event.value for report in world.reports()}
    codes = {cause.code.value for d in world.all(RiskDecision) for cause in d.causes}

    assert events >= {
        "journaled",
        "sent",
        "accepted",
        "filled",
        "filled_partly",
        "cancelled",
        "expired",
        "rejected",
    }
    assert len(codes) >= 6


def two_symbols(desk_of: Script, *, queued: bool) -> World:
    return make_world(
        {BTC: flat(BTC, 12), ETH: flat(ETH, 12)}, desk_of.spec(symbols=(BTC, ETH)), queued=queued
    )


def back_and_forth() -> Script:
    """Return a script that opens on every second bar and closes and cancels on the others."""
    script = Script()

    def decide(strategy: Any, _bar: Bar) -> Any:
        desk = strategy.desk
        if len(script.seen) % 2:
            return [
                desk.open(BTC, Side.BUY, ONE),
                desk.open(ETH, Side.BUY, ONE),
                desk.reduce(BTC, Side.SELL, ONE),
            ]
        return [desk.reduce(BTC, Side.SELL, ONE), desk.cancel(ETH), desk.open(BTC, Side.BUY, ONE)]

    script.on_bar = decide
    return script


def test_fused_and_queued_agree_while_a_pause_keeps_messages() -> None:
    """A BLOCK hold changes which messages wait, not the order of what does not."""

    def paused(*, queued: bool) -> World:
        world = two_symbols(back_and_forth(), queued=queued)
        return world.hold_between(2, 6, "pause", HoldMode.BLOCK, Scope(symbol=BTC))

    check_same_journal(*both(paused))


@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ("risk", OpenIntent),
        ("risk", ReduceIntent),
        ("risk", ExecutionReport),
        ("execution", OrderCommitted),
        ("execution", VenueReport),
        ("telemetry", ExecutionReport),
        ("strategy:one", Bar),
        ("strategy:one", ExecutionReport),
        ("strategy:one", RiskDecision),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_fused_and_queued_agree_when_an_actor_fails(actor: str, kind: type[Message]) -> None:
    """What waits for a restart is handled afterwards in one order, however it is dispatched."""

    def failing(*, queued: bool) -> World:
        world = two_symbols(back_and_forth(), queued=queued)
        world.poison(actor, kind, when=lambda _message, count: count == 5)
        return world

    check_same_decisions(*both(failing))


# -- bounds and bad handlers


def echo_world(*, queued: bool) -> tuple[World, Script]:
    """Return a world whose strategy answers every refusal with the same hopeless intent."""
    script = Script()

    def ask(strategy: Any, _message: Any) -> Any:
        return [strategy.desk.open(BTC, Side.BUY, Decimal(-1))]

    script.on_bar = lambda strategy, bar: ask(strategy, bar) if len(script.seen) == 2 else None
    script.on_refusal = ask
    other = on_bars({3: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    return make_world(flat(BTC, 6), script.spec(), other.spec("two"), queued=queued), script


def test_a_strategy_that_answers_every_refusal_is_stopped_by_the_depth_bound() -> None:
    """The cascade ends at a declared bound, in both dispatchers alike, and the rest goes on."""
    fused, _ = echo_world(queued=False)
    queued, _ = echo_world(queued=True)

    check_same_journal(fused.run(), queued.run())
    assert [letter.reason for letter in fused.all(DeadLetter)] == ["dispatch_depth"]
    assert fused.life("abc-2-1")[-1] == "filled"
    assert fused.session.halted is None


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_an_intent_that_the_depth_bound_stops_is_answered(queued: bool) -> None:
    """No intent stays pending for ever: its strategy would never trade the symbol again."""
    world, script = echo_world(queued=queued)
    world.run()

    assert len(world.all(OpenIntent)) == len(world.all(RiskDecision))
    assert script.desk.pending(BTC) == 0


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_the_depth_bound_never_leaves_a_reservation_without_its_order(queued: bool) -> None:
    """An order approved at the bound is sent or given up; its cash does not vanish."""
    script = Script()
    refusals = [0]

    def refused(strategy: Any, _decision: Any) -> Any:
        refusals[0] += 1
        hopeless = refusals[0] != 31  # the 31st answer is the one that Risk handles at the bound
        quantity = Decimal(-1) if hopeless else ONE
        return [strategy.desk.open(BTC, Side.BUY, quantity)] if refusals[0] <= 31 else None

    script.on_bar = lambda strategy, _bar: (
        [strategy.desk.open(BTC, Side.BUY, ONE)] if len(script.seen) == 2 else None
    )
    script.on_fill = lambda strategy, _fill: [strategy.desk.open(BTC, Side.BUY, Decimal(-1))]
    script.on_refusal = refused
    world = make_world(flat(BTC, 6), script.spec(), queued=queued).run()
    risk: Any = world.cell("risk").actor

    live = {order.request.order_id for order in world.assembly.books.orders.live()}

    assert live == set(risk.view.reservations)


def generator_that_raises(strategy: Any, _bar: Bar) -> Any:
    yield strategy.desk.open(BTC, Side.BUY, ONE)
    raise RuntimeError("halfway")


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize(
    "answer",
    [
        generator_that_raises,
        lambda _s, _b: 5,
        lambda _s, _b: True,
        lambda _s, _b: "buy",
        lambda _s, _b: [None],
        lambda _s, _b: [object()],
        lambda _s, _b: {"side": "buy"},
        lambda s, _b: s.desk.open(BTC, Side.BUY, ONE),  # not in a tuple
        lambda s, _b: [s.desk.open(BTC, Side.BUY, ONE), 5],
        lambda _s, _b: 1 / 0,
    ],
    ids=[
        "generator",
        "number",
        "true",
        "text",
        "none inside",
        "object inside",
        "dict",
        "bare intent",
        "half right",
        "raises",
    ],
)
def test_a_bad_answer_is_one_failure_of_one_strategy_with_no_effect(
    answer: Any, queued: bool
) -> None:
    """Whatever a hook returns or raises, nothing of it happens, and its neighbour trades on."""
    script = Script()
    script.on_bar = lambda s, bar: answer(s, bar) if len(script.seen) == 2 else None
    neighbour = on_bars({3: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 6), script.spec(), neighbour.spec("two"), queued=queued).run()

    assert [letter.actor for letter in world.all(DeadLetter)] == ["strategy:one"]
    assert {intent.strategy for intent in world.all(OpenIntent)} == {"two"}
    assert world.life("abc-2-1")[-1] == "filled"
    assert len(script.made) == 2


def test_an_effect_that_no_actor_may_return_is_a_failure_of_that_actor() -> None:
    """The house's own actors are held to the same rule: garbage raises, and is supervised."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 4), script.spec())
    cell = world.cell("telemetry")
    make = cell.factory

    def made() -> Any:
        actor = make()
        handlers = actor.handlers

        def with_a_bad_one() -> Any:
            return {**handlers(), ExecutionReport: lambda _report: [42]}

        setattr(actor, "handlers", with_a_bad_one)  # noqa: B010 - a method of one instance
        return actor

    cell.factory = made
    world.run()

    assert {letter.actor for letter in world.all(DeadLetter)} == {"telemetry"}
    assert world.life("abc-1-1")[-1] == "filled"


def test_timers_fire_in_order_of_time_then_of_name() -> None:
    """A gap over midnight fires what is due at its own time, before the bar after it."""
    script = Script()
    world = make_world(flat(BTC, 3), script.spec())
    fired: list[tuple[str, int]] = []
    clock = world.assembly.clock
    at = clock.now + 90_000

    def note(name: str) -> Callable[[int], object]:
        return lambda now: fired.append((name, now))

    for name, when in (("a late one", at + 1), ("second", at), ("first", at)):
        clock.call_at(when, note(name), name)
    world.run()

    assert fired == [("first", at), ("second", at), ("a late one", at + 1)]
    assert not [m for m in world.entries if isinstance(m.message, Wake)]
