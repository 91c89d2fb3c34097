"""
A session from the first event to the last artifact.

Replay and paper over recorded or synthetic data are the same turns over the same groups of
bars; paper waits between turns until their real time has come, and its orders leave only
after a durable commit. Decisions are a function of configuration, data and seed in both.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import structlog

from actors.artifacts import JOURNAL, Artifacts, FilesUnfinished, nothing_half_begun
from actors.assembly import StrategySpec
from actors.beginning import Begins, EmptyFeed, anew, folder_of, going_on, lease_of, opened_feed
from actors.driving import beside
from actors.execution import LastLook
from actors.health import MachineVitals
from actors.inbox import Inbox
from actors.keeping import Keeper
from actors.live import closed_afterwards, listening
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
from actors.spec import ReplayInterrupted, SessionResult, SessionSpec
from actors.state_file import StateFile
from actors.stopwatch import Stopwatch
from actors.turns import Session, SessionError
from actors.unpaced import drive
from brokers.contract import KeepsAlive, Remote, StepsAside
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
from state.register import HoldRegister, RegisterDamaged, register_of

Progress = Callable[[int], None]
_Ended = tuple[str, int, Exception | None]
"""How a session has ended: its outcome, its exit code, and a refusal of its feed."""


def run_replay(spec: SessionSpec, *, on_progress: Progress | None = None) -> SessionResult:
    """
    Run history through the actors as fast as it goes and return what became of it.

    The folder of ``spec`` holds all artifacts when this returns, or when it raises: a feed's
    refusal of its input (``FeedError``) and ``KeyboardInterrupt``, then ``ReplayInterrupted``, end
    the session properly before they go on to the caller. Raises ``SessionError`` or ``EmptyFeed``
    before anything is written.
    """
    fingerprints = spec.feed.fingerprints()
    session_id = spec.session_id or simulation_session_id(spec.config, fingerprints, spec.seed)
    out = folder_of(spec, session_id)
    with closing(SessionLease(out)), nothing_half_begun(out):
        return _replayed(spec, session_id, out, fingerprints, on_progress or _ignore)


def _replayed(
    spec: SessionSpec,
    session_id: str,
    out: Path,
    fingerprints: Mapping[str, str],
    on_progress: Progress,
) -> SessionResult:
    first, groups = opened_feed(spec, out)
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
    if isinstance(trouble, KeyboardInterrupt):
        raise ReplayInterrupted(result) from trouble
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
    with closing(lease_of(spec, session_id)) as lease, nothing_half_begun(lease.folder):
        driven = _Driven(speed, stop, on_progress or _ignore, inbox or Inbox(), on_open)
        async with closed_afterwards(spec.feed):
            begins = await anew(spec, session_id, lease.folder)
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
            return await _run_live(spec, await going_on(spec, left), driven)


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


async def _run_live(spec: SessionSpec, begins: Begins, driven: _Driven) -> SessionResult:
    artifacts, out, recorded = begins.artifacts, begins.artifacts.out, begins.recorded
    started_s = monotonic_s()
    register = register_of(spec.runs_dir, spec.mode, spec.account)
    inbox = driven.inbox
    inbox.register = register
    journal, facts = await _journal(spec, begins, driven.precedence)
    watch = StallWatch()
    remote: Remote | None = None
    try:
        live = _on_machine(spec, out, watch, _speed_of(spec, driven))
        session = Session(live, begins.session_id, journal, begins.first, recorded, now=begins.now)
        journal.keep(Keeper(session, facts=facts, precedence=driven.precedence).states)
        if recorded is not None:
            session.recovery.await_check(begins.began_s, begins.phases)
        session.listen()
        session.assembly.kill.stopwatch = Stopwatch(lambda: int(monotonic_s() * 1000))
        inbox.open(session)
        remote = session.remote
        if remote is not None:
            await _find(session, remote, driven)
        through = partial(_through, session, begins, driven, register, watch)
        outcome, exit_code, trouble = await _heard_from(remote, through)
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


async def _find(session: Session, remote: Remote, driven: _Driven) -> None:
    """Find a venue elsewhere."""
    assert session.witness is not None, "what is elsewhere is witnessed"
    remote.wake = driven.inbox.ring
    if isinstance(remote, StepsAside):
        remote.precedence = driven.precedence
    core, holds = session.assembly.core, session.assembly.holds
    session.witness.look_again(LastLook(core.board, holds, session.spec.feed.timeframe_ms))
    session.witness.tell_market(core.board.mark)
    await set_up(remote)


async def _heard_from(
    remote: Remote | None, work: Callable[[], Coroutine[Any, Any, _Ended]]
) -> _Ended:
    """Have ``work`` done, and a venue elsewhere hear from us from before it until it is closed."""
    if remote is None:
        return await work()

    async def and_closed() -> _Ended:
        ended = await work()
        await remote.close()
        return ended

    if isinstance(remote, KeepsAlive):
        return await beside(remote.keep_alive, and_closed)
    return await and_closed()


async def _through(
    session: Session, begins: Begins, driven: _Driven, register: HoldRegister, watch: StallWatch
) -> _Ended:
    """Explain the account, start the session, and drive it to its end."""
    adopted: tuple[Adoption, ...] = ()
    if session.remote is not None:
        assert session.witness is not None, "what is elsewhere is witnessed"
        adopted = await explain(session, session.witness)
    if begins.recorded is not None:
        begins.artifacts.begin_again()
    session.start(held_at_start(register, begins.at, begins.recorded), adopted)
    session.recovery.protected()
    passing("session.started")
    with few_collections(settled=True):
        return await _to_the_end(session, begins, driven, watch)


async def _journal(
    spec: SessionSpec, begins: Begins, precedence: Precedence
) -> tuple[DurableJournal, FactsKeeper]:
    """Open the journal, with the projections and the facts behind it; or let go of all of them."""
    artifacts, recorded = begins.artifacts, begins.recorded
    path = artifacts.out / JOURNAL
    facts = facts_keeper(spec, recorded)
    sinks = [*artifacts.sinks(simulation=False), begins.phases, facts]
    try:
        journal = await DurableJournal.open(path, sinks=sinks, precedence=precedence)
    except BaseException:
        artifacts.abandon()
        raise
    passing("session.journal_opened")
    if recorded is not None:
        artifacts.catch_up(path, journal.seq)
    return journal, facts


async def _to_the_end(
    session: Session, begins: Begins, driven: _Driven, watch: StallWatch
) -> _Ended:
    """Drive a session that has started."""
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
            # The start was work, and is done: nothing is late because its door is older than it.
            driver.inbox.pulse.beat(driver.session.assembly.clock.now)
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
        register.add(inbox.session.assembly.kill.lasting())
    except (OSError, RegisterDamaged) as error:
        structlog.get_logger("session").error("holds_not_durable", error=str(error))


def _ignore(_count: int) -> None:
    return None


__all__ = [
    "EXIT_DONE",
    "EXIT_FAULT",
    "EXIT_INPUT",
    "EXIT_INTERRUPTED",
    "EmptyFeed",
    "ReplayInterrupted",
    "SessionError",
    "SessionResult",
    "SessionSpec",
    "StrategySpec",
    "resume_paper",
    "run_paper",
    "run_replay",
]
