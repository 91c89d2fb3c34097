"""What an earlier process left in a session's folder, read so that the next one can go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from actors.assembly import no_facts
from actors.keeping import Recorded, StatesUnknown
from actors.spec import SessionSpec
from messages import SessionEnded
from state.facts import Facts
from state.journal import JournalError
from state.journal.reader import is_unmade, read_journal, read_lines, read_states
from state.manifest import Manifest, ManifestError, load_manifest
from state.projections.limits import REBUILD_BATCH

AS_ONE_LIKES: Final = ("feed.speed:", "control.", "telemetry.", "notify.", "reconciliation.")
"""
Keys that may be others when a session is gone on with: they decide nothing, or are the operator's
answer to what it was stopped by.
"""


class ResumeRefused(Exception):
    """A session cannot be gone on with; the message names the folder or file, and why."""


@dataclass(frozen=True, slots=True)
class Left:
    """
    One session as it was left.

    ``recorded`` is ``None`` where its journal holds nothing yet: then it begins anew, under the
    same id. ``ended`` is given where it had come to its end.
    """

    folder: Path
    manifest: Manifest
    recorded: Recorded | None
    ended: SessionEnded | None

    @property
    def journal(self) -> Path:
        """Return where the journal lies."""
        return self.folder / "journal.sqlite"


def left_in(folder: Path, spec: SessionSpec) -> Left:
    """
    Return what is in ``folder``, for a session of the configuration of ``spec``.

    Raises ``ResumeRefused`` where the configuration is another one, where the journal is damaged
    or contradicts itself, or where the session kept no states.
    """
    try:
        manifest = load_manifest(folder / "manifest.json")
    except ManifestError as error:
        raise ResumeRefused(str(error)) from None
    changed = [
        change
        for change in differences(manifest.config, spec.config)
        if not change.startswith(AS_ONE_LIKES)
    ]
    if changed:
        raise ResumeRefused(
            f"{folder}: the configuration has changed since: {'; '.join(changed)}; expected the "
            "one that the session began with (--new begins a new session with this one)"
        )
    path = folder / "journal.sqlite"
    if is_unmade(path):
        return Left(folder, manifest, None, None)
    try:
        facts = facts_of(path, spec)
        seq, states = read_states(path)
        if not facts.seq:
            return Left(folder, manifest, None, None)
        if facts.ended is not None:
            return Left(folder, manifest, None, facts.ended)
        if states and seq != facts.seq:
            raise ResumeRefused(f"{path}: states after entry {seq}, expected after {facts.seq}")
        return Left(folder, manifest, Recorded(facts, states), None)
    except (JournalError, StatesUnknown) as error:
        raise ResumeRefused(str(error)) from error


def facts_of(journal: Path, spec: SessionSpec) -> Facts:
    """Return what a journal makes certain; raises ``JournalError`` for one that is damaged."""
    facts = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
    return facts.fold_all(read_journal(journal))


def batches_of(journal: Path) -> Iterator[bytes]:
    """Yield a journal's lines, many at a time."""
    lines = read_lines(journal)
    while batch := list(islice(lines, REBUILD_BATCH)):
        yield b"\n".join(batch) + b"\n"


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return each key whose value has changed, with both values."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        name = f"{prefix}{key}"
        one, other = before.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{name}.")
        elif one != other:
            found.append(f"{name}: {one!r}, now {other!r}")
    return found


__all__ = ["Left", "ResumeRefused", "batches_of", "differences", "left_in"]
