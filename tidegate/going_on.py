"""Which session `trade` goes on with, and what becomes of one that had ended."""

from __future__ import annotations

import sys

from actors.resuming import Left, ResumeRefused, left_in
from actors.spec import SessionSpec
from state.manifest import SessionStatus, file_sha256, seal
from tidegate.archive import LATEST, Recorded, recorded_sessions, resolve
from tidegate.exits import StartRefused, UsageRefused
from tidegate.rebuilding import rebuild


def session_to_go_on(spec: SessionSpec, session: str | None) -> Recorded:
    """
    Return the session that ``session`` names, or the newest one of the mode.

    Raises ``UsageRefused`` where there is none, or one of another mode.
    """
    if session is not None and session != LATEST:
        found = resolve(session, spec.runs_dir)
        if found.manifest.mode != spec.mode:
            raise UsageRefused(
                f"--session {session}: found a {found.manifest.mode} session, expected {spec.mode}"
            )
        return found
    sessions, problems = recorded_sessions(spec.runs_dir)
    of_mode = [each for each in sessions if each.manifest.mode == spec.mode]
    if not of_mode:
        unreadable = f" ({'; '.join(problems)})" if problems else ""
        raise UsageRefused(
            f"--resume: there is no {spec.mode} session in {spec.runs_dir}{unreadable}; "
            "--new starts one"
        )
    return of_mode[-1]


def left_of(recorded: Recorded, spec: SessionSpec) -> Left | None:
    """
    Return how a session was left, ``None`` if it has ended: then its files are complete.

    Raises ``StartRefused`` where going on would not be safe.
    """
    if recorded.manifest.status is SessionStatus.ENDED:
        return None
    try:
        left = left_in(recorded.folder, spec)
    except ResumeRefused as error:
        hint = "" if "--new" in str(error) else "; --new begins a new session beside it"
        raise StartRefused(f"start-up refused: {error}{hint}") from None
    if left.ended is None:
        return left
    # Its process died between the last entry and the last file.
    rebuild(recorded)
    seal(
        recorded.folder / "manifest.json",
        SessionStatus.ENDED,
        ended_at=left.ended.at,
        outcome=left.ended.outcome,
        exit_code=left.ended.exit_code,
        artifacts={
            path.name: file_sha256(path)
            for path in sorted(recorded.folder.glob("*"))
            if path.suffix in {".csv", ".md", ".ndjson"}
        },
    )
    return None


def say_ended(recorded: Recorded) -> None:
    """Say that there is nothing to go on with."""
    sys.stderr.write(f"tidegate: session {recorded.manifest.session_id} has ended\n")
