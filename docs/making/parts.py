"""What the pages are put together from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

NOTE = "<!-- written by `python docs/generate.py`; do not edit -->\n"


def page(title: str, opening: str, *parts: str) -> str:
    """Return a page of the house's form."""
    return "\n".join([NOTE, f"# {title}\n", inspect.cleandoc(opening) + "\n", *parts]) + (
        "" if parts[-1].endswith("\n") else "\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def mermaid(text: str) -> str:
    """Return a diagram as Markdown renders it."""
    return f"```mermaid\n{text}```\n"


def meaning(kind: object) -> str:
    """Return what a docstring says first."""
    first = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return " ".join(first.replace("``", "`").split())


def commented(kind: type[Enum]) -> Iterator[tuple[str, str]]:
    """Yield every member of an enumeration with the comment beside it."""
    source = inspect.getsource(kind)
    for member in kind:
        match = re.search(rf"^    {member.name} = .*#\s*(.+)$", source, re.MULTILINE)
        yield member.name, match[1] if match else "market data"


def often(count: int, length_s: float) -> str:
    """Return a bound on restarts in words."""
    return f"{count} in {span(length_s)}"


def span(length_s: float) -> str:
    """Return a span of time in its largest whole unit."""
    for unit, unit_s in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if length_s % unit_s == 0:
            return f"{length_s / unit_s:g} {unit}"
    return f"{length_s:g} s"
