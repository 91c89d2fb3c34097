"""
Where configuration comes from: layers, each a tree of values with its origin.

Later layers win, key by key: tables merge, everything else (lists included) is replaced whole.
A layer knows for each of its leaves what to call its origin in an error or in ``config show``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tidegate.exits import ConfigError
from tidegate.redaction import is_secret
from tidegate.schema import annotation_at, is_structured

ENV_PREFIX = "TIDEGATE_"
ENV_ALIASES: Mapping[str, tuple[str, ...]] = {"TIDEGATE_SEED": ("session", "seed")}
"""Short names in the environment for single keys."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of configuration."""

    name: str
    values: Mapping[str, Any]
    origins: Mapping[Key, str] = field(default_factory=dict)
    path: Path | None = None

    def origin(self, key: Key) -> str:
        """Return what to call the origin of ``key``: an option or variable, or the layer itself."""
        for length in range(len(key), 0, -1):
            if (name := self.origins.get(key[:length])) is not None:
                return name
        below = (name for known, name in self.origins.items() if known[: len(key)] == key)
        return next(below, self.name)


def leaves(values: Mapping[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every key that is not a table, with its value; an empty table is a leaf."""
    for name, value in values.items():
        key = (*prefix, str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, key)
        else:
            yield key, value


def merge(layers: Sequence[Layer]) -> tuple[dict[str, Any], dict[Key, str]]:
    """Return the merged values, and for every leaf the origin that won."""
    merged: dict[str, Any] = {}
    for layer in layers:
        _overlay(merged, layer.values)
    sources: dict[Key, str] = {}
    for key, _ in leaves(merged):
        winner = next(layer for layer in reversed(layers) if _has(layer.values, key))
        sources[key] = winner.origin(key)
    return merged, sources


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        present = below.get(name)
        if isinstance(value, Mapping):
            table = present if isinstance(present, dict) else {}
            _overlay(table, value)
            below[name] = table
        else:
            below[name] = value


def _has(values: Any, key: Key) -> bool:
    for name in key:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def _put(values: dict[str, Any], key: Key, value: Any) -> None:
    for name in key[:-1]:
        values = values.setdefault(name, {})
    values[key[-1]] = value


# --------------------------------------------------------------------------------------- files


def file_layer(path: Path) -> Layer:
    """Read a TOML, JSON or YAML file; the ending of its name says which."""
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: cannot be read: {error}") from None
    match path.suffix.lower():
        case ".toml":
            values = _parse_toml(name, text)
        case ".json":
            values = _parse_json(name, text)
        case ".yaml" | ".yml":
            values = _parse_yaml(name, text)
        case other:
            raise ConfigError(
                f"{name}: found a file ending in {other or 'nothing'!r}, "
                "expected .toml, .json, .yaml or .yml"
            )
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: found a {type(values).__name__}, expected a table of sections")
    return Layer(name, values, path=path)


def _parse_toml(name: str, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None


def _parse_json(name: str, text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise ConfigError(f"{name}: key {twice!r} is given twice in one table")
        return table

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}: not valid JSON: {error}") from None


def _parse_yaml(name: str, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            f"{name}: reading YAML needs a package that is not installed; "
            "install tidegate[yaml], or write the file as TOML or JSON"
        ) from None

    class Unique(yaml.SafeLoader):  # type: ignore[misc]
        """YAML lets a key come twice and keeps the last: a silent way to lose a limit."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if key in seen:
                    line = key_node.start_mark.line + 1
                    raise ConfigError(f"{name}:{line}: key {key!r} is given twice in one table")
                seen.add(key)
            table: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return table

    try:
        return yaml.load(text, Loader=Unique)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None


# --------------------------------------------------------------------------------- environment


def environment_layer(model: type[BaseModel], environ: Mapping[str, str]) -> Layer:
    """
    Read ``TIDEGATE_SECTION__KEY`` variables.

    A list or a table is written as JSON; a value below a free table (as ``[venue.ccxt]``) is JSON
    when it can be read as such, else text. A name that looks like a key and is none is an error.
    """
    values: dict[str, Any] = {}
    origins: dict[Key, str] = {}
    problems: list[str] = []
    for name in sorted(environ):
        key = _env_key(model, name, problems)
        if key is None:
            continue
        origin = f"environment {name}"
        if key in origins and _at(values, key) != environ[name]:
            problems.append(
                f"{origin}: {'.'.join(key)} is also set, differently, by {origins[key]}"
            )
            continue
        try:
            _put(values, key, _env_value(model, key, environ[name]))
        except ValueError as error:
            problems.append(
                f"{origin}: {'.'.join(key)}: found {_shown(key, environ[name])}, {error}"
            )
            continue
        origins[key] = origin
    if problems:
        raise ConfigError(*problems)
    return Layer("environment", values, origins)


def _env_key(model: type[BaseModel], name: str, problems: list[str]) -> Key | None:
    """Return the key that a variable sets, None when it is none of ours; note one that is wrong."""
    if name in ENV_ALIASES:
        return ENV_ALIASES[name]
    if not name.startswith(ENV_PREFIX):
        return None
    rest = name.removeprefix(ENV_PREFIX)
    sections = tuple(model.model_fields)
    if "__" in rest or rest.lower() in sections:
        parts = rest.split("__")
        # Upper case is how variables are written; in a free table the writer's case counts.
        key = tuple(part if part != part.upper() else part.lower() for part in parts)
        if not all(key):
            problems.append(f"environment {name}: an empty name between underscores")
            return None
        return key
    section = next((s for s in sections if rest.lower().startswith(f"{s}_")), None)
    if section is not None:
        meant = f"{ENV_PREFIX}{section.upper()}__{rest[len(section) + 1 :]}"
        problems.append(f"environment {name}: unknown variable; did you mean {meant!r}?")
    return None


def _env_value(model: type[BaseModel], key: Key, text: str) -> Any:
    annotation, free = annotation_at(model, key)
    if free:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    if annotation is not None and is_structured(annotation):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise ValueError('expected JSON, like ["BTC/USDT"]') from None
    return text


def _at(values: Mapping[str, Any], key: Key) -> Any:
    found: Any = values
    for name in key:
        found = found[name]
    return found


def _shown(key: Key, value: Any) -> str:
    return "a secret" if is_secret(key) else repr(value)
