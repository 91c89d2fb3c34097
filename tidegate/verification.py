"""
Run a recorded session again and compare: same inputs and seed, same journal.

A difference is named as close to its cause as can be: an input or strategy file that is not
what it was, then the first event that came out otherwise, then files of the session that are
not what its journal says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.session import SessionError, SessionSpec, run_replay
from feeds.errors import FeedError
from state.journal import JournalError, first_difference, read_lines
from state.manifest import Manifest, file_sha256
from strategies.loader import StrategyLoadError
from tidegate import __version__
from tidegate.archive import Recorded
from tidegate.compose import feed_of, kept_instruments, limits_of, single_currency, strategies_of
from tidegate.config import Configuration, Settings
from tidegate.exits import UsageRefused

_CLOSING = b'"occasion":"close"'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; ``findings`` are differences, ``notes`` explain."""

    events: int
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Tell whether nothing differs."""
        return not self.findings


def verify(recorded: Recorded) -> Verdict:
    """Return how a session compares with a second run of it."""
    manifest = recorded.manifest
    findings = [*_changed_inputs(manifest), *_changed_files(recorded)]
    notes = []
    if manifest.code_version != __version__:
        notes.append(f"recorded by Tidegate {manifest.code_version}, run again by {__version__}")
    try:
        again = session_again(manifest)
    except (FeedError, StrategyLoadError, UsageRefused, ValueError) as error:
        return Verdict(0, (*findings, f"it cannot be run again: {error}"), tuple(notes))
    try:
        events = sum(1 for _ in read_lines(recorded.journal))
        with tempfile.TemporaryDirectory(prefix="tidegate-verify-") as folder:
            out = Path(folder) / "session"
            _run(replace(again, out=out))
            difference = first_difference(recorded.journal, out / "journal.sqlite")
    except (JournalError, OSError, SessionError) as error:
        return Verdict(0, (*findings, f"the journal cannot be compared: {error}"), tuple(notes))
    if difference is not None:
        ended_at = _first_closing(recorded.journal)
        if manifest.outcome == "interrupted" and ended_at and difference.seq >= ended_at:
            notes.append(
                f"interrupted at event {ended_at}: compared up to there, nothing after it can be"
            )
        else:
            findings.append(f"journal: {difference}")
    return Verdict(events, tuple(findings), tuple(notes))


def session_again(manifest: Manifest) -> SessionSpec:
    """Return the specification of the session that a manifest describes."""
    configuration = _configuration(manifest)
    settings = configuration.settings
    feed = feed_of(configuration)
    instruments = kept_instruments(manifest.config)
    return SessionSpec(
        mode=settings.session.mode,
        name=settings.session.name,
        seed=settings.session.seed,
        feed=feed,
        strategies=strategies_of(configuration, tuple(instruments)),
        instruments=instruments,
        currency=single_currency(instruments),
        cash=settings.session.cash,
        engine=settings.venue.engine_config(""),
        limits=limits_of(settings),
        config=manifest.config,
        session_id=manifest.session_id,
    )


def _configuration(manifest: Manifest) -> Configuration:
    config: dict[str, Any] = {
        section: dict(values) if isinstance(values, dict) else list(values)
        for section, values in manifest.config.items()
    }
    config.pop("instruments")
    uses = {strategy.name: strategy.use for strategy in manifest.strategies}
    config["strategies"] = [
        {
            **{key: value for key, value in section.items() if key != "source_sha256"},
            "use": uses[section["name"]],
        }
        for section in config["strategies"]
    ]
    if config["feed"]["source"] == "file":
        config["feed"]["files"] = [f"{data.path}@{data.symbol}" for data in manifest.data]
    return Configuration(Settings.model_validate(config), {}, config)


def _run(spec: SessionSpec) -> None:
    try:
        run_replay(spec)
    except FeedError:
        # The recorded session may have ended so too: the journals will tell.
        return


def _changed_inputs(manifest: Manifest) -> Iterator[str]:
    for data in manifest.data:
        if not data.path:
            continue
        path = Path(data.path)
        if not path.is_file():
            yield f"input {data.path} is no longer there"
        elif (found := file_sha256(path)) != data.sha256:
            yield f"input {data.path} changed: sha256 was {data.sha256[:12]}, is {found[:12]}"
    for section in manifest.strategies:
        file = _strategy_file(section.use)
        if file is not None and file.is_file() and file_sha256(file) != section.source_sha256:
            yield f"strategy {section.name}: {file} changed since"


def _strategy_file(use: str) -> Path | None:
    target, _, _ = use.rpartition(":")
    for text in (use, target):
        if text.endswith(".py"):
            return Path(text)
    return None


def _changed_files(recorded: Recorded) -> Iterator[str]:
    for name, sha256 in sorted(recorded.manifest.artifacts.items()):
        path = recorded.folder / name
        if not path.is_file():
            yield f"{name} is missing; `tidegate rebuild` makes it again"
        elif path.suffix != ".sqlite" and file_sha256(path) != sha256:
            yield f"{name} is not what the session wrote; `tidegate rebuild` makes it again"


def _first_closing(journal: Path) -> int:
    """Return the number of the first event of the session's end, 0 if there is none."""
    for seq, line in enumerate(read_lines(journal), 1):
        if _CLOSING in line:
            return seq
    return 0


__all__ = ["Verdict", "session_again", "verify"]
