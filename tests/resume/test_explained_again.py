"""The account that a process leaves is explained to the next one, wherever it died."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
from resumed_world import Disk, Process
from session_world import BTC, instruments_of, make_spec, on_bars, walk

from actors.opening import differences
from actors.spec import SessionSpec
from brokers.contract import Survey
from feeds.memory import MemoryFeed
from messages import ExecutionPolicy, Fill, Liquidity, OrderType, Side, Tick
from strategies import Desk

LOW = Decimal(50)
RESTING = ExecutionPolicy(OrderType.LIMIT, limit_price=LOW)


def resting() -> SessionSpec:
    """Return a session with two orders that no bar reaches."""

    def two(desk: Desk) -> Iterable[Any]:
        return [desk.open(BTC, Side.BUY, Decimal(size), policy=RESTING) for size in (1, 2)]

    feed = MemoryFeed({BTC: walk(BTC, 6, 5)})
    return make_spec(feed, on_bars({1: two}).spec(), instruments=instruments_of((BTC,), Decimal(5)))


def both_fill(process: Process) -> None:
    """Let one trade fill both, and tell of it as a venue elsewhere does: when nobody waits."""
    assembly = process.assembly
    broker = assembly.broker
    broker.bind(lambda news: assembly.dispatcher.tell(assembly.execution_cell, news, "venue"))
    broker.on_tick(Tick(BTC, assembly.clock.now, float(LOW) - 1, 10.0))


def test_a_trade_on_its_way_when_a_process_died_explains_the_account() -> None:
    """
    What the venue takes for told is in no later answer of it, and in no book yet: only in the
    backlog that goes on with the states.
    """
    acts = {3: both_fill}
    batches = Process(resting(), Disk(), acts=acts).run().batches
    on_their_way = 0
    for batch in range(batches - 1):
        disk = Disk()
        held = Process(resting(), disk, cut_at=batch, acts=acts).run().assembly.broker.account()

        again = Process(resting(), disk).session

        on_their_way += len(again.fills_on_their_way)
        assert [] == differences(again, Survey(held)), f"cut at batch {batch}"
    assert on_their_way, "no process died between the two"


def test_a_trade_while_nobody_ran_may_have_its_fee_in_a_coin_of_the_venues_own() -> None:
    """Such a fee is none of the account's money, so the account is explained without it."""
    disk = Disk()
    before = Process(resting(), disk).run().assembly.broker.account()
    session = Process(resting(), disk).session
    assert isinstance(before.net_flow, Decimal)
    order = session.assembly.books.orders.live()[0].request
    book = (BTC, order.position_side)
    paid = order.quantity * LOW
    held = msgspec.structs.replace(
        before,
        positions={book: order.quantity},
        open_orders=before.open_orders - {order.client_order_id},
        net_flow=before.net_flow - paid,
    )
    names = ("T1", order.order_id, order.client_order_id, order.strategy, BTC)
    terms = (order.side, order.position_side, order.quantity, LOW)
    fill = Fill(*names, *terms, Decimal("0.01"), "BNB", Liquidity.MAKER, 1)

    assert [] == differences(session, Survey(held, (fill,)))
