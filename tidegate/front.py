"""
The one place where commands end: errors become lines and exit codes.

Every command runs inside ``finish``. An operating error says what is wrong and where; a fault
of ours is one short line, and its traceback goes to the log only.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from tidegate.exits import CommandError, Exit
from tidegate.output import json_wanted, say_error, say_table, told
from tidegate.redaction import Redactor

USAGE_ERRORS: tuple[type[Exception], ...] = typer.BadParameter.__bases__
"""Typer's errors of the command line. It names only this one of them in public."""

OPERATING_ERRORS = {
    "brokers.settings": "VenueUnavailable",
    "feeds.errors": "FeedError",
    "scenarios.errors": "ScenarioError",
    "state.instruments": "InstrumentError",
    "strategies.loader": "StrategyLoadError",
}
"""Errors of the floors below that speak of the user's input; looked up without an import."""


@dataclass(slots=True)
class Front:
    """What the end of a command must know of its course."""

    log_folder: Path = Path("runs") / "logs"
    redactor: Redactor = field(default_factory=Redactor)


_front = Front()


def current() -> Front:
    """Return the running command's front."""
    return _front


def finish(command: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Run ``command`` and return its exit code, whatever becomes of it."""
    global _front  # noqa: PLW0603 - one command per process; tests run several in a row
    _front = Front()
    as_json = json_wanted(arguments)
    code = None
    try:
        code = command()
        sys.stdout.flush()
    except CommandError as error:
        table = error.table
        if table is not None and not as_json:
            told(lambda: say_table(*table))
        say_error(error.problems, error.code, as_json=as_json, details=error.details)
        return int(error.code)
    except USAGE_ERRORS as error:
        say_error([_usage_line(error)], Exit.USAGE, as_json=as_json)
        return int(Exit.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        say_error(["interrupted"], Exit.INTERRUPTED, as_json=as_json)
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader has seen enough (``| head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DONE) if code is None else int(code)
    except Exception as error:  # noqa: BLE001 - the last one: it ends in the log and in a code
        return _end_badly(error, as_json=as_json)
    return int(Exit.DONE) if code is None else int(code)


def _end_badly(error: Exception, *, as_json: bool) -> int:
    if _is_operating(error):
        problems = _front.redactor.text(str(error)).splitlines()
        say_error(problems, Exit.USAGE, as_json=as_json)
        return int(Exit.USAGE)
    what = _front.redactor.text(f"{type(error).__name__}: {error}".splitlines()[0])
    place = _record(error)
    say_error([f"internal fault: {what} (traceback in {place})"], Exit.FAULT, as_json=as_json)
    return int(Exit.FAULT)


def _is_operating(error: Exception) -> bool:
    for module_name, class_name in OPERATING_ERRORS.items():
        module = sys.modules.get(module_name)
        if module is not None and isinstance(error, getattr(module, class_name)):
            return True
    return False


def _record(error: Exception) -> str:
    """Write the traceback to the log and say where that is."""
    from actors.runtime.clock import wall_ms
    from tidegate.logs import LOG_FILE, write_event

    path = _front.log_folder / LOG_FILE
    fields = {"exception": "".join(traceback.format_exception(error)).rstrip()}
    try:
        _front.log_folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            write_event(file, wall_ms(), _front.redactor, "error", "internal_fault", fields)
    except OSError as unwritable:
        return f"no log: {unwritable}"
    return str(path)


def _usage_line(error: Any) -> str:
    message = " ".join(str(error.format_message()).split()).replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tidegate"
    command = path.removeprefix("tidegate").strip()
    opening = f"{command}: " if command else ""
    return f"{opening}{message} (see: {path} --help)"
