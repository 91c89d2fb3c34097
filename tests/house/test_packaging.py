"""The tree is what its packaging says it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import tidegate

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads(Path(ROOT, "pyproject.toml").read_text("utf-8"))
PINS = sorted(Path(ROOT, "requirements").glob("*.txt"))
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==[0-9][A-Za-z0-9.]*")


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_list_of_packages_is_the_same() -> None:
    """What is installed, typed and held to the floors is one list of packages."""
    tool = PROJECT["tool"]
    installed = tool["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert installed == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    assert installed == tool["mypy"]["packages"]
    assert installed == tool["importlinter"]["root_packages"]
    assert installed == tool["ruff"]["lint"]["isort"]["known-first-party"]


def test_every_package_is_marked_as_typed() -> None:
    """Users' type checkers see our annotations."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    untyped = [package for package in packages if not (ROOT / package / "py.typed").is_file()]

    assert untyped == []


def test_the_version_stands_in_one_place() -> None:
    """The packaging reads the version that the program shows."""
    assert "version" in PROJECT["project"]["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", tidegate.__version__)


def test_every_line_of_the_pins_is_an_exact_version() -> None:
    """No range, no address and no host: a pin is a name and a version."""
    loose = [
        f"{path.name}: {line}"
        for path in PINS
        for line in path.read_text("utf-8").splitlines()
        if not line.startswith(("#", "-c ")) and not PIN.fullmatch(line)
    ]

    assert loose == []


def test_every_direct_dependency_is_pinned() -> None:
    """A clean install today is the same install next year."""
    pinned = {
        plain(match["name"])
        for path in PINS
        for line in path.read_text("utf-8").splitlines()
        if (match := PIN.fullmatch(line))
    }
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    names = {plain(re.split(r"[\[<>=~;! ]", each)[0]) for each in wanted} - {"tidegate"}

    assert names - pinned == set()
