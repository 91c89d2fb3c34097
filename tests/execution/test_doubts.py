"""Lost answers: asked for, never sent again, and in the end our books are the venue's."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from doubting import Doubting
from execution_bench import BTC, NOW, PERP, Bench
from hypothesis import given, settings
from hypothesis import strategies as st
from lossy import Act, LossyBench, play

from actors.execution.doubt import PLAN
from actors.runtime import SetTimer
from messages import (
    EVERYTHING,
    ApprovedCancel,
    ExecutionReport,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    ReasonCode,
    Scope,
    VenueReport,
    Wake,
)
from state.orders import OrderStore


def is_live(on: Bench, request: OrderRequest) -> bool:
    found = on.books.orders.by_order_id(request.order_id)
    return found is not None and found.live


# -- a submit


def test_a_lost_answer_is_asked_for_at_once_and_nothing_is_sent_again() -> None:
    """The venue may have the order: a second one would be a second order."""
    on = Doubting()
    request = on.lose()
    on.wait(600_000)

    assert [request.client_order_id] * 25 == on.broker.asked
    assert [request] == on.broker.submitted
    assert OrderStatus.IN_DOUBT is on.status(request)


def test_a_second_silence_does_not_begin_the_doubt_again() -> None:
    """It is as old as the first word of it: what proves absence, and the budget, go on."""
    on = Doubting()
    request = on.lose()
    first = on.books.doubts.open[request.client_order_id]
    on.wait(7_000)
    on.hear(request, OrderEvent.SILENCE)

    assert first is on.books.doubts.open[request.client_order_id]
    assert NOW == first.since


def test_an_order_that_is_there_is_taken_over_with_its_fills() -> None:
    """By name and trade id: told again by news, the fill is not booked again."""
    on = Doubting()
    request = on.lose(quantity=3)
    fill = on.made_fill(request, 1, trade_id="same")
    on.reply(request, fill, known=True, open=True, filled=Decimal(1))
    on.hear(request, OrderEvent.FILLED_PARTLY, 1, trade_id="same")

    assert ["silence", "accepted", "filled_partly"] == on.life(request)[-3:]
    assert Decimal(1) == on.books.ledger.net_quantity(BTC)
    assert {} == on.books.doubts.open


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (OrderEvent.CANCELLED, OrderStatus.CANCELLED),
        (OrderEvent.EXPIRED, OrderStatus.EXPIRED),
        (OrderEvent.REJECTED, OrderStatus.REJECTED),
    ],
)
def test_an_order_that_is_over_is_taken_over_with_its_end(
    ended: OrderEvent, status: OrderStatus
) -> None:
    """Without a word of the venue why, the cause says that nobody saw it."""
    on = Doubting()
    request = on.lose(quantity=3)
    on.reply(request, known=True, ended=ended, filled=Decimal(0))

    assert status is on.status(request)
    assert ReasonCode.ENDED_UNSEEN is on.said[-1].cause.code


def test_an_end_waits_for_the_fills_that_the_venue_counts() -> None:
    """Taken before, what is still missing would be nobody's."""
    on = Doubting()
    request = on.lose(quantity=3)
    over = {"known": True, "ended": OrderEvent.CANCELLED, "filled": Decimal(2)}
    on.reply(request, **over)
    assert OrderStatus.IN_DOUBT is on.status(request)
    on.reply(request, on.made_fill(request, 2), **over)

    assert ["filled_partly", "cancelled"] == on.life(request)[-2:]
    assert Decimal(2) == on.books.ledger.net_quantity(BTC)


def test_unknown_proves_nothing_while_the_request_may_be_under_way() -> None:
    """Only an answer to a question that left after its expiry does."""
    on = Doubting()
    request = on.lose()
    on.wait(7_999)
    on.reply(request)
    assert OrderStatus.IN_DOUBT is on.status(request)
    on.wait(10_000)
    on.reply(request, asked_at=NOW + 7_999)
    assert OrderStatus.IN_DOUBT is on.status(request)
    on.reply(request, asked_at=NOW + 8_000)

    assert OrderStatus.REJECTED is on.status(request)
    assert "proven_absent" == on.life(request)[-1]
    assert ReasonCode.NEVER_ARRIVED is on.said[-1].cause.code


def test_an_answer_that_does_not_come_is_as_good_as_a_lost_one() -> None:
    """After the answer timeout the order is in doubt; the request is as old by then."""
    on = Doubting(at_once=False)
    request = on.approve()
    on.commit()
    on.wait(9_999)
    assert OrderStatus.SENT is on.status(request)
    on.wait(1)
    assert OrderStatus.IN_DOUBT is on.status(request)
    assert [request.client_order_id] == on.broker.asked
    on.reply(request)

    assert OrderStatus.REJECTED is on.status(request)


def test_orders_that_are_answered_cost_one_timer_together() -> None:
    """A thousand orders within the answer timeout: one is armed, and it fires once."""
    on = Doubting(at_once=False)
    for _ in range(1_000):
        on.place()
    timers = [effect for effect in on.said if isinstance(effect, SetTimer)]
    on.wait(100_000)

    assert [PLAN.answer_timeout_ms] == [timer.at - NOW for timer in timers]
    assert [] == on.broker.asked
    assert 1 == len([effect for effect in on.said if isinstance(effect, SetTimer)])


def test_a_venue_in_this_process_costs_no_timer_at_all() -> None:
    """Its answers follow at once or are reported as lost."""
    on = Doubting()
    on.place()

    assert [] == [effect for effect in on.said if isinstance(effect, SetTimer)]


def test_what_a_process_was_about_to_send_when_it_ended_is_in_doubt() -> None:
    """On record and not known to have left: never sent again, asked for."""
    on = Doubting()
    recorded = on.approve()
    sent = on.approve()
    on.waiting.pop(0)
    on.commit()
    on.books.doubts.inherited = [recorded.order_id, sent.order_id]
    on.actor = on.make()
    on.said.extend(on.actor.on_start() or ())

    assert [recorded.client_order_id, sent.client_order_id] == on.broker.asked
    assert [sent] == on.broker.submitted
    assert [OrderStatus.IN_DOUBT] * 2 == [on.status(recorded), on.status(sent)]
    causes = [e.cause for e in on.said if isinstance(e, ExecutionReport) and e.cause]
    assert {ReasonCode.SEND_UNKNOWN} == {cause.code for cause in causes}


def test_a_doubt_outlives_the_incarnation_that_it_began_in() -> None:
    """The next one goes on asking, and takes the answer."""
    on = Doubting()
    request = on.lose()
    on.actor = on.make()
    on.actor.on_start()
    on.wait(1_000)
    assert 2 == len(on.broker.asked)
    on.reply(request, known=True, open=True)

    assert OrderStatus.ACCEPTED is on.status(request)


def test_a_question_that_cannot_be_asked_is_asked_again() -> None:
    """A line that is down is no reason to fail, and none to give up."""
    on = Doubting()
    asked: list[str] = []

    def broken(name: str, _now: int) -> None:
        asked.append(name)
        raise ConnectionError("no route to host")

    on.broker.query = broken  # type: ignore[method-assign]
    on.lose()
    on.wait(3_000)

    assert 3 == len(asked)
    assert ["question_failed"] * 3 == on.alarms()


# -- a cancel


def cancelled(on: Bench, request: OrderRequest, code: str = "kill_cancel") -> None:
    on.tell(ApprovedCancel("c", "one", BTC, request.order_id, code))


def test_a_hurried_cancel_of_what_was_filled_unseen_finds_the_fill() -> None:
    """The venue has nothing to cancel and says nothing: it is asked, and the fill is booked."""
    on = Doubting()
    request = on.place(quantity=1)
    cancelled(on, request)
    on.wait(10_000)
    assert [request.client_order_id] == on.broker.asked
    fill = on.made_fill(request, 1)
    on.reply(request, fill, known=True, ended=OrderEvent.FILLED, filled=Decimal(1))

    assert OrderStatus.FILLED is on.status(request)
    assert 1 == len(on.broker.cancelled)
    assert {} == on.books.doubts.open


def test_a_cancel_is_sent_again_only_if_the_order_is_still_there() -> None:
    """It may be repeated; what it is for is known first."""
    on = Doubting()
    request = on.place()
    cancelled(on, request)
    on.wait(10_000)
    on.reply(request, known=True, open=True, filled=Decimal(0))
    assert 2 == len(on.broker.cancelled)
    on.wait(1_000)
    on.reply(request, known=True, ended=OrderEvent.CANCELLED, filled=Decimal(0))

    assert 2 == len(on.broker.cancelled)
    assert OrderStatus.CANCELLED is on.status(request)
    assert ReasonCode.KILL_CANCEL is on.said[-1].cause.code


def test_silence_about_a_cancel_is_asked_about_at_once() -> None:
    """A broker that reports the loss saves the wait for the timeout."""
    on = Doubting()
    request = on.place()
    cancelled(on, request)
    on.hear(request, OrderEvent.SILENCE)

    assert [request.client_order_id] == on.broker.asked


def test_an_order_in_doubt_that_was_cancelled_and_is_there_is_cancelled_once_more() -> None:
    """Its first cancel may have been there before it."""
    on = Doubting()
    request = on.lose()
    cancelled(on, request)
    on.reply(request, known=True, open=True, filled=Decimal(0))
    assert OrderStatus.ACCEPTED is on.status(request)
    on.reply(request, known=True, open=True, filled=Decimal(0))

    assert 2 == len(on.broker.cancelled)


def test_the_second_copy_of_a_cancels_news_does_not_end_the_wait_for_the_fills() -> None:
    """It ends with the venue's answer, or with patience; then the fills are asked for on."""
    on = Doubting()
    request = on.place(quantity=3)
    cancelled(on, request)
    on.hear(request, OrderEvent.CANCELLED)
    on.hear(request, OrderEvent.CANCELLED)
    assert OrderStatus.ACCEPTED is on.status(request)
    on.clock.advance(on.clock.now + 2_000)
    on.tell(Wake("execution", "inquiries", 1, on.clock.now))
    assert OrderStatus.CANCELLED is on.status(request)
    on.wait(5_000)
    fill = on.made_fill(request, 1)
    on.reply(request, fill, known=True, ended=OrderEvent.CANCELLED, filled=Decimal(1))

    assert Decimal(1) == on.books.ledger.net_quantity(BTC)
    assert {} == on.books.doubts.open


def test_an_end_that_counts_more_fills_than_were_told_is_asked_about() -> None:
    """The venue's own count gives a lost fill away."""
    on = Doubting()
    request = on.place(quantity=3)
    news = VenueReport(request.client_order_id, OrderEvent.CANCELLED, NOW, filled=Decimal(2))
    on.tell(news)
    assert [request.client_order_id] == on.broker.asked
    fill = on.made_fill(request, 2)
    on.reply(request, fill, known=True, ended=OrderEvent.CANCELLED, filled=Decimal(2))

    assert Decimal(2) == on.books.ledger.net_quantity(BTC)


# -- the budget


def test_past_its_budget_a_doubt_holds_its_symbol_until_it_is_settled() -> None:
    """The hold names the order, and goes by the venue's word alone."""
    on = Doubting()
    request = on.lose()
    on.wait(59_999)
    assert {} == on.holds_of
    on.wait(1)
    scope, cause = on.holds_of[f"in-doubt:{request.order_id}"]
    assert Scope(symbol=BTC) == scope
    assert request.order_id in cause
    on.wait(3_600_000)
    assert 1 == len(on.holds_of)
    on.reply(request)

    assert {} == on.holds_of
    assert OrderStatus.REJECTED is on.status(request)


def test_doubts_in_several_symbols_hold_everything_and_the_last_one_its_own() -> None:
    """More than one symbol's answers are lost: it is the line, or the venue."""
    on = Doubting()
    first, second = on.lose(), on.lose(symbol=PERP)
    on.wait(60_000)
    assert [EVERYTHING] * 2 == [scope for scope, _ in on.holds_of.values()]
    on.reply(first)

    assert {f"in-doubt:{second.order_id}": Scope(symbol=PERP)} == {
        hold_id: scope for hold_id, (scope, _) in on.holds_of.items()
    }


# -- late arrivals


@pytest.mark.parametrize("by", ["acceptance", "fill", "answer"])
def test_an_order_that_turns_up_after_it_was_proven_absent_is_held_and_cancelled(by: str) -> None:
    """It is an alarm, what it trades is booked, and the hold lasts until it is over."""
    on = Doubting()
    request = on.lose(quantity=2)
    on.wait(8_000)
    on.reply(request)
    assert OrderStatus.REJECTED is on.status(request)
    fill = on.made_fill(request, 1, trade_id="late")
    if by == "acceptance":
        on.hear(request, OrderEvent.ACCEPTED)
    elif by == "fill":
        on.hear(request, OrderEvent.FILLED_PARTLY, 1, trade_id="late")
    else:
        on.reply(request, fill, known=True, open=True, filled=Decimal(1))
    assert [f"in-doubt:{request.order_id}"] == list(on.holds_of)
    assert [request.client_order_id] == on.broker.cancelled
    assert "late_arrival" in on.alarms()
    over = {"known": True, "ended": OrderEvent.CANCELLED, "filled": Decimal(1)}
    on.reply(request, fill, **over)

    assert {} == on.holds_of
    assert Decimal(1) == on.books.ledger.net_quantity(BTC)
    assert OrderStatus.REJECTED is on.status(request)


def test_a_refusal_that_comes_late_agrees_with_the_proof() -> None:
    """The order arrived and was turned away: nothing of it is anywhere."""
    on = Doubting()
    request = on.lose()
    on.wait(8_000)
    on.reply(request)
    on.hear(request, OrderEvent.REJECTED)

    assert ([], {}) == (on.alarms(), on.holds_of)


# -- everything at once

verbs = st.sampled_from(["order", "pursue", "pursue", "trade", "trade", "cancel", "restart"])
acts = st.lists(st.tuples(verbs, st.integers(0, 19), st.integers(0, 19)), max_size=14)


@settings(max_examples=400, deadline=None)
@given(acts, st.lists(st.integers(0, 999), max_size=60))
def test_whatever_is_lost_late_doubled_or_reordered_our_books_become_the_venues(
    acts: list[Act], fates: list[int]
) -> None:
    """
    Orders, fills and ledger equal the venue's once it answers; see ``LossyBench.check``.

    At every moment what may trade at the venue is live in our books, so its worst case is
    reserved; nothing is sent twice, and nothing is booked that was not traded.
    """
    assert () == play(LossyBench(iter(fates)), acts)


def silence_is_a_rejection(bench: LossyBench) -> None:
    def rejected(order: Any, cause: Any, *, sent_at: int) -> list[Any]:
        name = order.request.client_order_id
        return list(
            bench.actor.heard(order, VenueReport(name, OrderEvent.REJECTED, sent_at, None, cause))
        )

    bench.actor._resolver.silence = rejected  # type: ignore[method-assign]


def sent_again(bench: LossyBench) -> None:
    begin = bench.actor._resolver._begin

    def again(kind: Any, order: Any, sent_at: int) -> list[Any]:
        bench.venue.submit(order.request, sent_at)
        return begin(kind, order, sent_at)

    bench.actor._resolver._begin = again  # type: ignore[method-assign]


class Forgetful(OrderStore):
    """Takes every trade id for a new one."""

    __slots__ = ()

    def book_once(self, trade_id: str) -> bool:
        return super().book_once(trade_id) or True


def booked_each_time(bench: LossyBench) -> None:
    bench.books.orders.__class__ = Forgetful


def unknown_is_absent(bench: LossyBench) -> None:
    hasty = replace(PLAN, receive_window_ms=0, clock_skew_ms=0, margin_ms=0)
    bench.actor._resolver._plan = hasty


def nothing_is_asked(bench: LossyBench) -> None:
    bench.actor._resolver._ask = lambda *_: ()  # type: ignore[method-assign]


def ends_are_taken_short(bench: LossyBench) -> None:
    bench.actor._canceller._may_follow = lambda _order: False  # type: ignore[method-assign]


def ends_of_their_own_are_believed(bench: LossyBench) -> None:
    cancelled = bench.books.inquiries.cancelled
    bench.actor._canceller.is_to_confirm = (  # type: ignore[method-assign]
        lambda _order, report: report.client_order_id in cancelled
    )


@pytest.mark.parametrize(
    "ablate",
    [
        silence_is_a_rejection,
        sent_again,
        booked_each_time,
        unknown_is_absent,
        nothing_is_asked,
        ends_are_taken_short,
        ends_of_their_own_are_believed,
    ],
)
def test_without_one_of_its_rules_the_protocol_fails(
    ablate: Callable[[LossyBench], None],
) -> None:
    """Each rule is needed: with it switched off some course of events breaks a promise."""
    for seed in range(400):
        chance = random.Random(seed)
        fates = [chance.randrange(1_000) for _ in range(60)]
        acts = [
            (
                chance.choice(["order", "pursue", "trade", "cancel"]),
                chance.randrange(20),
                chance.randrange(20),
            )
            for _ in range(14)
        ]
        bench = LossyBench(iter(fates))
        ablate(bench)
        try:
            assert () == play(bench, acts)
        except AssertionError:
            return
    pytest.fail("nothing noticed")
