"""
Which daemon runs for an account: ``daemon.json``. That there is only one is ``state.lease``'s.

The file says where a client finds the daemon. It outlives a daemon that dies, so it names a
process by its id and by when that process started: an id is given again, a start is not.

Standard library only: every command to a daemon begins here.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from state.atomic import replace_file

FILE = "daemon.json"
VERSION = 1


class DaemonUnreadable(Exception):
    """A ``daemon.json`` that cannot be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """
    One daemon: its process, its addresses, its session.

    ``http`` is ``HOST:PORT``, empty when HTTP is off; ``session_id`` and ``folder`` are empty
    until there is a session. All paths are absolute.
    """

    pid: int
    started: str
    mode: str
    account: str
    socket: str
    http: str = ""
    token_file: str = ""
    session_id: str = ""
    folder: str = ""

    def runs(self) -> bool:
        """Return whether the very process that wrote this is alive."""
        return bool(self.started) and process_started(self.pid) == self.started


def account_folder(runs_dir: Path, mode: str, account: str) -> Path:
    """Return the folder of what outlives an account's sessions."""
    return runs_dir / mode / "accounts" / account


def write_daemon(folder: Path, daemon: Daemon) -> None:
    """Replace the account's ``daemon.json`` in one step."""
    document = {"version": VERSION, **asdict(daemon)}
    replace_file(folder / FILE, json.dumps(document, indent=2).encode() + b"\n")


def read_daemon(folder: Path) -> Daemon | None:
    """Return what the account's ``daemon.json`` says, ``None`` if there is none."""
    path = folder / FILE
    try:
        document: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DaemonUnreadable(f"{path}: cannot be read: {error}") from None
    if not isinstance(document, dict) or document.pop("version", None) != VERSION:
        raise DaemonUnreadable(f"{path}: not of version {VERSION}: written by another Tidegate")
    wanted = {field.name: int if field.name == "pid" else str for field in fields(Daemon)}
    for name, kind in wanted.items():
        if not isinstance(document.get(name), kind):
            raise DaemonUnreadable(
                f"{path}: {name}: found {document.get(name)!r}, expected a {kind.__name__}"
            )
    return Daemon(**{name: document[name] for name in wanted})


def remove_daemon(folder: Path) -> None:
    """Remove the account's ``daemon.json``: its daemon has ended in order."""
    (folder / FILE).unlink(missing_ok=True)


def running_daemons(runs_dir: Path) -> list[Daemon]:
    """Return every daemon that runs for an account below ``runs_dir``."""
    found = []
    for path in sorted(runs_dir.glob(f"*/accounts/*/{FILE}")):
        try:
            daemon = read_daemon(path.parent)
        except DaemonUnreadable:
            continue  # only a list of who else there is
        if daemon is not None and daemon.runs():
            found.append(daemon)
    return found


def process_started(pid: int) -> str:
    """Return when a process started, as the system writes it; empty when there is none."""
    try:
        # The name, in parentheses, may hold anything; field 22 counts from behind it.
        after = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    except OSError:
        return ""
    state, ticks = after[0], after[19]
    return "" if state in "ZX" else f"ticks:{ticks}"


def _started_by_ps(pid: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]  # where there is no /proc
    done = subprocess.run(  # noqa: S603 - a number is all that varies
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return " ".join(done.stdout.split())
