"""What each command promises: its answer, its exit code, standard output for the answer only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from replays import FILES, SMALL, WAVES, one_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Process, Tidegate

ROOT = Path(__file__).resolve().parents[2]


# -------------------------------------------------------------------------------------- the door


def test_help_lists_what_works_and_nothing_else(tidegate: Tidegate) -> None:
    """A command that does not work yet is not offered."""
    shown = tidegate("--help")

    listed = {line.split()[0] for line in shown.stdout.split("Commands:")[1].splitlines() if line}
    assert listed == {
        "approve",
        "check",
        "config",
        "data",
        "explain",
        "holds",
        "init",
        "kill",
        "new-strategy",
        "panic",
        "pause",
        "rebuild",
        "replay",
        "report",
        "resume",
        "scenario",
        "sessions",
        "status",
        "stop-new-orders",
        "trade",
        "venue",
        "verify",
        "version",
    }
    assert shown.exit_code == 0


def test_start_up_loads_nothing_heavy(process: Process) -> None:
    """Help is quick because nothing that takes long is imported for it."""
    heavy = ["ccxt", "pyarrow", "plotly", "pydantic", "structlog", "msgspec", "anyio", "rich.table"]
    program = f"import sys, tidegate.cli\nprint([name for name in {heavy} if name in sys.modules])"

    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert ran.stdout.strip() == "[]"


def test_a_floor_from_elsewhere_is_refused_by_name(process: Process, own_folder: Path) -> None:
    """A folder of the user's that is called like a floor is not taken for it."""
    (own_folder / "messages").mkdir()
    (own_folder / "messages" / "__init__.py").write_text("")

    ended = process("version")

    assert ended.returncode == 5
    assert f"package 'messages' is imported from {own_folder / 'messages'}" in ended.stderr


def test_python_without_assertions_is_refused(process: Process) -> None:
    """Assertions guard the books, so they may not be optimised away."""
    ended = process("version", PYTHONOPTIMIZE="1")

    assert ended.returncode == 5
    assert "python runs without assertions" in ended.stderr


def test_a_fault_of_ours_is_one_line_and_a_traceback_in_the_log(own_folder: Path) -> None:
    """Exit 6; the traceback is for the log, not for the terminal."""
    program = (
        "import sys\n"
        "from tidegate.front import finish\n"
        "def broken():\n    raise RuntimeError('tide out')\n"
        "sys.exit(finish(broken, ['--json']))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    log = (own_folder / "runs" / "logs" / "tidegate.log").read_text()
    assert ended.returncode == 6
    assert len(ended.stderr.splitlines()) == 1
    assert "internal fault: RuntimeError: tide out (traceback in runs/logs/tidegate.log)" in (
        ended.stderr
    )
    assert one_document(ended.stdout)["exit_code"] == 6
    assert "in broken" in json.loads(log)["exception"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tread"], "No such command 'tread'"),
        ([], "Missing command"),
        (["replay", "--dta", "x"], "No such option: --dta"),
        (["replay", "--data"], "'--data' requires an argument"),
        (["replay", "--latency-ms", "soon"], "Invalid value for '--latency-ms'"),
        (["replay"], "replay: no data"),
        (["replay", "--data", "fixture:crypto"], "replay: no strategy"),
        (["replay", "--param", "a=1"], "--param: there is no --strategy"),
        (["replay", "--data", "none.csv", "--strategy", "sma_cross"], "none.csv: no such file"),
        (["replay", "--data", "fixture:moon", "--strategy", "sma_cross"], "fixture 'moon'"),
        (
            ["replay", "--data", "fixture:crypto", "--strategy", "sma"],
            "strategy 'sma': not a known",
        ),
        (
            ["replay", "--data", "fixture:crypto", *SMALL, "--param", "fast=3"],
            "fast is given twice",
        ),
        (["replay", "--data", "fixture:crypto", *SMALL, "--param", "fast"], "expected KEY=VALUE"),
        (["replay", "--data", "fixture:crypto", *SMALL, "--cash", "lots"], "--cash: session.cash"),
        (
            ["replay", "--data", "fixture:crypto", *SMALL, "--participation", "2"],
            "venue.participation",
        ),
        (["replay", "--data", "fixture:crypto", *SMALL, "--timeframe", "1y"], "calendar year"),
        (["replay", "--data", "fixture:crypto@BTC/USD:BTC", *SMALL], "not supported"),
        (["replay", "-c", "none.toml"], "none.toml: no such file"),
        (["replay", "--data", "fixture:crypto", *SMALL, "--events", "/dev/null/e"], "--events"),
        (["report", "latest"], "session 'latest': there is no session in runs"),
        (["verify", "r-1"], "session 'r-1': found none in runs"),
        (["new-strategy", "Bad"], "strategy name: found 'Bad'"),
        (["trade", "--i-acknowledge-risk"], "found 'paper' beside --i-acknowledge-risk"),
        (["trade", "--resume", "--new"], "--resume and --new contradict"),
        (["trade", "--resume"], "trade: no strategy configured"),
        (["trade", "--session", "x", "--new"], "--session and --new contradict"),
        (["trade"], "`tidegate init` writes one"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    tidegate: Tidegate, own_folder: Path, arguments: list[str], said: str
) -> None:
    """No traceback, no second line; with JSON still one document; nothing is written."""
    plain, as_json = tidegate(*arguments), tidegate(*arguments, "--json")

    assert (plain.exit_code, plain.stdout) == (2, "")
    assert said in plain.stderr
    assert len(plain.stderr.splitlines()) == 1
    assert one_document(as_json.stdout)["exit_code"] == as_json.exit_code == 2
    assert list(own_folder.iterdir()) == []


# ----------------------------------------------------------------------------- recorded sessions


def test_a_recorded_session_is_listed_reported_verified_and_rebuilt(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """By id, by a beginning of it, as `latest`, or by its folder."""
    ran = one_document(tidegate("replay", "--data", bars("a.csv", WAVES), *SMALL, "--json").stdout)
    session_id, folder = ran["session_id"], Path(ran["folder"])
    report = (folder / "session.md").read_bytes()
    shutil.rmtree(folder / "logs")
    (folder / "trades.csv").unlink()
    (folder / "session.md").write_text("lost")

    listed = one_document(tidegate("sessions", "--json").stdout)["sessions"]
    told = tidegate("verify", session_id[:4])
    rebuilt = one_document(tidegate("rebuild", session_id, "--json").stdout)
    verified = tidegate("verify", "latest", "--json")
    reported = one_document(tidegate("report", folder, "--json").stdout)

    assert [(row["session_id"], row["outcome"]) for row in listed] == [(session_id, "completed")]
    assert listed[0]["equity"] == ran["summary"]["accounts"][0]["equity"]
    assert told.exit_code == 1
    assert "trades.csv is missing" in told.stdout
    assert "session.md is not what the session wrote" in told.stdout
    changes = {row["file"]: row["change"] for row in rebuilt["files"]}
    assert changes["trades.csv"] == "made"
    assert changes["session.md"] == "changed"
    assert changes["events.ndjson"] == "same"
    assert report == (folder / "session.md").read_bytes()
    assert verified.exit_code == 0
    assert one_document(verified.stdout)["same"]
    assert reported["summary"]["fills"] == ran["summary"]["fills"]


def test_a_changed_input_is_named_with_the_first_event_that_differs(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """One digit of one price: exit 1, the file, and the event."""
    data = bars("a.csv", WAVES)
    tidegate("replay", "--data", data, *SMALL, "--out", "o")
    bars("a.csv", [*WAVES[:60], WAVES[60] + 7, *WAVES[61:]])

    told = tidegate("verify", "o")

    assert told.exit_code == 1
    assert f"input {data.absolute()} changed: sha256 was" in told.stdout
    assert "differs: journal: entry" in told.stdout


def test_a_changed_strategy_is_named(tidegate: Tidegate, bars: Callable[..., Path]) -> None:
    """The session's strategy file is part of what it was made from."""
    tidegate("new-strategy", "night_owl")
    strategy = Path("user_strategies/night_owl.py")
    tidegate("replay", "--data", bars("a.csv", WAVES), "--strategy", strategy, "--out", "o")
    same = tidegate("verify", "o")
    strategy.write_text(
        strategy.read_text().replace("Side.BUY, self.params.quantity", "Side.BUY, held + 2")
    )

    told = tidegate("verify", "o")

    assert same.exit_code == 0
    assert told.exit_code == 1
    assert "strategy night_owl" in told.stdout
    assert "differs: journal: entry" in told.stdout


def test_a_beginning_that_fits_two_sessions_is_refused(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Nobody guesses which one was meant."""
    data = bars("a.csv", WAVES)
    tidegate("replay", "--data", data, *SMALL)
    tidegate("replay", "--data", data, *SMALL, "--seed", 1)

    ended = tidegate("report", "r-")

    assert ended.exit_code == 2
    assert "session 'r-': found 2 (" in ended.stderr


# ----------------------------------------------------------------------------------------- trade


def test_init_gives_a_paper_session_that_ends_by_itself(tidegate: Tidegate) -> None:
    """Asks nothing; the session runs on packaged data, through the durable journal, to exit 0."""
    made = tidegate("init")
    ended = tidegate("trade", "--speed", 0, "--json")
    verified = tidegate("verify", "latest")

    document = one_document(ended.stdout)
    assert made.exit_code == 0
    assert (ended.exit_code, document["outcome"]) == (0, "completed")
    assert document["summary"]["synthetic"]
    assert document["summary"]["fills"] > 0
    assert {path.name for path in Path(document["folder"]).iterdir()} >= FILES
    assert verified.exit_code == 0, verified.stdout


def test_the_paper_session_of_init_takes_30_to_60_seconds(tidegate: Tidegate) -> None:
    """By its own data and speed."""
    tidegate("init")

    shown = one_document(tidegate("config", "show", "--json").stdout)["values"]
    from feeds.fixtures import FIXTURES

    minutes = FIXTURES[shown["feed"]["files"][0].removeprefix("fixture:")].bars
    assert 30 <= minutes * 60 / shown["feed"]["speed"] <= 60


def test_init_overwrites_only_when_told_to(tidegate: Tidegate) -> None:
    """A file that exists is kept."""
    Path("tidegate.toml").write_text("# mine\n")

    refused = tidegate("init")
    kept = Path("tidegate.toml").read_text()
    forced = tidegate("init", "--force", "--json")

    assert (refused.exit_code, kept) == (2, "# mine\n")
    assert (forced.exit_code, one_document(forced.stdout)["config"]) == (0, "tidegate.toml")


@pytest.mark.parametrize("folder", ["actors", "brokers/x", "deep/state", "tests/../feeds"])
def test_init_makes_no_folder_that_is_called_like_a_floor(
    tidegate: Tidegate, own_folder: Path, folder: str
) -> None:
    """Such a folder would hide the package of that name."""
    ended = tidegate("init", "--dir", folder)

    assert ended.exit_code == 2
    assert list(own_folder.iterdir()) == []


def test_an_interrupted_session_ends_in_order_with_130(
    own_folder: Path, tidegate: Tidegate
) -> None:
    """Ctrl-C at real-time speed is answered at once, and the session has all its files."""
    tidegate("init")
    running = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "trade", "--speed", "1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "session_started" in line:
            break
    running.send_signal(signal.SIGINT)
    answer, _ = running.communicate(timeout=120)

    document = one_document(answer)
    assert (running.returncode, document["outcome"]) == (130, "interrupted")
    assert {path.name for path in Path(document["folder"]).iterdir()} >= FILES
    assert tidegate("verify", "latest").exit_code == 0


# --------------------------------------------------------------------------- configuration, check


def test_config_show_names_the_winner_of_each_key(tidegate: Tidegate) -> None:
    """Default, file, environment."""
    Path("tidegate.toml").write_text("[session]\nname = 'mine'\n")

    shown = one_document(tidegate("config", "show", "--json", TIDEGATE_SEED="3").stdout)
    table = tidegate("config", "show", TIDEGATE_SEED="3").stdout

    assert shown["sources"]["session.name"] == "tidegate.toml"
    assert shown["sources"]["session.seed"] == "environment TIDEGATE_SEED"
    assert shown["sources"]["session.mode"] == "default"
    assert (shown["values"]["session"]["name"], shown["values"]["session"]["seed"]) == ("mine", 3)
    assert "environment TIDEGATE_SEED" in table


def test_config_schema_is_a_json_schema_of_every_section(tidegate: Tidegate) -> None:
    """Every section is there and unknown keys are not allowed."""
    schema = one_document(tidegate("config", "schema").stdout)

    assert set(schema["properties"]) == {
        "session",
        "execution",
        "reconciliation",
        "venue",
        "universe",
        "feed",
        "strategies",
        "risk",
        "health",
        "control",
        "telemetry",
    }
    assert schema["additionalProperties"] is False


def test_check_says_what_is_wanting(tidegate: Tidegate) -> None:
    """Exit 0 for a configuration that would start, 1 for one that would not, with the reason."""
    tidegate("init")

    good = tidegate("check", "--json")
    bad = tidegate("check", "--json", TIDEGATE_FEED__FILES='["none.csv@BTC/USDT"]')
    unheard = tidegate("check", TIDEGATE_TELEMETRY__NOTIFY='["mail"]')
    elsewhere = tidegate("check", TIDEGATE_VENUE__ADAPTER="ccxt")
    refused = tidegate("trade", TIDEGATE_VENUE__ADAPTER="ccxt")

    assert good.exit_code == 0
    assert {row["status"] for row in one_document(good.stdout)["checks"]} == {"ok"}
    failing = [row for row in one_document(bad.stdout)["checks"] if row["status"] == "fail"]
    assert bad.exit_code == 1
    assert [row["subject"] for row in failing] == ["feed"]
    assert "none.csv" in failing[0]["detail"]
    assert unheard.exit_code == 1
    assert "apprise does not know" in " ".join(unheard.stdout.split())
    assert elsewhere.exit_code == 1
    assert "expected a ccxt id for adapter" in " ".join(elsewhere.stdout.split())
    assert refused.exit_code == 2
    assert "expected a ccxt id for adapter 'ccxt'" in refused.stderr


def test_a_secret_is_in_no_output_and_in_no_file(
    process: Process, own_folder: Path, bars: Callable[..., Path]
) -> None:
    """Not in what is shown, not in logs, not in the session's folder."""
    secret = "t0p-secret-of-the-gate"
    environ = {
        "TIDEGATE_VENUE__CREDENTIALS__API_KEY": secret,
        "TIDEGATE_VENUE__CREDENTIALS__PASSWORD": secret,
    }
    bars("a.csv", WAVES)

    ended = [
        process("replay", "--data", "a.csv", *SMALL, "--json", **environ),
        process("config", "show", **environ),
        process("config", "show", "--json", **environ),
        process("check", **environ),
        process("replay", "--data", f"{secret}.csv", *SMALL, **environ),
    ]

    assert [each.returncode for each in ended] == [0, 0, 0, 1, 2]
    for each in ended[:4]:
        assert secret not in each.stdout + each.stderr
    for path in own_folder.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_version_is_told(tidegate: Tidegate) -> None:
    """Of Tidegate and of Python."""
    from tidegate import __version__

    assert one_document(tidegate("version", "--json").stdout)["tidegate"] == __version__
