"""Run a session from the command line: logs, progress, the summary at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from actors.artifacts import FilesUnfinished
from actors.opening import AccountUnexplained
from actors.outcomes import INTERRUPTED
from actors.runtime.clock import wall_ms
from actors.session import (
    EmptyFeed,
    ReplayInterrupted,
    SessionError,
    SessionResult,
    SessionSpec,
    run_replay,
)
from brokers.contract import VenueUnreachable
from brokers.settings import ELSEWHERE
from feeds.history import VenueRefused, VenueTrouble
from feeds.timeframe import format_timeframe
from strategies.loader import StrategyLoadError
from tidegate.aside import say_aside
from tidegate.compose import Parts, broker_of, compose
from tidegate.config import Configuration
from tidegate.disk_failures import unfinished
from tidegate.exits import DiskFailed, Exit, StartRefused, UsageRefused
from tidegate.features import features_of
from tidegate.front import current
from tidegate.going_live import announce_admission
from tidegate.journal_log import JournalLog
from tidegate.logs import Logs, SessionLog
from tidegate.output import progress_bar, say_document, told
from tidegate.places import unwritable
from tidegate.redaction import Redactor
from tidegate.screen import held_to_the_end, say_result
from tidegate.unexplained import refusal, tags_in

LOGS = "logs"


def replay_session(
    configuration: Configuration, *, out: Path | None, events: Path | None, as_json: bool
) -> int:
    """Run a replay and say what came of it; return its exit code."""
    refuse_used_folder(out)
    if events is not None and (problem := unwritable(events.parent)) is not None:
        raise UsageRefused(f"--events {events}: {problem}")
    if events is not None:
        events.parent.mkdir(parents=True, exist_ok=True)
    with session_logs(configuration) as (_, log):
        parts = compose(configuration)
        _refuse_a_venue_elsewhere(configuration)
        _refuse_live_data(configuration)
        if parts.feed.synthetic and configuration.settings.feed.source == "synthetic":
            _refuse_endless(configuration)
        spec = session_spec(configuration, parts, log, out=out, events=events)
        announce(spec)
        with progress_bar("replay") as on_progress, input_errors():
            try:
                result = run_replay(spec, on_progress=on_progress)
            except ReplayInterrupted as interrupted:
                result = interrupted.result
            except FilesUnfinished as error:
                raise DiskFailed(unfinished(error)) from error
    code = say(result, as_json=as_json)
    if result.outcome == INTERRUPTED:
        say_aside("tidegate: interrupted\n")
    return code


def say(result: SessionResult, *, as_json: bool) -> int:
    """Say what came of a session; return its exit code, whoever reads that or does not."""
    is_told = told(lambda: say_document(result_document(result)) if as_json else say_result(result))
    # Who only looks at the exit code, and at these lines, learns here that it did not trade.
    held = held_to_the_end(result.summary) if result.exit_code == Exit.DONE else ""
    if reason := result.reason or held:
        say_aside(f"tidegate: {result.outcome}: {reason}\n")
    return result.exit_code if is_told else result.exit_code or int(Exit.FAULT)


def result_document(result: SessionResult) -> dict[str, Any]:
    """Return the one JSON document about a session."""
    return {
        "session_id": result.session_id,
        "outcome": result.outcome,
        "reason": result.reason,
        "exit_code": result.exit_code,
        "folder": str(result.out),
        "summary": result.summary,
    }


def session_spec(
    configuration: Configuration,
    parts: Parts,
    log: SessionLog,
    *,
    out: Path | None = None,
    events: Path | None = None,
    admission: Mapping[str, Any] | None = None,
) -> SessionSpec:
    """
    Return what the runner needs; the session's log opens when the session starts.

    ``admission`` is what a live or shadow session starts by: see ``tidegate.going_live``.
    """
    session = configuration.settings.session
    runs_dir = Path(session.dir)
    if (problem := unwritable(out or runs_dir)) is not None:
        where = "--out" if out else f"{configuration.origin('session', 'dir')}: session.dir"
        raise UsageRefused(f"{where}: {problem}")

    def open_log(session_id: str) -> None:
        folder = out or runs_dir / session.mode / "sessions" / session_id
        if (trouble := log.open(folder / LOGS)) is not None:
            structlog.get_logger("session").error("session_log_ends", error=str(trouble))

    return SessionSpec(
        mode=session.mode,
        name=session.name,
        seed=session.seed,
        feed=parts.feed,
        strategies=parts.strategies,
        instruments=parts.instruments,
        currency=parts.currency,
        cash=session.cash,
        engine=configuration.settings.venue.engine_config(""),
        broker=broker_of(configuration.settings),
        limits=parts.limits,
        health=parts.health,
        doubts=configuration.settings.execution.plan(),
        reconciliation=configuration.settings.reconciliation.plan(
            elsewhere=configuration.settings.venue.adapter in ELSEWHERE
        ),
        features=features_of(configuration),
        own_tags=tags_in(runs_dir / session.mode / "sessions"),
        out=out,
        runs_dir=runs_dir,
        config=parts.config,
        places=parts.places,
        universe=parts.universe,
        admission={} if admission is None else admission,
        events=events,
        sinks=(JournalLog(open_log, live=session.mode != "replay"),),
    )


@contextmanager
def session_logs(configuration: Configuration) -> Iterator[tuple[Logs, SessionLog]]:
    """Send logs where the configuration says while a session runs, without its secrets."""
    settings = configuration.settings
    secrets = configuration.secrets()
    current().redactor = Redactor(secrets)
    current().log_folder = Path(settings.session.dir) / LOGS
    logs = Logs(
        now_ms=wall_ms,
        log_format=settings.telemetry.log_format,
        # A replay is over before anybody could read along: its log has the rest.
        shown_from="warning" if settings.session.mode == "replay" else "info",
    )
    logs.hide(secrets)
    logs.install()
    with logs.session() as log:
        yield logs, log


def announce(spec: SessionSpec) -> None:
    """Log what is about to run, and before that whether orders will leave this machine."""
    announce_admission(spec.admission)
    structlog.get_logger("session").info(
        "session_composed",
        mode=spec.mode,
        seed=spec.seed,
        symbols=list(spec.feed.symbols),
        timeframe=format_timeframe(spec.feed.timeframe_ms),
        synthetic=spec.feed.synthetic,
        strategies=[strategy.name for strategy in spec.strategies],
        data=spec.feed.fingerprints(),
    )


@contextmanager
def input_errors(instead: str = "") -> Iterator[None]:
    """Turn the runner's refusals of its input into ours; ``instead`` is said of an account's."""
    try:
        yield
    except (EmptyFeed, SessionError, StrategyLoadError) as error:
        raise UsageRefused(str(error)) from None
    except AccountUnexplained as unexplained:
        raise refusal(unexplained, instead) from None
    except (VenueTrouble, VenueRefused) as error:
        raise StartRefused(f"start-up refused: no market data: {error}") from None
    except VenueUnreachable as error:
        raise StartRefused(f"start-up refused: the venue does not answer: {error}") from None


def refuse_used_folder(out: Path | None) -> None:
    """Refuse an ``--out`` that is a file or holds anything."""
    if out is None or not out.exists():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise UsageRefused(f"--out {out}: found {_what(out)}, expected a new or empty folder")


def _what(out: Path) -> str:
    return "files in it" if out.is_dir() else "a file"


def _refuse_a_venue_elsewhere(configuration: Configuration) -> None:
    adapter = configuration.settings.venue.adapter
    if adapter in ELSEWHERE:
        raise UsageRefused(
            f"{configuration.origin('venue', 'adapter')}: venue.adapter: found {adapter.value!r}, "
            "expected 'paper' for a replay: it waits for nobody; `tidegate trade` goes to the "
            "exchange"
        )


def _refuse_live_data(configuration: Configuration) -> None:
    feed = configuration.settings.feed
    if feed.is_live:
        raise UsageRefused(
            f"{configuration.origin('feed', 'source')}: feed.source: found {feed.source!r}, "
            "expected files for a replay; `tidegate data fetch` brings a venue's history"
        )


def _refuse_endless(configuration: Configuration) -> None:
    if configuration.settings.feed.synthetic.bars == 0:
        raise UsageRefused(
            f"{configuration.origin('feed', 'synthetic', 'bars')}: feed.synthetic.bars: found 0, "
            "a market without end; expected a number of bars for a replay"
        )


__all__ = ["replay_session", "result_document", "say", "session_logs", "session_spec"]
