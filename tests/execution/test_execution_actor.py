"""Execution: journaled before sent, moved along the table, every fill booked exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from execution_bench import BTC, NOW, PERP, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.risk import client_order_id
from messages import (
    ApprovedCancel,
    ApprovedOpen,
    DeadLetter,
    ExecutionReport,
    Hold,
    HoldMode,
    OrderCommitted,
    OrderEvent,
    OrderStatus,
    PortfolioMarked,
    ReasonCode,
    Scope,
    Side,
    VenueReport,
)
from state.ledger import LedgerImbalance
from state.orders import DuplicateOrder

ONE = Decimal(1)


# -- the way out


def test_client_order_ids_are_a_pure_function_of_order_ids() -> None:
    """A restart finds its orders at the venue again, and two orders never share an id."""
    ids = [f"abc-1-{number}" for number in range(1000)]

    assert [client_order_id(one) for one in ids] == [client_order_id(one) for one in ids]
    assert len({client_order_id(one) for one in ids}) == 1000
    assert all(len(client_order_id(one)) <= 36 for one in ids)


def test_an_approved_order_is_journaled_with_its_whole_request_and_not_sent() -> None:
    """The record that makes it durable says everything that the broker will be asked."""
    bench = Bench()
    request = bench.approve()
    (journaled,) = bench.said

    assert isinstance(journaled, ExecutionReport)
    assert (journaled.event, journaled.status) == (OrderEvent.JOURNALED, OrderStatus.JOURNALED)
    assert journaled.order == request
    assert bench.broker.submitted == []
    assert bench.waiting == [OrderCommitted(request.order_id)]


def test_after_the_commit_the_order_is_sent_once() -> None:
    """A commit that is announced twice sends nothing twice."""
    bench = Bench()
    request = bench.approve()
    bench.commit()
    bench.tell(OrderCommitted(request.order_id))

    assert bench.broker.submitted == [request]
    assert bench.life(request) == ["journaled", "sent"]


def test_an_order_is_never_known_twice() -> None:
    """The same approved order again is an error, and nothing is sent for it."""
    bench = Bench()
    request = bench.place()

    with pytest.raises(DuplicateOrder, match=request.client_order_id):
        bench.tell(ApprovedOpen(request))
    assert bench.broker.submitted == [request]


@pytest.mark.parametrize("mode", list(HoldMode))
@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(), True),
        (Scope(symbol=BTC), True),
        (Scope(symbol=PERP), False),
        (Scope(strategy="two"), False),
        (Scope(venue="elsewhere"), False),
        (Scope(side="long"), True),
    ],
)
def test_the_last_look_minds_what_covers_the_order(
    mode: HoldMode, scope: Scope, covered: bool
) -> None:
    """A hold of any mode that covers the order suppresses it; any other leaves it alone."""
    bench = Bench()
    opening, closing = bench.approve(), bench.approve(Side.SELL, reduce=True)
    bench.holds.place(Hold("kill", "drill", mode, "test", NOW, scope))
    bench.commit()

    assert bench.life(opening)[-1] == ("suppressed" if covered else "sent")
    assert bench.life(closing)[-1] == "sent"


@pytest.mark.parametrize("reduce", [False, True])
def test_the_last_look_minds_the_deadline(reduce: bool) -> None:
    """At ``valid_until`` an order still leaves; a millisecond later it does not."""
    bench = Bench()
    good = bench.approve(valid_until=NOW + 5, reduce=reduce)
    late = bench.approve(valid_until=NOW + 4, reduce=reduce)
    bench.clock.advance(NOW + 5)
    bench.commit()

    assert bench.life(good)[-1] == "sent"
    assert bench.life(late)[-1] == "suppressed"
    assert bench.said[-1].cause.code is ReasonCode.INTENT_EXPIRED


@pytest.mark.parametrize(
    ("side", "worst", "mark", "leaves"),
    [
        (Side.BUY, "101", 101.0, True),
        (Side.BUY, "101", 101.01, False),
        (Side.BUY, "101", 90.0, True),
        (Side.SELL, "99", 99.0, True),
        (Side.SELL, "99", 98.99, False),
        (Side.SELL, "99", 110.0, True),
    ],
)
@pytest.mark.parametrize("reduce", [False, True])
def test_the_last_look_minds_the_slippage_that_its_policy_allows(
    side: Side, worst: str, mark: float, leaves: bool, reduce: bool
) -> None:
    """The market may have moved since Risk looked; what reduces keeps its policy as well."""
    bench = Bench()
    request = bench.approve(side, worst_price=Decimal(worst), reduce=reduce)
    bench.mark(BTC, mark)
    bench.commit()

    assert bench.life(request)[-1] == ("sent" if leaves else "suppressed")
    if not leaves:
        cause = bench.said[-1].cause
        assert cause.code is ReasonCode.SLIPPAGE_LIMIT
        assert f"worst={worst}" in cause.detail


def test_the_last_look_has_no_slippage_without_a_market() -> None:
    """Where nothing is known of the price, nothing is known of its slippage."""
    bench = Bench()
    request = bench.approve(worst_price=Decimal(101))
    bench.board.last.clear()
    bench.commit()

    assert bench.life(request)[-1] == "suppressed"
    assert "mark=none" in bench.said[-1].cause.detail


def test_a_hold_before_the_journal_suppresses_and_is_answered() -> None:
    """An order that is drained from the mailbox ends SUPPRESSED, with every cause."""
    bench = Bench()
    request = bench.approve()
    held = ApprovedOpen(
        type(request)(**{**fields(request), "order_id": "x", "client_order_id": "y"})
    )
    bench.holds.place(Hold("kill", "drill", HoldMode.DRAIN, "test", NOW))
    (report,) = bench.actor.refuse(held, bench.holds.causes(held)) or ()

    assert isinstance(report, ExecutionReport)
    assert (report.event, report.order_id) == (OrderEvent.SUPPRESSED, "x")
    assert not any(order.request.order_id == "x" for order in bench.books.orders.live())


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


# -- cancels


def test_a_cancel_before_the_send_suppresses_the_order() -> None:
    """What has not left need not be cancelled at the venue, and never leaves."""
    bench = Bench()
    request = bench.approve()
    bench.tell(ApprovedCancel("c", "one", BTC, request.order_id))
    bench.commit()

    assert bench.life(request) == ["journaled", "suppressed"]
    assert bench.broker.submitted == []
    assert bench.broker.cancelled == []


def test_a_cancel_of_a_sent_order_goes_to_the_venue_and_changes_nothing_yet() -> None:
    """Only the venue's word ends an order: a fill may still overtake the cancel."""
    bench = Bench()
    request = bench.place()
    bench.tell(ApprovedCancel("c", "one", BTC, request.order_id))
    bench.answer(request)

    assert bench.broker.cancelled == [request.client_order_id]
    assert bench.life(request)[-1] == "accepted"
    bench.fill(request, 1)
    assert bench.life(request)[-1] == "filled"


def test_cancelling_all_reaches_each_live_order_of_the_scope_once() -> None:
    """By strategy and symbol, sent or not, oldest first, finished ones left alone."""
    bench = Bench()
    mine = [bench.place() for _ in range(2)]
    bench.place(strategy="two")
    bench.place(symbol=PERP)
    done = bench.place()
    bench.fill(done, 1)
    unsent = bench.approve()
    bench.tell(ApprovedCancel("c", "one", BTC))
    for request in mine:
        bench.answer(request)

    assert bench.broker.cancelled == [request.client_order_id for request in mine]
    assert bench.life(unsent)[-1] == "suppressed"


def test_a_cancel_without_an_order_is_said_to_be_one() -> None:
    """Nothing to cancel is no failure, and is on the record."""
    bench = Bench()
    bench.tell(ApprovedCancel("c", "one", BTC, "nobody's"))

    assert bench.alarms() == ["unknown_order"]
    assert bench.broker.cancelled == []


def test_an_order_of_another_strategy_is_no_order_to_cancel() -> None:
    """A cancel names its strategy, and reaches that strategy's orders only."""
    bench = Bench()
    request = bench.place(strategy="owner")
    bench.tell(ApprovedCancel("c", "thief", BTC, request.order_id))

    assert bench.broker.cancelled == []


# -- news from the venue


def test_news_of_an_unknown_order_is_an_alarm() -> None:
    """It moves nothing, and the record names the client order id."""
    bench = Bench()
    (alarm,) = bench.tell(VenueReport("tg-stranger", OrderEvent.ACCEPTED, NOW))

    assert isinstance(alarm, DeadLetter)
    assert (alarm.reason, alarm.detail) == ("unknown_order", "tg-stranger")


def test_an_illegal_step_is_an_alarm_and_changes_nothing() -> None:
    """A rejection of a filled order is recorded, and the order stays filled."""
    bench = Bench()
    request = bench.place()
    bench.fill(request, 1)
    said = bench.hear(request, OrderEvent.REJECTED)

    assert [type(effect) for effect in said] == [DeadLetter]
    assert bench.alarms() == ["illegal_transition"]
    order = bench.books.orders.by_order_id(request.order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED


def test_a_fill_is_booked_once_by_its_trade_id() -> None:
    """A venue that repeats itself after a reconnect moves no money twice."""
    bench = Bench()
    request = bench.place(quantity=3)
    bench.hear(request, OrderEvent.FILLED_PARTLY, 1, trade_id="T")
    cash = bench.books.ledger.cash
    said = bench.hear(request, OrderEvent.FILLED_PARTLY, 1, trade_id="T")

    assert [type(effect) for effect in said] == [DeadLetter]
    assert bench.alarms() == ["duplicate_trade"]
    assert bench.books.ledger.cash == cash
    assert bench.books.ledger.net_quantity(BTC) == ONE


def test_a_fill_after_the_cancel_is_an_alarm_and_its_money_is_booked() -> None:
    """The venue moved the money, whatever our table says; the status stays cancelled."""
    bench = Bench()
    request = bench.place()
    bench.hear(request, OrderEvent.CANCELLED)
    alarm, executed, marked = bench.fill(request, 1)

    assert isinstance(alarm, DeadLetter)
    assert isinstance(executed, ExecutionReport)
    assert isinstance(marked, PortfolioMarked)
    assert alarm.reason == "illegal_transition"
    assert (executed.status, executed.filled) == (OrderStatus.CANCELLED, ONE)
    assert bench.books.ledger.net_quantity(BTC) == ONE
    assert marked.cash == 100_000 - Decimal("100.1")
    bench.books.ledger.audit()


def test_a_fill_beyond_the_order_is_an_alarm_and_its_money_is_booked() -> None:
    """Three of two were filled: the books say three."""
    bench = Bench()
    request = bench.place(quantity=2)
    bench.fill(request, 3)

    assert bench.alarms() == ["illegal_transition"]
    assert bench.books.ledger.net_quantity(BTC) == 3


def test_a_fill_before_the_acknowledgement_counts() -> None:
    """A fill can overtake the answer to the submit; the late answer changes nothing."""
    bench = Bench()
    request = bench.approve()
    bench.commit()
    bench.fill(request, 1)
    bench.hear(request, OrderEvent.ACCEPTED)

    order = bench.books.orders.by_order_id(request.order_id)

    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert bench.alarms() == []


def test_a_lost_answer_leaves_the_order_in_doubt_until_the_venue_says_otherwise() -> None:
    """Silence is no end and no resend; evidence is."""
    bench = Bench()
    request = bench.approve()
    bench.commit()
    bench.hear(request, OrderEvent.SILENCE)
    bench.tell(OrderCommitted(request.order_id))
    bench.hear(request, OrderEvent.PROVEN_ABSENT)

    states = [r.status for r in bench.said if isinstance(r, ExecutionReport)]

    assert bench.broker.submitted == [request]
    assert states[-2:] == [OrderStatus.IN_DOUBT, OrderStatus.REJECTED]


def test_partial_fills_add_up() -> None:
    """Each report carries its own fill and what is filled so far; the last one ends the order."""
    bench = Bench()
    request = bench.place(quantity=3)
    reports = [bench.fill(request, 1, price)[0] for price in ("100", "101", "102")]

    assert [report.event.value for report in reports] == [
        "filled_partly",
        "filled_partly",
        "filled",
    ]
    assert [report.filled for report in reports] == [1, 2, 3]
    assert reports[-1].booking.average_price == 101
    assert reports[-1].booking.quantity == 3


def test_an_impossible_fill_is_not_silently_swallowed() -> None:
    """A fill that cannot be booked raises: the supervisor and the Reconciler take over."""
    bench = Bench()
    request = bench.place()

    with pytest.raises(Exception, match=r"(?i)price|positive|impossible"):
        bench.fill(request, 1, "-5")


def test_a_new_incarnation_audits_the_books_it_takes_over() -> None:
    """Books that do not balance end the session at the restart, not later."""
    bench = Bench()
    bench.fill(bench.place(), 1)
    bench.books.ledger.chart.account("cash:USDT", "USDT").balance += 1

    with pytest.raises(LedgerImbalance):
        bench.make()


def test_a_new_incarnation_goes_on_with_the_orders_of_the_last() -> None:
    """Orders outlive the actor: the fill of an order that the last one sent is booked."""
    bench = Bench()
    request = bench.place(quantity=2)
    bench.actor = bench.make()
    bench.fill(request, 2)

    assert bench.life(request)[-1] == "filled"
    assert bench.alarms() == []


def test_a_new_incarnation_ends_what_the_last_one_never_sent() -> None:
    """An order whose commit was lost with a failure does not stay in between for ever."""
    bench = Bench()
    request = bench.approve()
    bench.waiting.clear()  # the message that would have sent it died with the last incarnation
    bench.actor = bench.make()
    bench.said.extend(e for e in bench.actor.on_start() or () if isinstance(e, ExecutionReport))

    order = bench.books.orders.by_order_id(request.order_id)

    assert order is not None
    assert not order.live or order.status is OrderStatus.IN_DOUBT


# -- whatever comes

news = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            (
                OrderEvent.ACCEPTED,
                OrderEvent.REJECTED,
                OrderEvent.SILENCE,
                OrderEvent.CANCELLED,
                OrderEvent.EXPIRED,
                OrderEvent.PROVEN_ABSENT,
                OrderEvent.FILLED,
                OrderEvent.FILLED_PARTLY,
            )
        ),
        st.integers(1, 3),
        st.integers(0, 5),
    ),
    max_size=25,
)


@settings(max_examples=120)
@given(news)
def test_whatever_the_venue_says_in_whatever_order_money_balances(
    script: Sequence[tuple[int, OrderEvent, int, int]],
) -> None:
    """Any news in any order: each trade is booked once, position = sum of fills, books exact."""
    bench = Bench()
    requests = [bench.approve(quantity=3, symbol=PERP if n % 2 else BTC) for n in range(4)]
    bench.commit()
    booked: dict[str, Decimal] = {}
    position = {BTC: Decimal(0), PERP: Decimal(0)}
    for which, event, quantity, trade in script:
        request = requests[which]
        is_fill = event in (OrderEvent.FILLED, OrderEvent.FILLED_PARTLY)
        trade_id = f"T-{which}-{trade}"
        bench.hear(request, event, quantity if is_fill else None, trade_id=trade_id)
        if is_fill and trade_id not in booked:
            booked[trade_id] = Decimal(quantity)
            position[request.symbol] += quantity

    for symbol, held in position.items():
        assert held == bench.books.ledger.net_quantity(symbol)
    bench.books.ledger.audit()
    fills = [r.fill.trade_id for r in bench.said if isinstance(r, ExecutionReport) and r.fill]
    assert sorted(fills) == sorted(booked)
    assert len(bench.marks()) == len(fills)
    assert bench.broker.submitted == requests
