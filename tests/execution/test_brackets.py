"""Stops and take-profits of one position, where they may rest together and where not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from execution_bench import BTC, Bench

from messages import (
    ApprovedReduce,
    Bar,
    IntentAction,
    IntentEnded,
    OrderEvent,
    OrderRequest,
    OrderType,
    Quote,
    ReasonCode,
    ReduceFollowUp,
    Side,
    Tick,
    TimeInForce,
    Wake,
)

STOP, TARGET, CLOSE = IntentAction.SET_STOP, IntentAction.SET_TAKE_PROFIT, IntentAction.CLOSE


def bench(*, brackets: bool = False, held: str = "2") -> Bench:
    """Return a bench that is long."""
    found = Bench(brackets=brackets)
    entry = found.place(quantity=held)
    found.fill(entry, held)
    return found


def protect(
    on: Bench, action: IntentAction, price: str, quantity: str = "2", **terms: Any
) -> OrderRequest:
    """Approve and commit an order that leaves the position, and return its request."""
    kinds = {STOP: OrderType.STOP, TARGET: OrderType.LIMIT, CLOSE: OrderType.MARKET}
    number = len(on.books.orders) + 1
    kind = terms.pop("kind", kinds[action])
    limit = kind is OrderType.LIMIT
    request = OrderRequest(
        f"p-{number}",
        f"tg-p-{number}",
        "one",
        BTC,
        Side.SELL,
        terms.pop("position_side", on.approve().position_side),
        kind,
        TimeInForce.GTC,
        Decimal(quantity),
        on.clock.now,
        reduce_only=True,
        price=Decimal(price) if limit else None,
        stop_price=None if limit or kind is OrderType.MARKET else Decimal(price),
        action=action,
        **terms,
    )
    on.tell(ApprovedReduce(request))
    on.waiting = [m for m in on.waiting if getattr(m, "order_id", "") == request.order_id]
    on.commit()
    return request


def accept(on: Bench, request: OrderRequest) -> None:
    on.hear(request, OrderEvent.ACCEPTED)


def sent(on: Bench) -> list[str]:
    return [request.order_id for request in on.broker.submitted][1:]


def bar(low: float, high: float) -> Bar:
    return Bar(BTC, 0, low, high, low, high, 1.0, 60_000)


# -- where both may rest


def test_both_sides_rest_and_end_with_the_position() -> None:
    """Whichever is filled, the other one is cancelled, and says why."""
    on = bench(brackets=True)
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105")
    accept(on, stop)
    accept(on, target)
    on.fill(target, 2)

    assert [stop.client_order_id] == on.broker.cancelled
    on.hear(stop, OrderEvent.CANCELLED)
    on.answer(stop, live=False)
    assert "cancelled" == on.life(stop)[-1]
    assert ReasonCode.POSITION_CLOSED is on.books.orders.by_order_id(stop.order_id).cause.code  # type: ignore[union-attr]


def test_a_part_that_is_taken_leaves_the_other_side() -> None:
    """The venue takes off no more than there is: an order too large protects what is left."""
    on = bench(brackets=True)
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105", "1")
    accept(on, stop)
    accept(on, target)
    on.fill(target, 1)

    assert [] == on.broker.cancelled


def test_a_position_that_turns_round_ends_what_protected_it() -> None:
    """A sale stop of a position that is short by now would add to it."""
    on = bench(brackets=True)
    stop = protect(on, STOP, "95")
    accept(on, stop)
    on.fill(on.place(side=Side.SELL, quantity=3), 3)

    assert [stop.client_order_id] == on.broker.cancelled


def test_protection_of_another_strategy_or_symbol_is_left_alone() -> None:
    """Books are apart: one that is flat says nothing about the next one."""
    on = bench(brackets=True)
    stop = protect(on, STOP, "95")
    accept(on, stop)
    other = on.place(strategy="two", quantity=1)
    on.fill(other, 1)
    on.fill(on.place(strategy="two", side=Side.SELL, quantity=1, reduce=True), 1)

    assert [] == on.broker.cancelled


# -- where only one close of a position rests


def test_a_take_profit_waits_here_and_the_stop_rests() -> None:
    """It is on disk, live, and not at the venue."""
    on = bench()
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105")

    assert [stop.order_id] == sent(on)
    assert ["journaled"] == on.life(target)


@pytest.mark.parametrize(
    "seen",
    [
        bar(100.0, 105.0),
        Quote(BTC, 0, 105.0, 105.5, 1.0, 1.0),
        Tick(BTC, 0, 105.0, 1.0),
    ],
    ids=["bar", "quote", "trade"],
)
def test_a_touch_has_the_stop_make_room_first(seen: Any) -> None:
    """The take-profit leaves in the step in which the venue has ended the stop, not before."""
    on = bench()
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105")
    accept(on, stop)
    on.tell(seen)

    assert [stop.client_order_id] == on.broker.cancelled
    assert [stop.order_id] == sent(on)
    on.hear(stop, OrderEvent.CANCELLED)
    assert [stop.order_id] == sent(on), "its final fills are not known yet"
    on.answer(stop, live=False)
    assert [stop.order_id, target.order_id] == sent(on)
    assert TimeInForce.IOC is on.broker.submitted[-1].time_in_force


@pytest.mark.parametrize(
    "seen",
    [bar(90.0, 104.9), Quote(BTC, 0, 104.9, 110.0, 1.0, 1.0), Tick(BTC, 0, 104.9, 1.0)],
    ids=["bar", "quote", "trade"],
)
def test_a_price_that_is_not_reached_touches_nothing(seen: Any) -> None:
    """A position is left at the bid, so an ask beyond the target is no touch."""
    on = bench()
    stop = protect(on, STOP, "95")
    protect(on, TARGET, "105")
    accept(on, stop)
    on.tell(seen)

    assert [] == on.broker.cancelled


def test_nothing_goes_out_before_its_record_is_durable() -> None:
    """A touch between the record and its commit does not count."""
    on = bench()
    request = msgspec.structs.replace(
        on.approve(), order_id="t", client_order_id="tg-t", side=Side.SELL, reduce_only=True
    )
    target = msgspec.structs.replace(
        request, order_type=OrderType.LIMIT, price=Decimal(105), action=TARGET
    )
    on.waiting.clear()
    on.tell(ApprovedReduce(target))
    on.tell(bar(100.0, 106.0))

    assert [] == sent(on)
    on.commit()
    assert [] == sent(on)
    on.tell(bar(100.0, 106.0))
    assert ["t"] == sent(on)


def test_a_triggered_take_profit_goes_out_at_market() -> None:
    """What the price would have triggered at the venue is triggered here."""
    on = bench()
    protect(on, TARGET, "105", kind=OrderType.TAKE_PROFIT)
    on.tell(bar(100.0, 105.0))

    assert OrderType.MARKET is on.broker.submitted[-1].order_type


def test_a_stop_that_is_filled_on_the_way_ends_the_take_profit() -> None:
    """The fill that crosses the cancel closes the position: nothing is left to take."""
    on = bench()
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105")
    accept(on, stop)
    on.tell(bar(100.0, 105.0))
    on.fill(stop, 2)

    assert [stop.order_id] == sent(on)
    assert ["journaled", "suppressed"] == on.life(target)


def test_what_made_room_comes_back_for_what_is_left() -> None:
    """A partial close is done: the stop is asked for again, for the rest, under its intent."""
    on = bench(held="3")
    stop = protect(on, STOP, "95", "3")
    accept(on, stop)
    close = protect(on, CLOSE, "0", "1")
    on.hear(stop, OrderEvent.CANCELLED)
    on.answer(stop, live=False)
    accept(on, close)
    on.fill(close, 1)
    (follow,) = on.tell(Wake("execution", f"restore:one|{BTC}|both", 1, on.clock.now))

    assert isinstance(follow, ReduceFollowUp)
    assert (stop.order_id, Decimal(2), STOP) == (follow.root_id, follow.quantity, follow.action)
    assert (OrderType.STOP, Decimal(95)) == (follow.policy.order_type, follow.policy.stop_price)


def test_a_stop_that_fits_beside_a_close_stays() -> None:
    """Nothing is moved where there is room for both."""
    on = bench(held="3")
    stop = protect(on, STOP, "95", "2")
    accept(on, stop)
    close = protect(on, CLOSE, "0", "1")

    assert [] == on.broker.cancelled
    assert [stop.order_id, close.order_id] == sent(on)


def test_a_new_stop_of_the_strategy_is_not_doubled() -> None:
    """It has protected itself anew meanwhile: the old one's end is told, and that is all."""
    on = bench(held="3")
    stop = protect(on, STOP, "95", "3")
    accept(on, stop)
    close = protect(on, CLOSE, "0", "1")
    on.hear(stop, OrderEvent.CANCELLED)
    on.answer(stop, live=False)
    accept(on, close)
    on.fill(close, 1)
    newer = protect(on, STOP, "96", "2")
    accept(on, newer)
    (ended,) = on.tell(Wake("execution", f"restore:one|{BTC}|both", 1, on.clock.now))

    assert isinstance(ended, IntentEnded)
    assert (stop.order_id, ReasonCode.BRACKET) == (
        ended.intent_id,
        ended.cause and ended.cause.code,
    )


def test_a_replaced_stop_is_cancelled_before_the_new_one_leaves() -> None:
    """There is no room for two: the older one goes first, and is not put back."""
    on = bench()
    stop = protect(on, STOP, "95")
    accept(on, stop)
    newer = protect(on, STOP, "97", replaces=stop.order_id)

    assert [stop.order_id] == sent(on)
    on.hear(stop, OrderEvent.CANCELLED)
    on.answer(stop, live=False)
    assert [stop.order_id, newer.order_id] == sent(on)
    assert {} == on.books.brackets.displaced


def test_a_new_incarnation_leaves_what_waits_here_waiting() -> None:
    """It was never sent, and is not given up for that."""
    on = bench()
    stop, target = protect(on, STOP, "95"), protect(on, TARGET, "105")
    accept(on, stop)
    on.actor = on.make()
    on.said.extend(on.actor.on_start() or ())

    assert ["journaled"] == on.life(target)
    on.tell(bar(100.0, 105.0))
    assert [stop.client_order_id] == on.broker.cancelled
