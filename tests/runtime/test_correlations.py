"""Which chain an event of the journal belongs to, and what it follows from."""

from __future__ import annotations

from decimal import Decimal

from session_world import BTC, World, flat, make_world, on_bars

from actors.commands import Request
from actors.runtime.routes import correlation_of
from messages import (
    CancelIntent,
    CommandVerb,
    ExecutionPolicy,
    ExecutionReport,
    FallbackOn,
    IntentEnded,
    KillStep,
    MarketFallback,
    OpenFollowUp,
    OpenIntent,
    OperatorCommand,
    OperatorReduce,
    OrderType,
    RiskDecision,
    Side,
)
from state.journal import Entry

ONE = Decimal(1)
PATIENT = ExecutionPolicy(
    OrderType.LIMIT,
    limit_price=Decimal(50),
    timeout_ms=90_000,
    fallback=MarketFallback((FallbackOn.TIMEOUT,)),
)


def entry_of(world: World, kind: type) -> Entry:
    """Return the first entry of a class."""
    return next(entry for entry in world.entries if isinstance(entry.message, kind))


def test_all_that_becomes_of_an_intent_carries_its_id() -> None:
    """Its orders, the further ones that its policy permits, their reports, its end."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=PATIENT)]})
    world = make_world(flat(BTC, 6), script.spec()).run()

    chain = [entry.message for entry in world.entries if entry.correlation == "abc-1-1"]
    orders = {message.order_id for message in chain if isinstance(message, ExecutionReport)}
    kinds = {OpenIntent, OpenFollowUp, RiskDecision, ExecutionReport, IntentEnded}

    assert {"abc-1-1", "abc-1-1-2"} == orders
    assert kinds == {type(message) for message in chain}
    assert chain == [e.message for e in world.entries if type(e.message) in kinds]


def test_a_cancel_belongs_to_its_order_and_one_of_a_symbol_to_itself() -> None:
    """No event of a strategy's wish is without a chain."""
    correlation = correlation_of(CancelIntent)

    assert "o-1" == correlation(CancelIntent("c-1", "one", BTC, 0, "o-1"))
    assert "c-2" == correlation(CancelIntent("c-2", "one", BTC, 0))


def test_what_a_kill_does_follows_from_the_command_that_pulled_it() -> None:
    """A close that flattens leads back to the operator's word, by causation ids alone."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 6), script.spec())
    kill = Request(verb=CommandVerb.KILL, by="test", reason="a drill", flatten=True)
    world.before_turn(3, lambda world: world.assembly.desk.take(kill)).run()

    command = entry_of(world, OperatorCommand)
    closing = entry_of(world, OperatorReduce)

    assert str(command.seq) == closing.causation
    assert {str(command.seq)} == {
        entry.causation for entry in world.entries if isinstance(entry.message, KillStep)
    }
