"""What the command line says about the configuration: its last and strongest layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.exits import UsageRefused
from tidegate.layers import Key, Layer


class CommandLine:
    """Collects options as configuration values, each with the option that set it."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._origins: dict[Key, str] = {}

    def put(self, key: Key, value: Any, option: str) -> None:
        """Set ``key`` to what ``option`` says; an option that was not given (None) says nothing."""
        if value is None:
            return
        table = self._values
        for name in key[:-1]:
            table = table.setdefault(name, {})
        table[key[-1]] = value
        self._origins[key] = f"command line {option}"

    def data(self, files: Sequence[str] | None, symbol: str | None) -> None:
        """Take ``--data`` and ``--symbol``."""
        if files:
            self.put(("feed", "source"), "file", "--data")
            self.put(("feed", "files"), list(files), "--data")
            # What a configuration file trades need not be in these files.
            self.put(("universe", "symbols"), [], "--data")
        if symbol is not None:
            self.put(("universe", "symbols"), [symbol], "--symbol")

    def strategy(self, use: str | None, params: Sequence[str] | None) -> None:
        """Take ``--strategy`` with its ``--param KEY=VALUE``: the session's only strategy."""
        if use is None:
            if params:
                raise UsageRefused("--param: there is no --strategy that it belongs to")
            return
        from strategies.loader import load_strategy

        values: dict[str, str] = {}
        for text in params or ():
            name, equals, value = text.partition("=")
            if not equals or not name:
                raise UsageRefused(f"--param: found {text!r}, expected KEY=VALUE")
            if name in values:
                raise UsageRefused(f"--param: {name} is given twice")
            values[name] = value
        section = {"name": load_strategy(use).name, "use": use, "params": values}
        self.put(("strategies",), [section], "--strategy")

    def lists(self, allow: Sequence[str] | None, deny: Sequence[str] | None) -> None:
        """Take ``--allow`` and ``--deny``: they are added to the universe's lists."""
        self.put(("universe", "allow"), list(allow) if allow else None, "--allow")
        self.put(("universe", "deny"), list(deny) if deny else None, "--deny")

    def layer(self) -> Layer:
        """Return the layer of all that was given."""
        return Layer("command line", self._values, self._origins)
