"""Where sessions are looked for, and what the end of a session's account says."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

TAIL_BYTES = 4_096
"""The end of ``account.csv`` that is read: many rows of it."""


def runs_dir(folder: Path | None, config: Sequence[Path] | None) -> Path:
    """Return the folder of all sessions: the one that is given, else the configured one."""
    if folder is not None:
        return folder
    from tidegate.config import load

    return Path(load(config or ()).settings.session.dir)


def existing_part(folder: Path) -> Path:
    """Return ``folder``, or the nearest folder above it that exists."""
    return next(part for part in (folder, *folder.absolute().parents) if part.exists())


def unwritable(folder: Path) -> str | None:
    """Return why ``folder`` cannot be made or written to, None if it can."""
    nearest = existing_part(folder)
    if not nearest.is_dir():
        return f"{nearest} is a file, expected a folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} cannot be written to"
    return None


def last_equity(account: Path) -> tuple[str, str] | None:
    """Return (equity, currency) of the last row of an ``account.csv``, None where there is none."""
    if not account.is_file():
        return None
    with account.open("rb") as file:
        header = file.readline().decode("utf-8")
        size = file.seek(0, 2)
        file.seek(max(len(header.encode()), size - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    if not lines:
        return None
    row = dict(zip(next(csv.reader([header])), next(csv.reader([lines[-1]])), strict=False))
    if "equity" not in row or "currency" not in row:
        return None
    return row["equity"], row["currency"]
