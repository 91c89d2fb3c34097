"""Where bad rows go: counted, kept with their reason, and past a limit fatal."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from feeds.errors import BadInput
from feeds.flaws import BadRow

COLUMNS = ("file", "line", "reason", "row")

ROW_TEXT_MAX = 1_000
"""Characters of a bad row that are kept: enough to recognise it, too few to fill a disk."""


class Quarantine:
    """
    Take in bad rows; past ``max_bad_rows`` of them, over all files, raise ``BadInput``.

    The rows, the fatal one included, are written to ``path`` in the order in which they are
    met. No file is made while there is no bad row, or no path.
    """

    def __init__(self, max_bad_rows: int = 0, path: Path | None = None) -> None:
        """Start empty."""
        self.max_bad_rows = max_bad_rows
        self.path = path
        self.count = 0
        self._stream: TextIO | None = None
        self._writer: Any = None

    def put(self, file: str, line: int, bad: BadRow, text: str) -> None:
        """Keep one bad row of ``file``, or raise when it is one too many."""
        self.count += 1
        if self.path is not None:
            self._write(self.path, (Path(file).name, line, bad.flaw.value, text[:ROW_TEXT_MAX]))
        if self.count <= self.max_bad_rows:
            return
        self.close()
        found = bad.found
        if self.max_bad_rows:
            found += f" (bad row {self.count}, where --max-bad-rows allows {self.max_bad_rows})"
        raise BadInput(file, found, bad.expected, line=line, reason=bad.flaw.value)

    def _write(self, path: Path, record: tuple[object, ...]) -> None:
        if self._writer is None:
            # Line by line, so that a crash loses none.
            self._stream = path.open("w", buffering=1, encoding="utf-8", newline="")
            self._writer = csv.writer(self._stream, lineterminator="\n")
            self._writer.writerow(COLUMNS)
        self._writer.writerow(record)

    def close(self) -> None:
        """Finish the file; a later row would begin it anew."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._writer = None
