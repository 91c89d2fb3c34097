"""
The other end of the control plane: find the daemon, ask it over its Unix socket.

Standard library and little of ours, because `tidegate status` has to answer at once, and a kill
even sooner.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from state.lease import LIVE, live_leases
from tidegate.control.daemon import (
    Daemon,
    DaemonUnreadable,
    account_folder,
    read_daemon,
    running_daemons,
)
from tidegate.exits import ConfigError, Wanting

TIMEOUT_S = 10.0
"""Longer than the control plane takes for any answer: past it the daemon is dead or suspended."""

KILL_TIMEOUT_S = 4.0
"""Without a word for this long a daemon that is to be killed is ended from outside."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""A status with thousands of orders is a few megabytes."""

DEFAULT_FILE = Path("tidegate.toml")

Answered = tuple[int, dict[str, Any]]


class Silent(Wanting):
    """The daemon does not answer, or no more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose daemon is meant: that of an account, in a mode, below a folder of sessions."""

    runs_dir: Path
    mode: str
    account: str

    @property
    def folder(self) -> Path:
        """Return the account's folder."""
        return account_folder(self.runs_dir, self.mode, self.account)

    def __str__(self) -> str:
        """Return it as an error names it."""
        return f"the {self.mode} account {self.account!r} in {self.runs_dir}"


class Client:
    """Asks one daemon, one request a connection."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        """Ask over the Unix socket at ``path``."""
        self.path = path
        self.timeout_s = timeout_s

    def get(self, target: str) -> Answered:
        """Return (HTTP status, document) of a read; raises ``Silent``."""
        return self._ask("GET", target, None)

    def post(self, target: str, body: Mapping[str, Any]) -> Answered:
        """Return (HTTP status, document) of a command; raises ``Silent``."""
        return self._ask("POST", target, json.dumps(body).encode())

    def _ask(self, method: str, target: str, body: bytes | None) -> Answered:
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = _UnixConnection(self.path, self.timeout_s)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES_MAX)
            document = json.loads(content)
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if isinstance(error, TimeoutError):
                why = (
                    f"nothing came within {self.timeout_s:g} s; it is suspended, or in a call that "
                    "lets nothing else run"
                )
            raise Silent(f"{self.path}: the daemon does not answer: {why}") from None
        finally:
            connection.close()
        if not isinstance(document, dict):
            raise Silent(f"{self.path}: what answers there is no Tidegate")
        return response.status, document


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def escaped(target: str) -> str:
    """Return a name as part of an address: a symbol has slashes."""
    return quote(target, safe="")


# ---------------------------------------------------------------------------- finding the daemon


def operator() -> str:
    """Return who types a command, by name where there is one: not every user id has any."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # which of them, is a matter of the Python
        return f"cli:{os.getuid()}"


def place_of(files: Sequence[Path], environ: Mapping[str, str] | None = None) -> Place:
    """
    Return whose daemon is meant by the configuration, of which only that is read.

    What else is wrong with it is not our business: a daemon can be killed with a configuration
    that it would refuse today.
    """
    environ = os.environ if environ is None else environ
    paths = list(files)
    if not paths and DEFAULT_FILE.exists():
        paths = [DEFAULT_FILE]
    found = {("session", "dir"): "runs", ("session", "mode"): "paper", ("venue", "account"): "main"}
    if paths:
        from tidegate.layers import file_layer

        for path in paths:
            values = file_layer(path).values
            for section, key in found:
                table = values.get(section, {})
                if isinstance(table, Mapping) and key in table:
                    found[section, key] = _text(table[key], f"{path}: {section}.{key}")
    for section, key in found:
        variable = f"TIDEGATE_{section}__{key}".upper()
        if variable in environ:
            found[section, key] = environ[variable]
    folder, mode, account = found.values()
    return Place(Path(folder), mode, account)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: found {value!r}, expected text")
    return value


def find(place: Place) -> Daemon:
    """
    Return the daemon that runs for ``place``, or the only one of its account in another mode.

    The mode may have been an option of ``trade``: nobody looks for that in an emergency. But where
    real money is configured nobody else answers for it: a shadow that is killed confirms nothing.
    Raises ``Wanting`` with one line: there is none, it died, or what there is instead.
    """
    try:
        daemon = read_daemon(place.folder)
    except DaemonUnreadable as error:
        raise Wanting(str(error)) from None
    if daemon is None:
        same = [each for each in running_daemons(place.runs_dir) if each.account == place.account]
        if len(same) == 1 and place.mode != LIVE:
            return same[0]
        raise Wanting(f"no daemon runs for {place}{_others(place)}{_elsewhere(place)}")
    if not daemon.runs():
        session = f"; its last session is {daemon.session_id}" if daemon.session_id else ""
        raise Wanting(
            f"the daemon of {place} died without an orderly end (pid {daemon.pid}){session}; "
            f"started again it has the holds that it had{_others(place)}"
        )
    return daemon


def _others(place: Place) -> str:
    others = [
        f"{daemon.mode} account {daemon.account!r} (--socket {daemon.socket})"
        for daemon in running_daemons(place.runs_dir)
        if (daemon.mode, daemon.account) != (place.mode, place.account)
    ]
    return f"; others run here: {', '.join(others)}" if others else ""


def _elsewhere(place: Place) -> str:
    """Name the live daemons of the account that have their sessions in another folder."""
    if place.mode != LIVE:
        return ""
    found = [
        f"at {venue} ({holder or 'by somebody'})"
        for venue, holder in live_leases(place.account, os.environ)
    ]
    if not found:
        return ""
    return (
        f"; a live daemon of account {place.account!r} runs in another folder: {', '.join(found)}: "
        "go there, or `kill -USR1 PID` kills it (not its positions)"
    )


def client_for(socket_path: Path | None, files: Sequence[Path]) -> Client:
    """Return the way to the daemon: by its socket, or by the account of the configuration."""
    if socket_path is not None:
        return Client(socket_path)
    return Client(Path(find(place_of(files)).socket))


def problems_of(document: Mapping[str, Any]) -> list[str]:
    """Return what an answer says is wrong."""
    error = document.get("error")
    if isinstance(error, Mapping):
        return [str(problem) for problem in error.get("problems", ())]
    return [str(document.get("text", "an answer without words"))]
