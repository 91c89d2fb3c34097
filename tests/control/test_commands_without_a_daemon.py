"""The commands of the second terminal where no daemon answers: what they say, and how they end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from messages import Hold, HoldMode
from state.register import register_of
from tidegate.cli import app
from tidegate.control.daemon import Daemon, account_folder, write_daemon


@pytest.mark.parametrize(
    "command", ["status", "holds", "stop-new-orders", "resume", "explain BTC/USDT"]
)
def test_without_a_daemon_every_command_says_so_in_one_line(command: str) -> None:
    """Exit code 1."""
    result = CliRunner().invoke(app, command.split())

    assert 1 == result.exit_code
    assert "tidegate: no daemon runs for the paper account 'main' in runs\n" == result.stderr


def test_holds_without_a_daemon_are_those_of_the_next_start() -> None:
    """Exit code 1, for nothing is in force; the register is read, and left as it is."""
    hold = Hold("kill", "looks wrong", HoldMode.DRAIN, "ada", 1, latched=True)
    register = register_of(Path("runs"), "paper", "main")
    register.replace({hold.hold_id: hold})
    before = register.path.read_bytes()

    shown = CliRunner().invoke(app, ["holds"])
    told = CliRunner().invoke(app, ["holds", "--json"])

    assert (1, 1) == (shown.exit_code, told.exit_code)
    assert "tidegate: no daemon runs for the paper account 'main' in runs\n" == shown.stderr
    assert "looks wrong" in shown.stdout
    assert "resume --unlatch --reason TEXT" in shown.stdout
    (found,) = json.loads(told.stdout)["error"]["next_start"]["holds"]
    assert ("kill", "looks wrong") == (found["hold_id"], found["cause"])
    assert before == register.path.read_bytes()


def test_holds_without_a_daemon_and_with_a_damaged_register_say_so() -> None:
    """Nobody knows what was held: everything will be."""
    register = register_of(Path("runs"), "paper", "main")
    register.path.write_bytes(b"no register")

    result = CliRunner().invoke(app, ["holds"])

    assert 1 == result.exit_code
    assert "the next start holds everything" in result.stderr


def test_a_kill_without_a_daemon_says_that_nothing_was_killed() -> None:
    """And how the next start is held; nothing is latched by the command itself."""
    result = CliRunner().invoke(app, ["kill"])

    assert 1 == result.exit_code
    none, hint = result.stderr.splitlines()
    assert "tidegate: no daemon runs for the paper account 'main' in runs" == none
    assert "NOT KILLED" in hint
    assert "touch KILL" in hint


def test_a_daemon_that_died_is_named_with_its_session(tmp_path: Path) -> None:
    """And so is where to look."""
    folder = account_folder(Path("runs"), "paper", "main")
    folder.mkdir(parents=True)
    write_daemon(folder, Daemon(os.getpid(), "ticks:1", "paper", "main", "/s", session_id="l-7"))
    result = CliRunner().invoke(app, ["status"])

    assert 1 == result.exit_code
    assert "died without an orderly end" in result.stderr
    assert "l-7" in result.stderr


def test_the_kill_command_says_what_to_do_where_nobody_answers(tmp_path: Path) -> None:
    """Of a process that lets none of its threads run there is no answer, and no kill."""
    result = CliRunner().invoke(app, ["kill", "--socket", str(tmp_path / "control.sock")])

    assert 1 == result.exit_code
    silent, advice = result.stderr.splitlines()
    assert "the daemon does not answer: No such file or directory" in silent
    assert "NOT KILLED" in advice
    assert "kill -9" in advice
