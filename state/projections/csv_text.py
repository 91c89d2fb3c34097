"""CSV as RFC 4180 has it, lines ended by one newline, quoted only where a reader needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from state.atomic import naming


def quoted(text: str) -> str:
    """Return ``text`` as one CSV field."""
    if "," in text or '"' in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_row(fields: Sequence[str]) -> str:
    """
    Return ``fields`` as one CSV line.

    Fields are looked at one by one only when the joined line shows that one of them needs
    quotes: nearly every row has none.
    """
    row = ",".join(fields)
    if row.count(",") >= len(fields) or '"' in row or "\n" in row or "\r" in row:
        row = ",".join(map(quoted, fields))
    return row + "\n"


class Words(dict[str, str]):
    """
    Give the CSV field of a word, ``words[word]``, looked at once.

    For words of a closed or small number (enumerations, names, currencies): all are kept.
    """

    __slots__ = ()

    def __missing__(self, word: str) -> str:
        """Decide once; a member of an enumeration becomes its plain text."""
        field = self[word] = quoted(f"{word}")
        return field


class CsvFile:
    """
    Write lines to a new file, in UTF-8, a batch at a time.

    Lines are appended to ``lines`` and reach the operating system at the next ``flush``, so a
    reader never sees half a line of a batch that was flushed.
    """

    __slots__ = ("_file", "_path", "lines")

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        """Create or empty the file at ``path`` and write its header."""
        self.lines: list[str] = [csv_row(header)]
        self._path = path
        self._file = path.open("wb", buffering=0)
        self.flush()

    def flush(self) -> None:
        """Hand every line to the operating system."""
        if self.lines:
            data = memoryview("".join(self.lines).encode("utf-8"))
            self.lines.clear()
            with naming(self._path):
                while data:  # a raw file may take a part only
                    data = data[self._file.write(data) :]

    def close(self) -> None:
        """Flush and close; may be called again without effect."""
        if not self._file.closed:
            self.flush()
            self._file.close()
