"""
The universe's lists: which symbols are allowed and which denied, and who says so.

Every other list of the configuration is replaced whole by a later source. These two are added up
over all sources, because a list of what must not be traded has to stay in force whatever is said
later: configuration files, the files that they name, the environment, the command line. What is
denied anywhere is denied, whoever allows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from state.found import shown
from tidegate.exits import ConfigError
from tidegate.layers import Key, Layer, file_layer
from tidegate.schema import nearest

ALLOW: Final = "allow"
DENY: Final = "deny"
LISTS: Final = (ALLOW, DENY)
SECTION: Final = "universe"
FILES: Final[Key] = (SECTION, "files")
TABLES: Final = frozenset({".toml", ".json", ".yaml", ".yml"})
"""Endings of files that hold lists by name; any other file holds one symbol a line."""

LINE: Final = re.compile(r":\d+$")

Sources = Mapping[str, tuple[str, ...]]
"""For each symbol of a list whoever put it there."""


@dataclass(frozen=True, slots=True)
class UniverseLists:
    """Both lists, each symbol with all of its sources, in the order in which they say so."""

    allow: Sources = field(default_factory=dict)
    deny: Sources = field(default_factory=dict)
    files: Sources = field(default_factory=dict)

    def of(self, name: str) -> Sources:
        """Return the list ``allow`` or ``deny``."""
        return self.allow if name == ALLOW else self.deny

    def known(self, key: Key) -> Sources | None:
        """Return the list that a key of the configuration is, ``None`` for any other key."""
        if len(key) == 2 and key[0] == SECTION and key[1] in LISTS:
            return self.of(key[1])
        return None

    def origin(self, key: Key, symbol: str) -> str:
        """Return whose word an entry of a list is, and who overrules it."""
        _, name = key
        said = ", ".join(self.of(name)[symbol])
        if name == ALLOW and symbol in self.deny:
            return f"{said}; denied by {', '.join(self.deny[symbol])}"
        return said

    def origins(self) -> list[str]:
        """Return every source of an entry, each once; of a file its name, without the line."""
        return list(dict.fromkeys(LINE.sub("", source) for source in _all(self.allow, self.deny)))

    def layer(self) -> Layer:
        """Return what the lists come to as the last layer of the configuration."""
        values: dict[str, Any] = {}
        origins: dict[Key, str] = {}
        for name in LISTS:
            if found := self.of(name):
                values[name] = list(found)
                origins[SECTION, name] = ", ".join(dict.fromkeys(_all(found)))
        if self.files:
            values["files"] = list(self.files)
            origins[FILES] = ", ".join(dict.fromkeys(_all(self.files)))
        return Layer("universe lists", {SECTION: values} if values else {}, origins)


def lists_of(layers: Sequence[Layer]) -> UniverseLists:
    """
    Return the lists that ``layers`` and the files that they name add up to.

    Raises one ``ConfigError`` with a line for everything that is wrong in any of them.
    """
    problems: list[str] = []
    found: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in LISTS}
    files: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        for entry in _entries_of(layer, problems):
            _add(found[entry.name], entry.symbol, entry.source)
        for name in _files_of(layer, problems):
            _add(files, name, layer.origin(FILES))
    for name in files:
        for entry in _entries_in(Path(name), problems):
            _add(found[entry.name], entry.symbol, entry.source)
    if problems:
        raise ConfigError(*problems)
    return UniverseLists(found[ALLOW], found[DENY], files)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One symbol of the list ``name``, and whose word it is."""

    name: str
    symbol: str
    source: str


def _add(found: dict[str, tuple[str, ...]], word: str, source: str) -> None:
    known = found.setdefault(word, ())
    if source not in known:
        found[word] = (*known, source)


def _all(*lists: Sources) -> Iterator[str]:
    """Yield the sources of every entry, in order, however often each of them comes."""
    return (source for found in lists for sources in found.values() for source in sources)


def _entries_of(layer: Layer, problems: list[str]) -> Iterator[_Entry]:
    section = layer.values.get(SECTION)
    if not isinstance(section, Mapping):
        return  # whatever it is, the check of the whole configuration says so
    for name in LISTS:
        if name in section:
            origin = layer.origin((SECTION, name))
            spelled = f"{SECTION}.{name}"
            yield from _checked(name, section[name], origin, _nowhere, spelled, problems)


def _files_of(layer: Layer, problems: list[str]) -> list[str]:
    section = layer.values.get(SECTION)
    if not isinstance(section, Mapping) or "files" not in section:
        return []
    named, origin = section["files"], layer.origin(FILES)
    if not isinstance(named, list | tuple) or not all(isinstance(each, str) for each in named):
        problems.append(
            f"{origin}: universe.files: found {shown(named)}, expected a list of files' names"
        )
        return []
    missing = [name for name in named if not Path(name).is_file()]
    problems += [f"{origin}: universe.files: {name}: no such file" for name in missing]
    return [name for name in named if name not in missing]


# ------------------------------------------------------------------------------------- the files


def _entries_in(path: Path, problems: list[str]) -> Iterator[_Entry]:
    """Yield the entries of a file, in its order; note what is wrong with it, by its lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return
    if path.suffix.lower() in TABLES:
        yield from _entries_of_table(path, text, problems)
    else:
        yield from _entries_of_lines(path, text, problems)


def _entries_of_table(path: Path, text: str, problems: list[str]) -> Iterator[_Entry]:
    try:
        values = file_layer(path).values
    except ConfigError as error:
        problems.extend(error.problems)
        return
    line = _line_finder(text)
    for name, found in values.items():
        if name not in LISTS:
            hint = nearest(name, LISTS) or "; expected allow, deny or both"
            problems.append(f"{path}{line(name)}: unknown key {name!r}{hint}")
            continue
        yield from _checked(name, found, str(path), line, name, problems)


def _entries_of_lines(path: Path, text: str, problems: list[str]) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name = DENY if words[0].startswith("-") else ALLOW
        symbol = words[0].removeprefix("-")
        if len(words) > 1 or not is_symbol(symbol):
            problems.append(
                f"{path}:{number}: found {shown(line.strip())}, expected one symbol, like "
                "BTC/USDT, or -BTC/USDT to deny it"
            )
            continue
        yield _Entry(name, symbol, f"{path}:{number}")


def _checked(
    name: str,
    found: Any,
    source: str,
    line: Callable[[Any], str],
    spelled: str,
    problems: list[str],
) -> Iterator[_Entry]:
    """Yield the entries of a list as ``source`` has it; note whatever is no symbol."""
    if not isinstance(found, list | tuple):
        problems.append(
            f"{source}{line(name)}: {spelled}: found {shown(found)}, expected a list of symbols"
        )
        return
    for place, symbol in enumerate(found):
        if is_symbol(symbol):
            yield _Entry(name, symbol, f"{source}{line(symbol)}")
        else:
            problems.append(
                f"{source}{line(symbol)}: {spelled}[{place}]: found {shown(symbol)}, "
                "expected a symbol, like BTC/USDT"
            )


def is_symbol(found: object) -> bool:
    """Tell whether something can be a symbol: one word, and no option by mistake."""
    if not isinstance(found, str) or not found:
        return False
    return not found.startswith("-") and not any(letter.isspace() for letter in found)


def _line_finder(text: str) -> Callable[[Any], str]:
    """Return a function that gives ``:line`` of what is written in exactly one line of a file."""
    lines = text.splitlines()

    def line(written: Any) -> str:
        word = re.escape(str(written))
        at = [
            number
            for number, each in enumerate(lines, 1)
            if re.search(rf"(?<![\w/:.-]){word}(?![\w/:.-])", each)
        ]
        return f":{at[0]}" if len(at) == 1 else ""

    return line


def _nowhere(_written: Any) -> str:
    return ""


__all__ = ["ALLOW", "DENY", "LISTS", "UniverseLists", "is_symbol", "lists_of"]
