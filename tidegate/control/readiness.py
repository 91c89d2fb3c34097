"""What ``check`` says of the control plane: whether it could listen, and what it would find."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from state.register import RegisterDamaged, register_of
from tidegate.config import Configuration
from tidegate.control.addresses import AddressRefused, socket_path
from tidegate.control.daemon import DaemonUnreadable, account_folder, read_daemon
from tidegate.control.notices import NoticesRefused, targets_of
from tidegate.control.token import FILE as TOKEN_FILE

Finding = tuple[Literal["ok", "warn", "fail"], str, str]
"""Status (``ok``, ``warn``, ``fail``), subject, detail."""


def findings(configuration: Configuration) -> Iterator[Finding]:
    """Yield what a daemon of this configuration would be refused for, or held by; makes nothing."""
    settings = configuration.settings
    runs_dir, mode = Path(settings.session.dir), settings.session.mode
    folder = account_folder(runs_dir, mode, settings.venue.account)
    yield _listening(configuration, folder)
    yield from _token(configuration, folder)
    yield from _notices(configuration)
    yield from _running(folder)
    kill_file = settings.control.kill_file
    if kill_file and Path(kill_file).exists():
        yield "warn", "control.kill_file", f"{kill_file} is there: a daemon would start killed"
    if folder.is_dir():
        yield from _held(runs_dir, mode, settings.venue.account)


def _listening(configuration: Configuration, folder: Path) -> Finding:
    control = configuration.settings.control
    try:
        path = socket_path(control.socket, folder)
    except AddressRefused as refused:
        return "fail", "control.socket", str(refused)
    return "ok", "control", f"socket {path}; HTTP {control.http or 'off'}"


def _token(configuration: Configuration, folder: Path) -> Iterator[Finding]:
    configured = configuration.settings.control.token_file
    path = folder / TOKEN_FILE if configured is None else Path(configured)
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        mode = stat.S_IMODE(path.stat().st_mode)
        detail = f"{path}: found permissions {mode:04o}, expected 0600: others can use it"
        yield "fail", "control.token_file", detail


def _notices(configuration: Configuration) -> Iterator[Finding]:
    addresses = configuration.settings.telemetry.notify
    if not addresses:
        return
    try:
        targets = targets_of(addresses)
    except NoticesRefused as refused:
        yield "fail", "telemetry.notify", str(refused)
    else:
        kinds = ", ".join(type(target).__name__ for target in targets)
        yield "ok", "telemetry.notify", f"{len(targets)} addresses ({kinds}); none was tried"


def _running(folder: Path) -> Iterator[Finding]:
    try:
        daemon = read_daemon(folder)
    except DaemonUnreadable as unreadable:
        yield "warn", "daemon", str(unreadable)
        return
    if daemon is not None and daemon.runs():
        yield "warn", "daemon", f"one runs for this account already (pid {daemon.pid})"


def _held(runs_dir: Path, mode: str, account: str) -> Iterator[Finding]:
    try:
        held = register_of(runs_dir, mode, account).load()
    except RegisterDamaged as damaged:
        yield "warn", "holds", f"{damaged}: a session would start held"
        return
    if held:
        names = ", ".join(f"{hold.hold_id} ({hold.cause})" for hold in held)
        yield "warn", "holds", f"in force from the start: {names}"
