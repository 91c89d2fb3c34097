"""What every reader of bar files gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from feeds.errors import BadInput
from feeds.flaws import BadRow, Flaw
from feeds.rows import Gate
from feeds.timeline import TIMESTAMP_FORMS, check_unit, parse_timestamp
from messages import Bar

FORMS = "CSV, gzipped CSV, Parquet or feather"


@dataclass(slots=True)
class Peek:
    """
    The times at the start of a file, in file order.

    ``timestamps`` are those of the rows that have one; ``first_bad`` is the first row without,
    as (line, why).
    """

    rows: int = 0
    timestamps: list[int] = field(default_factory=list)
    first_bad: tuple[int, BadRow] | None = None

    def add(self, line: int, time: str | int | None) -> None:
        """Take in one row's time as it stands in the file."""
        self.rows += 1
        try:
            timestamp = to_timestamp(time)
            check_unit(timestamp)
        except BadRow as bad:
            self.first_bad = self.first_bad or (line, bad)
        else:
            self.timestamps.append(timestamp)


def to_timestamp(time: str | int | None) -> int:
    """Return int ms UTC from a field that a file gave as text or as a number."""
    if time is None:
        raise BadRow(Flaw.BAD_TIMESTAMP, "timestamp is missing", TIMESTAMP_FORMS)
    return parse_timestamp(time) if isinstance(time, str) else int(time)


class Reader(Protocol):
    """
    One file of bars, opened anew by each call.

    Structure that is wrong as a whole (encoding, header, column types, compression) raises
    ``BadInput``; a single bad row goes to the gate. Memory does not grow with the file.
    """

    def peek(self, limit: int) -> Peek:
        """Return what the first ``limit`` rows say of time."""

    def batches(self, gate: Gate) -> Iterator[list[Bar]]:
        """Yield the bars that ``gate`` lets through, in file order, in lists."""


def open_binary(path: Path, name: str) -> BinaryIO:
    """Open a file for reading; raise ``BadInput`` if that fails."""
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(name, (error.strerror or "cannot be read").lower(), FORMS) from error
