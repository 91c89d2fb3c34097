"""Commands reach the session, and their answers say what is in force."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_house import AT_ONCE, Running, Stuck, keep_first, running
from session_world import BTC, Script

from actors.inbox import Closed, Inbox
from messages import Side
from state.register import register_of
from tidegate.control import asking, limits
from tidegate.control.asking import carried_out, followed
from tidegate.exits import Wanting


def in_force(house: Running) -> list[str]:
    return [hold["hold_id"] for hold in house.get("/v1/holds")["holds"]]


def on_disk(house: Running) -> list[str]:
    register = register_of(house.folder / "runs", "paper", "main")
    return [hold.hold_id for hold in register.load()]


def test_a_kill_is_latched_and_its_report_follows(house: Running) -> None:
    """Acknowledged when it is on the disk, then every stage, then the venue's own word."""
    status, answer = house.command("kill", reason="drill")
    at_once = on_disk(house)
    kill = followed(house.client, answer["kill_id"], AT_ONCE, lambda _step: None)

    assert (200, True, True) == (status, answer["ok"], answer["durable"])
    assert ["kill"] == at_once
    assert kill is not None
    assert ["latched", "drained", "cancelling", "cancelled", "confirmed"] == [
        step["stage"] for step in kill["steps"]
    ]
    assert kill["done"]
    assert "drill" == kill["report"]["cause"]
    assert kill == house.get("/v1/kill/latest")


def test_a_kill_with_flatten_ends_flat(tmp_path: Path) -> None:
    """The evidence names what is left: nothing."""
    script = Script()
    script.on_bar = lambda strategy, _bar: (
        (strategy.desk.open(BTC, Side.BUY, Decimal(1)),) if len(script.seen) == 1 else None
    )
    with running(tmp_path, script, speed=300.0) as house:
        house.until(lambda: house.get("/v1/status")["positions"])
        _, answer = house.command("kill", flatten=True)
        kill = followed(house.client, answer["kill_id"], AT_ONCE, lambda _step: None)
        positions = house.get("/v1/status")["positions"]
        (kept,) = register_of(house.folder / "runs", "paper", "main").load()

    assert kill is not None
    assert kept.flatten  # whichever session comes next, until it is lifted
    assert kill["report"]["confirmed"]
    assert "flat" in [step["stage"] for step in kill["steps"]]
    assert [] == positions


def test_flatten_added_to_a_kill_is_on_the_disk_with_its_answer(house: Running) -> None:
    """Who is told that it is durable finds it there, if the process dies in this moment."""
    register = register_of(house.folder / "runs", "paper", "main")
    house.command("kill", reason="first")
    plain = register.load()
    _, answer = house.command("kill", flatten=True)
    flat = register.load()
    house.command("resume", unlatch=True, reason="over")
    lifted = register.load()

    assert answer["durable"]
    assert [False] == [hold.flatten for hold in plain]
    assert [("kill", True)] == [(hold.hold_id, hold.flatten) for hold in flat]
    assert () == lifted


def test_a_stop_and_a_pause_are_scoped_and_resumed_by_scope(house: Running) -> None:
    """Each is one hold; resuming one leaves the other."""
    house.command("stop-new-orders", scope={"symbol": BTC}, reason="news")
    house.command("pause", for_s=900, scope={"strategy": "one", "side": "long"})
    both = in_force(house)
    _, answer = house.command("resume", scope={"symbol": BTC})

    assert [f"stop-new-orders:symbol={BTC}", "pause:strategy=one side=long"] == both
    assert "still held by pause:strategy=one side=long" in answer["text"]
    assert both[1:] == in_force(house) == on_disk(house)


def test_a_pause_ends_by_itself(tmp_path: Path) -> None:
    """At the moment that its hold names, in session time."""
    with running(tmp_path, speed=600.0) as house:
        _, answer = house.command("pause", for_s=120)
        (hold,) = answer["holds"]
        house.until(lambda: not in_force(house))
        now = house.get("/v1/status")["session_time"]

    assert 120_000 == hold["until"] - hold["since"]
    assert now >= hold["until"]


def test_a_pause_until_a_time_of_day(house: Running) -> None:
    """ISO-8601 with a zone, or int ms UTC."""
    _, answer = house.command("pause", until="2024-01-01T01:30:00+01:00")
    _, again = house.command("pause", until=1_704_069_000_001)

    assert 1_704_069_000_000 == answer["holds"][0]["until"]
    assert 1_704_069_000_001 == again["holds"][0]["until"]


@pytest.mark.parametrize(
    ("command", "body", "why"),
    [
        ("stop-new-orders", {"scope": {"symbol": "DOGE/USDT"}}, "found 'DOGE/USDT', expected"),
        ("stop-new-orders", {"scope": {"side": "up"}}, "expected one of long, short"),
        ("pause", {"until": 1}, "is over"),
        ("resume", {}, "nothing is held"),
        ("resume", {"hold": "kill"}, "nothing is held"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_refused_with_its_reason(
    house: Running, command: str, body: dict[str, Any], why: str
) -> None:
    """Nothing is held afterwards."""
    status, answer = house.command(command, **body)

    assert (409, False) == (status, answer["ok"])
    assert why in answer["text"]
    assert [] == in_force(house)
    with pytest.raises(Wanting, match=command):
        carried_out(house.client, command, body)


def test_a_kill_is_lifted_with_a_reason_only(house: Running) -> None:
    """Not by resuming, not without a reason; the reason is kept."""
    house.command("kill")
    plain, _ = house.command("resume")
    silent, _ = house.command("resume", unlatch=True)
    blank, _ = house.command("resume", unlatch=True, reason=" \n ")
    still = in_force(house)
    lifted, _ = house.command("resume", unlatch=True, reason="the drill\n\x1b[31mis over")

    assert [409, 409, 409, 200] == [plain, silent, blank, lifted]
    assert ["kill"] == still
    assert [] == in_force(house)
    assert [] == on_disk(house)
    events = house.end().out / "events.ndjson"
    reasons = [line["data"]["reason"] for line in entries(events, "HoldLifted")]
    assert ["the drill [31mis over"] == reasons


def entries(path: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["type"] == kind]


def test_a_command_before_there_is_a_session_changes_nothing(tmp_path: Path) -> None:
    """It is told so; a client asks again for a while."""
    tried: list[str] = []

    def early(inbox: Inbox) -> None:
        with pytest.raises(Closed):
            inbox.ask(lambda _session: {})
        tried.append("asked")

    with running(tmp_path, before=early) as house:
        house.inbox.session, session = None, house.inbox.session
        status, document = house.command("kill")
        ready, _ = house.client.get("/readyz")
        healthy, health = house.client.get("/healthz")
        house.inbox.session = session

    assert ["asked"] == tried
    assert 503 == status
    assert "nothing was changed" in document["error"]["problems"][0]
    assert (503, 200, "starting") == (ready, healthy, health["status"])


@pytest.mark.usefixtures("in_time")
def test_a_kill_of_a_stuck_session_is_on_its_way_and_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes in bounded time and says so; the ticket has the rest."""
    monkeypatch.setattr(limits, "COMMAND_S", 0.1)
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=600.0) as house:
        stuck.wait_for(house)
        keep_first(house.inbox, monkeypatch)
        status, pending = house.command("kill", reason="stuck")
        latched = on_disk(house)
        shown = house.get("/v1/status")
        waiting, _ = house.client.get(f"/v1/commands/{pending['ticket']}")
        stuck.release()
        answer = carried_out(house.client, "stop-new-orders", {})
        done, later = house.client.get(f"/v1/commands/{pending['ticket']}")

    assert (202, True, ["kill"]) == (status, pending["pending"], latched)
    assert "latched on the disk" in pending["text"]
    assert (False, []) == (shown["live"], shown["held_now"])
    assert 202 == waiting
    assert (200, True) == (done, later["ok"])
    assert later["kill_id"]
    assert answer["ok"]


@pytest.mark.usefixtures("in_time")
def test_tickets_are_forgotten_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded: whoever waits longest is told that nobody knows any more."""
    monkeypatch.setattr(limits, "COMMAND_S", 0.01)
    monkeypatch.setattr(limits, "TICKETS_KEPT", 2)
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=600.0) as house:
        stuck.wait_for(house)
        tickets = [house.command("stop-new-orders")[1]["ticket"] for _ in range(3)]
        found = [house.client.get(f"/v1/commands/{ticket}")[0] for ticket in tickets]
        stuck.release()

    assert [404, 202, 202] == found


def test_a_kill_on_a_disk_that_hangs_is_in_force_and_not_said_to_be_durable(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory nothing that adds risk leaves any more; the answer waits for the disk, bounded."""
    monkeypatch.setattr(limits, "COMMAND_S", 0.1)
    disk = threading.Event()
    register = house.inbox.register
    assert register is not None
    keep, replace = register.keep, register.replace

    def hanging_keep(*arguments: Any) -> None:
        disk.wait(AT_ONCE)
        keep(*arguments)

    def hanging_replace(*arguments: Any) -> None:
        disk.wait(AT_ONCE)
        replace(*arguments)

    monkeypatch.setattr(register, "keep", hanging_keep)
    monkeypatch.setattr(register, "replace", hanging_replace)
    status, pending = house.command("kill")
    session = house.inbox.session
    assert session is not None
    holds = session.assembly.holds
    house.until(holds.view)
    held = list(holds.view())
    not_there = on_disk(house)
    disk.set()
    answered, answer = asking.awaited(house.client, pending)

    assert (202, False, ["kill"], []) == (status, pending["latched"], held, not_there)
    assert "NOT on the disk" in pending["text"]
    assert (200, True, ["kill"]) == (answered, answer["durable"], on_disk(house))


def test_a_hanging_disk_does_not_take_a_thread_for_every_kill(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the operator tries."""
    monkeypatch.setattr(limits, "COMMAND_S", 0.01)
    monkeypatch.setattr(limits, "LATCHING_MAX", 2)
    disk = threading.Event()
    tried: list[object] = []
    monkeypatch.setattr(house.inbox, "latch", lambda it: (tried.append(it), disk.wait(AT_ONCE)))
    for _ in range(5):
        house.command("kill")
    house.until(lambda: len(tried) >= 2)  # each in its thread
    disk.set()

    assert 2 == len(tried)
