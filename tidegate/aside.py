"""
Standard error, beside what a command does: nobody who reads it, or no longer does, stops that.

A reader can be gone (``tee`` was killed, a terminal was closed), or be there and read nothing (a
pager, Ctrl-S, a terminal over a dead line): then a pipe fills up, and a plain write waits for ever,
with a session's whole event loop. What could not be told must not change what is done, nor the exit
code, which says it alone. So what is gone is written to nobody from then on; and log lines, which
are in a file as well, are left out while there is no room for them, and counted.

A pipe says whether there is room for a piece. A terminal says that there is some, not for how much,
and a write of more waits for ever: it is made in a thread of its own, which may.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

PIECE_BYTES: Final = 512
"""What a pipe with any room at all takes without waiting (POSIX: PIPE_BUF is at least that)."""

PATIENCE_S: Final = 0.05
"""For how long log lines wait for a reader that was not behind yet ..."""

SHARE: Final = 0.05
"""... and which part of the time after that, however slowly it reads: most of it is a session's."""

BESIDE_BYTES: Final = 65_536
"""What waits for a terminal: as much as a pipe holds."""

LAST_S: Final = 0.5
"""For how long the end of the process waits for a terminal to take the rest."""


def say_aside(text: str) -> None:
    """Write whole lines to standard error, however long its reader takes."""
    try:
        sys.stderr.write(text)  # which hands every whole line to the system
    except OSError:
        _to_nobody()


class Beside:
    """Writes to a terminal in a thread of its own, for which nobody waits longer than they like."""

    def __init__(self) -> None:
        """Begin with the first bytes."""
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()  # seam: bounded by BESIDE_BYTES
        self._bytes = 0
        self._failed = False
        self._thread: threading.Thread | None = None

    def put(self, fd: int, data: bytes, for_s: float) -> bool:
        """
        Have ``data`` written to ``fd``, and wait ``for_s`` seconds at most until it is.

        Return false, with nothing done, where too much waits already. Raises ``OSError`` once
        something could not be written.
        """
        with self._changed:
            if self._bytes and self._bytes + len(data) > BESIDE_BYTES:
                return False
            if self._failed:
                raise OSError("the terminal is gone")
            # Its own: standard error may be somewhere else by the time it is written.
            self._waiting.append((os.dup(fd), data))
            self._bytes += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aside", daemon=True)
                self._thread.start()
                atexit.register(self.drain, LAST_S)
            self._changed.notify_all()
        self.drain(for_s)
        return True

    @property
    def idle(self) -> bool:
        """Return whether everything is written: nobody is behind."""
        return not self._bytes

    def drain(self, for_s: float) -> None:
        """Return once everything is written, or after ``for_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, for_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                fd, data = self._waiting.popleft()
            failed = not _written(fd, data)
            os.close(fd)
            with self._changed:
                self._failed = self._failed or failed
                self._bytes -= len(data)
                self._changed.notify_all()


_said = Beside()


def say_beside(text: str) -> None:
    """
    Write whole lines to standard error, and wait a moment at most for its reader, whatever it is.

    For what may not stand still with it. The end of the process waits a little longer.
    """
    try:
        fd = sys.stderr.fileno()
        sys.stderr.flush()
    except (OSError, ValueError):  # no file: a test's, which takes everything
        say_aside(text)
        return
    # Nobody is there any more, or there is no thread to be had: it is left out.
    with contextlib.suppress(OSError, RuntimeError):
        _said.put(fd, text.encode("utf-8", "backslashreplace"), PATIENCE_S if _said.idle else 0.0)


class BesideFile(io.StringIO):
    """What is drawn on a terminal while something else is done: left out while that is behind."""

    def __init__(self, fd: int) -> None:
        """Draw on ``fd``."""
        super().__init__()
        self._fd = fd
        self._beside = Beside()

    def isatty(self) -> bool:
        """Return that it is a terminal."""
        return True

    def write(self, text: str, /) -> int:
        """Have ``text`` written, or leave it out; nothing of it is kept."""
        with contextlib.suppress(OSError):  # there is nobody any more to draw it for
            self._beside.put(self._fd, text.encode("utf-8", "backslashreplace"), 0.0)
        return len(text)

    def drain(self, for_s: float) -> None:
        """Return once everything is drawn, or after ``for_s`` seconds."""
        self._beside.drain(for_s)


def _monotonic_s() -> float:
    return time.monotonic()  # seam: a reader's time, no session's


class Patience:
    """For how long may still be waited for a reader: little at once, and a small part of time."""

    def __init__(self, monotonic_s: Callable[[], float] = _monotonic_s) -> None:
        """Have waited for nobody yet, by the clock ``monotonic_s``."""
        self._now_s = monotonic_s
        self._left_s = PATIENCE_S
        self._since_s = monotonic_s()

    def begin(self) -> None:
        """Begin to wait."""
        now_s = self._now_s()
        self._left_s = min(PATIENCE_S, self._left_s + SHARE * (now_s - self._since_s))
        self._since_s = now_s

    def left_s(self) -> float:
        """Return for how many seconds may still be waited, from now on."""
        return max(0.0, self._left_s - (self._now_s() - self._since_s))

    def end(self) -> None:
        """Wait no more; what has passed since the beginning is spent."""
        self._left_s, self._since_s = self.left_s(), self._now_s()


class LogLines:
    """Shows log lines on standard error, as far as that takes them at once."""

    def __init__(self) -> None:
        """Have left nothing out."""
        self._left_out = 0
        self._is_amid = False
        self._beside = Beside()
        self._patience = Patience()

    def show(self, text: str) -> None:
        """Write whole lines, after how many were left out before them; or leave them out."""
        try:
            fd = sys.stderr.fileno()
        except (OSError, ValueError):  # no file: a test's, which takes everything
            say_aside(text)
            return
        self._patience.begin()
        try:
            sys.stderr.flush()
            if self._left_out:
                missing = f"tidegate: {self._left_out} log lines were not shown here\n"
                if not self._put(fd, missing, _none_s):
                    self._left_out += 1
                    return
                self._left_out = 0
            if not self._put(fd, text, self._patience.left_s):
                self._left_out = 1
        except OSError:
            _to_nobody()
        finally:
            self._patience.end()

    def _put(self, fd: int, text: str, patience_s: Callable[[], float]) -> bool:
        """Write ``text`` while there is room for it; return whether that was all of it."""
        rest = (b"\n" if self._is_amid else b"") + text.encode("utf-8", "backslashreplace")
        if os.isatty(fd):
            return self._beside.put(fd, rest, patience_s())
        while rest and _has_room(fd, patience_s()):
            rest = rest[os.write(fd, rest[:PIECE_BYTES]) :]
            self._is_amid = bool(rest)
        return not rest


def _none_s() -> float:
    return 0.0


def _written(fd: int, data: bytes) -> bool:
    """Write all of ``data``, however long that takes; return whether there is anybody for it."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # whoever shares the terminal wants it so
            _has_room(fd, LAST_S)
        except OSError:
            return False
    return True


def _has_room(fd: int, for_s: float) -> bool:
    """Return whether something can be written without waiting; an error is found by writing."""
    look = select.poll()
    look.register(fd, select.POLLOUT)
    return bool(look.poll(for_s * 1000))


def _to_nobody() -> None:
    # What is still in the buffer goes there too, or the interpreter would end with an error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
