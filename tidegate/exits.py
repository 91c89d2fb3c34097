"""How a command ends: the exit codes of the contract, and the errors that carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; each has one meaning for every command."""

    DONE = 0
    WANTING = 1  # checked and found wanting: verify, check
    USAGE = 2  # usage or configuration
    HALTED = 3  # halted by a risk guard
    KILLED = 4  # kill switch
    REFUSED = 5  # start-up refused: reconciliation, approval, second instance, foreign floor
    FAULT = 6  # a fault inside
    INTERRUPTED = 130


class CommandError(Exception):
    """
    End the command with ``code`` and one line per problem on stderr.

    An operating error: it says what is wrong and where, and never shows a traceback.
    """

    code = Exit.USAGE

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems
        self.table: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None
        self.details: Mapping[str, object] = {}


class UsageRefused(CommandError):
    """What was asked for cannot be done: the command line, the configuration or an input."""


class ConfigError(UsageRefused):
    """The configuration is wrong; each problem names its source and its key."""


class Wanting(CommandError):
    """What was checked is not as it should be."""

    code = Exit.WANTING


class StartRefused(CommandError):
    """
    Nothing was started, because starting would not be safe.

    ``table`` (columns and rows) and ``details`` say what was found, to readers and in JSON.
    """

    code = Exit.REFUSED


class Interrupted(CommandError):
    """Ctrl-C in the middle of a command."""

    code = Exit.INTERRUPTED


class DiskFailed(CommandError):
    """A file could not be written; the session ended there, with all that was durable before."""

    code = Exit.FAULT
