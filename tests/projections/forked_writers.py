"""
The process that writes a session's projections, forked from one that has imported it already.

For sessions in the process of the tests, of which there are many: a new interpreter imports for
longer than most of them trade. It is the same process otherwise, with pipes and an end of its own.
Sessions that a test starts by command have theirs as everybody has.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, Final, NoReturn

from state.projections import process, worker

ROOT: Final = Path(__file__).resolve().parents[2]

NUMBER_BYTES: Final = 4
"""A process's id, and later its exit code, as it is told."""

CRASHED: Final = 1
"""The exit code of an interpreter that ends with an error."""

_parent: list[socket.socket] = []
"""The way to the process that forks, once there is one."""

_starting = threading.Lock()


class ForkedWriter:
    """What ``subprocess.Popen`` gives for a worker, as far as a session uses it."""

    def __init__(self, _command: object, **_options: object) -> None:
        """Have it forked."""
        with _starting:
            if not _parent:
                _parent.append(_started())
        reads, given = os.pipe()
        answered, answers = os.pipe()
        self._ended, ends = os.pipe()
        socket.send_fds(_parent[0], [b"."], [reads, answers, ends])
        for theirs in (reads, answers, ends):
            os.close(theirs)
        self.pid = self._told()
        assert self.pid > 0, "the process that forks is gone"
        self._status: int | None = None
        self.stdin: BinaryIO = os.fdopen(given, "wb")
        self.stdout: BinaryIO = os.fdopen(answered, "rb")

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code, or less than 0: the signal."""
        if self._status is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked writer", timeout or 0.0)
            self._status = self._told()
            os.close(self._ended)
        return self._status

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _told(self) -> int:
        return int.from_bytes(os.read(self._ended, NUMBER_BYTES), "big", signed=True)


def use() -> None:
    """Let sessions in this process have their projections written by forks."""
    vars(process)["subprocess"] = SimpleNamespace(
        PIPE=subprocess.PIPE, Popen=ForkedWriter, TimeoutExpired=subprocess.TimeoutExpired
    )


def _started() -> socket.socket:
    """Start the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        forking = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,  # ours is what a worker of xdist is told through
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    atexit.register(partial(_end, ours, forking))
    return ours


def _end(asking: socket.socket, forking: subprocess.Popen[bytes]) -> None:
    asking.close()
    forking.wait()


def _serve(asked: socket.socket) -> None:
    """Fork a worker for each three files that come: its input, its output, and for its end."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    ends: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked, woken], [], [])
        if woken in ready:
            os.read(woken, 100)
            _tell(ends)
        if asked in ready:
            _, files, _, _ = socket.recv_fds(asked, 1, 3)
            if not files:
                return
            reads, answers, end = files
            if not (pid := os.fork()):
                _work(reads, answers)
            ends[pid] = end
            _say(end, pid)
            os.close(reads)
            os.close(answers)


def _tell(ends: dict[int, int]) -> None:
    """Say how each worker that has ended did."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        end = ends.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        _say(end, code)
        os.close(end)


def _say(end: int, number: int) -> None:
    with suppress(BrokenPipeError):  # a session that has died does not listen
        os.write(end, number.to_bytes(NUMBER_BYTES, "big", signed=True))


def _work(reads: int, answers: int) -> NoReturn:
    """Be the worker."""
    status = CRASHED
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sys.stdin, sys.stdout = os.fdopen(reads), os.fdopen(answers, "w")
        status = worker.main()
    except BaseException:  # noqa: BLE001 - of the fork: nothing of it may go on here
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
