"""The form of one table of a report, before it is text of any format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """
    One table of a report; every cell is plain text, not yet escaped for any format.

    ``numeric`` are the indexes of columns that are set flush right. A table without columns
    is a list of facts: rows are (name, value); ``names_are_code`` when names are to be typed.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    note: str = ""
    names_are_code: bool = False


Section = tuple[Table, ...]
"""Tables that belong together, under the title of the first."""


def more(left_out: int) -> str:
    """Return the note on rows that a bounded table leaves out, empty if there are none."""
    return f"{left_out:,} more: see events.ndjson." if left_out > 0 else ""
