"""
What a command says, and where.

Standard output carries the answer and nothing else: with ``--json`` exactly one JSON document,
also when the command fails. Logs, progress and errors go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from state.atomic import is_disk_error
from tidegate.aside import PATIENCE_S, BesideFile, say_aside

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int], None]


def json_wanted(arguments: Sequence[str]) -> bool:
    """Tell whether a command line asks for JSON, before or without its being understood."""
    return "--json" in arguments


def say_document(document: Mapping[str, Any]) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n")


def say_error(
    problems: Sequence[str],
    exit_code: int,
    *,
    as_json: bool,
    details: Mapping[str, object] | None = None,
) -> None:
    """
    Write each problem on its line to standard error; with JSON also as the one document.

    ``details`` is what the document says more about the error.
    """
    for problem in problems:
        say_aside(f"tidegate: {problem}\n")
    if as_json:
        error = {"problems": list(problems), **(details or {})}
        told(lambda: say_document({"error": error, "exit_code": int(exit_code)}))


def told(say: Callable[[], object]) -> bool:
    """
    Have something said on standard output, of what is over; return whether the disk took it.

    Whoever reads it may have seen enough (``| head``), or the file may be on a full disk: the exit
    code is that of what was done all the same.
    """
    try:
        say()
        sys.stdout.flush()
    except BrokenPipeError:
        _stdout_to_nobody()
    except OSError as error:
        if not is_disk_error(error):
            raise
        _stdout_to_nobody()
        say_aside(f"tidegate: standard output: {error.strerror}\n")
        return False
    return True


def _stdout_to_nobody() -> None:
    # What is still in the buffer goes there too, or the interpreter would end with an error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """Return the console of standard output; in a pipe it neither colours nor wraps."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=10_000, no_color=True)


def say_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show a table on standard output; the texts are shown as they are, without markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    out = console()
    if not out.is_terminal:
        # Trailing blanks would only widen what a pipe carries.
        with out.capture() as captured:
            out.print(table)
        lines = [line.rstrip() for line in captured.get().splitlines()]
        sys.stdout.write("\n".join(lines).strip("\n") + "\n")
        return
    out.print(table)


@contextmanager
def progress_bar(label: str, total: int | None = None) -> Iterator[Progress | None]:
    """
    Give a function that takes the count done so far; None where nobody watches a terminal.

    It never waits for the terminal: a session must not stand still with who watches it.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    drawn = BesideFile(sys.stderr.fileno())
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} bars"),
        TimeElapsedColumn(),
        console=Console(file=drawn),
        redirect_stdout=False,  # what is said is not drawn: it is never left out
        redirect_stderr=False,
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
    drawn.drain(PATIENCE_S)


def _plain(value: Any) -> Any:
    """Return the JSON form of what JSON does not know: exact numbers stay exact, as text."""
    match value:
        case Decimal():
            return format(value, "f")
        case Path():
            return str(value)
        case Enum():
            return value.value
        case tuple() | set() | frozenset():
            return list(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
