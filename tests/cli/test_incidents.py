"""What happened in a session becomes a scenario: it passes as it is, and fails on other code."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from actors.commands import Request
from actors.inbox import Inbox
from actors.session import run_paper
from messages import CommandVerb
from scenarios.reading import read_scenario
from tidegate.compose import compose
from tidegate.config import load
from tidegate.running import session_logs, session_spec

pytestmark = pytest.mark.exhaustive

if TYPE_CHECKING:
    from tests.cli.conftest import Process, Tidegate

COMMANDS = {
    120: Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test", reason="drill"),
    200: Request(verb=CommandVerb.RESUME, by="test", reason="over"),
    260: Request(verb=CommandVerb.KILL, by="test", reason="enough", flatten=True),
    300: Request(verb=CommandVerb.RESUME, by="test"),
}
"""What an operator says after which bar; the last is refused: a kill is latched."""


def commanded(tidegate: Tidegate) -> None:
    """Run the session of `init`, with somebody at its door, to its 320th bar."""
    tidegate("init")
    configuration = load()
    inbox = Inbox()
    seen = [0]

    def progressed(bars: int) -> None:
        seen[0] = bars
        if bars in COMMANDS:
            inbox.submit(COMMANDS[bars])

    with session_logs(configuration) as (_, log):
        spec = session_spec(configuration, compose(configuration), log)

        async def main() -> None:
            await run_paper(
                spec, speed=0, inbox=inbox, on_progress=progressed, stop=lambda: seen[0] >= 320
            )

        anyio.run(main)


def made(tidegate: Tidegate, around: str) -> Path:
    """Make a scenario of what is around an event; it passes at once, and when it is run."""
    told = tidegate("scenario", "from-session", "latest", "--around", around)
    assert told.exit_code == 0, told.output
    (path,) = Path().glob("*.scenario.json")
    read_scenario(path)
    assert tidegate("scenario", "run", path).exit_code == 0
    return path


def expected(path: Path) -> list[dict[str, Any]]:
    """Return what a scenario expects to see."""
    return [each["seen"] for each in json.loads(path.read_text())["expect"]]


@pytest.mark.parametrize("around", ["KillReport", "CommandRefused", "HoldLifted", "RiskDecision:3"])
def test_an_incident_of_a_commanded_session_passes(tidegate: Tidegate, around: str) -> None:
    """A kill with its flatten, a refusal, a resume, an order: expected where it was."""
    commanded(tidegate)

    assert tidegate("verify", "latest").exit_code == 0
    path = made(tidegate, around)

    assert around.partition(":")[0] in {seen["message"] for seen in expected(path)}


def crashed(tidegate: Tidegate, process: Process, point: str) -> None:
    """Run the session of `init` in two processes, the first of which dies at a crash point."""
    tidegate("init")
    died = process("trade", "--speed", 0, TIDEGATE_CRASH_AT=point)
    assert died.returncode == -signal.SIGKILL
    assert process("trade", "--resume", "--speed", 0).returncode == 0


@pytest.mark.parametrize(
    ("point", "is_order_waiting"), [("journal.committed:40", False), ("order.leaving:13", True)]
)
def test_a_crash_becomes_a_power_cut_that_is_gone_on_after(
    tidegate: Tidegate, process: Process, point: str, is_order_waiting: bool
) -> None:
    """The process ends at its time, and what the next one decided is expected too."""
    crashed(tidegate, process, point)

    path = made(tidegate, "HoldLifted")
    document = json.loads(path.read_text())
    (cut,) = (step for step in document["steps"] if "power_cut" in step)
    ended_at = int(cut["at"].removesuffix("ms")) + is_order_waiting
    later = [each for each in expected(path) if int(each["from"].removesuffix("ms")) > ended_at]

    assert is_order_waiting is ("when" in cut)
    assert "HoldLifted" in {seen["message"] for seen in expected(path)}
    assert {"OpenIntent", "ReduceIntent"} & {seen["message"] for seen in later}


def test_a_crashed_session_that_is_begun_anew_is_another_story(
    tidegate: Tidegate, process: Process
) -> None:
    """Ablation: where the scenario does not go on with the session, what it did is not seen."""
    crashed(tidegate, process, "journal.committed:40")
    path = made(tidegate, "SessionStarted:2")
    document = json.loads(path.read_text())
    for step in document["steps"]:
        if "power_cut" in step:
            step["power_cut"]["new"] = True
    path.write_text(json.dumps(document))

    failed = tidegate("scenario", "run", path)

    assert failed.exit_code == 1
    assert "recovering" in failed.stdout


def stopped(tidegate: Tidegate, at: int) -> None:
    """Run the session of `init`, stopped in order after so many bars, and go on with it."""
    tidegate("init")
    configuration = load()
    seen = [0]
    with session_logs(configuration) as (_, log):
        spec = session_spec(configuration, compose(configuration), log)

        async def main() -> None:
            await run_paper(
                spec,
                speed=0,
                on_progress=lambda bars: seen.__setitem__(0, bars),
                stop=lambda: seen[0] >= at,
            )

        anyio.run(main)
    assert tidegate("trade", "--resume", "--speed", 0).exit_code == 0


def test_a_stop_becomes_a_stop_that_is_gone_on_after(tidegate: Tidegate) -> None:
    """The session stops at its time, and what the next process decided is expected too."""
    stopped(tidegate, 120)
    assert tidegate("verify", "latest").exit_code == 0

    path = made(tidegate, "SessionStarted:2")
    (stop,) = (step for step in json.loads(path.read_text())["steps"] if "stop" in step)

    assert stop["stop"]["restart"]
    placed = [seen["where"]["hold"] for seen in expected(path) if seen["message"] == "HoldLifted"]
    assert "stopping:interrupted" in {hold["hold_id"] for hold in placed}


def test_a_session_that_was_left_stopped_is_stopped_in_its_scenario(tidegate: Tidegate) -> None:
    """What its end held is seen there; nobody goes on."""
    commanded(tidegate)

    path = made(tidegate, "HoldPlaced:3")
    (stop,) = (step for step in json.loads(path.read_text())["steps"] if "stop" in step)

    assert stop["stop"] == {}


def test_a_scenario_fails_where_the_strategy_decides_otherwise(tidegate: Tidegate) -> None:
    """Ablation: another parameter, and what was seen is not seen any more."""
    commanded(tidegate)
    path = made(tidegate, "OpenIntent:2")
    document = json.loads(path.read_text())
    document["strategies"][0]["params"]["slow"] += 7
    path.write_text(json.dumps(document))

    failed = tidegate("scenario", "run", path)

    assert failed.exit_code == 1
    assert "OpenIntent" in failed.stdout


@pytest.mark.parametrize(
    ("around", "said"),
    [("0", "entries in the journal"), ("OpenIntent:999", "events OpenIntent"), ("x", "events x")],
)
def test_an_event_that_is_not_there_is_refused(tidegate: Tidegate, around: str, said: str) -> None:
    """And nothing is written."""
    commanded(tidegate)

    told = tidegate("scenario", "from-session", "latest", "--around", around)

    assert told.exit_code == 2
    assert said in told.stderr
    assert [] == list(Path().glob("*.scenario.json"))
