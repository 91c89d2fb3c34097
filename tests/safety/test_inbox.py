"""The door for other threads: who comes in is answered, a kill is durable, nobody is forgotten."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paper_house import AT_ONCE_S, House, keeps_buying, live_in
from safety_world import daemon
from session_world import BTC, Script, flat

from actors.commands import Answer, Request
from actors.inbox import Closed, Inbox, Waiting
from actors.paced import PacedDriver
from actors.runtime import Pacer, limits
from messages import (
    CommandVerb,
    ExecutionReport,
    HoldMode,
    KillReport,
    KillStage,
    KillStep,
    OperatorCommand,
    OrderEvent,
    Scope,
    SessionEnded,
)
from state.journal.entry import Entry
from state.register import register_of

KILL = Request(verb=CommandVerb.KILL, by="test", reason="drill")
STOP = Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test")


def door(tmp_path: Path) -> tuple[Inbox, Any]:
    """Return the door of a session in which nothing moves, and that session."""
    world = daemon(flat(BTC, 4), Script().spec()).begin()
    inbox = Inbox(register_of(tmp_path, "paper", "main"))

    async def opened() -> None:
        inbox.open(world.session)

    asyncio.run(opened())
    return inbox, world


def on_disk(tmp_path: Path) -> list[str]:
    return [hold.hold_id for hold in register_of(tmp_path, "paper", "main").load()]


# -- a session that does not listen


def test_a_kill_is_on_the_disk_before_the_session_has_heard_of_it(tmp_path: Path) -> None:
    """When ``submit`` returns, ``kill -9`` loses nothing, whatever the session is stuck in."""
    inbox, world = door(tmp_path)
    future = inbox.submit(KILL)

    assert not future.done()
    assert "kill" not in world.holds
    assert ["kill"] == on_disk(tmp_path)


def test_without_that_a_kill_of_a_stuck_session_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: latched by the session alone, a dead process leaves nothing behind."""
    monkeypatch.setattr(Inbox, "latch", lambda *_: None)
    inbox, _ = door(tmp_path)
    inbox.submit(KILL)

    assert [] == on_disk(tmp_path)


def test_other_commands_wait_for_the_session(tmp_path: Path) -> None:
    """What is not a kill is not in force before it is taken, nor on the disk."""
    inbox, _ = door(tmp_path)
    inbox.submit(STOP)

    assert [] == on_disk(tmp_path)


def test_a_kill_with_a_scope_is_no_kill(tmp_path: Path) -> None:
    """It will be refused: nothing of it is latched meanwhile."""
    inbox, world = door(tmp_path)
    inbox.submit(Request(verb=CommandVerb.KILL, by="test", scope=Scope(symbol=BTC)))
    assert [] == on_disk(tmp_path)

    world.settle()
    (waiting,) = inbox.owed()

    assert waiting.answer is not None
    assert not waiting.answer.ok
    assert [] == list(world.holds)


def test_a_full_inbox_refuses_no_kill(tmp_path: Path) -> None:
    """Whoever floods a stuck session with commands does not keep it from being killed."""
    inbox, world = door(tmp_path)
    for _ in range(limits.COMMANDS_WAITING_MAX):
        inbox.submit(STOP)
    with pytest.raises(Closed, match="commands wait already"):
        inbox.submit(STOP)
    inbox.submit(KILL)
    world.settle()

    assert "kill" in world.holds


def test_a_flood_of_kills_is_bounded_and_loses_nothing_that_is_new(tmp_path: Path) -> None:
    """The same kill is the same answer; one that says flatten is taken in addition."""
    inbox, world = door(tmp_path)
    futures = [inbox.submit(KILL) for _ in range(limits.COMMANDS_WAITING_MAX + 50)]
    flatten = inbox.submit(Request(verb=CommandVerb.KILL, by="test", flatten=True))
    again = inbox.submit(Request(verb=CommandVerb.KILL, by="test", flatten=True))

    assert limits.COMMANDS_WAITING_MAX + 1 == len(inbox.kills_waiting())
    assert futures[-1] is futures[0]
    assert again is flatten

    world.settle()

    assert world.assembly.kill._flatten


def test_the_oldest_kill_is_the_one_that_is_late(tmp_path: Path) -> None:
    """However many come after it: the sentinel's last resort is not put off by them."""
    inbox, _ = door(tmp_path)
    first = inbox.hand_over(KILL)
    for _ in range(limits.COMMANDS_WAITING_MAX + 10):
        inbox.hand_over(KILL)

    assert first is inbox.kills_waiting()[0]


def test_questions_are_bounded_too(tmp_path: Path) -> None:
    """Whoever asks a stuck session again and again does not fill its memory."""
    inbox, _ = door(tmp_path)
    for _ in range(limits.COMMANDS_WAITING_MAX):
        inbox.ask(lambda _session: {})
    with pytest.raises(Closed, match="questions wait already"):
        inbox.ask(lambda _session: {})


# -- nobody waits for ever


def test_everybody_is_turned_away_when_the_session_ends(tmp_path: Path) -> None:
    """Commands and questions that were not taken end with ``Closed``; later ones are not let in."""
    inbox, world = door(tmp_path)
    command, question = inbox.submit(STOP), inbox.ask(lambda _session: {})
    inbox.close("the session has ended")

    for future in (command, question):
        with pytest.raises(Closed, match="the session has ended"):
            future.result(0)
    for ask in (lambda: inbox.submit(KILL), lambda: inbox.ask(lambda _session: {})):
        with pytest.raises(Closed):
            ask()

    world.settle()

    assert [] == list(world.holds)


def test_nobody_is_let_in_before_there_is_a_session() -> None:
    """And nothing is latched: there is no account yet."""
    with pytest.raises(Closed, match="no session is running"):
        Inbox().submit(KILL)


def test_a_door_that_is_shut_still_answers_who_was_in(tmp_path: Path) -> None:
    """The last errands before the end are run; whoever comes later is turned away."""
    inbox, world = door(tmp_path)
    future = inbox.submit(KILL)
    inbox.shut()
    with pytest.raises(Closed):
        inbox.submit(STOP)
    world.settle()
    inbox.answer(inbox.owed(), durable=True)

    assert future.result(0).ok


def test_whoever_gives_up_waiting_keeps_nobody_else_from_an_answer(tmp_path: Path) -> None:
    """A cancelled future is left alone; the command is carried out all the same."""
    inbox, world = door(tmp_path)
    impatient, patient = inbox.submit(STOP), inbox.submit(KILL)
    question = inbox.ask(lambda _session: {})
    assert impatient.cancel()
    assert question.cancel()
    world.settle()
    inbox.answer(inbox.owed(), durable=True)
    inbox.close("over")

    assert patient.result(0).ok
    assert ["stop-new-orders", "kill"] == list(world.holds)


def test_a_question_that_raises_is_its_askers_to_handle(tmp_path: Path) -> None:
    """The session goes on."""
    inbox, world = door(tmp_path)

    def fails(_session: Any) -> dict[str, Any]:
        raise LookupError("nothing there")

    future = inbox.ask(fails)
    world.settle()

    with pytest.raises(LookupError, match="nothing there"):
        future.result(0)


def test_an_answer_tells_whether_the_disk_knows(tmp_path: Path) -> None:
    """Carried out and not durable is said so; a kill that its bringer has latched is durable."""
    inbox, world = door(tmp_path)
    stop, kill = inbox.submit(STOP), inbox.submit(KILL)
    world.settle()
    inbox.answer(inbox.owed(), durable=False)

    assert (True, False) == (stop.result(0).ok, stop.result(0).durable)
    assert "NOT on the disk" in stop.result(0).text
    assert kill.result(0).durable


# -- in a running session


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_command_is_answered_when_it_is_durable(tmp_path: Path, uvloop: bool) -> None:
    """Its events are in the journal and its hold in the register at the moment of the answer."""
    seen: list[tuple[list[str], int]] = []

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        answer = house.take(CommandVerb.STOP_NEW_ORDERS, reason="drill")
        journal = house.session.journal
        seen.append((house.held(), journal.durable_seq))
        assert answer.durable
        answers.append(answer)

    answers: list[Answer] = []
    house = live_in(tmp_path, keeps_buying(), act=act, uvloop=uvloop)

    held, durable = seen[0]
    assert ["stop-new-orders"] == held
    place = next(
        n for n, m in enumerate(house.messages(), start=1) if isinstance(m, OperatorCommand)
    )
    assert place < durable


def test_whoever_has_an_answer_can_ask_at_once_what_has_come_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tells of a command to others has been handed to them before it is answered."""
    answered: list[bool] = []
    answer = Inbox.answer

    def noted(inbox: Inbox, owed: Iterable[Waiting], *, durable: bool) -> None:
        owed = list(owed)
        if owed:
            answered.append(told.commands > 0)
        answer(inbox, owed, durable=durable)

    class Told:
        """A sink that counts what operators have asked for."""

        commands = 0

        def write(self, entries: Sequence[Entry], lines: bytes) -> None:
            self.commands += sum(isinstance(each.message, OperatorCommand) for each in entries)

        def close(self) -> None:
            pass

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        house.take(CommandVerb.STOP_NEW_ORDERS, reason="drill")

    def listened_to(house: House) -> None:
        house.spec = replace(house.spec, sinks=(told,))

    told = Told()
    monkeypatch.setattr(Inbox, "answer", noted)
    live_in(tmp_path, keeps_buying(), act=act, before=listened_to)

    assert [True] == answered


def test_a_kills_stages_are_timed_from_its_trigger(tmp_path: Path) -> None:
    """How long it waited for a busy strategy is part of the evidence."""
    script = keeps_buying()
    script.on_bar = lambda _strategy, _bar: time.sleep(0.03)

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        waiting = house.inbox.hand_over(KILL)
        waiting.since_s -= 7.0
        waiting.future.result(AT_ONCE_S)
        house.until(lambda: house.session.assembly.kill.report)

    house = live_in(tmp_path, script, act=act, speed=60_000.0)

    latched = next(step for step in house.all(KillStep) if step.stage is KillStage.LATCHED)
    assert 7_000 <= latched.elapsed_ms < 7_000 + 1_000 * AT_ONCE_S


def test_commands_from_many_threads_are_all_answered(tmp_path: Path) -> None:
    """Each once, in some order; the last word is what is in force."""
    futures: list[Future[Answer]] = []

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)

        def pester() -> None:
            for number in range(40):
                request = STOP if number % 2 else Request(verb=CommandVerb.RESUME, by="test")
                futures.append(house.inbox.submit(request))

        threads = [threading.Thread(target=pester) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for future in futures:
            future.result(AT_ONCE_S)

    house = live_in(tmp_path, keeps_buying(), act=act)

    assert 160 == len(futures) == len(house.all(OperatorCommand))
    last = [m for m in house.messages() if isinstance(m, OperatorCommand)][-1]
    held = [hold_id for hold_id in house.held() if hold_id == "stop-new-orders"]
    assert bool(held) is (last.verb is CommandVerb.STOP_NEW_ORDERS)


def test_questions_without_end_do_not_stop_time(tmp_path: Path) -> None:
    """Whoever polls as fast as he can gets answers; turns, timers and kills come all the same."""
    over = threading.Event()

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)

        def poll() -> None:
            while not over.is_set():
                house.inbox.ask(lambda session: {"turns": session.turns}).result(AT_ONCE_S)

        threads = [threading.Thread(target=poll) for _ in range(3)]
        for thread in threads:
            thread.start()
        turns = house.session.turns
        house.until(lambda: house.session.turns > turns + 10)
        house.take(CommandVerb.KILL)
        house.until(lambda: house.session.assembly.kill.report)
        over.set()
        for thread in threads:
            thread.join()

    house = live_in(tmp_path, keeps_buying(), act=act)

    assert house.all(KillReport)[-1].confirmed


async def test_a_driver_without_a_listener_takes_commands_between_turns() -> None:
    """Nothing but the driver is needed where nobody minds waiting."""
    world = daemon(flat(BTC, 30), keeps_buying().spec()).begin()
    inbox = Inbox()
    inbox.open(world.session)
    future = inbox.submit(KILL)
    driver = PacedDriver(
        world.session, Pacer(0), inbox, stop=lambda: False, on_progress=lambda _bars: None
    )

    assert await driver.run(world.session.groups(world._opened))
    assert future.result(0).ok
    assert "kill" in world.holds


# -- the very end


def test_a_kill_that_comes_with_the_end_is_in_the_outcome(tmp_path: Path) -> None:
    """Whoever was let in is heard before it is said how the session ended; that comes last."""
    codes = set()
    for number in range(6):
        taken: list[bool] = []

        def act(house: House, taken: list[bool] = taken) -> None:
            house.until(lambda: house.session.turns > 3)
            house.over.set()
            try:
                taken.append(house.inbox.submit(KILL).result(AT_ONCE_S).ok)
            except Closed:
                taken.append(False)

        folder = tmp_path / str(number)
        house = live_in(folder, keeps_buying(), act=act, speed=60_000.0)
        assert house.result is not None
        codes.add(house.result.exit_code)
        (ended,) = house.all(SessionEnded)

        assert isinstance(house.messages()[-1], SessionEnded)
        assert (4 if taken[0] else 130) == ended.exit_code == house.result.exit_code
        assert (["kill"] if taken[0] else []) == house.held()

    assert 4 in codes


def test_an_orderly_end_while_killed_exits_4_and_stays_killed(tmp_path: Path) -> None:
    """SIGTERM is no resume: the next start is held."""

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        house.take(CommandVerb.KILL)

    first = live_in(tmp_path, keeps_buying(), act=act)
    second = live_in(
        tmp_path,
        keeps_buying(),
        act=lambda house: house.until(lambda: house.session.turns > 10),
    )

    assert first.result is not None
    assert second.result is not None
    assert (4, 4) == (first.result.exit_code, second.result.exit_code)
    assert not [r for r in second.all(ExecutionReport) if r.event is OrderEvent.SENT]
    assert second.all(KillReport)[-1].confirmed
    assert ["kill"] == second.held()


def test_a_resume_after_a_restart_lifts_it_for_good(tmp_path: Path) -> None:
    """The third session trades."""

    def kills(house: House) -> None:
        house.take(CommandVerb.KILL)

    def resumes(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        assert house.take(CommandVerb.RESUME, unlatch=True, reason="well").ok

    live_in(tmp_path, keeps_buying(), act=kills)
    live_in(tmp_path, keeps_buying(), act=resumes)
    third = live_in(
        tmp_path, keeps_buying(), act=lambda house: house.until(lambda: house.session.turns > 5)
    )

    assert [r for r in third.all(ExecutionReport) if r.event is OrderEvent.SENT]
    assert third.result is not None
    assert 130 == third.result.exit_code


def test_every_operators_hold_outlives_its_session(tmp_path: Path) -> None:
    """Scopes and ends included; what a session's own end placed does not."""

    def act(house: House) -> None:
        house.take(CommandVerb.STOP_NEW_ORDERS, scope=Scope(symbol=BTC))
        house.take(CommandVerb.PAUSE, for_s=86_400.0 * 30)

    first = live_in(tmp_path, keeps_buying(), act=act)
    held = {hold.hold_id: hold for hold in first.register.load()}
    seen: list[dict[str, Any]] = []
    live_in(
        tmp_path,
        keeps_buying(),
        act=lambda house: seen.append(dict(house.session.assembly.holds.view())),
    )

    assert ["stop-new-orders:symbol=BTC/USDT", "pause"] == list(held)
    assert HoldMode.BLOCK is held["pause"].mode
    assert held == seen[0]
