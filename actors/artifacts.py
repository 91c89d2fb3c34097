"""
A session's files: which there are, when they are written, and what the runner adds to them.

Everything but the manifest and ``state.json`` is a projection of the journal.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from actors.assembly import Assembly
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from feeds.timeframe import format_timeframe
from state.journal import JournalError, JournalFailed, Sink
from state.journal.reader import is_unmade, line_at
from state.manifest import (
    Manifest,
    SessionStatus,
    StrategySource,
    config_sha256,
    note_admission,
    reopen,
    seal,
    write_manifest,
)
from state.projections.process import ProjectionProcess
from state.snapshots import OrderSnapshot, PositionSnapshot, Snapshot, save_state
from strategies import StrategyParams

CODE_VERSION = "0.1.0"
JOURNAL = "journal.sqlite"
QUARANTINE = "quarantine.csv"


class FilesUnfinished(Exception):
    """
    A session has ended, and some of its files could not be written.

    Its journal has everything, unless that is one of them: ``journal_is_whole`` says which.
    """

    def __init__(self, told: str, *, journal_is_whole: bool) -> None:
        """Say which, and why."""
        super().__init__(told)
        self.journal_is_whole = journal_is_whole


@contextmanager
def nothing_half_begun(out: Path) -> Iterator[None]:
    """
    Leave nothing of a session in ``out`` that was refused before anything of it happened.

    Its journal has no entry then: no order of it can have left, and there is nothing to go on with.
    The bad rows of its input stay, for whoever has to mend them.
    """
    try:
        yield
    except BaseException:
        if _never_was(out / JOURNAL):
            _discard(out)
        raise


def _never_was(journal: Path) -> bool:
    try:
        return is_unmade(journal) or line_at(journal, 1) is None
    except (JournalError, OSError):
        return False  # there is something, whatever it is


def _discard(out: Path) -> None:
    for path in out.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != QUARANTINE:
            path.unlink()
    with suppress(OSError):  # not empty
        out.rmdir()


class Artifacts:
    """The files of one session in ``out``."""

    def __init__(
        self, spec: SessionSpec, session_id: str, out: Path, fingerprints: Mapping[str, str]
    ) -> None:
        """Plan the files; nothing is written before ``begin``."""
        self.spec = spec
        self.session_id = session_id
        self.out = out
        self.fingerprints = dict(fingerprints)
        self._projections: ProjectionProcess | None = None

    def sinks(self, *, simulation: bool) -> list[Sink]:
        """
        Start the process that writes the projections and return the journal's sinks.

        In a simulation it writes ``journal.sqlite`` too; a live journal is its own writer.
        """
        copies = () if self.spec.events is None else (self.spec.events,)
        self._projections = ProjectionProcess(
            self.out,
            journal=simulation,
            copies=copies,
            durable=None if simulation else self.out / JOURNAL,
        )
        return [self._projections, *self.spec.sinks]

    def catch_up(self, journal: Path, upto: int) -> None:
        """Let the projections, made anew, begin with what ``journal`` has up to entry ``upto``."""
        assert self._projections is not None, "a session has its sinks from here"
        self._projections.catch_up(journal, upto)

    def abandon(self) -> None:
        """Let go of the projections of a session that cannot be finished."""
        if self._projections is not None:
            self._projections.abandon()

    def begin(self, started_at: int) -> None:
        """Write the manifest of a running session that starts at session time ``started_at``."""
        spec = self.spec
        write_manifest(
            self.out / "manifest.json",
            Manifest(
                session_id=self.session_id,
                mode=spec.mode,
                seed=spec.seed,
                status=SessionStatus.RUNNING,
                started_at=started_at,
                code_version=CODE_VERSION,
                config=dict(spec.config),
                config_sha256=config_sha256(spec.config),
                data=self.fingerprints,
                strategies=tuple(
                    StrategySource(strategy.name, strategy.source, strategy.source_sha256)
                    for strategy in spec.strategies
                ),
                runtime={"python": platform.python_version(), "system": platform.system()},
                places=dict(spec.places),
                universe=dict(spec.universe),
                admissions=(dict(spec.admission),) if spec.admission else (),
            ),
        )

    def begin_again(self) -> None:
        """Write down that it runs again, and what a live or shadow session's start goes by."""
        reopen(self.out / "manifest.json")
        if self.spec.admission:
            note_admission(self.out / "manifest.json", self.spec.admission)

    def finish(
        self, session: Session, outcome: str, exit_code: int, wall_s: float
    ) -> SessionResult:
        """
        Write what is written at the end, seal the manifest, and return the result.

        Raises ``FilesUnfinished`` where that cannot be done: the journal is the truth even so.
        """
        try:
            return self._finish(session, outcome, exit_code, wall_s)
        except (OSError, JournalFailed) as error:
            self.abandon()
            live = self.spec.mode != "replay"  # a replay's journal is one of the files
            whole = " and its journal is whole" if live else ""
            raise FilesUnfinished(
                f"session {self.session_id} has ended{whole}, but not all of its files in "
                f"{self.out}: {error}",
                journal_is_whole=live,
            ) from error

    def _finish(
        self, session: Session, outcome: str, exit_code: int, wall_s: float
    ) -> SessionResult:
        assert self._projections is not None, "a session has its sinks from here"
        live = self.spec.mode != "replay"
        save_state(
            self.out / "state.json",
            snapshot_of(session),
            history=self.out / "state.jsonl",
            sync=live,
        )
        facts = session_facts(session, self.fingerprints)
        answer = self._projections.finish({**facts, **self._run_facts(session, wall_s)})
        seal(
            self.out / "manifest.json",
            SessionStatus.ENDED if session.left is None else SessionStatus.INTERRUPTED,
            ended_at=session.assembly.clock.now,
            outcome=outcome,
            exit_code=exit_code,
            artifacts=answer.sha256,
            facts=facts,
        )
        return SessionResult(
            self.session_id, self.out, exit_code, outcome, answer.summary, session.halted or ""
        )

    def _run_facts(self, session: Session, wall_s: float) -> dict[str, Any]:
        return {
            "folder": str(self.out),
            "wall_s": wall_s,
            "bars_per_s": session.bars / wall_s if wall_s > 0 else None,
        }


def session_facts(session: Session, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Return what the runner knows of a session beside its journal."""
    spec = session.spec
    return {
        "session_id": session.session_id,
        "mode": spec.mode,
        "seed": spec.seed,
        "code_version": CODE_VERSION,
        "config_sha256": config_sha256(spec.config),
        "strategies": {
            strategy.name: " ".join((strategy.source, *_in_words(strategy.params))).strip()
            for strategy in spec.strategies
        },
        "data": dict(fingerprints),
        "synthetic": spec.feed.synthetic,
        "symbols": tuple(spec.feed.symbols),
        "timeframe": format_timeframe(spec.feed.timeframe_ms),
        "first_bar_at": session.first_bar_at,
        "last_bar_at": session.last_bar_at,
        "bars": session.bars,
        "quarantined_rows": _bad_rows(spec),
        **({"recovery": dict(session.recovery.times)} if session.recovery.times else {}),
        **({"admission": dict(spec.admission)} if spec.admission else {}),
    }


def recorded_facts(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """Return the facts of a recorded session, those of its one run left out."""
    known = {
        "session_id": manifest.session_id,
        "mode": manifest.mode,
        "seed": manifest.seed,
        "config_sha256": manifest.config_sha256,
        "code_version": manifest.code_version,
        "data": manifest.data,
        **({"admission": manifest.admissions[-1]} if manifest.admissions else {}),
    }
    return {**known, **manifest.facts, "folder": str(folder)}


def snapshot_of(session: Session, *, ends: bool = True) -> Snapshot:
    """
    Return everything that the session knows now; between two handlers.

    Without ``ends`` it lacks the orders that have ended, of which there are many.
    """
    assembly = session.assembly
    return Snapshot(
        session_id=session.session_id,
        seq=session.journal.seq,
        seed=session.spec.seed,
        clock=assembly.clock.now,
        positions=tuple(
            PositionSnapshot(
                position.strategy,
                position.symbol,
                position.position_side.value,
                position.quantity,
                position.average_price,
                position.realized_total,
            )
            for position in assembly.books.ledger.positions()
        ),
        orders=tuple(
            OrderSnapshot(order.request, order.status, order.filled)
            for order in assembly.books.orders.live()
        ),
        holds=tuple(assembly.holds.view().values()),
        strategies=dict(assembly.saved),
        actors=_states(assembly, ends=ends),
    )


def _states(assembly: Assembly, *, ends: bool) -> dict[str, str]:
    """Return what the venue, Risk and Health must not forget, each as JSON text."""
    states: dict[str, Any] = {
        "venue": assembly.broker.snapshot(ends=ends),
        "risk": assembly.core.risk_memory.snapshot(),
    }
    if assembly.health is not None:
        states["health"] = assembly.health.state.circuits.export()
    return {name: json.dumps(state, sort_keys=True, default=str) for name, state in states.items()}


def _bad_rows(spec: SessionSpec) -> int | None:
    report = getattr(spec.feed, "report", None)
    return sum(report().bad_rows.values()) if report is not None else None


def _in_words(params: StrategyParams) -> Iterator[str]:
    """Yield each parameter as a configuration has it."""
    for name, value in params.model_dump(mode="json").items():
        yield f"{name}={value}"
