"""
How a session begins: anew in a folder of its own, or where an earlier process left it.

A folder that holds anything else is refused, and so is an input without a bar, before anything is
written. What goes on takes its feed up after the last bar that was delivered; a live feed has to be
connected first, and says what time it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from actors.artifacts import QUARANTINE, Artifacts
from actors.feed import FeedActor
from actors.keeping import Recorded
from actors.live import connected
from actors.recovering import PhaseLog
from actors.resuming import Left
from actors.runtime.clock import monotonic_s
from actors.spec import SessionSpec
from actors.turns import SessionError
from feeds.contract import Group, LiveFeed
from state.crashpoints import passing
from state.lease import SessionLease


class EmptyFeed(ValueError):
    """There is not one bar in the input."""


@dataclass(frozen=True, slots=True)
class Begins:
    """How a live session begins: anew with a first group, or where it was ``recorded``."""

    session_id: str
    first: Group
    groups: Iterator[Group]
    artifacts: Artifacts
    recorded: Recorded | None = None
    now: int | None = None
    """The time of a live feed's source, when it was connected ..."""
    now_s: float = 0.0
    """... at this moment."""
    began_s: float = 0.0
    """What its recovery is timed from: see ``Left``."""
    phases: PhaseLog = field(default_factory=PhaseLog)

    @property
    def at(self) -> int:
        """Return the session time at which it begins, int ms UTC."""
        if self.now is not None:
            return self.now if self.recorded is None else max(self.now, self.recorded.clock)
        return self.first[0].timestamp if self.recorded is None else self.recorded.clock


async def anew(spec: SessionSpec, session_id: str, out: Path) -> Begins:
    """Begin in the folder ``out``, with a manifest that says so."""
    fingerprints = spec.feed.fingerprints()
    passing("session.folder_made")
    artifacts = Artifacts(spec, session_id, out, fingerprints)
    if isinstance(spec.feed, LiveFeed):
        now = await connected(spec.feed, out)
        begins = Begins(session_id, (), iter(()), artifacts, now=now, now_s=monotonic_s())
    else:
        first, groups = opened_feed(spec, out)
        begins = Begins(session_id, first, groups, artifacts)
    artifacts.begin(begins.at)
    passing("session.manifest_written")
    return begins


async def going_on(spec: SessionSpec, left: Left) -> Begins:
    """Begin after the last entry of what was ``left``; of nothing, with the first bar."""
    session_id, recorded = left.manifest.session_id, left.recorded
    artifacts = Artifacts(spec, session_id, left.folder, spec.feed.fingerprints())
    if isinstance(spec.feed, LiveFeed):
        last = -1 if recorded is None else recorded.last_bar_at
        now = await connected(spec.feed, left.folder, None if last < 0 else last)
        begins = Begins(session_id, (), iter(()), artifacts, recorded, now, monotonic_s())
        return replace(begins, began_s=left.began_s)
    if recorded is None:  # nothing of it has happened yet
        first, groups = opened_feed(spec, left.folder)
        return Begins(session_id, first, groups, artifacts)
    rest = FeedActor(spec.feed).groups(recorded.last_bar_at)
    return Begins(session_id, (), rest, artifacts, recorded, began_s=left.began_s)


def opened_feed(spec: SessionSpec, out: Path) -> tuple[Group, Iterator[Group]]:
    """Return the first group of bars, and all of them; raise ``EmptyFeed`` where there is none."""
    quarantine = getattr(spec.feed, "write_quarantine_to", None)
    if quarantine is not None:
        # Before the first bar is asked for: a bad row may come before any good one.
        quarantine(out / QUARANTINE)
    groups = iter(spec.feed.groups())
    first = next(groups, None)
    if first is None:
        raise EmptyFeed("the input holds no bar")
    return first, chain((first,), groups)


def folder_of(spec: SessionSpec, session_id: str) -> Path:
    """Return the session's folder, made and empty; refuse one that holds anything else."""
    if spec.out is not None:
        if spec.out.is_dir() and any(spec.out.iterdir()):
            raise SessionError(f"{spec.out}: found files, expected a new or empty folder")
        spec.out.mkdir(parents=True, exist_ok=True)
        return spec.out
    out = spec.runs_dir / spec.mode / "sessions" / session_id
    if out.exists():
        # A simulation's id is a hash of all its inputs: this folder is the same session.
        shutil.rmtree(out)
    out.mkdir(parents=True)
    return out


def lease_of(spec: SessionSpec, session_id: str) -> SessionLease:
    """Return the lease of the session's folder, made anew; that of a running one stays as it is."""
    out = spec.out or spec.runs_dir / spec.mode / "sessions" / session_id
    if out.is_dir():
        SessionLease(out).release()
    return SessionLease(folder_of(spec, session_id))
