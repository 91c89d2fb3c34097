"""A disk that takes no more, told in one line: what was being written, where, and what is safe."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from actors.artifacts import FilesUnfinished
from state.atomic import is_disk_error
from state.journal import JournalError, JournalFailed
from tidegate.exits import DiskFailed

SQLITE_DISK_ERRORS: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
_PRIMARY: Final = 0xFF
"""The part of an SQLite code that says which error it is; the rest says where it came up."""

GOES_ON: Final = "`tidegate trade --resume` goes on once the disk is well"


@contextmanager
def disk_failures() -> Iterator[None]:
    """
    Turn what a disk did to a session into ``DiskFailed``; every other error leaves as it is.

    Put around everything that belongs to the session: for all else this is a fault inside.
    """
    try:
        yield
    except (Exception, BaseExceptionGroup) as error:
        told = _told(error)
        if told is None:
            raise
        raise DiskFailed(told) from error


def unfinished(error: FilesUnfinished) -> str:
    """Say which files were not written, whatever the cause, and what makes them."""
    again = "`tidegate trade --resume` makes them" if error.journal_is_whole else "run it again"
    return f"{error}; {again} once that is mended"


def _told(error: BaseException) -> str | None:
    """Return what to say of ``error``, ``None`` if it is none of a disk."""
    for each in _leaves(error):
        if isinstance(each, FilesUnfinished):
            return unfinished(each)
        if isinstance(each, JournalFailed) and _is_disk(each.__cause__):
            return (
                f"the session is stopped, for the disk took no more: {each}; no order left "
                f"without its record; {GOES_ON}"
            )
        if isinstance(each, JournalError) and _is_disk(each.__cause__):
            return f"nothing is started, for its journal cannot be opened: {each}"
        if _is_disk(each):
            return f"a file cannot be written: {each}; what is in a journal stays there"
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _is_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", 0)
            return code & _PRIMARY in SQLITE_DISK_ERRORS
        if isinstance(error, OSError):
            return is_disk_error(error)
        error = error.__cause__
    return False
