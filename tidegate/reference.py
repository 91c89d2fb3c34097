"""
Write the reference pages of the command line and of the configuration from the code itself.

    python -m tidegate.reference [--check]     writes docs/reference/; --check: exits 1 if stale
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

NOTE = "<!-- written by `python -m tidegate.reference`; do not edit -->\n"
EXIT_CODES = (
    ("0", "done"),
    ("1", "checked and found wanting"),
    ("2", "usage or configuration"),
    ("3", "halted by a risk guard"),
    ("4", "kill switch"),
    ("5", "start-up refused"),
    ("6", "a fault inside; the traceback is in the log"),
    ("130", "interrupted"),
)

CLI_OPENING = """\
# Command line

Every command takes `--json`: exactly one JSON document on standard output, nothing else there.
Logs, progress and errors go to standard error.
"""
CLI_SESSION = """\
A `SESSION` is a session id, a unique beginning of one, `latest`, or a session's folder.
"""
CONFIGURATION_OPENING = """\
# Configuration

Sources, the later one wins, key by key: the files given by `-c` in order (without any,
`./tidegate.toml`; `replay` reads only files given by `-c`), then the environment, then the
command line. Files are TOML, JSON or YAML. Tables merge; lists are replaced whole, but for those
of the [universe](../how-to/universe.md), which are added up. Relative paths start at the working
directory. An unknown key is an error.

In the environment a key is `TIDEGATE_SECTION__KEY`; a list or table is written as JSON.
`TIDEGATE_SEED` is short for `TIDEGATE_SESSION__SEED`. `tidegate config show` prints every key
with the source that won, `tidegate config schema` the JSON Schema.

Amounts of money and other exact numbers are written in quotes (`"1000.50"`); a float is refused.

Credentials do not belong in a configuration file. They come from the environment
(`TIDEGATE_VENUE__CREDENTIALS__API_KEY`) or from a file of their own that holds nothing else and
that only its owner can read (0600), given by one more `-c`. A `.env` file is not read: what happens
to lie in a folder does not decide whose account is traded (`set -a; . ./.env; set +a` gives it to
the environment).
"""


def pages() -> dict[str, str]:
    """Return the text of every generated page by its name."""
    return {"cli.md": cli_page(), "configuration.md": configuration_page()}


# ---------------------------------------------------------------------------------- command line


def cli_page() -> str:
    """Return the page of all commands with all their options."""
    from tidegate.cli import app

    parts = [NOTE, CLI_OPENING, _table(("exit code", "meaning"), EXIT_CODES), CLI_SESSION]
    for path, command in _commands(typer.main.get_command(app), ()):
        parts.append(_command_section(path, command))
    return "\n".join(parts)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _commands(child, (*path, name))


def _command_section(path: Sequence[str], command: Any) -> str:
    name = " ".join(("tidegate", *path))
    shown = [param for param in command.params if param.name != "help"]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    options = [param for param in shown if param.param_type_name == "option"]
    usage = " ".join([name, *(str(param.metavar) for param in arguments)])
    rows = [(f"`{param.metavar}`", param.help or "", "") for param in arguments]
    rows += [(_option(param), param.help or "", _default(param)) for param in options]
    text = "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    return "\n".join([f"## {usage}\n", f"{text}\n", _table(("option", "meaning", "default"), rows)])


def _option(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.is_flag:
        return names
    assert param.metavar, f"option {param.name} says what its value is"
    return f"{names} `{param.metavar}`"


def _default(param: Any) -> str:
    if param.is_flag or param.default in (None, (), []):
        return ""
    return f"`{param.default}`"


# --------------------------------------------------------------------------------- configuration


def configuration_page() -> str:
    """Return the page of all configuration keys."""
    from tidegate.config import Settings

    parts = [NOTE, CONFIGURATION_OPENING]
    for name, field in Settings.model_fields.items():
        parts.append(_section(name, field))
    return "\n".join(parts)


def _section(name: str, field: FieldInfo) -> str:
    model = _model_of(field.annotation)
    assert model is not None, f"section {name} is a settings model"
    many = get_origin(field.annotation) in {tuple, list}
    heading = f"[[{name}]]" if many else f"[{name}]"
    doc = " ".join((model.__doc__ or "").split())
    meaning = doc.partition(": ")[2] or doc
    meaning = meaning.replace("``", "`")
    rows = [_with_state(name, row) for row in _rows(model, "")]
    return "\n".join(
        [
            f"## {heading}\n",
            f"{meaning[:1].upper()}{meaning[1:]}\n",
            _table(("key", "type", "default", "meaning"), rows),
        ]
    )


def _with_state(section: str, row: tuple[str, ...]) -> tuple[str, ...]:
    """Add to a key's meaning that this version refuses it, where that is so."""
    from tidegate.compose import NOT_IN_FORCE

    key = (section, *row[0].strip("`").split("."))
    waits = any(key[: len(known)] == known for known in NOT_IN_FORCE)
    return (*row[:-1], f"{row[-1]} (refused by this version: not in force yet)") if waits else row


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        if inner is not None:
            yield from _rows(inner, f"{prefix}{name}.")
            continue
        meaning = " ".join((field.description or "").split()).replace("``", "`")
        yield f"`{prefix}{name}`", _type(field.annotation), _shown_default(field), meaning


def _shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=True, validated_data={})
    match default:
        case None:
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case str():
            return f'`"{default}"`'
        case tuple() | list() | dict():
            return "" if not default else f"`{list(default)}`"
        case datetime():
            return f"`{default.isoformat()}`"
        case _:
            return f"`{default}`"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin in {tuple, list}:
        return f"list of {_type(arguments[0])}"
    if origin in {dict, Mapping} or annotation is dict:
        return "table"
    if isinstance(annotation, type) and hasattr(annotation, "__members__"):
        return ", ".join(f'`"{member.value}"`' for member in annotation)  # type: ignore[attr-defined]
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    names |= {"Decimal": "exact number", "Path": "path", "SecretStr": "secret text"}
    names |= {"AwareDatetime": "time with a zone"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _model_of(part)) is not None:
            return found
    return None


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` name those that are stale."""
    folder = Path(__file__).resolve().parent.parent / "docs" / "reference"
    stale = []
    for name, text in pages().items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    if "--check" in arguments and stale:
        print(f"stale: {', '.join(stale)}; run python -m tidegate.reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
