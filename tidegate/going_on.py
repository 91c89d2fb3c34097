"""
Which session `trade` goes on with, and what becomes of one that had ended.

One that was interrupted, by whoever stopped it while its feed had more to give, has not ended: it
is gone on with exactly as one whose process died.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from actors.outcomes import INTERRUPTED
from actors.resuming import Left, ResumeDamaged, ResumeRefused, left_in
from actors.spec import SessionSpec
from state.manifest import ManifestError, SessionStatus, file_sha256, load_manifest, seal
from tidegate.archive import LATEST, MANIFEST, Recorded, recorded_sessions, resolve
from tidegate.exits import Exit, StartRefused, UsageRefused, Wanting
from tidegate.output import say_document
from tidegate.rebuilding import rebuild


def session_to_go_on(spec: SessionSpec, session: str | None) -> Recorded:
    """
    Return the session that ``session`` names, or the newest one of the mode.

    Raises ``UsageRefused`` where there is none, or one of another mode; ``StartRefused`` where what
    may be the newest cannot be read: it may have left orders and positions.
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
    newest = of_mode[-1]
    if not_read := list(_unreadable_since(newest, spec)):
        raise StartRefused(
            *(f"start-up refused: {problem}" for problem in not_read),
            "--resume: nobody can tell whether that is the newest session; --session ID goes on "
            f"with another one ({newest.manifest.session_id})",
        )
    return newest


def _unreadable_since(newest: Recorded, spec: SessionSpec) -> Iterator[str]:
    """Yield why sessions cannot be read that may be newer than the ``newest`` that can."""
    since = (newest.folder / MANIFEST).stat().st_mtime_ns
    for path in sorted((spec.runs_dir / spec.mode / "sessions").glob(f"*/{MANIFEST}")):
        try:
            load_manifest(path)
        except ManifestError as error:
            if path.stat().st_mtime_ns >= since:
                yield str(error)


def left_of(recorded: Recorded, spec: SessionSpec) -> Left | None:
    """
    Return how a session was left, ``None`` if it has ended: then its files are complete.

    Raises ``StartRefused`` where going on would not be safe; a damaged session is sealed as such.
    """
    status, manifest = recorded.manifest.status, recorded.folder / MANIFEST
    if status is SessionStatus.ENDED:
        _refuse_older_stop(recorded, recorded.manifest.outcome)
        return None
    try:
        left = left_in(recorded.folder, spec)
    except ResumeRefused as error:
        if isinstance(error, ResumeDamaged):
            seal(manifest, SessionStatus.DAMAGED)
        hint = "" if "--new" in str(error) else "; --new begins a new session beside it"
        raise StartRefused(f"start-up refused: {error}{hint}") from None
    if left.ended is None:
        if status is SessionStatus.DAMAGED:  # and mended since
            seal(manifest, SessionStatus.RUNNING)
        return left
    # Its process died between the last entry and the last file.
    try:
        rebuild(recorded)
    except Wanting as unreadable:
        seal(manifest, SessionStatus.DAMAGED)
        hint = "--new begins a new session beside it"
        raise StartRefused(f"start-up refused: {unreadable}; {hint}") from None
    seal(
        manifest,
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
    _refuse_older_stop(recorded, left.ended.outcome)
    return None


def _refuse_older_stop(recorded: Recorded, outcome: str) -> None:
    """
    Refuse to take a session for ended that was interrupted: an older Tidegate has stopped it.

    Ours leave one that was interrupted to be gone on with. That one kept states of after its end,
    of actors that had been stopped: over these nothing can begin. It did not end, either: what it
    held is still there.
    """
    if outcome == INTERRUPTED and recorded.manifest.mode != "replay":
        raise StartRefused(
            f"start-up refused: session {recorded.manifest.session_id} was interrupted by an older "
            "Tidegate, which kept nothing to go on from; look at what it held (`tidegate report "
            f"{recorded.manifest.session_id}`); --new begins a new session beside it"
        )


@contextmanager
def whole_again(recorded: Recorded | None) -> Iterator[None]:
    """
    Make the files of an interrupted session anew where it is not gone on with after all.

    Its tables were begun anew by then; nothing has happened since, so they are as they were.
    """
    try:
        yield
    except BaseException:
        if recorded is not None:
            status = load_manifest(recorded.folder / MANIFEST).status
            if status is SessionStatus.INTERRUPTED:
                rebuild(recorded)
        raise


def say_ended(recorded: Recorded, *, as_json: bool) -> None:
    """Say that there is nothing to go on with."""
    session_id, status = recorded.manifest.session_id, SessionStatus.ENDED.value
    if as_json:
        say_document({"session_id": session_id, "status": status, "exit_code": int(Exit.DONE)})
        return
    sys.stderr.write(
        f"tidegate: session {session_id} has ended: nothing to go on with; --new starts one\n"
    )
