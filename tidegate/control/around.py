"""
What stands around a session of the daemon: its lock, its sentinel, its control plane, its file.

Everything is there before the session starts and gone after it has ended, in the reverse order.
``daemon.json`` stays only where the end was not in order: it is how a client tells a daemon that
died from one that never was.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from actors.inbox import Inbox
from actors.runtime import Dispatcher
from actors.runtime.clock import wall_ms
from actors.runtime.interrupt import Interrupter
from actors.sentinel import KILL_SIGNAL, Sentinel
from actors.spec import SessionSpec
from actors.turns import Session
from feeds.errors import FeedError
from state.lease import Holder, Lease, LeaseHeld, lease_files
from tidegate.config import Configuration
from tidegate.control.addresses import AUTO, AddressRefused, http_address, socket_path
from tidegate.control.app import Plane
from tidegate.control.daemon import (
    Daemon,
    account_folder,
    process_started,
    remove_daemon,
    write_daemon,
)
from tidegate.control.notices import Notices, NoticesRefused, secrets_of, targets_of
from tidegate.control.record import Record
from tidegate.control.server import ControlPlane, Listening
from tidegate.control.sight import Sight
from tidegate.control.token import FILE as TOKEN_FILE
from tidegate.control.token import Token, TokenRefused, token_at
from tidegate.exits import CommandError, StartRefused, UsageRefused
from tidegate.front import current
from tidegate.logs import Logs
from tidegate.redaction import Redactor

ORDERLY = (CommandError, FeedError)
"""Errors that end a session with all its files: of the input, or before anything started."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What the session's runner needs of what stands around it."""

    inbox: Inbox
    spec: SessionSpec
    sentinel: Sentinel

    def opened(self, session: Session) -> None:
        """Kill what starts beside a kill file, and let that keep the kill from being lifted."""
        session.assembly.desk.obstacle = self.sentinel.obstacle
        self.sentinel.look()


@contextmanager
def controlled(configuration: Configuration, spec: SessionSpec, logs: Logs) -> Iterator[Controls]:
    """
    Stand around the session of ``spec`` while the block runs.

    Raises ``StartRefused`` when another daemon runs for the account, ``UsageRefused`` for what
    the configuration asks for and cannot be had. For the main thread: signals are taken over.
    """
    settings = configuration.settings
    spec = replace(spec, account=settings.venue.account)
    folder = account_folder(spec.runs_dir, spec.mode, spec.account).absolute()
    lease = _lease(configuration, folder, spec)
    try:
        token = _token(configuration, folder)
        # From now on no line of any log can show it, whatever a library writes.
        secrets = [*configuration.secrets(), token.reveal(), *secrets_of(_notify(configuration))]
        logs.hide(secrets)
        current().redactor = Redactor(secrets)
        notices = _notices(configuration)
        inbox = Inbox()
        record = Record(notices.tell if _notify(configuration) else None)
        facts: dict[str, Any] = {}
        plane = Plane(
            Sight(inbox),
            record,
            token,
            daemon=facts,
            with_metrics=settings.telemetry.metrics,
            remote=settings.control.http_allow_remote,
            notices=notices.counts,
        )
        sentinel = _sentinel(configuration, inbox)
        files = _Files(folder, facts, spec, lease)
        control = _control(configuration, plane, folder, files, notices)
        if _notify(configuration):
            notices.start()
        with _signals(sentinel):
            try:
                yield Controls(inbox, replace(spec, sinks=(*spec.sinks, record)), sentinel)
            finally:
                ended_by = sys.exc_info()[1]
                control.stop()
                notices.stop()
                if ended_by is None or isinstance(ended_by, ORDERLY):
                    remove_daemon(folder)
    finally:
        lease.release()


def _lease(configuration: Configuration, folder: Path, spec: SessionSpec) -> Lease:
    place = configuration.settings.venue.place
    files = lease_files(folder, spec.mode, place, spec.account, os.environ)
    try:
        return Lease(files, Holder.this(wall_ms()))
    except LeaseHeld as held:
        raise StartRefused(f"start-up refused: {held}") from None
    except OSError as error:
        raise StartRefused(
            f"start-up refused: nobody can tell whether another daemon runs: {error}"
        ) from None


def _token(configuration: Configuration, folder: Path) -> Token:
    configured = configuration.settings.control.token_file
    path = folder / TOKEN_FILE if configured is None else Path(configured)
    try:
        return token_at(path)
    except TokenRefused as refused:
        raise UsageRefused(f"control.token_file: {refused}") from None


def _notify(configuration: Configuration) -> tuple[str, ...]:
    return configuration.settings.telemetry.notify


def _notices(configuration: Configuration) -> Notices:
    settings = configuration.settings
    addresses = _notify(configuration)
    try:
        targets = targets_of(addresses) if addresses else []
    except NoticesRefused as refused:
        raise UsageRefused(f"{configuration.origin('telemetry', 'notify')}: {refused}") from None
    return Notices(f"{settings.session.mode}/{settings.venue.account}", targets)


def _sentinel(configuration: Configuration, inbox: Inbox) -> Sentinel:
    settings = configuration.settings
    kill_file = settings.control.kill_file
    return Sentinel(
        inbox,
        Interrupter(Dispatcher.handler_calls(), Dispatcher.handler_passages()),
        kill_file=Path(kill_file).absolute() if kill_file else None,
        handler_timeout_s=settings.health.handler_timeout_s,
    )


def _control(
    configuration: Configuration, plane: Plane, folder: Path, files: _Files, notices: Notices
) -> ControlPlane:
    settings = configuration.settings.control
    origin = configuration.origin("control")
    try:
        path = socket_path(settings.socket, folder)
        listening = Listening(path, http_address(settings.http), settings.socket == AUTO)
        control = ControlPlane(plane, listening, on_session=files.has_session, on_alive=notices.say)
        control.start()
    except (AddressRefused, OSError) as refused:
        raise UsageRefused(f"{origin}: control: {refused}") from None
    http = "" if control.http_address is None else _spelled(*control.http_address)
    configured = settings.token_file
    token_file = folder / TOKEN_FILE if configured is None else Path(configured).absolute()
    files.listens(path, http, token_file)
    structlog.get_logger("control").info(
        "control_plane_listening", socket=str(path), http=http or "off"
    )
    return control


def _spelled(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Files:
    """Keeps ``daemon.json``, and what ``status`` shows of it, up to date."""

    def __init__(
        self, folder: Path, facts: dict[str, Any], spec: SessionSpec, lease: Lease
    ) -> None:
        self._lease = lease
        self._folder = folder
        self._facts = facts
        self._spec = spec
        self._daemon: Daemon | None = None
        self._session: tuple[str, str] | None = None

    def listens(self, path: Path, http: str, token_file: Path) -> None:
        """Write the file for the first time: this is where the daemon is."""
        pid = os.getpid()
        self._daemon = Daemon(
            pid,
            process_started(pid),
            self._spec.mode,
            self._spec.account,
            str(path),
            http,
            str(token_file),
        )
        self._write()

    def has_session(self, session: Session) -> None:
        """Write it again: this is its session."""
        spec = self._spec
        folder = spec.out or spec.runs_dir / spec.mode / "sessions" / session.session_id
        self._session = session.session_id, str(folder.absolute())
        self._lease.name_session(session.session_id)
        self._write()

    def _write(self) -> None:
        daemon = self._daemon
        if daemon is None:
            return
        if self._session is not None:
            daemon = replace(daemon, session_id=self._session[0], folder=self._session[1])
        write_daemon(self._folder, daemon)
        self._facts.update(_shown(daemon))


def _shown(daemon: Daemon) -> Mapping[str, Any]:
    return {
        "pid": daemon.pid,
        "mode": daemon.mode,
        "account": daemon.account,
        "socket": daemon.socket,
        "http": daemon.http,
        "folder": daemon.folder,
    }


@contextmanager
def _signals(sentinel: Sentinel) -> Iterator[None]:
    """Let the kill signal pull the kill switch, and the sentinel watch, while the block runs."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        sentinel.signalled(signal.Signals(number).name)

    before = signal.signal(KILL_SIGNAL, on_signal)
    interrupter = sentinel.interrupter
    assert interrupter is not None, "the daemon's sentinel can interrupt"
    interrupter.install()
    sentinel.start()
    try:
        yield
    finally:
        sentinel.stop()
        interrupter.remove()
        signal.signal(KILL_SIGNAL, before)
