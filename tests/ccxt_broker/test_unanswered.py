"""Questions without an answer: what is not known is not guessed, and is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import venue_answers as answers
from capture_venue import Reply, Sent, trading
from ccxt_house import BTC, NAME, known, order
from dialect_house import desk
from test_faults import ERROR, TRADE

from brokers.ccxt.lanes import Lane
from brokers.ccxt.limits import JOBS_MAX
from messages import VenueOrder, VenueTrades


async def test_an_order_that_was_given_up_in_the_middle_is_not_absent_yet(tmp_path: Path) -> None:
    """
    Its request may still arrive: the time of its leaving counts, not that of the connection.

    The session ends while it is under way, and asks about it in the same moment.
    """
    came = asyncio.Event()

    def nobody(sent: Sent) -> Reply | None:
        if sent.path != "/fapi/v1/order":
            return None
        if sent.method == "POST":
            came.set()
            return Reply(hang=True)
        return Reply(ERROR % (-2013, "Order does not exist."), 400)

    async with trading(
        "binanceusdm", tmp_path, nobody, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        desk.ordering.connected_s -= 600
        submit = asyncio.ensure_future(desk.ordering.submit(order(price="50000"), Lane.CREATE))
        await came.wait()
        submit.cancel()
        await asyncio.wait([submit])
        await desk.ordering.query(NAME, 5)
        await desk.ordering.query(NAME, 6)

        told = [each for each in desk.news if isinstance(each, VenueOrder)]
        assert [(False, None), (False, None)] == [
            (each.known, each.remembers_from) for each in told
        ]


@pytest.mark.parametrize("venue_id", ["", "4712"])
async def test_a_trade_whose_order_cannot_be_asked_for_is_nobodys_only_if_it_cannot_be_ours(
    venue_id: str, tmp_path: Path
) -> None:
    """
    While an order of ours has no id of the venue's yet, an unanswered question is no answer.

    As somebody else's the trade would be passed over, and its order is ours.
    """

    def moody(sent: Sent) -> Reply | None:
        if sent.path.endswith("/userTrades"):
            return Reply([TRADE])
        if (sent.method, sent.path) != ("GET", "/fapi/v1/order"):
            return None
        return Reply("<html>busy</html>", 503)

    async with trading("binanceusdm", tmp_path, moody, answers.binanceusdm, symbols=(BTC,)) as desk:
        mine = desk.orders.add(known(price="50000"))
        desk.orders.identify(mine, venue_id)
        await desk.ordering.list_trades(1)
        named = [
            fill.client_order_id
            for each in desk.news
            if isinstance(each, VenueTrades)
            for fill in each.trades
        ]

        assert (["4711"] if venue_id else []) == named
        assert bool(venue_id) is (desk.trouble == [])


async def test_a_question_that_finds_no_room_is_asked_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order of which the stream has not told all is not forgotten over a flood of questions."""
    async with desk(tmp_path) as at:
        broker = at.broker
        broker.submit(order(NAME, "0.02", price="40000"), 1)
        await at.until(lambda: "accepted" in at.life(NAME))
        await at.quiet()
        hand_over, taken = broker._jobs.hand_over, list[bool]()

        def heard(lane: Lane, name: str, work: Callable[[], Awaitable[None]]) -> bool:
            taken.append(hand_over(lane, name, work))
            return taken[-1]

        monkeypatch.setattr(broker._jobs, "hand_over", heard)
        at.news.clear()
        broker._jobs.pending += JOBS_MAX
        broker._check_at_once(NAME)
        await at.until(lambda: bool(taken))
        broker._jobs.pending -= JOBS_MAX
        await at.until(lambda: any(isinstance(each, VenueOrder) for each in at.news))

        assert (False, True) == (taken[0], taken[-1])
