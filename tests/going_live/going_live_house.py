"""A configuration that could go live, what clears it, and daemons in processes of their own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from preflight_house import INSTRUMENTS
from typer.testing import CliRunner, Result

from actors.runtime.clock import monotonic_s, wall_ms
from tidegate.cli import app
from tidegate.config import Configuration, load

ROOT = Path(__file__).resolve().parents[2]
BTC = "BTC/USDT:USDT"
MINUTE = 60_000
PATIENCE_S = 90.0
"""Longest wait of a test: a loaded machine is slow, a daemon that is wrong is slower."""

CONFIGURATION = """\
[session]
mode = "live"
[venue]
adapter = "ccxt"
exchange = "binanceusdm"
timeout_s = 10.0
{venue}
[universe]
symbols = ["BTC/USDT:USDT"]
instruments = "instruments.toml"
[feed]
source = "ccxt"
timeframe = "1m"
stale_after_s = 86400
[feed.live]
streams = ["bars", "quotes"]
warm_up_bars = 300
[[strategies]]
name = "sma"
use = "sma_cross"
params = {{ fast = 1, slow = 2, quantity = "0.003" }}
[risk]
max_order_notional = "250"
max_gross_exposure = "1000"
max_drawdown_pct = "10"
max_daily_loss = "50"
{risk}
[health]
min_free_mb = 0
[control]
http = ""
"""

PINNED = 'loopback_port = 1\nloopback_ca = "ca.pem"'


def configure(venue: str = PINNED, risk: str = "") -> Path:
    """Write ``live.toml`` and what it names, with more of ``[venue]`` and of ``[risk]``."""
    text = CONFIGURATION.format(venue=venue, risk=risk)
    rules = "\n".join(f'{name} = "{value}"' for name, value in INSTRUMENTS.items())
    Path("instruments.toml").write_text(f'["{BTC}"]\n{rules}\n')
    path = Path("live.toml")
    path.write_text(text)
    return path


def configured(**environ: str) -> Configuration:
    """Return the configuration in ``live.toml``."""
    return load([Path("live.toml")], environ=environ)


def run(*arguments: str, **environ: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments), env=environ)


def rehearse() -> None:
    """Note a scenario that passes as the configuration's rehearsal."""
    if not Path("drill.scenario.toml").exists():
        assert 0 == run("scenario", "new", "drill").exit_code
    done = run("scenario", "run", "drill.scenario.toml", "-c", "live.toml")
    assert 0 == done.exit_code, done.output


def approve() -> None:
    """Approve of the configuration, in the name of Ada."""
    done = run("approve", "-c", "live.toml", "--by", "Ada", "--reason", "drilled", "--yes")
    assert 0 == done.exit_code, done.output


def clear() -> None:
    """Rehearse it and approve of it."""
    rehearse()
    approve()


def go(*options: str, **environ: str) -> Result:
    """Run ``trade -c live.toml``, the risk acknowledged; for starts that are refused."""
    return run("trade", "-c", "live.toml", "--i-acknowledge-risk", *options, **environ)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: this one, with the repository's packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@dataclass
class Child:
    """A command in a process of its own, and everything that it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        """Read along."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def until(self, pattern: str) -> str:
        """Return the next line in which ``pattern`` is found; fail with all that was said."""
        end_s = monotonic_s() + PATIENCE_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end_s - monotonic_s()))
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in:\n{''.join(self.said)}"
            self.said.append(line)
            if re.search(pattern, line):
                return line

    def look(self, pattern: str, wait_s: float = 0.3) -> str | None:
        """Return a line in which ``pattern`` is found, if one comes within a moment."""
        try:
            while (line := self._lines.get(timeout=wait_s)) is not None:
                self.said.append(line)
                if re.search(pattern, line):
                    return line
        except queue.Empty:
            return None
        raise AssertionError(f"it has ended:\n{''.join(self.said)}")

    def pass_by(self, wait_s: float) -> None:
        """Let it run for so long, whatever it says."""
        end_s = monotonic_s() + wait_s
        while (left_s := end_s - monotonic_s()) > 0:
            try:
                line = self._lines.get(timeout=left_s)
            except queue.Empty:
                return
            assert line is not None, f"it has ended:\n{''.join(self.said)}"
            self.said.append(line)

    def ends(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given; return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        while (line := self._lines.get()) is not None:
            self.said.append(line)
        return code


def started(*arguments: str, **environ: str) -> Child:
    """Start a command in the current folder."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", *arguments],
        env=environment(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    child = Child(process)
    STARTED.append(child)
    return child


STARTED: list[Child] = []
"""Everybody that a test has started; who still runs at its end is ended."""


def write_market(path: Path, bars: int = 900, behind: int = 280) -> None:
    """
    Write bars that began ``behind`` minutes ago: what a venue's history would have.

    Played fast, they stay behind the clock for as long as a test lasts; the price goes up for two
    bars and down for two, so that a strategy of two bars always has something to do.
    """
    begins = (wall_ms() // MINUTE - behind) * MINUTE
    rows = ["timestamp,open,high,low,close,volume"]
    for number in range(bars):
        close = 50_000 + (0, 10, 20, 10)[number % 4]
        rows.append(f"{begins + number * MINUTE},{close},{close + 5},{close - 5},{close},10")
    path.write_text("\n".join(rows) + "\n")


def keys(truth: Path) -> dict[str, str]:
    """Return the exchange's key and secret as variables."""
    return {
        "TIDEGATE_VENUE__CREDENTIALS__API_KEY": truth.with_name("venue.key").read_text().strip(),
        "TIDEGATE_VENUE__CREDENTIALS__SECRET": truth.with_name("venue.secret").read_text().strip(),
    }
