"""What is shown is of this moment, or says how old it is; the heartbeat is work done."""

from __future__ import annotations

import json
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from control_house import ASK_S, AT_ONCE, Running, Stuck, running
from session_world import BTC, START, Script

from actors.inbox import Inbox
from actors.runtime.clock import monotonic_s
from tidegate.control import limits, metrics
from tidegate.control.app import Plane
from tidegate.control.client import Client
from tidegate.control.record import Record
from tidegate.control.server import ControlPlane, Listening
from tidegate.control.sight import Seen
from tidegate.control.systemd import Systemd
from tidegate.control.watch import Watch


def test_a_live_status_is_of_this_moment(house: Running) -> None:
    """With the heartbeat beside it."""
    first, second = house.get("/v1/status"), house.get("/v1/status")

    assert [True, True] == [first["live"], second["live"]]
    assert "trading" == first["state"]
    assert START <= first["session_time"] <= second["session_time"]
    assert first["pulse"]["beats"] <= second["pulse"]["beats"]
    assert 0.0 == second["stalled_s"]


def test_a_session_that_has_just_started_is_not_late(tmp_path: Path) -> None:
    """However long ago its door was made: its start was work, and is done."""
    stalled: list[bool] = []

    def look(inbox: Inbox) -> None:
        stalled.append(inbox.pulse.stalled)

    with running(
        tmp_path, before=lambda inbox: inbox.pulse.rest(-2 * AT_ONCE), at_open=look
    ) as house:
        live = house.get("/v1/status")["live"]

    assert [False] == stalled
    assert live


@pytest.mark.usefixtures("in_time")
def test_a_stuck_session_is_not_shown_as_live(tmp_path: Path) -> None:
    """At once: for how long it has been stuck, and what it said last, with its age."""
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=120.0) as house:
        live = house.live()
        stuck.wait_for(house)
        began_s = monotonic_s()
        status, shown = house.client.get("/v1/status")
        took_s = monotonic_s() - began_s
        healthy, _ = house.client.get("/healthz")
        ready, _ = house.client.get("/readyz")
        holds, problem = house.client.get("/v1/holds")
        explained, _ = house.client.get(f"/v1/explain/{BTC}")
        stuck.release()
        house.live()
        house.until(lambda: house.client.get("/healthz")[0] == 200)

    assert (200, False) == (status, shown["live"])
    assert took_s < limits.ASK_S, "its answer is not waited for"
    assert ASK_S < 1.0, "nor where it is would a reader wait for longer"
    assert shown["stalled_s"] > 0.5
    assert "late" in shown["why"]
    assert shown["last_known_age_s"] > 0
    assert not shown["last_known"]["live"]
    assert live["session_id"] == shown["last_known"]["session_id"]
    assert {"state", "positions", "equity", "holds"}.isdisjoint(shown)
    assert [503, 503, 503, 503] == [healthy, ready, holds, explained]
    assert "not live" in problem["error"]["problems"][0]


def test_a_session_that_does_not_answer_in_time_is_not_live_either(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its work is late enough to be called stalled."""
    monkeypatch.setattr(limits, "ASK_S", 0.05)
    plane, pulse = house.with_own_pulse()
    pulse.rest(60.0)
    monkeypatch.setattr(plane.sight.door, "ask", lambda _question: Future())

    shown = plane.shown(anyio.run(plane.sight.look))

    assert not shown["live"]
    assert "has not answered" in shown["why"]


@pytest.mark.usefixtures("in_time")
def test_a_heartbeat_is_late_by_work_not_by_the_loop(house: Running, tmp_path: Path) -> None:
    """A minute in which nothing is due is no lateness; a due bar that is not handled is."""
    plane, pulse = house.with_own_pulse()
    served = ControlPlane(plane, Listening(tmp_path / "second" / "control.sock", None))
    served.start()
    client = Client(served.listening.socket)
    pulse.rest(60.0)
    resting, _ = client.get("/healthz")
    pulse.rest(-1.0)
    late, document = client.get("/healthz")
    served.stop()

    assert [200, 503] == [resting, late]
    assert "late" == document["status"]
    assert document["pulse"]["late_s"] > 0.9


def test_ready_means_that_orders_may_open(house: Running) -> None:
    """A hold of everything is not ready; one of a single symbol is, and is named."""
    before = house.client.get("/readyz")
    house.command("stop-new-orders", scope={"symbol": BTC})
    in_part = house.client.get("/readyz")
    house.command("pause", for_s=600)
    held = house.client.get("/readyz")

    assert (200, {"status": "ready", "holds": []}) == before
    assert (200, [f"stop-new-orders:symbol={BTC}"]) == (in_part[0], in_part[1]["holds"])
    assert (503, "held") == (held[0], held[1]["status"])


def test_why_a_symbol_does_not_trade_is_said_in_order(house: Running) -> None:
    """Every cause, with how it is lifted; a slash may be written as it is or escaped."""
    house.command("stop-new-orders", reason="news", scope={"symbol": BTC})
    plain, escaped = house.get(f"/v1/explain/{BTC}"), house.get("/v1/explain/BTC%2FUSDT")

    assert plain["causes"] == escaped["causes"]
    assert not plain["may_open"]
    assert "hold" == plain["causes"][0]["kind"]
    assert "news" in plain["causes"][0]["text"]


# -- metrics


def scraped(house: Running) -> dict[str, float]:
    status, headers, text = house.over_http("GET", "/metrics")
    assert 200 == status
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_scrape_has_what_operators_watch(house: Running) -> None:
    """Actors, mailboxes, holds, orders, the account, ages, the journal, the heartbeat, the kill."""
    house.command("kill", reason="drill")
    house.command("resume")
    found = scraped(house)

    assert 1.0 == found["tidegate_session_live"]
    assert 1.0 == found['tidegate_actor_state{actor="risk",state="running"}']
    assert 0.0 == found['tidegate_mailbox_messages{actor="risk",lane="open"}']
    assert 1.0 == found['tidegate_hold_in_force{hold="kill",mode="drain",scope="everything"}']
    assert 1.0 == found["tidegate_kill_in_force"]
    assert 1.0 == found["tidegate_kills_total"]
    assert 1.0 == found['tidegate_commands_refused_total{verb="resume"}']
    assert 1_000_000.0 == found['tidegate_equity{currency="USDT"}']
    assert 0.0 == found["tidegate_drawdown_ratio"]
    assert found["tidegate_journal_entries_total"] > 5
    assert found["tidegate_heartbeat_beats_total"] > 0
    assert found["tidegate_heartbeat_late_seconds"] < limits.ASK_S
    assert 2.0 == found['tidegate_control_requests_total{code="200",listener="socket"}'] + (
        found.get('tidegate_control_requests_total{code="409",listener="socket"}', 0.0)
    )


@pytest.mark.usefixtures("in_time")
def test_a_scrape_of_a_stuck_session_has_no_old_numbers(tmp_path: Path) -> None:
    """Only the heartbeat, and what the journal told."""
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=120.0) as house:
        house.until(lambda: 'tidegate_equity{currency="USDT"}' in scraped(house))
        stuck.wait_for(house)
        found = scraped(house)
        stuck.release()

    assert 0.0 == found["tidegate_session_live"]
    assert found["tidegate_heartbeat_late_seconds"] > 0.5
    assert found["tidegate_journal_entries_total"] > 5
    assert [] == [name for name in found if "equity" in name or "actor_state" in name]


def test_metrics_can_be_off(tmp_path: Path) -> None:
    """By ``telemetry.metrics``."""
    with running(tmp_path, with_metrics=False) as house:
        status, _, text = house.over_http("GET", "/metrics")

    assert 404 == status
    assert "telemetry.metrics" in text


class Everything:
    """A plane that has counted something of everything."""

    requests = {("http", "200"): 1}  # noqa: RUF012 - nobody changes it
    notices = {"sent": 1}  # noqa: RUF012 - nobody changes it
    connections_refused = 2
    stalls = 3


def test_every_declared_metric_can_be_exported(house: Running) -> None:
    """Name, unit and labels as the table says; what was never counted has no sample."""
    facts = anyio.run(house.plane_of_its_own().sight.look).facts
    assert facts is not None
    status = facts["status"]
    order = {"status": "accepted"}
    position = {"strategy": "one", "symbol": BTC, "position_side": "both", "quantity": "-1.5"}
    hold = {"hold_id": "kill", "mode": "drain", "scope": "everything"}
    data = {BTC: {"age_s": 1.5}}
    facts["recovery"] = {"protected": 0.1, "checked": 0.2, "trading": 0.3}
    status |= {"open_orders": [order, order], "positions": [position], "holds": [hold]}
    backoff = {"strategy": "one", "symbol": BTC, "family": "entry", "until": 90_000}
    status |= {"plans": [{"strategy": "one"}], "backoffs": [backoff]}
    status |= {"take_profits_waiting": {BTC: 2}}
    status |= {"symbols": data, "state": "killed", "kill": {"report": {"confirmed": True}}}
    record = Record()
    record.session_id = "l-1"
    record.circuits["venue:paper"] = "open"
    record.stale[BTC] = 1
    for counts in (
        record.order_events,
        record.refusals,
        record.failures,
        record.restarts,
        record.dead_letters,
        record.commands,
        record.commands_refused,
        record.breaches,
    ):
        counts["x"] += 1
    wishes = record.wishes
    for pairs in (
        wishes.intents,
        wishes.further,
        wishes.further_refused,
        wishes.short,
        wishes.plans,
        wishes.rollbacks,
        wishes.backoffs,
    ):
        pairs["one", "x"] += 1
    seen = Seen(True, facts, 0.0, house.inbox.pulse.document())

    text = metrics.exposition(metrics.Source(seen, record, Everything())).decode()

    absent = [
        declared.full_name
        for declared in metrics.METRICS
        if f"\n{declared.full_name}{{" not in text and f"\n{declared.full_name} " not in text
    ]
    assert [] == absent
    assert 'tidegate_orders{status="accepted"} 2.0' in text
    assert 'tidegate_recovery_seconds{phase="protected"} 0.1' in text
    assert f'position_side="both",strategy="one",symbol="{BTC}"}} -1.5' in text
    assert 'tidegate_circuit_state{state="open",tool="venue:paper"} 1.0' in text
    assert "tidegate_kill_confirmed 1.0" in text
    assert 'tidegate_further_orders_total{reason="x",strategy="one"} 1.0' in text
    of_entries = f'family="entry",strategy="one",symbol="{BTC}"'
    assert f"tidegate_backoff_active{{{of_entries}}} 1.0" in text
    assert f"tidegate_backoff_until_seconds{{{of_entries}}} 90.0" in text
    assert f'tidegate_take_profits_waiting{{symbol="{BTC}"}} 2.0' in text


def test_every_metric_says_its_unit_and_what_it_is() -> None:
    """Names of times and shares end in their unit, as Prometheus has it."""
    for declared in metrics.METRICS:
        assert declared.name.startswith("tidegate_")
        assert declared.help
        assert not declared.name.endswith("_total")
        if {"age", "late", "time", "uptime"} & set(declared.name.split("_")):
            assert declared.name.endswith("_seconds")


# -- the watch


def lines_of(capture: structlog.testing.LogCapture, event: str) -> list[dict[str, Any]]:
    return [dict(line) for line in capture.entries if line["event"] == event]


@pytest.fixture
def logged() -> structlog.testing.LogCapture:
    """Return every event that is logged."""
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    return capture


def ticked(plane: Plane, times: int, seconds: float) -> None:
    """Let a watch of its own tick, ``seconds`` apart."""
    clock = count(step=seconds)
    watch = Watch(plane, Systemd({}), now_s=lambda: next(clock))

    async def ticks() -> None:
        for _ in range(times):
            await watch.tick()

    anyio.run(ticks)


def test_once_a_minute_the_log_says_that_the_session_lives(
    house: Running, logged: structlog.testing.LogCapture
) -> None:
    """A log without trouble is told apart from a log without a daemon."""
    ticked(house.plane_of_its_own(), 9, 15.0)
    found = lines_of(logged, "heartbeat")

    assert 2 == len(found)
    assert all(line["live"] and line["state"] == "trading" for line in found)
    assert {"beats", "late_s", "holds", "positions", "equity"} <= set(found[0])


@pytest.mark.usefixtures("in_time")
def test_the_log_says_when_work_begins_to_be_late_and_when_it_is_not_any_more(
    house: Running, logged: structlog.testing.LogCapture
) -> None:
    """Once each; a heartbeat meanwhile says that it is not live."""
    plane, pulse = house.with_own_pulse()
    clock = count(step=30.0)
    watch = Watch(plane, Systemd({}), now_s=lambda: float(next(clock)))

    async def story() -> None:
        for late_s in (-60.0, 5.0, 5.0, 5.0, -60.0):
            pulse.rest(-late_s)
            await watch.tick()

    anyio.run(story)

    assert 1 == len(lines_of(logged, "work_late"))
    assert 1 == len(lines_of(logged, "work_in_time_again"))
    assert 1 == plane.stalls
    assert False in [line["live"] for line in lines_of(logged, "heartbeat")]


def test_the_record_forgets_the_oldest_kills(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded: the journal has all of them."""
    monkeypatch.setattr(limits, "KILLS_KEPT", 2)
    ids = []
    for _ in range(3):
        ids.append(house.command("kill")[1]["kill_id"])
        house.command("resume", unlatch=True, reason="again")

    found = [house.client.get(f"/v1/kill/{kill_id}")[0] for kill_id in ids]

    assert [404, 200, 200] == found
    assert ids[-1] == house.get("/v1/kill/latest")["kill_id"]


def test_what_the_api_page_lists_is_what_there_is() -> None:
    """Every route, and every metric, has its line in the reference."""
    docs = Path(__file__).resolve().parents[2] / "docs" / "reference"
    api = (docs / "control-api.md").read_text("utf-8")
    page = (docs / "metrics.md").read_text("utf-8")
    application = Plane.application(plane_without_a_session())
    routes = {
        f"{route.method} {route.resource.canonical}"
        for route in application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }

    assert [] == [route for route in sorted(routes) if f"`{route}`" not in api]
    assert [] == [each.full_name for each in metrics.METRICS if f"`{each.full_name}`" not in page]


def plane_without_a_session() -> Plane:
    from actors.inbox import Inbox
    from tidegate.control.sight import Sight
    from tidegate.control.token import Token

    return Plane(Sight(Inbox()), Record(), Token("x" * 16), daemon={})


def test_facts_are_json(house: Running) -> None:
    """Exact numbers stay text: nobody rounds an account on the way."""
    status = house.get("/v1/status")

    assert "1000000" == status["equity"]
    assert json.loads(json.dumps(status)) == status
