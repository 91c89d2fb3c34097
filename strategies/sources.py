"""
What a strategy is made of: its own file, and the files beside it that it imports.

A strategy is often in more than one file. Whoever approves of one, goes on with a session of it or
takes back what it once learned means all of them. Followed are imports as they are written, within
functions too; a module that is found by a name made up at run time is not.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FLOORS: Final = frozenset(
    {"actors", "brokers", "feeds", "messages", "scenarios", "state", "strategies", "tidegate"}
)
"""Packages of this program, which are told by a hash of their own."""

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders in which what lies side by side does not belong together."""


def source_sha256(content: bytes, file: Path, root: Path) -> str:
    """
    Return the digest of a strategy whose ``file`` has ``content``: of that alone, where it is all.

    ``root`` is the folder from which its module is imported.
    """
    others = sorted(_beside(content, file, root) - {file})
    if not others:
        return hashlib.sha256(content).hexdigest()
    found = hashlib.sha256()
    for path, text in ((file, content), *((each, each.read_bytes()) for each in others)):
        found.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode())
        found.update(text)
    return found.hexdigest()


def root_of(file: Path, module_name: str) -> Path:
    """Return the folder from which the module of ``file`` is imported by its name."""
    depth = module_name.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def _beside(content: bytes, file: Path, root: Path) -> set[Path]:
    """Return the files below ``root`` that are imported by ``file``, however indirectly."""
    own = file.relative_to(root).parts[0].removesuffix(".py")
    found: set[Path] = set()
    waiting = [] if own in FLOORS else [(content, file)]
    while waiting:
        text, path = waiting.pop()
        for name in _imported(text, path, root):
            top = name[0]
            if top != own and (top in FLOORS or root.name in INSTALLED):
                continue
            new = set(_files(root, name)) - found
            found |= new
            waiting += [(each.read_bytes(), each) for each in new]
    return found


def _imported(content: bytes, file: Path, root: Path) -> Iterator[tuple[str, ...]]:
    """Yield the names of all modules that a file may import, from ``root`` downwards."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return  # it cannot be imported either
    package = file.relative_to(root).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(each.name.split(".")) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = len(package) - node.level + 1
            base = package[: max(above, 0)] if node.level else ()
            name = (*base, *(node.module.split(".") if node.module else ()))
            # What is imported from a package may be a module of it.
            yield from ((*name, each.name) for each in node.names)


def _files(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files that run when ``name`` is imported, as far as they lie below ``root``."""
    folder = root
    for part in name:
        for path in (folder / part / "__init__.py", folder / f"{part}.py"):
            if path.is_file():
                yield path
        folder /= part
