"""
Standard error, beside what a command does: nobody who reads it, or no longer does, stops that.

A reader can be gone (``tee`` was killed, a terminal was closed), or be there and read nothing (a
pager, Ctrl-S, a terminal over a dead line): then a pipe fills up, and a plain write waits for ever,
with a session's whole event loop. What could not be told must not change what is done, nor the exit
code, which says it alone. So what is gone is written to nobody from then on; and log lines, which
are in a file as well, are left out while there is no room for them, and counted.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Final

PIECE_BYTES: Final = 512
"""What a pipe with any room at all takes without waiting (POSIX: PIPE_BUF is at least that)."""

PATIENCE_S: Final = 0.05
"""For how long a log line waits for a reader that was not behind yet."""


def say_aside(text: str) -> None:
    """Write whole lines to standard error, however long its reader takes."""
    try:
        sys.stderr.write(text)  # which hands every whole line to the system
    except OSError:
        _to_nobody()


class LogLines:
    """Shows log lines on standard error, as far as that takes them at once."""

    def __init__(self) -> None:
        """Have left nothing out."""
        self._left_out = 0
        self._is_amid = False

    def show(self, text: str) -> None:
        """Write whole lines, after how many were left out before them; or leave them out."""
        try:
            fd = sys.stderr.fileno()
        except (OSError, ValueError):  # no file: a test's, which takes everything
            say_aside(text)
            return
        try:
            sys.stderr.flush()
            if self._left_out:
                missing = f"tidegate: {self._left_out} log lines were not shown here\n"
                if not self._put(fd, missing, 0.0):
                    self._left_out += 1
                    return
                self._left_out = 0
            if not self._put(fd, text, PATIENCE_S):
                self._left_out = 1
        except OSError:
            _to_nobody()

    def _put(self, fd: int, text: str, patience_s: float) -> bool:
        """Write ``text`` while there is room for it; return whether that was all of it."""
        rest = (b"\n" if self._is_amid else b"") + text.encode("utf-8", "backslashreplace")
        while rest and _has_room(fd, patience_s):
            rest = rest[os.write(fd, rest[:PIECE_BYTES]) :]
            self._is_amid = bool(rest)
        return not rest


def _has_room(fd: int, for_s: float) -> bool:
    """Return whether something can be written without waiting; an error is found by writing."""
    look = select.poll()
    look.register(fd, select.POLLOUT)
    return bool(look.poll(for_s * 1000))


def _to_nobody() -> None:
    # What is still in the buffer goes there too, or the interpreter would end with an error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
