"""
Play sessions through ccxt at the virtual exchange while everything fails, and check what is left.

    python tests/campaign/campaign.py [--runs N] [--seed N] [--jobs N] [--run N ...] [--json]
                                      [--keep DIR] [--for-s N] [--limit-s N] [--without SAFEGUARD]

Each run is a whole session: the real actors, journal and ccxt client, with TLS or without, against
the virtual binanceusdm; with the faults, the operator's commands and the death of the process that
its number and the seed give. Time costs nothing (see ``machine``). Every fifth run has one kind of
fault, one kind after the other, which has to strike; the others have several. Some sessions are
given their bars; those with a fault of bars, and some others, have them from the exchange, through
ccxt's feed, polled or streamed. In some of them funding is settled.

After each run (see ``checks``): no order was sent twice; the exchange's log and the journal agree
on every order, fill, position and payment, and so does the ledger; what was told of the market is
closed, once, in order, right and whole; exposure was never above its limits, with all that rests or
is in doubt counted as filled; no doubt outlasted its deadline unheld; no cancel waited for a
question; a kill was answered in time, and nothing opened after it, nor on data too old.

What fails is printed with the options that do it once more, and the exit code is 1; it is as well
where a kind of fault that was played by itself has never struck, which is said. ``--without``
switches a safeguard off (see ``campaign_safeguards``): then something has to fail.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import structlog
from campaign_records import Records
from campaign_run import Played, played
from campaign_safeguards import SAFEGUARDS, without
from checks import found_in
from plans import Feed, Plan, planned

from actors.health.actor import STALE_HOLD
from messages import (
    ExecutionReport,
    FundingBooked,
    HoldPlaced,
    KillReport,
    OperatorCommand,
    OrderEvent,
    ReasonCode,
    StrategyQuarantined,
)
from scenarios.exchange.binanceusdm import TestAuthority
from scenarios.exchange.facts import FactKind

PROGRESS_S: Final = 20.0
LIMIT_S: Final = 60.0
"""Most real time that one run may take: one takes about a second."""

TRACE_LINES: Final = 12
MEMORY: Final = Path("/dev/shm")


class TooLong(BaseException):
    """A run does not come to its end."""


@dataclass(slots=True)
class Outcome:
    """What became of one run."""

    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the options that do it once more, what it was, and what does not hold."""
        plan = self.plan
        mode = "hedge" if plan.hedge else "one-way"
        lines = [f"--seed {plan.seed} --run {plan.number}   ({mode}; {', '.join(plan.kinds)})"]
        return "\n    ".join([*lines, *self.found])


@dataclass(slots=True)
class Strikes:
    """How often each kind of fault has struck: in all runs, and in those of its own."""

    times: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    played_alone: Counter[str] = field(default_factory=Counter)

    def take(self, outcome: Outcome) -> None:
        """Count what has become of a run."""
        self.times += outcome.struck
        self.runs.update(outcome.struck.keys())
        if outcome.plan.alone:
            (kind,) = outcome.plan.kinds
            self.played_alone[kind] += 1
            self.alone[kind] += kind in outcome.struck

    def never(self) -> list[str]:
        """
        Return the kinds that had runs of their own and have struck in none: these show nothing.

        Every kind has such runs in a whole campaign.
        """
        return sorted(kind for kind in self.played_alone if not self.alone[kind])

    def told(self) -> dict[str, str]:
        """Return by kind how often it struck, in how many runs, and in how many of its own."""
        return {
            kind: f"{self.times[kind]} in {self.runs[kind]} runs, "
            f"{self.alone[kind]} of {self.played_alone[kind]} alone"
            for kind in sorted(self.times.keys() | self.played_alone.keys())
        }


_authority: list[TestAuthority] = []


def authority() -> TestAuthority:
    """Return this process's authority: minting one takes longer than a run."""
    if not _authority:
        _authority.append(TestAuthority(Path(tempfile.mkdtemp(prefix="campaign-tls-"))))
    return _authority[0]


def tried(
    plan: Plan, *, limit_s: float = LIMIT_S, safeguard: str = "", keep: Path | None = None
) -> Outcome:
    """Play one run and check it."""
    outcome = Outcome(plan)
    place = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=place))
    ca = authority()
    try:
        with _limited(limit_s), without(safeguard):
            left = played(plan, folder, ca)
            records, outcome.found = found_in(left)
        outcome.counts = counted(left, records)
        outcome.struck = Counter({kind.value: n for kind, n in left.struck.items() if n})
    except (Exception, TooLong) as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        told = "".join(traceback.format_exception(error)).splitlines()
        outcome.found = [f"raised: {error!r}", *told[-TRACE_LINES:]]
    if outcome.found and keep is not None:
        shutil.copytree(folder, keep / f"{plan.seed}-{plan.number}", dirs_exist_ok=True)
    shutil.rmtree(folder)
    return outcome


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong(f"not over after {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def counted(left: Played, records: Records) -> Counter[str]:
    """Count what happened in a run."""
    events = Counter(each.event for each in records.messages(ExecutionReport))
    reports = list(records.messages(KillReport))
    return Counter(
        {
            "runs": 1,
            "runs that listened": left.plan.feed is not Feed.MEMORY,
            "bars listened to": len(left.heard.released),
            "gaps in them": sum(gap.missing for gap in left.heard.gaps),
            "silences held": sum(
                each.hold.hold_id.startswith(STALE_HOLD) for each in records.messages(HoldPlaced)
            ),
            "funding paid": sum(fact.fact is FactKind.FUNDING for fact in records.facts),
            "funding booked": len(list(records.messages(FundingBooked))),
            "requests": len(left.record.left),
            "orders sent": events[OrderEvent.SENT],
            "fills": events[OrderEvent.FILLED] + events[OrderEvent.FILLED_PARTLY],
            "rejected": events[OrderEvent.REJECTED],
            "withheld as they left": sum(
                each.event is OrderEvent.REJECTED
                and each.cause is not None
                and each.cause.code is ReasonCode.HELD
                for each in records.messages(ExecutionReport)
            ),
            "answers lost": events[OrderEvent.SILENCE],
            "proven absent": events[OrderEvent.PROVEN_ABSENT],
            "doubts held": sum(
                each.hold.hold_id.startswith("in-doubt:") for each in records.messages(HoldPlaced)
            ),
            "commands": len(list(records.messages(OperatorCommand))),
            "kills": sum(each.command.verb.value == "kill" for each in left.said),
            "kills confirmed": sum(each.confirmed for each in reports),
            "kills not confirmed": sum(not each.confirmed for each in reports),
            "deaths": left.deaths,
            "starts refused": len(left.starts_refused),
            "quarantines": len(list(records.messages(StrategyQuarantined))),
        }
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of what the sessions say, while it lasts."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.reset_defaults()
        logging.disable(logging.NOTSET)


def outcomes(plans: list[Plan], asked: argparse.Namespace) -> Iterator[Outcome]:
    """Yield what becomes of every run, as it becomes known."""
    how: dict[str, Any] = {
        "limit_s": asked.limit_s,
        "safeguard": asked.without,
        "keep": asked.keep,
    }
    until_s = time.monotonic() + asked.for_s
    jobs = min(asked.jobs, len(plans))
    if jobs == 1:
        for plan in plans:
            yield tried(plan, **how)
            if time.monotonic() > until_s:
                return
        return
    forks = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, forks, initializer=quiet) as pool:
        for future in as_completed([pool.submit(tried, plan, **how) for plan in plans]):
            yield future.result()
            if time.monotonic() > until_s:
                pool.shutdown(wait=False, cancel_futures=True)
                return


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    reading = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    reading.add_argument("--runs", type=int, default=2_000)
    reading.add_argument("--run", type=int, action="append", metavar="N", help="this one only")
    reading.add_argument("--seed", type=int, default=1)
    reading.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    reading.add_argument("--for-s", type=float, default=math.inf, help="begin no run after so long")
    reading.add_argument("--limit-s", type=float, default=LIMIT_S, help="of one run, real time")
    reading.add_argument("--keep", type=Path, help="where folders of failures are kept")
    reading.add_argument("--without", choices=sorted(SAFEGUARDS), default="")
    reading.add_argument("--json", action="store_true", help="the report on one line")
    return reading


def main() -> int:
    """Run the campaign that the command line asks for."""
    asked = parser().parse_args()
    with quiet():  # and what it starts inherits that
        return run(asked)


def run(asked: argparse.Namespace) -> int:
    """Run the campaign and print what came of it; return the exit code."""
    numbers = asked.run or range(asked.runs)
    plans = [planned(asked.seed, number) for number in numbers]
    counts: Counter[str] = Counter()
    strikes = Strikes()
    failures: list[str] = []
    began_s = told_s = time.monotonic()
    for number, outcome in enumerate(outcomes(plans, asked), start=1):
        counts += outcome.counts
        strikes.take(outcome)
        if outcome.found:
            failures.append(str(outcome))
            print(failures[-1], file=sys.stderr, flush=True)
        if time.monotonic() - told_s > PROGRESS_S or number == len(plans):
            told_s = time.monotonic()
            print(
                f"{number} of {len(plans)} runs, {counts['orders sent']} orders, "
                f"{len(failures)} failures, {told_s - began_s:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    never = strikes.never()
    if never:
        print(f"never struck: {', '.join(never)}", file=sys.stderr, flush=True)
    report = {
        **counts,
        "struck": strikes.told(),
        "never struck": never,
        "failures": failures,
        "seed": asked.seed,
        "took_s": round(time.monotonic() - began_s, 1),
    }
    print(json.dumps(report, indent=None if asked.json else 2))
    return 1 if failures or never else 0


if __name__ == "__main__":
    sys.exit(main())
