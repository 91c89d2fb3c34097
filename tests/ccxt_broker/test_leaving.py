"""The last look in the step in which a request leaves: what waited long may not be wanted now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import BTC, order
from dialect_house import CLOCK, Desk, address, bar, desk, opened

from actors.runtime.clock import monotonic_s, sleep_s, within
from brokers.ccxt import limits, private_stream
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.ordering import Ordering
from messages import Cause, OrderEvent, OrderRequest, ReasonCode, VenueReport

NAME, NEXT = "tg-0123456789-1", "tg-0123456789-2"
HELD = Cause(ReasonCode.HELD, "hold=kill")


def held(_request: OrderRequest) -> Cause | None:
    """Let nothing leave."""
    return HELD


def rejections(at: Desk, name: str) -> list[Cause | None]:
    """Return why an order was rejected."""
    return [
        each.cause
        for each in at.news
        if isinstance(each, VenueReport)
        and each.client_order_id == name
        and each.event is OrderEvent.REJECTED
    ]


async def test_an_order_that_is_held_while_it_waits_does_not_leave(tmp_path: Path) -> None:
    """
    It was handed over before the hold, and waited for its turn.

    It is rejected for the hold's own cause, and nothing of it has come to the exchange.
    """
    async with desk(tmp_path) as at:
        at.broker._at.calls.lanes.left_alone(0.3)
        at.broker.submit(order(NAME, "0.01"), 1)
        at.broker.look = held
        await at.quiet()

        assert [HELD] == rejections(at, NAME)
        assert 0 == at.received(NAME)


async def test_it_is_looked_at_when_it_has_its_connection(tmp_path: Path) -> None:
    """The making of one may take seconds, too: the look comes after it."""
    async with desk(tmp_path) as at:
        connector: Any = at.broker._at.client._session.connector
        stream = at.broker._at.stream
        taken: list[int] = []

        def look(_request: OrderRequest) -> Cause | None:
            taken.append(len(connector._acquired - before))
            return None

        await at.until(lambda: stream.up and len(connector._acquired) == 1)  # the stream's alone
        before = set(connector._acquired)
        at.broker.look = look
        at.broker.submit(order(NAME, "0.01"), 1)
        await at.until(lambda: at.ended(NAME))

        assert taken[0] >= 1  # others may be asking meanwhile


async def test_the_connection_of_an_order_that_was_withheld_is_used_again(tmp_path: Path) -> None:
    """Nothing was written to it, so the next one goes out on it."""
    async with desk(tmp_path) as at:
        at.broker.look = held
        at.broker.submit(order(NAME, "0.01"), 1)
        await at.quiet()
        at.broker.look = lambda _request: None
        at.broker.submit(order(NEXT, "0.01"), 2)
        await at.until(lambda: at.ended(NEXT))

        assert [0, 1] == [at.received(name) for name in (NAME, NEXT)]


async def test_without_the_look_it_leaves(tmp_path: Path) -> None:
    """The ablation: only the look keeps it back; nobody else knows of the hold."""
    async with desk(tmp_path) as at:
        at.broker._at.calls.lanes.left_alone(0.3)
        at.broker._at.ordering.look = lambda _request: None
        at.broker.submit(order(NAME, "0.01"), 1)
        at.broker.look = held
        await at.until(lambda: at.ended(NAME))

        assert 1 == at.received(NAME)


async def test_a_venue_that_wants_to_be_left_alone_does_not_keep_a_session_from_its_end(
    tmp_path: Path,
) -> None:
    """Its timer cannot be stopped then; whoever ends does not wait for an hour to say so."""
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)
        await sleep_s(min(delay_s, 0.05))

    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        broker = CcxtBroker(address(exchange, dead_man_s=60), CLOCK, (BTC,))
        await broker.connect()
        broker._at.calls.lanes.left_alone(3_600.0)
        client = broker._at.client
        broker._at.timers._clock = replace(CLOCK, sleep_s=sleep)
        await within(30.0, broker.close)

    assert [limits.CLOSING_S] == slept
    assert client._session.closed


async def test_the_account_is_not_waited_for_while_the_venue_wants_to_be_left_alone(
    tmp_path: Path,
) -> None:
    """A ban may last for days, and whoever ends reads the account once more: not by waiting."""
    async with desk(tmp_path) as at:
        at.broker._at.calls.lanes.left_alone(3_600.0)
        began_s = monotonic_s()
        await within(30.0, at.broker.refresh)

        assert monotonic_s() - began_s < 30.0


MANY = [f"tg-0123456789-{number}" for number in range(10, 30)]


async def killed_without_a_stream(at: Desk) -> None:
    """Have openings wait for a private stream that does not come up again, and kill all of them."""
    at.set_faults({"fault": "refuse_stream"})
    at.broker._at.client.redial("a drill")
    await at.until(lambda: not at.broker._at.stream.up)
    for name in MANY:
        at.broker.submit(order(name, "0.01"), 1)
    await at.until(lambda: len(at.broker.orders) >= limits.WORKERS["create"])
    at.broker.look = held
    for name in MANY:
        at.broker.cancel(name, 2)


async def test_openings_that_a_kill_has_cancelled_do_not_wait_for_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many at a time would wait out their patience, and what flattens would wait for all."""
    monkeypatch.setattr(private_stream, "STREAM_WAIT_S", 1_000.0)
    async with desk(tmp_path) as at:
        await killed_without_a_stream(at)
        await at.until(lambda: all(at.ended(name) for name in MANY))

        assert {(HELD,)} == {tuple(rejections(at, name)) for name in MANY}
        assert {0} == {at.received(name) for name in MANY}


async def test_without_that_they_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: all of them, and no more than there are workers at once."""
    monkeypatch.setattr(private_stream, "STREAM_WAIT_S", 1_000.0)
    monkeypatch.setattr(Ordering, "_is_unwanted", lambda *_: False)
    async with desk(tmp_path) as at:
        await killed_without_a_stream(at)
        await at.bar()

        assert not any(at.life(name) for name in MANY)
