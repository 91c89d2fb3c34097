"""Daemons in processes of their own that are stopped by anything, and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.runtime.clock import monotonic_s
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import compare, fold_journal, fold_truth
from state.journal import Entry, JournalError
from state.journal.reader import open_to_read, read_journal
from state.manifest import Manifest, load_manifest

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE_S = 120.0
CASH = Decimal(100_000)

STRATEGY = '''\
"""Buys, sells, and now and then leaves an order that nobody fills; remembers nothing itself."""

from decimal import Decimal

from messages import ExecutionPolicy, OrderType, Side
from strategies import Strategy, StrategyParams

MINUTE_MS = 60_000


class Busy(Strategy):
    """See the module."""

    Params = StrategyParams

    def on_bar(self, bar):
        number = bar.timestamp // MINUTE_MS
        if number % 25 == 3:
            far = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(int(bar.close * 0.96)))
            return [self.desk.open(bar.symbol, Side.BUY, Decimal("0.01"), policy=far)]
        if number % 2:
            return []
        if self.desk.position(bar.symbol):
            return [self.desk.reduce(bar.symbol, Side.SELL, Decimal("0.01"))]
        return [self.desk.open(bar.symbol, Side.BUY, Decimal("0.01"))]
'''

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
bars = {bars}
[venue]
adapter = "{adapter}"
timeout_s = 20.0
[health]
min_free_mb = 0
[[strategies]]
name = "busy"
use = "busy.py:Busy"
"""

LIMITED = """\
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.executable, [sys.executable, "-m", "tidegate", *sys.argv[2:]])
"""
"""Becomes a command no file of which may grow beyond a size: a full disk that needs no rights."""


def write_configuration(folder: Path, *, adapter: str = "paper", bars: int = 160) -> None:
    """Write the configuration and its strategy into ``folder``."""
    (folder / "busy.py").write_text(STRATEGY)
    (folder / "tidegate.toml").write_text(CONFIGURATION.format(adapter=adapter, bars=bars))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings, and with ``more``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {**own, "PYTHONPATH": str(ROOT), **(more or {})}


@dataclass
class Done:
    """What came of a command."""

    code: int
    out: str
    said: str

    @property
    def problems(self) -> list[str]:
        """Return its own words on standard error, without the log."""
        return [line for line in self.said.splitlines() if line.startswith("tidegate: ")]


@dataclass
class House:
    """A folder with a configuration, in which daemons are started."""

    folder: Path
    venue: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        *arguments: str,
        file_bytes_max: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command to its end."""
        command: Sequence[str] = [sys.executable, "-m", "tidegate", *arguments]
        if file_bytes_max is not None:
            command = [sys.executable, "-c", LIMITED, str(file_bytes_max), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment({**self.venue, **(environ or {})}),
            capture_output=True,
            text=True,
            check=False,
            timeout=AT_ONCE_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def crash(self, *arguments: str, at: str) -> None:
        """Run a command that dies, as by ``kill -9``, at a passing of a crash point."""
        done = self.run(*arguments, environ={"TIDEGATE_CRASH_AT": at})
        assert -signal.SIGKILL == done.code, done.said

    def copied(self, folder: Path) -> House:
        """Return the same in another folder, for a test that goes on from here in its own way."""
        sockets = shutil.ignore_patterns("*.sock")
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=sockets)
        return House(folder, self.venue)

    def stop(self, *arguments: str, after: int, first: Callable[[], object] = lambda: None) -> Done:
        """
        Run a command that is told to stop, by SIGTERM, once a session has so many entries.

        Before that what is to be done ``first`` is done.
        """
        told = self.folder / "told.txt"
        with told.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", *arguments],
                cwd=self.folder,
                env=environment(self.venue),
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            try:
                until_s = monotonic_s() + AT_ONCE_S
                while process.poll() is None and _entries_in(self.sessions) < after:
                    assert monotonic_s() < until_s, told.read_text()
                first()
                process.send_signal(signal.SIGTERM)
                code = process.wait(AT_ONCE_S)
            finally:
                process.kill()
                process.wait()
        return Done(code, "", told.read_text())

    @property
    def sessions(self) -> list[Path]:
        """Return the folders of all sessions, the oldest first."""
        return sorted((self.folder / "runs" / "paper" / "sessions").glob("*"))

    @property
    def session(self) -> Path:
        """Return the folder of the one session."""
        (one,) = self.sessions
        return one


def _entries_in(sessions: Sequence[Path]) -> int:
    """Return how many entries the newest of the sessions has on the disk by now."""
    if not sessions:
        return 0
    try:
        return line_count(sessions[-1] / "journal.sqlite")
    except (JournalError, sqlite3.Error):
        return 0  # its journal is being made


def line_count(journal: Path) -> int:
    """Return how many entries a journal has."""
    with closing(open_to_read(journal)) as file:
        found: int = file.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]
    return found


def manifest_of(session: Path) -> Manifest:
    """Return a session's manifest."""
    return load_manifest(session / "manifest.json")


def entries_of(session: Path) -> list[Entry]:
    """Return a session's journal, read by somebody who writes nothing."""
    return list(read_journal(session / "journal.sqlite"))


def types_of(session: Path) -> list[str]:
    """Return the type of every entry."""
    return [type(entry.message).__name__ for entry in entries_of(session)]


def disagreements(session: Path, truth: Path) -> list[str]:
    """Return everything in which a session and its venue do not agree."""
    messages = [entry.message for entry in entries_of(session)]
    found = compare(fold_truth(read_truth(truth)), fold_journal(messages, CASH))
    return [
        *(f"lost: {what}" for what in found.lost),
        *(f"twice: {what}" for what in found.duplicated),
        *(f"unresolved: {what}" for what in found.unresolved),
    ]


def known_orders(session: Path) -> set[str]:
    """Return the client order ids that have a record in a journal."""
    told = [getattr(entry.message, "order", None) for entry in entries_of(session)]
    return {order.client_order_id for order in told if order is not None}


def document(done: Done) -> dict[str, Any]:
    """Return what a command with ``--json`` said."""
    found: dict[str, Any] = json.loads(done.out)
    return found
