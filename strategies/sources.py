"""
What a strategy is made of: its own file, and the files beside it that it imports.

A strategy is often in more than one file. Whoever approves of one, goes on with a session of it or
takes back what it once learned means all of them. Followed are imports as they are written, within
functions too, and ``import_module`` of a name that is written there. A module that is found by a
name made up at run time is not: where that is done is said. What is imported from elsewhere is
named, for whoever asks of which version it is.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FLOORS: Final = frozenset(
    {"actors", "brokers", "feeds", "messages", "scenarios", "state", "strategies", "tidegate"}
)
"""Packages of this program, which are told by a hash of their own."""

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders in which what lies side by side does not belong together."""


NAMED: Final = frozenset({"__import__", "import_module"})
"""What imports a module by its name: one that is written there is followed."""

BUILTIN: Final = frozenset({"__import__", "eval", "exec"})
"""What can bring in code that no import names, and is a method of anything as well."""

LOADERS: Final = NAMED | {
    "entry_points",
    "iter_modules",
    "load_module",
    "run_module",
    "run_path",
    "spec_from_file_location",
}
"""The same, by whatever module it is called."""


@dataclass(frozen=True, slots=True)
class Sources:
    """
    What a strategy is made of.

    ``sha256`` is the digest of its files: of its own alone, where that is all. ``imported`` are the
    packages that they import and that are not Python's or this program's, by the names under which
    they do, ``elsewhere`` those of which there is nothing beside them: an installed package goes
    before one that is. ``unfollowed`` says where code may come in that none of that covers, as
    ``file:line: what``.
    """

    sha256: str
    imported: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()


def sources_of(content: bytes, file: Path, root: Path) -> Sources:
    """
    Return what a strategy is made of whose ``file`` has ``content``.

    ``root`` is the folder from which its module is imported.
    """
    walk = _Walk(file, root)
    walk.through(content)
    others = sorted(walk.files - {file})
    names = (
        tuple(sorted(walk.imported)),
        tuple(sorted(walk.imported - walk.beside)),
        tuple(sorted(walk.unfollowed)),
    )
    if not others:
        return Sources(hashlib.sha256(content).hexdigest(), *names)
    found = hashlib.sha256()
    for path, text in ((file, content), *((each, each.read_bytes()) for each in others)):
        found.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode())
        found.update(text)
    return Sources(found.hexdigest(), *names)


def root_of(file: Path, module_name: str) -> Path:
    """Return the folder from which the module of ``file`` is imported by its name."""
    depth = module_name.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


class _Walk:
    """A walk through the files below ``root`` that ``file`` imports, however indirectly."""

    def __init__(self, file: Path, root: Path) -> None:
        self._file = file
        self._root = root
        self._own = file.relative_to(root).parts[0].removesuffix(".py")
        self.files: set[Path] = set()
        self.imported: set[str] = set()
        self.beside: set[str] = set()
        self.unfollowed: set[str] = set()

    def through(self, content: bytes) -> None:
        """Walk on from the first file, which has ``content``; of this program there is no more."""
        waiting = [] if self._own in FLOORS else [(content, self._file)]
        while waiting:
            text, path = waiting.pop()
            for name in self._imported(text, path):
                top = name[0]
                if top in FLOORS and top != self._own:
                    continue
                is_apart = self._root.name in INSTALLED and top != self._own
                found = set() if is_apart else set(_files(self._root, name))
                if top != self._own and top not in sys.stdlib_module_names:
                    self.imported.add(top)
                if found:
                    self.beside.add(top)
                new = found - self.files
                self.files |= new
                waiting += [(each.read_bytes(), each) for each in sorted(new)]

    def _imported(self, content: bytes, file: Path) -> Iterator[tuple[str, ...]]:
        """Yield the names of all modules that a file may import, from the root downwards."""
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            return  # it cannot be imported either
        package = file.relative_to(self._root).parts[:-1]
        for node in ast.walk(tree):
            match node:
                case ast.Import():
                    yield from (tuple(each.name.split(".")) for each in node.names)
                case ast.ImportFrom():
                    above = len(package) - node.level + 1
                    base = package[: max(above, 0)] if node.level else ()
                    name = (*base, *(node.module.split(".") if node.module else ()))
                    # What is imported from a package may be a module of it.
                    yield from ((*name, each.name) for each in node.names)
                    for each in node.names:
                        if each.name in LOADERS and each.asname:
                            self._leave(each.name, node, file)
                case ast.Call():
                    yield from self._called_for(node, file)

    def _called_for(self, call: ast.Call, file: Path) -> Iterator[tuple[str, ...]]:
        """Yield the module that a call imports by its name; note one that may bring in any."""
        match call.func:
            case ast.Name(id=by) if by in LOADERS | BUILTIN:
                pass
            case ast.Attribute(attr=by) if by in LOADERS:
                pass
            case _:
                return
        match call.args:
            case [ast.Constant(value=str(name))] if by in NAMED and name and name[0] != ".":
                yield tuple(name.split("."))
            case _:
                self._leave(by, call, file)

    def _leave(self, by: str, node: ast.Call | ast.ImportFrom, file: Path) -> None:
        place = f"{file.relative_to(self._root).as_posix()}:{node.lineno}"
        self.unfollowed.add(f"{place}: {by}")


def _files(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files that run when ``name`` is imported, as far as they lie below ``root``."""
    folder = root
    for part in name:
        for path in (folder / part / "__init__.py", folder / f"{part}.py"):
            if path.is_file():
                yield path
        folder /= part
