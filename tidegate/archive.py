"""Sessions on disk: found by id, by a beginning of one, by ``latest``, or by their folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from messages import PortfolioMarked
from state.journal import JournalError
from state.journal.reader import newest_of
from state.lease import is_session_held
from state.manifest import Manifest, ManifestError, SessionStatus, load_manifest
from state.money import plain
from tidegate.exits import UsageRefused
from tidegate.places import last_equity

MANIFEST = "manifest.json"
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session's folder with its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def journal(self) -> Path:
        """Return the path of the session's journal."""
        return self.folder / "journal.sqlite"

    @property
    def status(self) -> SessionStatus:
        """Return how it stands: one that says it runs, and that nobody runs, has crashed."""
        status = self.manifest.status
        if status is SessionStatus.RUNNING and not is_session_held(self.folder):
            return SessionStatus.CRASHED
        return status


def newest_equity(session: Recorded) -> tuple[str, str] | None:
    """
    Return (equity, currency) as they were known last; ``None`` where they never were.

    The tables of a session that runs, or whose process died, may lag far behind its journal.
    """
    if session.manifest.status is SessionStatus.RUNNING:
        try:
            marked = newest_of(session.journal, PortfolioMarked)
        except (JournalError, OSError):
            marked = None  # its table is what there is
        if marked is not None:
            return plain(marked.equity), marked.currency
    return last_equity(session.folder / "account.csv")


def recorded_sessions(runs_dir: Path) -> tuple[list[Recorded], list[str]]:
    """Return every session below ``runs_dir``, the newest last, and what cannot be read."""
    found, problems = [], []
    for path in sorted(runs_dir.glob(f"*/sessions/*/{MANIFEST}")):
        try:
            found.append(Recorded(path.parent, load_manifest(path)))
        except ManifestError as error:
            problems.append(str(error))
    return sorted(found, key=_age), problems


def resolve(session: str, runs_dir: Path) -> Recorded:
    """Return the one session that ``session`` names; refuse none or several, saying which."""
    folder = Path(session)
    if (folder / MANIFEST).is_file():
        return Recorded(folder, _manifest(folder))
    sessions, _ = recorded_sessions(runs_dir)
    if session == LATEST:
        if not sessions:
            raise UsageRefused(f"session 'latest': there is no session in {runs_dir}")
        return sessions[-1]
    exact = [each for each in sessions if each.manifest.session_id == session]
    matches = exact or [each for each in sessions if each.manifest.session_id.startswith(session)]
    if not matches:
        raise UsageRefused(
            f"session {session!r}: found none in {runs_dir} with an id that begins so, "
            "and no such folder"
        )
    if len(matches) > 1:
        ids = ", ".join(each.manifest.session_id for each in matches)
        raise UsageRefused(f"session {session!r}: found {len(matches)} ({ids}), expected one")
    return matches[0]


def _manifest(folder: Path) -> Manifest:
    try:
        return load_manifest(folder / MANIFEST)
    except ManifestError as error:
        raise UsageRefused(str(error)) from None


def _age(session: Recorded) -> tuple[int, str]:
    """Order by when the manifest was last written: simulated sessions know no real time."""
    written = (session.folder / MANIFEST).stat().st_mtime_ns
    return written, session.manifest.session_id
