"""What `explain` says of an order: its life, all orders of its intent, what it derives from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_house import AT_ONCE, running
from session_world import BTC, Script, World, closes, make_world, on_bars
from typer.testing import CliRunner

from actors.commands import Request
from messages import (
    CommandVerb,
    ExecutionPolicy,
    FallbackOn,
    IntentEnded,
    Maker,
    MarketFallback,
    OpenFollowUp,
    OrderType,
    Plan,
    PlanStop,
    ReasonCode,
    Reprice,
    Retry,
    Side,
)
from state.journal.bulk import SqliteSink
from tidegate.cli import app
from tidegate.control.order_life import StoredJournal, order_story
from tidegate.control.patience import Patience
from tidegate.control.record import Record

ONE = Decimal(1)
PATIENT = ExecutionPolicy(
    OrderType.LIMIT,
    maker=Maker.PREFER,
    limit_price=Decimal(50),
    timeout_ms=150_000,
    reprice=Reprice(60_000, 1, Decimal(60)),
    fallback=MarketFallback((FallbackOn.TIMEOUT,)),
)


def patient_world() -> World:
    """Return a session: three orders of one intent, a plan with a stop, a kill that flattens."""
    plan = Plan(PlanStop(distance_bps=Decimal(500)))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=PATIENT, decision_price=100.0)],
            5: lambda desk: [desk.update_plan(BTC, plan)],
            6: lambda desk: [desk.cancel("ETH/USDT", tag="all")],
        }
    )
    world = make_world(closes(BTC, [100.0 + n for n in range(14)]), script.spec())
    kill = Request(verb=CommandVerb.KILL, by="cli:anna", reason="a drill", flatten=True)
    return world.before_turn(9, lambda world: world.assembly.desk.take(kill)).run()


@pytest.fixture(scope="module")
def world() -> World:
    """Return the patient session, run once."""
    return patient_world()


@pytest.fixture(params=["events.ndjson", "journal.sqlite"])
def journal(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> StoredJournal:
    """Return its journal on disk, in either form."""
    path = tmp_path / request.param
    if path.suffix == ".sqlite":
        sink = SqliteSink(path)
        sink.write(world.entries, world.lines)
        sink.close()
    else:
        path.write_bytes(world.lines)
    return StoredJournal(path)


def kinds(story: dict[str, Any]) -> list[str]:
    """Return the kinds of the links of a chain."""
    return [link["kind"] for link in story["chain"]]


def test_by_an_intents_id_its_whole_life_is_found(world: World, journal: StoredJournal) -> None:
    """Every event of every order of it, in order, and the orders one by one."""
    story = order_story(journal, "abc-1-1")
    events = [entry.seq for entry in world.entries if entry.correlation == "abc-1-1"]

    assert events == [event["seq"] for event in story["life"]]
    assert [("abc-1-1", "cancelled"), ("abc-1-1-2", "cancelled"), ("abc-1-1-3", "filled")] == [
        (order["order_id"], order["status"]) for order in story["orders"]
    ]
    assert ["order", "intent", "market"] == kinds(story)
    assert story["life"][-1]["text"].startswith(
        "over: 1 of 1 filled, 3 orders, 0 retries, 1 new prices, 1 fallbacks"
    )


@pytest.mark.parametrize("name", ["abc-1-1-3", "tg-abc-1-1-3"], ids=["own id", "client's id"])
def test_a_further_order_has_a_life_of_its_own_and_a_chain(
    journal: StoredJournal, name: str
) -> None:
    """Its events alone; why it was made, after what; the intent; the bar."""
    story = order_story(journal, name)
    texts = [event["text"] for event in story["life"]]

    assert ("abc-1-1-3", "abc-1-1") == (story["order_id"], story["intent_id"])
    assert texts[0].startswith("one more order of abc-1-1: its time was over")
    assert texts[-1].startswith("filled: 1 at ")
    assert not any("repriced" in text for text in texts)
    assert ["order", "follow_up", "intent", "market"] == kinds(story)
    assert "after abc-1-1-2: cancelled: timed_out(timeout_ms=150000)" in story["chain"][1]["text"]
    assert 3 == len(story["orders"])


def test_a_step_leads_to_its_plan_and_a_plans_id_to_its_steps(journal: StoredJournal) -> None:
    """From the stop to the UPDATE_PLAN, and from there to the stop."""
    story = order_story(journal, "abc-1-3")
    plan = order_story(journal, "abc-1-2")

    assert ["order", "intent", "plan_step", "plan", "market"] == kinds(story)
    assert "one hands in a plan: stop=500bps place=venue" == story["chain"][3]["text"]
    assert {"PlanIntent", "PlanChanged", "ReduceIntent"} <= {e["type"] for e in plan["life"]}
    assert [] == plan["chain"]


def test_a_close_by_a_kill_leads_to_the_operator(journal: StoredJournal) -> None:
    """Whoever gave the command, and why."""
    story = order_story(journal, "abc-K1-1")

    assert ["order", "intent", "kill", "command"] == kinds(story)
    assert "kill, to be flat by cli:anna: a drill" == story["chain"][-1]["text"]


def test_a_cancel_of_a_symbol_is_found_by_its_own_id(journal: StoredJournal) -> None:
    """It has no order, and no chain; its event is there."""
    story = order_story(journal, "abc-1-4")

    assert ["one asks to cancel ETH/USDT"] == [event["text"] for event in story["life"]]
    assert [] == story["chain"]


def test_of_what_the_journal_does_not_know_nothing_is_said(journal: StoredJournal) -> None:
    """An id that is a part of others is not known by that."""
    assert {} == order_story(journal, "abc-1")
    assert {} == order_story(journal, "nobody's")


def test_a_running_session_explains_further_orders(tmp_path: Path) -> None:
    """On a terminal and as JSON, from the journal that is being written, and after its end."""
    script = Script()
    retry = Retry(2, (ReasonCode.POST_ONLY_WOULD_TAKE,), 500)
    policy = ExecutionPolicy(
        OrderType.LIMIT,
        maker=Maker.PREFER,
        limit_price=Decimal(101),
        timeout_ms=600_000,
        retry=retry,
    )
    script.on_bar = lambda strategy, _bar: (
        [strategy.desk.open(BTC, Side.BUY, ONE, policy=policy)] if len(script.seen) == 1 else None
    )
    with running(tmp_path, script, speed=1200.0) as house:
        house.plane.daemon["folder"] = ""  # type: ignore[index]
        wait(lambda: house.record.fills > 0)
        session = house.inbox.session
        assert session is not None
        folder = tmp_path / "runs" / "paper" / "sessions" / session.session_id
        house.plane.daemon["folder"] = str(folder)  # type: ignore[index]
        events = folder / "events.ndjson"  # written beside the session, a moment behind it
        wait(lambda: events.is_file() and '"OpenIntent"' in events.read_text())
        order_id = f"{first_id(folder)}-2"
        socket = ["--socket", str(house.control.listening.socket)]
        text = CliRunner().invoke(app, ["explain", order_id, *socket])
        as_json = CliRunner().invoke(app, ["explain", order_id, "--json", *socket])
        result = house.end()
    recorded = CliRunner().invoke(
        app, ["explain", order_id, "--session", str(result.out), "--json"]
    )

    assert 0 == text.exit_code
    assert "because of" in text.stdout
    assert "one more order of" in text.stdout
    for found in (as_json, recorded):
        document = json.loads(found.stdout)
        assert ["order", "follow_up", "intent", "market"] == kinds(document)
        assert 2 == len(document["orders"])


def first_id(folder: Path) -> str:
    """Return the id of a session's first intent."""
    for line in (folder / "events.ndjson").read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "OpenIntent":
            return str(event["data"]["intent_id"])
    raise AssertionError("nothing was asked for")


def wait(until: Callable[[], bool]) -> None:
    """Wait until something is so."""
    patience = Patience(AT_ONCE)
    while not until():
        assert not patience.over
        patience.rest()


# -- what is counted


def test_the_record_counts_what_the_journal_says(world: World) -> None:
    """Further orders by reason, ends that came short, plans, intents by action."""
    record = Record()
    record.write(world.entries, b"")
    wishes = record.wishes
    reasons = Counter(("one", follow.because.value) for follow in world.all(OpenFollowUp))

    assert reasons == wishes.further
    assert 2 == sum(reasons.values())
    assert {("one", "entry"): 1, ("one", "set_stop"): 1, ("one", "reduce"): 1} == wishes.intents
    assert {("one", "adopted"): 1, ("one", "done"): 1} == wishes.plans
    assert 1 == len(world.all(IntentEnded))
    assert {} == wishes.short
