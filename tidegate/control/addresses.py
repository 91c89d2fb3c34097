"""
Where the control plane listens: a socket that fits its system, an HTTP address that is loopback.

A Unix socket's path has some hundred bytes at most, less than many a folder of sessions is deep.
One that would be longer goes to a folder of the user's own with a short name made from the long
one. That folder may be in a place where others can write: it is only used if it is the user's and
nobody else's.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

AUTO = "auto"
"""The setting that leaves the socket's place to us."""

SOCKET = "control.sock"
SOCKET_FOLDER = "control"
SOCKET_BYTES_MAX = 103 if sys.platform == "darwin" else 107
"""Longest path of a Unix socket: ``sun_path`` less its final zero."""

LOCALHOST = "localhost"


class AddressRefused(Exception):
    """The control plane cannot listen there; the message says why."""


def socket_path(
    configured: str, account_folder: Path, environ: Mapping[str, str] | None = None
) -> Path:
    """
    Return the absolute path of the command socket: the configured one, or, with ``auto``, ours.

    Raises ``AddressRefused`` for a configured one that is longer than the system allows.
    """
    if configured != AUTO:
        path = Path(configured).absolute()
        if not fits(path):
            raise AddressRefused(
                f"{path}: found {len(os.fsencode(path))} bytes, expected at most "
                f"{SOCKET_BYTES_MAX}: the system allows no longer path of a socket"
            )
        return path
    folder = account_folder.absolute()
    path = folder / SOCKET_FOLDER / SOCKET
    if fits(path):
        return path
    environ = os.environ if environ is None else environ
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        path = Path(runtime) / f"tidegate-{digest}" / SOCKET
        if path.is_absolute() and Path(runtime).is_dir() and fits(path):
            return path
    path = Path(tempfile.gettempdir()).absolute() / f"tidegate-{os.getuid()}-{digest}" / SOCKET
    if not fits(path):
        path = Path("/tmp") / f"tidegate-{os.getuid()}-{digest}" / SOCKET  # noqa: S108 - checked
    return path


def fits(path: Path) -> bool:
    """Return whether a socket can have this path."""
    return len(os.fsencode(path)) <= SOCKET_BYTES_MAX


def private_folder(folder: Path) -> None:
    """
    Make ``folder`` with mode 0700, or see that it is ours alone.

    Raises ``AddressRefused`` for a link, somebody else's folder, or one that others can use.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise AddressRefused(f"{folder}: expected a folder") from None
        if found.st_uid != os.getuid():
            raise AddressRefused(f"{folder}: belongs to user {found.st_uid}, not to us") from None
        if found.st_mode & 0o077:
            folder.chmod(0o700)


def http_address(text: str) -> tuple[str, int] | None:
    """
    Return (host, port) of ``HOST:PORT``, ``None`` for an empty text: HTTP is off.

    The host is an address or ``localhost``. Raises ``ValueError`` saying what is wrong.
    """
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError("expected HOST:PORT, or nothing for no HTTP")
    if host != LOCALHOST:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"expected an address or {LOCALHOST} before the port") from None
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``, an address or ``localhost``."""
    return host == LOCALHOST or ipaddress.ip_address(host).is_loopback


def host_of(header: str) -> str:
    """Return the host of a Host header without its port."""
    if header.startswith("["):
        return header.partition("]")[0].removeprefix("[").lower()
    return header.partition(":")[0].lower()


def admitted_host(header: str, *, remote: bool) -> bool:
    """
    Tell whether a request with this Host header may be answered.

    A page from elsewhere reaches a service on loopback by a name of its own that it lets stand
    for 127.0.0.1 (DNS rebinding): names are refused, and addresses of others unless ``remote``.
    """
    host = host_of(header)
    if host == LOCALHOST:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return remote or address.is_loopback
