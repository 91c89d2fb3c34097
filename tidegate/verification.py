"""
Run a recorded session again and compare: same inputs and seed, same journal.

A difference is named as close to its cause as can be: an input or strategy file that is not
what it was, then the first event that came out otherwise, then files of the session that are
not what its journal says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.reexecution import PlaceUnknown, Reexecuted, reexecute
from actors.session import SessionError, SessionSpec, run_replay
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker, ShadowBroker
from brokers.settings import ELSEWHERE, Adapter
from feeds.errors import FeedError
from feeds.readers import content_sha256
from feeds.recorded import RecordedFeed
from feeds.settings import DEFAULT_TIMEFRAME
from feeds.timeframe import parse_timeframe
from state.journal import JournalError
from state.journal.reader import Difference, first_difference, read_lines
from state.lease import SHADOW
from state.manifest import Manifest, SessionStatus, file_sha256
from strategies.loader import StrategyLoadError, load_strategy
from tidegate import __version__
from tidegate.archive import Recorded
from tidegate.compose import (
    feed_of,
    health_of,
    kept_instruments,
    limits_of,
    single_currency,
    strategies_of,
)
from tidegate.config import Configuration, Settings
from tidegate.exits import UsageRefused
from tidegate.universe import universe_of

OUTSIDE: Mapping[bytes, str] = {
    b'"type":"OperatorCommand"': "an operator's command",
    b"HandlerStuck:": "a handler that had to be stopped",
    b'"hold_id":"disk"': "the state of the machine",
    b'"hold_id":"clock"': "the state of the machine",
    b'"hold_id":"loop"': "the state of the machine",
    b'"hold_id":"stopping:': "the order to stop",
}
"""What is in the line of an event that does not follow from configuration, data and seed."""

UNPLACED: Mapping[bytes, str] = {
    mark: what
    for mark, what in OUTSIDE.items()
    if what not in ("an operator's command", "the order to stop")
}
"""The same for a session whose journal says where in it commands and the order to stop came."""

_STARTED = b'"type":"ActorStarted"'
_HELD = b'"type":"HoldPlaced"'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; ``findings`` are differences, ``notes`` explain."""

    events: int
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    ended: bool = True
    """Whether the session came to its end; if not, its process ended, or it still runs."""

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
        compared = _reexecuted(again, recorded) if manifest.mode != "replay" else None
        difference = _rerun(again, recorded) if compared is None else compared.difference
        marks = OUTSIDE if compared is None else UNPLACED
    except FeedError as refusal:
        return Verdict(0, (*findings, f"it cannot be run again: {refusal}"), tuple(notes))
    except (JournalError, OSError, SessionError) as error:
        return Verdict(0, (*findings, f"the journal cannot be compared: {error}"), tuple(notes))
    ended = _has_ended(recorded)
    if difference is not None and (ended or difference.first is not None):
        outside, what = _first_from_outside(recorded.journal, marks)
        if outside and difference.seq >= outside:
            events = outside - 1
            notes.append(
                f"event {outside} is {what}: compared up to there, what follows from it cannot be"
            )
        else:
            findings.append(f"journal: {difference}")
    return Verdict(events, tuple(findings), tuple(notes), ended)


def _has_ended(recorded: Recorded) -> bool:
    """Return whether a session came to its end, by its manifest or by its journal's last event."""
    if recorded.manifest.status in (SessionStatus.ENDED, SessionStatus.INTERRUPTED):
        return True
    last = b""
    for last in read_lines(recorded.journal):  # noqa: B007 - the last one is what counts
        pass
    return last.startswith(b'{"type":"SessionEnded"')


def session_again(manifest: Manifest) -> SessionSpec:
    """Return the specification of the session that a manifest describes."""
    configuration = _configuration(manifest)
    settings = configuration.settings
    feed = _recorded_feed(settings) if settings.feed.is_live else feed_of(configuration)
    limits = limits_of(settings)
    universe = universe_of(configuration, feed, limits)
    instruments = kept_instruments(manifest.config)
    return SessionSpec(
        mode=settings.session.mode,
        name=settings.session.name,
        seed=settings.session.seed,
        feed=feed,
        strategies=strategies_of(configuration, universe),
        instruments=instruments,
        currency=single_currency(instruments),
        cash=settings.session.cash,
        engine=settings.venue.engine_config(""),
        broker=_broker_again(settings),
        limits=limits,
        health=health_of(settings) if "health" in manifest.config else None,
        doubts=settings.execution.plan(),
        reconciliation=settings.reconciliation.plan(elsewhere=settings.venue.adapter in ELSEWHERE),
        config=manifest.config,
        session_id=manifest.session_id,
    )


def _recorded_feed(settings: Settings) -> RecordedFeed:
    """Return what stands for the live feed of a session: what it brought is in the journal."""
    timeframe = settings.feed.timeframe or DEFAULT_TIMEFRAME
    return RecordedFeed(sorted(set(settings.universe.symbols)), parse_timeframe(timeframe))


def _broker_again(settings: Settings) -> Callable[[MatchingEngine], SessionBroker]:
    """Return what makes the venue that was in the session's own process, if it was there."""
    if settings.session.mode == SHADOW:
        return ShadowBroker
    return PaperBroker if settings.venue.adapter is Adapter.PAPER else _unrecorded


def _unrecorded(_engine: MatchingEngine) -> SessionBroker:
    """Stand for a venue elsewhere, whose journal says what it was like and what it said."""
    raise SessionError("its journal does not have what its venue said: an older Tidegate wrote it")


def _configuration(manifest: Manifest) -> Configuration:
    config: dict[str, Any] = {
        section: dict(values) if isinstance(values, dict) else list(values)
        for section, values in manifest.config.items()
    }
    config.pop("instruments")
    uses = manifest.places["strategies"]
    config["strategies"] = [
        {
            **{key: value for key, value in section.items() if key != "source_sha256"},
            "use": uses[section["name"]],
        }
        for section in config["strategies"]
    ]
    if config["feed"]["source"] == "file":
        files = manifest.places["data"]
        config["feed"]["files"] = [f"{files[name]}@{_symbol(name)}" for name in manifest.data]
    return Configuration(Settings.model_validate(config), {}, config)


def _reexecuted(spec: SessionSpec, recorded: Recorded) -> Reexecuted | None:
    """Execute a paper session once more; ``None`` where its journal does not say enough for it."""
    try:
        return reexecute(spec, recorded.manifest.session_id, recorded.journal)
    except PlaceUnknown as unknown:
        if recorded.manifest.config["venue"]["adapter"] == Adapter.PAPER:
            return None
        # From data and seed alone nothing can be said: the answers of its venue are missing.
        raise SessionError(f"{unknown}: recorded by an older Tidegate") from None


def _rerun(spec: SessionSpec, recorded: Recorded) -> Difference | None:
    """Run a session once more from configuration, data and seed alone, and compare."""
    with tempfile.TemporaryDirectory(prefix="tidegate-verify-") as folder:
        out = Path(folder) / "session"
        refusal = _run(replace(spec, out=out))
        if refusal is not None and not (out / "journal.sqlite").is_file():
            raise refusal
        return first_difference(recorded.journal, out / "journal.sqlite")


def _run(spec: SessionSpec) -> FeedError | None:
    """Run a session; return its feed's refusal: the recorded one may have ended so too."""
    try:
        run_replay(spec)
    except FeedError as error:
        return error
    return None


def _changed_inputs(manifest: Manifest) -> Iterator[str]:
    for name, place in manifest.places.get("data", {}).items():
        recorded, path = manifest.data[name], Path(place)
        if not path.exists():
            yield f"input {place} is no longer there"
        elif (found := content_sha256(path, place)) != recorded:
            yield f"input {place} changed: sha256 was {recorded[:12]}, is {found[:12]}"
    for strategy in manifest.strategies:
        use = manifest.places.get("strategies", {}).get(strategy.name, strategy.use)
        try:
            found = load_strategy(use).source_sha256
        except StrategyLoadError as error:
            yield str(error)
            continue
        if found != strategy.source_sha256:
            yield (
                f"strategy {strategy.name} ({use}) changed: "
                f"sha256 was {strategy.source_sha256[:12]}, is {found[:12]}"
            )


def _symbol(name: str) -> str:
    """Return the symbol in an input's name, ``file name@symbol``."""
    return name.rpartition("@")[2]


def _changed_files(recorded: Recorded) -> Iterator[str]:
    for name, sha256 in sorted(recorded.manifest.artifacts.items()):
        path = recorded.folder / name
        if not path.is_file():
            yield f"{name} is missing; `tidegate rebuild` makes it again"
        elif path.suffix != ".sqlite" and file_sha256(path) != sha256:
            yield f"{name} is not what the session wrote; `tidegate rebuild` makes it again"


def _first_from_outside(journal: Path, marks: Mapping[bytes, str]) -> tuple[int, str]:
    """Return number and nature of the first event that data and seed do not explain, or 0."""
    started = False
    for seq, line in enumerate(read_lines(journal), 1):
        if not started and _HELD in line and marks is OUTSIDE:
            return seq, "a hold that an earlier session left"
        started = started or _STARTED in line
        for mark, what in marks.items():
            if mark in line:
                return seq, what
    return 0, ""


__all__ = ["Verdict", "session_again", "verify"]
