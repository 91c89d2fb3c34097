"""
The register of holds: what is shut, kept where no session's end can lose it.

A session's journal says what happened; the register says what is in force now, for one account,
whichever session runs next. It is replaced in one step and synced before anybody is told that
a hold is in force. Two threads write it: the session's own, and whoever takes a kill while that
thread is stuck; what the second has latched stays in every later write until the session has it
in force.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from messages import Hold
from state.atomic import replace_file

REGISTER_VERSION = 1
"""Version of the form of ``holds.json``."""

FILE = "holds.json"


class RegisterDamaged(Exception):
    """The register cannot be believed: nobody knows what was held. The message says why."""


class _Sealed(msgspec.Struct):
    """The form on disk: the checksum is that of the very bytes of ``holds``."""

    version: int
    sha256: str
    holds: msgspec.Raw


class HoldRegister:
    """
    The holds in force, by id, on disk.

    ``latch`` and ``replace`` return when what they say is durable; both may be called from any
    thread.
    """

    def __init__(self, path: Path) -> None:
        """Keep the register at ``path``; its folder is made."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._latched: dict[str, Hold] = {}
        self._written: dict[str, Hold] = {}

    def load(self) -> tuple[Hold, ...]:
        """
        Return the holds on disk, in order of placement; none if there never was one.

        Raises ``RegisterDamaged`` naming the file and what is wrong with it.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise RegisterDamaged(f"{self.path}: {error.strerror}") from error
        try:
            sealed = msgspec.json.decode(content, type=_Sealed)
            if sealed.version > REGISTER_VERSION:
                raise RegisterDamaged(
                    f"{self.path}: register of version {sealed.version}, this Tidegate knows up "
                    f"to {REGISTER_VERSION}"
                )
            body = bytes(sealed.holds)
            found = hashlib.sha256(body).hexdigest()
            if found != sealed.sha256:
                raise RegisterDamaged(f"{self.path}: checksum is {found}, expected {sealed.sha256}")
            holds = msgspec.json.decode(body, type=tuple[Hold, ...])
        except msgspec.DecodeError as error:
            raise RegisterDamaged(f"{self.path}: cut off or no register: {error}") from error
        self._written = {hold.hold_id: hold for hold in holds}
        return holds

    def latch(self, hold: Hold) -> None:
        """Add ``hold`` at once, whatever the session is doing; it stays until it is taken over."""
        with self._lock:
            self._latched[hold.hold_id] = hold
            self._write({**self._written, hold.hold_id: hold})

    def replace(self, holds: Mapping[str, Hold]) -> None:
        """Let ``holds`` be what is in force, and whatever was latched and is not among them."""
        with self._lock:
            for hold_id in holds:
                self._latched.pop(hold_id, None)
            merged = {**holds, **self._latched}
            if merged != self._written:
                self._write(merged)

    def set_aside(self) -> Path:
        """Move a damaged register out of the way, for somebody to look at, and say where to."""
        aside = self.path.with_suffix(".damaged.json")
        self.path.replace(aside)
        return aside

    def _write(self, holds: Mapping[str, Hold]) -> None:
        body = msgspec.json.encode(tuple(holds.values()))
        sealed = _Sealed(REGISTER_VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
        replace_file(self.path, msgspec.json.encode(sealed) + b"\n")
        self._written = dict(holds)


def register_of(runs_dir: Path, mode: str, account: str) -> HoldRegister:
    """Return the register of an account's sessions in ``mode``."""
    return HoldRegister(runs_dir / mode / "accounts" / account / FILE)


def outliving(holds: Iterable[Hold]) -> dict[str, Hold]:
    """Return the holds that outlive their session: all but those of its own end."""
    return {hold.hold_id: hold for hold in holds if not hold.hold_id.startswith(STOPPING)}


STOPPING = "stopping:"
"""How the id of the hold begins under which a session ends."""
