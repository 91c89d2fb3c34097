"""
The register of holds: what is shut, kept where no session's end can lose it.

A session's journal says what happened; the register says what is in force now, for one account,
whichever session runs next. It is replaced in one step and synced before anybody is told that
a hold is in force. Two threads write it: the session's own, and whoever takes a kill while that
thread is stuck. A kill is announced in memory first, which cannot fail or wait; what was announced
is part of every later write until the session itself has it in force.

A full disk takes no new content, but a name still: then an empty file, the *marker*, stands for
the kill until a write succeeds again. It has another name where everything is to be flat too.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from messages import EVERYTHING, KILL_HOLD, STRICTNESS, Hold, HoldMode
from state.atomic import replace_file, sync_file, sync_folder
from state.crashpoints import passing

REGISTER_VERSION = 1
"""Version of the form of ``holds.json``."""

FILE = "holds.json"
MARKER = "killed"
"""Name of the empty file, beside the register, that stands for a kill."""

FLAT_MARKER = "killed-to-be-flat"
"""Its name where the kill is one that says ``flatten``."""

REGISTER_HOLD = "register"
"""Id of the hold that stands for whatever a damaged register held."""


class RegisterDamaged(Exception):
    """The register cannot be believed: nobody knows what was held. The message says why."""


class _Sealed(msgspec.Struct):
    """The form on disk: the checksum is that of the very bytes of ``holds``."""

    version: int
    sha256: str
    holds: msgspec.Raw


class Announcement:
    """
    A hold on its way to a session: in every write of the register until the session has it.

    ``taken`` is set in the session's own step, together with the hold.
    """

    __slots__ = ("hold", "taken")

    def __init__(self, hold: Hold) -> None:
        """Announce ``hold``."""
        self.hold = hold
        self.taken = False


class HoldRegister:
    """
    The holds in force, by id, on disk.

    ``latch``, ``keep`` and ``replace`` return when what they say is durable, or raise ``OSError``;
    all methods may be called from any thread.
    """

    def __init__(self, path: Path) -> None:
        """Keep the register at ``path``; its folder is made."""
        self.path = path
        self.marker = path.with_name(MARKER)
        self.flat_marker = path.with_name(FLAT_MARKER)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()  # around the disk, which may hang: announcing needs none
        self._announced: list[Announcement] = []  # added to in one step by any thread
        self._written: dict[str, Hold] | None = None  # unknown until it was read or written
        self._marked = False

    # -- reading

    def load(self) -> tuple[Hold, ...]:
        """
        Return the holds on disk, in order of placement; none if there never was one.

        Raises ``RegisterDamaged`` naming the file and what is wrong with it.
        """
        with self._writing:
            return tuple(self._load().values())

    def _load(self) -> dict[str, Hold]:
        found = {hold.hold_id: hold for hold in self._read()}
        for hold in self._by_marker():
            _put(found, hold)
        self._written = dict(found)
        return found

    def _read(self) -> tuple[Hold, ...]:
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
            if sealed.version < 1:
                raise RegisterDamaged(f"{self.path}: version is {sealed.version}, expected 1")
            body = bytes(sealed.holds)
            found = hashlib.sha256(body).hexdigest()
            if found != sealed.sha256:
                raise RegisterDamaged(f"{self.path}: checksum is {found}, expected {sealed.sha256}")
            return msgspec.json.decode(body, type=tuple[Hold, ...])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RegisterDamaged(f"{self.path}: cut off or no register: {error}") from error

    def _by_marker(self) -> tuple[Hold, ...]:
        flat = _since(self.flat_marker)
        since = _since(self.marker) if flat is None else flat
        if since is None:
            return ()
        self._marked = True
        there = self._in_words(f"{self.marker if flat is None else self.flat_marker} is there")
        cause = f"{there}: a kill came when the register could not be written"
        kill = Hold(KILL_HOLD, cause, HoldMode.DRAIN, "register", since, latched=True)
        return (kill if flat is None else msgspec.structs.replace(kill, flatten=True),)

    # -- a kill on its way to the session

    def announce(self, hold: Hold) -> Announcement:
        """Have ``hold`` in every write from now on; done in memory, at once: it cannot fail."""
        announcement = Announcement(hold)
        self._announced.append(announcement)
        passing("kill.announced")
        return announcement

    def keep(self, announcement: Announcement) -> None:
        """
        Make what was announced durable, unless the session has written since it took it.

        On a disk that takes no content the marker is made instead; ``OSError`` means that not even
        that could be done.
        """
        with self._writing:
            if announcement not in self._announced:
                return
            try:
                known = self._load() if self._written is None else self._written
                self._write(self._with_announced(known))
            except (OSError, RegisterDamaged):
                # What cannot be believed is left as it is found; the marker says all that matters.
                self._mark(self._with_announced({}))
            passing("kill.latched")

    def latch(self, hold: Hold) -> Announcement:
        """Announce ``hold`` and make it durable, whatever the session is doing."""
        announcement = self.announce(hold)
        self.keep(announcement)
        return announcement

    def taken(self) -> tuple[Announcement, ...]:
        """Return what the session has taken, for ``replace`` with the holds of the same step."""
        return tuple(each for each in list(self._announced) if each.taken)

    # -- the session's own word

    def replace(self, holds: Mapping[str, Hold], settled: Iterable[Announcement] = ()) -> None:
        """Let ``holds`` be what is in force, and what was announced and is not ``settled`` so."""
        with self._writing:
            ended = tuple(settled)
            merged = self._with_announced(holds, ended)
            if not _same(merged, self._written) or self._marked:
                passing("holds.writing")
                try:
                    self._write(merged)
                except OSError:
                    if any(_is_a_kill(hold) for hold in merged.values()):
                        self._mark(merged)
                    raise
                passing("holds.written")
            for each in ended:
                if each in self._announced:
                    self._announced.remove(each)

    def add(self, holds: Mapping[str, Hold]) -> None:
        """
        Have ``holds`` beside whatever is there: for the end of a session that has failed.

        None that is there becomes milder by one of the same id.
        """
        with self._writing:
            merged = dict(self._load() if self._written is None else self._written)
        for hold in holds.values():
            _put(merged, hold)
        self.replace(merged)

    def _with_announced(
        self, holds: Mapping[str, Hold], ended: Iterable[Announcement] = ()
    ) -> dict[str, Hold]:
        merged = dict(holds)
        for each in list(self._announced):
            if each not in ended:
                _put(merged, each.hold)
        return merged

    def restore(self, now: int) -> tuple[Hold, ...]:
        """
        Return the holds that an earlier session left; a latched one of our own if nobody can say.

        Proves that the register can be written: raises ``OSError`` if it cannot. A damaged one is
        kept beside it, and there is no moment at which the disk knows of no hold.
        """
        with self._writing:
            try:
                held = self._load()
            except RegisterDamaged as damaged:
                aside = self._keep_aside()
                found = self._in_words(str(damaged))
                cause = f"{found}; kept as {aside.name}: what was held before is not known"
                hold = Hold(REGISTER_HOLD, cause, HoldMode.DRAIN, "start-up", now, latched=True)
                held = {each.hold_id: each for each in (hold, *self._by_marker())}
            self._write(self._with_announced(held))
            return tuple(held.values())

    def _in_words(self, text: str) -> str:
        """Return ``text`` for a journal: by account, the same wherever the sessions lie."""
        return text.replace(f"{self.path.parents[1]}/", "")

    def _keep_aside(self) -> Path:
        aside = _free(self.path.with_suffix(".damaged.json"))
        if self.path.is_dir():
            self.path.rename(aside)
            return aside
        try:
            aside.hardlink_to(self.path)
        except OSError:  # not every file system knows links
            shutil.copyfile(self.path, aside)
        sync_folder(self.path.parent)
        return aside

    def _write(self, holds: Mapping[str, Hold]) -> None:
        body = msgspec.json.encode(tuple(holds.values()))
        sealed = _Sealed(REGISTER_VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
        self._written = None  # after an error nobody knows what the disk has
        replace_file(self.path, msgspec.json.encode(sealed) + b"\n")
        if self._marked:
            self.marker.unlink(missing_ok=True)
            self.flat_marker.unlink(missing_ok=True)
            sync_folder(self.path.parent)
            self._marked = False
        self._written = dict(holds)

    def _mark(self, holds: Mapping[str, Hold]) -> None:
        flat = any(hold.flatten and _is_a_kill(hold) for hold in holds.values())
        marker = self.flat_marker if flat else self.marker
        marker.touch()
        self._marked = True
        sync_file(marker)
        sync_folder(self.path.parent)


def _put(holds: dict[str, Hold], hold: Hold) -> None:
    """Add ``hold``; one of its id that is there stays what it is, but for what it makes harder."""
    there = holds.get(hold.hold_id)
    holds[hold.hold_id] = hold if there is None else harder(there, hold)


def harder(there: Hold, other: Hold) -> Hold:
    """Return ``there`` with all that is harder in ``other``: of an id, nothing is ever milder."""
    until = None if None in (there.until, other.until) else max(there.until or 0, other.until or 0)
    return msgspec.structs.replace(
        there,
        mode=max(there.mode, other.mode, key=STRICTNESS.__getitem__),
        scope=there.scope if there.scope == other.scope else EVERYTHING,
        until=until,
        latched=there.latched or other.latched,
        flatten=there.flatten or other.flatten,
    )


def _since(marker: Path) -> int | None:
    """Return when a marker was made, int ms UTC, ``None`` where it is not there."""
    try:
        return marker.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    except OSError:
        return 0  # nobody can say that it is not there


def _same(one: Mapping[str, Hold], other: Mapping[str, Hold] | None) -> bool:
    """Return whether two registers say the same, in the same order."""
    return other is not None and list(one.items()) == list(other.items())


def _is_a_kill(hold: Hold) -> bool:
    """Return whether the marker says enough of a hold: it is latched, and lets nothing open."""
    return hold.latched and hold.mode is HoldMode.DRAIN and hold.scope == EVERYTHING


def _free(path: Path) -> Path:
    """Return ``path``, or the first name like it with a number that nothing has yet."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def register_of(runs_dir: Path, mode: str, account: str) -> HoldRegister:
    """Return the register of an account's sessions in ``mode``."""
    return HoldRegister(runs_dir / mode / "accounts" / account / FILE)


def outliving(holds: Iterable[Hold]) -> dict[str, Hold]:
    """
    Return the holds that outlive their session: all but those of its own end and its own start.

    Who goes on with a session holds it anew; in another one nobody would ever lift that.
    """
    return {
        hold.hold_id: hold
        for hold in holds
        if hold.hold_id != RECOVERING_HOLD and not hold.hold_id.startswith(STOPPING)
    }


STOPPING = "stopping:"
"""How the id of the hold begins under which a session ends."""

RECOVERING_HOLD = "recovering"
"""Held from the first instruction after a restart until the venue and our books agree."""
