"""
A session's files: which there are, when they are written, and what the runner adds to them.

Everything but the manifest and ``state.json`` is a projection of the journal.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actors.assembly import Assembly
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session
from feeds.timeframe import format_timeframe
from state.journal import Sink
from state.manifest import (
    Manifest,
    SessionStatus,
    StrategySource,
    config_sha256,
    seal,
    write_manifest,
)
from state.projections.process import ProjectionProcess
from state.snapshots import OrderSnapshot, PositionSnapshot, Snapshot, save_state

CODE_VERSION = "0.1.0"


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
        self._projections = ProjectionProcess(self.out, journal=simulation, copies=copies)
        return [self._projections, *self.spec.sinks]

    def catch_up(self, batches: Iterable[bytes]) -> None:
        """Let the projections, made anew, begin with what the journal has: lines by the batch."""
        assert self._projections is not None, "a session has its sinks from here"
        for lines in batches:
            self._projections.write((), lines)

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
            ),
        )

    def finish(
        self, session: Session, outcome: str, exit_code: int, wall_s: float
    ) -> SessionResult:
        """Write what is written at the end, seal the manifest, and return the result."""
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
            SessionStatus.ENDED,
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
            strategy.name: f"{strategy.source} {strategy.params}".strip()
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
    }
    return {**known, **manifest.facts, "folder": str(folder)}


def snapshot_of(session: Session) -> Snapshot:
    """Return everything that the session knows now."""
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
        actors=_states(assembly),
    )


def _states(assembly: Assembly) -> dict[str, str]:
    """Return what the venue, Risk and Health must not forget, each as JSON text."""
    states: dict[str, Any] = {
        "venue": assembly.broker.snapshot(),
        "risk": assembly.core.risk_memory.snapshot(),
    }
    if assembly.health is not None:
        states["health"] = assembly.health.state.circuits.export()
    return {name: json.dumps(state, sort_keys=True, default=str) for name, state in states.items()}


def _bad_rows(spec: SessionSpec) -> int | None:
    report = getattr(spec.feed, "report", None)
    return sum(report().bad_rows.values()) if report is not None else None
