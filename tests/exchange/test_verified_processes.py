"""Daemons that trade at an exchange elsewhere: killed, resumed, verified, made into scenarios."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from exchange_house import BTC, KEY, script, terms
from exchange_process import CONFIGURATION, compared, environment, trade, venue

from actors.execution.resolver import Resolver
from brokers.virtual.wire import Answer
from messages import IN_DOUBT_HOLDS, ExecutionReport, HoldPlaced, OrderStatus
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Comparison
from scenarios.runner import run_scenario
from state.journal import schema
from state.journal.reader import read_journal

pytestmark = pytest.mark.exhaustive

LOST = {
    "seed": 1,
    "faults": [
        {"fault": "lose_answers", "on": ["submit"], "chance": 0.3},
        {"fault": "duplicate_news", "chance": 0.3},
        {"fault": "reorder_news", "chance": 0.3},
        {"fault": "cut_answers", "on": ["news"], "chance": 0.1},
    ],
}


PACED = (
    CONFIGURATION.replace("speed = 0", "speed = 600")
    .replace("bars = 400", "bars = 90")
    .replace("timeout_s = 20", "timeout_s = 20\nrecv_window_ms = 500")
)
"""An hour and a half in nine seconds: a doubt is over within two of them."""


def tidegate(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", *words],
        cwd=folder,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def session_in(folder: Path) -> Path:
    """Return the folder of the only session."""
    (session,) = (folder / "runs" / "paper" / "sessions").iterdir()
    return session


def test_a_killed_and_resumed_session_verifies(tmp_path: Path) -> None:
    """
    What a killed process left is the same up to where it stops, and says so; gone on with, it is
    the same to its end, and the exchange's truth is its books. One changed digit is named.
    """
    with venue(tmp_path, LOST) as exchange:
        died = subprocess.run(
            [sys.executable, "-m", "tidegate", "trade", "--mode", "paper", "--json"],
            cwd=tmp_path,
            env=environment({**exchange.environment, "TIDEGATE_CRASH_AT": "journal.committed:60"}),
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert -signal.SIGKILL == died.returncode, died.stderr
        session = session_in(tmp_path)
        left = sum(1 for _ in read_journal(session / "journal.sqlite"))
        code, said = tidegate(tmp_path, "verify", "latest")
        assert 0 == code, said
        assert f"same up to entry {left:,}, where the process of {session.name} ended" in said

        resumed = subprocess.run(
            [sys.executable, "-m", "tidegate", "trade", "--mode", "paper", "--resume", "--json"],
            cwd=tmp_path,
            env=environment(exchange.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert 0 == resumed.returncode, resumed.stderr
        _, _, found = compared(read_truth(exchange.truth), session)
    assert Comparison() == found

    code, said = tidegate(tmp_path, "verify", "latest")
    assert 0 == code, said
    assert "same: " in said

    seq = one_fee_changed(session / "journal.sqlite")
    code, said = tidegate(tmp_path, "verify", "latest")
    assert 1 == code, said
    assert f"differs: journal: entry {seq + 1} (" in said


def one_fee_changed(journal: Path) -> int:
    """Change the fee of the last fill that the exchange told of; return its entry."""
    with sqlite3.connect(journal) as file:
        rows = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (guard,) in rows:
            file.execute(f"DROP TRIGGER {guard}")
        seq, text = file.execute(
            'SELECT seq, line FROM journal WHERE line LIKE \'{"type":"VenueReport"%"fee":%\' '
            "ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        line = json.loads(text)
        line["data"]["fill"]["fee"] = "77"
        changed = json.dumps(line, separators=(",", ":"))
        told = (changed, schema.sum_of(seq, changed.encode()), seq)
        file.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = ?", told)
    file.close()
    return int(seq)


def doubt_in(session: Path, *, held: bool) -> int:
    """Return the entry by which an order went into doubt, or by which that was ``held``."""
    for entry in read_journal(session / "journal.sqlite"):
        match entry.message:
            case ExecutionReport(status=OrderStatus.IN_DOUBT) if not held:
                return entry.seq
            case HoldPlaced(hold=hold) if held and hold.hold_id.startswith(IN_DOUBT_HOLDS):
                return entry.seq
    raise AssertionError("no order was ever in doubt")


def steps_of(path: Path) -> list[dict[str, Any]]:
    """Return the faults of a scenario's venue."""
    steps = json.loads(path.read_text())["steps"]
    return [step["venue"] for step in steps if "venue" in step]


class Reserved(Exchange):
    """An exchange that, once a fault has struck, has no news until it is asked for an order."""

    def __init__(self, *terms: Any, **how: Any) -> None:
        """Be asked for nothing yet."""
        super().__init__(*terms, **how)
        self._asked = anyio.Event()

    async def _order(self, request: web.Request, body: bytes) -> Answer:
        self._asked.set()
        return await super()._order(request, body)

    async def _news(self, request: web.Request, body: bytes) -> Answer:
        answer = await super()._news(request, body)
        if self.faults.struck:
            await self._asked.wait()
        return answer


async def traded_in_doubt(folder: Path, lost: dict[str, Any]) -> tuple[int, str]:
    """
    Let a daemon trade at an exchange of this process; return its exit code and what it said.

    The news of the order that is struck comes when it is in doubt, however slow the daemon is.
    """
    (folder / "tidegate.toml").write_text(PACED)
    exchange = Reserved(terms(BTC), folder / "truth", KEY, faults=script(lost, seed=2))
    host, port = await exchange.start()
    more = {
        "TIDEGATE_VENUE__URL": f"http://{host}:{port}",
        "TIDEGATE_VENUE__CREDENTIALS__API_KEY": KEY,
    }
    try:
        code, _, said = await anyio.to_thread.run_sync(trade, folder, more)
    finally:
        await exchange.stop()
    return code, said


@pytest.mark.parametrize(
    "fault", ["lose_answers", "lose_requests"], ids=["the order is there", "it never arrived"]
)
def test_an_order_in_doubt_becomes_a_scenario(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Its venue fails as the recorded one did, and it passes; without the doubt, which asks the venue
    what there is to the order, it fails.
    """
    lost = {"fault": fault, "on": ["submit"], "after": 5, "count": 1}
    code, said = anyio.run(traded_in_doubt, tmp_path, lost)
    assert 0 == code, said
    session = session_in(tmp_path)
    around = str(doubt_in(session, held=fault == "lose_requests"))
    out = tmp_path / "doubt.scenario.json"

    code, said = tidegate(
        tmp_path, "scenario", "from-session", "latest", "--around", around, "--out", str(out)
    )

    assert 0 == code, said
    assert fault in {step["fault"] for step in steps_of(out)}
    assert run_scenario(out).passed

    def ignored(*_: object, **__: object) -> list[object]:
        return []

    monkeypatch.setattr(Resolver, "_begin", ignored)
    assert not run_scenario(out).passed
