"""
The metrics, declared in one table: what is exported, in which unit, and where it comes from.

What only the session can say (actors, holds, orders, equity, ages) is exported while it answers
and left out while it does not: a scrape never shows old numbers as new ones. What the journal
told, and the heartbeat, are there always. Times are seconds; ages of data are in session time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.control.record import CLOSED, HALF_OPEN, OPEN, Record
from tidegate.control.sight import Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGE = "gauge"
COUNTER = "counter"

LANES = ("system", "reduce", "open", "data")
ACTOR_STATES = ("starting", "running", "restarting", "quarantined", "stopped")
CIRCUIT_STATES = (CLOSED, OPEN, HALF_OPEN)

Sample = tuple[tuple[str, ...], float]


class Served(Protocol):
    """What the control plane counts of itself."""

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """Return how many requests were answered, by listener and HTTP status."""

    @property
    def connections_refused(self) -> int:
        """Return how many connections were one too many."""

    @property
    def notices(self) -> Mapping[str, int]:
        """Return how many notices were sent, failed or dropped."""

    @property
    def stalls(self) -> int:
        """Return how often the session's work began to be late."""


@dataclass(frozen=True, slots=True)
class Source:
    """Everything that one scrape is made from."""

    seen: Seen
    record: Record
    plane: Served

    @property
    def status(self) -> dict[str, Any] | None:
        """Return the session's status if it is of this moment."""
        if not self.seen.live or self.seen.facts is None:
            return None
        status: dict[str, Any] = self.seen.facts["status"]
        return status


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: its name (a counter's without ``_total``), kind, labels, meaning, samples."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Source], Iterable[Sample]]

    @property
    def full_name(self) -> str:
        """Return the name as it is exported."""
        return f"{self.name}_total" if self.kind == COUNTER else self.name


def exposition(source: Source) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(source))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Scrape(Collector):
    """One scrape's metrics."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Yield every declared metric that has a sample."""
        for declared in METRICS:
            make = CounterMetricFamily if declared.kind == COUNTER else GaugeMetricFamily
            family = make(declared.name, declared.help, labels=declared.labels)
            for labels, value in declared.samples(self._source):
                family.add_metric(labels, value)
            if family.samples:
                yield family


# -- where samples come from


def _of_status(read: Callable[[dict[str, Any]], Iterable[Sample]]) -> _Samples:
    def samples(source: Source) -> Iterable[Sample]:
        status = source.status
        return () if status is None else read(status)

    return samples


def _of_facts(name: str) -> _Samples:
    def samples(source: Source) -> Iterable[Sample]:
        facts = source.seen.facts
        return () if facts is None or not source.seen.live else (((), float(facts[name])),)

    return samples


def _of_record(read: Callable[[Record], float]) -> _Samples:
    return lambda source: (((), read(source.record)),)


def _counted(read: Callable[[Record], Mapping[str, int]]) -> _Samples:
    def samples(source: Source) -> Iterable[Sample]:
        return (
            ((name,), float(count)) for name, count in sorted(dict(read(source.record)).items())
        )

    return samples


def _of_pulse(name: str) -> _Samples:
    return lambda source: (((), float(source.seen.pulse[name])),)


_Samples = Callable[[Source], Iterable[Sample]]


def _amount(name: str) -> _Samples:
    def read(status: dict[str, Any]) -> Iterable[Sample]:
        if status[name] is not None:
            yield (status["currency"],), float(status[name])

    return _of_status(read)


def _actor_states(status: dict[str, Any]) -> Iterable[Sample]:
    for name, actor in status["actors"].items():
        for state in ACTOR_STATES:
            yield (name, state), float(actor["state"] == state)


def _actor_counts(field: str) -> _Samples:
    def read(status: dict[str, Any]) -> Iterable[Sample]:
        for name, actor in status["actors"].items():
            yield (name,), float(actor[field])

    return _of_status(read)


def _queued(status: dict[str, Any]) -> Iterable[Sample]:
    for name, actor in status["actors"].items():
        for lane, depth in zip(LANES, actor["queued"], strict=True):
            yield (name, lane), float(depth)


def _holds(status: dict[str, Any]) -> Iterable[Sample]:
    for hold in status["holds"]:
        yield (hold["hold_id"], hold["mode"], hold["scope"]), 1.0


def _hold_count(status: dict[str, Any]) -> Iterable[Sample]:
    yield (), float(len(status["holds"]))


def _orders(status: dict[str, Any]) -> Iterable[Sample]:
    counts: dict[str, int] = {}
    for order in status["open_orders"]:
        counts[order["status"]] = counts.get(order["status"], 0) + 1
    for name, count in sorted(counts.items()):
        yield (name,), float(count)


def _positions(status: dict[str, Any]) -> Iterable[Sample]:
    for each in status["positions"]:
        labels = (each["strategy"], each["symbol"], each["position_side"])
        yield labels, float(each["quantity"])


def _ages(status: dict[str, Any]) -> Iterable[Sample]:
    for symbol, data in status["symbols"].items():
        if data["age_s"] is not None:
            yield (symbol,), float(data["age_s"])


def _session_time(status: dict[str, Any]) -> Iterable[Sample]:
    yield (), status["session_time"] / 1000


def _kill_in_force(status: dict[str, Any]) -> Iterable[Sample]:
    yield (), float(status["state"] == "killed")


def _killed_and_confirmed(status: dict[str, Any]) -> Iterable[Sample]:
    if status["state"] == "killed":
        report = (status["kill"] or {}).get("report")
        yield (), float(report is not None and report["confirmed"])


def _circuits(source: Source) -> Iterable[Sample]:
    for tool, found in sorted(dict(source.record.circuits).items()):
        for state in CIRCUIT_STATES:
            yield (tool, state), float(found == state)


def _stale(source: Source) -> Iterable[Sample]:
    return (((symbol,), 1.0) for symbol in sorted(dict(source.record.stale)))


def _requests(source: Source) -> Iterable[Sample]:
    for (listener, code), count in sorted(dict(source.plane.requests).items()):
        yield (listener, code), float(count)


def _live(source: Source) -> Iterable[Sample]:
    yield (), float(source.seen.live)


def _session(source: Source) -> Iterable[Sample]:
    if source.record.session_id:
        yield (source.record.session_id,), 1.0


METRICS: tuple[Declared, ...] = (
    # The session and its heartbeat.
    Declared("tidegate_session_info", GAUGE, ("session_id",), "The session that runs", _session),
    Declared(
        "tidegate_session_live",
        GAUGE,
        (),
        "1 while the session answers; 0: what needs its answer is left out below",
        _live,
    ),
    Declared(
        "tidegate_session_time_seconds",
        GAUGE,
        (),
        "The session's own time, seconds since 1970 UTC",
        _of_status(_session_time),
    ),
    Declared(
        "tidegate_heartbeat_beats",
        COUNTER,
        (),
        "Pieces of work that were due and are done: turns, timers, commands",
        _of_pulse("beats"),
    ),
    Declared(
        "tidegate_heartbeat_age_seconds",
        GAUGE,
        (),
        "Since the last work was done; long where nothing is due",
        _of_pulse("last_work_s"),
    ),
    Declared(
        "tidegate_heartbeat_late_seconds",
        GAUGE,
        (),
        "For how long work has been due and is not done; what health is judged by",
        _of_pulse("late_s"),
    ),
    Declared(
        "tidegate_loop_stalls",
        COUNTER,
        (),
        "Times that work was later than a healthy loop ever is",
        lambda source: (((), float(source.plane.stalls)),),
    ),
    Declared(
        "tidegate_uptime_seconds", GAUGE, (), "Since the daemon's start", _of_pulse("uptime_s")
    ),
    # Actors.
    Declared(
        "tidegate_actor_state",
        GAUGE,
        ("actor", "state"),
        "1 for the state that an actor is in",
        _of_status(_actor_states),
    ),
    Declared(
        "tidegate_actor_incarnation",
        GAUGE,
        ("actor",),
        "How often an actor has been started",
        _actor_counts("incarnation"),
    ),
    Declared(
        "tidegate_actor_messages_handled",
        COUNTER,
        ("actor",),
        "Messages that an actor has handled",
        _actor_counts("handled"),
    ),
    Declared(
        "tidegate_actor_messages_refused",
        COUNTER,
        ("actor",),
        "Messages that a hold or a full lane turned away, each answered",
        _actor_counts("refused"),
    ),
    Declared(
        "tidegate_actor_messages_dead",
        COUNTER,
        ("actor",),
        "Messages that no handler of an actor will see",
        _actor_counts("dead"),
    ),
    Declared(
        "tidegate_mailbox_messages",
        GAUGE,
        ("actor", "lane"),
        "Messages that wait in a lane of a mailbox",
        _of_status(_queued),
    ),
    Declared(
        "tidegate_actor_failures",
        COUNTER,
        ("actor",),
        "Handlers that raised",
        _counted(lambda record: record.failures),
    ),
    Declared(
        "tidegate_actor_restarts",
        COUNTER,
        ("actor",),
        "Restarts that the supervisor ordered",
        _counted(lambda record: record.restarts),
    ),
    Declared(
        "tidegate_dead_letters",
        COUNTER,
        ("reason",),
        "Dead letters by reason",
        _counted(lambda record: record.dead_letters),
    ),
    # Safety.
    Declared("tidegate_holds", GAUGE, (), "Holds in force", _of_status(_hold_count)),
    Declared(
        "tidegate_hold_in_force",
        GAUGE,
        ("hold", "mode", "scope"),
        "1 for every hold in force",
        _of_status(_holds),
    ),
    Declared(
        "tidegate_kill_in_force",
        GAUGE,
        (),
        "1 while a kill is in force, by whomever",
        _of_status(_kill_in_force),
    ),
    Declared(
        "tidegate_kill_confirmed",
        GAUGE,
        (),
        "While killed: 1 once the venue has confirmed that nothing is left that adds risk",
        _of_status(_killed_and_confirmed),
    ),
    Declared(
        "tidegate_kills", COUNTER, (), "Kills of this session", _of_record(lambda r: float(r.kills))
    ),
    Declared(
        "tidegate_commands",
        COUNTER,
        ("verb",),
        "Commands taken",
        _counted(lambda record: record.commands),
    ),
    Declared(
        "tidegate_commands_refused",
        COUNTER,
        ("verb",),
        "Commands that changed nothing",
        _counted(lambda record: record.commands_refused),
    ),
    Declared(
        "tidegate_risk_breaches",
        COUNTER,
        ("guard",),
        "Breached limits with more than a refusal behind them",
        _counted(lambda record: record.breaches),
    ),
    Declared(
        "tidegate_circuit_state",
        GAUGE,
        ("tool", "state"),
        "1 for the state that a tool's circuit is in, once it has ever opened",
        _circuits,
    ),
    Declared("tidegate_data_stale", GAUGE, ("symbol",), "1 for a symbol without data", _stale),
    Declared(
        "tidegate_data_age_seconds",
        GAUGE,
        ("symbol",),
        "Session time since the newest bar of a symbol closed",
        _of_status(_ages),
    ),
    # Trading.
    Declared(
        "tidegate_orders",
        GAUGE,
        ("status",),
        "Orders that have not ended, by status",
        _of_status(_orders),
    ),
    Declared(
        "tidegate_order_events",
        COUNTER,
        ("event",),
        "Steps in orders' lives; filled, rejected and cancelled orders are counted here",
        _counted(lambda record: record.order_events),
    ),
    Declared(
        "tidegate_refusals",
        COUNTER,
        ("code",),
        "Refused intents and ended orders, by each reason code named",
        _counted(lambda record: record.refusals),
    ),
    Declared("tidegate_fills", COUNTER, (), "Executions", _of_record(lambda r: float(r.fills))),
    Declared(
        "tidegate_position_quantity",
        GAUGE,
        ("strategy", "symbol", "position_side"),
        "Open positions in base-asset units, short ones negative",
        _of_status(_positions),
    ),
    Declared(
        "tidegate_equity", GAUGE, ("currency",), "Equity at the newest prices", _amount("equity")
    ),
    Declared("tidegate_cash", GAUGE, ("currency",), "Cash", _amount("cash")),
    Declared(
        "tidegate_realized_pnl",
        GAUGE,
        ("currency",),
        "Realised profit of this session, before fees",
        _amount("realized_pnl"),
    ),
    Declared("tidegate_fees", GAUGE, ("currency",), "Fees of this session", _amount("fees")),
    Declared(
        "tidegate_drawdown_ratio",
        GAUGE,
        (),
        "How far equity is below its peak, open profit included: 0 to 1",
        _of_facts("drawdown"),
    ),
    Declared(
        "tidegate_drawdown_ratio_max",
        GAUGE,
        (),
        "The largest fall from a peak so far, as a fraction of it",
        _of_facts("max_drawdown"),
    ),
    # The journal and the control plane itself.
    Declared(
        "tidegate_journal_entries",
        COUNTER,
        (),
        "Journal entries that are on the disk",
        _of_record(lambda record: float(record.entries)),
    ),
    Declared(
        "tidegate_journal_lag_entries",
        GAUGE,
        (),
        "Journal entries that wait for the disk",
        _of_facts("journal_lag"),
    ),
    Declared(
        "tidegate_control_requests",
        COUNTER,
        ("listener", "code"),
        "Requests to the control plane by listener and HTTP status",
        _requests,
    ),
    Declared(
        "tidegate_notices",
        COUNTER,
        ("outcome",),
        "Notices that were sent, that failed, and lines that were dropped",
        lambda source: (
            ((name,), float(count)) for name, count in sorted(dict(source.plane.notices).items())
        ),
    ),
    Declared(
        "tidegate_control_connections_refused",
        COUNTER,
        (),
        "Connections that were one too many",
        lambda source: (((), float(source.plane.connections_refused)),),
    ),
)
"""Every metric of ours, in the order in which they are exported."""

assert len({declared.name for declared in METRICS}) == len(METRICS), "a metric is declared twice"
