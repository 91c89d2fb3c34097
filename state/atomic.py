"""Files that are whole or absent: whatever happens, a reader finds the old content or the new."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """
    Replace the content of ``path`` in one step.

    Written beside it, synced, renamed over it, folder synced: after a crash at any point the
    file has its old content or the new. One writer a file. ``sync=False`` leaves out the
    syncs, for what can be made again.
    """
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    beside.replace(path)
    if sync:
        sync_folder(path.parent)


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
