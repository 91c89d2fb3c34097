"""Why a symbol does or does not trade: causes, and whom they leave a way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from safety_world import Daemon, daemon
from session_world import BTC, ETH, Script, Scripted, flat, on_bars

from actors import inspection
from actors.assembly import StrategySpec
from messages import (
    CommandVerb,
    ExecutionPolicy,
    HoldMode,
    OpenIntent,
    OrderType,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
    Scope,
    Side,
)
from strategies import Desk, StrategyParams
from strategies.backoff import StrategyRejectionBackoff


def house() -> Daemon:
    """Return a session of two strategies, both on one symbol, one on another too."""
    bars = {BTC: flat(BTC, 6), ETH: flat(ETH, 6)}
    one, two = on_bars({}).spec("one", (BTC, ETH)), on_bars({}).spec("two", (BTC,))
    return daemon(bars, one, two).begin().play(2)


def explained(world: Daemon, symbol: str = BTC) -> dict[str, Any]:
    return inspection.explain(world.session, symbol)


def test_nothing_in_the_way_is_said() -> None:
    """Every strategy may open in both directions, and none asks."""
    document = explained(house())

    assert document["may_open"]
    assert ["one long", "one short", "two long", "two short"] == document["open_to"]
    assert ["nothing"] == [cause["stops"] for cause in document["causes"]]


@pytest.mark.parametrize(
    ("scope", "open_to"),
    [
        (Scope(), []),
        (Scope(symbol=BTC), []),
        (Scope(venue="paper"), []),
        (Scope(strategy="one"), ["two long", "two short"]),
        (Scope(side="long"), ["one short", "two short"]),
        (Scope(strategy="two", side="short"), ["one long", "one short", "two long"]),
    ],
)
def test_a_hold_closes_what_it_covers_and_no_more(scope: Scope, open_to: list[str]) -> None:
    """A hold of one strategy or side is a part, and who may still open is named."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=scope)
    document = explained(world)

    assert open_to == document["open_to"]
    assert bool(open_to) is document["may_open"]
    expected = "part of opening" if open_to else "opening"
    assert [expected] == [cause["stops"] for cause in document["causes"]]


def test_a_hold_of_something_else_is_no_cause() -> None:
    """Another symbol's hold, and one of a strategy that does not trade the symbol, say nothing."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(symbol=BTC))
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(strategy="two"))

    assert explained(world, ETH)["may_open"]
    assert ["nothing"] == [cause["stops"] for cause in explained(world, ETH)["causes"]]


def test_parts_add_up_to_the_whole() -> None:
    """Two holds that each close a part close it all together."""
    world = house()
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(side="long"))
    world.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(side="short"))
    document = explained(world)

    assert not document["may_open"]
    assert ["part of opening"] * 2 == [cause["stops"] for cause in document["causes"]]


def test_a_quarantined_strategy_is_a_part() -> None:
    """The other strategy of the symbol trades on, and the hold and the state are both named."""
    world = house()
    world.assembly.supervisor.hold_open(
        "quarantine:one",
        "it failed",
        mode=HoldMode.DRAIN,
        scope=Scope(strategy="one"),
        latched=True,
    )
    document = explained(world)

    assert ["two long", "two short"] == document["open_to"]


# -- what strategies keep back themselves


class Patient(Scripted):
    """A scripted strategy that lets refused families of orders rest, and declines on a word."""

    declines = ""

    def __init__(self, desk: Desk, params: StrategyParams, script: Script) -> None:
        super().__init__(desk, params, script)
        self.backoff = StrategyRejectionBackoff(base_s=3_600)

    def execution_backoff(self) -> StrategyRejectionBackoff:
        return self.backoff

    def can_submit_order(self, _intent: OpenIntent) -> str | None:
        return self.declines or None


Plans = dict[int, Callable[[Desk], Iterable[Any]]]


def patient(plans: Plans, *, turns: int, declines: str = "", **terms: Any) -> Daemon:
    """Return a session of one patient strategy, so many turns old."""
    script = on_bars(plans)
    kind = type("Declining", (Patient,), {"declines": declines})
    spec = StrategySpec(
        "one", lambda desk, params: kind(desk, params, script), StrategyParams(), (BTC,)
    )
    return daemon(flat(BTC, 20), spec, **terms).begin().play(turns)


def causes_of(world: Daemon, kind: str) -> list[tuple[str, str]]:
    """Return (what it stops, text) of the causes of a kind."""
    rows = explained(world)["causes"]
    return [(row["stops"], row["text"]) for row in rows if row["kind"] == kind]


def test_a_backoff_keeps_back_what_the_strategy_would_do_next() -> None:
    """Flat, it is about entering; with a position it would be about adding."""
    world = patient({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(0))]}, turns=2)
    document = explained(world)
    ((stops, text),) = causes_of(world, "backoff")

    assert not document["may_open"]
    assert "opening" == stops
    assert (
        "one lets entry orders rest until 2024-01-01T01:01:00.000Z after 1 refusals in a row"
    ) == text


def test_a_backoff_of_entries_stops_nothing_where_something_is_held() -> None:
    """What is held is added to, not entered."""
    world = patient(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))],
            2: lambda desk: [desk.open(BTC, Side.BUY, Decimal(0))],
        },
        turns=4,
    )

    assert ["nothing"] == [stops for stops, _ in causes_of(world, "backoff")]
    assert explained(world)["may_open"]


def test_a_backoff_that_is_over_is_no_cause() -> None:
    """Only what lasts is named."""
    world = patient({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(0))]}, turns=2)
    world.assembly.clock.advance(world.assembly.clock.now + 3_600_000)

    assert [] == causes_of(world, "backoff")


def test_a_strategys_own_pause_is_told_from_other_holds() -> None:
    """With its reason, and the way to lift it by its name."""
    world = patient({0: lambda desk: [desk.pause(desk.now + 3_600_000, "a bad day")]}, turns=2)
    ((stops, text),) = causes_of(world, "pause")

    assert "opening" == stops
    assert "pause-trading:one (refuse, strategy=one) by strategy:one: a bad day" in text
    assert "resume --hold pause-trading:one" in text
    assert [] == causes_of(world, "hold")


def test_a_plan_that_stands_says_where_its_steps_wait() -> None:
    """At the venue, with the strategy, or not yet: each with its price."""
    plan = Plan(
        PlanStop(distance_bps=Decimal(100)),
        (PlanTarget(price=Decimal(103)),),
        PlanTrail(Decimal(50), activate_distance_bps=Decimal(200)),
        time_stop=2_000_000_000_000,
    )
    at_venue = patient(opening_with(plan), turns=4)
    here = patient(opening_with(msgspec.structs.replace(plan, place=PlanPlace.HERE)), turns=4)

    told = "plan abc-1-2 of one stands since 2024-01-01T00:03:00.000Z: "
    steps = "{}stop at 99: {}; trail: to come; target 1 at 103: {}; close: to come"

    assert [
        ("nothing", steps.format(told, "abc-1-3 is accepted", "abc-1-4 is accepted"))
    ] == causes_of(at_venue, "plan")
    assert [("nothing", steps.format(told, "waits here", "waits here"))] == causes_of(here, "plan")


def opening_with(plan: Plan) -> Plans:
    """Return what opens a position and then hands a plan in."""
    return {
        0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))],
        2: lambda desk: [desk.update_plan(BTC, plan)],
    }


def test_a_take_profit_that_waits_here_is_told_from_one_at_the_venue() -> None:
    """Where the venue lets only one of the two rest; and how many there are."""
    plan = Plan(PlanStop(price=Decimal(90)), (PlanTarget(price=Decimal(103)),))
    world = patient(opening_with(plan), turns=4, brackets=False)
    ((_, text),) = causes_of(world, "plan")

    assert "target 1 at 103: waits here for 103" in text
    assert "stop at 90: abc-1-3 is accepted" in text
    assert {BTC: 1} == inspection.status(world.session)["take_profits_waiting"]


def test_a_plan_whose_step_was_refused_says_so() -> None:
    """A rung that Risk refuses is not asked for again; the operator sees why nothing rests."""
    plan = Plan(
        PlanStop(price=Decimal(90)), adds=(PlanAdd(price=Decimal(95), quantity=Decimal(9)),)
    )
    world = patient(opening_with(plan), turns=4, declines="")
    world_declining = patient(opening_with(plan), turns=4, cash=200)

    assert "add 1 at 95: abc-1-4 is accepted" in causes_of(world, "plan")[0][1]
    assert "add 1 at 95: refused" in causes_of(world_declining, "plan")[0][1]


def test_a_book_without_a_plan_has_none() -> None:
    """A plan is over with its position."""
    plan = Plan(PlanStop(price=Decimal(90)))
    world = patient(opening_with(plan) | {4: lambda desk: [desk.close(BTC)]}, turns=8)

    assert [] == causes_of(world, "plan")
    assert [] == inspection.status(world.session)["plans"]


def test_refusals_of_the_strategys_own_doing_come_first() -> None:
    """What it declines itself, what it gives no size, then what others refuse."""
    plans = {
        0: lambda desk: [desk.reduce(BTC, Side.SELL, Decimal(1))],
        1: lambda desk: [desk.add(BTC, Side.BUY)],
        2: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))],
    }
    unsized = patient(plans, turns=4)
    declining = patient(plans, turns=4, declines="too wild")
    kinds = ("declined", "unsized", "refusal")

    assert ["unsized", "refusal"] == [
        row["kind"] for row in explained(unsized)["causes"] if row["kind"] in kinds
    ]
    assert ["declined", "declined", "refusal"] == [
        row["kind"] for row in explained(declining)["causes"] if row["kind"] in kinds
    ]
    assert "strategy_declined(too wild)" in causes_of(declining, "declined")[0][1]
    assert "quantity_missing(action=add sizing=explicit)" in causes_of(unsized, "unsized")[0][1]


def test_an_intent_that_came_short_is_remembered() -> None:
    """After all its policy permitted: told to telemetry, which loses no message over it."""
    policy = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(50), timeout_ms=30_000)
    world = patient(
        {0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1), policy=policy)]}, turns=4
    )

    assert any("intent ended short of one" in text for _, text in causes_of(world, "refusal"))
    assert 0 == world.assembly.supervisor.dead_letter_count
