"""Files that are whole or absent: whatever happens, a reader finds the old content or the new."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from state.crashpoints import passing

_CHUNK = 65_536

DISK_ERRORS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENODEV}
)
"""What the operating system says of a disk that is full, limited, broken, or gone."""


def is_disk_error(error: OSError) -> bool:
    """Return whether it was the disk that would not take what was written."""
    return error.errno in DISK_ERRORS


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the operating system that names no file name ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """
    Replace the content of ``path`` in one step.

    Written beside it, synced, renamed over it, folder synced: after a crash at any point the
    file has its old content or the new. One writer a file. ``sync=False`` leaves out the
    syncs, for what can be made again.
    """
    beside = path.with_name(f".{path.name}.new")
    with naming(path), beside.open("wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    passing("file.written")
    beside.replace(path)
    passing("file.renamed")
    if sync:
        sync_folder(path.parent)
    passing("file.replaced")


def append_line(path: Path, line: bytes, *, sync: bool = True) -> None:
    """
    Add one line, newline included, at the end of ``path``, which is made if need be.

    A crash may leave a part of it, which readers must leave out and the next call cuts off.
    """
    with naming(path), path.open("a+b") as file:
        cut_torn_line(file)
        file.write(line)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def cut_torn_line(file: BinaryIO) -> int:
    """Cut off what follows the last newline of ``file`` and return its size then."""
    end = file.seek(0, os.SEEK_END)
    whole = last_newline(file, end) + 1
    if whole < end:
        file.truncate(whole)
    return whole


def last_newline(file: BinaryIO, end: int) -> int:
    """Return the place of the last newline before ``end``, -1 if there is none."""
    while end > 0:
        start = max(end - _CHUNK, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found
        end = start
    return -1


def sync_file(path: Path) -> None:
    """Return when the content of ``path`` is on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Return when the names in folder ``path`` are on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
