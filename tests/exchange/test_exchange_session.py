"""A whole session against an exchange in a process of its own: journal and truth agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.log import read_truth
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
timeout_s = 0.5
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


def killed_on_the_way(exchange: Venue, daemon: subprocess.Popen[str], size: int) -> None:
    """Kill an exchange once its log has grown to ``size``, while its daemon still trades."""
    while exchange.truth.stat().st_size < size:
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(0.02)
        assert daemon.poll() is None, "the session was over too soon"
    exchange.process.kill()
    exchange.process.wait()


def compared(facts: list[Fact], session: Path) -> tuple[Folded, Folded, Comparison]:
    """Return a venue's truth, a session's belief, and where they part."""
    truth = fold_truth(facts)
    entries = read_journal(session / "journal.sqlite")
    journal = fold_journal((entry.message for entry in entries), Decimal(100_000))
    return truth, journal, compare(truth, journal)


def test_a_session_against_a_virtual_exchange_agrees_with_its_truth(tmp_path: Path) -> None:
    """Orders, fills, positions and money of the journal are the venue's, to the last digit."""
    with venue(tmp_path) as exchange:
        code, document, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        session = tmp_path / document["folder"]
        truth, journal, found = compared(read_truth(exchange.truth), session)

    assert Comparison() == found
    assert len(journal.fills) > 10
    assert truth.held == journal.held
    assert truth.net_flow == journal.net_flow
    assert exchange.key not in said
    kept = [path for path in session.rglob("*") if path.is_file()]
    assert not [path for path in kept if exchange.key.encode() in path.read_bytes()]


def test_answers_that_are_lost_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Each such order is in doubt until the venue's news tells what became of it."""
    faults = {
        "seed": 1,
        "faults": [
            {"fault": "lose_answers", "on": ["submit"], "chance": 0.4},
            {"fault": "fail_after", "on": ["cancel", "submit"], "chance": 0.4},
            {"fault": "duplicate_news", "chance": 0.3},
            {"fault": "reorder_news", "chance": 0.3},
        ],
    }
    with venue(tmp_path, faults) as exchange:
        code, document, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        session = tmp_path / document["folder"]
        truth, journal, found = compared(read_truth(exchange.truth), session)

    assert Comparison() == found
    assert len(journal.fills) > 10
    assert truth.net_flow == journal.net_flow
    events = (session / "events.ndjson").read_text()
    assert '"event":"silence"' in events


def test_a_session_without_its_exchange_does_not_start(tmp_path: Path) -> None:
    """Exit code 5 and one line: nobody answers."""
    (tmp_path / "tidegate.toml").write_text(CONFIGURATION)

    code, document, said = trade(
        tmp_path,
        {
            "TIDEGATE_VENUE__URL": "http://127.0.0.1:9",
            "TIDEGATE_VENUE__CREDENTIALS__API_KEY": "a key for nobody",
        },
    )

    assert 5 == code
    (problem,) = document["error"]["problems"]
    assert "http://127.0.0.1:9: unreachable" in problem
    assert "a key for nobody" not in said


def test_an_exchange_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL in the middle of everything loses nothing that anybody was told."""
    with venue(tmp_path) as exchange:
        code, document, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        exchange.process.kill()
        exchange.process.wait()
        before = read_truth(exchange.truth)
        with venue(tmp_path) as again:
            _, _, found = compared(before, tmp_path / document["folder"])
            assert before == read_truth(again.truth)
            assert Comparison() == found

    assert FactKind.OPENED is before[0].fact


def test_an_exchange_that_is_killed_under_a_session_loses_nothing(tmp_path: Path) -> None:
    """Killed twice and started again while the daemon trades: both agree at the end."""
    daemon: subprocess.Popen[str] | None = None
    more: dict[str, str] = {}
    port = 0
    try:
        for size in (20_000, 60_000, None):
            with venue(tmp_path, port=port) as exchange:
                port = int(exchange.url.rpartition(":")[2])
                if daemon is None:
                    more = exchange.environment
                    daemon = subprocess.Popen(
                        [sys.executable, "-m", "tidegate", "trade", "--mode", "paper", "--json"],
                        cwd=tmp_path,
                        env=environment(more),
                        text=True,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                    )
                if size is not None:
                    killed_on_the_way(exchange, daemon, size)
                    continue
                text, said = daemon.communicate(timeout=120)
                assert 0 == daemon.returncode, said
                session = tmp_path / json.loads(text)["folder"]
                truth, journal, found = compared(read_truth(exchange.truth), session)
    finally:
        if daemon is not None:
            daemon.kill()
            daemon.communicate()

    assert () == found.lost + found.duplicated
    assert len(journal.fills) > 10
    assert truth.net_flow == journal.net_flow
    # An order that was on its way at a kill stays in doubt where the venue never had it.
    assert all("the venue never had it" in line for line in found.unresolved)
