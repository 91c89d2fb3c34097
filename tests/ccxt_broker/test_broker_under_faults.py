"""The ccxt broker while the exchange and the line fail, one fault at a time."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import order
from dialect_house import Desk, desk

from actors.runtime.clock import within
from messages import Side, VenueOrder

pytestmark = pytest.mark.exhaustive

BUY, SELL, REST, GONE = (f"tg-0123456789-{number}" for number in range(1, 5))
WINDOW_MS = 300


def settled(at: Desk, name: str) -> bool:
    """Return whether an order's end was told, or it is known to be there, or proven absent."""
    if at.ended(name):
        return True
    answers = [
        each for each in at.news if isinstance(each, VenueOrder) and each.client_order_id == name
    ]
    return any(not each.known and each.remembers_from is not None for each in answers)


async def resolve(at: Desk, *names: str) -> None:
    """Ask for what is in doubt as Execution does, with pauses, until it is not."""
    for name in names:
        while not settled(at, name):
            at.broker.query(name, 9)
            await within(0.5, partial(at.until, partial(settled, at, name)))


async def work(at: Desk) -> None:
    """Buy, leave an order at rest, sell, and take the resting one back, through whatever comes."""
    at.broker.submit(order(BUY, "0.03"), 1)
    at.broker.submit(order(REST, "0.01", price="40000"), 1)
    await at.quiet()
    at.broker.submit(order(SELL, "0.01", side=Side.SELL, reduce_only=True), 2)
    await at.quiet()
    at.broker.cancel(REST, 3)
    await at.quiet()


async def calm(at: Desk) -> None:
    """Let nothing go wrong any more; settle what is left, and take back what still rests."""
    at.set_faults()
    await resolve(at, BUY, SELL)
    at.broker.cancel(REST, 8)
    await at.quiet()
    await resolve(at, REST)
    await at.quiet()
    await at.until(lambda: not at.truth.live)
    # Whoever holds the books asks for the trades as well, from time to time.
    at.broker.list_trades(0, 10)
    await at.quiet()


def agreed(at: Desk) -> None:
    """Hold the broker's word against the truth: nothing sent twice, each fill told, the account."""
    truth = at.truth
    for name in (BUY, SELL, REST):
        assert 1 >= at.received(name), name
    listed = {
        fill.trade_id: fill.quantity for each in at.news for fill in getattr(each, "trades", ())
    }
    ours = {
        f"BTCUSDT:{trade}": fill.quantity
        for trade, fill in truth.fills.items()
        if fill.client_order_id in {BUY, SELL, REST}
    }
    assert ours == {**listed, **at.fills()}
    told = [each.fill.trade_id for each in at.news if getattr(each, "fill", None) is not None]
    assert len(told) == len(set(told))
    view = at.broker.account()
    assert truth.held == view.positions
    assert frozenset() == view.open_orders
    assert view.net_flow is not None
    assert abs(view.net_flow - truth.net_flow) <= view.grain


FAULTS: list[dict[str, Any]] = [
    {"fault": "lose_requests", "on": ["submit"], "count": 2},
    {"fault": "lose_requests", "on": ["cancel"], "count": 1},
    {"fault": "lose_answers", "on": ["submit"], "count": 2},
    {"fault": "lose_answers", "on": ["cancel"], "count": 1},
    {"fault": "lose_answers", "on": ["order", "trades", "account"], "count": 6},
    {"fault": "cut_answers", "on": ["submit"], "count": 2},
    {"fault": "blank_answers", "on": ["submit"], "count": 2},
    {"fault": "blank_answers", "on": ["submit"], "count": 2, "body": "html"},
    {"fault": "blank_answers", "on": ["submit"], "count": 2, "body": "object"},
    {"fault": "blank_answers", "on": ["submit"], "count": 2, "body": "list"},
    {"fault": "blank_answers", "on": ["account", "positions", "order"], "count": 6, "body": "html"},
    {"fault": "blank_answers", "on": ["account", "trades"], "count": 6, "body": "object"},
    {"fault": "delay_answers", "on": ["submit"], "count": 1, "by": "3s"},
    {"fault": "delay_requests", "on": ["submit"], "count": 1, "by": "1s"},
    {"fault": "fail_before", "on": ["submit"], "count": 2},
    {"fault": "fail_after", "on": ["submit"], "count": 2},
    {"fault": "fail_after", "on": ["submit"], "count": 2, "status": 504},
    {"fault": "error_after", "on": ["submit"], "count": 2, "code": -1006},
    {"fault": "error_after", "on": ["submit"], "count": 2, "code": -1007},
    {"fault": "error_before", "on": ["submit"], "count": 1, "code": -1021},
    {"fault": "rate_limit", "on": ["submit"], "count": 1, "by": "1s"},
    {"fault": "hide_orders", "by": "1s"},
    {"fault": "hide_fills", "by": "1s"},
    {"fault": "race_fills", "count": 1},
    {"fault": "fill_parts", "count": 1},
    {"fault": "lose_news", "count": 3},
    {"fault": "delay_news", "by": "1s", "count": 2},
    {"fault": "duplicate_news"},
    {"fault": "reorder_news"},
    {"fault": "fills_first"},
    {"fault": "answer_first"},
    {"fault": "close_stream", "count": 2},
    {"fault": "abort_stream", "count": 2},
    {"fault": "silence_stream"},
    {"fault": "expire_key", "count": 1},
    {"fault": "refuse_stream", "count": 2},
    {"fault": "skew_clock", "skew_ms": 30_000},
    {"fault": "skew_clock", "skew_ms": -30_000},
]


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

    Each order came to the exchange at most once; every fill of its log was told, none twice as a
    fill; the account is the exchange's own, to the last digit.
    """
    async with desk(tmp_path, recv_window_ms=WINDOW_MS, timeout_s=1.0) as at:
        at.set_faults(fault)
        await work(at)
        await calm(at)

        agreed(at)


@pytest.mark.parametrize("seed", range(4))
async def test_many_faults_at_once(seed: int, tmp_path: Path) -> None:
    """Requests, answers and news lost, doubled, cut and out of order, each now and then."""
    script = [
        {"fault": kind, "chance": 0.15}
        for kind in ("lose_answers", "lose_requests", "cut_answers", "fail_after", "lose_news")
    ]
    script += [{"fault": kind, "chance": 0.3} for kind in ("duplicate_news", "abort_stream")]
    async with desk(tmp_path, recv_window_ms=WINDOW_MS, timeout_s=1.0) as at:
        at.set_faults(*script, seed=seed)
        await work(at)
        await calm(at)

        agreed(at)


async def test_an_order_that_the_line_has_doubled_is_not_asked_for_without_end(
    tmp_path: Path,
) -> None:
    """
    The venue has made two orders of one request: whichever it tells of, its trades do not add up.

    Both trades are told, and then there is quiet: nobody waits for news that never comes.
    """
    fault = {"fault": "repeat_requests", "on": ["submit"], "count": 1}
    async with desk(tmp_path, fault) as at:
        at.broker.submit(order(BUY, "0.03"), 1)
        await at.until(lambda: len(at.fills()) == 2)
        at.broker.query(BUY, 2)
        await at.quiet()

        assert 2 == at.received(BUY) + at.received(f"{BUY}#2")
        assert Decimal("0.06") == sum(at.fills().values())


@pytest.mark.parametrize("body", ["object", "list"])
async def test_a_page_instead_of_an_order_names_none(body: str, tmp_path: Path) -> None:
    """
    An order in doubt is asked for, and a page comes; then it is asked for again.

    Nothing on the page is taken for the venue's id: by that its trades would be asked for for ever.
    """
    lost = {"fault": "lose_answers", "on": ["submit"], "count": 1}
    blank = {"fault": "blank_answers", "on": ["order"], "body": body}
    async with desk(tmp_path, lost) as at:
        at.broker._at.client.redial("a drill")
        at.set_faults(lost, blank, {"fault": "silence_stream"})
        at.broker.submit(order(BUY, "0.03"), 1)
        await at.until(lambda: "silence" in at.life(BUY))
        at.broker.query(BUY, 2)
        await at.until(lambda: any("does not name an order" in each.detail for each in at.tools))
        at.set_faults()
        await resolve(at, BUY)

        assert "1" == at.broker.orders.named(BUY).venue_id  # type: ignore[union-attr]
        assert at.ended(BUY)


async def test_a_cancel_goes_while_questions_wait(tmp_path: Path) -> None:
    """
    Fifty questions are under way or wait; the cancel is at the exchange before they are answered.

    At the exchange's own log: the cancel was asked for while questions were still pending here.
    """
    async with desk(tmp_path) as at:
        at.broker.submit(order(REST, "0.01", price="40000"), 1)
        await at.quiet()
        at.broker._at.calls.lanes.told(1_700)  # all that questions may use
        for number in range(50):
            at.broker.query(REST, 10 + number)
        at.broker.cancel(REST, 99)
        await at.until(lambda: "cancelled" in at.life(REST))

        assert 40 <= at.broker._jobs.pending


async def test_a_liquidation_is_told_and_the_account_agrees(tmp_path: Path) -> None:
    """The exchange's own order is nobody's of ours; its execution is told under its name."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(BUY, "0.03"), 1)
        await at.until(lambda: at.ended(BUY))
        at.set_faults({"fault": "liquidate", "count": 1})
        at.broker.query(BUY, 2)
        await at.until(lambda: not at.truth.held)
        await at.until(lambda: len(at.fills()) == 2)
        await at.quiet()

        assert {} == at.broker.account().positions
        assert Decimal("0.06") == sum(at.fills().values())


async def test_a_message_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    """It may have told of a fill: the order is asked for, and the stream is heard on."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(REST, "0.02", price="49500"), 1)
        await at.until(lambda: "accepted" in at.life(REST))
        await at.quiet()
        for unreadable in ({"e": "ORDER_TRADE_UPDATE"}, {"e": "ORDER_TRADE_UPDATE", "o": {}}):
            at.broker._at.stream._take(unreadable)
        await at.quiet()
        answers = [each for each in at.news if isinstance(each, VenueOrder)]
        await at.bar(49_000.0)
        await at.until(lambda: "filled" in at.life(REST))

        assert [REST] == [each.client_order_id for each in answers if each.open][:1]
        assert any("cannot be read" in told.detail for told in at.tools)
