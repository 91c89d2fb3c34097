"""What happens to a session under torture, and at which moments."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from children import LIMIT_S
from tortured import (
    KILL,
    REFUSED,
    STOP,
    Hook,
    Maker,
    Run,
    new_folder,
    nothing,
    ready,
)
from tortured_work import ABLATED, WORKLOADS
from venues import Virtual, exchange

from actors.commands import Request
from actors.inbox import Closed, Inbox
from state.facts import FactsDiffer
from state.journal import JournalError

ANY: Final = "any"
"""Instead of a point: whichever is passed."""

SURE: Final = 1
"""The passing of each point that every run comes to: later ones depend on how batches fall."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One passing of a point, or of any; or so many seconds after it, between two points."""

    point: str
    number: int = 1
    after_s: float | None = None

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Return what ``str`` gives for a moment, read; the number may be left out."""
        rest, plus, after_s = text.partition("+")
        point, _, number = rest.partition(":")
        return cls(point, int(number or 1), float(after_s) if plus else None)

    def __str__(self) -> str:
        """Return the form that the command line takes."""
        after = "" if self.after_s is None else f"+{self.after_s}"
        return f"{self.point}:{self.number}{after}"

    def hook(self, act: Callable[[], object]) -> Hook:
        """Return a hook that acts at this passing."""
        count = itertools.count(1)  # next() is one step, whichever threads pass

        def passing(name: str) -> None:
            if self.point in (ANY, name) and next(count) == self.number:
                act()

        return passing


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def undisturbed(_tell: object, _inbox: object) -> Hook:
    """Make the hook of a process to which nothing happens."""
    return nothing


def dying(at: Moment) -> Maker:
    """Return what makes the hook of a process that dies then, or says that it is to be killed."""
    return lambda tell, _: at.hook(_die if at.after_s is None else tell)


def stopping(at: Moment) -> Maker:
    """Return what makes the hook of a process that says so, and stands still until it may go on."""

    def stop(tell: Callable[[], object]) -> None:
        tell()
        os.kill(os.getpid(), signal.SIGSTOP)

    return lambda tell, _: at.hook(partial(stop, tell))


def commanded(at: Moment, request: Request) -> Maker:
    """Return what makes the hook of a process that is given a command then, if it takes one."""

    def command(tell: Callable[[], object], inbox: Inbox) -> None:
        with suppress(Closed):
            inbox.submit(request)
            tell()

    return lambda tell, inbox: at.hook(partial(command, tell, inbox))


def until_ended(run: Run, *deaths: Moment) -> str:
    """Let one process after the other die; return what is wrong with the end of the last."""
    for at in (*deaths, None):
        child = run.live(undisturbed if at is None else dying(at))
        if at is not None and at.after_s is not None and child.spoke():
            time.sleep(at.after_s)
            child.kill()
        end = run.wait(child)
        if at is not None and end.killed:
            run.reached += 1
            continue
        return f"process {run.starts} {end}" if end.code else ""
    raise AssertionError("nothing was to happen to the last one")


def beside(run: Run, at: Moment) -> str:
    """Start a second process while the first stands still; return what is wrong."""
    first = run.live(stopping(at))
    wrong = []
    if first.spoke():
        os.waitpid(first.pid, os.WUNTRACED)  # it says so before it stops
        second = run.wait(run.live(undisturbed))
        if second.code != REFUSED and not run.over:
            wrong.append(f"a second process was let in; it {second}")
        os.kill(first.pid, signal.SIGCONT)
        run.reached += 1
    end = run.wait(first)
    if end.code:
        wrong.append(f"the first process {end}")
    return "\n".join(wrong)


def under_command(run: Run, at: Moment, request: Request) -> str:
    """Let an operator command; return what is wrong."""
    child = run.live(commanded(at, request))
    run.reached += child.spoke()
    end = run.wait(child)
    return f"the process {end}" if end.code else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session to be tortured: which, and what happens to it."""

    workload: str
    deaths: tuple[Moment, ...] = ()
    beside: Moment | None = None
    kill: Moment | None = None
    stop: Moment | None = None
    without: str = ""
    venue: str = Virtual.name

    def go(self, run: Run) -> str:
        """Do it; return what is wrong."""
        if self.beside is not None:
            return beside(run, self.beside)
        if self.kill is not None:
            return under_command(run, self.kill, KILL)
        if self.stop is not None:
            return under_command(run, self.stop, STOP)
        return until_ended(run, *self.deaths)

    def __str__(self) -> str:
        """Return the options that do it once more."""
        told = [] if self.venue == Virtual.name else ["--venue", self.venue]
        told += ["--workload", self.workload]
        for option, at in zip(("--at", *["--then"] * len(self.deaths)), self.deaths, strict=False):
            told += [option, str(at)]
        others = {"--beside": self.beside, "--kill": self.kill, "--stop": self.stop}
        for option, moment in others.items():
            told += [] if moment is None else [option, str(moment)]
        return " ".join([*told, *(["--without", self.without] if self.without else [])])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    attempt: Attempt
    found: tuple[str, ...]
    deaths: int
    resumes: int
    reached: int
    """How many of the moments at which something was to happen have come."""


def attempted(attempt: Attempt, keep: Path | None = None, limit_s: float = LIMIT_S) -> Outcome:
    """Torture one session in a new folder, which is kept under ``keep`` if something is wrong."""
    dialect = ready(attempt.venue)
    workload = {**WORKLOADS, **ABLATED}[attempt.workload]
    with new_folder() as folder:
        with exchange(dialect, folder, workload.make(dialect.listed)) as address:
            run = Run(dialect, workload, folder, address, attempt.without, limit_s)
            wrong = attempt.go(run)
        try:
            found = [*([wrong] if wrong else []), *run.check()]
        except (FactsDiffer, JournalError) as error:
            found = [*([wrong] if wrong else []), f"the journal contradicts itself: {error}"]
        sure = [at for at in attempt.deaths[:1] if at.number == SURE and at.point != ANY]
        if sure and not run.deaths:
            found.append("nobody died")
        if found and keep is not None:
            name = "_".join(str(attempt).replace("--", "").split()[1:])
            shutil.copytree(folder, keep / name, dirs_exist_ok=True)
    return Outcome(attempt, tuple(found), run.deaths, run.resumes, run.reached)
