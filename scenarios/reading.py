"""From a file to a checked scenario, or to one clear line per problem."""

from __future__ import annotations

import json
import tomllib
import types
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from scenarios.errors import ScenarioError
from scenarios.model import Scenario
from state.found import kind_of, shown

SUFFIXES = (".scenario.json", ".scenario.toml")


def is_scenario(path: Path) -> bool:
    """Return whether a file's name says that it is a scenario."""
    return path.name.endswith(SUFFIXES)


def find_scenarios(paths: Sequence[Path]) -> list[Path]:
    """
    Return the scenario files that ``paths`` name, folders searched, in order and each once.

    Raises ``ScenarioError`` for a path that is not there, is no scenario or holds none.
    """
    found: dict[Path, Path] = {}
    problems: list[str] = []
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*.scenario.*") if is_scenario(file))
            if not files:
                problems.append(f"{path}: found no scenario, expected files *.scenario.json|.toml")
        elif not path.exists():
            problems.append(f"{path}: no such file or folder")
            continue
        elif not is_scenario(path):
            problems.append(f"{path}: found {path.name!r}, expected a name *.scenario.json|.toml")
            continue
        else:
            files = [path]
        for file in files:
            found.setdefault(file.resolve(), file)
    if problems:
        raise ScenarioError(*problems)
    return list(found.values())


def read_scenario(path: Path) -> Scenario:
    """Return the scenario in ``path``; raise ``ScenarioError`` with a line per problem."""
    return parse_scenario(_document(path), str(path))


def parse_scenario(document: Any, name: str) -> Scenario:
    """Return the scenario that ``document`` is; ``name`` starts every problem's line."""
    if not isinstance(document, dict):
        raise ScenarioError(f"{name}: found {kind_of(document)}, expected a table at the top level")
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A list whose items are wrong is also too short for pydantic: the items say enough.
        causes = [detail for detail in details if detail["type"] != "too_short"] or details
        lines = [f"{name}: {_problem(detail)}" for detail in causes]
        raise ScenarioError(*dict.fromkeys(lines)) from None


def _document(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: found bytes that are not UTF-8, expected text") from error
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_unique)
        return tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise ScenarioError(
            f"{path}: line {error.lineno}, column {error.colno}: {error.msg}; expected JSON"
        ) from error
    except ValueError as error:  # TOML's own errors and a key that is there twice
        raise ScenarioError(f"{path}: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice in one table")
    return table


# ------------------------------------------------------------------------- pydantic's words in ours


def _problem(detail: Any) -> str:
    location = tuple(detail["loc"])
    kind, message = detail["type"], str(detail["msg"])
    where = spelled(_plain(location))
    if kind == "extra_forbidden":
        known = _keys_at(location[:-1])
        near = get_close_matches(str(location[-1]), known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        return f"{where}: unknown key{hint}"
    if kind == "missing":
        return f"{where}: missing, and needed"
    for opening in ("Value error, ", "Assertion failed, "):
        if message.startswith(opening):
            own = message.removeprefix(opening)
            if not own.startswith("expected"):
                return f"{where}: {own}" if where else own
            return f"{where}: found {shown(detail['input'])}, {own}"
    if kind == "too_short":
        return f"{where}: found none, expected at least one"
    if kind == "timezone_aware":
        message = "expected a time with its zone, like 2024-01-01T00:00:00Z"
    if kind == "string_pattern_mismatch":
        message = f"expected the form {detail['ctx']['pattern']}"
    message = message.partition(", unable to parse")[0].partition(", got ")[0]
    for opening in ("Input should be ", "Value should be "):
        if message.startswith(opening):
            message = "expected " + message.removeprefix(opening)
    return f"{where}: found {shown(detail['input'])}, {message[:1].lower()}{message[1:]}"


def spelled(location: Sequence[str | int]) -> str:
    """Return a place in a document as it is written about: ``steps[2].command.verb``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _plain(location: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return pydantic's location without the tags that it adds for members of a union."""
    return tuple(
        part for part in location if isinstance(part, int) or not any(m in part for m in "[](")
    )


def _keys_at(location: Sequence[str | int]) -> list[str]:
    current: Any = Scenario
    for part in location:
        current = next(_inside(current, part), None)
        if current is None:
            return []
    return [name for model in _models(current) for name in _names(model)]


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    if isinstance(part, int):
        yield annotation  # an item of a list has its models
        return
    tables = [kind for kind in _parts(annotation) if get_origin(kind) is dict]
    if tables:
        yield get_args(tables[0])[1]
        return
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                yield field.annotation


def _parts(annotation: Any) -> list[Any]:
    """Return a type, or the members of a union."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return list(get_args(annotation))
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
