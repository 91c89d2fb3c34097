"""The reference of scenario files, written from the models that check them."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from scenarios.model import Scenario, base, expect, json_schema, market, script, session, steps

NOTE = "<!-- written by `python docs/generate.py`; do not edit -->\n"

OPENING = """\
# Scenario files

A scenario is a file `*.scenario.json` or `*.scenario.toml`: a market, strategies, what happens to
them, and what must come of it.
It runs the actors of a session in virtual time; nothing in it waits, and nothing is random but by
its seed.
The JSON Schema is in [scenario.schema.json](scenario.schema.json), and `tidegate scenario schema`
prints it.
How to write one is in [the guide](../how-to/write-a-scenario.md).

- **Times** are counted from the open of the first bar: `90s`, `5m`, `1h30m`, `250ms`, `00:05:00`.
- **Bars** are numbered from 1; bar n closes n time frames after the first bar opened.
- **Exact numbers** (money, quantities, prices of orders) are written in quotes or as whole numbers.
  Prices of the market are plain numbers.
- In `fields` and `where`, `"@5m"` stands for that time as int ms UTC.
- Files (strategies, CSV) are looked for beside the scenario.
"""

TIMES = """\
At one moment the timers of the session come first, then the steps as written, then the
expectations that look at a time.
A step at the close of a bar happens after that bar's turn; `when = "before"` means one
millisecond before the close.
`when = "commit"` is the moment between an order's durable record and its sending: of `bar` n the
first one in that bar's turn, of `at` and `on` the first one from then on.
`on` waits for a journaled message and acts as soon as no handler is running.
"""

RESTARTS = """\
After `power_cut` and `stop` with `restart`, and by `start` when a process has ended by itself, the
daemon is started again where the market was left, with the holds of the account's register in
force.
A step that falls into the time between happens as soon as the next process runs.

It goes on with the session, as `tidegate trade --resume` does: from the journal and the states that
were durable, under a hold `recovering` until the venue has told of every order and its account is
what our books say.
What was not durable is gone, and the timeline says so (`lost: ...`); nothing that is expected is
found there.
The venue was not away: its orders rest, bars that close while the daemon is down fill them, news on
its way arrives, and the new process takes the news that its session had not heard.
What it holds must be explained before the start, or `reconciliation` says what is done: else the
start is refused (`start_refused`, exit code 5), as it is where the venue does not answer.

With `new` a new session begins, as by `tidegate trade --new`: flat, at an account of its own.
A session that was stopped by `stop` goes on as one that died there. One that has ended (its market
is over, a halt) cannot be gone on with, nor a replay: there `new` is needed. What was wrong with
the venue, or silent, still is in either case.

`session` in what is expected is the number of the process: one that goes on with a session counts
as the next one. Its files are those of the whole session.
"""

EXPECT = """\
Each entry of `expect` has exactly one of these keys.
`outcome` is `completed`, `killed`, `risk_halted`, `halted`, `interrupted`, `input_refused`,
`journal_failed`, `power_cut`, `start_refused`, or `fault`: an exception outside the actors, which
is always a miss.
It and `exit_code` are those of the last session.
"""

INVARIANTS = (
    "no order that adds exposure leaves while a hold covers it",
    "every order is written before it is sent, and sent once; of an intent at most one is live",
    "every order is what an intent asks for, as Risk rounds it, or what its policy permits beyond",
    "every step of a plan is that plan's, and every close by a kill is an operator's",
    "every intent and follow-up is answered exactly once, every refusal with its causes",
    "orders move along the [order table](order-states.md) only",
    "each trade is booked exactly once, and what was journaled is what was booked",
    "the books balance exactly, and equity is cash and what is held, in every row",
    "what Risk reserves for is what lives, whenever nothing is on its way",
    "a kill halts within 5 s of its trigger",
    "at the end the ledger is what the venue holds, or the difference is known and held",
    "the journal has no gap, time never steps back, only holds that were placed are lifted",
)

Section = tuple[str, str, tuple[type[BaseModel], ...]]

SECTIONS: tuple[Section, ...] = (
    ("`session`", "", (session.SessionTable,)),
    ("`feed` and `universe`", "", (session.FeedTable, session.UniverseTable)),
    ("`strategies`", "", (session.StrategyTable,)),
    (
        "The scripted strategy",
        "",
        (
            script.Line,
            script.PolicyTable,
            script.RepriceTable,
            script.FallbackTable,
            script.RetryTable,
            script.BackoffTable,
            script.PlanTable,
            script.PlanStopTable,
            script.PlanTargetTable,
            script.PlanTrailTable,
            script.PlanAddTable,
        ),
    ),
    ("`market`", "", (market.Market, market.Flat, market.Walk, market.Cut)),
    ("`steps`", TIMES, (steps.Step,)),
    (
        "Actions",
        RESTARTS,
        (
            steps.Tell,
            steps.Command,
            steps.ScopeTable,
            steps.Crash,
            steps.VenueFault,
            steps.Outside,
            steps.Silence,
            steps.QuoteTable,
            steps.TickTable,
            steps.FundingTable,
            steps.MinimumTable,
            steps.Vitals,
            steps.PowerCut,
            steps.Stop,
            steps.Start,
        ),
    ),
    ("`expect`", EXPECT, (expect.Expectation,)),
    (
        "Expectations",
        "",
        (
            expect.Sight,
            expect.Seen,
            expect.Never,
            expect.OrderExpected,
            expect.Refusal,
            expect.Position,
            expect.Account,
            expect.Holds,
            expect.Within,
            expect.Artifact,
            expect.Report,
        ),
    ),
)

TITLES: dict[type[BaseModel], str] = {
    session.SessionTable: "session",
    session.FeedTable: "feed",
    session.UniverseTable: "universe",
    session.StrategyTable: "strategies[]",
    script.Line: "strategies[].script[]",
    script.PolicyTable: "policy",
    script.RepriceTable: "policy.reprice",
    script.FallbackTable: "policy.fallback",
    script.RetryTable: "policy.retry",
    script.BackoffTable: "strategies[].backoff",
    script.PlanTable: "plan",
    script.PlanStopTable: "plan.stop",
    script.PlanTargetTable: "plan.targets[]",
    script.PlanTrailTable: "plan.trail",
    script.PlanAddTable: "plan.adds[]",
    market.Market: "market.SYMBOL",
    market.Flat: "flat",
    market.Walk: "walk",
    market.Cut: "cut",
    steps.Step: "steps[]",
    steps.Tell: "tell",
    steps.Command: "command",
    steps.ScopeTable: "scope",
    steps.Crash: "crash",
    steps.VenueFault: "venue",
    steps.Silence: "silence",
    steps.QuoteTable: "quote",
    steps.TickTable: "tick",
    steps.FundingTable: "funding",
    steps.MinimumTable: "minimum",
    steps.Vitals: "vitals",
    steps.Outside: "outside",
    steps.PowerCut: "power_cut",
    steps.Stop: "stop",
    steps.Start: "start",
    expect.Expectation: "expect[]",
    expect.Sight: "a message",
    expect.Seen: "seen",
    expect.Never: "never",
    expect.OrderExpected: "order",
    expect.Refusal: "refusal",
    expect.Position: "position",
    expect.Account: "account",
    expect.Holds: "holds",
    expect.Within: "within",
    expect.Artifact: "artifact",
    expect.Report: "report",
}
"""What each table is called where it stands in a file."""


def pages() -> dict[str, str]:
    """Return the text of every generated page by its name."""
    return {
        "scenario.md": page(),
        "scenario.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def page() -> str:
    """Return the reference page."""
    parts = [NOTE, OPENING, "## The file\n", fields_of(Scenario)]
    for title, opening, tables in SECTIONS:
        parts.append(f"## {title}\n")
        if opening:
            parts.append(opening)
        for model in tables:
            parts += _table_of(model)
    parts += [
        "## What is always checked\n",
        "\n".join(f"- {line}" for line in INVARIANTS) + "\n",
        "## Venue faults\n",
        _meanings(steps.FaultKind),
        "## Nonsense\n",
        'What the scripted strategy returns with `do = "nonsense"`, by `what`.\n',
        _meanings(script.Nonsense),
    ]
    return "\n".join(parts)


def _table_of(model: type[BaseModel]) -> list[str]:
    first = " ".join((inspect.getdoc(model) or "").replace("``", "`").split())
    return [f"### `{TITLES[model]}`\n", f"{first}\n", fields_of(model)]


def _meanings(kinds: Iterable[Any]) -> str:
    return table(("value", "meaning"), ((f"`{kind.value}`", kind.meaning) for kind in kinds))


def fields_of(model: type[BaseModel]) -> str:
    """Return the table of a model's keys."""
    rows = [
        (
            f"`{field.alias or name}`",
            kind_of(_with_metadata(field)),
            default_of(field),
            field.description or "",
        )
        for name, field in model.model_fields.items()
    ]
    return table(("key", "value", "default", "meaning"), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    text = (" | ".join(cell.replace("|", "\\|") for cell in cells) for cells in lines)
    return "\n".join(f"| {line} |" for line in text) + "\n"


def _with_metadata(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    for extra in field.metadata:
        annotation = Annotated[annotation, extra]
    return annotation


def kind_of(annotation: Any) -> str:
    """Return what a value of this type is, in the reader's words."""
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        validators = [e.func for e in extras if isinstance(e, BeforeValidator)]
        if {base.parse_offset, base.parse_signed_offset} & set(validators):
            return "time"
        return "price or [price, bars]" if validators == [market.close_of] else kind_of(inner)
    origin, members = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        kinds = [kind_of(member) for member in members if member is not types.NoneType]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return ", ".join(f"`{member}`" for member in members)
    if origin in {tuple, list}:
        if origin is tuple and members[-1] is not Ellipsis:
            return f"[{', '.join(kind_of(member) for member in members)}]"
        return f"list of {kind_of(members[0])}"
    if origin is dict:
        return f"table of {kind_of(members[1])}" if members[1] is not Any else "table"
    return _plain_kind(annotation)


def _plain_kind(annotation: Any) -> str:
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return f"table `{TITLES[annotation]}`" if annotation in TITLES else "table"
        if issubclass(annotation, Enum):
            values = [f"`{member.value}`" for member in annotation]
            return ", ".join(values) if len(values) <= 8 else f"one of {len(values)} names"
        if issubclass(annotation, Decimal):
            return "exact number"
        return {bool: "true, false", int: "whole number", float: "number", str: "text"}.get(
            annotation, "text"
        )
    return "text"


def default_of(field: FieldInfo) -> str:
    """Return a key's default as it would be written, empty where there is none."""
    if field.is_required():
        return "*needed*"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.isoformat() if hasattr(value, 'isoformat') else value}`"
