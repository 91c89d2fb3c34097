"""The commands of the second terminal: what they print, as text and as JSON, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_house import Running, Stuck, keep_first, running
from session_world import BTC, Script
from typer.testing import CliRunner, Result

from messages import Hold, HoldMode, KillReport, Side
from state.journal.reader import read_lines
from state.register import register_of
from tidegate.cli import app
from tidegate.control import asking, limits
from tidegate.control.client import Silent
from tidegate.control.daemon import Daemon, account_folder, process_started, write_daemon

ROOT = Path(__file__).resolve().parents[2]
Tidegate = Callable[..., Result]


@pytest.fixture
def tidegate(house: Running) -> Tidegate:
    """Return a way to run a command against the session of the test."""
    return asking_of(house)


def asking_of(house: Running) -> Tidegate:
    socket = str(house.control.listening.socket)

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, [command, *arguments, "--socket", socket])

    return run


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_status_shows_the_session(tidegate: Tidegate) -> None:
    """State first, then the account, the data, the actors."""
    result = tidegate("status")

    assert 0 == result.exit_code
    assert "trading" in result.stdout.splitlines()[0]
    for word in ("session time", f"data {BTC}", "1000000 USDT", "strategy:one", "running"):
        assert word in result.stdout


@pytest.mark.usefixtures("in_time")
def test_status_of_a_stuck_session_begins_with_not_live_and_is_wanting(tmp_path: Path) -> None:
    """Nobody who looks at its first line, or at its exit code, takes it for live."""
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=120.0) as house:
        tidegate = asking_of(house)
        house.live()
        stuck.wait_for(house)
        text, as_json = tidegate("status"), tidegate("status", "--json")
        stuck.release()

    assert [1, 1] == [text.exit_code, as_json.exit_code]
    assert text.stdout.startswith("NOT LIVE: its work is ")
    assert "held now: nothing" == text.stdout.splitlines()[1]
    assert "AGO, paper session" in text.stdout.splitlines()[2]
    assert document(as_json)["live"] is False


def test_a_kill_prints_each_stage_and_the_venues_word(tidegate: Tidegate) -> None:
    """With its time, and what is left."""
    result = tidegate("kill", "--reason", "drill")

    assert 0 == result.exit_code
    for word in ("killed: drill", "latched", "cancelled", "confirmed by the venue", "none"):
        assert word in result.stdout
    assert "" == result.stderr


def test_a_kill_in_json_has_the_evidence(tidegate: Tidegate) -> None:
    """One document: steps, report, whether it is confirmed."""
    found = document(tidegate("kill", "--json"))

    assert found["latched"]
    assert found["confirmed"]
    assert "confirmed" == found["steps"][-1]["stage"]
    assert found["kill_id"] == found["report"]["kill_id"]


def test_flatten_added_to_a_confirmed_kill_waits_for_a_confirmation_of_its_own(
    tmp_path: Path,
) -> None:
    """What the venue said before the positions were to be closed is not said again as if new."""
    script = Script()
    script.on_bar = lambda strategy, _bar: (
        (strategy.desk.open(BTC, Side.BUY, Decimal(1)),) if len(script.seen) == 1 else None
    )
    with running(tmp_path, script, speed=300.0) as house:
        house.until(lambda: house.get("/v1/status")["positions"])
        tidegate = asking_of(house)
        kept = document(tidegate("kill", "--json"))
        assert house.get("/v1/status")["kill"]["report"]["confirmed"]
        flat = document(tidegate("kill", "--flatten", "--json"))

    assert [True, True] == [kept["confirmed"], flat["confirmed"]]
    assert kept["kill_id"] == flat["kill_id"]
    assert ("positions" in kept["report"], "positions" in flat["report"]) == (True, False)
    assert flat["report"]["flatten"]


def test_a_kill_that_has_been_lifted_is_no_longer_in_the_status(tidegate: Tidegate) -> None:
    """Its confirmation is news of then; the journal keeps it."""
    tidegate("kill")
    killed = tidegate("status")
    tidegate("resume", "--unlatch", "--reason", "a drill")
    after = tidegate("status")

    assert "confirmed by the venue" in killed.stdout
    assert "confirmed by the venue" not in after.stdout


def test_a_kill_that_does_not_wait_is_latched(tidegate: Tidegate) -> None:
    """And says nothing of what it has not waited for."""
    result = tidegate("kill", "--no-wait", "--json")
    found = document(result)

    assert (0, True, False, None) == (
        result.exit_code,
        found["latched"],
        found["confirmed"],
        found["report"],
    )
    assert "" == result.stderr


def test_a_kill_without_the_venues_word_says_so_loudly(
    tidegate: Tidegate, house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latched is exit code 0; not confirmed cannot be overlooked."""
    monkeypatch.setattr(asking, "REPORT_S", 0.0)
    monkeypatch.setitem(house.record._tellers, KillReport, lambda _report: None)
    result = tidegate("kill")

    assert 0 == result.exit_code
    assert "NOT CONFIRMED by the venue" in result.stderr


@pytest.mark.usefixtures("in_time")
def test_a_kill_of_a_stuck_session_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First: latched on the disk; then, when the session is free, its stages."""
    monkeypatch.setattr(limits, "COMMAND_S", 0.05)
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=120.0) as house:
        stuck.wait_for(house)
        keep_first(house.inbox, monkeypatch)
        wait = asking.awaited
        released: list[str] = []

        def awaited(*arguments: Any) -> Any:
            released.append(str(arguments[1]["text"]))
            stuck.release()
            return wait(*arguments)

        monkeypatch.setattr(asking, "awaited", awaited)
        result = asking_of(house)("kill")

    assert 0 == result.exit_code
    assert "latched on the disk" in released[0]
    assert "latched on the disk" in result.stderr
    assert "confirmed by the venue" in result.stdout


def test_a_kill_whose_daemon_ends_meanwhile_says_what_that_means(
    tidegate: Tidegate, house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has ended sends nothing; the next start is held."""

    def gone(*_arguments: Any) -> Any:
        raise Silent("gone")

    monkeypatch.setattr(asking, "followed", gone)
    result = tidegate("kill")

    assert 0 == result.exit_code
    assert "the daemon has ended" in result.stderr
    assert "the next start is held" in result.stdout


def test_a_stop_a_pause_and_their_end(tidegate: Tidegate) -> None:
    """Each says what is in force; `holds` lists it with its way out."""
    stop = tidegate("stop-new-orders", "--symbol", BTC, "--side", "long", "--reason", "news")
    pause = tidegate("pause", "--for", "1h30m", "--strategy", "one", "--json")
    holds = tidegate("holds")
    resumed = tidegate("resume")
    after = tidegate("holds")

    assert [0, 0, 0, 0, 0] == [r.exit_code for r in (stop, pause, holds, resumed, after)]
    assert f"symbol={BTC} side=long" in stop.stdout
    (hold,) = document(pause)["holds"]
    assert 5_400_000 == hold["until"] - hold["since"]
    for word in ("news", "pause:strategy=one", "resume", "cli:"):
        assert word in holds.stdout
    assert "lifted" in resumed.stdout
    assert "nothing is held\n" == after.stdout


def test_a_quarantine_names_the_way_out_that_works(tmp_path: Path) -> None:
    """`resume --unlatch` alone leaves it: a strategy that failed is let in again by its name."""
    script = Script()

    def fail(_strategy: Any, _bar: Any) -> Any:
        raise RuntimeError("a bug")

    script.on_bar = fail
    with running(tmp_path, script, speed=2400.0) as house:
        house.until(lambda: house.get("/v1/holds")["holds"])
        (hold,) = house.get("/v1/holds")["holds"]
        tidegate = asking_of(house)
        way_out = hold["lifted_by"].removesuffix("TEXT").split()
        plain = tidegate("resume", "--unlatch", "--reason", "fixed")
        named = tidegate(*way_out, "fixed")

    assert "quarantine:one" == hold["hold_id"]
    assert [1, 0] == [plain.exit_code, named.exit_code]


def test_a_strategys_own_pause_is_lifted_by_its_name_only(tmp_path: Path) -> None:
    """What a strategy decided is not undone by the way, and an operator can undo it."""
    script = Script()
    asked: list[Any] = []

    def pause(strategy: Any, _bar: Any) -> Any:
        if asked:
            return None
        asked.append(strategy.desk.pause(strategy.desk.now + 10**9, "news at eight"))
        return asked

    script.on_bar = pause
    with running(tmp_path, script, speed=2400.0) as house:
        house.until(lambda: house.get("/v1/holds")["holds"])
        (hold,) = house.get("/v1/holds")["holds"]
        tidegate = asking_of(house)
        plain = tidegate("resume")
        named = tidegate("resume", *hold["lifted_by"].partition(" or resume ")[2].split())
        left = house.get("/v1/holds")["holds"]

    assert ("pause-trading:one", "news at eight") == (hold["hold_id"], hold["cause"])
    assert [1, 0] == [plain.exit_code, named.exit_code]
    assert [] == left


def test_the_holds_in_json(tidegate: Tidegate) -> None:
    """As the session has them."""
    tidegate("pause", "--until", "2024-01-02T00:00:00Z")
    found = document(tidegate("holds", "--json"))

    assert (True, ["pause"]) == (found["held"], [hold["hold_id"] for hold in found["holds"]])
    assert 1_704_153_600_000 == found["holds"][0]["until"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("pause",), 2, "expected one of --for TIME and --until ISO"),
        (("pause", "--for", "soon"), 2, "found 'soon', expected a time like 15m"),
        (("pause", "--for", "15"), 2, "found '15', expected a time like 15m"),
        (("pause", "--for", "0s"), 2, "found '0s', expected 1s to 366d"),
        (("pause", "--for", "367d"), 2, "found '367d', expected 1s to 366d"),
        (("pause", "--until", "noon"), 2, "found 'noon', expected ISO-8601"),
        (("resume", "--unlatch"), 2, "--unlatch needs a --reason"),
        (("resume",), 1, "nothing is held"),
        (("stop-new-orders", "--symbol", "DOGE/USDT"), 1, "found 'DOGE/USDT'"),
        (("explain", "DOGE/USDT"), 1, "expected a symbol"),
        (("explain", ""), 2, "expected a symbol"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    tidegate: Tidegate, arguments: tuple[str, ...], code: int, why: str
) -> None:
    """2 where the command line is wrong, 1 where the session refuses."""
    result = tidegate(*arguments)
    as_json = tidegate(*arguments, "--json")

    assert code == result.exit_code
    assert why in result.stderr
    assert 1 == len(result.stderr.splitlines())
    assert code == document(as_json)["exit_code"]


def test_a_symbol_is_explained(tmp_path: Path) -> None:
    """May it open, and if not, why, in order."""
    with running(tmp_path, speed=1200.0) as house:
        tidegate = asking_of(house)
        house.until(lambda: house.get("/v1/status")["bars"])
        free = tidegate("explain", BTC)
        tidegate("kill")
        held = tidegate("explain", BTC)
        as_json = tidegate("explain", BTC, "--json")

    assert f"{BTC}: orders may open" in free.stdout
    assert f"{BTC}: NOTHING MAY OPEN" in held.stdout
    assert "resume --unlatch" in held.stdout
    assert document(as_json)["may_open"] is False


@pytest.fixture
def traded(tmp_path: Path) -> Any:
    """Return a house in which one order has been filled and one refused."""
    script = Script()

    def decide(strategy: Any, _bar: Any) -> Any:
        if len(script.seen) == 1:
            return (strategy.desk.open(BTC, Side.BUY, Decimal(1)),)
        if len(script.seen) == 2:
            return (strategy.desk.open(BTC, Side.BUY, Decimal(100_000)),)
        return None

    script.on_bar = decide
    with running(tmp_path, script, speed=1200.0) as house:
        house.plane.daemon["folder"] = ""  # type: ignore[index]
        house.until(lambda: sum(house.record.refusals.values()) and house.record.fills)
        session = house.inbox.session
        assert session is not None
        folder = tmp_path / "runs" / "paper" / "sessions" / session.session_id
        house.plane.daemon["folder"] = str(folder)  # type: ignore[index]
        yield house


def test_an_order_is_explained_from_its_intent_to_its_end(traded: Running) -> None:
    """By either of its ids; of one that was refused, every cause."""
    tidegate = asking_of(traded)
    events = [line for line in journal_of(traded) if line["type"] == "ExecutionReport"]
    filled = next(line["data"] for line in events if line["data"]["event"] == "filled")
    refused = next(
        line["data"]["intent_id"]
        for line in journal_of(traded)
        if line["type"] == "RiskDecision" and line["data"]["verdict"] == "denied"
    )
    by_order = document(tidegate("explain", filled["order_id"], "--json"))
    by_client = document(tidegate("explain", filled["client_order_id"], "--json"))
    denied = tidegate("explain", refused)

    words = [event["text"] for event in by_order["life"]]
    assert "one asks to buy 1 BTC/USDT (entry) market gtc" == words[0]
    assert words[1].startswith("approved")
    assert words[-1].startswith("filled: 1 at ")
    assert by_order["life"] == by_client["life"]
    assert "filled" == by_order["status"]
    assert 0 == denied.exit_code
    assert "refused: cash_insufficient" in denied.stdout
    assert "last at 2024-01-01T00:" in tidegate("explain", BTC).stdout


def test_an_order_of_a_session_that_has_ended_is_explained_from_its_journal(
    traded: Running,
) -> None:
    """The daemon is gone; the journal is not."""
    order_id = next(
        line["data"]["order_id"] for line in journal_of(traded) if line["type"] == "ExecutionReport"
    )
    result = traded.end()
    explain = ["explain", order_id, "--session", str(result.out)]
    known = CliRunner().invoke(app, explain)
    as_json = CliRunner().invoke(app, [*explain, "--json"])
    unknown = CliRunner().invoke(app, ["explain", "nothing", "--session", str(result.out)])

    assert 0 == known.exit_code
    assert result.session_id in known.stdout
    assert "filled: 1 at" in known.stdout
    assert "order" == document(as_json)["kind"]
    assert 1 == unknown.exit_code
    assert "has none with this id" in unknown.stderr


def journal_of(house: Running) -> list[dict[str, Any]]:
    path = Path(str(house.plane.daemon["folder"])) / "journal.sqlite"
    return [json.loads(line) for line in read_lines(path)]


def test_a_daemon_is_found_by_the_configuration(house: Running) -> None:
    """Without an option: that of the account of ./tidegate.toml."""
    Path("tidegate.toml").write_text('[session]\ndir = "here"\n[venue]\naccount = "mine"\n')
    folder = account_folder(Path("here"), "paper", "mine")
    folder.mkdir(parents=True)
    pid = os.getpid()
    socket = str(house.control.listening.socket)
    write_daemon(folder, Daemon(pid, process_started(pid), "paper", "mine", socket))

    assert 0 == CliRunner().invoke(app, ["status"]).exit_code


def test_asking_imports_nothing_heavy(house: Running) -> None:
    """`status` answers at once, a kill sooner: no server, no actors, no plots on the way."""
    heavy = ("actors", "aiohttp", "msgspec", "plotly", "prometheus_client", "uvloop")
    program = (
        "import sys; from tidegate.cli import main; "
        f"code = main(['status', '--json', '--socket', {str(house.control.listening.socket)!r}]); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert 0 == done.returncode, done.stderr
    assert "[]" == done.stderr.strip()
    assert json.loads(done.stdout)["live"]


def test_the_kill_command_says_that_it_did_not_kill(
    tidegate: Tidegate, house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong, nobody takes it for done."""
    monkeypatch.setattr(asking, "STARTING_S", 0.0)
    house.inbox.close("a test")
    result = tidegate("kill")

    assert 1 == result.exit_code
    assert result.stderr.startswith("tidegate: NOT KILLED\n")


def test_check_says_what_a_daemon_would_find() -> None:
    """A token that others read, a kill file, holds of an earlier session, a daemon that runs."""
    runner = CliRunner()
    runner.invoke(app, ["init"])
    before = runner.invoke(app, ["check"])
    folder = account_folder(Path("runs"), "paper", "main")
    folder.mkdir(parents=True)
    pid = os.getpid()
    write_daemon(folder, Daemon(pid, process_started(pid), "paper", "main", "/s"))
    (folder / "control.token").write_text("tide-7f3a9c51d2e84b06")
    Path("KILL").touch()
    hold = Hold("kill", "drill", HoldMode.DRAIN, "test", 0, latched=True)
    register_of(Path("runs"), "paper", "main").replace({"kill": hold})
    after = runner.invoke(app, ["check", "--json"])
    found = {each["subject"]: each["status"] for each in document(after)["checks"]}

    assert 0 == before.exit_code
    assert 1 == after.exit_code
    assert {
        "control": "ok",
        "control.token_file": "fail",
        "control.kill_file": "warn",
        "daemon": "warn",
        "holds": "warn",
    }.items() <= found.items()
    assert "tide-7f3a" not in after.stdout
