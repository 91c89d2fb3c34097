"""The rows of ``intents.csv`` and ``round_trips.csv``, by column."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from session_makers import EXECUTION_FILES, write_csv

from state.journal import Entry

Row = dict[str, str]


def files_of(tmp_path: Path, entries: Sequence[Entry], **options: Any) -> dict[str, str]:
    """Return the texts of both files."""
    return write_csv(tmp_path, entries, files=EXECUTION_FILES, **options)


def rows_of(text: str) -> list[Row]:
    """Return the rows of a CSV file by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def intents_of(tmp_path: Path, entries: Sequence[Entry]) -> list[Row]:
    """Return the rows of ``intents.csv``."""
    return rows_of(files_of(tmp_path, entries)["intents.csv"])


def trips_of(tmp_path: Path, entries: Sequence[Entry]) -> list[Row]:
    """Return the rows of ``round_trips.csv``."""
    return rows_of(files_of(tmp_path, entries)["round_trips.csv"])


def shown(row: Row, names: str) -> list[str]:
    """Return the named columns of a row."""
    return [row[name] for name in names.split()]
