"""
Kill sessions at every named moment, let them go on, and compare what they believe with the venue.

    python tests/crash/torture.py [--venue NAME] [--workload NAME ...] [--short] [--seed N]
                                  [--jobs N] [--json] [--counts FILE] [--part N/OF]
                                  [--twice | --random N | --at MOMENT [--then MOMENT ...] |
                                   --beside [MOMENT] | --kill [MOMENT] | --stop [MOMENT] |
                                   --sample N | --ablations]
                                  [--without SAFEGUARD]

A session dies by SIGKILL at one passing of one crash point (see ``state.crashpoints``); the next
process goes on with it, and may die too, until one comes to its end. Then the venue's truth log
and the journal must agree: nothing lost, nothing twice, nothing unresolved.

The venue speaks our own dialect (``--venue virtual``), or is binanceusdm: then the real ccxt client
is in the session's process, TLS is between, and the market goes on while nobody lives.

A moment is ``POINT:N``, the Nth passing of a point, or ``any:N``, the Nth passing of whichever.
Without more, every passing of every point is tried: a workload is run once before, to count them.
``--short`` tries the first, the second and the last passing of each point, and twenty more by
``--seed``. ``--twice`` lets a session die again while the next process recovers: after the first
passing of each point at everything that it passes then, after the second and the last at some;
with ``--short`` at some after each.
``--random N`` kills N sessions, most of them several times, so many seconds after a passing
(``any:N+0.0042``), between two points. ``--beside`` starts a second process of the session while
the first stands still at a moment, ``--kill`` and ``--stop`` let an operator kill, with everything
to be flat, or stop new orders at one; each of the three at every moment there is, or the one that
is named. ``--sample N`` tries N moments by ``--seed``, and the first passing of each point on the
way to a real venue. ``--without`` switches a safeguard off (see ``safeguards``): then something has
to fail. ``--ablations`` does that with each, and fails where nothing does (see ``ablations``).

``--part 2/3`` tries the second of three parts. They are the whole if they share ``--counts``:
a file with how often each point is passed. Whoever finds none counts, and writes it.

What fails is printed with the options that do it once more, and the exit code is 1. Killed itself,
it leaves no process behind.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from children import LIMIT_S, die_with
from deaths import ANY, Attempt, Moment, Outcome, attempted
from safeguards import SAFEGUARDS
from torture_ablations import ABLATIONS, Ablation
from torture_ablations import LIMIT_S as ABLATED_LIMIT_S
from torture_parts import part_of
from tortured import Hook, Run, new_folder, ready
from tortured_work import ABLATED, WORKLOADS, Workload
from venues import NAMES, Virtual, exchange

from state import crashpoints

SEEDED: Final = 20
"""Passings that the short form tries beside the edges."""

RECOVERING: Final = 40
"""Passings of any point within which most processes have recovered."""

SECONDS: Final = 3
"""Second deaths that are tried after each first one, where not all are."""

DEATHS: Final = (1, 2, 2, 2, 3, 3, 4)
"""How many deaths a session is to die at random."""

AFTER_S_MAX: Final = 0.01
"""How long after a passing a process is killed at most, at random."""

ON_THE_WAY: Final = ("request.", "stream.")
"""Points on the way to a real venue."""

COMMANDABLE: Final = ("order.", "venue.", "journal.", *ON_THE_WAY)
"""Points at which the session's own thread is at work, and an operator may give a command."""

OPTIONS: Final = ("beside", "kill", "stop")
"""What may happen at a moment but a death."""

PROGRESS_S: Final = 20.0

JOBS: Final = 4 * (os.cpu_count() or 1)
"""A session at a real venue waits for three quarters of its time."""


def counted(venue: str, workload: Workload) -> Counter[str]:
    """Return how often each point is passed when nothing happens."""
    dialect = ready(venue)
    with tempfile.NamedTemporaryFile() as file:

        def count(name: str) -> None:
            os.write(descriptor, f"{name}\n".encode())

        def hook(_tell: object, _inbox: object) -> Hook:
            return count

        descriptor = os.open(file.name, os.O_WRONLY | os.O_APPEND)
        try:
            spec = workload.make(dialect.listed)
            with new_folder() as folder, exchange(dialect, folder, spec) as address:
                run = Run(dialect, workload, folder, address)
                end = run.wait(run.live(hook))
                found = [str(end)] if end.code else run.check()
                found += [] if dialect.truth(folder).fills else ["nothing was traded"]
        finally:
            os.close(descriptor)
        if found:
            raise SystemExit(f"{workload.name}, undisturbed: {found}")
        return crashpoints.passings(Path(file.name))


def counted_once(asked: argparse.Namespace, workload: Workload) -> Counter[str]:
    """Return what is ``counted``, or what an earlier part has counted."""
    told: dict[str, dict[str, int]] = {}
    if asked.counts is not None and asked.counts.exists():
        told = json.loads(asked.counts.read_text("utf-8"))
    if workload.name not in told:
        told[workload.name] = dict(counted(asked.venue, workload))
        if asked.counts is not None:
            asked.counts.write_text(json.dumps(told), "utf-8")
    return Counter(told[workload.name])


def every(passings: Mapping[str, int]) -> list[Moment]:
    """Return every passing there is."""
    return [Moment(p, n) for p in crashpoints.POINTS for n in range(1, passings.get(p, 0) + 1)]


def edges(passings: Mapping[str, int]) -> list[Moment]:
    """Return the first, the second and the last passing of each point."""
    return [at for at in every(passings) if at.number in (1, 2, passings[at.point])]


def short(passings: Mapping[str, int], seed: int) -> list[Moment]:
    """Return the edges, and some of what lies between."""
    chosen = set(edges(passings))
    rest = [at for at in every(passings) if at not in chosen]
    chosen.update(Random(seed).sample(rest, min(SEEDED, len(rest))))
    return [at for at in every(passings) if at in chosen]


def sampled(passings: Mapping[str, int], seed: int, count: int) -> list[Moment]:
    """Return some moments, and the first of each point on the way to a real venue."""
    chosen = {at for at in every(passings) if at.point.startswith(ON_THE_WAY) and at.number == 1}
    rest = [at for at in every(passings) if at not in chosen]
    chosen.update(Random(seed).sample(rest, min(count, len(rest))))
    return [at for at in every(passings) if at in chosen]


def twice(
    passings: Mapping[str, int], seed: int, *, short: bool
) -> Iterator[tuple[Moment, Moment]]:
    """Yield first deaths, each with one while the next process recovers."""
    for first in edges(passings):
        numbers: Iterable[int] = range(1, RECOVERING + 1)
        if short or first.number > 1:
            numbers = Random(f"{seed}:{first}").sample(range(1, RECOVERING + 1), SECONDS)
        for number in numbers:
            yield first, Moment(ANY, number)


def at_random(passings: Counter[str], seed: str) -> tuple[Moment, ...]:
    """Return when the processes of a session die, most of the later ones while they recover."""
    chance = Random(seed)
    found = []
    for number in range(chance.choice(DEATHS)):
        early = number > 0 and chance.random() < 0.7
        passing = chance.randint(1, RECOVERING if early else passings.total())
        found.append(Moment(ANY, passing, round(chance.uniform(0.0, AFTER_S_MAX), 4)))
    return tuple(found)


def wanted(asked: argparse.Namespace, name: str) -> list[Attempt]:
    """Return what is to be tried with one workload."""
    plain = Attempt(name, without=asked.without, venue=asked.venue)
    if asked.at:
        return [replace(plain, deaths=(asked.at, *asked.then))]
    option = next((each for each in OPTIONS if getattr(asked, each)), "")
    if option and isinstance(at := getattr(asked, option), Moment):
        return [replace(plain, **{option: at})]
    passings = counted_once(asked, {**WORKLOADS, **ABLATED}[name])
    if asked.random:
        seeds = (f"{asked.seed}:{name}:{number}" for number in range(asked.random))
        return [replace(plain, deaths=at_random(passings, seed)) for seed in seeds]
    if asked.twice:
        return [
            replace(plain, deaths=deaths)
            for deaths in twice(passings, asked.seed, short=asked.short)
        ]
    if asked.sample:
        return [replace(plain, deaths=(at,)) for at in sampled(passings, asked.seed, asked.sample)]
    moments = short(passings, asked.seed) if asked.short else every(passings)
    if option:
        points = "" if option == "beside" else COMMANDABLE
        return [replace(plain, **{option: at}) for at in moments if at.point.startswith(points)]
    return [replace(plain, deaths=(at,)) for at in moments]


def outcomes(attempts: list[Attempt], asked: argparse.Namespace) -> Iterator[Outcome]:
    """Yield what becomes of every attempt, as it becomes known."""
    work = partial(attempted, keep=asked.keep, limit_s=asked.limit_s)
    jobs = min(asked.jobs, len(attempts))
    if jobs == 1:
        yield from map(work, attempts)
        return
    forks = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, forks, initializer=die_with, initargs=(os.getpid(),)) as pool:
        for future in as_completed([pool.submit(work, attempt) for attempt in attempts]):
            yield future.result()


def tortured(name: str, asked: argparse.Namespace, failures: list[str]) -> dict[str, object]:
    """Torture one workload; return the counts, and add what fails to ``failures``."""
    attempts = wanted(asked, name)[asked.part]
    tried: Counter[str] = Counter({"sessions": 0, "deaths": 0, "resumes": 0, "never_came": 0})
    by_deaths: Counter[int] = Counter()
    began = told = time.monotonic()
    for outcome in outcomes(attempts, asked):
        tried.update(sessions=1, deaths=outcome.deaths, resumes=outcome.resumes)
        tried["never_came"] += not outcome.reached  # one run is not as long as the other
        by_deaths[outcome.deaths] += 1
        if outcome.found:
            what = "\n    ".join(outcome.found)
            failures.append(f"{outcome.attempt}\n    {what}")
            print(failures[-1], file=sys.stderr, flush=True)
        if time.monotonic() - told > PROGRESS_S or tried["sessions"] == len(attempts):
            told = time.monotonic()
            print(
                f"{name}: {tried['sessions']} of {len(attempts)} sessions, {tried['deaths']} "
                f"deaths, {tried['resumes']} resumes, {len(failures)} failures, "
                f"{told - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    took_s = round(time.monotonic() - began, 1)
    return {**tried, "by_deaths": dict(sorted(by_deaths.items())), "took_s": took_s}


def untold(ablation: Ablation, venue: str, survived: set[str]) -> str:
    """
    Return what is wrong: a safeguard that nobody misses, or a moment that is too much.

    What was ``survived`` with all of them is not tried again.
    """
    moment = Moment.parse(ablation.at)
    happens: dict[str, object] = {ablation.what: moment}
    if ablation.what == "at":
        happens = {"deaths": (moment,)}
    whole = replace(Attempt(ablation.workload, venue=venue), **happens)
    without = replace(whole, without=ablation.without)
    found = "\n    ".join(attempted(without, limit_s=ABLATED_LIMIT_S).found)
    if not re.search(ablation.word, found):
        return f"{without}\n    expected {ablation.word!r}, found {found or 'nothing'}"
    if str(whole) in survived:
        return ""
    survived.add(str(whole))
    found = "\n    ".join(attempted(whole).found)
    return f"{whole}\n    {found}" if found else ""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    reading = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    reading.add_argument("--venue", choices=NAMES, default=Virtual.name)
    reading.add_argument("--workload", action="append", choices=[*WORKLOADS, *ABLATED])
    what = reading.add_mutually_exclusive_group()
    what.add_argument("--twice", action="store_true")
    what.add_argument("--random", type=int, default=0, metavar="N")
    what.add_argument("--sample", type=int, default=0, metavar="N")
    what.add_argument("--ablations", nargs="*", metavar="SAFEGUARD", help="all, or these")
    for option in OPTIONS:
        what.add_argument(f"--{option}", type=Moment.parse, nargs="?", const=True, metavar="MOMENT")
    what.add_argument("--at", type=Moment.parse, metavar="MOMENT")
    reading.add_argument("--then", type=Moment.parse, action="append", default=[], metavar="MOMENT")
    reading.add_argument("--short", action="store_true")
    reading.add_argument("--jobs", type=int, default=JOBS, help="sessions at a time")
    reading.add_argument("--limit-s", type=float, default=LIMIT_S, help="of one process")
    reading.add_argument("--seed", type=int, default=1)
    reading.add_argument("--counts", type=Path, metavar="FILE", help="what earlier parts counted")
    reading.add_argument("--part", type=part_of, default=slice(None), metavar="N/OF")
    reading.add_argument("--keep", type=Path, help="where folders of failures are kept")
    reading.add_argument("--without", choices=sorted(SAFEGUARDS), default="")
    reading.add_argument("--json", action="store_true", help="the report on one line")
    return reading


def main() -> int:
    """Run the campaign that the command line asks for."""
    reading = parser()
    asked = reading.parse_args()
    if asked.then and not asked.at:
        reading.error("--then: found no --at, expected the moment of the first death")
    ready(asked.venue)
    failures: list[str] = []
    began = time.monotonic()
    if asked.ablations is not None:
        done: set[str] = set()
        chosen = [each for each in ABLATIONS if each.without in (asked.ablations or SAFEGUARDS)]
        failures = [wrong for each in chosen if (wrong := untold(each, asked.venue, done))]
        tried: dict[str, dict[str, object]] = {"ablations": {"tried": len(chosen)}}
    else:
        tried = {name: tortured(name, asked, failures) for name in asked.workload or WORKLOADS}
    took_s = round(time.monotonic() - began, 1)
    report = {"tried": tried, "failures": failures, "seed": asked.seed, "took_s": took_s}
    print(json.dumps(report, indent=None if asked.json else 2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
