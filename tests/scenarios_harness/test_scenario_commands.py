"""``tidegate scenario``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal import document, opens
from typer.testing import CliRunner

from scenarios.model import json_schema
from tidegate.cli import app

GOOD = document([opens(2, "a")])
FAILING = document([opens(2, "a")], expect=[{"order": {"tag": "a", "status": "cancelled"}}])


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: dict[str, Any]) -> None:
    """Write a document."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(json.dumps(content), "utf-8")


def run(*arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, stdout and stderr."""
    result = CliRunner().invoke(app, ["scenario", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_one_line_each_and_a_total() -> None:
    """Passed, the sentence, the file, session time, real time."""
    write("drills/a.scenario.json", GOOD)

    code, out, _ = run("run", "drills")
    first, total = out.splitlines()

    assert code == 0
    assert first.startswith("PASS  a test  [drills/a.scenario.json]  00:08:00  ")
    assert total.startswith("1 passed, 0 failed: 00:08:00 of session time in 0.")


def test_a_failure_says_why_and_ends_with_1() -> None:
    """The others are run all the same."""
    write("a.scenario.json", FAILING)
    write("b.scenario.json", GOOD)

    code, out, _ = run("run", ".")

    assert code == 1
    assert "FAIL  a test  [a.scenario.json]" in out
    assert "        expected: order [a] ends cancelled" in out
    assert "PASS  a test  [b.scenario.json]" in out
    assert "1 passed, 1 failed" in out


def test_a_file_that_is_no_scenario_ends_with_2() -> None:
    """One line a problem on stderr; what can be run is run."""
    write("a.scenario.json", {"scenario": "x"})
    write("b.scenario.json", GOOD)

    code, out, err = run("run", ".")

    assert code == 2
    assert "BAD   a.scenario.json" in out
    assert "1 passed, 0 failed, 1 bad" in out
    assert "tidegate: a.scenario.json: expect: missing, and needed" in err.splitlines()


def test_a_path_that_is_not_there_ends_with_2() -> None:
    """Nothing is run."""
    code, out, err = run("run", "gone")

    assert (code, out) == (2, "")
    assert err == "tidegate: gone: no such file or folder\n"


def test_a_word_chooses() -> None:
    """By the file's name or the sentence; a word that nobody has is an error."""
    write("a.scenario.json", {**GOOD, "scenario": "Kill while resting"})
    write("b.scenario.json", GOOD)

    by_sentence, by_name = run("run", ".", "-k", "RESTING")[1], run("run", ".", "-k", "b.s")[1]
    code, _, err = run("run", ".", "-k", "nowhere")

    assert "1 passed" in by_sentence
    assert "Kill while resting" in by_sentence
    assert "[b.scenario.json]" in by_name
    assert code == 2
    assert "-k nowhere: no scenario's file or sentence has that word" in err


def test_with_json_there_is_one_document() -> None:
    """Every miss with what was expected, what was found and the timeline around it."""
    write("a.scenario.json", FAILING)

    code, out, _ = run("run", ".", "--json", "--queued")
    found = json.loads(out)

    assert code == found["exit_code"] == 1
    assert (found["passed"], found["failed"], found["bad"]) == (0, 1, [])
    (one,) = found["scenarios"]
    assert one["sessions"] == [{"outcome": "completed", "exit_code": 0}]
    assert one["virtual_ms"] == 480_000
    (miss,) = one["misses"]
    assert miss["place"] == "expect[0].order"
    assert any(line.startswith("> ") for line in miss["timeline"])


def test_the_schema_is_printed() -> None:
    """The one that the models make."""
    code, out, _ = run("schema")

    assert code == 0
    assert json.loads(out) == json_schema()


def test_a_new_scenario_passes_for_the_users_strategy() -> None:
    """Written for a strategy of his own, with its parameters, and run once."""
    CliRunner().invoke(app, ["new-strategy", "night_owl"])

    code, out, _ = run("new", "kill_drill", "--strategy", "user_strategies/night_owl.py")
    text = Path("kill_drill.scenario.toml").read_text("utf-8")

    assert code == 0, out
    assert 'use = "user_strategies/night_owl.py"' in text
    assert "wrote kill_drill.scenario.toml" in out
    assert run("run", "kill_drill.scenario.toml")[0] == 0


def test_a_new_scenario_needs_no_strategy_of_ones_own() -> None:
    """By default it is the shipped one; with JSON there is one document."""
    code, out, _ = run("new", "first", "--json")

    assert code == 0
    assert json.loads(out) == {
        "scenario": "first.scenario.toml",
        "strategy": "sma_cross",
        "passed": True,
    }


@pytest.mark.parametrize("name", ["Kill", "scenarios", "state", "a b", "../x", ""])
def test_a_name_that_could_do_harm_is_refused(name: str) -> None:
    """Nothing is ever called like a floor, and nothing is written elsewhere."""
    code, _, err = run("new", name)

    assert code == 2
    assert "scenario name: found" in err
    assert list(Path().iterdir()) == []


def test_what_exists_is_not_written_over() -> None:
    """A second `new` of the same name changes nothing."""
    run("new", "first")
    before = Path("first.scenario.toml").read_text("utf-8")

    code, _, err = run("new", "first", "--strategy", "sma_cross")

    assert code == 2
    assert "first.scenario.toml exists; nothing was written" in err
    assert Path("first.scenario.toml").read_text("utf-8") == before


def test_a_strategy_that_is_not_there_is_said_before_anything_is_written() -> None:
    """The loader's own words."""
    code, _, err = run("new", "first", "--strategy", "sma_crss")

    assert code == 2
    assert "did you mean 'sma_cross'?" in err
    assert list(Path().iterdir()) == []


def test_a_session_that_is_not_there_is_refused() -> None:
    """Before anything is written."""
    code, _, err = run("from-session", "latest", "--around", "HoldPlaced")

    assert code == 2
    assert "session 'latest': there is no session" in err
