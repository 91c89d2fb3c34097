"""
Word to systemd, as ``sd_notify`` has it: a datagram to the socket that the environment names.

The watchdog's word is said while work is done in time, and not said while the session is late:
a loop that merely turns must not keep a stuck session from being restarted.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


class Systemd:
    """
    Says what it is told to whoever started the process; nobody listens outside systemd.

    ``watchdog_s`` is how often systemd wants to hear of the watchdog at least, ``None`` if never.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Read who listens from the environment."""
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_s = self._watchdog(environ)

    def _watchdog(self, environ: Mapping[str, str]) -> float | None:
        usec = environ.get("WATCHDOG_USEC", "")
        meant = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        if not self._address or not meant or not usec.isdigit() or int(usec) <= 0:
            return None
        return int(usec) / 1e6

    def say(self, *words: str) -> bool:
        """Send words in one datagram; return whether somebody got them."""
        if not self._address:
            return False
        # A leading @ stands for the zero byte of the abstract namespace.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(words).encode(), address)
        except OSError as error:
            structlog.get_logger("control").warning("systemd_not_told", error=str(error))
            return False
        return True
