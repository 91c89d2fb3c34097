"""The newest session: ``--resume`` goes on with no older one, and what it left in doubt is told."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from session_world import BTC, Script, instruments_of, make_spec, on_bars, walk

from actors.session import run_paper
from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import ExecutionPolicy, ExecutionReport, OrderEvent, OrderType, Side
from state.journal.durable import DurableJournal
from state.journal.reader import read_journal
from state.manifest import SessionStatus, load_manifest
from tidegate.exits import StartRefused
from tidegate.going_on import session_to_go_on
from tidegate.left_orders import refuse_beside_open_orders

NEWER = b'{"manifest_version": 99}'


def ran(runs: Path, session_id: str, at_s: int) -> SessionSpec:
    """Run a paper session to its end; its manifest was written last at ``at_s``."""
    feed = MemoryFeed({BTC: walk(BTC, 4, 5)})
    made = make_spec(feed, Script().spec(), instruments=instruments_of((BTC,), Decimal(0)))
    spec = replace(made, mode="paper", runs_dir=runs, session_id=session_id)

    async def run() -> None:
        await run_paper(spec, speed=0)

    anyio.run(run)
    os.utime(manifest(spec), (at_s, at_s))
    return spec


def manifest(spec: SessionSpec) -> Path:
    """Return where a session's manifest is."""
    assert spec.session_id is not None
    return spec.runs_dir / "paper" / "sessions" / spec.session_id / "manifest.json"


@pytest.mark.parametrize("content", [b"", NEWER, b'{"manifest_version": 1, "sess'])
def test_a_newest_session_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, content: bytes
) -> None:
    """An older one may have ended, and the newest may have orders at its venue."""
    older, newest = ran(tmp_path, "paper-a", 1_000), ran(tmp_path, "paper-b", 2_000)
    assert "paper-b" == session_to_go_on(newest, None).manifest.session_id

    manifest(newest).write_bytes(content)

    with pytest.raises(StartRefused, match="paper-b"):
        session_to_go_on(newest, None)
    assert "paper-a" == session_to_go_on(older, "paper-a").manifest.session_id


def test_an_old_session_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    """What was written since is newer, whatever that was."""
    older, newest = ran(tmp_path, "paper-a", 1_000), ran(tmp_path, "paper-b", 2_000)
    manifest(older).write_bytes(b"")
    os.utime(manifest(older), (1_000, 1_000))

    assert "paper-b" == session_to_go_on(newest, None).manifest.session_id


RESTING = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(1))


def stopped(runs: Path, *, in_doubt: bool) -> SessionSpec:
    """Run a session that is stopped with an order that is not over, and maybe was not answered."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1), policy=RESTING)]})
    feed = MemoryFeed({BTC: walk(BTC, 4, 5)})
    made = make_spec(feed, script.spec(), instruments=instruments_of((BTC,), Decimal(0)))
    spec = replace(made, mode="paper", runs_dir=runs, session_id="paper-a")
    stopping: list[int] = []

    async def run() -> None:
        await run_paper(spec, speed=0, stop=lambda: bool(stopping), on_progress=stopping.append)

    anyio.run(run)
    if in_doubt:
        forget_answers(manifest(spec).with_name("journal.sqlite"))
    assert SessionStatus.INTERRUPTED is load_manifest(manifest(spec)).status
    return spec


def forget_answers(path: Path) -> None:
    """Write a journal once more, as if the venue had not said anything of an order."""
    entries = list(read_journal(path))
    path.unlink()
    path.with_name("events.ndjson").unlink()

    async def write() -> None:
        journal = await DurableJournal.open(path)
        for each in entries:
            said = each.message
            if not (isinstance(said, ExecutionReport) and said.event is OrderEvent.ACCEPTED):
                journal.append(each.ts, each.source, each.correlation, each.causation, said)
        await journal.close()

    anyio.run(write)


def test_a_new_session_beside_a_stopped_one_is_told_of_its_orders_in_doubt(tmp_path: Path) -> None:
    """No account shows them yet, so the start of the new one would not find them there."""
    spec = stopped(tmp_path, in_doubt=True)

    with pytest.raises(StartRefused, match="1 order not over"):
        refuse_beside_open_orders(spec, abandon=False)
    refuse_beside_open_orders(spec, abandon=True)


def test_what_a_stopped_session_left_at_its_venue_is_found_there(tmp_path: Path) -> None:
    """Whoever stopped it had these before their eyes."""
    refuse_beside_open_orders(stopped(tmp_path, in_doubt=False), abandon=False)
