"""
Refuse an installation that is not whole: floors from elsewhere, assertions switched off.

What it is made of is told by a hash: a version says what its author had in mind.

The names of the floors are plain words (``messages``, ``state``, ``actors``): another package,
or a folder of the working directory, may carry one of them and be found first.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from tidegate.exits import StartRefused

FLOORS = ("actors", "brokers", "feeds", "messages", "scenarios", "state", "strategies")
RESERVED_NAMES = frozenset({*FLOORS, "docs", "tests", "tidegate"})
"""What ``init`` and ``new-strategy`` never call a file or a folder."""


def require_assertions() -> None:
    """Refuse to start under ``python -O``: assertions state what must hold, and stay on."""
    if not __debug__:
        raise StartRefused(
            "start-up refused: python runs without assertions (-O or PYTHONOPTIMIZE), "
            "expected them on: they guard the books"
        )


def require_own_floors(home: Path | None = None) -> None:
    """Refuse to start, naming it, when a floor is not of this installation."""
    home = home or Path(__file__).resolve().parent.parent
    problems = []
    for floor in FLOORS:
        found = _folder_of(floor)
        if found != home / floor:
            place = "nowhere" if found is None else str(found)
            problems.append(
                f"start-up refused: package '{floor}' is imported from {place}, "
                f"expected {home / floor}"
            )
    if problems:
        raise StartRefused(*problems)


@cache
def code_sha256(home: Path | None = None) -> str:
    """Return what tells this very code from any other: a hash of every source of every floor."""
    home = home or Path(__file__).resolve().parent.parent
    found = hashlib.sha256()
    for package in sorted({*FLOORS, "tidegate"}):
        for path in sorted((home / package).rglob("*.py")):
            content = path.read_bytes()
            found.update(f"{path.relative_to(home).as_posix()} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()


def _folder_of(package: str) -> Path | None:
    """Return where ``package`` is, or would be, imported from."""
    try:
        spec: ModuleSpec | None = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None
