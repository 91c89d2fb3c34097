"""The Alpaca broker while Alpaca and the line fail, one fault at a time."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alpaca_house import SPY, Desk, desk
from ccxt_house import order as any_order

from actors.runtime.clock import within
from messages import OrderRequest, ReasonCode, Side
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth

BUY, SELL, REST = (f"tg-0123456789-{number}" for number in range(1, 4))
WINDOW_MS = 300

FAULTS: list[dict[str, Any]] = [
    {"fault": "lose_requests", "on": ["submit"], "count": 2},
    {"fault": "lose_answers", "on": ["submit"], "count": 2},
    {"fault": "lose_answers", "on": ["cancel"], "count": 1},
    {"fault": "cut_answers", "on": ["submit"], "count": 2},
    {"fault": "blank_answers", "on": ["submit"], "count": 2, "body": "html"},
    {"fault": "blank_answers", "on": ["submit"], "count": 2, "body": "object"},
    {"fault": "fail_after", "on": ["submit"], "count": 2},
    {"fault": "fail_after", "on": ["submit"], "count": 2, "status": 504},
    {"fault": "fail_after", "on": ["submit"], "count": 2, "status": 422},
    {"fault": "rate_limit", "on": ["submit"], "count": 1, "by": "1s"},
    {"fault": "lose_answers", "on": ["order", "trades", "account", "positions"], "count": 6},
    {"fault": "lose_news", "count": 3},
    {"fault": "duplicate_news"},
    {"fault": "reorder_news"},
    {"fault": "close_stream", "count": 2},
    {"fault": "abort_stream", "count": 2},
    {"fault": "refuse_stream", "count": 2},
]


def order(name: str, quantity: str, **given: Any) -> OrderRequest:
    """Return an order of the share."""
    return any_order(name, quantity, symbol=SPY, **given)


def settled(at: Desk, name: str) -> bool:
    """Return whether an order's end was told, or it is known to be there, or proven absent."""
    if {"filled", "cancelled", "expired", "rejected"} & set(at.life(name)):
        return True
    return any(
        (each.known and not each.open) or (not each.known and each.remembers_from is not None)
        for each in at.answers(name)
    )


async def resolve(at: Desk, *names: str) -> None:
    """Ask for what is in doubt as Execution does, with pauses, until it is not."""
    for name in names:
        while not settled(at, name):
            at.broker.query(name, 9)
            await within(0.5, partial(at.until, partial(settled, at, name)))


@pytest.mark.parametrize(
    "fault",
    FAULTS,
    ids=lambda fault: "-".join(str(value) for key, value in fault.items() if key != "count"),
)
async def test_whatever_fails_nothing_is_sent_twice_and_every_fill_is_told_once(
    fault: dict[str, Any], tmp_path: Path
) -> None:
    """
    Orders, cancels and questions through one kind of fault, then calm.

    Each order came to Alpaca at most once; every fill of its log was told, none twice as a fill;
    the account is Alpaca's own.
    """
    async with desk(tmp_path, recv_window_ms=WINDOW_MS, timeout_s=1.0) as at:
        at.set_faults(fault)
        at.broker.submit(order(BUY, "3"), 1)
        at.broker.submit(order(REST, "1", price="390"), 1)
        await at.quiet()
        at.broker.submit(order(SELL, "1", side=Side.SELL, reduce_only=True), 2)
        await at.quiet()
        at.broker.cancel(REST, 3)
        await at.quiet()
        at.set_faults()
        await resolve(at, BUY, SELL)
        at.broker.cancel(REST, 8)
        await at.quiet()
        await resolve(at, REST)
        await at.until(lambda: not at.exchange.server.book.live())
        await at.quiet()
        await at.broker.refresh()

        truth = fold_truth(read_truth(at.exchange.truth / "truth.ndjson"))
        counts = [sum(name in hit.body for hit in at.sent("POST")) for name in (BUY, SELL, REST)]
        assert max(counts) <= 1
        assert truth.sent_again == []
        told = [each.fill.trade_id for each in at.news if getattr(each, "fill", None) is not None]
        assert len(told) == len(set(told))
        assert sum((fill.quantity for fill in truth.fills.values()), Decimal(0)) == sum(
            at.fills().values(), Decimal(0)
        )
        view = at.broker.account()
        assert truth.held == view.positions
        assert frozenset() == view.open_orders
        assert view.net_flow is not None
        assert abs(view.net_flow - truth.net_flow) <= view.grain


async def test_what_is_asked_too_often_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A 429 is a rejection in its own code, told to Health with how long to wait; sent once."""
    async with desk(tmp_path, {"fault": "rate_limit", "on": ["submit"], "by": "2s"}) as at:
        at.broker.submit(order(BUY, "1"), 1)
        await at.until(lambda: "rejected" in at.life(BUY))
        cause = at.report(BUY).cause
        waits = [each.retry_after_ms for each in at.tools if each.retry_after_ms]

        assert 1 == len(at.sent("POST"))
    assert cause is not None
    assert ReasonCode.VENUE_RATE_LIMITED is cause.code
    assert waits
    assert 0 < waits[0] <= 3_000


async def test_a_lost_answer_is_a_doubt_that_the_question_settles(tmp_path: Path) -> None:
    """Silence, never a rejection; asked for by our id, the order and its fill are there."""
    fault = {"fault": "lose_answers", "on": ["submit"], "count": 1}
    async with desk(tmp_path, fault, {"fault": "abort_stream"}, recv_window_ms=WINDOW_MS) as at:
        at.broker.submit(order(BUY, "1"), 1)
        await at.until(lambda: bool(at.life(BUY)))
        first = at.life(BUY)
        at.broker.query(BUY, 5)
        await at.until(lambda: bool(at.answers(BUY)))
        answer = at.answers(BUY)[0]

        assert 1 == len(at.sent("POST"))
    assert ["silence"] == first
    assert (True, False, Decimal(1)) == (answer.known, answer.open, answer.filled)


async def test_a_request_that_never_came_is_proven_absent(tmp_path: Path) -> None:
    """Late enough and twice in a row Alpaca does not know it: only then it is over."""
    fault = {"fault": "lose_requests", "on": ["submit"], "count": 1}
    async with desk(tmp_path, fault, recv_window_ms=WINDOW_MS) as at:
        at.broker.submit(order(BUY, "1"), 1)
        await at.until(lambda: ["silence"] == at.life(BUY))
        await resolve(at, BUY)
        answers = at.answers(BUY)

    assert answers[0].remembers_from is None
    assert answers[-1].remembers_from is not None
    assert not any(each.known for each in answers)
