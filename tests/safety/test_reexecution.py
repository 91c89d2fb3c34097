"""A paper session that somebody reached into is executed once more, and comes out the same."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path

import anyio
import pytest
from session_world import BTC, Script, Scripted, make_spec, walk

from actors.commands import Request
from actors.inbox import Inbox
from actors.places import Place
from actors.reexecution import Reexecuted, reexecute
from actors.resuming import left_in
from actors.runtime.clock import sleep_s
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from actors.turns import Session
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    CommandVerb,
    ExecutionPolicy,
    KillStage,
    KillStep,
    OperatorCommand,
    OrderType,
    SessionStarted,
    Side,
)
from state.crashpoints import passing_of
from state.journal import durable
from state.journal.reader import read_journal
from strategies.contract import Intents

BARS = 60
SESSION = "l-1-abcdefghij"

COMMANDS = {
    4: Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test", reason="drill"),
    9: Request(verb=CommandVerb.RESUME, by="test", reason="over"),
    12: Request(verb=CommandVerb.PAUSE, by="test", for_s=300),
    20: Request(verb=CommandVerb.PAUSE, by="test", for_s=-1.0),
    25: Request(verb=CommandVerb.KILL, by="test", reason="enough", flatten=True),
    30: Request(verb=CommandVerb.RESUME, by="test"),
    33: Request(verb=CommandVerb.RESUME, by="test", reason="go on", unlatch=True),
    45: Request(verb=CommandVerb.KILL, by="test", reason="once more"),
}
"""What an operator says after which bar."""


def spec_of(folder: Path, *, every: int = 2) -> SessionSpec:
    """Return a session that buys, rests orders and sells, ``every`` so many bars."""
    script = Script()

    def decide(strategy: Scripted, bar: Bar) -> Intents:
        desk = strategy.desk
        if (bar.timestamp // 60_000) % every:
            price = Decimal(str(round(bar.close - 0.2, 2)))
            near = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=price)
            return [desk.open(BTC, Side.BUY, Decimal(2), policy=near)]
        if desk.position(BTC):
            return [desk.close(BTC)]
        return [desk.open(BTC, Side.BUY, Decimal(1))]

    script.on_bar = decide
    spec = make_spec(MemoryFeed({BTC: walk(BTC, BARS, 5)}), script.spec())
    return replace(spec, mode="paper", runs_dir=folder / "runs", session_id=SESSION)


def run(
    spec: SessionSpec,
    *,
    speed: float = 0,
    commands: dict[int, Request] | None = None,
    within: dict[int, Request] | None = None,
    stop_after: int = BARS,
    inbox: Inbox | None = None,
) -> Path:
    """
    Run a session and return its journal.

    ``commands`` come after a bar, ``within`` while the order of a bar is written to the disk.
    """
    inbox = inbox or Inbox()
    seen = [0]

    def progressed(bars: int) -> None:
        seen[0] = bars
        request = (commands or {}).get(bars)
        if request is not None:
            inbox.submit(request)

    def opened(session: Session) -> None:
        commit = session.journal.commit
        left = dict(within or {})

        async def committed() -> int:
            request = left.pop(session.turns, None)
            if request is not None:
                inbox.submit(request)
                await sleep_s(0.01)  # the door is listened at meanwhile
            return await commit()

        session.journal.commit = committed  # type: ignore[method-assign]

    async def main() -> Path:
        result = await run_paper(
            spec,
            speed=speed,
            inbox=inbox,
            stop=lambda: seen[0] >= stop_after,
            on_progress=progressed,
            on_open=opened,
        )
        return result.out / "journal.sqlite"

    return anyio.run(main)


def again(folder: Path, journal: Path, **terms: int) -> Reexecuted:
    """Execute the session of ``journal`` once more, from a spec of its own."""
    return reexecute(spec_of(folder, **terms), SESSION, journal)


def check_same(folder: Path, journal: Path) -> int:
    """Check that nothing differs; return how many entries there are."""
    found = again(folder, journal)
    entries = list(read_journal(journal))

    assert found.difference is None, str(found.difference)
    assert len(entries) == found.same
    return len(entries)


CRASHES = [
    f"{point}:{number}"
    for point in ("journal.encoded", "journal.states_taken", "journal.committed")
    for number in (2, 9, 14, 23, 31, 50)
]
"""Where a process dies: around the write of a batch, at several of them."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_dying(
    folder: Path, at: str, commands: dict[int, Request] = COMMANDS, inbox: Inbox | None = None
) -> Path:
    """
    Run a session whose process dies at a crash point, go on with it, return its journal.

    It is gone on with behind ``inbox``.
    """
    child = os.fork()
    if not child:
        try:
            os.environ["TIDEGATE_CRASH_AT"] = at
            vars(durable)["passing"] = passing_of(os.environ, _die)
            run(spec_of(folder), commands=commands)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it did not come to that point"
    spec = spec_of(folder)
    left = left_in(folder / "runs" / "paper" / "sessions" / SESSION, spec)

    async def main() -> Path:
        result = await resume_paper(spec, left, speed=0, inbox=inbox)
        return result.out / "journal.sqlite"

    return anyio.run(main)


class Hasty(Inbox):
    """A door at which somebody stands before the session has started: the kill file does."""

    def __init__(self, *requests: Request) -> None:
        super().__init__()
        self.requests = requests

    def open(self, session: Session) -> None:
        super().open(session)
        for request in self.requests:
            self.submit(request)


@pytest.mark.parametrize("speed", [0.0, 60_000.0], ids=["at once", "paced"])
def test_commands_are_taken_again_where_they_were_taken(tmp_path: Path, speed: float) -> None:
    """Pauses, kills with their times, refusals and resumes, between any two bars."""
    journal = run(spec_of(tmp_path), speed=speed, commands=COMMANDS)

    taken = [e.message for e in read_journal(journal) if isinstance(e.message, OperatorCommand)]
    assert len(COMMANDS) == len(taken)
    check_same(tmp_path, journal)


def test_commands_that_come_while_the_disk_writes_are_taken_again_there(tmp_path: Path) -> None:
    """An order whose record is being written is stopped by a kill, then and now."""
    within = {
        5: Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test"),
        8: Request(verb=CommandVerb.RESUME, by="test"),
        11: Request(verb=CommandVerb.KILL, by="test", flatten=True),
    }
    journal = run(spec_of(tmp_path), within=within, commands={8: within[8]})

    places = [
        Place.of(entry.causation)
        for entry in read_journal(journal)
        if isinstance(entry.message, OperatorCommand)
    ]
    assert any(place is not None and place.on_disk for place in places)
    check_same(tmp_path, journal)


HASTY = {
    "kill": (Request(verb=CommandVerb.KILL, by="kill_file", reason="it is there"),),
    "kill twice": (
        Request(verb=CommandVerb.KILL, by="kill_file"),
        Request(verb=CommandVerb.KILL, by="signal:SIGUSR1", flatten=True),
    ),
    "pause and stop": (
        Request(verb=CommandVerb.PAUSE, by="test", for_s=300),
        Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test"),
    ),
}
"""What somebody wants of a session whose actors have not started."""


@pytest.mark.parametrize("requests", HASTY.values(), ids=HASTY)
@pytest.mark.parametrize("goes_on", [False, True], ids=["new", "gone on with"])
def test_commands_that_come_while_a_session_starts_are_taken_again_there(
    tmp_path: Path, requests: tuple[Request, ...], *, goes_on: bool
) -> None:
    """A kill file that is there before the start is in force, has its place, and is compared."""
    if goes_on:
        journal = run_dying(tmp_path, "journal.committed:14", {}, Hasty(*requests))
    else:
        journal = run(spec_of(tmp_path), inbox=Hasty(*requests), commands={33: COMMANDS[33]})

    entries = [e for e in read_journal(journal) if isinstance(e.message, OperatorCommand)]
    started = max(e.seq for e in read_journal(journal) if isinstance(e.message, SessionStarted))
    assert started < entries[0].seq < started + 20
    assert all(Place.of(entry.causation) is not None for entry in entries)
    check_same(tmp_path, journal)


def test_a_kill_on_a_machine_that_is_slow_between_any_two_stages_is_timed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the stopwatch is a millisecond later, the first step's too, kill on kill."""
    looks = count()
    monkeypatch.setattr("actors.session.monotonic_s", lambda: next(looks) / 1_000)
    journal = run_dying(tmp_path, "journal.states_taken:8", {4: COMMANDS[45]})

    steps = [e.message for e in read_journal(journal) if isinstance(e.message, KillStep)]
    assert all(step.elapsed_ms for step in steps if step.stage is KillStage.LATCHED)
    assert 2 == len({step.kill_id for step in steps})
    check_same(tmp_path, journal)


@pytest.mark.parametrize("speed", [0.0, 60_000.0], ids=["at once", "paced"])
@pytest.mark.parametrize("stop_after", [1, 7, 30])
def test_the_order_to_stop_comes_again_where_it_came(
    tmp_path: Path, speed: float, stop_after: int
) -> None:
    """With all that the end brings about: the hold, what is refused, the closing marks."""
    journal = run(spec_of(tmp_path), speed=speed, stop_after=stop_after, commands=COMMANDS)

    check_same(tmp_path, journal)


def test_a_changed_decision_is_found_and_named(tmp_path: Path) -> None:
    """Ablation: a strategy that decides otherwise differs at its first other decision."""
    journal = run(spec_of(tmp_path), commands=COMMANDS)

    found = again(tmp_path, journal, every=3)

    assert found.difference is not None
    assert f"entry {found.difference.seq} (ReduceIntent) differs" in str(found.difference)


def test_a_command_that_is_forgotten_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: without handing commands in, the first of them is what differs."""
    journal = run(spec_of(tmp_path), commands=COMMANDS)
    first = next(
        entry.seq for entry in read_journal(journal) if isinstance(entry.message, OperatorCommand)
    )
    monkeypatch.setattr("actors.redriving.Redriver._next_command", lambda *_, **__: None)

    found = again(tmp_path, journal)

    assert found.difference is not None
    assert first == found.difference.seq


@pytest.mark.parametrize("at", CRASHES)
def test_a_session_is_the_same_over_its_crashes(tmp_path: Path, at: str) -> None:
    """Wherever its process died: entries, bars without any, orders on their way, commands."""
    journal = run_dying(tmp_path, at)

    starts = [e for e in read_journal(journal) if isinstance(e.message, SessionStarted)]
    assert len(starts) in (1, 2)
    check_same(tmp_path, journal)
