"""
Keep the world out: fail where code reaches for time, chance or tasks past their one module.

The same session must run twice with the same journal, and a kill must hold whatever runs. That
only works while nobody reads the wall clock, sleeps, draws random numbers, starts tasks that
nobody watches, swallows errors or queues without bound. This lint reads the syntax trees of the
product's packages; names are followed through imports and aliases, and a mere reference
(``clock=time.monotonic``) counts as use.

Two ways past it, both with a reason: an entry in ``ALLOWED``, for the one module whose business
it is, or ``# seam: <reason>`` on the line itself. One that excuses nothing is a finding too.

    python .ci/seams.py [FILE ...]      all packages by default; exit 1 on findings
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "actors",
    "brokers",
    "feeds",
    "messages",
    "scenarios",
    "state",
    "strategies",
    "tidegate",
)

ALLOWED: dict[str, dict[str, str]] = {
    "actors/runtime/clock.py": {
        "clock": "the live clock is the one reader of the machine's time",
        "timer": "the live clock is the one sleeper",
    },
    "actors/runtime/entropy.py": {
        "chance": "a live session's id needs entropy; everything else is seeded from it",
    },
    "feeds/synthetic.py": {
        "chance": "the synthetic market draws from random.Random(seed), and from nothing else",
    },
}

INSTEAD = {
    "clock": "take the time from the Clock that is handed in",
    "timer": "sleep and time out on the Clock that is handed in",
    "chance": "draw from the session's seed",
    "task": "start it in a cell or a task group that watches it",
    "wait_for": "use a deadline on the Clock; wait_for can lose what it waited for",
    "swallow": "handle it, count it, or let it reach the supervisor",
    "queue": "give it a bound from limits.py",
    "print": "log it; stdout belongs to the command line",
    "sum": "use math.fsum or exact running sums; float sum() differs between Python versions",
    "marker": "remove it, or give a reason",
}

REFERENCES = {
    "clock": {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "time.ctime",
        "time.gmtime",
        "time.localtime",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.time",
        "time.time_ns",
        "anyio.current_time",
    },
    "timer": {
        "anyio.fail_after",
        "anyio.move_on_after",
        "anyio.sleep",
        "anyio.sleep_until",
        "asyncio.sleep",
        "asyncio.timeout",
        "asyncio.timeout_at",
        "threading.Timer",
        "time.sleep",
    },
    "chance": {"os.getrandom", "os.urandom", "uuid.uuid1", "uuid.uuid4"},
    "task": {"asyncio.create_task", "asyncio.ensure_future"},
    "wait_for": {"asyncio.wait_for"},
}
CHANCE_MODULES = ("numpy.random", "random", "secrets")
LOOP_TIMERS = {"call_at", "call_later", "time"}
QUEUES = {
    "asyncio.LifoQueue",
    "asyncio.PriorityQueue",
    "asyncio.Queue",
    "multiprocessing.Queue",
    "queue.LifoQueue",
    "queue.PriorityQueue",
    "queue.Queue",
}
NEVER_BOUNDED = {"multiprocessing.SimpleQueue", "queue.SimpleQueue"}
WIDE_ERRORS = {"BaseException", "Exception"}
MARKER = re.compile(r"#\s*seam:(?P<reason>.*)")


@dataclass(frozen=True, order=True)
class Finding:
    """One place where the world gets in."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}; {INSTEAD[self.rule]}"


class Reader(ast.NodeVisitor):
    """Collect the findings of one module, before anything excuses them."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.found: list[tuple[ast.expr | ast.ExceptHandler, str, str]] = []
        self.names = dict(imported_names(tree))
        self.takes_from_the_left = any(
            isinstance(node, ast.Attribute) and node.attr == "popleft" for node in ast.walk(tree)
        )
        self.visit(tree)

    def add(self, node: ast.expr | ast.ExceptHandler, rule: str, what: str) -> None:
        """Note one finding at ``node``."""
        self.found.append((node, rule, what))

    def dotted(self, node: ast.expr) -> str:
        """Return the full name of what ``node`` refers to, or "" where that is not known."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def refer(self, node: ast.Name | ast.Attribute) -> None:
        """Judge a reference by its full name."""
        name = self.dotted(node)
        for rule, names in REFERENCES.items():
            if name in names:
                self.add(node, rule, name)
        if name.startswith(tuple(f"{module}." for module in CHANCE_MODULES)):
            self.add(node, "chance", name)

    def visit_Name(self, node: ast.Name) -> None:
        """Judge a name: ``sleep`` after ``from asyncio import sleep``."""
        if isinstance(node.ctx, ast.Load):
            self.refer(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Judge an attribute: ``time.time``, ``loop.call_later``, ``loop.create_task``."""
        found = len(self.found)
        self.refer(node)
        if node.attr in LOOP_TIMERS and is_event_loop(node.value):
            self.add(node, "timer", f"{node.attr} of the event loop")
        if node.attr == "create_task" and is_event_loop(node.value):
            self.add(node, "task", "create_task of the event loop")
        if len(self.found) == found:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Judge a call: queues, prints and sums."""
        name = self.dotted(node.func)
        if name in NEVER_BOUNDED or (name in QUEUES and not is_bounded(node, "maxsize")):
            self.add(node, "queue", f"{name} without a bound")
        if name == "collections.deque" and self.takes_from_the_left and not has_maxlen(node):
            self.add(node, "queue", "a deque that is taken from the left, without a bound")
        if name == "anyio.create_memory_object_stream" and is_endless(node):
            self.add(node, "queue", f"{name} without a bound")
        if name == "contextlib.suppress" and any(is_wide(argument) for argument in node.args):
            self.add(node, "swallow", "suppress of every exception")
        if isinstance(node.func, ast.Name) and node.func.id not in self.names:
            if node.func.id == "print" and not self.path.startswith("tidegate/"):
                self.add(node, "print", "print")
            if node.func.id == "sum" and self.path.startswith("strategies/") and not counts(node):
                self.add(node, "sum", "sum")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Judge a handler: nothing may vanish in it."""
        raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        catches_all = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id == "BaseException"
        )
        if all(is_nothing(statement) for statement in node.body):
            self.add(node, "swallow", "a handler that does nothing")
        elif catches_all and not raises:
            self.add(node, "swallow", "everything is caught and not raised again")
        self.generic_visit(node)


def imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield every name that an import binds, with the full name of what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
                else:
                    root = alias.name.partition(".")[0]
                    yield root, root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def is_event_loop(node: ast.expr) -> bool:
    """Tell whether an expression looks like an event loop: ``loop``, ``get_running_loop()``."""
    if isinstance(node, ast.Call):
        return is_event_loop(node.func)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return str(name).endswith("loop")


def is_bounded(call: ast.Call, keyword: str) -> bool:
    """Tell whether a queue is made with a size that is not the constant 0."""
    sizes = [*call.args[:1], *(word.value for word in call.keywords if word.arg == keyword)]
    return any(not (isinstance(size, ast.Constant) and size.value == 0) for size in sizes)


def has_maxlen(call: ast.Call) -> bool:
    """Tell whether a deque is made with a length that is not None."""
    lengths = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "maxlen")]
    return any(
        not (isinstance(length, ast.Constant) and length.value is None) for length in lengths
    )


def is_endless(call: ast.Call) -> bool:
    """Tell whether a memory stream is made with an infinite buffer."""
    sizes = [*call.args[:1], *(word.value for word in call.keywords)]
    return any("inf" in ast.unparse(size) for size in sizes)


def is_wide(node: ast.expr) -> bool:
    """Tell whether an exception class stands for all of them."""
    return isinstance(node, ast.Name) and node.id in WIDE_ERRORS


def is_nothing(statement: ast.stmt) -> bool:
    """Tell whether a statement does nothing: ``pass``, ``...`` or a mere string."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def counts(call: ast.Call) -> bool:
    """Tell whether a sum adds whole numbers: ``sum(1 for ... )``."""
    return (
        len(call.args) == 1
        and isinstance(call.args[0], ast.GeneratorExp)
        and isinstance(call.args[0].elt, ast.Constant)
        and isinstance(call.args[0].elt.value, int)
    )


def markers(source: str) -> dict[int, str]:
    """Return the reason given by each ``# seam:`` comment, by line."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (match := MARKER.match(token.string)):
            found[token.start[0]] = match["reason"].strip()
    return found


def read(source: str, path: str) -> list[Finding]:
    """Return the findings of one module, ``path`` being its place below the root."""
    allowed = dict(ALLOWED.get(path, {}))
    reasons = markers(source)
    used_lines: set[int] = set()
    used_rules: set[str] = set()
    findings = []
    for node, rule, what in Reader(path, ast.parse(source, filename=path)).found:
        last = node.lineno if isinstance(node, ast.ExceptHandler) else node.end_lineno
        excuses = [
            line for line in range(node.lineno, (last or node.lineno) + 1) if line in reasons
        ]
        if rule in allowed:
            used_rules.add(rule)
        elif excuses and all(reasons[line] for line in excuses):
            used_lines.update(excuses)
        else:
            findings.append(Finding(path, node.lineno, rule, what))
    for line, reason in reasons.items():
        if not reason:
            findings.append(Finding(path, line, "marker", "a marker without a reason"))
        elif line not in used_lines:
            findings.append(Finding(path, line, "marker", "a marker that excuses nothing"))
    findings += [
        Finding(path, 1, "marker", f"ALLOWED grants {rule!r}, which is not used")
        for rule in sorted(allowed.keys() - used_rules)
    ]
    return sorted(findings)


def sources(root: Path) -> list[Path]:
    """Return every module of the product, tests beside scenarios left out."""
    return [
        path
        for package in PACKAGES
        for path in sorted(Path(root, package).rglob("*.py"))
        if not path.name.startswith("test_")
    ]


def main(arguments: list[str]) -> int:
    """Print the findings of ``arguments``, or of the whole product; 1 when there are any."""
    paths = [Path(argument).resolve() for argument in arguments] or sources(ROOT)
    findings = [
        finding
        for path in paths
        for finding in read(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]
    for finding in findings:
        print(finding)
    print(f"seams: {len(paths)} modules, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
