"""
The metrics, declared in one table: what is exported, in which unit, and where it comes from.

What only the session can say (actors, holds, orders, equity, ages) is exported while it answers
and left out while it does not: a scrape never shows old numbers as new ones. What the journal
told, and the heartbeat, are there always. Times are seconds; ages of data are in session time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.control import samples
from tidegate.control.samples import Sample, Source

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGE = "gauge"
COUNTER = "counter"


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


METRICS: tuple[Declared, ...] = (
    # The session and its heartbeat.
    Declared(
        "tidegate_session_info",
        GAUGE,
        ("session_id",),
        "The session that runs",
        samples.session_info,
    ),
    Declared(
        "tidegate_session_live",
        GAUGE,
        (),
        "1 while the session answers; 0: what needs its answer is left out below",
        samples.live,
    ),
    Declared(
        "tidegate_session_time_seconds",
        GAUGE,
        (),
        "The session's own time, seconds since 1970 UTC",
        samples.of_status(samples.session_time),
    ),
    Declared(
        "tidegate_heartbeat_beats",
        COUNTER,
        (),
        "Pieces of work that were due and are done: turns, timers, commands",
        samples.of_pulse("beats"),
    ),
    Declared(
        "tidegate_heartbeat_age_seconds",
        GAUGE,
        (),
        "Since the last work was done; long where nothing is due",
        samples.of_pulse("last_work_s"),
    ),
    Declared(
        "tidegate_heartbeat_late_seconds",
        GAUGE,
        (),
        "For how long work has been due and is not done; what health is judged by",
        samples.of_pulse("late_s"),
    ),
    Declared(
        "tidegate_loop_stalls",
        COUNTER,
        (),
        "Times that work was later than a healthy loop ever is",
        lambda source: (((), float(source.plane.stalls)),),
    ),
    Declared(
        "tidegate_uptime_seconds",
        GAUGE,
        (),
        "Since the daemon's start",
        samples.of_pulse("uptime_s"),
    ),
    # Actors.
    Declared(
        "tidegate_actor_state",
        GAUGE,
        ("actor", "state"),
        "1 for the state that an actor is in",
        samples.of_status(samples.actor_states),
    ),
    Declared(
        "tidegate_actor_incarnation",
        GAUGE,
        ("actor",),
        "How often an actor has been started",
        samples.actor_counts("incarnation"),
    ),
    Declared(
        "tidegate_actor_messages_handled",
        COUNTER,
        ("actor",),
        "Messages that an actor has handled",
        samples.actor_counts("handled"),
    ),
    Declared(
        "tidegate_actor_messages_refused",
        COUNTER,
        ("actor",),
        "Messages that a hold or a full lane turned away, each answered",
        samples.actor_counts("refused"),
    ),
    Declared(
        "tidegate_actor_messages_dead",
        COUNTER,
        ("actor",),
        "Messages that no handler of an actor will see",
        samples.actor_counts("dead"),
    ),
    Declared(
        "tidegate_mailbox_messages",
        GAUGE,
        ("actor", "lane"),
        "Messages that wait in a lane of a mailbox",
        samples.of_status(samples.queued),
    ),
    Declared(
        "tidegate_actor_failures",
        COUNTER,
        ("actor",),
        "Handlers that raised",
        samples.counted(lambda record: record.failures),
    ),
    Declared(
        "tidegate_actor_restarts",
        COUNTER,
        ("actor",),
        "Restarts that the supervisor ordered",
        samples.counted(lambda record: record.restarts),
    ),
    Declared(
        "tidegate_dead_letters",
        COUNTER,
        ("reason",),
        "Dead letters by reason",
        samples.counted(lambda record: record.dead_letters),
    ),
    # Safety.
    Declared("tidegate_holds", GAUGE, (), "Holds in force", samples.of_status(samples.hold_count)),
    Declared(
        "tidegate_hold_in_force",
        GAUGE,
        ("hold", "mode", "scope"),
        "1 for every hold in force",
        samples.of_status(samples.holds_in_force),
    ),
    Declared(
        "tidegate_kill_in_force",
        GAUGE,
        (),
        "1 while a kill is in force, by whomever",
        samples.of_status(samples.kill_in_force),
    ),
    Declared(
        "tidegate_kill_confirmed",
        GAUGE,
        (),
        "While killed: 1 once the venue has confirmed that nothing is left that adds risk",
        samples.of_status(samples.killed_and_confirmed),
    ),
    Declared(
        "tidegate_kills",
        COUNTER,
        (),
        "Kills of this session",
        samples.of_record(lambda r: float(r.kills)),
    ),
    Declared(
        "tidegate_commands",
        COUNTER,
        ("verb",),
        "Commands taken",
        samples.counted(lambda record: record.commands),
    ),
    Declared(
        "tidegate_commands_refused",
        COUNTER,
        ("verb",),
        "Commands that changed nothing",
        samples.counted(lambda record: record.commands_refused),
    ),
    Declared(
        "tidegate_risk_breaches",
        COUNTER,
        ("guard",),
        "Breached limits with more than a refusal behind them",
        samples.counted(lambda record: record.breaches),
    ),
    Declared(
        "tidegate_circuit_state",
        GAUGE,
        ("tool", "state"),
        "1 for the state that a tool's circuit is in, once it has ever opened",
        samples.circuits,
    ),
    Declared(
        "tidegate_data_stale",
        GAUGE,
        ("symbol",),
        "1 for a symbol without data",
        samples.stale_symbols,
    ),
    Declared(
        "tidegate_data_age_seconds",
        GAUGE,
        ("symbol",),
        "Session time since the newest bar of a symbol closed",
        samples.of_status(samples.ages),
    ),
    # Trading.
    Declared(
        "tidegate_orders",
        GAUGE,
        ("status",),
        "Orders that have not ended, by status",
        samples.of_status(samples.orders_by_status),
    ),
    Declared(
        "tidegate_order_events",
        COUNTER,
        ("event",),
        "Steps in orders' lives; filled, rejected and cancelled orders are counted here",
        samples.counted(lambda record: record.order_events),
    ),
    Declared(
        "tidegate_refusals",
        COUNTER,
        ("code",),
        "Refused intents and ended orders, by each reason code named",
        samples.counted(lambda record: record.refusals),
    ),
    Declared(
        "tidegate_intents",
        COUNTER,
        ("strategy", "action"),
        "Intents that orders are made of, by what they are for",
        samples.counted_by(lambda record: record.wishes.intents),
    ),
    Declared(
        "tidegate_further_orders",
        COUNTER,
        ("strategy", "reason"),
        "Orders that policies permitted beyond an intent's first: retries, new prices, fallbacks",
        samples.counted_by(lambda record: record.wishes.further),
    ),
    Declared(
        "tidegate_further_orders_refused",
        COUNTER,
        ("strategy", "code"),
        "Further orders that Risk refused, by each reason code named",
        samples.counted_by(lambda record: record.wishes.further_refused),
    ),
    Declared(
        "tidegate_intents_short",
        COUNTER,
        ("strategy", "code"),
        "Intents that policies permit more than one order, over with less than they asked for",
        samples.counted_by(lambda record: record.wishes.short),
    ),
    Declared(
        "tidegate_plan_changes",
        COUNTER,
        ("strategy", "status"),
        "What became of plans: adopted, refused, replaced, dropped, done, and their steps",
        samples.counted_by(lambda record: record.wishes.plans),
    ),
    Declared(
        "tidegate_rollbacks",
        COUNTER,
        ("strategy", "outcome"),
        "States of strategies' books that went back, or had moved on (superseded)",
        samples.counted_by(lambda record: record.wishes.rollbacks),
    ),
    Declared(
        "tidegate_backoffs",
        COUNTER,
        ("strategy", "family"),
        "Rests that strategies took after refusals, by family of orders",
        samples.counted_by(lambda record: record.wishes.backoffs),
    ),
    Declared(
        "tidegate_backoff_active",
        GAUGE,
        ("strategy", "symbol", "family"),
        "1 for every family of orders that a strategy lets rest now",
        samples.of_status(samples.resting),
    ),
    Declared(
        "tidegate_backoff_until_seconds",
        GAUGE,
        ("strategy", "symbol", "family"),
        "Session time at which such a rest ends, seconds since 1970 UTC",
        samples.of_status(samples.resting_until),
    ),
    Declared(
        "tidegate_plans",
        GAUGE,
        ("strategy",),
        "Plans that stand",
        samples.of_status(samples.plans_standing),
    ),
    Declared(
        "tidegate_take_profits_waiting",
        GAUGE,
        ("symbol",),
        "Take-profits that wait here for their price, because the venue lets them not rest",
        samples.of_status(samples.take_profits_waiting),
    ),
    Declared(
        "tidegate_fills", COUNTER, (), "Executions", samples.of_record(lambda r: float(r.fills))
    ),
    Declared(
        "tidegate_position_quantity",
        GAUGE,
        ("strategy", "symbol", "position_side"),
        "Open positions in base-asset units, short ones negative",
        samples.of_status(samples.positions),
    ),
    Declared(
        "tidegate_equity",
        GAUGE,
        ("currency",),
        "Equity at the newest prices",
        samples.amount("equity"),
    ),
    Declared("tidegate_cash", GAUGE, ("currency",), "Cash", samples.amount("cash")),
    Declared(
        "tidegate_realized_pnl",
        GAUGE,
        ("currency",),
        "Realised profit of this session, before fees",
        samples.amount("realized_pnl"),
    ),
    Declared("tidegate_fees", GAUGE, ("currency",), "Fees of this session", samples.amount("fees")),
    Declared(
        "tidegate_drawdown_ratio",
        GAUGE,
        (),
        "How far equity is below its peak, open profit included: 0 to 1",
        samples.of_facts("drawdown"),
    ),
    Declared(
        "tidegate_drawdown_ratio_max",
        GAUGE,
        (),
        "The largest fall from a peak so far, as a fraction of it",
        samples.of_facts("max_drawdown"),
    ),
    # The journal and the control plane itself.
    Declared(
        "tidegate_journal_entries",
        COUNTER,
        (),
        "Journal entries that are on the disk",
        samples.of_record(lambda record: float(record.entries)),
    ),
    Declared(
        "tidegate_journal_lag_entries",
        GAUGE,
        (),
        "Journal entries that wait for the disk",
        samples.of_facts("journal_lag"),
    ),
    Declared(
        "tidegate_recovery_seconds",
        GAUGE,
        ("phase",),
        "What the last start after an earlier process took to each phase that it has reached: "
        "protected, checked (the whole journal), trading",
        samples.of_recovery,
    ),
    Declared(
        "tidegate_control_requests",
        COUNTER,
        ("listener", "code"),
        "Requests to the control plane by listener and HTTP status",
        samples.requests,
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

__all__ = ["CONTENT_TYPE", "METRICS", "Declared", "Source", "exposition"]
