"""The rows of cancels, plans and pauses in ``intents.csv``: what came of each."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from row_makers import Row, intents_of, shown, trips_of
from session_makers import d
from session_world import BTC, closes, flat, make_world, on_bars

from messages import ExecutionPolicy, OrderType, Plan, PlanAdd, PlanStop, PlanTarget, Side

ONE = Decimal(1)


def test_a_cancels_row_says_what_came_of_it(tmp_path: Path) -> None:
    """One order, all of a symbol, too late, nothing there."""
    rests = ExecutionPolicy(OrderType.LIMIT, limit_price=d(50))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=rests) for _ in range(3)],
            1: lambda desk: [desk.cancel(BTC, "abc-1-2"), desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [desk.cancel(BTC, tag="all"), desk.cancel(BTC, "nobody's")],
            3: lambda desk: [desk.open(BTC, Side.BUY, ONE), desk.cancel(BTC, "abc-1-5")],
        }
    )
    world = make_world(flat(BTC, 6), script.spec()).run()

    cancels = [
        shown(row, "tag orders outcome causes")
        for row in intents_of(tmp_path, world.entries)
        if row["action"] == "cancel"
    ]

    assert [
        ["", "1", "cancelled", "order_id=abc-1-2"],
        ["all", "2", "cancelled", ""],
        ["", "0", "nothing_to_cancel", "order_id=nobody's"],
        ["", "0", "nothing_to_cancel", "order_id=abc-1-5"],
    ] == cancels


def test_a_plans_row_says_what_became_of_it_and_its_steps_name_it(tmp_path: Path) -> None:
    """Adopted, replaced, done; refused; taken back, and nothing there to take back."""
    first = Plan(PlanStop(distance_bps=d(500)), time_stop=2_000_000_000_000)
    second = Plan(PlanStop(price=d(96)), (PlanTarget(price=d(120)),))
    wrong = Plan(PlanStop(price=d(150)))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [desk.update_plan(BTC, first, tag="first")],
            3: lambda desk: [desk.update_plan(BTC, second), desk.update_plan(BTC, wrong)],
            5: lambda desk: [desk.update_plan(BTC, None), desk.update_plan(BTC, None)],
            6: lambda desk: [desk.update_plan(BTC, second), desk.close(BTC)],
        }
    )
    world = make_world(flat(BTC, 10), script.spec()).run()

    rows = intents_of(tmp_path, world.entries)
    plans = [
        shown(row, "intent_id policy orders outcome")
        for row in rows
        if row["action"] == "update_plan"
    ]
    steps = [shown(row, "action tag") for row in rows if row["plan_id"] == "abc-1-4"]

    steps_of_first = "stop=500bps time_stop=2033-05-18T03:33:20.000Z place=venue"
    assert [
        ["abc-1-2", steps_of_first, "1", "replaced"],
        ["abc-1-4", "stop=96 target=120 place=venue", "2", "dropped"],
        ["abc-1-5", "stop=150 place=venue", "0", "refused"],
        ["abc-1-8", "none", "0", "dropped"],
        ["abc-1-9", "none", "0", "nothing_to_drop"],
        ["abc-1-12", "stop=96 target=120 place=venue", "2", "done"],
    ] == plans
    assert [["set_stop", "stop"], ["set_take_profit", "target 1"]] == steps
    assert rows_with(rows, "plan_invalid") == ["abc-1-5"]


def rows_with(rows: list[Row], code: str) -> list[str]:
    """Return the ids of the rows with a cause of this code."""
    return [row["intent_id"] for row in rows if row["causes"].startswith(code)]


def test_a_trip_names_the_plans_whose_steps_were_filled(tmp_path: Path) -> None:
    """The plan that took the position off is found from the trip."""
    plan = Plan(None, (PlanTarget(price=d(103)),), adds=(PlanAdd(price=d(98), quantity=ONE),))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [desk.update_plan(BTC, plan)],
        }
    )
    prices = [100, 100, 100, 99, 97, 99, 101, 104, 105, 105]
    world = make_world(closes(BTC, prices), script.spec()).run()

    (trip,) = trips_of(tmp_path, world.entries)

    assert ["closed", "1", "1", "abc-1-2"] == shown(trip, "state entries adds plan_ids")
    assert "2" == trip["max_quantity"]


def test_a_pauses_row_ends_with_its_hold(tmp_path: Path) -> None:
    """By itself, because another one takes its place, or because an operator resumes."""
    script = on_bars(
        {
            0: lambda desk: [desk.pause(desk.now + 120_000, "one")],
            1: lambda desk: [desk.pause(desk.now + 240_000, 'two, "quoted"')],
            6: lambda desk: [desk.pause(desk.now + 600_000, "three", symbol=BTC)],
        }
    )
    world = make_world(flat(BTC, 12), script.spec())
    world.before_turn(
        9,
        lambda world: world.assembly.supervisor.lift(
            f"pause-trading:one:{BTC}", "cli:anna", "enough"
        ),
    ).run()

    found = [
        shown(row, "action symbol ended_at outcome causes")
        for row in intents_of(tmp_path, world.entries)
    ]

    assert [
        ["pause_trading", "", "2024-01-01T00:02:00.000Z", "replaced", "one"],
        ["pause_trading", "", "2024-01-01T00:06:00.000Z", "over", 'two, "quoted"'],
        ["pause_trading", BTC, "2024-01-01T00:09:00.000Z", "lifted", "three"],
    ] == found


def test_what_is_not_over_is_shown_as_it_stands(tmp_path: Path) -> None:
    """A resting order, a plan, a pause and an open position at the journal's end."""
    rests = ExecutionPolicy(OrderType.LIMIT, limit_price=d(50))
    plan = Plan(time_stop=2_000_000_000_000)
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE), desk.update_plan(BTC, plan)],
            2: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=rests)],
            3: lambda desk: [desk.pause(desk.now + 86_400_000, "over night")],
        }
    )
    world = make_world(flat(BTC, 6), script.spec()).run()

    rows = intents_of(tmp_path, world.entries)
    (trip,) = trips_of(tmp_path, world.entries)

    assert [
        ["update_plan", "adopted"],
        ["entry", "filled"],
        ["entry", "unfinished"],
        ["pause_trading", "unfinished"],
    ] == [shown(row, "action outcome") for row in rows]
    assert ["", "", ""] == [row["ended_at"] for row in (rows[0], *rows[2:])]
    assert ["open", "", "100.0", ""] == shown(trip, "state closed_at entry_average exit_average")
