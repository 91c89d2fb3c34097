"""Ctrl-C while a command is still being loaded."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import pytest

from tidegate import cli
from tidegate.__main__ import INTERRUPTED, main
from tidegate.exits import Exit


class Impatience:
    """Somebody who presses Ctrl-C as soon as the commands are looked for."""

    def find_spec(self, name: str, *_: Any) -> None:
        """Interrupt, as a signal would."""
        if name == "tidegate.cli":
            raise KeyboardInterrupt


def test_an_interrupt_before_a_command_has_begun_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exit code says what happened, as it does of one that has begun."""
    monkeypatch.delitem(sys.modules, "tidegate.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Impatience(), *sys.meta_path])

    assert Exit.INTERRUPTED == INTERRUPTED == main()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_interrupt_in_a_command_is_one_line(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the command has nothing of its own to say; with JSON it is the document too."""

    def press(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "require_own_floors", press)
    code = cli.main(["version", *options])
    said = capsys.readouterr()

    assert (Exit.INTERRUPTED, "tidegate: interrupted\n") == (code, said.err)
    if options:
        assert {"error": {"problems": ["interrupted"]}, "exit_code": 130} == json.loads(said.out)
