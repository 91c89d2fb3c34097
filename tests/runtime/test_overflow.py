"""Full lanes and failing actors: what each class of message was promised, and every count."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from small_house import BOUNDS, MAKERS, House

from actors.runtime import AfterCommit, Dispatcher, SetTimer
from actors.runtime.limits import DEAD_LETTERS_KEPT, NEVER_DROPPED_FACTOR
from actors.runtime.schedule import QueuedDispatcher
from messages import (
    DeadLetter,
    HoldMode,
    HoldPlaced,
    Lane,
    OpenIntent,
    OrderCommitted,
    Overflow,
    ReasonCode,
    Scope,
    Tick,
    VenueReport,
    Wake,
)

both_dispatchers = pytest.mark.parametrize(
    "dispatcher", [Dispatcher, QueuedDispatcher], ids=["fused", "queued"]
)


def full_house(dispatcher: type[Dispatcher], what: str) -> House:
    """Return a house whose listener is down with its lane for ``what`` at the bound."""
    house = House(dispatcher)
    house.go_down()
    for number in range(BOUNDS[MAKERS[what]("A").lane]):
        house.tell(what, f"{number}")
    return house


@both_dispatchers
def test_a_full_lane_refuses_new_intents_to_their_sender(dispatcher: type[Dispatcher]) -> None:
    """The refusal names the actor and the lane; what waits keeps waiting."""
    house = full_house(dispatcher, "open")
    late = house.tell("open", "late")
    ((message, causes),) = house.refused

    assert message == late
    assert [(cause.code, cause.detail) for cause in causes] == [
        (ReasonCode.MAILBOX_FULL, "actor=listener lane=OPEN")
    ]
    house.come_back()
    assert [m.symbol for m in house.seen if isinstance(m, OpenIntent)] == ["0", "1", "2"]
    assert not house.holds.active


@both_dispatchers
def test_acknowledgements_and_fills_are_never_dropped(dispatcher: type[Dispatcher]) -> None:
    """Past the bound OPEN is held everywhere, and every report is still handled, in order."""
    house = full_house(dispatcher, "report")
    assert house.holds.view() == {}
    late = [house.tell("report", f"late {n}") for n in range(3)]

    assert house.holds.active
    (placed,) = house.all(HoldPlaced)
    assert "VenueReport" in placed.hold.cause
    assert house.holds.mode(MAKERS["open"]("A")) is HoldMode.REFUSE
    house.come_back()
    assert house.seen[-3:] == late
    assert not house.refused


@both_dispatchers
def test_without_its_policy_an_acknowledgement_is_lost(
    dispatcher: type[Dispatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: declared as telemetry is, a report past the bound is gone and nothing holds."""
    monkeypatch.setattr(VenueReport, "overflow", Overflow.DROP_NEWEST)
    house = full_house(dispatcher, "report")
    late = house.tell("report", "late")
    house.come_back()

    assert late not in house.seen
    assert not house.holds.active


@both_dispatchers
def test_even_what_is_never_dropped_has_an_end(dispatcher: type[Dispatcher]) -> None:
    """Four times the bound is where truth is given up: a dead letter, held, on the record."""
    house = full_house(dispatcher, "report")
    bound = BOUNDS[Lane.REDUCE]
    for number in range(bound * (NEVER_DROPPED_FACTOR - 1)):
        house.tell("report", f"{number}")
    assert not [letter for letter in house.all(DeadLetter) if letter.reason == "mailbox_full"]
    house.tell("report", "too much")

    assert [m.message_type for m in house.all(DeadLetter) if m.reason == "mailbox_full"] == [
        "VenueReport"
    ]
    assert house.cell.stats().mailbox.queued[Lane.REDUCE] == bound * NEVER_DROPPED_FACTOR


@both_dispatchers
def test_market_data_gives_way_to_newer_data(dispatcher: type[Dispatcher]) -> None:
    """The older bar of the same symbol is replaced and counted; nothing is held for it."""
    house = full_house(dispatcher, "bar")
    newest = house.tell("bar", "1")
    house.come_back()

    assert [m.symbol for m in house.seen[1:]] == ["0", "2", "1"]  # type: ignore[attr-defined]
    assert house.seen[-1] is newest or house.seen[-1] == newest
    assert house.cell.stats().mailbox.conflated == 1
    assert not house.holds.active


@both_dispatchers
def test_telemetry_is_dropped_newest_first_and_never_blocks_trading(
    dispatcher: type[Dispatcher],
) -> None:
    """A sample too many is counted, and holds nothing."""
    house = full_house(dispatcher, "sample")
    house.tell("sample")

    assert not house.holds.active
    assert house.cell.stats().dead >= 1
    house.tell("open")
    assert not house.refused


@both_dispatchers
def test_a_system_lane_that_overflows_is_a_bug_and_holds(dispatcher: type[Dispatcher]) -> None:
    """The lane is sized so that it cannot happen; if it does, nobody opens anything."""
    house = full_house(dispatcher, "committed")
    house.tell("committed")

    assert house.holds.active
    assert house.all(DeadLetter)[-1].message_type == "OrderCommitted"


@both_dispatchers
def test_a_cancel_that_finds_no_room_is_refused_or_escalated_and_never_a_crash(
    dispatcher: type[Dispatcher],
) -> None:
    """The way out has an answer too."""
    house = full_house(dispatcher, "cancel")
    house.tell("cancel", "late")
    house.come_back()

    assert house.cell.stats().accepted == house.told


@both_dispatchers
def test_a_refusal_that_raises_is_a_failure_of_the_refusing_actor(
    dispatcher: type[Dispatcher],
) -> None:
    """``refuse`` is code like any handler: what it raises is supervised."""
    house = full_house(dispatcher, "open")
    actor = house.cell.actor
    assert actor is not None

    def raises(_message: object, _causes: object) -> None:
        raise RuntimeError("cannot even refuse")

    setattr(actor, "refuse", raises)  # noqa: B010 - a method of one instance
    house.tell("open", "late")

    assert house.cell.failures >= 1


class ConservationMachine(RuleBasedStateMachine):
    """Any flow of messages, holds, failures and restarts: every message is accounted for."""

    house: House

    @initialize(queued=st.booleans())
    def start(self, queued: bool) -> None:
        self.house = House(QueuedDispatcher if queued else Dispatcher)

    @rule(what=st.sampled_from(sorted(MAKERS)), name=st.sampled_from("AB"))
    def tell(self, what: str, name: str) -> None:
        full = len_of(self.house, what) >= BOUNDS[MAKERS[what](name).lane]
        if what == "cancel" and full:
            return  # a test of its own
        self.house.tell(what, name)

    @rule()
    def fail_next(self) -> None:
        self.house.failures = 1

    @rule()
    def come_back(self) -> None:
        self.house.come_back()

    @rule(mode=st.sampled_from(HoldMode), symbol=st.sampled_from((None, "A", "B")))
    def hold(self, mode: HoldMode, symbol: str | None) -> None:
        scope = Scope(symbol=symbol)
        self.house.supervisor.hold_open(f"{mode.value}", "a test", mode=mode, scope=scope)
        self.house.dispatcher.settle_all()

    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        names = sorted(self.house.holds.view())
        if names:
            self.house.supervisor.lift(data.draw(st.sampled_from(names)), "test", "over")
            self.house.dispatcher.settle_all()

    @invariant()
    def nothing_vanishes(self) -> None:
        stats = self.house.cell.stats()

        assert stats.mailbox.balanced
        assert self.house.told == stats.accepted
        assert len(self.house.refused) == stats.refused
        assert len(self.house.seen) <= stats.handled + stats.dead

    @invariant()
    def a_running_actor_leaves_nothing_but_what_is_held(self) -> None:
        cell = self.house.cell
        if cell.state.value == "running":
            system, reduce, opening, data = cell.stats().mailbox.queued

            assert (system, reduce, data) == (0, 0, 0)
            assert not opening or self.house.holds.active


def len_of(house: House, what: str) -> int:
    lane = MAKERS[what]("A").lane
    return house.cell.stats().mailbox.queued[lane]


ConservationMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestConservation = ConservationMachine.TestCase


def test_every_overflow_policy_is_tried_here() -> None:
    """The house above has a message of each policy."""
    assert {MAKERS[what]("A").overflow for what in MAKERS} == set(Overflow)


# -- what becomes of what nobody can handle


@both_dispatchers
def test_a_message_without_a_handler_is_a_dead_letter_and_no_failure(
    dispatcher: type[Dispatcher],
) -> None:
    """Told something that it does not understand, an actor goes on; the record says so."""
    house = House(dispatcher)
    house.dispatcher.tell(house.cell, Tick("A", 0, 1.0, 1.0))
    house.dispatcher.settle_all()
    (letter,) = house.all(DeadLetter)

    assert (letter.actor, letter.message_type, letter.reason) == ("listener", "Tick", "no_handler")
    assert house.cell.failures == 0
    house.tell("open")
    assert house.cell.stats().handled == 1


@both_dispatchers
def test_an_answer_for_a_lost_message_that_raises_too_is_on_the_record(
    dispatcher: type[Dispatcher],
) -> None:
    """If even the answer to whoever waits fails, that is journaled and supervision goes on."""
    house = House(dispatcher)
    actor = house.cell.actor
    assert actor is not None

    def raises(_message: object) -> None:
        raise RuntimeError("nor can this be answered")

    setattr(actor, "lost", raises)  # noqa: B010 - a method of one instance
    house.failures = 1
    house.tell("open")

    reasons = {letter.reason for letter in house.all(DeadLetter)}

    assert reasons == {"handler_raised", "unanswered"}
    house.come_back()
    house.tell("open")
    assert house.cell.incarnation == 2
    assert house.cell.stats().handled == 1


def test_the_cells_dashboard_says_who_how_often_and_how_full() -> None:
    """One line: name, incarnation, state, mailbox."""
    house = House()
    house.go_down()
    house.tell("open")

    assert repr(house.cell) == (
        "<Cell listener#1 restarting "
        "<Mailbox listener [system 0/2, reduce 0/3, open 1/3, data 0/3]>>"
    )


@both_dispatchers
def test_the_ring_of_dead_letters_is_bounded_and_its_count_is_not(
    dispatcher: type[Dispatcher],
) -> None:
    """The operator sees the newest; all are counted and journaled."""
    house = House(dispatcher)
    for number in range(DEAD_LETTERS_KEPT + 50):
        house.dispatcher.tell(house.cell, Tick(f"{number}", 0, 1.0, 1.0))
        house.dispatcher.settle_all()

    assert len(house.supervisor.dead_letters) == DEAD_LETTERS_KEPT
    assert house.supervisor.dead_letter_count == DEAD_LETTERS_KEPT + 50
    assert len(house.all(DeadLetter)) == DEAD_LETTERS_KEPT + 50
    assert list(house.supervisor.dead_letters) == house.all(DeadLetter)[50:]


@both_dispatchers
def test_a_timer_armed_anew_fires_once_at_its_newest_time(dispatcher: type[Dispatcher]) -> None:
    """Timers are keyed: re-arming replaces, and different keys stand side by side."""
    house = House(dispatcher)
    plans = iter([SetTimer("a", 100), SetTimer("b", 150), SetTimer("a", 200)])
    house.effects_of = lambda message: None if isinstance(message, Wake) else (next(plans),)
    for _ in range(3):
        house.tell("committed")
    house.let_pass(1000)

    woken = [(m.key, m.at) for m in house.seen if isinstance(m, Wake)]

    assert woken == [("b", 150), ("a", 200)]


@both_dispatchers
def test_what_waits_for_a_commit_comes_after_it_and_in_order(
    dispatcher: type[Dispatcher],
) -> None:
    """``AfterCommit`` messages are delivered once, after everything that was journaled before."""
    house = House(dispatcher)
    house.effects_of = lambda message: (
        (AfterCommit(OrderCommitted(f"after {message.symbol}")),)
        if isinstance(message, OpenIntent)
        else None
    )
    for name in "AB":
        house.dispatcher.tell(house.cell, MAKERS["open"](name))
    house.dispatcher.settle()
    before = len(house.seen)
    house.dispatcher.release_commits()
    house.dispatcher.release_commits()

    assert before == 2
    assert [m.order_id for m in house.seen if isinstance(m, OrderCommitted)] == [
        "after A",
        "after B",
    ]


@both_dispatchers
def test_an_actor_that_died_before_the_commit_is_told_in_its_next_life(
    dispatcher: type[Dispatcher],
) -> None:
    """What waited for a commit waits for the restart too."""
    house = House(dispatcher)
    house.effects_of = lambda message: (
        (AfterCommit(OrderCommitted("after")),) if isinstance(message, OpenIntent) else None
    )
    house.dispatcher.tell(house.cell, MAKERS["open"]("A"))
    house.dispatcher.settle()
    house.failures = 1
    house.dispatcher.tell(house.cell, MAKERS["cancel"]("A"))
    house.dispatcher.settle_all()
    assert not [m for m in house.seen if isinstance(m, OrderCommitted)]
    house.come_back()

    assert [m.order_id for m in house.seen if isinstance(m, OrderCommitted)] == ["after"]
