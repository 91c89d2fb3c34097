"""
``manifest.json``: what a session was made from, and how it ended.

Written when the session starts and once more when it ends. Everything that decides what
happens in a simulation is in it: ``tidegate verify`` runs a session again from its manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from messages import SCHEMA_VERSION
from state.atomic import replace_file

MANIFEST_VERSION = 1
"""Version of the form of ``manifest.json``."""

_HASH_CHUNK = 1024 * 1024
_ID_CHARACTERS = 10


class ManifestError(Exception):
    """A manifest cannot be read; the message names the file and what is wrong with it."""


class SessionStatus(StrEnum):
    """How a session stands."""

    RUNNING = "running"  # or its process died without a word
    INTERRUPTED = "interrupted"  # stopped in order while there was more: it can be gone on with
    ENDED = "ended"
    CRASHED = "crashed"  # found dead by the next start, and recovered
    DAMAGED = "damaged"  # its journal breaks its own rules


class StrategySource(msgspec.Struct, frozen=True, omit_defaults=True):
    """One strategy of a session, and the source text that decided."""

    name: str
    use: str
    source_sha256: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    What a session was made from.

    ``config`` is the configuration as merged, ``data`` each input's name and fingerprint as its
    feed gives them, ``started_at`` and ``ended_at`` int ms UTC session time. ``runtime``
    (interpreter, platform, libraries) explains and decides nothing. ``places`` says where the
    inputs lay, to find them again; ``universe`` what could be traded, what was restricted for
    whom, and which source said so: ``config`` has what follows from it. ``facts`` is what the
    runner counted and the journal does not say, to make the report again. ``admissions`` has one
    entry for each start of a live or shadow session: by whose leave, and where its orders go.
    """

    manifest_version: int = MANIFEST_VERSION
    events_schema_version: int = SCHEMA_VERSION
    session_id: str
    mode: str
    seed: int
    status: SessionStatus
    started_at: int
    code_version: str
    config: dict[str, Any]
    config_sha256: str
    data: dict[str, str] = {}
    strategies: tuple[StrategySource, ...] = ()
    runtime: dict[str, str] = {}
    places: dict[str, Any] = {}
    universe: dict[str, Any] = {}
    admissions: tuple[dict[str, Any], ...] = ()
    ended_at: int | None = None
    outcome: str = ""
    exit_code: int | None = None
    artifacts: dict[str, str] = {}
    facts: dict[str, Any] = {}


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace ``manifest.json`` in one step."""
    # Defaults are shown: a reader of the file should not need the class.
    shown = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    encoded = msgspec.json.encode(shown, order="deterministic")
    replace_file(path, msgspec.json.format(encoded, indent=2) + b"\n")


def note_admission(path: Path, admission: Mapping[str, Any]) -> None:
    """Write down what a further start of the session goes by."""
    manifest = load_manifest(path)
    admissions = (*manifest.admissions, dict(admission))
    write_manifest(path, msgspec.structs.replace(manifest, admissions=admissions))


def load_manifest(path: Path) -> Manifest:
    """Return the manifest at ``path``; ``ManifestError`` says why it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    try:
        version = msgspec.json.decode(content, type=_Version).manifest_version
        if version > MANIFEST_VERSION:
            raise ManifestError(
                f"{path}: manifest of version {version}, this Tidegate knows up to "
                f"{MANIFEST_VERSION}"
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{path}: {error}") from error


def reopen(path: Path) -> None:
    """Write down that a session runs again, so that nothing is said any more of how it ended."""
    if load_manifest(path).status is not SessionStatus.RUNNING:
        seal(path, SessionStatus.RUNNING)


def seal(
    path: Path,
    status: SessionStatus,
    *,
    ended_at: int | None = None,
    outcome: str = "",
    exit_code: int | None = None,
    artifacts: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Manifest:
    """
    Write down how the session ended, with the sha256 of each of its ``artifacts``.

    Artifacts are named by their path in the session's folder, where the manifest lies.
    """
    sealed = msgspec.structs.replace(
        load_manifest(path),
        status=status,
        ended_at=ended_at,
        outcome=outcome,
        exit_code=exit_code,
        artifacts=dict(sorted((artifacts or {}).items())),
        facts=dict(facts or {}),
    )
    write_manifest(path, sealed)
    return sealed


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def config_sha256(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a configuration, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()


def simulation_session_id(
    config: Mapping[str, Any], fingerprints: Mapping[str, str], seed: int
) -> str:
    """
    Return the id that the same configuration, data and seed always get, such as ``r-1a2b3c4d5e``.

    ``fingerprints`` are those of the feed: each input's name and content. Whatever names a place
    (paths, output folders) must be left out of ``config``, or the id differs between machines.
    """
    identity = {"config": config, "data": fingerprints, "seed": seed}
    return f"r-{config_sha256(identity)[:_ID_CHARACTERS]}"


def live_session_id(started_at: int, entropy: str) -> str:
    """
    Return the id of a session in real time: two never share one, and they sort by start.

    ``started_at`` is int ms UTC; ``entropy`` at least ten random hexadecimal digits.
    """
    assert len(entropy) >= _ID_CHARACTERS, "too little entropy for an id"
    return f"l-{started_at:013d}-{entropy[:_ID_CHARACTERS]}"


class _Version(msgspec.Struct):
    manifest_version: int
