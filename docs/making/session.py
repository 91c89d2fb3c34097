"""The pages of a session as it is assembled: who tells whom what, and who restarts whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from actors.assembly import Assembly, Parts, StrategySpec, assemble
from actors.health import HealthPlan
from actors.risk import RiskLimits
from brokers.matching import EngineConfig
from feeds.memory import MemoryFeed
from making.parts import commented, meaning, mermaid, often, page, table
from messages import (
    AccountAdopted,
    AdoptAccount,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    BackoffChanged,
    Bar,
    CancelIntent,
    CompareAccount,
    ExecutionReport,
    FundingBooked,
    FundingSettled,
    IntentEnded,
    Lane,
    Message,
    MinimumOrder,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    OrderCommitted,
    Overflow,
    PortfolioMarked,
    Quote,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    SyncTrades,
    Tick,
    ToolReport,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueTrades,
    Wake,
    message_types,
)
from state.instruments import Instrument
from state.journal import Journal
from state.orders import START, TERMINAL, TRANSITIONS, diagram
from strategies.loader import load_strategy, parse_params

SENDERS: Mapping[type[Message], str] = {
    Bar: "feed",
    Quote: "feed",
    Tick: "feed",
    OpenIntent: "strategy",
    ReduceIntent: "strategy",
    CancelIntent: "strategy",
    BackoffChanged: "strategy",
    OpenFollowUp: "execution",
    ReduceFollowUp: "execution",
    IntentEnded: "execution",
    OperatorReduce: "kill",
    RiskDecision: "risk",
    ApprovedOpen: "risk",
    ApprovedReduce: "risk",
    ApprovedCancel: "risk",
    ExecutionReport: "execution",
    VenueReport: "broker",
    VenueOrder: "broker",
    VenueTrades: "broker",
    VenuePayment: "broker",
    CompareAccount: "execution",
    SyncTrades: "reconciler",
    AdoptAccount: "reconciler",
    AccountAdopted: "execution",
    MinimumOrder: "broker",
    ToolReport: "broker",
    FundingSettled: "broker",
    FundingBooked: "execution",
    PortfolioMarked: "execution",
    OrderCommitted: "journal",
    Wake: "clock",
}
"""Who sends what is delivered; a receiver of anything else stops the making of the page."""


def assembled() -> Assembly:
    """Return a started session of one strategy, as every session is put together."""
    symbol = "BTC/USDT"
    shipped = load_strategy("sma_cross")
    feed = MemoryFeed({symbol: [Bar(symbol, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000)]})
    parts = Parts(
        tag="docs",
        feed=feed,
        strategies=(StrategySpec("NAME", shipped.factory, parse_params(shipped, {}), (symbol,)),),
        instruments={symbol: Instrument.permissive(symbol)},
        currency="USDT",
        cash=Decimal(1),
        engine=EngineConfig("docs"),
        limits=RiskLimits(),
        start_at=0,
        health=HealthPlan(),
    )
    assembly = assemble(parts, Journal([]))
    assembly.supervisor.start()
    return assembly


def messages_page() -> str:
    """Return the tables of lanes, overflow policies and message classes."""
    kinds = message_types()
    lanes = ((f"`{name}`", text) for name, text in commented(Lane))
    overflows = ((f"`{name}`", text) for name, text in commented(Overflow))
    rows = (
        (
            f"`{kind.__name__}`",
            kind.lane.name,
            kind.overflow.name.lower(),
            "yes" if kind.journaled else "",
            meaning(kind),
        )
        for kind in kinds
    )
    return page(
        "Messages",
        """\
        Every class of message that crosses a mailbox.
        The lane is a property of the class, never of the content.
        Journaled classes are what `events.ndjson` is made of; their fields are in
        [events.schema.json](events.schema.json).
        """,
        "## Lanes, first served first\n",
        table(("lane", "what takes it"), lanes),
        "## What a full lane does\n",
        table(("policy", "meaning"), overflows),
        "## Classes\n",
        table(("class", "lane", "when full", "journaled", "meaning"), rows),
    )


def order_states() -> str:
    """Return the diagram and the table of an order's life."""
    rows = (
        (f"`{status.value}`", f"`{event.value}`", f"`{target.value}`")
        for status, row in TRANSITIONS.items()
        for event, target in row.items()
    )
    final = ", ".join(f"`{status.value}`" for status in TRANSITIONS if status in TERMINAL)
    return page(
        "Order states",
        f"""\
        An order begins `{START.value}` and moves only as this table says.
        Any other event is illegal: it is recorded as a dead letter and changes no state.
        Final states: {final}.
        Steps that leave the state as it is are in the table only.
        """,
        mermaid(diagram()),
        table(("in state", "on event", "goes to"), rows),
        "Whether a fill is `filled` or `filled_partly` follows from the quantities.\n"
        "`in_doubt` (the answer to a submit was lost) is left only by what the venue says.\n"
        "A `denied` order ends at Risk and has no `ExecutionReport`: its `RiskDecision` says why.",
    )


def topology(assembly: Assembly) -> str:
    """Return the diagram of who tells whom, and the table behind it."""
    routed = assembly.dispatcher.topology()
    routes = [(kind, receivers) for kind, receivers in deliveries(assembly) if receivers]
    edges: dict[tuple[str, str], list[str]] = {}
    for kind, receivers in routes:
        for receiver in receivers:
            edges.setdefault((SENDERS[kind], receiver), []).append(kind.__name__)
    lines = ["flowchart LR"]
    lines += [
        f'    {sender} -- "{"<br/>".join(names)}" --> {receiver}'
        for (sender, receiver), names in edges.items()
    ]
    lines.append('    execution -- "submit, cancel, query" --> broker')
    lines.append('    everyone["every actor"] -- "journaled messages" --> journal')
    rows = (
        (
            f"`{kind.__name__}`",
            SENDERS[kind],
            ", ".join(receivers),
            "by class" if kind.__name__ in routed else "directly",
        )
        for kind, receivers in routes
    )
    return page(
        "Topology",
        """\
        Who tells whom, taken from a session as it is assembled.
        `strategy` stands for the one strategy that a message names; of a `MinimumOrder` all hear.
        Execution is told of prices only while a take-profit waits there for one.
        Of a `RiskDecision` only refusals are delivered.
        Of an `ExecutionReport`, the steps before the first fill or end go to a strategy only if
        it overrides `on_order_update`.
        No feed of this version gives `Quote` or `Tick`.
        """,
        mermaid("\n".join(lines) + "\n"),
        table(("message", "from", "to", "routed"), rows),
        "`by class`: whatever returns the message from a handler, it goes there.\n"
        "`directly`: handed over by the turn (bars), the broker, the journal or the clock.",
    )


def deliveries(assembly: Assembly) -> Iterator[tuple[type[Message], list[str]]]:
    """Yield every class that some actor handles, with the actors that do."""
    found: dict[type[Message], list[str]] = {kind: [] for kind in SENDERS}
    for name, cell in assembly.dispatcher.cells.items():
        for kind in cell.handlers:
            found[kind].append(name.partition(":")[0])
    routed = assembly.dispatcher.topology()
    for kind, receivers in found.items():
        told = routed.get(kind.__name__, tuple(receivers))
        ordered = [name.partition(":")[0] for name in told]
        assert set(ordered) == set(receivers), f"{kind.__name__}: routes and handlers differ"
        yield kind, ordered


def supervision(assembly: Assembly) -> str:
    """Return the table of children: how each is restarted, and what follows when it is not."""
    after = {
        "halt": "OPEN is held, the session ends with exit code 6",
        "quarantine": "the strategy is stopped for good, its orders are cancelled",
        "abandon": "the session goes on without it",
        "hold": "OPEN is held, the session goes on without it",
    }
    rows = []
    for spec in assembly.supervisor.specs:
        limit, backoff = spec.intensity, spec.backoff
        rows.append(
            (
                f"`{spec.name}`",
                spec.restart.value.replace("_", "-"),
                f"{often(limit.burst, limit.burst_s)}, {often(limit.sustained, limit.sustained_s)}",
                f"{backoff.base_s:g} s, x{backoff.factor:g} each, at most {backoff.max_s:g} s",
                "yes" if spec.holds_open_while_down else "",
                after[spec.when_exhausted.value],
            )
        )
    return page(
        "Supervision",
        """\
        The supervisor's children in the order of their start; they stop in reverse.
        Times are session time.
        `rest-for-one` restarts every child below it in the table as well.
        A failed message is never handled again: it is a dead letter.
        Books that do not balance are fatal at once, without a restart.
        """,
        table(
            ("child", "restart", "restarts allowed", "delay", "holds OPEN meanwhile", "past that"),
            rows,
        ),
    )
