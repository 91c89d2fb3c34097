"""
Processes that are forks of this one: they die with it, may take so long, and leave last words.

What a fork writes to its standard error is in a file of its own. A byte through its pipe is a word
to whoever waits for it, the closing of the pipe is its end.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIMIT_S: Final = 60.0
"""Most that one process may take: a session of these is over within a second or two."""

STACKS_S: Final = 1.0
"""What a process that is late is given to write where its threads are."""

LAST_LINES: Final = 8
"""As much of a process's last words goes into a report."""

NEWEST_FIRST: Final = "(most recent call first):"
"""What a stack begins with whose deepest call comes first."""

CRASHED: Final = 70

MEANINGS: Final = {
    0: "done",
    2: "usage or configuration",
    3: "halted by a risk guard",
    5: "start-up refused",
    6: "fault inside",
    CRASHED: "an error that nobody took",
}
"""Exit codes as the command line has them, and our own."""

_SET_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Let this process be killed when ``parent``, which has just made it, is (Linux only)."""
    if sys.platform == "linux":
        _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was faster than we were
        os._exit(CRASHED)


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended."""

    code: int
    """Its exit code, or less than 0: the signal."""
    late_s: float = 0.0
    """What it was given, if it did not end by itself."""
    words: str = ""

    @property
    def killed(self) -> bool:
        """Return whether it died as it was to."""
        return self.code == -signal.SIGKILL and not self.late_s

    def __str__(self) -> str:
        """Say how it ended, with its last words."""
        if self.late_s:
            told = f"does not end within {self.late_s:g} s"
        elif self.code < 0:
            told = f"ended by {signal.Signals(-self.code).name}"
        else:
            told = f"ended with {self.code} ({MEANINGS.get(self.code, 'no code of ours')})"
        return told + "".join(f"\n      | {line}" for line in self.words.splitlines())


@dataclass(frozen=True, slots=True)
class Child:
    """A fork that runs, or has ended and is not waited for yet."""

    pid: int
    pipe: int
    words: Path

    def spoke(self, limit_s: float = LIMIT_S) -> bool:
        """Return true at its next word, false at its end or after ``limit_s``."""
        ready, _, _ = select.select([self.pipe], [], [], limit_s)
        return bool(ready and os.read(self.pipe, 1))

    def has_ended(self, within_s: float) -> bool:
        """Return whether it has ended, or does so ``within_s`` seconds; it says no words."""
        ready, _, _ = select.select([self.pipe], [], [], within_s)
        return bool(ready)

    def end(self, limit_s: float = LIMIT_S) -> End:
        """Wait for its end, bring it about after ``limit_s``, and return it."""
        until_s = time.monotonic() + limit_s
        late_s = 0.0
        while True:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                late_s = limit_s
                os.kill(self.pid, signal.SIGUSR1)
                time.sleep(STACKS_S)
                os.killpg(self.pid, signal.SIGKILL)
                break
            ready, _, _ = select.select([self.pipe], [], [], left_s)
            if ready and not os.read(self.pipe, 1):
                break
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return End(code, late_s, "" if code == 0 else last_words(self.words))

    def kill(self) -> None:
        """Kill it now."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def last_words(path: Path) -> str:
    """Return the end of what a process wrote: of its stacks, where it was written last."""
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    _, stack, where = text.rpartition(NEWEST_FIRST)
    lines = where.split("\n")[1 : LAST_LINES + 1] if stack else text.splitlines()[-LAST_LINES:]
    return "\n".join(line.rstrip() for line in lines)


_own_pipe: list[int] = []
"""What this process speaks through, if it is a fork: its own forks must not keep it open."""


def fork(work: Callable[[Callable[[], object]], int], words: Path, *, bound: bool = True) -> Child:
    """
    Run ``work`` in a process of its own, whose exit code it returns, and which is ``bound`` to us.

    ``work`` is given what says a word to the process that waits.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading, words)
    try:
        if bound:
            die_with(parent)
        os.setpgid(0, 0)
        os.close(reading)
        for pipe in _own_pipe:
            os.close(pipe)
        _own_pipe[:] = [writing]
        os.dup2(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        faulthandler.register(signal.SIGUSR1, file=2)
        code = work(lambda: os.write(writing, b"."))
    except BaseException:  # noqa: BLE001 - of the fork: nothing of it may go on here
        os.write(2, traceback.format_exc().encode())
        code = CRASHED
    os._exit(code)
