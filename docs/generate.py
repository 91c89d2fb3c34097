"""
Write every generated page of docs/reference from the code that it describes.

    python docs/generate.py [--check]     --check: write nothing, exit 1 if a page is stale

The pages of the command line, of the configuration and of the events' schema have makers of
their own; this calls them too, so that one command makes everything.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path

from actors.assembly import Assembly, Parts, StrategySpec, assemble
from actors.health import HealthPlan
from actors.risk import ALWAYS, GUARDS, SPECS, RiskLimits
from actors.risk.defaults import LIVE_NEEDS, trade_defaults
from brokers.matching import EngineConfig
from feeds.memory import MemoryFeed
from messages import (
    AccountAdopted,
    AdoptAccount,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    BackoffChanged,
    Bar,
    CancelIntent,
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
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
    SyncTrades,
    Tick,
    ToolReport,
    VenueOrder,
    VenueReport,
    VenueTrades,
    Wake,
    message_types,
)
from scenarios import reference as scenario_reference
from state.instruments import Instrument
from state.journal import Journal
from state.journal.published import events_schema_text
from state.orders import START, TERMINAL, TRANSITIONS, diagram
from strategies.loader import load_strategy, parse_params
from tidegate import reference
from tidegate.control.metrics import METRICS
from tidegate.exits import Exit

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- written by `python docs/generate.py`; do not edit -->\n"
PACKAGES = ("actors", "brokers", "feeds", "state", "strategies", "tidegate")
LIMIT_FILES = (
    ("The runtime", "actors/runtime/limits.py"),
    ("The journal", "state/journal/limits.py"),
    ("The projections", "state/projections/limits.py"),
    ("The control plane", "tidegate/control/limits.py"),
)

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

CODES_IN_USE = {
    Exit.DONE: "a command that did what was asked",
    Exit.WANTING: "`verify` found a difference, a scenario failed, `check` found what would fail, "
    "a session's journal cannot be read, no daemon runs, its session is not live, or it refused a "
    "command",
    Exit.USAGE: "a wrong option, an unknown key, a bad file, one bad row too many, "
    "or something that this version does not do",
    Exit.HALTED: "a limit whose action is `halt` was passed: held until `resume --unlatch`",
    Exit.KILLED: "a kill is in force: held until `resume --unlatch`",
    Exit.REFUSED: "another daemon runs for the account, or another process the session; the venue "
    "does not answer, or holds what the books cannot explain; Python runs without "
    "assertions (`-O`), or a package of ours is imported from somewhere else",
    Exit.FAULT: "an actor that the session cannot do without failed too often, the books do not "
    "balance, the journal cannot be written, or there is a bug",
    Exit.INTERRUPTED: "Ctrl-C, or SIGTERM to `trade`; a session's files are written first",
}


def pages() -> dict[str, str]:
    """Return the text of every generated page by its name in docs/reference."""
    assembly = assembled()
    return {
        **reference.pages(),
        **scenario_reference.pages(),
        "events.schema.json": events_schema_text(),
        "reason-codes.md": reason_codes(),
        "risk-guards.md": risk_guards(),
        "messages.md": messages_page(),
        "order-states.md": order_states(),
        "topology.md": topology(assembly),
        "supervision.md": supervision(assembly),
        "exit-codes.md": exit_codes(),
        "limits.md": limits_page(),
        "metrics.md": metrics_page(),
    }


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


# ------------------------------------------------------------------------------------- the pages


def reason_codes() -> str:
    """Return the table of all reason codes."""
    rows = ((f"`{code.value}`", code.meaning) for code in ReasonCode)
    return page(
        "Reason codes",
        """\
        Why an order or intent was refused, suppressed, rejected or ended.
        A code never changes its meaning; the figures follow it in parentheses as `key=value`.
        Codes stand in the `reason` column of `orders.csv`, in the `causes` of a `RiskDecision`
        and in the `cause` of an `ExecutionReport`.
        """,
        table(("code", "meaning"), rows),
    )


def risk_guards() -> str:
    """Return the tables of the guards: those that are always on, and the limits."""
    always = ((f"`{guard.__name__}`", meaning(guard)) for guard in ALWAYS)
    rows = (
        (
            f"`{spec.name}`",
            ", ".join(f"`{key}`" for key in spec.setting.split(", ")),
            f"`{spec.code.value}`",
            f"`{spec.action.value}`",
            "yes" if spec.account else "",
            spec.description,
        )
        for spec in GUARDS
    )
    example = Decimal(100_000)
    defaults = (
        (f"`{name}`", f"`{value}`", f"`{SPECS[name].action.value}`")
        for name, value in trade_defaults(example).items()
    )
    needed = ", ".join(f"`{name}`" for name in LIVE_NEEDS)
    return page(
        "Risk guards",
        """\
        What stands between a strategy's intent and an order.
        Every guard looks at every intent, and a refusal names all that object.
        How to set limits: [instruments and limits](../how-to/instruments-and-limits.md).
        """,
        "## Always on\n",
        "No configuration switches these off. They judge closes as well as openings.\n",
        table(("guard", "what it does"), always),
        "## Limits\n",
        "A limit that is not given does not exist.\n"
        "A value that equals its limit passes, one step beyond it is refused.\n"
        "Limits concern orders that add exposure; none of them refuses a close or a cancel.\n"
        "`action` is what a breach brings about besides the refusal, unless `[risk.actions]` says "
        "otherwise: `refuse` nothing, `reduce_only` the hold `risk:NAME` on everything that "
        "opens, `halt` a kill.\n"
        "The limits of the account are passed by the account itself, at a close or a fill, "
        "without any intent.\n",
        table(("name", "key", "reason code", "action", "of the account", "what it bounds"), rows),
        "## What `trade` does not go without\n",
        f"Limits that a session other than a replay has where nobody gave them, for `session.cash` "
        f"of {example}.\n"
        "An explicit value takes a default's place; `config show` says which is which.\n",
        table(("name", "value", "action"), defaults),
        f"A live session must be given these explicitly: {needed}.",
    )


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


def exit_codes() -> str:
    """Return the table of exit codes with what gives them in this version."""
    meanings = dict(reference.EXIT_CODES)
    rows = ((f"`{int(code)}`", meanings[str(int(code))], CODES_IN_USE[code]) for code in Exit)
    return page(
        "Exit codes",
        """\
        One meaning for every command.
        With `--json` the document of a session, a check, a comparison or an error carries it too,
        as `exit_code`.
        """,
        table(("code", "meaning", "what gives it in this version"), rows),
    )


def limits_page() -> str:
    """Return every bound that the code declares, with its reason."""
    parts = []
    for title, name in LIMIT_FILES:
        parts += [f"## {title}\n", table(("bound", "value", "why"), bounds_of(ROOT / name))]
    return page(
        "Bounds",
        """\
        Every queue, list and wait has a bound.
        They are constants in the code, not configuration.
        """,
        *parts,
    )


def metrics_page() -> str:
    """Return the table of all metrics."""
    rows = (
        (
            f"`{declared.full_name}`",
            declared.kind,
            ", ".join(f"`{label}`" for label in declared.labels),
            declared.help,
        )
        for declared in METRICS
    )
    return page(
        "Metrics",
        """\
        What a running daemon answers at `/metrics` of its [control plane](control-api.md), in
        Prometheus' text format; `telemetry.metrics = false` switches it off.
        Names end in their unit: times are seconds, shares are 0 to 1, money is in the account's
        currency, quantities are in base-asset units. Exact amounts are rounded to floats here.
        What only the session can say is left out while it does not answer: a scrape never shows
        old numbers as new ones. Metrics of the process itself (`process_*`) follow.
        """,
        table(("metric", "kind", "labels", "meaning"), rows),
    )


# ------------------------------------------------------------------------------------- the parts


def page(title: str, opening: str, *parts: str) -> str:
    """Return a page of the house's form."""
    return "\n".join([NOTE, f"# {title}\n", inspect.cleandoc(opening) + "\n", *parts]) + (
        "" if parts[-1].endswith("\n") else "\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def mermaid(text: str) -> str:
    """Return a diagram as Markdown renders it."""
    return f"```mermaid\n{text}```\n"


def meaning(kind: object) -> str:
    """Return what a docstring says first."""
    first = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return " ".join(first.replace("``", "`").split())


def commented(kind: type[Enum]) -> Iterator[tuple[str, str]]:
    """Yield every member of an enumeration with the comment beside it."""
    source = inspect.getsource(kind)
    for member in kind:
        match = re.search(rf"^    {member.name} = .*#\s*(.+)$", source, re.MULTILINE)
        yield member.name, match[1] if match else "market data"


def bounds_of(path: Path) -> list[tuple[str, str, str]]:
    """Return the constants of a module of bounds, each with the docstring below it."""
    body = ast.parse(path.read_text("utf-8")).body
    found = []
    for place, node in enumerate(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if not in_use(node.targets[0].id):
                continue
            after = body[place + 1] if place + 1 < len(body) else None
            assert isinstance(after, ast.Expr), f"{path.name}: a bound without its reason"
            assert isinstance(after.value, ast.Constant), f"{path.name}: a bound without its reason"
            why = " ".join(str(after.value.value).replace("``", "`").split())
            found.append((f"`{node.targets[0].id}`", f"`{ast.unparse(node.value)}`", why))
    return found


@cache
def sources() -> tuple[str, ...]:
    """Return the text of every module that may use a bound."""
    found = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return tuple(path.read_text("utf-8") for path in found if path.name != "limits.py")


def in_use(name: str) -> bool:
    """Tell whether any module uses a bound; one that none uses bounds nothing."""
    return any(re.search(rf"\b{name}\b", text) for text in sources())


def often(count: int, length_s: float) -> str:
    """Return a bound on restarts in words."""
    return f"{count} in {span(length_s)}"


def span(length_s: float) -> str:
    """Return a span of time in its largest whole unit."""
    for unit, unit_s in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if length_s % unit_s == 0:
            return f"{length_s / unit_s:g} {unit}"
    return f"{length_s:g} s"


# ------------------------------------------------------------------------------------ the command


def stale() -> list[str]:
    """Return the names of the pages that are not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    if list(arguments) == ["--check"]:
        found = stale()
        for name in found:
            print(f"docs/reference/{name} is stale; `python docs/generate.py` writes it")
        return 1 if found else 0
    if arguments:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
