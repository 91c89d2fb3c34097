"""What is asked of the account steps aside for an order, and an order for nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import order
from dialect_house import Desk, desk

from brokers.ccxt import broker as broker_module
from brokers.ccxt.calls import Calls
from brokers.ccxt.known import KnownOrder, KnownOrders
from brokers.ccxt.ordering import Ordering
from messages import OrderRequest
from state import precedence as precedence_module

NAME, NEXT = "tg-0123456789-1", "tg-0123456789-2"


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody go on because it has waited long enough."""
    monkeypatch.setattr(precedence_module, "ASIDE_S", 3_600.0)


def answers(at: Desk, name: str) -> int:
    """Return how many answers about an order were told."""
    return sum(type(each).__name__ == "VenueOrder" and each.client_order_id == name
               for each in at.news)  # fmt: skip


@pytest.mark.parametrize("ablated", [False, True])
async def test_a_question_waits_for_an_order_that_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ablated: bool
) -> None:
    """It is not even signed; orders go all the same, and it follows when nobody is on the way."""
    if ablated:
        monkeypatch.setattr(Calls, "once", Calls._once)
    async with desk(tmp_path) as at:
        at.broker.submit(order(NAME, "0.01"), 1)
        await at.until(lambda: at.ended(NAME))
        at.broker.precedence.hold("a test")
        at.broker.query(NAME, 2)
        at.broker.submit(order(NEXT, "0.01"), 3)
        await at.until(lambda: at.ended(NEXT) and (answers(at, NAME) > 0 or not ablated))
        meanwhile = answers(at, NAME)
        at.broker.precedence.release("a test")
        await at.until(lambda: answers(at, NAME) > 0)

        assert ablated is bool(meanwhile)


async def test_an_answer_that_comes_while_an_order_is_on_its_way_is_read_later(
    tmp_path: Path,
) -> None:
    """It has arrived, and waits unread."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(NAME, "0.01"), 1)
        await at.until(lambda: at.ended(NAME))
        await at.quiet()
        client, asked = at.broker._at.client, asyncio.Event()
        fetch = client.exchange.fetch

        async def asking(url: str, *given: Any) -> Any:
            if "/order" in url:  # it is beyond the first gate
                at.broker.precedence.hold("a test")
                asked.set()
            return await fetch(url, *given)

        client.exchange.fetch = asking
        at.broker.query(NAME, 2)
        await asked.wait()
        at.broker.submit(order(NEXT, "0.01"), 3)
        await at.until(lambda: at.ended(NEXT))  # a round trip later
        meanwhile = answers(at, NAME)
        client.exchange.fetch = fetch
        at.broker.precedence.release("a test")
        await at.until(lambda: answers(at, NAME) > 0)

        assert 0 == meanwhile


async def test_an_order_has_precedence_until_it_is_being_written(tmp_path: Path) -> None:
    """From its hand-over on; for its answer, which may take seconds, nobody steps aside."""
    async with desk(tmp_path) as at:
        await at.until(lambda: at.broker._at.stream.up)
        clear: dict[str, bool] = {}
        precedence = at.broker.precedence

        def look(_request: OrderRequest) -> None:
            clear["leaving"] = precedence.is_clear

        calls = at.broker._at.calls
        take = calls.client.on_headers

        def answered(headers: Any) -> None:
            clear.setdefault("answered", precedence.is_clear)
            take(headers)

        await at.until(lambda: precedence.is_clear)
        at.broker.look = look
        at.broker.submit(order(NAME, "0.01"), 1)
        clear["handed over"] = precedence.is_clear
        calls.client.on_headers = answered
        await at.until(lambda: at.ended(NAME))
        await at.quiet()

        assert {"handed over": False, "leaving": False, "answered": True} == clear
        assert precedence.is_clear


async def test_an_order_that_is_withheld_leaves_no_precedence_behind(tmp_path: Path) -> None:
    """However it ends, it is over."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(NAME, "0.01", symbol="NOBODY/USDT:USDT"), 1)
        await at.until(lambda: at.ended(NAME))
        await at.quiet()

        assert at.broker.precedence.is_clear


@pytest.mark.parametrize("ablated", [False, True])
async def test_nothing_is_asked_about_an_order_of_which_all_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ablated: bool
) -> None:
    """Its reply counted fills, and the stream has told them since: the question is not needed."""
    if ablated:
        monkeypatch.setattr(KnownOrder, "is_told_whole", False)
    asked: list[str] = []
    query = Ordering.query

    async def noted(self: Ordering, name: str, now: int) -> None:
        asked.append(name)
        await query(self, name, now)

    monkeypatch.setattr(Ordering, "query", noted)
    monkeypatch.setattr(broker_module, "CHECK_AFTER_S", 0.3)
    async with desk(tmp_path) as at:
        at.broker.submit(order(NAME, "0.01"), 1)
        await at.until(lambda: at.ended(NAME))
        at.broker._check_soon(NAME)
        await at.until(lambda: not at.broker._checks)
        await at.quiet()

        assert ([NAME] if ablated else []) == asked[:1]


def test_ended_orders_cost_a_state_nothing() -> None:
    """Only live ones are walked through, however many are known."""
    known = KnownOrders()
    for number in range(100):
        known.add(KnownOrder.of(order(f"tg-0123456789-{number}"))).ended = number != 7
    names = [each.name for each in known.live()]
    again = known.add(KnownOrder.of(order("tg-0123456789-3")))

    assert ["tg-0123456789-7"] == names
    assert names == list(known.snapshot())
    assert again.ended
    assert 1 == len(known._live)
