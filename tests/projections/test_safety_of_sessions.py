"""Whole sessions that were held and killed, and what their files say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from session_makers import write_csv
from session_world import BTC, START, Script, World, flat, make_spec, make_world, on_bars

from actors.commands import Request
from actors.inbox import Inbox
from actors.risk import RiskLimits
from actors.session import run_paper, run_replay
from actors.spec import SessionResult
from feeds.memory import MemoryFeed
from messages import CommandVerb, ExecutionPolicy, Hold, HoldMode, OrderType, Side
from state.journal.reader import read_journal
from state.projections import Summary, SummaryProjection, project, session_md
from state.projections.safety_tables import kill_sections
from state.register import register_of
from tidegate.screen import rows_of

ALICE = "cli:alice"
ONE = Decimal(1)
RESTING = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(50))
PROTECTIVE = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(200))


def trader() -> Script:
    """Return a script that holds one, bids below and protects above."""
    return on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [
                desk.open(BTC, Side.BUY, ONE, policy=RESTING),
                desk.reduce(BTC, Side.SELL, ONE, policy=PROTECTIVE),
            ],
        }
    )


def order(verb: CommandVerb, reason: str = "drill", **terms: Any) -> Callable[[World], object]:
    """Return what gives a command at the session's desk."""

    def give(world: World) -> object:
        request = Request(verb=verb, by=ALICE, reason=reason, **terms)
        return world.assembly.desk.take(request)

    return give


def summary_of(world: World) -> Summary:
    projection = SummaryProjection()
    project(world.entries, projection)
    return projection.summary()


def facts_of(summary: Summary, number: int = 0) -> dict[str, str]:
    return dict(kill_sections(summary)[number][0].rows)


def test_a_kill_leaves_what_protects_and_names_it() -> None:
    """Without flatten the position and its protective order stay; the report lists both."""
    world = make_world(flat(BTC, 8), trader().spec())
    world.before_turn(5, order(CommandVerb.KILL)).run()
    summary = summary_of(world)
    facts = facts_of(summary)

    assert "1: tg-abc-1-3" == facts["Open orders left"]
    assert f"1: {BTC} both 1" == facts["Positions left"]
    assert facts["Confirmed by the venue"].startswith("yes, ")
    assert ["latched", "drained", "cancelling", "cancelled", "confirmed"] == [
        stage.stage.value for stage in summary.safety.kills[0].stages
    ]
    assert [("kill", "taken")] == [
        (command.verb.value, command.refused or "taken") for command in summary.safety.commands
    ]


def test_a_kill_that_flattens_leaves_nothing_and_its_orders_are_in_the_files(
    tmp_path: Path,
) -> None:
    """The operator's reducing order is a row like any other, and the evidence is empty."""
    world = make_world(flat(BTC, 12), trader().spec())
    world.before_turn(5, order(CommandVerb.KILL, flatten=True)).run()
    summary = summary_of(world)
    facts = facts_of(summary)
    rows = write_csv(tmp_path, world.entries)["orders.csv"].splitlines()

    assert ("none", "none") == (facts["Open orders left"], facts["Positions left"])
    assert facts["Confirmed by the venue"].startswith("yes, ")
    assert 1 == sum(1 for row in rows if row.startswith(f"{summary.safety.kills[0].kill_id}-1,"))
    assert () == summary.positions
    assert {"filled": 2, "cancelled": 2} == summary.orders


def test_whoever_adds_flattening_to_a_kill_is_named_with_the_reason() -> None:
    """
    One kill, two commands: the first is its cause, the second why nothing stayed held.

    A third one that asks for the same changes nothing, and nobody else is named.
    """

    def give(world: World) -> None:
        order(CommandVerb.KILL, "looks wrong")(world)
        order(CommandVerb.KILL, "the venue is going down", flatten=True)(world)
        order(CommandVerb.KILL, "me too", flatten=True)(world)

    world = make_world(flat(BTC, 12), trader().spec())
    world.before_turn(5, give).run()
    facts = facts_of(summary_of(world))

    assert ("looks wrong", ALICE) == (facts["Cause"], facts["By"])
    assert facts["Flatten"].startswith("yes: nothing may stay open or held; added ")
    assert facts["Flatten"].endswith(f" by {ALICE}: the venue is going down")


def test_a_kill_that_flattens_from_its_beginning_names_nobody_twice() -> None:
    """It has one cause, and that is told already."""
    world = make_world(flat(BTC, 12), trader().spec())
    world.before_turn(5, order(CommandVerb.KILL, flatten=True)).run()

    assert "yes: nothing may stay open or held" == facts_of(summary_of(world))["Flatten"]


def test_a_breached_limit_and_the_kill_that_it_pulls_are_one_story() -> None:
    """The limit's figures, the hold that it placed and the kill name the same cause."""
    prices = flat(BTC, 3) + flat(BTC, 6, 40.0, start=START + 3 * 60_000)
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    limits = RiskLimits(max_daily_loss=Decimal(50))
    world = make_world(prices, script.spec(), limits=limits).run()
    summary = summary_of(world)
    (breach,) = summary.safety.breaches

    assert ("max_daily_loss", "halt") == (breach.guard, breach.action.value)
    assert "risk:max_daily_loss" == summary.holds[0].hold.hold_id
    assert f"max_daily_loss({breach.first_detail})" == summary.safety.kills[0].cause
    assert "risk" == summary.safety.kills[0].by


def test_stops_and_pauses_are_rows_with_whoever_resumed_them() -> None:
    """Every placement stands with its scope and end; a refused resume is told with its reason."""
    world = make_world(flat(BTC, 12), Script().spec())
    world.before_turn(1, order(CommandVerb.PAUSE, "lunch", for_s=60.0))
    world.before_turn(4, order(CommandVerb.PAUSE, "coffee", for_s=600.0))
    world.before_turn(5, order(CommandVerb.RESUME, "back early"))
    world.before_turn(6, order(CommandVerb.RESUME, "again"))
    world.before_turn(7, order(CommandVerb.STOP_NEW_ORDERS, "closing"))
    summary = summary_of(world.run())
    text = session_md(summary)

    assert [
        ("pause", 1, "clock", "its time has come"),
        ("pause", 2, ALICE, "back early"),
        ("stop-new-orders", 1, "", ""),
    ] == [
        (row.hold.hold_id, row.placement, row.lifted_by, row.lift_reason) for row in summary.holds
    ]
    assert (5, 1) == (summary.safety.commands_total, summary.safety.commands_refused)
    assert "refused: nothing is held" in text


def test_a_killed_replay_says_so_in_every_file_and_is_rebuilt_the_same(tmp_path: Path) -> None:
    """Outcome, exit code, report and JSON agree; rebuilding from the journal gives the bytes."""
    prices = flat(BTC, 3) + flat(BTC, 6, 40.0, start=START + 3 * 60_000)
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    spec = make_spec(
        MemoryFeed({BTC: prices}), script.spec(), limits=RiskLimits(max_daily_loss=Decimal(50))
    )
    result = run_replay(replace(spec, out=tmp_path / "out"))
    text = (tmp_path / "out" / "session.md").read_text("utf-8")

    assert ("risk_halted", 3) == (result.outcome, result.exit_code)
    assert "Replay: halted by a limit (exit code 3, halted by a risk guard)." in text
    assert "**Held at the end: risk:max_daily_loss.**" in text
    assert 1 == len(result.summary["safety"]["kills"])
    projection = SummaryProjection()
    project(read_journal(tmp_path / "out" / "journal.sqlite"), projection)
    projection.set_facts(
        {
            name: value
            for name, value in _facts_of(result).items()
            if name in SummaryProjection().summary().facts.__struct_fields__
        }
    )
    assert text == session_md(projection.summary())


def _facts_of(result: SessionResult) -> dict[str, Any]:
    manifest = json.loads((result.out / "manifest.json").read_text("utf-8"))
    known = {name: manifest[name] for name in ("session_id", "mode", "seed", "data")}
    return {
        **known,
        "config_sha256": manifest["config_sha256"],
        "code_version": manifest["code_version"],
        **manifest["facts"],
    }


def paper(folder: Path, hold_at_start: Hold | None = None, **terms: Any) -> SessionResult:
    """Run a short paper session that a kill comes into at its start, unless ``terms`` is empty."""
    spec = make_spec(MemoryFeed({BTC: flat(BTC, 5)}), Script().spec())
    spec = replace(spec, mode="paper", runs_dir=folder, out=None)
    inbox = Inbox()

    def opened(_session: object) -> None:
        if terms:
            inbox.submit(Request(by=ALICE, **terms))

    async def run() -> SessionResult:
        return await run_paper(spec, speed=0.0, inbox=inbox, on_open=opened)

    return anyio.run(run)


def test_the_session_after_a_kill_tells_where_its_hold_comes_from(tmp_path: Path) -> None:
    """Killed once, held ever after: the second report names the first one's kill, and who."""
    first = paper(tmp_path, verb=CommandVerb.KILL, reason="drill")
    second = paper(tmp_path)
    rows = second.summary["holds"]
    text = (second.out / "session.md").read_text("utf-8")

    assert (("killed", 4), ("killed", 4)) == (
        (first.outcome, first.exit_code),
        (second.outcome, second.exit_code),
    )
    assert first.session_id != second.session_id
    assert [("kill", True, True, ALICE, "drill")] == [
        (
            row["hold"]["hold_id"],
            row["carried_over"],
            row["outlives"],
            row["hold"]["set_by"],
            row["hold"]["cause"],
        )
        for row in rows
        if not row["hold"]["hold_id"].startswith("stopping:")
    ]
    assert "in an earlier session" in text
    assert "going on with the kill that an earlier session left" in text
    assert "**Held beyond the end: kill.**" in text


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_register_that_nobody_can_read_is_told_as_this_sessions_hold(
    tmp_path: Path, damage: bytes
) -> None:
    """What was held before is not known, and the report says that, not that it is carried over."""
    register = register_of(tmp_path, "paper", "main")
    register.replace({"x": Hold("x", "y", HoldMode.REFUSE, "z", START)})
    register.path.write_bytes(damage)
    summary = paper(tmp_path).summary

    (row,) = (row for row in summary["holds"] if row["hold"]["hold_id"] == "register")
    assert ("start-up", False, "in_force") == (
        row["hold"]["set_by"],
        row["carried_over"],
        row["end"],
    )


def test_the_screen_says_what_is_still_held(tmp_path: Path) -> None:
    """Whoever only looks at the terminal learns that the next session will not trade either."""
    killed = paper(tmp_path / "a", verb=CommandVerb.KILL, reason="drill").summary
    quiet = paper(tmp_path / "b").summary

    assert ("still held", "kill (see session.md)") in rows_of(killed)
    assert "still held" not in dict(rows_of(quiet))
