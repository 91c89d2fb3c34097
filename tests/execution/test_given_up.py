"""An order that never gets past Execution's door ends its intent like any other end does."""

from __future__ import annotations

from decimal import Decimal

import pytest
from session_world import BTC, World, flat, make_world, on_bars

from actors.execution import ExecutionActor
from messages import (
    ApprovedOpen,
    Cause,
    ExecutionPolicy,
    ExecutionReport,
    FallbackOn,
    IntentEnded,
    MarketFallback,
    OpenIntent,
    OrderRequest,
    OrderType,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
)

ONE = Decimal(1)
PATIENT = ExecutionPolicy(
    OrderType.LIMIT,
    limit_price=Decimal(50),
    timeout_ms=90_000,
    fallback=MarketFallback((FallbackOn.TIMEOUT,)),
)


def world_of() -> World:
    """Return a session in which one intent would take two orders."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=PATIENT)]})
    return make_world(flat(BTC, 8), script.spec())


@pytest.mark.parametrize("number", [1, 2], ids=["first", "further"])
def test_an_intent_is_over_when_execution_fails_on_its_order(number: int) -> None:
    """Whichever order it is: nobody waits for the end of an intent that nobody pursues."""
    world = world_of()
    world.poison("execution", ApprovedOpen, when=lambda _message, count: count == number)
    world.run()
    (ended,) = world.all(IntentEnded)

    assert ("abc-1-1", number, ReasonCode.HANDLER_FAILED) == (
        ended.intent_id,
        ended.orders,
        None if ended.cause is None else ended.cause.code,
    )
    assert {} == world.assembly.books.pursuits


def test_an_intent_is_over_when_a_hold_turns_its_order_away_at_the_door() -> None:
    """A hold may come while the order waits for Execution to be back."""
    world = make_world(flat(BTC, 2), on_bars({}).spec())
    world.start()
    execution = world.cell("execution").actor
    assert isinstance(execution, ExecutionActor)
    intent = OpenIntent("o-1", "one", BTC, Side.BUY, ONE, 0, policy=PATIENT)
    request = OrderRequest(
        "o-1",
        "tg-o-1",
        "one",
        BTC,
        Side.BUY,
        PositionSide.BOTH,
        OrderType.LIMIT,
        TimeInForce.GTC,
        ONE,
        0,
        price=Decimal(50),
    )
    held = Cause(ReasonCode.HELD, "hold=kill")
    told = list(execution.refuse(ApprovedOpen(request, intent), (held,)) or ())

    assert [ExecutionReport, IntentEnded] == [type(effect) for effect in told]
    assert {} == execution.books.pursuits
