"""Orders that have waited for a price, and are asked for after they have become another order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from ccxt_house import known, order, rules
from dialect_house import Desk, at_work, desk

from brokers.ccxt.capabilities import BINANCEUSDM
from brokers.ccxt.translate import Unreadable, answer_of
from messages import OrderEvent, OrderRequest, OrderType, Side, VenueOrder

ONE, TWO = "tg-0123456789-1", "tg-0123456789-2"
ASKED_AT = 7


def stop(kind: OrderType, price: str | None = None) -> OrderRequest:
    """Return an order that leaves a position of 0.02 below 49000."""
    return order(
        TWO, "0.02", kind=kind, stop="49000", price=price, side=Side.SELL, reduce_only=True
    )


async def triggered_unheard(at: Desk, request: OrderRequest) -> None:
    """Have a stop triggered while the stream says nothing of it."""
    at.broker.submit(order(ONE, "0.02"), 1)
    await at.until(lambda: "filled" in at.life(ONE))
    at.broker.submit(request, 2)
    await at.until(lambda: "accepted" in at.life(TWO))
    await at.quiet()
    at.set_faults({"fault": "silence_stream"})
    await at.bar(48_900.0, low=48_800.0)


def answers(at: Desk) -> list[VenueOrder]:
    """Return what was answered to the question."""
    return [
        each
        for each in at.news
        if isinstance(each, VenueOrder) and each.client_order_id == TWO and each.asked_at
    ]


async def test_a_stop_that_has_become_another_order_is_filled_by_that_ones_word(
    tmp_path: Path,
) -> None:
    """The question tells its end and its fill; where it waited neither is said."""
    async with desk(tmp_path) as at:
        await triggered_unheard(at, stop(OrderType.STOP))
        at.broker.query(TWO, ASKED_AT)
        await at.until(lambda: bool(answers(at)))
        answer = answers(at)[-1]

        assert (OrderEvent.FILLED, Decimal("0.02")) == (answer.ended, answer.filled)
        assert [Decimal("0.02")] == [fill.quantity for fill in answer.fills]


async def test_without_that_question_nothing_is_said_of_its_end(tmp_path: Path) -> None:
    """Filled, and nothing of it: that cannot be, and the order is not declared over."""
    async with desk(tmp_path) as at:
        row = BINANCEUSDM
        at.broker._at.calls.row = replace(row, triggers=replace(row.triggers, becomes=""))
        await triggered_unheard(at, stop(OrderType.STOP))
        at.broker.query(TWO, ASKED_AT)
        await at.until(lambda: any("nothing of it is filled" in each.detail for each in at.tools))

        assert [] == answers(at)
        assert not at.ended(TWO)


async def test_what_it_has_become_is_known_to_the_next_process_and_can_be_cancelled(
    tmp_path: Path,
) -> None:
    """A triggered stop-limit rests among the plain orders: there it is taken back."""
    async with desk(tmp_path) as at:
        await triggered_unheard(at, stop(OrderType.STOP_LIMIT, "49500"))
        at.broker.query(TWO, ASKED_AT)
        await at.until(lambda: bool(answers(at)))
        kept = at.broker.snapshot()["orders"][TWO]
        at.broker.cancel(TWO, 8)
        await at.until(lambda: not at.truth.live)

        assert answers(at)[-1].open
        assert at.broker.orders.named(TWO).became == kept[-1] != ""  # type: ignore[union-attr]


def test_an_order_that_is_filled_by_nothing_is_not_over() -> None:
    """A status without the count that it goes with is not believed."""
    found = {"id": "1", "status": "closed", "filled": "0"}

    with pytest.raises(Unreadable, match="nothing of it is filled"):
        answer_of(found, known(), rules(), (), ASKED_AT)


def test_an_order_that_has_traded_was_not_rejected() -> None:
    """Its table has no such step: what a venue calls so is the end of the rest."""
    found = {"id": "1", "status": "rejected", "filled": "0.4"}

    assert OrderEvent.CANCELLED is answer_of(found, known(), rules(), (), ASKED_AT).ended


async def test_a_stop_that_an_earlier_session_left_is_taken_back_where_it_waits(
    tmp_path: Path,
) -> None:
    """
    Nothing is known of it but the list that it was in: there it is cancelled, and asked for.

    Among the plain orders it would be unknown, and go on waiting.
    """
    async with desk(tmp_path) as left:
        for name in (ONE, TWO):
            request = order(name, "0.02", kind=OrderType.STOP, stop="60000")
            left.broker.submit(request, 1)
        await left.until(lambda: all("accepted" in left.life(name) for name in (ONE, TWO)))
        async with at_work(left.exchange, account="the next session") as at:
            await at.broker.survey()
            await at.broker.withdraw(ONE)
            at.broker.cancel(TWO, ASKED_AT)
            await at.until(lambda: bool(answers(at)))
            await at.broker.survey()

            assert {} == at.broker._at.surveyor.open_orders
            assert OrderEvent.CANCELLED is answers(at)[-1].ended
    assert set() == set(left.truth.live)
