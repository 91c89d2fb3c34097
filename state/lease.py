"""
The right to run: one writer an account, and one process a session.

Two daemons of one account would each write the register of its holds, each count only its own
orders against the limits, and a kill would reach one of them. The right is a lock of the operating
system on an open file (``flock``): it ends with its process, however that ends, and no process id
that was given again can keep it. What the file says of its holder is for people to read only.

A paper account is one of its own runs folder: what trades on paper elsewhere is another account. So
is what a shadow's twin trades, which thus stands in no live session's way. An account at a venue is
one wherever its sessions lie, so its lease is in the user's own folder too. A venue that is pinned
to this machine is another venue: who rehearses does not wait for who trades.
A session's folder is locked itself, by whoever runs it, whatever account it says it is of.

Locks of other machines count only where the file system takes them there, so the holder's host is
named. Standard library only: every command to a daemon begins here.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

FILE: Final = "daemon.lock"
LIVE: Final = "live"
SHADOW: Final = "shadow"
"""The mode that is live in all but the sending; it has an account of its own runs folder."""

HOLDER_BYTES_MAX: Final = 4_096
TRIES: Final = 100
"""Times that a lease is tried whose file somebody else removes, or looks at, just then."""

_AS_A_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY


class LeaseHeld(Exception):
    """
    Somebody else has the right to run; the message says who and where.

    ``holder`` is ``None`` where the file does not say.
    """

    def __init__(self, message: str, holder: Holder | None = None) -> None:
        """Say so."""
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease: its process, and since when (int ms UTC); ``session`` once there is one."""

    pid: int
    host: str
    since: int
    session: str = ""

    @classmethod
    def this(cls, now: int) -> Holder:
        """Return this process, at ``now``."""
        return cls(os.getpid(), os.uname().nodename, now)

    def __str__(self) -> str:
        """Return what an operator needs to find it."""
        try:
            since = datetime.fromtimestamp(self.since / 1000, UTC).isoformat(timespec="seconds")
        except (OverflowError, ValueError, OSError):
            since = str(self.since)
        session = f", session {self.session}" if self.session else ""
        return f"pid {self.pid} on {self.host}, since {since.replace('+00:00', 'Z')}{session}"


class Lease:
    """
    The right to run for an account, for as long as this process lives.

    Its files stay when it ends, for removing one would be a race.
    """

    def __init__(self, files: Sequence[Path], holder: Holder) -> None:
        """
        Take the lease: all of ``files``, which are made, or none.

        Raises ``LeaseHeld`` when another process has one of them.
        """
        self._taken: list[tuple[Path, int]] = []
        self._holder = holder
        try:
            for path in files:
                self._taken.append((path, _locked_file(path)))
            self._write()
        except BaseException:
            self.release()
            raise

    def name_session(self, session: str) -> None:
        """Let whoever is refused from now on read which session it is."""
        self._holder = replace(self._holder, session=session)
        self._write()

    @property
    def intact(self) -> bool:
        """Return whether its files are still the ones that everybody else would lock."""
        return all(_is_at(path, descriptor) for path, descriptor in self._taken)

    def release(self) -> None:
        """Let another process have it; may be called again."""
        taken, self._taken = self._taken, []
        for _, descriptor in taken:
            os.close(descriptor)

    def _write(self) -> None:
        # The id alone on the first line, for shell scripts.
        text = f"{self._holder.pid}\n{json.dumps(asdict(self._holder))}\n".encode()
        for _, descriptor in self._taken:
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))


class SessionLease:
    """The right to write a session's folder, which must exist, while this process lives."""

    def __init__(self, folder: Path) -> None:
        """Take it; raises ``LeaseHeld`` when another process runs the session."""
        self.folder = folder
        # More than once: whoever looks whether it is held has it for that moment.
        tries = (_opened_and_locked(folder, _AS_A_FOLDER) for _ in range(TRIES))
        found = next((descriptor for descriptor in tries if descriptor is not None), None)
        if found is None:
            raise LeaseHeld(f"session {folder.name} is running already: {folder} is locked")
        self._descriptor = found

    def release(self) -> None:
        """Let another process have it; may be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    close = release  # for ``contextlib.closing``


def is_session_held(folder: Path) -> bool:
    """Return whether a process runs the session in ``folder``, which must exist."""
    descriptor = _opened_and_locked(folder, _AS_A_FOLDER, fcntl.LOCK_SH)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def is_lease_held(path: Path) -> bool:
    """Return whether a process has the lease whose file is ``path``; makes no file."""
    try:
        descriptor = _opened_and_locked(path, os.O_RDONLY, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def live_leases(account: str, environ: Mapping[str, str]) -> list[tuple[str, Holder | None]]:
    """Return the venue and the holder of every lease that a live daemon of ``account`` has now."""
    end = f"-{quote(account, safe='')}.lock"
    found = sorted(_live_leases_folder(environ).glob("*.lock"))
    return [
        (unquote(path.name.removesuffix(end)), read_holder(path))
        for path in found
        if path.name.endswith(end) and is_lease_held(path)
    ]


def lease_files(
    account_folder: Path, mode: str, venue: str, account: str, environ: Mapping[str, str]
) -> tuple[Path, ...]:
    """
    Return the files that a daemon's lease of an account is of, in the order of locking.

    ``account_folder`` is that of the account's sessions in their runs folder. A live account has a
    second one in ``$XDG_STATE_HOME/tidegate/leases`` (``~/.local/state``), by venue and account.
    """
    own = account_folder / FILE
    if mode != LIVE:
        return (own,)
    name = f"{quote(venue, safe='')}-{quote(account, safe='')}.lock"
    return own, _live_leases_folder(environ) / name


def _live_leases_folder(environ: Mapping[str, str]) -> Path:
    state = environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return folder / "tidegate" / "leases"


def read_holder(path: Path) -> Holder | None:
    """Return who wrote a lease's file last, running or not; ``None`` if it is unreadable."""
    try:
        with path.open("rb") as file:
            lines = file.read(HOLDER_BYTES_MAX).splitlines()
        document: Any = json.loads(lines[1])
        return Holder(**{field.name: document[field.name] for field in fields(Holder)})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _locked_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_held = False
    for _ in range(TRIES):
        descriptor = _opened_and_locked(path, os.O_RDWR | os.O_CREAT)
        # Tried again: whoever only looks whether it is held has it for that moment.
        is_held = descriptor is None
        if descriptor is None:
            continue
        # Removed by hand between the two: what is locked then is not what others find.
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
    if not is_held:
        raise LeaseHeld(f"{path} is removed again and again: nobody can tell who runs")
    holder = read_holder(path)
    who = "" if holder is None else f" ({holder})"
    raise LeaseHeld(
        f"a daemon runs for this account already{who}: {path} is locked; expected one "
        "daemon an account (venue.account names it)",
        holder,
    )


def _opened_and_locked(path: Path, flags: int, kind: int = fcntl.LOCK_EX) -> int | None:
    """Return a descriptor of ``path`` that has its lock; ``None`` if another one has it."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return None
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
