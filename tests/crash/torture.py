"""
Kill sessions at every named moment, let them go on, and compare what they believe with the venue.

    python tests/crash/torture.py [--workload NAME ...] [--short] [--random N] [--seed N] [--json]
                                  [--without SAFEGUARD]

A session trades on the virtual exchange, which is a process of its own with its own truth log. It
dies by SIGKILL at one passing of one crash point (see ``state.crashpoints``), or after a random
time; the next process goes on with it, until one comes to its end. Then the truth log and the
journal must agree: nothing lost, nothing twice, nothing unresolved.

Without ``--short`` every passing of every point is tried: a workload is run once before, to count
them. ``--short`` tries the first, the second and the last passing of each point, and twenty more
by ``--seed``. ``--random N`` kills N sessions, each after a time of its own choosing, some of them
more than once. ``--without`` switches a safeguard off (see ``safeguards``): then something has to
fail. What fails is printed with the command that shows it again, and the exit code is 1.

Each process is a fork of this one, which has imported everything and started nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [
    str(HERE.parents[1]),
    str(HERE),
    *(str(HERE.parent / name) for name in ("runtime", "strategies")),
]

from state import crashpoints  # noqa: E402


def _no_hook(_name: str) -> None:
    return None


_hook: list[Callable[[str], object]] = [_no_hook]


def _passing(name: str) -> None:
    _hook[0](name)


# Before anybody imports it: a fork is told where to die, not a process that starts anew.
vars(crashpoints)["passing"] = _passing

import anyio  # noqa: E402
import structlog  # noqa: E402
from ladder_makers import HYPE, ladder_spec, wander  # noqa: E402
from safeguards import SAFEGUARDS  # noqa: E402
from session_world import BTC, Script, Scripted, instruments_of, make_spec, walk  # noqa: E402
from under_a_kill import opened_under_a_kill  # noqa: E402

from actors.commands import Request  # noqa: E402
from actors.execution import DoubtPlan  # noqa: E402
from actors.inbox import Inbox  # noqa: E402
from actors.resuming import left_in  # noqa: E402
from actors.runtime.clock import sleep_s, wall_ms  # noqa: E402
from actors.session import resume_paper, run_paper  # noqa: E402
from actors.spec import SessionSpec  # noqa: E402
from brokers.contract import SessionBroker  # noqa: E402
from brokers.matching import MatchingEngine  # noqa: E402
from brokers.virtual import broker as virtual  # noqa: E402
from brokers.virtual.address import MachineClock, VenueAddress  # noqa: E402
from brokers.virtual.broker import VirtualBroker  # noqa: E402
from feeds.memory import MemoryFeed  # noqa: E402
from messages import Bar, CommandVerb, Reconciled, SessionEnded, Side  # noqa: E402
from scenarios.exchange.facts import Terms  # noqa: E402
from scenarios.exchange.log import read_truth  # noqa: E402
from scenarios.exchange.server import Exchange  # noqa: E402
from scenarios.exchange.truth import compare, fold_journal, fold_truth  # noqa: E402
from state.facts import Facts, FactsDiffer  # noqa: E402
from state.journal import JournalError, durable  # noqa: E402
from state.journal.reader import read_journal  # noqa: E402
from state.money import use_exact_context  # noqa: E402

KEY = "a key for tests only"
SESSION = "paper-crash-abc"
SEEDED = 20
SURE = 1
"""The passing of each point that every run comes to: later ones depend on how batches fall."""

REMOVALS_MAX = 250
"""Times that a folder is tried to be removed, 20 ms apart."""

STARTS_MAX = 12
"""Processes that one session may need; more of them would not be coming to an end."""

TIMEOUT_S = 10.0
"""No call is lost here, so none is given up: a busy machine is not what is tried."""

RECV_WINDOW_MS = 250
DOUBTS = DoubtPlan(
    receive_window_ms=RECV_WINDOW_MS, clock_skew_ms=0, margin_ms=0, pause_ms=50, pause_ms_max=100
)
"""Short, so that a doubt after a restart is over soon: the venue and we have one clock."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What a session does: how it is made, and after how many bars it is killed, flat."""

    name: str
    make: Callable[[], SessionSpec]
    kill_at: int | None = None


def entries() -> SessionSpec:
    """Return a session that buys or sells at every bar."""
    script = Script()

    def decide(strategy: Scripted, bar: Bar) -> Any:
        side = Side.SELL if strategy.desk.position(BTC) else Side.BUY
        return [strategy.desk.open(bar.symbol, side, Decimal(1))]

    script.on_bar = decide
    feed = MemoryFeed({BTC: walk(BTC, 8, 5)})
    return make_spec(feed, script.spec(), instruments=instruments_of((BTC,), Decimal(10)))


def ladder() -> SessionSpec:
    """Return a DCA ladder in a market that falls first, whose orders are filled in parts."""
    spec = ladder_spec(
        "dual_dca",
        quantity=Decimal(5),
        rungs=3,
        step_bps=Decimal(40),
        take_profit_bps=Decimal(60),
        dca_order_type="limit",
        resting_rungs=2,
        backoff_base_s=1,
    )
    feed = MemoryFeed({HYPE: wander(24, 7, dip=9)})
    return make_spec(
        feed,
        spec,
        instruments=instruments_of((HYPE,), Decimal(5)),
        participation=Decimal("0.3"),
    )


vars(virtual)["_SKEW_MS"] = 0  # one clock, as above

WORKLOADS = {
    each.name: each
    for each in (
        Workload("entries", entries),
        Workload("ladder", ladder),
        Workload("flatten", ladder, kill_at=9),
    )
}


ABLATED = {each.name: each for each in (Workload("stopped", entries, kill_at=4),)}
"""For ``--without`` only."""


# -- processes


def _fork(work: Callable[[], int]) -> int:
    """Run ``work`` in a process of its own, whose exit code it returns; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        code = work()
    except BaseException:  # noqa: BLE001 - of the fork: nothing of it may go on here
        traceback.print_exc()
        code = 70
    os._exit(code)


@contextmanager
def exchange(path: Path, spec: SessionSpec) -> Iterator[str]:
    """Serve a venue for ``spec`` from a process of its own; gives its address."""
    terms = Terms(
        dict(spec.instruments),
        spec.currency,
        spec.cash,
        "venue",
        position_mode=spec.engine.position_mode,
        participation=spec.engine.participation,
    )
    reading, writing = os.pipe()
    ending, end = os.pipe()

    async def serve() -> None:
        venue = Exchange(terms, path, KEY)
        host, port = await venue.start()
        os.write(writing, f"http://{host}:{port}\n".encode())
        await anyio.wait_readable(ending)
        await venue.stop()

    def work() -> int:
        os.close(end)
        os.close(reading)
        anyio.run(serve)
        return 0

    pid = _fork(work)
    os.close(writing)
    os.close(ending)
    try:
        with os.fdopen(reading) as told:
            yield told.readline().strip()
    finally:
        os.close(end)
        os.waitpid(pid, 0)


@dataclass
class Run:
    """One session from its first process to its last."""

    workload: Workload
    folder: Path
    url: str
    counted: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    without: str = ""

    def spec(self) -> SessionSpec:
        """Return the session."""

        def broker(engine: MatchingEngine) -> SessionBroker:
            address = VenueAddress(self.url, KEY, TIMEOUT_S, recv_window_ms=RECV_WINDOW_MS)
            return VirtualBroker(address, MachineClock(wall_ms, sleep_s), source="rehearsal")

        made = self.workload.make()
        runs = self.folder / "runs"
        return replace(
            made,
            mode="paper",
            runs_dir=runs,
            session_id=SESSION,
            broker=broker,
            doubts=DOUBTS,
        )

    @property
    def out(self) -> Path:
        """Return the session's folder."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION

    def live(self, hook: Callable[[str], object]) -> int:
        """Start the session, or go on with it; return its process's id."""

        def work() -> int:
            _hook[0] = hook
            if self.without:
                SAFEGUARDS[self.without]()
            durable.CHECKPOINT_PAGES = durable.CHECKPOINT_PAGES_LATEST = 8  # often: it is short
            use_exact_context()
            spec = self.spec()
            inbox = Inbox()

            def progressed(bars: int) -> None:
                kill_at = self.workload.kill_at
                # Who was told that a kill is latched does not ask for it again.
                if self.without == "latch" and self.deaths:
                    return
                if kill_at is not None and bars >= kill_at and not told:
                    told.append(True)
                    inbox.submit(Request(verb=CommandVerb.KILL, by="drill", flatten=True))

            told: list[bool] = []

            async def session() -> int:
                if not (self.out / "manifest.json").exists():
                    shutil.rmtree(self.out, ignore_errors=True)
                    result = await run_paper(spec, speed=0, inbox=inbox, on_progress=progressed)
                else:
                    left = left_in(self.out, spec)
                    if left.ended is not None:
                        return 0
                    result = await resume_paper(
                        spec, left, speed=0, inbox=inbox, on_progress=progressed
                    )
                return 0 if result.exit_code in (0, 4) else result.exit_code

            return anyio.run(session)

        return _fork(work)

    def check(self) -> list[str]:
        """Return everything in which the session and the venue do not agree."""
        use_exact_context()
        spec = self.workload.make()
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
        truth = fold_truth(read_truth(self.folder / "truth"))
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
        found += [f"opened under a kill: {name}" for name in opened_under_a_kill(messages)]
        if self.workload.kill_at is not None:
            found += [f"not flat: {symbol}" for symbol, held in truth.held.items() if held]
            found += [f"still open: {name}" for name in truth.live]
        return found


# -- campaigns


def at(point: str, number: int) -> Callable[[str], object]:
    """Return a hook that kills its process at one passing of a point."""
    seen = [0]

    def hook(name: str) -> None:
        if name == point:
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def until_ended(run: Run, first: Callable[[str], object]) -> str:
    """Let processes go on until one comes to its end; return what went wrong, if anything."""
    hook = first
    for _ in range(STARTS_MAX):
        _, status = os.waitpid(run.live(hook), 0)
        if os.WIFSIGNALED(status):
            run.deaths += 1
            hook = _no_hook
            continue
        code = os.waitstatus_to_exitcode(status)
        if not code:
            return ""
        return f"a process ended with {code}"
    return "it does not come to an end"


def attempt(
    workload: Workload, go: Callable[[Run], str], *, keep: Path | None = None, without: str = ""
) -> tuple[list[str], Run]:
    """Run one session by ``go`` in a new folder; return what is wrong with it."""
    with new_folder() as folder:
        with exchange(folder / "truth", workload.make()) as url:
            run = Run(workload, folder, url, without=without)
            wrong = go(run)
        try:
            found = [*([wrong] if wrong else []), *run.check()]
        except (FactsDiffer, JournalError) as error:
            found = [f"the journal contradicts itself: {error}"]
        if found and keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        return found, run


@contextmanager
def new_folder() -> Iterator[Path]:
    """Make a folder, and remove it once nobody writes into it any more."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        # The process that writes the projections of a dead session needs a moment to notice.
        for _ in range(REMOVALS_MAX):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.02)


def counted(workload: Workload) -> Mapping[str, int]:
    """Return how often each point is passed when nothing happens."""
    with tempfile.NamedTemporaryFile() as file:

        def count(name: str) -> None:
            os.write(descriptor, f"{name}\n".encode())

        descriptor = os.open(file.name, os.O_WRONLY | os.O_APPEND)
        try:
            found, _ = attempt(workload, lambda run: until_ended(run, count))
        finally:
            os.close(descriptor)
        if found:
            raise SystemExit(f"{workload.name}, undisturbed: {found}")
        return crashpoints.passings(Path(file.name))


def chosen(passings: Mapping[str, int], seed: int, *, short: bool) -> list[tuple[str, int]]:
    """Return the (point, passing) pairs to try."""
    every = [(p, n) for p in crashpoints.POINTS for n in range(1, passings.get(p, 0) + 1)]
    if not short:
        return every
    edges = {
        (p, n) for p in crashpoints.POINTS for n in (1, 2, passings.get(p, 0)) if (p, n) in every
    }
    rest = [pair for pair in every if pair not in edges]
    more = Random(seed).sample(rest, min(SEEDED, len(rest)))
    return [pair for pair in every if pair in edges or pair in more]


def at_random(run: Run, chance: Random) -> str:
    """Kill the processes of a session after random times, at most thrice."""
    for kills_left in range(3, -1, -1):
        pid = run.live(_no_hook)
        if kills_left:
            time.sleep(chance.uniform(0.0, 0.9))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            run.deaths += 1
            if chance.random() < 0.5:
                break
            continue
        code = os.waitstatus_to_exitcode(status)
        return "" if not code else f"a process ended with {code}"
    return until_ended(run, _no_hook)


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--workload", action="append", choices=[*WORKLOADS, *ABLATED])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--at", help="only this one: POINT:N")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where folders of failures are kept")
    parser.add_argument("--without", choices=sorted(SAFEGUARDS), default="")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    tried: Counter[str] = Counter()
    failures: list[str] = []
    began = time.monotonic()

    def note(what: str, again: str, found: list[str], run: Run) -> None:
        tried[what] += 1
        tried["deaths"] += run.deaths
        if found:
            failures.append(f"{again}\n    " + "\n    ".join(found))
            if not asked.json:
                print(failures[-1], flush=True)

    for name in asked.workload or WORKLOADS:
        workload = {**WORKLOADS, **ABLATED}[name]
        if not asked.random:
            pairs = [asked.at.partition(":")[::2]] if asked.at else []
            wanted = [(point, int(number or 1)) for point, number in pairs] or chosen(
                counted(workload), asked.seed, short=asked.short
            )
            for point, number in wanted:
                hook = at(point, number)
                keep = None if asked.keep is None else asked.keep / f"{name}-{point}-{number}"
                go = partial(until_ended, first=hook)
                found, run = attempt(workload, go, keep=keep, without=asked.without)
                if not run.deaths and number > SURE:
                    tried["not passed so often"] += 1  # one run is not as long as the other
                elif not run.deaths:
                    found.append("nobody died")
                note(name, f"--workload {name} --at {point}:{number}", found, run)
        for number in range(asked.random):
            chance = Random(f"{asked.seed}:{name}:{number}")
            found, run = attempt(workload, partial(at_random, chance=chance))
            note(f"{name}, at random", f"--workload {name} --random (number {number})", found, run)
    took_s = round(time.monotonic() - began, 1)
    report = {"tried": dict(tried), "failures": failures, "seed": asked.seed, "took_s": took_s}
    print(json.dumps(report, indent=None if asked.json else 2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
