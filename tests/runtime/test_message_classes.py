"""What every message class declares, and what the declarations promise."""

from __future__ import annotations

import msgspec
import pytest
from message_examples import concrete_classes, example

from messages import (
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    CancelIntent,
    ExecutionReport,
    Lane,
    LifecycleEvent,
    MarketData,
    Message,
    OpenFollowUp,
    OpenIntent,
    Overflow,
    ReduceIntent,
    SystemMessage,
    VenueReport,
    message_types,
)

CONCRETE = concrete_classes()


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_every_class_has_a_lane_and_an_overflow_policy(kind: type[Message]) -> None:
    """What happens to a message in a full mailbox is declared, never guessed."""
    assert isinstance(kind.lane, Lane)
    assert isinstance(kind.overflow, Overflow)
    assert isinstance(kind.journaled, bool)


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_a_lane_belongs_to_the_class_and_not_to_the_content(kind: type[Message]) -> None:
    """No field of a message can say which lane it takes."""
    names = {field.name for field in msgspec.structs.fields(kind)}

    assert not names & {"lane", "overflow", "journaled"}
    assert example(kind).lane is kind.lane


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_every_message_is_immutable(kind: type[Message]) -> None:
    """Two actors that see one message see the same for ever."""
    message = example(kind)

    for field in msgspec.structs.fields(kind):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(message, field.name, getattr(message, field.name))
    assert kind.__struct_config__.frozen


def test_what_can_add_exposure_and_what_can_only_reduce_are_different_classes() -> None:
    """Exactly these classes take the OPEN lane, and none is a kind of the reducing ones."""
    opening = {kind for kind in CONCRETE if kind.lane is Lane.OPEN}

    assert opening == {OpenIntent, OpenFollowUp, ApprovedOpen}
    assert not issubclass(ReduceIntent, OpenIntent)
    assert not issubclass(OpenIntent, ReduceIntent)
    assert not issubclass(ApprovedReduce, ApprovedOpen)


def test_the_way_out_takes_the_reduce_lane() -> None:
    """Cancels, closes, acknowledgements and fills never wait behind what adds exposure."""
    way_out = (
        ReduceIntent,
        CancelIntent,
        ApprovedReduce,
        ApprovedCancel,
        VenueReport,
        ExecutionReport,
    )

    assert {kind.lane for kind in way_out} == {Lane.REDUCE}


def test_news_of_the_venue_is_never_dropped_and_market_data_is_conflated() -> None:
    """A full mailbox loses neither fill nor acknowledgement; of prices the newest wins."""
    assert {VenueReport.overflow, ExecutionReport.overflow} == {Overflow.ESCALATE}
    assert {kind.overflow for kind in CONCRETE if issubclass(kind, MarketData)} == {
        Overflow.CONFLATE
    }


def test_the_system_lane_is_for_supervision_alone() -> None:
    """No intent, decision, report or observation takes the lane of stop, hold and snapshot."""
    outside = {
        kind.__name__
        for kind in CONCRETE
        if kind.lane is Lane.SYSTEM and not issubclass(kind, SystemMessage | LifecycleEvent)
    }

    assert outside == set()
    assert {k.overflow for k in CONCRETE if issubclass(k, SystemMessage)} == {Overflow.FATAL}


def test_the_walk_over_all_classes_finds_each_once() -> None:
    """A class that the walk missed would escape every test here."""
    names = [kind.__name__ for kind in message_types()]

    assert len(names) == len(set(names))
    assert {"Bar", "OpenIntent", "ExecutionReport", "HoldPlaced", "DeadLetter"} <= set(names)
