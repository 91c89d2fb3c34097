"""
``state.json``, the newest snapshot of a session, and ``state.jsonl``, older ones, the newest last.

A snapshot saves reading the journal from its start; it is never the truth. It says up to which
entry it knows (``seq``), and carries a checksum, so that one that is damaged is never believed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from messages import Hold, OrderRequest, OrderStatus
from state.atomic import append_line, last_newline, replace_file

SNAPSHOT_VERSION = 1
"""Version of the form of a snapshot; each change adds one migration."""

HISTORY_BYTES_MAX = 16 * 1024 * 1024
"""Size of ``state.jsonl`` past which its older half goes: a day of snapshots of 11 KB."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: Mapping[int, Migration] = {}
"""From each older version: what makes the next one's form of its decoded snapshot."""


class SnapshotError(Exception):
    """A snapshot cannot be believed; the message names the file and why."""


class PositionSnapshot(msgspec.Struct, frozen=True):
    """One position that is not flat."""

    strategy: str
    symbol: str
    position_side: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal


class OrderSnapshot(msgspec.Struct, frozen=True):
    """One order that is not final."""

    request: OrderRequest
    status: OrderStatus
    filled: Decimal


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything a session knows after entry ``seq`` of its journal.

    ``clock`` is the session's time (int ms UTC); ``actors`` holds each actor's own state and
    ``strategies`` each strategy's, as the JSON text that they gave.
    """

    session_id: str
    seq: int
    seed: int
    clock: int
    positions: tuple[PositionSnapshot, ...] = ()
    orders: tuple[OrderSnapshot, ...] = ()
    holds: tuple[Hold, ...] = ()
    strategies: dict[str, str] = {}
    actors: dict[str, str] = {}


class _Sealed(msgspec.Struct):
    """The form on disk: the checksum is that of the very bytes of ``snapshot``."""

    version: int
    sha256: str
    snapshot: msgspec.Raw


def save_state(
    path: Path,
    snapshot: Snapshot,
    *,
    history: Path | None = None,
    sync: bool = True,
    history_bytes_max: int = HISTORY_BYTES_MAX,
) -> None:
    """
    Replace ``state.json`` in one step, then add the snapshot to ``history``.

    A history that would outgrow ``history_bytes_max`` keeps the newest lines that half of it takes,
    and always the one that is added. ``sync=False`` is for simulations, which are run again rather
    than resumed.
    """
    line = encode_snapshot(snapshot)
    replace_file(path, line, sync=sync)
    if history is None:
        return
    if history.exists() and history.stat().st_size + len(line) > history_bytes_max:
        room = history_bytes_max // 2 - len(line)
        replace_file(history, _newest_lines(history, room) + line, sync=sync)
    else:
        append_line(history, line, sync=sync)


def _newest_lines(path: Path, bytes_max: int) -> bytes:
    """Return the newest whole lines of a file that ``bytes_max`` take."""
    if bytes_max <= 0:
        return b""
    with path.open("rb") as file:
        end = last_newline(file, file.seek(0, os.SEEK_END)) + 1
        start = max(end - bytes_max - 1, 0)  # the byte before shows whether a line begins there
        file.seek(start)
        found = file.read(end - start)
    return found if start == 0 and end <= bytes_max else found.partition(b"\n")[2]


def load_state(path: Path, *, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """Return the snapshot at ``path``; ``SnapshotError`` says why it cannot be believed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    return _decode(content, str(path), migrations)


def load_history(
    path: Path, *, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Iterator[Snapshot]:
    """Yield every snapshot of ``state.jsonl``, oldest first; a last line cut off is left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield _decode(line, f"{path}, line {number}", migrations)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the line that is written for a snapshot."""
    body = msgspec.json.encode(snapshot)
    sealed = _Sealed(SNAPSHOT_VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
    return msgspec.json.encode(sealed) + b"\n"


def _decode(content: bytes, where: str, migrations: Mapping[int, Migration]) -> Snapshot:
    try:
        sealed = msgspec.json.decode(content, type=_Sealed)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{where}: cut off or not a snapshot: {error}") from error
    if sealed.version > SNAPSHOT_VERSION:
        raise SnapshotError(
            f"{where}: snapshot of version {sealed.version}, this Tidegate knows up to "
            f"{SNAPSHOT_VERSION}"
        )
    body = bytes(sealed.snapshot)
    found = hashlib.sha256(body).hexdigest()
    if found != sealed.sha256:
        raise SnapshotError(f"{where}: checksum is {found}, expected {sealed.sha256}")
    try:
        decoded = msgspec.json.decode(body)
        for version in range(sealed.version, SNAPSHOT_VERSION):
            decoded = migrations[version](decoded)
        return msgspec.convert(decoded, Snapshot)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{where}: {error}") from error
