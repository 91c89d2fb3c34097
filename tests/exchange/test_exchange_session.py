"""A whole session against an exchange in a process of its own: journal and truth agree."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from exchange_process import CONFIGURATION, Venue, compared, environment, trade, venue

from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Comparison


def killed_on_the_way(exchange: Venue, daemon: subprocess.Popen[str], size: int) -> None:
    """Kill an exchange once its log has grown to ``size``, while its daemon still trades."""
    while exchange.truth.stat().st_size < size:
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(0.02)
        assert daemon.poll() is None, "the session was over too soon"
    exchange.process.kill()
    exchange.process.wait()


def test_a_session_against_a_virtual_exchange_agrees_with_its_truth(tmp_path: Path) -> None:
    """Orders, fills, positions and money of the journal are the venue's, to the last digit."""
    with venue(tmp_path) as exchange:
        code, document, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        session = tmp_path / document["folder"]
        truth, journal, found = compared(read_truth(exchange.truth), session)

    assert Comparison() == found
    assert journal.fills
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
    assert journal.fills
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
    assert journal.fills
    assert truth.net_flow == journal.net_flow
    # An order that was on its way at a kill stays in doubt where the venue never had it.
    assert all("the venue never had it" in line for line in found.unresolved)
