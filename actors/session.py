"""
A session from the first event to the last artifact.

Replay and paper over recorded or synthetic data are the same turns over the same groups of
bars; paper waits between turns until their real time has come, and its orders leave only
after a durable commit. Decisions are a function of configuration, data and seed in both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
import structlog

from actors.artifacts import JOURNAL, QUARANTINE, Artifacts, FilesUnfinished, nothing_half_begun
from actors.assembly import StrategySpec
from actors.execution import LastLook
from actors.feed import FeedActor
from actors.health import MachineVitals
from actors.inbox import Inbox
from actors.keeping import Keeper, Recorded
from actors.kill import Stopwatch
from actors.live import closed_afterwards, connected, listening
from actors.opening import explain, set_up
from actors.outcomes import (
    COMPLETED,
    EXIT_DONE,
    EXIT_FAULT,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    INPUT_REFUSED,
    INTERRUPTED,
)
from actors.paced import PacedDriver
from actors.resuming import Left, facts_keeper, held_at_start
from actors.runtime import Pacer
from actors.runtime.clock import monotonic_s, wall_ms
from actors.runtime.entropy import session_entropy
from actors.runtime.garbage import few_collections
from actors.runtime.stall import StallWatch
from actors.spec import SessionResult, SessionSpec
from actors.state_file import StateFile
from actors.turns import (
    Session,
    SessionError,
    drive,
)
from brokers.contract import Remote, StepsAside
from feeds.contract import Group, LiveFeed
from feeds.errors import FeedError
from messages import Adoption
from state.crashpoints import passing
from state.fact_snapshots import FactsKeeper
from state.journal import Journal, JournalError
from state.journal.durable import DurableJournal
from state.journal.errors import damage_behind
from state.lease import SessionLease
from state.manifest import live_session_id, simulation_session_id
from state.precedence import Precedence
from state.register import HoldRegister, RegisterDamaged, outliving, register_of

Progress = Callable[[int], None]


class EmptyFeed(ValueError):
    """There is not one bar in the input."""


def run_replay(spec: SessionSpec, *, on_progress: Progress | None = None) -> SessionResult:
    """
    Run history through the actors as fast as it goes and return what became of it.

    The folder of ``spec`` holds all artifacts when this returns, or when it raises: a feed's
    refusal of its input (``FeedError``) and ``KeyboardInterrupt`` end the session properly
    before they go on to the caller. Raises ``SessionError`` or ``EmptyFeed`` before anything
    is written.
    """
    fingerprints = spec.feed.fingerprints()
    session_id = spec.session_id or simulation_session_id(spec.config, fingerprints, spec.seed)
    out = _folder(spec, session_id)
    with closing(SessionLease(out)), nothing_half_begun(out):
        return _replayed(spec, session_id, out, fingerprints, on_progress or _ignore)


def _replayed(
    spec: SessionSpec,
    session_id: str,
    out: Path,
    fingerprints: Mapping[str, str],
    on_progress: Progress,
) -> SessionResult:
    first, groups = _open(spec, out)
    artifacts = Artifacts(spec, session_id, out, fingerprints)
    artifacts.begin(first[0].timestamp)
    started_s = monotonic_s()
    journal = Journal(artifacts.sinks(simulation=True))
    try:
        with few_collections():
            session = Session(spec, session_id, journal, first)
            session.start()
            otherwise, trouble = _drive(session, groups, on_progress)
            outcome, exit_code = session.outcome(otherwise)
            session.finish(outcome, exit_code)
            journal.close()
            result = artifacts.finish(session, outcome, exit_code, monotonic_s() - started_s)
    except BaseException:
        artifacts.abandon()
        raise
    if trouble is not None:
        raise trouble
    return result


def _drive(
    session: Session, groups: Iterator[Group], on_progress: Progress
) -> tuple[str, BaseException | None]:
    try:
        drive(session, session.groups(groups), on_progress)
    except FeedError as error:
        return INPUT_REFUSED, error
    except KeyboardInterrupt as error:
        return INTERRUPTED, error
    return COMPLETED, None


async def run_paper(
    spec: SessionSpec,
    *,
    speed: float,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
    inbox: Inbox | None = None,
    on_open: Callable[[Session], None] = lambda _session: None,
) -> SessionResult:
    """
    Run a paper session at ``speed`` session seconds a second (0: no waiting), durably.

    A live feed has a speed of its own, and that is the session's.

    Every order's record is on disk before the order leaves. ``stop`` is asked while nothing is
    due. Commands come through ``inbox``, which is open from before ``on_open`` until the session
    ends. The holds in the account's register are in force before anything starts, and the register
    follows them. Raises what ``run_replay`` raises, ``LeaseHeld`` where another process runs this
    session, ``AccountUnexplained`` where the venue holds what its books do not, and
    ``JournalFailed`` when the disk gives up: then nothing more is sent and the
    session's last state is what the journal holds.
    """
    session_id = spec.session_id or live_session_id(wall_ms(), session_entropy())
    with closing(_lease(spec, session_id)) as lease, nothing_half_begun(lease.folder):
        driven = _Driven(speed, stop, on_progress or _ignore, inbox or Inbox(), on_open)
        async with closed_afterwards(spec.feed):
            begins = await _anew(spec, session_id, lease.folder)
            return await _run_live(spec, begins, driven)


async def resume_paper(
    spec: SessionSpec,
    left: Left,
    *,
    speed: float,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
    inbox: Inbox | None = None,
    on_open: Callable[[Session], None] = lambda _session: None,
) -> SessionResult:
    """
    Go on with the session that was ``left``, after its last entry, as ``run_paper`` runs one.

    Its books are those of its journal, its actors start over what they kept, and nothing opens
    before every order is accounted for and the venue and our books agree. Raises ``JournalDamaged``
    where what an earlier process wrote turns out to be no journal while this one runs.
    """
    assert left.ended is None, "what has ended is not gone on with"
    with closing(SessionLease(left.folder)), _damage_by_name():
        driven = _Driven(speed, stop, on_progress or _ignore, inbox or Inbox(), on_open)
        async with closed_afterwards(spec.feed):
            return await _run_live(spec, await _going_on(spec, left), driven)


@contextmanager
def _damage_by_name() -> Iterator[None]:
    """
    Let damage of the journal leave as that.

    Its check is not alone in reading all of it: the projections do too, and may be the first; then
    all that the session hears is that they are gone.
    """
    try:
        yield
    except (JournalError, FilesUnfinished) as error:
        damage = damage_behind(error)
        if damage is None or damage is error:
            raise
        raise damage from error


async def _anew(spec: SessionSpec, session_id: str, out: Path) -> _Begins:
    fingerprints = spec.feed.fingerprints()
    passing("session.folder_made")
    artifacts = Artifacts(spec, session_id, out, fingerprints)
    if isinstance(spec.feed, LiveFeed):
        now = await connected(spec.feed, out)
        begins = _Begins(session_id, (), iter(()), artifacts, now=now, now_s=monotonic_s())
    else:
        first, groups = _open(spec, out)
        begins = _Begins(session_id, first, groups, artifacts)
    artifacts.begin(begins.at)
    passing("session.manifest_written")
    return begins


async def _going_on(spec: SessionSpec, left: Left) -> _Begins:
    session_id, recorded = left.manifest.session_id, left.recorded
    artifacts = Artifacts(spec, session_id, left.folder, spec.feed.fingerprints())
    if isinstance(spec.feed, LiveFeed):
        last = -1 if recorded is None else recorded.last_bar_at
        now = await connected(spec.feed, left.folder, None if last < 0 else last)
        begins = _Begins(session_id, (), iter(()), artifacts, recorded, now, monotonic_s())
        return replace(begins, began_s=left.began_s)
    if recorded is None:  # nothing of it has happened yet
        first, groups = _open(spec, left.folder)
        return _Begins(session_id, first, groups, artifacts)
    rest = FeedActor(spec.feed).groups(recorded.last_bar_at)
    return _Begins(session_id, (), rest, artifacts, recorded, began_s=left.began_s)


@dataclass(frozen=True, slots=True)
class _Driven:
    """How a live session is driven, and by whom: see ``run_paper``."""

    speed: float
    stop: Callable[[], bool]
    on_progress: Progress
    inbox: Inbox
    on_open: Callable[[Session], None]
    precedence: Precedence = field(default_factory=Precedence)
    """Who others step aside for while an order is on its way."""


@dataclass(frozen=True, slots=True)
class _Begins:
    """How a live session begins: anew with a first group, or where it was ``recorded``."""

    session_id: str
    first: Group
    groups: Iterator[Group]
    artifacts: Artifacts
    recorded: Recorded | None = None
    now: int | None = None
    """The time of a live feed's source, when it was connected ..."""
    now_s: float = 0.0
    """... at this moment."""
    began_s: float = 0.0
    """What its recovery is timed from: see ``Left``."""

    @property
    def at(self) -> int:
        """Return the session time at which it begins, int ms UTC."""
        if self.now is not None:
            return self.now if self.recorded is None else max(self.now, self.recorded.clock)
        return self.first[0].timestamp if self.recorded is None else self.recorded.clock


async def _run_live(spec: SessionSpec, begins: _Begins, driven: _Driven) -> SessionResult:
    artifacts, out, recorded = begins.artifacts, begins.artifacts.out, begins.recorded
    started_s = monotonic_s()
    register = register_of(spec.runs_dir, spec.mode, spec.account)
    inbox = driven.inbox
    inbox.register = register
    journal, facts = await _journal(spec, begins, driven.precedence)
    watch = StallWatch()
    remote: Remote | None = None
    adopted: tuple[Adoption, ...] = ()
    try:
        live = _on_machine(spec, out, watch, _speed_of(spec, driven))
        session = Session(live, begins.session_id, journal, begins.first, recorded, now=begins.now)
        journal.keep(Keeper(session, facts=facts, precedence=driven.precedence).states)
        if recorded is not None:
            session.recovery.await_check(begins.began_s)
        session.listen()
        session.assembly.kill.stopwatch = Stopwatch(lambda: int(monotonic_s() * 1000))
        inbox.open(session)
        remote = session.remote
        if remote is not None:
            adopted = await _found(session, remote, driven)
        if recorded is not None:
            artifacts.begin_again()
        session.start(held_at_start(register, begins.at, recorded), adopted)
        session.recovery.protected()
        passing("session.started")
        with few_collections(settled=True):
            outcome, exit_code, trouble = await _to_the_end(session, begins, driven, watch)
    except BaseException:
        journal.abort()
        artifacts.abandon()
        await journal.gone()
        _keep_what_is_held(inbox, register)
        raise
    finally:
        inbox.close("the session has ended")
        watch.stop()
        if remote is not None:
            await remote.close()
    await journal.close()
    passing("session.closed")
    result = artifacts.finish(session, outcome, exit_code, monotonic_s() - started_s)
    passing("session.finished")
    if trouble is not None:
        raise trouble
    return result


async def _found(session: Session, remote: Remote, driven: _Driven) -> tuple[Adoption, ...]:
    """Find a venue elsewhere, and return what of its account is adopted."""
    assert session.witness is not None, "what is elsewhere is witnessed"
    remote.wake = driven.inbox.ring
    if isinstance(remote, StepsAside):
        remote.precedence = driven.precedence
    core, holds = session.assembly.core, session.assembly.holds
    session.witness.look_again(LastLook(core.board, holds, session.spec.feed.timeframe_ms))
    await set_up(remote)
    return await explain(session, session.witness)


async def _journal(
    spec: SessionSpec, begins: _Begins, precedence: Precedence
) -> tuple[DurableJournal, FactsKeeper]:
    """Open the journal, with the projections and the facts behind it; or let go of all of them."""
    artifacts, recorded = begins.artifacts, begins.recorded
    path = artifacts.out / JOURNAL
    sinks = artifacts.sinks(simulation=False)
    facts = facts_keeper(spec, recorded)
    try:
        journal = await DurableJournal.open(path, sinks=[*sinks, facts], precedence=precedence)
    except BaseException:
        artifacts.abandon()
        raise
    passing("session.journal_opened")
    if recorded is not None:
        artifacts.catch_up(path, journal.seq)
    return journal, facts


async def _to_the_end(
    session: Session, begins: _Begins, driven: _Driven, watch: StallWatch
) -> tuple[str, int, Exception | None]:
    """Drive a session that has started; return outcome, exit code, and a refusal of its feed."""
    inbox = driven.inbox
    pacer = Pacer(_speed_of(session.spec, driven))
    passed_s = 0.0 if begins.now is None else monotonic_s() - begins.now_s
    pacer.begin(begins.at + int(passed_s * 1000 * pacer.speed))
    driver = PacedDriver(
        session,
        pacer,
        inbox,
        stop=driven.stop,
        on_progress=driven.on_progress,
        precedence=driven.precedence,
    )
    watch.start()
    opened = partial(driven.on_open, session)
    out = begins.artifacts.out
    beside = [watch.beat, StateFile(session, out, driven.precedence).run]
    if session.goes_on:
        beside.append(partial(driver.check_journal, out / JOURNAL))
    otherwise, trouble = await _drive_paced(driver, begins.groups, beside, opened)
    # Nobody comes in any more, and who came before is heard before it is said how it ended.
    inbox.shut()
    await driver.wind_down()
    if otherwise == COMPLETED and driver.stopped_at is not None:
        otherwise = INTERRUPTED
    outcome, exit_code = session.outcome(otherwise)
    passing("session.ending")
    session.finish(outcome, exit_code, driver.stopped_at)
    await driver.commit()
    await session.journal.commit()
    passing("session.ended")
    return outcome, exit_code, trouble


async def _drive_paced(
    driver: PacedDriver,
    groups: Iterator[Group],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    opened: Callable[[], None],
) -> tuple[str, Exception | None]:
    """Drive, and listen beside it; an error leaves as it is and not as one of a group."""
    failed: Exception | None = None
    otherwise, refused = INTERRUPTED, None
    async with anyio.create_task_group() as tasks:
        for each in (driver.listen, *beside):
            tasks.start_soon(each)
        remote = driver.session.remote
        if remote is not None:
            tasks.start_soon(remote.run)
        feed = driver.session.spec.feed
        if isinstance(feed, LiveFeed):
            feed.wake = driver.stir
            tasks.start_soon(listening, driver.session, feed)
        try:
            opened()
            await driver.begin()
            if isinstance(feed, LiveFeed):
                ended = await driver.run_live(feed)
            else:
                ended = await driver.run(driver.session.groups(groups))
            otherwise = COMPLETED if ended else INTERRUPTED
            await driver.hear_verdict()
            await driver.hear_out()
            await driver.account_for()
            await driver.ask_for_the_rest()
        except FeedError as error:
            otherwise, refused = INPUT_REFUSED, error
        except Exception as error:  # noqa: BLE001 - raised below
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return otherwise, refused


def _speed_of(spec: SessionSpec, driven: _Driven) -> float:
    """Return how many session seconds pass in a real one."""
    return spec.feed.speed if isinstance(spec.feed, LiveFeed) else driven.speed


def _on_machine(spec: SessionSpec, out: Path, watch: StallWatch, speed: float) -> SessionSpec:
    """Return ``spec`` with its Health, if it has one, watching this machine."""
    if spec.health is None or spec.health.vitals is not None:
        return spec
    vitals = MachineVitals(out, lambda: watch.stalls)
    return replace(spec, health=spec.health.on_machine(vitals, speed))


def _keep_what_is_held(inbox: Inbox, register: HoldRegister) -> None:
    """Let no hold get lost with a session that failed; what it lifted last is held again."""
    if inbox.session is None:
        return
    try:
        register.add(outliving(inbox.session.assembly.holds.view().values()))
    except (OSError, RegisterDamaged) as error:
        structlog.get_logger("session").error("holds_not_durable", error=str(error))


def _open(spec: SessionSpec, out: Path) -> tuple[Group, Iterator[Group]]:
    quarantine = getattr(spec.feed, "write_quarantine_to", None)
    if quarantine is not None:
        # Before the first bar is asked for: a bad row may come before any good one.
        quarantine(out / QUARANTINE)
    groups = iter(spec.feed.groups())
    first = next(groups, None)
    if first is None:
        raise EmptyFeed("the input holds no bar")
    return first, chain((first,), groups)


def _folder(spec: SessionSpec, session_id: str) -> Path:
    """Return the session's folder, made and empty; refuse one that holds anything else."""
    if spec.out is not None:
        if spec.out.is_dir() and any(spec.out.iterdir()):
            raise SessionError(f"{spec.out}: found files, expected a new or empty folder")
        spec.out.mkdir(parents=True, exist_ok=True)
        return spec.out
    out = spec.runs_dir / spec.mode / "sessions" / session_id
    if out.exists():
        # A simulation's id is a hash of all its inputs: this folder is the same session.
        shutil.rmtree(out)
    out.mkdir(parents=True)
    return out


def _lease(spec: SessionSpec, session_id: str) -> SessionLease:
    """Return the lease of the session's folder, made anew; that of a running one stays as it is."""
    out = spec.out or spec.runs_dir / spec.mode / "sessions" / session_id
    if out.is_dir():
        SessionLease(out).release()
    return SessionLease(_folder(spec, session_id))


def _ignore(_count: int) -> None:
    return None


__all__ = [
    "EXIT_DONE",
    "EXIT_FAULT",
    "EXIT_INPUT",
    "EXIT_INTERRUPTED",
    "EmptyFeed",
    "SessionError",
    "SessionResult",
    "SessionSpec",
    "StrategySpec",
    "resume_paper",
    "run_paper",
    "run_replay",
]
