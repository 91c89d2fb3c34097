"""``tidegate new-strategy NAME``."""

from __future__ import annotations

import keyword
import re
import sys
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


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command("new-strategy", short_help="Write a documented strategy and its test.")
    def new_strategy(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="Lower case words, like `night_owl`.")
        ],
        as_json: Json = False,
    ) -> None:
        """Write a documented strategy and its test into user_strategies/."""
        strategy, test = write_strategy(name, FOLDER)
        class_name = _class_name(name)
        if as_json:
            say_document({"strategy": strategy, "test": test, "class": class_name})
            return
        print(f"wrote {strategy} and {test}")
        missing = (
            "" if find_spec("pytest") else "   (pytest is not installed: `make test` brings it)"
        )
        print(f"test it:  python -m pytest {test}{missing}")
        print(f"run it:   tidegate replay --data FILE --strategy {strategy}")


def write_strategy(name: str, folder: Path) -> tuple[Path, Path]:
    """Write the strategy and its test; nothing that exists is touched."""
    _require_good_name(name)
    strategy, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (strategy, test):
        if path.exists():
            raise UsageRefused(f"{path} exists; nothing was written")
    words = {"NAME": name, "CLASS": _class_name(name), "FOLDER": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    strategy.write_text(fill("strategy.py.txt", words), encoding="utf-8")
    test.write_text(fill("test_strategy.py.txt", words), encoding="utf-8")
    return strategy, test


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
