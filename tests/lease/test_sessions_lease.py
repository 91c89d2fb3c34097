"""A session's folder has one writer: a second run of the same session changes nothing in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from crash_child import SESSION, spec_of

from actors.session import run_paper
from actors.turns import Session
from state.lease import LeaseHeld, SessionLease


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_running_session_cannot_be_run_again(tmp_path: Path) -> None:
    """The second one is refused before it touches the folder, under whatever account."""
    folder = tmp_path / "paper" / "sessions" / SESSION
    tried: list[str] = []
    spec = spec_of(tmp_path)

    async def again() -> None:
        with pytest.raises(LeaseHeld, match=f"session {SESSION} is running already") as refused:
            await run_paper(replace(spec_of(tmp_path), account="other"), speed=0)
        tried.append(str(refused.value))

    inside: list[SessionLease] = []

    def opened(_session: Session) -> None:
        with pytest.raises(LeaseHeld):
            inside.append(SessionLease(folder))

    result = await run_paper(spec, speed=0, on_open=opened)
    before = content(folder)
    lease = SessionLease(folder)
    await again()
    lease.release()

    assert [] == inside
    assert 1 == len(tried)
    assert before == content(folder)
    assert result.exit_code == 0


async def test_a_session_that_has_ended_gives_its_folder_back(tmp_path: Path) -> None:
    """In whatever way it ended: the lease ends with the run, not with the process."""

    def failing(_session: Session) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await run_paper(spec_of(tmp_path), speed=0, on_open=failing)
    result = await run_paper(spec_of(tmp_path), speed=0)

    assert result.exit_code == 0
    SessionLease(tmp_path / "paper" / "sessions" / SESSION).release()
