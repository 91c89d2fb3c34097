"""
Sessions to be killed: what each does, its venue, and what must be true in the end.

A session trades on the virtual exchange, which is a process of its own with its own truth log. Each
process is a fork of this one, which has imported everything and started nothing. To be imported
before anything of the product is: it puts a hook where the crash points are.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Final

HERE = Path(__file__).resolve().parent
sys.path[:0] = [
    str(HERE.parents[1]),
    str(HERE),
    *(str(HERE.parent / name) for name in ("runtime", "strategies")),
]

from state import crashpoints  # noqa: E402

Hook = Callable[[str], object]


def nothing(_name: str) -> None:
    """Pass a point."""


_hook: list[Hook] = [nothing]


def _passing(name: str) -> None:
    _hook[0](name)


# Before anybody imports it: a fork is told where to die, not a process that starts anew.
vars(crashpoints)["passing"] = _passing

import anyio  # noqa: E402
import anyio.lowlevel  # noqa: E402
import structlog  # noqa: E402
from children import LIMIT_S, Child, End, fork  # noqa: E402
from safeguards import SAFEGUARDS  # noqa: E402
from tortured_work import Workload  # noqa: E402
from under_a_hold import opened_while_held  # noqa: E402
from venues import Dialect, dialect_of  # noqa: E402

from actors.commands import Request  # noqa: E402
from actors.inbox import Inbox  # noqa: E402
from actors.resuming import left_in  # noqa: E402
from actors.session import resume_paper, run_paper  # noqa: E402
from actors.spec import SessionSpec  # noqa: E402
from messages import CommandVerb, KillReport, Reconciled, SessionEnded  # noqa: E402
from scenarios.exchange.truth import compare, fold_journal  # noqa: E402
from state.facts import Facts  # noqa: E402
from state.journal import durable  # noqa: E402
from state.journal.reader import read_journal  # noqa: E402
from state.lease import LeaseHeld  # noqa: E402
from state.money import use_exact_context  # noqa: E402
from state.projections import process, worker  # noqa: E402
from state.register import KILL_HOLD, register_of  # noqa: E402

SESSION = "paper-crash-abc"
REFUSED: Final = 5
"""The exit code of a process that may not run this session now."""

OVER: Final = 10
"""That of a process that finds the session at its end; none of the product has it."""

REMOVALS_MAX = 250
"""Times that a folder is tried to be removed, 20 ms apart."""

KILL = Request(verb=CommandVerb.KILL, by="drill", flatten=True)
STOP = Request(verb=CommandVerb.STOP_NEW_ORDERS, by="drill")

# Into the file of each process's last words.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def ready(venue: str) -> Dialect:
    """Return the dialect of a venue, with all imported that forks need, and need not copy."""
    if venue not in _ready:
        _ready[venue] = dialect_of(venue)
        anyio.run(anyio.lowlevel.checkpoint)  # what the first event loop imports
        gc.freeze()
    return _ready[venue]


_ready: dict[str, Dialect] = {}


# -- processes


class Writer:
    """
    The process that writes a session's projections, as a fork that the session finds started.

    A new interpreter for each would take as long as the session itself.
    """

    def __init__(self, words: Path) -> None:
        """Start it; it goes on after the session's death, to the end of what it was given."""
        reads, given = os.pipe()
        answered, answers = os.pipe()

        def work(_tell: object) -> int:
            os.close(given)
            os.close(answered)
            sys.stdin, sys.stdout = os.fdopen(reads), os.fdopen(answers, "w")
            return worker.main()

        self._child = fork(work, words, bound=False)
        self._code: int | None = None
        os.close(reads)
        os.close(answers)
        self.stdin = os.fdopen(given, "wb")
        self.stdout = os.fdopen(answered, "rb")

    @property
    def pid(self) -> int:
        """Return whose it is."""
        return self._child.pid

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code; one that is asked for with a ``timeout`` may not have ended yet."""
        if self._code is None:
            if timeout is not None and not self._child.has_ended(timeout):
                raise subprocess.TimeoutExpired("a forked writer", timeout)
            self._code = self._child.end().code
        return self._code

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._child.kill()


Maker = Callable[[Callable[[], object], Inbox], Hook]
"""Makes a process's hook, of what says a word to the process that waits, and its own inbox."""


@dataclass
class Run:
    """One session from its first process to its last."""

    dialect: Dialect
    workload: Workload
    folder: Path
    address: str
    without: str = ""
    limit_s: float = LIMIT_S
    starts: int = 0
    deaths: int = 0
    resumes: int = 0
    """Processes that went on with what an earlier one had left."""
    reached: int = 0
    """Moments that have come at which something was to happen."""
    over: bool = False
    """Whether the newest process to end has found the session at its end."""
    killed_after: int | None = None
    """How many entries the journal had when a process died with a kill in the register."""

    def spec(self) -> SessionSpec:
        """Return the session."""
        plain = self.workload.make(self.dialect.listed)
        return replace(
            self.dialect.session(plain, self.address),
            mode="paper",
            runs_dir=self.folder / "runs",
            session_id=SESSION,
        )

    @property
    def out(self) -> Path:
        """Return the session's folder."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION

    def live(self, make: Maker) -> Child:
        """Start the session, or go on with it, in a process with the hook that ``make`` makes."""
        self.starts += 1
        began = (self.out / "manifest.json").exists()
        self.resumes += began

        def work(tell: Callable[[], object]) -> int:
            inbox = Inbox()
            _hook[0] = make(tell, inbox)
            if self.without:
                SAFEGUARDS[self.without]()
            durable.CHECKPOINT_PAGES = durable.CHECKPOINT_PAGES_LATEST = 8  # often: it is short
            use_exact_context()
            writer = Writer(self.folder / f"process-{self.starts}.writer.stderr")
            vars(process)["subprocess"] = SimpleNamespace(
                PIPE=None,
                Popen=lambda *_, **__: writer,
                TimeoutExpired=subprocess.TimeoutExpired,
            )
            return anyio.run(self._session, began, inbox)

        return fork(work, self.folder / f"process-{self.starts}.stderr")

    async def _session(self, began: bool, inbox: Inbox) -> int:
        spec = self.spec()
        told: list[bool] = []

        def progressed(bars: int) -> None:
            kill_at = self.workload.kill_at
            # Who was told that a kill is latched does not ask for it again.
            if self.without == "latch" and self.deaths:
                return
            if kill_at is not None and bars >= kill_at and not told:
                told.append(True)
                inbox.submit(KILL)

        try:
            if not began:
                result = await run_paper(spec, speed=0, inbox=inbox, on_progress=progressed)
            else:
                left = left_in(self.out, spec)
                if left.ended is not None:
                    return OVER
                result = await resume_paper(
                    spec, left, speed=0, inbox=inbox, on_progress=progressed
                )
        except LeaseHeld:
            return REFUSED
        return 0 if result.exit_code in (0, 4) else result.exit_code

    def wait(self, child: Child) -> End:
        """Wait for a process, and count it if it was killed."""
        end = child.end(self.limit_s)
        self.deaths += end.killed
        if end.killed:
            self._look_at_register()
            self.dialect.move(self.workload.make(self.dialect.listed), self.address)
        self.over = end.code == OVER
        return End(0) if self.over else end

    def _look_at_register(self) -> None:
        """Remember how far the journal had come when a dead process had left a latched kill."""
        held = register_of(self.folder / "runs", "paper", "main").load()
        if self.killed_after is None and any(hold.hold_id == KILL_HOLD for hold in held):
            self.killed_after = sum(1 for _ in read_journal(self.out / "journal.sqlite"))

    def check(self) -> list[str]:
        """Return everything in which the session and the venue do not agree."""
        use_exact_context()
        spec = self.workload.make(self.dialect.listed)
        found: list[str] = []
        journal = self.out / "journal.sqlite"
        messages = [entry.message for entry in read_journal(journal)]
        facts = Facts(
            spec.instruments,
            currency=spec.currency,
            deposit=spec.cash,
            lot_methods={each.name: each.lot_method for each in spec.strategies},
        ).fold_all(read_journal(journal))
        found += [f"unanswered: {order.request.order_id}" for order in facts.unanswered()]
        truth = self.dialect.truth(self.folder)
        compared = compare(truth, fold_journal(messages, spec.cash))
        found += [f"lost: {what}" for what in compared.lost]
        found += [f"twice: {what}" for what in compared.duplicated]
        found += [f"unresolved: {what}" for what in compared.unresolved]
        closing = [m for m in messages if isinstance(m, Reconciled) and m.occasion == "close"]
        found += [f"at the end: {what}" for each in closing[-1:] for what in each.differences]
        last = messages[-1] if messages else None
        if not isinstance(last, SessionEnded):
            found.append(f"the journal ends with {type(last).__name__}")
        if "recovering" in facts.holds:
            found.append("it is still recovering")
        opened = opened_while_held(messages, self.killed_after)
        found += [f"opened while held: {name}" for name in opened]
        # A kill that comes when no market is left cannot flatten, and says so.
        confirmed = any(isinstance(m, KillReport) and m.confirmed for m in messages)
        if self.workload.kill_at is not None or confirmed:
            found += [f"not flat: {symbol}" for symbol, held in truth.held.items() if held]
            found += [f"still open: {name}" for name in truth.live]
        return found


@contextmanager
def new_folder() -> Iterator[Path]:
    """Make a folder, and remove it once nobody writes into it any more."""
    folder = Path(tempfile.mkdtemp(prefix="tortured-"))
    try:
        yield folder
    finally:
        # The process that writes the projections of a dead session needs a moment to notice.
        for _ in range(REMOVALS_MAX):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.02)
