"""The pages of single tables: codes, guards, exit codes, bounds, metrics."""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from functools import cache
from pathlib import Path

from actors.risk import ALWAYS, GUARDS, SPECS
from actors.risk.defaults import LIVE_NEEDS, trade_defaults
from making.parts import meaning, page, table
from messages import ReasonCode
from tidegate import reference
from tidegate.control.metrics import METRICS
from tidegate.exits import Exit

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "brokers", "feeds", "state", "strategies", "tidegate")
LIMIT_FILES = (
    ("The runtime", "actors/runtime/limits.py"),
    ("The way of an order", "state/limits.py"),
    ("The journal", "state/journal/limits.py"),
    ("The projections", "state/projections/limits.py"),
    ("The control plane", "tidegate/control/limits.py"),
)

CODES_IN_USE = {
    Exit.DONE: "a command that did what was asked",
    Exit.WANTING: "`verify` found a difference, a scenario failed, `check` found what would fail, "
    "a session's journal cannot be read, no daemon runs, its session is not live, or it refused a "
    "command",
    Exit.USAGE: "a wrong option, an unknown key, a bad file, one bad row too many, "
    "or something that this version does not do",
    Exit.HALTED: "a limit whose action is `halt` was passed: held until `resume --unlatch`",
    Exit.KILLED: "a kill is in force: held until `resume --unlatch`",
    Exit.REFUSED: "a live session was not rehearsed, not approved, or the check before it fails; "
    "another daemon runs for the account, or another process the session; the venue "
    "does not answer, or holds what the books cannot explain; the newest session was left with "
    "orders that are not over (`trade --new`), or cannot be gone on with (`trade --resume`); "
    "Python runs without assertions (`-O`), or a package of ours is imported from somewhere else",
    Exit.FAULT: "an actor that the session cannot do without failed too often, the books do not "
    "balance, a file of a session cannot be written (a full disk), or there is a bug",
    Exit.INTERRUPTED: "Ctrl-C, or SIGTERM to `trade`; a session's files are written first",
}


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
