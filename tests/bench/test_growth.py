"""What hangs on a session does not grow with the time that it runs: counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collections_of import sizes_of
from long_run import ordinary, turning

from actors.execution import ExecutionActor
from actors.session import run_paper
from actors.spec import SessionSpec
from actors.turns import Session
from messages import Fill, OrderEvent, VenueReport
from state import fact_snapshots
from state.orders import OrderStore

BOUNDS = OrderStore.__init__.__kwdefaults__ or {}
BARS = 900
SYMBOLS = 2
EVERY = 20
SLACK = 1.3
"""Generations of ids fill and empty, and charts halve: a peak differs from the next by less."""


@pytest.fixture(autouse=True)
def early_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every bound be met within some hundred bars, instead of weeks."""
    monkeypatch.setitem(BOUNDS, "finished_orders_max", 50)
    monkeypatch.setitem(BOUNDS, "trade_ids_max", 60)
    monkeypatch.setattr("actors.risk.view.INTENTS_REMEMBERED", 60)
    monkeypatch.setattr("brokers.matching.book.GENERATION_IDS_MAX", 50)
    monkeypatch.setattr("brokers.matching.matcher.FILLS_KEPT", 40)
    monkeypatch.setattr("actors.portfolio.CHART_POINTS_MAX", 60)
    monkeypatch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 500)


@dataclass
class Peaks:
    """The longest that each collection was, in the second quarter of a session and the last."""

    early: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)

    def look(self, session: Session, bars: int) -> None:
        """Note every collection's length, now and then."""
        whole = BARS * SYMBOLS
        if bars % EVERY or bars < whole // 4 or whole // 2 <= bars < whole * 3 // 4:
            return
        peaks = self.early if bars < whole // 2 else self.late
        for path, size in sizes_of(session).items():
            peaks[path] = max(size, peaks.get(path, 0))

    @property
    def grown(self) -> dict[str, tuple[int, int]]:
        """Return what has become longer and longer."""
        return {
            path: (self.early.get(path, 0), size)
            for path, size in self.late.items()
            # The projections' process is waited for as long as the machine likes, within a bound.
            if not path.endswith("._frames.queue")
            if size > SLACK * self.early.get(path, 0) + 8
        }


def lived(spec: SessionSpec, alter: Callable[[Session], object] = lambda _session: None) -> Peaks:
    """Run a paper session, durably, to its end, and return the peaks of what hangs on it."""
    peaks = Peaks()
    opened: list[Session] = []

    def begun(session: Session) -> None:
        opened.append(session)
        alter(session)

    async def live() -> None:
        await run_paper(
            spec,
            speed=0,
            on_open=begun,
            on_progress=lambda bars: peaks.look(opened[0], bars),
        )

    anyio.run(live)
    return peaks


@pytest.mark.parametrize("kind", [turning, ordinary])
def test_no_collection_of_a_session_grows_with_its_orders_and_bars(
    tmp_path: Path, kind: Callable[..., SessionSpec]
) -> None:
    """Orders that have ended, trades, decisions, samples: each is let go of in time."""
    peaks = lived(kind(tmp_path, "paper-growth-abc", symbols=SYMBOLS, bars=BARS))

    assert {} == peaks.grown
    assert len(peaks.late) > 5


def test_a_store_that_forgets_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ablation: without the bound on ended orders, their tables are what grows."""
    monkeypatch.setitem(BOUNDS, "finished_orders_max", 10**9)

    grown = lived(turning(tmp_path, "paper-growth-abc", symbols=SYMBOLS, bars=BARS)).grown

    assert ".assembly.books.orders._finished" in grown


def test_a_trade_told_again_after_its_order_was_forgotten_is_not_booked_again(
    tmp_path: Path,
) -> None:
    """Neither by an order, which is gone, nor by the ledger: it is told of, and that is all."""
    found: list[tuple[object, object]] = []

    def again(session: Session, bars: int) -> None:
        fills = session.assembly.core.engine._matcher.fills
        if bars == 40:
            told.append(next(iter(fills)))
        if bars == 1_600:
            (fill,) = told
            books = session.assembly.books
            execution = session.assembly.execution_cell.actor
            assert isinstance(execution, ExecutionActor)
            assert books.orders.by_client_id(fill.client_order_id) is None
            assert fill.trade_id not in books.orders.booked
            before = books.ledger.snapshot()
            report = VenueReport(
                fill.client_order_id, OrderEvent.FILLED, session.assembly.clock.now, fill
            )
            effects = execution.on_venue_report(report)
            found.append((before == books.ledger.snapshot(), effects))

    told: list[Fill] = []
    opened: list[Session] = []

    async def live() -> None:
        await run_paper(
            turning(tmp_path, "paper-growth-abc", symbols=SYMBOLS, bars=BARS),
            speed=0,
            on_open=opened.append,
            on_progress=lambda bars: again(opened[0], bars),
        )

    anyio.run(live)

    ((unchanged, effects),) = found
    assert unchanged
    assert "unknown_order" in repr(effects)
