"""What an earlier process left in a session's folder, read so that the next one can go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from actors.assembly import no_facts
from actors.keeping import Recorded, StatesDamaged, StatesUnknown
from actors.runtime.clock import monotonic_s
from actors.spec import SessionSpec
from messages import Hold, SessionEnded
from state.fact_snapshots import (
    FACTS_PART,
    FactsKeeper,
    SnapshotUnusable,
    restore_facts,
    snapshot_of,
)
from state.facts import Facts, FactsDiffer
from state.journal import JournalDamaged, JournalError
from state.journal.reader import check_journal, line_at, read_journal, read_states
from state.manifest import Manifest, ManifestError, load_manifest
from state.register import HoldRegister, harder, outliving

AS_ONE_LIKES: Final = ("feed.speed:", "control.", "telemetry.", "notify.", "reconciliation.")
"""
Keys that may be others when a session is gone on with: they decide nothing, or are the operator's
answer to what it was stopped by.
"""


class ResumeRefused(Exception):
    """A session cannot be gone on with; the message names the folder or file, and why."""


class ResumeDamaged(ResumeRefused):
    """A session's journal is damaged: nobody can say what it did."""


@dataclass(frozen=True, slots=True)
class Left:
    """
    One session as it was left.

    ``recorded`` is ``None`` where its journal holds nothing yet: then it begins anew, under the
    same id. ``ended`` is given where it had come to its end: one that was stopped while there was
    more to come has not, and is as one whose process died.
    """

    folder: Path
    manifest: Manifest
    recorded: Recorded | None
    ended: SessionEnded | None
    began_s: float = 0.0
    """When it was first looked at, by the machine's monotonic clock: what a start is timed from."""

    @property
    def journal(self) -> Path:
        """Return where the journal lies."""
        return self.folder / "journal.sqlite"


def left_in(folder: Path, spec: SessionSpec) -> Left:
    """
    Return what is in ``folder``, for a session of the configuration of ``spec``.

    Raises ``ResumeDamaged`` where the journal is damaged or contradicts itself, ``ResumeRefused``
    where the configuration is another one, or where the session kept no states.
    """
    began_s = monotonic_s()
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
    try:
        if not check_journal(path):
            return Left(folder, manifest, None, None, began_s)
        seq, states = read_states(path)
        facts = facts_of(path, spec, states.pop(FACTS_PART, None))
        if facts.ended is not None and not facts.ended.stopped:
            return Left(folder, manifest, None, facts.ended)
        if states and seq != facts.seq:
            raise ResumeDamaged(f"{path}: states after entry {seq}, expected after {facts.seq}")
        return Left(folder, manifest, Recorded(facts, states), None, began_s)
    except (JournalDamaged, FactsDiffer) as error:
        raise ResumeDamaged(str(error)) from error
    except StatesDamaged as error:
        raise ResumeDamaged(f"{path}: {error}") from error
    except (JournalError, StatesUnknown) as error:
        raise ResumeRefused(str(error)) from error


def held_at_start(register: HoldRegister, at: int, recorded: Recorded | None) -> tuple[Hold, ...]:
    """
    Return what is held from the first instruction on: what the register and the journal say.

    Where nobody can say what the register held, a hold of its own is among it.
    """
    held = outliving(register.restore(at))
    if recorded is not None:
        for hold in outliving(recorded.facts.holds_at(at)).values():
            there = held.get(hold.hold_id)
            held[hold.hold_id] = hold if there is None else harder(there, hold)
    return tuple(held.values())


def facts_of(journal: Path, spec: SessionSpec, snapshot: bytes | None = None) -> Facts:
    """
    Return what a journal makes certain; raises ``JournalError`` for one that is damaged.

    With a ``snapshot`` that can be believed only the entries after it are read; one that cannot
    is told of, and costs nothing but the time to read them all.
    """
    if snapshot is not None:
        try:
            return _facts_after(journal, spec, snapshot)
        except (SnapshotUnusable, FactsDiffer) as error:
            structlog.get_logger("journal").warning("facts_snapshot_unusable", error=str(error))
    return _no_facts(spec).fold_all(read_journal(journal))


def _facts_after(journal: Path, spec: SessionSpec, snapshot: bytes) -> Facts:
    facts = _no_facts(spec)
    told = restore_facts(facts, snapshot)
    found = line_at(journal, facts.seq)
    if found != told:
        raise SnapshotUnusable(f"entry {facts.seq} of the journal is not the one that it is of")
    return facts.fold_all(read_journal(journal, after=facts.seq))


def facts_keeper(spec: SessionSpec, recorded: Recorded | None) -> FactsKeeper:
    """Return who folds a live session's journal from here on, beside the session's own books."""
    facts = _no_facts(spec)
    if recorded is None:
        return FactsKeeper(facts)
    kept = snapshot_of(recorded.facts)
    restore_facts(facts, kept)
    return FactsKeeper(facts, kept)


def _no_facts(spec: SessionSpec) -> Facts:
    return no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)


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


__all__ = [
    "Left",
    "ResumeDamaged",
    "ResumeRefused",
    "differences",
    "facts_keeper",
    "facts_of",
    "held_at_start",
    "left_in",
]
