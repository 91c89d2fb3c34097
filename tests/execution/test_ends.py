"""An end that comes before the fills that belong to it: nothing follows for a rest nobody knows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from doubting import Doubting
from execution_bench import BTC

from messages import (
    ApprovedCancel,
    ApprovedOpen,
    Cause,
    ExecutionPolicy,
    FallbackOn,
    IntentEnded,
    MarketFallback,
    OpenFollowUp,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionSide,
    ReasonCode,
    Retry,
    Scope,
    Side,
    TimeInForce,
    VenueReport,
    Wake,
)

THREE, TWO = Decimal(3), Decimal(2)
RETRY = {"retry": Retry(2, (ReasonCode.IOC_REMAINDER,), 500)}
FALLBACK = {"fallback": MarketFallback((FallbackOn.TIMEOUT,))}

followed = pytest.mark.parametrize("terms", [RETRY, FALLBACK], ids=["retry", "fallback"])


class Ending(Doubting):
    """The same, with intents to buy three whose policies have something follow."""

    def pursue(self, terms: dict[str, Any]) -> OrderRequest:
        """Send the first order of such an intent, and have it accepted."""
        ioc = TimeInForce.IOC
        policy = ExecutionPolicy(OrderType.LIMIT, ioc, limit_price=Decimal(100), **terms)
        now = self.clock.now
        intent = OpenIntent("abc-1-1", "one", BTC, Side.BUY, THREE, now, policy=policy)
        request = OrderRequest(
            "abc-1-1",
            "tg-abc-1-1",
            "one",
            BTC,
            Side.BUY,
            PositionSide.BOTH,
            OrderType.LIMIT,
            ioc,
            THREE,
            now,
            price=Decimal(100),
        )
        self.tell(ApprovedOpen(request, intent))
        self.commit()
        self.hear(request, OrderEvent.ACCEPTED)
        return request

    def end(self, request: OrderRequest, filled: Decimal | None) -> None:
        """Have the venue end an order at once, of which it counts ``filled``."""
        cause = Cause(ReasonCode.IOC_REMAINDER)
        name, at = request.client_order_id, self.clock.now
        self.tell(VenueReport(name, OrderEvent.CANCELLED, at, None, cause, filled=filled))

    def lose_patience(self) -> None:
        """Let the time pass in which the venue should have answered."""
        self.clock.advance(self.clock.now + 2_000)
        self.tell(Wake("execution", "inquiries", 1, self.clock.now))

    def rest(self) -> list[Decimal]:
        """Return what further orders are for, whether they are due or asked for already."""
        self.clock.advance(self.clock.now + 500)
        self.tell(Wake("execution", "pursue:abc-1-1", 1, self.clock.now))
        return [follow.quantity for follow in self.said if isinstance(follow, OpenFollowUp)]


OVER: dict[str, Any] = {"known": True, "ended": OrderEvent.CANCELLED, "filled": TWO}


@followed
@pytest.mark.parametrize("told", ["news", "answer"])
def test_what_follows_waits_for_the_fills_that_the_venue_counts(
    terms: dict[str, Any], told: str
) -> None:
    """However they are told of, and however long it takes."""
    on = Ending()
    request = on.pursue(terms)
    on.end(request, TWO)
    on.lose_patience()
    assert [] == on.rest()
    assert OrderStatus.ACCEPTED is on.status(request)
    if told == "news":
        on.fill(request, 2)
    else:
        on.reply(request, on.made_fill(request, 2), **OVER)

    assert [Decimal(1)] == on.rest()
    assert ["filled_partly", "cancelled"] == on.life(request)[-2:]
    assert ({}, {}) == (on.books.doubts.open, on.books.inquiries.kept)


@followed
def test_an_end_without_a_count_is_asked_about_before_anything_follows(
    terms: dict[str, Any],
) -> None:
    """The venue that does not count tells of its fills when it is asked."""
    on = Ending()
    request = on.pursue(terms)
    on.end(request, None)
    assert [request.client_order_id] == on.broker.asked
    assert [] == on.rest()
    on.reply(request, on.made_fill(request, 2), known=True, ended=OrderEvent.CANCELLED)

    assert [Decimal(1)] == on.rest()


def test_an_end_whose_fills_are_all_booked_is_not_asked_about() -> None:
    """What is known needs no question."""
    on = Ending()
    request = on.pursue(RETRY)
    on.fill(request, 2)
    on.end(request, TWO)

    assert [] == on.broker.asked
    assert [Decimal(1)] == on.rest()


def test_an_answer_that_is_older_than_the_end_does_not_undo_it() -> None:
    """It says that the order is open, which was true then; the venue is asked on."""
    on = Ending()
    request = on.pursue(RETRY)
    on.end(request, TWO)
    on.lose_patience()
    on.reply(request, known=True, open=True, filled=Decimal(0))
    on.wait(5_000)

    assert [request.client_order_id] == list(on.books.doubts.open)
    assert 3 < len(on.broker.asked)
    assert [] == on.rest()


def test_an_end_that_stays_short_is_held_in_time() -> None:
    """It is a doubt like any other: past its budget nothing opens in its symbol."""
    on = Ending()
    request = on.pursue(RETRY)
    on.end(request, TWO)
    on.lose_patience()
    on.wait(60_000)

    assert {f"in-doubt:{request.order_id}"} == set(on.holds_of)
    assert [] == on.rest()


def test_a_kill_takes_a_kept_end_as_it_is_and_holds_until_its_fills_are_there() -> None:
    """Nothing follows any more, so nothing is to wait for; what is missing is still asked for."""
    on = Ending()
    request = on.pursue(RETRY)
    on.end(request, TWO)
    on.lose_patience()
    on.tell(ApprovedCancel("k", "one", BTC, request.order_id, ReasonCode.KILL_CANCEL.value))
    assert OrderStatus.CANCELLED is on.status(request)
    assert {f"in-doubt:{request.order_id}": Scope(symbol=BTC)} == {
        hold_id: scope for hold_id, (scope, _) in on.holds_of.items()
    }
    assert 1 == len([ended for ended in on.said if isinstance(ended, IntentEnded)])
    on.fill(request, 2)

    assert TWO == on.books.ledger.net_quantity(BTC)
    assert ({}, {}, {}) == (on.holds_of, on.books.doubts.open, on.books.inquiries.kept)
    assert [] == on.rest()


def test_an_end_that_nothing_follows_stands_after_the_patience_and_is_held_at_once() -> None:
    """Nothing is reserved for it any more, and the venue has counted more than was booked."""
    on = Ending()
    request = on.place(quantity=3)
    on.end(request, TWO)
    assert OrderStatus.ACCEPTED is on.status(request)
    on.lose_patience()

    assert OrderStatus.CANCELLED is on.status(request)
    assert {f"in-doubt:{request.order_id}"} == set(on.holds_of)


def test_a_kept_end_outlives_the_process() -> None:
    """What is under way is in the states, ends included."""
    on = Ending()
    request = on.pursue(RETRY)
    on.end(request, TWO)
    on.lose_patience()
    kept = on.books.snapshot()
    on.books.inquiries.kept.clear()
    on.books.doubts.open.clear()
    on.books.restore(kept, on.actor._resolver._plan)
    on.fill(request, 2)

    assert OrderStatus.CANCELLED is on.status(request)
    assert [Decimal(1)] == on.rest()
