"""``tidegate new-strategy NAME``."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tidegate.commands.options import Json
from tidegate.exits import UsageRefused
from tidegate.origin import RESERVED_NAMES
from tidegate.output import say_document
from tidegate.templates import fill

FOLDER = Path("user_strategies")
_FORM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a new strategy."""

    strategy: Path
    test: Path
    scenario: Path

    def __iter__(self) -> Iterator[Path]:
        """Yield them, the strategy first."""
        yield from (self.strategy, self.test, self.scenario)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("new-strategy", short_help="Write a documented strategy, its test, its scenario.")
    def new_strategy(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="Lower case words, like `night_owl`.")
        ],
        minimal: Annotated[
            bool,
            typer.Option("--minimal", help="A small one: market orders, no hooks but on_bar."),
        ] = False,
        as_json: Json = False,
    ) -> None:
        """
        Write a documented strategy, its test and its scenario into user_strategies/.

        It shows the whole contract, in a file that is read in three minutes.
        """
        written = write_strategy(name, FOLDER, minimal=minimal)
        if as_json:
            files = {"strategy": written.strategy, "test": written.test}
            words = {"scenario": written.scenario, "class": _class_name(name)}
            say_document({**files, **words})
            return
        print(f"wrote {written.strategy}, {written.test.name} and {written.scenario.name}")
        missing = (
            "" if find_spec("pytest") else "   (pytest is not installed: `make test` brings it)"
        )
        print(f"test it:      python -m pytest {FOLDER}/{missing}")
        print(f"rehearse it:  tidegate scenario run {written.scenario}")
        print(f"run it:       tidegate replay --data FILE --strategy {written.strategy}")


def write_strategy(name: str, folder: Path, *, minimal: bool = False) -> Written:
    """Write the strategy, its test and its scenario; nothing that exists is touched."""
    _require_good_name(name)
    written = Written(
        folder / f"{name}.py", folder / f"test_{name}.py", folder / f"{name}.scenario.toml"
    )
    for path in written:
        if path.exists():
            raise UsageRefused(f"{path} exists; nothing was written")
    kind = "strategy_minimal" if minimal else "strategy"
    templates = (f"{kind}.py.txt", f"test_{kind}.py.txt", f"{kind}.scenario.toml.txt")
    words = {"NAME": name, "CLASS": _class_name(name), "FOLDER": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    for path, template in zip(written, templates, strict=True):
        path.write_text(fill(template, words), encoding="utf-8")
    return written


def _require_good_name(name: str) -> None:
    from strategies.loader import SHIPPED

    if not _FORM.fullmatch(name):
        raise UsageRefused(
            f"strategy name: found {name!r}, expected lower case words joined by underscores, "
            "like night_owl"
        )
    if name.startswith("test_"):
        raise UsageRefused(f"strategy name: {name!r}: a file of that name is taken for a test")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise UsageRefused(f"strategy name: {name!r} is a word of Python itself")
    if name in RESERVED_NAMES or name in sys.stdlib_module_names:
        raise UsageRefused(f"strategy name: {name!r} is the name of a package that is needed")
    if name in SHIPPED:
        raise UsageRefused(f"strategy name: {name!r} is the name of a shipped strategy")


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
