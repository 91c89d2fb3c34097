"""
The control plane's thread: two listeners, one application, and the watch.

It has its own event loop, because the session's may be the one that hangs: a kill is taken, and
a question answered truthfully, whatever the session is doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from actors.runtime.clock import monotonic_s, sleep_s
from tidegate.control import limits
from tidegate.control.addresses import LOCALHOST, AddressRefused, private_folder
from tidegate.control.app import Plane
from tidegate.control.systemd import STOPPING, Systemd
from tidegate.control.watch import Watch

BACKLOG = 128
"""Connections that wait to be taken: more than are kept, so that all are told at once."""


@dataclass(frozen=True, slots=True)
class Listening:
    """
    Where to listen: a socket's path, and an address for HTTP or ``None`` for no HTTP.

    ``own_folder`` says that the socket's folder is for nothing else: it is made, and kept, private.
    """

    socket: Path
    http: tuple[str, int] | None
    own_folder: bool = True


class ControlPlane:
    """Serves a ``Plane`` between ``start`` and ``stop``."""

    def __init__(
        self,
        plane: Plane,
        listening: Listening,
        *,
        systemd: Systemd | None = None,
        on_session: Callable[[Any], None] = lambda _session: None,
        on_alive: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Listen there, once started; the rest is for the watch."""
        self.plane = plane
        self.listening = listening
        self.http_address: tuple[str, int] | None = None
        """Where HTTP is really served: port 0 takes any."""
        self.systemd = systemd or Systemd()
        self._watch = Watch(plane, self.systemd, on_session=on_session, on_alive=on_alive)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._log = structlog.get_logger("control")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None

    def start(self) -> None:
        """
        Listen; return once both listeners answer.

        Raises ``AddressRefused`` where that cannot be.
        """
        self._thread.start()
        if not self._ready.wait(limits.START_S):
            raise AddressRefused(f"the control plane did not listen within {limits.START_S} s")
        if self._failure is not None:
            self._thread.join()
            raise AddressRefused(str(self._failure)) from self._failure

    def stop(self) -> None:
        """Answer what is being answered, stop listening, end the thread."""
        self.systemd.say(STOPPING)
        loop, ending = self._loop, self._ending
        if loop is not None and ending is not None and not loop.is_closed():
            loop.call_soon_threadsafe(ending.set)
        self._thread.join(2 * limits.STOP_S)

    # -- the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised by ``start``, or said aloud
            self._failure = error
            if self._ready.is_set():
                self._log.error("control_plane_ended", error=f"{type(error).__name__}: {error}")
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        runner = web.AppRunner(
            self.plane.application(),
            handle_signals=False,
            access_log=None,
            logger=quiet_logger(),
            keepalive_timeout=limits.KEEP_ALIVE_S,
            max_line_size=limits.HEADER_LINE_BYTES_MAX,
            max_field_size=limits.HEADER_LINE_BYTES_MAX,
            max_headers=limits.HEADERS_MAX,
            shutdown_timeout=limits.STOP_S,
            auto_decompress=False,  # a command is short as it is
        )
        await runner.setup()
        try:
            await self._listen(runner)
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        assert runner.server is not None, "the runner is set up"
        doors = [Bounded(runner.server, self.plane, socket.AF_UNIX)]
        loop = asyncio.get_running_loop()
        path, own = self.listening.socket, self.listening.own_folder
        servers = [
            await loop.create_unix_server(
                doors[0], sock=unix_socket(path, own_folder=own), backlog=BACKLOG
            )
        ]
        try:
            if self.listening.http is not None:
                serving = http_socket(*self.listening.http)
                doors.append(Bounded(runner.server, self.plane, serving.family))
                servers.append(await loop.create_server(doors[1], sock=serving, backlog=BACKLOG))
                self.http_address = serving.getsockname()[:2]
            self._ready.set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch.run)
                for door in doors:
                    tasks.start_soon(door.send_away_the_silent)
                assert self._ending is not None, "the thread has begun"
                await self._ending.wait()
                tasks.cancel_scope.cancel()
        finally:
            for server in servers:
                server.close()
            path.unlink(missing_ok=True)
            if own:
                with contextlib.suppress(OSError):  # somebody else's socket is in it
                    path.parent.rmdir()


class Bounded:
    """
    One listener's connections: as many as may be, none that says nothing.

    Called for every new connection, as an event loop asks for a protocol.
    """

    def __init__(self, server: web.Server, plane: Plane, family: int) -> None:
        """Hand connections of ``family`` to ``server``."""
        self._server = server
        self._plane = plane
        self._family = family
        self._since_s: dict[RequestHandler, float] = {}

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        if len(self._open()) >= limits.CONNECTIONS_MAX:
            self._plane.connections_refused += 1
            return Refuser()
        protocol = self._server()
        self._since_s[protocol] = monotonic_s()
        return protocol

    def _open(self) -> list[RequestHandler]:
        return [
            protocol
            for protocol in self._server.connections
            if protocol.transport is not None
            and protocol.transport.get_extra_info("socket").family == self._family
        ]

    async def send_away_the_silent(self) -> None:
        """Close connections on which no request has come for too long, for ever."""
        while True:
            await sleep_s(limits.REQUEST_S / 2)
            open_ones = self._open()
            served = self._plane.served
            for protocol, since_s in list(self._since_s.items()):
                if monotonic_s() - since_s < limits.REQUEST_S:
                    continue
                del self._since_s[protocol]
                if protocol in open_ones and protocol not in served:
                    protocol.force_close()
            served.intersection_update(self._server.connections)


class Refuser(asyncio.Protocol):
    """Closes a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


def unix_socket(path: Path, *, own_folder: bool = True) -> socket.socket:
    """
    Return a socket bound at ``path`` that only its owner can use.

    What an earlier daemon left there is removed; anything that is no socket is not touched, nor
    is one on which somebody answers. Raises ``AddressRefused``.
    """
    if own_folder or not path.parent.exists():
        private_folder(path.parent)
    _make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Before the bind: no moment in which others could connect. Where the system does not
        # heed it the folder keeps them out.
        os.fchmod(listening.fileno(), 0o600)
        listening.bind(os.fspath(path))
        path.chmod(0o600)
    except OSError as error:
        listening.close()
        raise AddressRefused(f"{path}: cannot listen: {error.strerror}") from error
    return listening


def http_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound for HTTP; raises ``AddressRefused``."""
    address = "127.0.0.1" if host == LOCALHOST else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    serving = socket.socket(family, socket.SOCK_STREAM)
    try:
        serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        serving.bind((address, port))
    except OSError as error:
        serving.close()
        raise AddressRefused(f"{host}:{port}: cannot listen: {error.strerror}") from error
    return serving


def _make_way(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise AddressRefused(f"{path}: found something that is no socket, expected nothing there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(limits.REQUEST_S)
        try:
            trial.connect(os.fspath(path))
        except OSError:
            path.unlink(missing_ok=True)  # nobody is behind it
            return
    raise AddressRefused(f"{path}: somebody answers there already")


def quiet_logger() -> logging.Logger:
    """Return a logger that says of a request that is no HTTP nothing that stood in it."""
    logger = logging.getLogger("tidegate.control.http")
    if not logger.filters:
        logger.addFilter(_without_content)
    return logger


def _without_content(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = "a request was no HTTP: %s", (type(error).__name__,)
        record.exc_info = None
    return True
