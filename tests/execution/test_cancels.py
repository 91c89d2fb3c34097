"""A cancel knows what it leaves: the venue is asked for an order's fills before it and after it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from execution_bench import BTC, NOW, Bench

from actors.execution.inquiry import ANSWER_PATIENCE_MS
from actors.runtime import SetTimer
from messages import (
    ApprovedCancel,
    OrderEvent,
    OrderRequest,
    ReasonCode,
    VenueOrder,
    Wake,
)

HURRIED = [ReasonCode.KILL_CANCEL, ReasonCode.COMMAND_CANCEL, ReasonCode.QUARANTINE_CANCEL]


def cancel(on: Bench, request: OrderRequest, code: str = "cancel_requested") -> None:
    on.tell(ApprovedCancel("c", "one", BTC, request.order_id, code))


def held(on: Bench) -> Decimal:
    return on.books.ledger.net_quantity(BTC)


def wait(on: Bench, ms: int) -> None:
    """Let the time pass that an answer is waited for."""
    on.clock.advance(on.clock.now + ms)
    on.tell(Wake("execution", "inquiries", 1, on.clock.now))


def test_a_fill_that_news_never_told_of_is_found_before_the_cancel() -> None:
    """It is booked from the answer, and the cancel is for what is left."""
    on = Bench()
    request = on.place(quantity=3)
    cancel(on, request)
    assert ([request.client_order_id], []) == (on.broker.asked, on.broker.cancelled)

    on.answer(request, on.made_fill(request, 2, trade_id="lost"))

    assert [request.client_order_id] == on.broker.cancelled
    assert Decimal(2) == held(on)
    assert "filled_partly" == on.life(request)[-1]


def test_an_order_that_is_found_filled_is_not_cancelled() -> None:
    """There is nothing left to cancel: the fill ends the order."""
    on = Bench()
    request = on.place(quantity=1)
    cancel(on, request)
    on.answer(request, on.made_fill(request, 1), live=False)

    assert [] == on.broker.cancelled
    assert "filled" == on.life(request)[-1]


def test_a_fill_that_crossed_the_cancel_is_booked_before_the_order_ends() -> None:
    """The order's end reports all that was filled, and no fill comes after it."""
    on = Bench()
    request = on.place(quantity=3)
    cancel(on, request)
    on.answer(request)
    on.hear(request, OrderEvent.CANCELLED)
    assert "accepted" == on.life(request)[-1]  # not over before its final fills are known
    on.answer(request, on.made_fill(request, 1), live=False)

    assert ["filled_partly", "cancelled"] == on.life(request)[-2:]
    assert Decimal(1) == held(on)
    assert 2 == len(on.broker.asked)


def test_a_fill_is_booked_once_however_often_it_is_told() -> None:
    """By news, by the answer before the cancel and by the one after it."""
    on = Bench()
    request = on.place(quantity=3)
    fill = on.made_fill(request, 1, trade_id="same")
    on.hear(request, OrderEvent.FILLED_PARTLY, 1, trade_id="same")
    cancel(on, request)
    on.answer(request, fill)
    on.hear(request, OrderEvent.CANCELLED)
    on.answer(request, fill, live=False)

    assert Decimal(1) == held(on)
    assert 1 == on.life(request).count("filled_partly")
    assert [] == on.alarms()


def test_a_venue_that_does_not_answer_delays_a_cancel_and_no_more() -> None:
    """After two seconds the cancel goes out without the answer; then what it said of it stands."""
    on = Bench()
    request = on.place()
    effects = on.tell(ApprovedCancel("c", "one", BTC, request.order_id))
    assert [NOW + ANSWER_PATIENCE_MS] == [e.at for e in effects if isinstance(e, SetTimer)]
    wait(on, ANSWER_PATIENCE_MS - 1)
    assert [] == on.broker.cancelled
    wait(on, 1)
    assert [request.client_order_id] == on.broker.cancelled
    on.hear(request, OrderEvent.CANCELLED)
    assert "accepted" == on.life(request)[-1]
    wait(on, ANSWER_PATIENCE_MS)

    assert "cancelled" == on.life(request)[-1]


def test_an_order_that_the_venue_does_not_know_is_cancelled_all_the_same() -> None:
    """It may be on its way there: only the venue's answer to the cancel says what became of it."""
    on = Bench()
    request = on.place()
    cancel(on, request)
    on.answer(request, known=False, live=False)

    assert [request.client_order_id] == on.broker.cancelled


@pytest.mark.parametrize("code", HURRIED)
def test_what_is_urgent_is_cancelled_without_asking(code: ReasonCode) -> None:
    """A kill does not wait for an answer; the final fills are asked for afterwards."""
    on = Bench()
    request = on.place()
    cancel(on, request, code)

    assert ([], [request.client_order_id]) == (on.broker.asked, on.broker.cancelled)
    on.hear(request, OrderEvent.CANCELLED)
    assert [request.client_order_id] == on.broker.asked


def test_a_kill_does_not_wait_for_the_answer_of_an_earlier_cancel() -> None:
    """What was asked at leisure goes out at once when it becomes urgent."""
    on = Bench()
    request = on.place()
    cancel(on, request)
    cancel(on, request, ReasonCode.KILL_CANCEL)

    assert [request.client_order_id] == on.broker.cancelled
    on.answer(request)
    assert [request.client_order_id] == on.broker.cancelled  # once


def test_asking_twice_is_one_question_and_one_cancel() -> None:
    """A strategy that repeats itself costs the venue nothing."""
    on = Bench()
    request = on.place()
    cancel(on, request)
    cancel(on, request)
    on.answer(request)
    on.answer(request)

    assert 1 == len(on.broker.asked) == len(on.broker.cancelled)


def test_an_answer_that_nobody_waits_for_books_its_fills_and_asks_for_nothing() -> None:
    """A fill is a fill, whoever brings it."""
    on = Bench()
    request = on.place(quantity=2)
    on.answer(request, on.made_fill(request, 1))

    assert Decimal(1) == held(on)
    assert [] == on.broker.cancelled


def test_an_answer_about_an_order_that_nobody_knows_is_an_alarm() -> None:
    """As any news of it is."""
    on = Bench()
    on.tell(VenueOrder("tg-stranger", NOW, True, True, ()))

    assert ["unknown_order"] == on.alarms()


def test_an_inquiry_survives_the_incarnation_that_made_it() -> None:
    """The next one goes on where this one stopped."""
    on = Bench()
    request = on.place(quantity=2)
    cancel(on, request)
    on.actor = on.make()
    on.actor.on_start()
    on.answer(request, on.made_fill(request, 1))

    assert [request.client_order_id] == on.broker.cancelled
