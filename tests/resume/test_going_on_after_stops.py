"""Sessions stopped in order at any turn go on as if nobody had stopped them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resumed_world import Act, Disk, Process, check_sound, run_stopped
from test_going_on import ACTS, brief, command, ladder, silent, traders

from actors import turns
from actors.keeping import Keeper
from actors.runtime.supervisor import Supervisor
from actors.spec import SessionSpec
from messages import (
    CommandVerb,
    DeadLetter,
    ExecutionReport,
    FeedGap,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    KillReport,
    OrderEvent,
    SessionEnded,
    SessionStarted,
)
from state.facts import Facts
from state.projections import SummaryProjection
from state.register import STOPPING, outliving

pytestmark = pytest.mark.exhaustive

TURNS = 24
STOPS = 2


def check_as_undisturbed(
    make: Callable[[], SessionSpec], acts: Mapping[int, Act], chance: Random
) -> Process:
    """Compare a session with itself, stopped at turns chosen by ``chance``."""
    expected = Process(make(), Disk(), acts=acts).run().outcome()
    stops = sorted(chance.sample(range(1, TURNS), STOPS))

    found = run_stopped(make, stops, acts)

    check_sound(found)
    assert expected == found.outcome(), f"stopped before turns {stops}"
    return found


@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
@example(seed=1832)  # a time stop that has gone off, and a minute in which its market is silent
def test_traders_stopped_anywhere_go_on(seed: int, acts: Mapping[int, Act], *, hedge: bool) -> None:
    """Books, orders, holds, plans, backoffs, limits and memories are those of the whole session."""
    found = check_as_undisturbed(lambda: traders(seed, hedge=hedge), acts, Random(seed))

    assert [True, True, False] == [ended.stopped for ended in found.all(SessionEnded)]
    assert STOPS + 1 == len(found.all(SessionStarted))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_ladder_stopped_anywhere_goes_on(seed: int) -> None:
    """Its rungs, lots, backoff and rollbacks are as they were."""
    check_as_undisturbed(lambda: silent(ladder(seed)), {}, Random(seed))


def waiting_at(stop_at: int) -> tuple[Callable[[], SessionSpec], Mapping[int, Act]]:
    """Return a session in which intents wait behind a circuit when it is stopped."""
    return lambda: traders(3), {stop_at - 1: brief}


def first_stop_with_a_backlog() -> tuple[Process, int, int]:
    """Return a stopped process in whose mailboxes intents wait, its stop, and how many."""
    for stop_at in range(2, TURNS):
        make, acts = waiting_at(stop_at)
        process = Process(make(), Disk(), stop_at=stop_at, acts=acts).run()
        waiting = sum(len(cell.mailbox) for cell in process.assembly.dispatcher.cells.values())
        if waiting:
            return process, stop_at, waiting
    raise AssertionError("nothing ever waits")


def test_what_waits_behind_a_circuit_waits_on() -> None:
    """The stop neither refuses it nor makes a dead letter of it; it goes out in its time."""
    process, stop_at, _ = first_stop_with_a_backlog()
    make, acts = waiting_at(stop_at)
    expected = Process(make(), Disk(), acts=acts).run().outcome()

    found = run_stopped(make, [stop_at], acts)

    assert [] == unheard(process)
    check_sound(found)
    assert expected == found.outcome()


def test_a_stop_that_refuses_what_waits_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation: with a hold that refuses, the session comes to something else."""
    _, stop_at, _ = first_stop_with_a_backlog()
    make, acts = waiting_at(stop_at)
    expected = Process(make(), Disk(), acts=acts).run().outcome()
    hold_open = Supervisor.hold_open

    def refusing(self: Supervisor, hold_id: str, cause: str, **more: Any) -> Any:
        if hold_id.startswith(STOPPING):
            more["mode"] = HoldMode.REFUSE
        return hold_open(self, hold_id, cause, **more)

    monkeypatch.setattr(Supervisor, "hold_open", refusing)

    assert expected != run_stopped(make, [stop_at], acts).outcome()


def test_actors_that_are_stopped_as_at_an_end_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation: what waits would be told of as a dead letter, and be done all the same."""
    _, stop_at, waiting = first_stop_with_a_backlog()
    stop = Supervisor.stop
    monkeypatch.setattr(Supervisor, "stop", lambda self, reason, waits: stop(self, reason))

    make, acts = waiting_at(stop_at)
    process = Process(make(), Disk(), stop_at=stop_at, acts=acts).run()

    assert waiting == len(unheard(process))


def unheard(process: Process) -> list[DeadLetter]:
    """Return what was queued for an actor that was stopped, and told of as lost."""
    return [letter for letter in process.all(DeadLetter) if letter.reason == "stopped"]


def test_states_of_after_the_end_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation: of stopped actors nothing can be had but what they kept as failed ones."""
    monkeypatch.setattr(turns, "left_states", lambda _session: None)
    disk = Disk()

    Process(traders(5), disk, stop_at=9).run()

    assert any(b'"failed":true' in state for state in disk.states.values())


def test_the_states_on_the_disk_are_those_of_the_stop() -> None:
    """In the transaction of the last entry, whatever the end did to actors after it."""
    disk = Disk()
    process = Process(traders(5), disk, stop_at=9).run()

    left = process.session.left
    assert left is not None
    assert dict(left) == disk.states
    assert dict(left) == Keeper(process.session).states()
    assert not any(b'"failed":true' in state for state in disk.states.values())


def test_the_hold_of_the_end_is_lifted_by_the_next_process() -> None:
    """On record, so that no page, report or fold goes on showing it; and it never outlives."""
    found = run_stopped(lambda: traders(5), [9, 15])
    facts = facts_of(found)

    placed = [each.hold.hold_id for each in found.all(HoldPlaced)]
    lifted = [(each.hold.hold_id, each.reason) for each in found.all(HoldLifted)]
    assert 2 == placed.count("stopping:interrupted")
    assert 2 == lifted.count(("stopping:interrupted", "the session goes on"))
    assert {} == outliving(facts.holds.values())
    assert not [name for name in facts.holds if name.startswith(STOPPING)]


def facts_of(process: Process) -> Facts:
    """Return what a session's journal makes certain."""
    from actors.assembly import no_facts

    spec = process.spec
    facts = no_facts(spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash)
    return facts.fold_all(process.disk.entries)


def test_a_session_stopped_while_killed_comes_back_killed() -> None:
    """A kill that had flattened has no more to do; nothing that opens leaves in the new process."""
    acts = {15: command(CommandVerb.KILL, flatten=True)}
    disk = Disk()
    first = Process(ladder(3), disk, stop_at=20, acts=acts).run()
    (ended,) = first.all(SessionEnded)
    told = len(disk.entries)
    second = Process(ladder(3), disk, acts=acts).run()

    assert ("killed", 4, True) == (ended.outcome, ended.exit_code, ended.stopped)
    assert "kill" in second.assembly.holds.view()
    assert second.assembly.books.ledger.flat
    sent = [
        entry
        for entry in disk.entries[told:]
        if isinstance(entry.message, ExecutionReport) and entry.message.event is OrderEvent.SENT
    ]
    assert [] == sent
    check_sound(second)


def test_a_kill_that_its_stop_overtakes_is_gone_on_with() -> None:
    """It is told of as unconfirmed, and the next process does the rest: the account ends flat."""
    acts = {15: command(CommandVerb.KILL, flatten=True)}
    for stop_at in (15, 16, 17):
        disk = Disk()
        Process(ladder(3), disk, stop_at=stop_at, acts=acts).run()
        second = Process(ladder(3), disk, acts=acts).run()

        check_sound(second)
        assert second.assembly.books.ledger.flat, f"stopped before turn {stop_at}"
        assert second.all(KillReport)[-1].confirmed


def test_gaps_are_told_once_however_often_a_session_is_stopped() -> None:
    """Each end tells of its whole feed, so the newest telling is all there is."""
    projection = SummaryProjection()
    found = run_stopped(lambda: traders(5), [9])
    gap = FeedGap("feed", 1, "BTC/USDT", 0, 120_000, 1)
    for entry in found.disk.entries:
        projection.write([entry])
        if isinstance(entry.message, SessionEnded):
            projection.write([entry.__class__(**{**fields(entry), "message": gap})])

    (counted,) = projection.summary().gaps
    assert (1, 1) == (counted.gaps, counted.missing)


def fields(entry: Any) -> dict[str, Any]:
    """Return the fields of an entry."""
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
