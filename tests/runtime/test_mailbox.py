"""The mailbox: lanes, bounds, holds, and that no message ever vanishes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.runtime import Mailbox, MailboxFull
from actors.runtime.limits import NEVER_DROPPED_FACTOR
from messages import (
    ApprovedCancel,
    Bar,
    CancelIntent,
    EquitySampled,
    Lane,
    Message,
    OpenIntent,
    OrderCommitted,
    Overflow,
    Quote,
    Side,
)

SYMBOLS = ("A", "B", "C")
BOUNDS = {Lane.SYSTEM: 2, Lane.REDUCE: 3, Lane.OPEN: 3, Lane.DATA: 3}

MAKERS: dict[str, Callable[[str], Message]] = {
    "committed": OrderCommitted,
    "cancelled": lambda symbol: ApprovedCancel("1", "one", symbol),
    "cancel": lambda symbol: CancelIntent("1", "one", symbol, 0),
    "open": lambda symbol: OpenIntent("1", "one", symbol, Side.BUY, Decimal(1), 0),
    "bar": lambda symbol: Bar(symbol, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000),
    "quote": lambda symbol: Quote(symbol, 0, 1.0, 1.0, 1.0, 1.0),
    "sample": lambda symbol: EquitySampled(((len(symbol), 1.0),), 0.0, 0.0),
}

Letter = tuple[Message, int]


class MailboxMachine(RuleBasedStateMachine):
    """Any sequence of puts, takes and holds against four plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Mailbox("risk", BOUNDS)
        self.lanes: dict[Lane, list[Letter]] = {lane: [] for lane in Lane}
        self.serial = 0
        self.accepted = 0
        self.taken = 0
        self.conflated = 0
        self.blocked: frozenset[str] = frozenset()

    @initialize(blocked=st.frozensets(st.sampled_from(SYMBOLS)))
    def hold(self, blocked: frozenset[str]) -> None:
        self.blocked = blocked

    @rule(blocked=st.frozensets(st.sampled_from(SYMBOLS)))
    def change_holds(self, blocked: frozenset[str]) -> None:
        self.blocked = blocked

    def is_blocked(self, message: Message) -> bool:
        assert isinstance(message, OpenIntent), "only the OPEN lane is ever asked about"
        return message.symbol in self.blocked

    @rule(what=st.sampled_from(sorted(MAKERS)), symbol=st.sampled_from(SYMBOLS))
    def put(self, what: str, symbol: str) -> None:
        message = MAKERS[what](symbol)
        self.serial += 1
        letter = (message, self.serial)
        queue, bound = self.lanes[message.lane], BOUNDS[message.lane]
        self.box.escalate = False
        full = len(queue) >= bound
        may_pass = message.overflow is Overflow.CONFLATE or (
            message.overflow is Overflow.ESCALATE and len(queue) < bound * NEVER_DROPPED_FACTOR
        )
        if full and not may_pass:
            before = self.box.stats()
            with pytest.raises(MailboxFull, match=f"risk.*{message.lane.name}"):
                self.box.put(message, self.serial)

            assert before == self.box.stats()
            return
        if full and message.overflow is Overflow.CONFLATE:
            key = message.conflation_key
            older = next((one for one in queue if one[0].conflation_key == key), queue[0])
            queue.remove(older)
            self.conflated += 1
        queue.append(letter)
        self.accepted += 1
        self.box.put(message, self.serial)

        assert self.box.escalate == (full and message.overflow is Overflow.ESCALATE)

    @rule()
    def pop(self) -> None:
        expected: Letter | None = None
        for lane, queue in self.lanes.items():
            free = [one for one in queue if lane is not Lane.OPEN or not self.is_blocked(one[0])]
            if free:
                expected = free[0]
                queue.remove(expected)
                self.taken += 1
                break

        assert expected == self.box.pop(self.is_blocked)

    @rule()
    def pop_without_holds(self) -> None:
        expected = next((queue.pop(0) for queue in self.lanes.values() if queue), None)
        self.taken += expected is not None

        assert expected == self.box.pop()

    @rule()
    def drain_what_is_held(self) -> None:
        queue = self.lanes[Lane.OPEN]
        expected = [one for one in queue if self.is_blocked(one[0])]
        self.lanes[Lane.OPEN] = [one for one in queue if not self.is_blocked(one[0])]
        self.taken += len(expected)

        assert expected == self.box.take_open(self.is_blocked)

    @rule()
    def take_all(self) -> None:
        expected = [one for queue in self.lanes.values() for one in queue]
        for queue in self.lanes.values():
            queue.clear()
        self.taken += len(expected)

        assert expected == self.box.take_all()

    @invariant()
    def nothing_vanishes(self) -> None:
        stats = self.box.stats()

        assert stats.balanced
        assert tuple(len(queue) for queue in self.lanes.values()) == stats.queued
        assert (self.accepted, self.taken, self.conflated) == (
            stats.put,
            stats.taken,
            stats.conflated,
        )
        assert sum(stats.queued) == len(self.box)

    @invariant()
    def lanes_stay_within_their_bounds(self) -> None:
        for lane, queued in zip(Lane, self.box.stats().queued, strict=True):
            factor = NEVER_DROPPED_FACTOR if lane is Lane.REDUCE else 1

            assert queued <= BOUNDS[lane] * factor


TestMailboxMachine = MailboxMachine.TestCase
TestMailboxMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_lanes_are_served_in_order_and_each_first_in_first_out() -> None:
    """SYSTEM before REDUCE before OPEN before DATA, whatever the order of arrival."""
    box = Mailbox("risk")
    for number, what in enumerate(
        ("bar", "open", "bar", "cancel", "committed", "open", "committed", "cancel")
    ):
        box.put(MAKERS[what]("A"), number)

    order = [letter[1] for letter in iter(box.pop, None)]

    assert order == [4, 6, 3, 7, 1, 5, 0, 2]


def test_a_held_message_keeps_its_place_while_uncovered_ones_pass() -> None:
    """A BLOCK hold parks what it covers; released, it comes out in the order of arrival."""
    box = Mailbox("risk")
    for number, symbol in enumerate("ABAB"):
        box.put(MAKERS["open"](symbol), number)

    def held(message: Message) -> bool:
        assert isinstance(message, OpenIntent)
        return message.symbol == "A"

    passed = [letter[1] for letter in iter(lambda: box.pop(held), None)]
    released = [letter[1] for letter in iter(box.pop, None)]

    assert passed == [1, 3]
    assert released == [0, 2]


def test_a_full_data_lane_keeps_the_newest_of_each_key() -> None:
    """Conflation replaces the older bar of the same symbol, not whatever happens to be first."""
    box = Mailbox("one", {Lane.DATA: 2})
    box.put(MAKERS["bar"]("A"), 1)
    box.put(MAKERS["bar"]("B"), 2)
    box.put(MAKERS["bar"]("B"), 3)

    assert [letter[1] for letter in iter(box.pop, None)] == [1, 3]
    assert box.stats().conflated == 1


def test_repr_is_a_dashboard() -> None:
    """One line shows who, and how full each lane is against its bound."""
    box = Mailbox("risk", BOUNDS)
    box.put(MAKERS["open"]("A"))
    box.put(MAKERS["cancel"]("A"))

    assert repr(box) == "<Mailbox risk [system 0/2, reduce 1/3, open 1/3, data 0/3]>"


def test_a_refusal_names_actor_lane_and_class() -> None:
    """Whoever sees ``MailboxFull`` knows what did not get in, and where."""
    box = Mailbox("risk", {Lane.OPEN: 0})
    message = MAKERS["open"]("A")

    with pytest.raises(MailboxFull, match="risk is full: lane OPEN, OpenIntent") as caught:
        box.put(message)

    assert (caught.value.actor, caught.value.lane, caught.value.refused) == (
        "risk",
        Lane.OPEN,
        message,
    )
