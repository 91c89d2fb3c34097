"""
Where in a strategy's own code something went wrong: file, line, function.

An error is raised where it is noticed, which may be deep in a library or in our own code, after
the hook that is to blame has returned. Whoever wrote the strategy looks for the line of theirs.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Final

CONTRACT: Final = "strategies.contract"
"""The module whose classes are ours: what a strategy inherits from them is not its own."""

CHAIN_MAX: Final = 10
"""Errors that are looked through, each the cause of the one before."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code. As text it has the file's last two parts: the same on every machine."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """Return ``folder/file.py:12 in on_bar``."""
        short = "/".join(Path(self.file).parts[-2:])
        return f"{short}:{self.line}" + (f" in {self.function}" if self.function else "")


def place_of_error(error: BaseException, files: frozenset[str]) -> Place | None:
    """Return the innermost line of ``files`` that ``error`` came through, if there is one."""
    for each in _chain(error):
        found = None
        for file, line, function in _frames(each.__traceback__):
            if file in files:
                found = Place(file, line, function)
        if found is not None:
            return found
    return None


def place_of_hook(kind: type, hook: str) -> Place | None:
    """Return where a class defines ``hook``, else where the class itself begins."""
    method = getattr(kind, hook, None) if hook else None
    code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
    if isinstance(code, CodeType) and code.co_filename in own_files(kind):
        return Place(code.co_filename, code.co_firstlineno, hook)
    return place_of_class(kind)


def place_of_class(kind: type) -> Place | None:
    """Return where a class begins, ``None`` where its source is not known."""
    try:
        file = inspect.getsourcefile(kind)
        line = inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return None
    return None if file is None else Place(file, line, "")


def own_files(factory: Callable[..., Any]) -> frozenset[str]:
    """Return the files of a strategy: those of its class and of the bases that are not ours."""
    if isinstance(factory, type):
        return frozenset(
            file
            for base in factory.__mro__
            if base.__module__ not in {CONTRACT, "builtins", "abc", "typing"}
            and (file := file_of_module(base.__module__))
        )
    code = getattr(factory, "__code__", None)
    return frozenset({code.co_filename}) if isinstance(code, CodeType) else frozenset()


def file_of_module(name: str) -> str:
    """Return the file of a module that is loaded, empty if there is none."""
    return getattr(sys.modules.get(name), "__file__", None) or ""


def told(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(CHAIN_MAX):
        if found is None:
            return
        yield found
        found = found.__cause__


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield code.co_filename, traceback.tb_lineno, code.co_name
        traceback = traceback.tb_next
