"""An exchange and a daemon, each in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from scenarios.exchange.facts import Fact
from scenarios.exchange.truth import Comparison, Folded, compare, fold_journal, fold_truth
from state.journal.reader import read_journal

ROOT = Path(__file__).resolve().parents[2]

CONFIGURATION = """\
[session]
mode = "paper"
cash = "100000"
[universe]
symbols = ["BTC/USDT"]
[feed]
source = "synthetic"
speed = 0
timeframe = "1m"
stale_after_s = 86400
[feed.synthetic]
bars = 400
[venue]
adapter = "virtual"
timeout_s = 20
[[strategies]]
name = "sma"
use = "sma_cross"
params = { fast = 3, slow = 8, quantity = "0.1" }
"""


@dataclass(frozen=True)
class Venue:
    """A running exchange, and what a daemon needs to find it."""

    process: subprocess.Popen[str]
    url: str
    truth: Path
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that leads to it."""
        return {
            "TIDEGATE_VENUE__URL": self.url,
            "TIDEGATE_VENUE__CREDENTIALS__API_KEY": self.key,
        }


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings, and with ``more``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {**own, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def venue(
    folder: Path,
    faults: Mapping[str, Any] | None = None,
    *,
    configuration: str = CONFIGURATION,
    port: int = 0,
) -> Iterator[Venue]:
    """Run an exchange in a process of its own."""
    (folder / "tidegate.toml").write_text(configuration)
    command = [sys.executable, "-m", "tidegate", "venue", "--json", "--port", str(port)]
    if faults is not None:
        (folder / "faults.json").write_text(json.dumps(faults))
        command += ["--faults", "faults.json"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment({}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            text += line
        told = json.loads(text)
        key = Path(told["key_file"]).read_text().strip()
        yield Venue(process, told["url"], Path(told["truth"]), key)
        if process.poll() is None:  # not killed by the test
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert 0 == process.returncode, errors
            assert key not in errors
    finally:
        process.kill()
        process.communicate()


def trade(folder: Path, more: Mapping[str, str]) -> tuple[int, dict[str, Any], str]:
    """Run a session; return its exit code, its document and what it said to the log."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "trade", "--mode", "paper", "--json"],
        cwd=folder,
        env=environment(more),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def compared(facts: list[Fact], session: Path) -> tuple[Folded, Folded, Comparison]:
    """Return a venue's truth, a session's belief, and where they part."""
    truth = fold_truth(facts)
    entries = read_journal(session / "journal.sqlite")
    journal = fold_journal((entry.message for entry in entries), Decimal(100_000))
    return truth, journal, compare(truth, journal)
