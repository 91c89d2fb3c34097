"""Real daemons: what must hold of the process itself. Few, because each costs a start."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from control_house import AT_ONCE, clear_away

from actors.runtime.clock import monotonic_s
from state.register import register_of
from tidegate.commands.kill import _ending, pull
from tidegate.control.client import Client, Place, find
from tidegate.control.patience import Patience
from tidegate.exits import Wanting

ROOT = Path(__file__).resolve().parents[2]
MAIN = Place(Path("runs"), "paper", "main")

CONFIGURATION = """\
[session]
mode = "paper"
[universe]
symbols = ["BTC/USDT"]
[feed]
source = "file"
files = ["bars.csv@BTC/USDT"]
timeframe = "1m"
stale_after_s = 86400
[[strategies]]
name = "mine"
use = "{use}"
"""

ENDLESS = """\
from strategies import Strategy, StrategyParams


class Endless(Strategy):
    \"\"\"Never returns from its second bar.\"\"\"

    Params = StrategyParams

    def on_bar(self, bar):
        self.bars = getattr(self, "bars", 0) + 1
        while self.bars >= 2:
            pass
"""


@dataclass
class Process:
    """One daemon in a process of its own."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def client(self) -> Client:
        """Return a client, found as every command finds its daemon."""
        return Client(Path(find(MAIN).socket))

    def status(self) -> dict[str, Any]:
        """Return its status."""
        return self.client.get("/v1/status")[1]

    def until(self, reached: Any) -> dict[str, Any]:
        """Return the first status for which ``reached`` is true."""
        patience = Patience(AT_ONCE)
        while True:
            try:
                status = self.status()
                if reached(status):
                    return status
            except Wanting:
                assert self.process.poll() is None, self.log.read_text()
            assert not patience.over, self.log.read_text()
            patience.rest()

    def wait(self) -> int:
        """Return its exit code."""
        return self.process.wait(AT_ONCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Return a way to start the daemon of the configuration in the current folder."""
    rows = [f"{1_704_067_200_000 + i * 60_000},100,101,99,100,10" for i in range(200)]
    Path("bars.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
    Path("endless.py").write_text(ENDLESS)
    started: list[Process] = []

    def run(
        use: str = "sma_cross", speed: float = 1.0, environ: Mapping[str, str] | None = None
    ) -> Process:
        Path("tidegate.toml").write_text(CONFIGURATION.format(use=use))
        log = tmp_path / f"daemon-{len(started)}.log"
        command = [sys.executable, "-m", "tidegate", "trade", "--mode", "paper"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "--speed", str(speed)],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            )
        started.append(Process(process, log))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
    clear_away(Path("runs"))


def in_register() -> list[str]:
    return [hold.hold_id for hold in register_of(MAIN.runs_dir, MAIN.mode, MAIN.account).load()]


def tidegate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_kill_survives_a_crash_and_a_restart_and_is_lifted_with_a_reason(start: Any) -> None:
    """Command, SIGKILL, restart: killed; resumed with a reason: trading; stopped: all in order."""
    first = start()
    first.until(lambda status: status["live"])
    killed = tidegate("kill", "--reason", "drill", "--json")
    first.process.kill()
    first.wait()
    dead = tidegate("status")
    latched = in_register()
    second = start()
    again = second.until(lambda status: status["live"])
    without_reason = tidegate("resume", "--unlatch")
    lifted = tidegate("resume", "--unlatch", "--reason", "the drill is over")
    trading = second.status()["state"]
    second.process.send_signal(signal.SIGINT)
    code = second.wait()
    gone = tidegate("status")

    assert (0, True) == (killed.returncode, json.loads(killed.stdout)["confirmed"])
    assert 1 == dead.returncode
    assert f"died without an orderly end (pid {first.process.pid})" in dead.stderr
    assert ["kill"] == latched
    assert "killed" == again["state"]
    assert ["drill"] == [hold["cause"] for hold in again["holds"]]
    assert (2, 0) == (without_reason.returncode, lifted.returncode)
    assert "trading" == trading
    assert 130 == code
    assert "no daemon runs" in gone.stderr
    assert [] == in_register()


def test_the_kill_file_and_the_signal_kill_and_an_end_while_killed_is_exit_code_4(
    start: Any,
) -> None:
    """Each is known by what brought it; the file has to go before the kill can be lifted."""
    daemon = start()
    daemon.until(lambda status: status["live"])
    second_instance = tidegate("trade")
    Path("KILL").touch()
    by_file = daemon.until(lambda status: status["state"] == "killed")
    refused = tidegate("resume", "--unlatch", "--reason", "too early")
    Path("KILL").unlink()
    lifted = tidegate("resume", "--unlatch", "--reason", "removed")
    daemon.process.send_signal(signal.SIGUSR1)
    by_signal = daemon.until(lambda status: status["state"] == "killed")
    daemon.process.send_signal(signal.SIGTERM)
    code = daemon.wait()

    assert 5 == second_instance.returncode
    assert f"(pid {daemon.process.pid} on " in second_instance.stderr
    assert f"session {by_file['session_id']})" in second_instance.stderr
    assert ["kill_file"] == [hold["set_by"] for hold in by_file["holds"]]
    assert "KILL is still there" in refused.stderr
    assert 0 == lifted.returncode
    assert ["signal:SIGUSR1"] == [hold["set_by"] for hold in by_signal["holds"]]
    assert 4 == code


def test_without_its_lease_a_second_daemon_is_not_refused(start: Any) -> None:
    """One that ignores the lock starts; one that does not is refused, and starts after a crash."""
    first = start()
    first.until(lambda status: status["live"])
    ignoring = "import fcntl; fcntl.flock = lambda *_: None; from tidegate.cli import main; main()"
    unsafe = subprocess.run(
        [sys.executable, "-c", ignoring, "trade", "--speed", "0"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    refused = tidegate("trade", "--speed", "0")
    first.process.kill()
    first.wait()
    after = tidegate("trade", "--speed", "0")

    assert "runs for this account already" not in unsafe.stderr
    assert 5 != unsafe.returncode
    assert (5, 0) == (refused.returncode, after.returncode), after.stderr


LOOKS = 5
"""A loaded machine may take its time over one, and still be shown to be quick by another."""


def timed(act: Callable[[], dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    """Return how long something took, and what came of it."""
    began_s = monotonic_s()
    found = act()
    return monotonic_s() - began_s, found


def test_a_daemon_stuck_in_a_strategy_is_not_shown_as_live_and_can_be_killed(start: Any) -> None:
    """Status within a second, a kill within its grace: the strategy is what gives way."""
    daemon = start(use="endless.py:Endless", speed=120.0)
    stuck = daemon.until(lambda status: not status["live"] and status["session_id"])
    shown = [timed(daemon.status) for _ in range(LOOKS)]
    # Without its report: the strategy is restarted, and hangs again, before the venue is asked.
    killed = tidegate("kill", "--no-wait", "--json")

    assert stuck["stalled_s"] > 0.5
    assert not any(status["live"] for _, status in shown)
    assert min(took_s for took_s, _ in shown) < 1.0
    assert 0 == killed.returncode
    assert json.loads(killed.stdout)["text"].startswith("killed: ")
    assert "kill" in in_register()


def test_http_wants_the_token_and_no_log_has_it(start: Any, tmp_path: Path) -> None:
    """Right or wrong; systemd is told that the daemon is ready, and that it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(AT_ONCE)
        daemon = start(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        ready = systemd.recv(100)
        daemon.until(lambda status: status["live"])
        found = find(MAIN)
        token = Path(found.token_file).read_text().strip()
        answers = [
            posted(found.http, "stop-new-orders", bearer)
            for bearer in ("", "wrong-token-wrong-token", token)
        ]
        holds = [(hold["hold_id"], hold["set_by"]) for hold in daemon.status()["holds"]]
        daemon.process.send_signal(signal.SIGINT)
        code = daemon.wait()
        stopping = systemd.recv(100)

    written = [path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()]
    written = [text for text in written if text.strip() != token.encode()]
    assert [b"READY=1", b"STOPPING=1"] == [ready, stopping]
    assert [401, 401, 200] == answers
    assert [("stop-new-orders", "http")] == holds
    assert 130 == code
    assert 0o600 == stat.S_IMODE(Path(found.token_file).stat().st_mode)
    for secret in (token, "wrong-token-wrong-token"):
        assert secret not in daemon.log.read_text()
        assert [] == [text for text in written if secret.encode() in text]


def posted(address: str, command: str, bearer: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=AT_ONCE)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
    connection.request("POST", f"/v1/commands/{command}", b"{}", headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_daemon_that_lets_nothing_run_is_ended_from_outside_and_comes_back_killed(
    start: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be killed from inside is: latched by the command, ended, held when it is back."""
    daemon = start(speed=60.0)
    daemon.until(lambda status: status["live"])
    os.kill(daemon.process.pid, signal.SIGSTOP)
    unheard = Client(daemon.client.path, timeout_s=0.5)

    code = pull(
        unheard, {"reason": "drill"}, wait=True, as_json=False, last_resort=_ending(None, "drill")
    )

    said = capsys.readouterr()
    assert 0 == code
    assert "did not answer and was ended" in said.err
    assert -signal.SIGKILL == daemon.wait()
    assert ["kill"] == in_register()
    again = start(speed=60.0)
    status = again.until(lambda status: status["live"])
    assert "killed" == status["state"]
    assert "drill" == status["holds"][0]["cause"]


def test_without_a_last_resort_a_daemon_that_lets_nothing_run_is_not_killed(start: Any) -> None:
    """And it is said so, with what to do: a command that gives up must not look like success."""
    daemon = start(speed=60.0)
    daemon.until(lambda status: status["live"])
    os.kill(daemon.process.pid, signal.SIGSTOP)

    with pytest.raises(Wanting, match="NOT KILLED"):
        pull(Client(daemon.client.path, timeout_s=0.5), {}, wait=True, as_json=False)

    assert [] == in_register()
