"""``tidegate panic`` as it is typed: what it asks, says, latches, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from panic_house import KEY, QUICK, SECRET, Venue
from typer.testing import CliRunner, Result

from messages import KILL_HOLD
from state.register import register_of
from tidegate import panicking
from tidegate.cli import app
from tidegate.control.client import Client, Place, find
from tidegate.control.daemon import read_daemon
from tidegate.control.patience import Patience
from tidegate.emergency import Bounds
from tidegate.exits import Wanting

ROOT = Path(__file__).resolve().parents[2]
MAIN = Place(Path("runs"), "paper", "main")
START_S = 60.0
"""Longer than a daemon takes to start on a loaded machine."""


@dataclass
class Daemon:
    """One daemon, and the environment with its secrets."""

    process: subprocess.Popen[bytes]
    environ: dict[str, str]

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> None:
        """Return once its status is such."""
        patience = Patience(START_S)
        while True:
            try:
                if reached(Client(Path(find(MAIN).socket)).get("/v1/status")[1]):
                    return
            except Wanting:
                assert self.process.poll() is None, Path("daemon.log").read_text()
            assert not patience.over, Path("daemon.log").read_text()
            patience.rest()


def run(*arguments: str, **environ: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["panic", *arguments], env=environ)


def in_register() -> list[str]:
    """Return the holds in force of the account."""
    return [hold.hold_id for hold in register_of(MAIN.runs_dir, MAIN.mode, MAIN.account).load()]


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (["--yes"], "", "a paper venue lives in its daemon"),
        (["--yes"], '[venue]\nadapter = "ccxt"\nexchange = "binanceusdm"\n', "credentials.secret"),
        (["--yes"], '[venue]\nadapter = "ib"\n', "'ib' is known and has no way there"),
        (["--yes"], "[venue]\ndead_man_s = -1\n", "venue.dead_man_s"),
        ([], '[venue]\nadapter = "ccxt"\nexchange = "okx"\nloopback_port = 1\n', "--yes"),
    ],
    ids=["paper", "no-key", "no-way", "wrong", "not-confirmed"],
)
def test_what_cannot_be_done_is_one_error_and_nothing_is_latched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    text: str,
    said: str,
) -> None:
    """Exit code 2, one line that says why; without a terminal it has to be confirmed."""
    monkeypatch.chdir(tmp_path)
    Path("tidegate.toml").write_text(text)

    result = run(*arguments)

    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("runs").exists()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no test wait longer than a venue on this machine needs."""
    monkeypatch.setattr(panicking, "BOUNDS", QUICK)


@pytest.mark.parametrize(("answer", "code"), [("no", 1), ("yes", 0)])
def test_on_a_terminal_it_asks_and_only_yes_goes_on(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    """Anything but yes ends it with nothing latched and nothing cancelled."""
    venue.order("buy", "0.01", "40000")
    for name, value in venue.configuration(tmp_path).items():
        monkeypatch.setenv(name, value)
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    asked = panicking.Asked((), flatten=False, symbols=(), yes=False, as_json=False)
    with os.fdopen(theirs) as terminal, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdin", terminal)
        try:
            found = panicking.panic(asked)
        except Wanting as refused:
            found = int(refused.code)
    os.close(ours)

    assert found == code
    assert bool(venue.truth.live) is (answer == "no")
    assert Path("runs").exists() is (answer == "yes")


@pytest.fixture
def daemon(venue: Venue, tmp_path: Path) -> Iterator[Daemon]:
    """Return a real daemon that trades the account and holds its lease."""
    rows = [f"{1_704_067_200_000 + i * 60_000},50000,50010,49990,50000,10" for i in range(200)]
    (tmp_path / "bars.csv").write_text(
        "\n".join(["timestamp,open,high,low,close,volume", *rows, ""])
    )
    environ = venue.configuration(
        tmp_path,
        '[session]\nmode = "paper"\n[universe]\nsymbols = ["BTC/USDT:USDT"]',
        '[feed]\nsource = "file"\nfiles = ["bars.csv@BTC/USDT:USDT"]\ntimeframe = "1m"',
        "speed = 1.0\nstale_after_s = 86400",
        '[[strategies]]\nname = "mine"\nuse = "sma_cross"',
    )
    with Path("daemon.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "trade", "--mode", "paper"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        )
    found = Daemon(process, environ)
    try:
        found.until(lambda status: bool(status["live"]))
        yield found
    finally:
        process.kill()
        process.wait()
        for path in Path("runs").glob("*/accounts/*/daemon.json"):
            left = read_daemon(path.parent)
            if left is not None:
                shutil.rmtree(Path(left.socket).parent, ignore_errors=True)


def test_a_daemon_is_told_and_one_that_hangs_is_no_hindrance(venue: Venue, daemon: Daemon) -> None:
    """
    A daemon that runs is killed too; one that is stopped, and holds the lease, is not waited for.

    Either way the venue is empty and the kill is latched, and no secret is said.
    """
    told = run("--yes", **daemon.environ)
    assert told.exit_code == 0, told.output
    daemon.until(lambda status: status["state"] == "killed")

    daemon.process.send_signal(signal.SIGSTOP)
    venue.order("buy", "0.1")
    venue.order("buy", "0.01", "40000")

    result = run("--flatten", "--yes", "--json", **daemon.environ)

    document: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert (document["confirmed"], document["open_orders"], document["positions"]) == (True, [], [])
    assert not venue.truth.held
    assert not venue.truth.live
    assert in_register() == [KILL_HOLD]
    assert any("may still be sending" in note for note in document["notes"])
    assert KEY not in result.output
    assert SECRET not in result.output


def test_what_is_left_is_shown_and_what_to_do_is_said(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue refuses to close: exit code 1, the position in the table, no secret anywhere."""
    venue.order("buy", "0.1")
    environ = venue.configuration(tmp_path, "[session]\nunknown_key = 1")
    venue.faults({"fault": "error_before", "on": ["submit"], "code": -2010})
    # All of it together may take as long as both: what is refused ends it after half a second.
    bounds = Bounds(whole_s=0.5, rest_first_s=0.1, rest_max_s=30.0)
    monkeypatch.setattr(panicking, "BOUNDS", bounds)

    result = run("--flatten", "--yes", **environ)

    assert result.exit_code == 1, result.output
    assert "no open orders" in result.stdout
    assert "BTC/USDT:USDT" in result.stdout
    assert "NOT EMPTY" in result.stderr
    assert "refused" in result.stderr
    assert in_register() == [KILL_HOLD]
    assert KEY not in result.output
    assert SECRET not in result.output


def test_a_disk_that_takes_no_word_holds_nothing_up(venue: Venue, tmp_path: Path) -> None:
    """The account is emptied all the same, and that nothing is latched is said."""
    venue.order("buy", "0.01", "40000")
    environ = venue.configuration(tmp_path)
    (tmp_path / "runs").write_text("a file where the folder should be")

    result = run("--yes", **environ)

    assert result.exit_code == 0, result.output
    assert "NOT latched" in result.stderr
    assert not venue.truth.live


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_whoever_has_stopped_reading_holds_nothing_up(
    venue: Venue, tmp_path: Path, kind: str
) -> None:
    """
    A pager, Ctrl-S, a dead line: what is said before the cancels finds no room, and they go out.

    The exit code comes too.
    """
    venue.order("buy", "0.01", "40000")
    environ = venue.configuration(tmp_path)
    (tmp_path / "runs").write_text("a file where the folder should be")  # it has something to say
    reading, writing = os.pipe() if kind == "pipe" else os.openpty()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"z\n")
    os.set_blocking(writing, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "panic", "--yes"],
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )
    try:
        assert 0 == process.wait(START_S)
        assert not venue.truth.live
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        os.close(reading)
