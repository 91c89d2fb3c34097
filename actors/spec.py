"""What a session is a function of, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.assembly import StrategySpec
from actors.execution import PLAN, DoubtPlan
from actors.health import HealthPlan
from actors.reconciler import UNPLANNED
from actors.risk import RiskLimits
from brokers.contract import SessionBroker
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import PaperBroker
from feeds.contract import BarFeed
from messages import Bar
from state.features import FeatureStore
from state.instruments import Instrument
from state.journal import Sink
from state.reconciliation_policy import ReconciliationPlan


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """
    Everything that a session is a function of, and where its files go.

    ``out`` is the session's folder; without it the session gets
    ``runs_dir/<mode>/sessions/<session id>``. ``config`` is the configuration as merged,
    without secrets and without places; ``places`` says where its inputs lie, ``universe`` what
    may be traded and whose word that is. ``session_id`` is given only to run a recorded session
    again. ``account`` names whose holds outlive it. ``events`` is one more place for a copy of
    ``events.ndjson``; ``sinks`` get the journal's entries too. ``broker`` makes the way to the
    venue's engine. Without ``health`` nobody watches tools, data and machine.
    ``doubts`` says how an order whose answer is lost is accounted for, ``reconciliation`` what is
    done where the venue's account is not what the books say; ``own_tags`` are those of the other
    sessions whose orders at the venue are ours. ``admission`` says by whose leave a live session
    starts and where its orders go; JSON-ready, empty on paper. ``before`` is what strategies warm
    up with where a session on history is begun; a live feed brings its own. In ``features`` is kept
    what they make of it.
    """

    mode: str
    name: str
    seed: int
    feed: BarFeed
    strategies: tuple[StrategySpec, ...]
    instruments: Mapping[str, Instrument]
    currency: str
    cash: Decimal
    engine: EngineConfig
    limits: RiskLimits
    out: Path | None = None
    runs_dir: Path = Path("runs")
    config: Mapping[str, Any] = field(default_factory=dict)
    events: Path | None = None
    session_id: str = ""
    queued: bool = False
    sinks: tuple[Sink, ...] = ()
    places: Mapping[str, Any] = field(default_factory=dict)
    universe: Mapping[str, Any] = field(default_factory=dict)
    account: str = "main"
    broker: Callable[[MatchingEngine], SessionBroker] = PaperBroker
    health: HealthPlan | None = None
    doubts: DoubtPlan = PLAN
    reconciliation: ReconciliationPlan = UNPLANNED
    own_tags: frozenset[str] = frozenset()
    admission: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Bar, ...] = ()
    features: FeatureStore | None = None


@dataclass(frozen=True, slots=True)
class SessionResult:
    """
    What became of a session.

    ``outcome`` is ``completed``, ``halted`` (``reason`` says why), ``risk_halted`` (by a guard),
    ``killed`` or ``interrupted``; ``exit_code`` is the documented one. ``summary`` is JSON-ready.
    """

    session_id: str
    out: Path
    exit_code: int
    outcome: str
    summary: dict[str, Any]
    reason: str = ""


class ReplayInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a replay, which has ended in order: ``result`` is what there is."""

    def __init__(self, result: SessionResult) -> None:
        """Hand over what came of it."""
        super().__init__()
        self.result = result
