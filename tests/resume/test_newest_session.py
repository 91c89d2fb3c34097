"""``--resume`` goes on with the newest session, or with none."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from session_world import BTC, Script, instruments_of, make_spec, walk

from actors.session import run_paper
from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from tidegate.exits import StartRefused
from tidegate.going_on import session_to_go_on

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
