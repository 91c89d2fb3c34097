"""The end of a session at a venue whose stream has not told of all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt_house import BTC, order
from dialect_house import desk, opened
from test_ccxt_in_session import CASH, TENTH, messages, session_of

from actors.inbox import Inbox
from actors.paced import PacedDriver
from actors.reexecution import reexecute
from actors.runtime.clock import sleep_s
from actors.session import run_paper
from actors.spec import SessionSpec
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.limits import ACCOUNT_TRIES_MAX
from messages import ExecutionPolicy, OrderType, Reconciled, Side
from scenarios.exchange.binanceusdm import Exchange, market_id
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Comparison, compare, fold_journal, fold_truth
from state.reconciliation_policy import ReconciliationPlan

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from binance_house import bar, terms
from session_world import on_bars

Late = Callable[[CcxtBroker, Exchange], Awaitable[None]]

NEAR = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(49_500))
SEEN_AT = 3
"""After so many turns the market comes to the order."""


async def ended(folder: Path) -> tuple[Comparison, tuple[str, ...]]:
    """
    Run a session whose order is filled unheard, and whose Reconciler looks at the end only.

    Return where truth and journal part, and what the comparison at the end has found.
    """
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=NEAR)]})
    shown: list[Any] = []
    async with opened(folder, {"fault": "silence_stream"}, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])

        def progress(count: int) -> None:
            if count == SEEN_AT:
                falls = exchange.server.show(BTC, [bar(1, 49_000.0)])
                shown.append(asyncio.ensure_future(falls))

        spec = session_of(folder, script, exchange, bars=6)
        spec = replace(spec, reconciliation=ReconciliationPlan(patient=True, every_ms=0))
        result = await run_paper(spec, speed=240, inbox=Inbox(), on_progress=progress)
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"), market_id)
    told = messages(result)
    last = [each for each in told if isinstance(each, Reconciled)][-1]
    assert 1 == len(truth.fills), "the order was filled"
    return compare(truth, fold_journal(told, CASH)), last.differences


async def test_what_no_news_has_told_is_asked_for_before_the_end(tmp_path: Path) -> None:
    """The fill is booked and the order over: what the account shows is not left to a next start."""
    found, differences = await ended(tmp_path)

    assert Comparison() == found
    assert () == differences


async def test_without_that_the_session_ends_beside_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison at the end finds it, and nobody does anything about it any more."""

    async def unasked(driver: PacedDriver) -> None:
        assert driver.session.remote is not None
        await driver.session.remote.refresh()

    monkeypatch.setattr(PacedDriver, "ask_for_the_rest", unasked)
    found, differences = await ended(tmp_path)

    assert found.lost
    assert differences


async def test_news_in_the_middle_of_the_last_reading_leaves_no_account_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the account was read in vain: at the end it is compared, and agrees."""
    ask = PacedDriver.ask_for_the_rest
    disturbed = 0

    async def amid_news(driver: PacedDriver) -> None:
        broker = driver.session.remote
        assert isinstance(broker, CcxtBroker)
        read = broker._at.surveyor.read

        async def with_news() -> Any:
            nonlocal disturbed
            found = await read()
            if disturbed < ACCOUNT_TRIES_MAX:
                disturbed += 1
                broker._standing.take_news()
            return found

        monkeypatch.setattr(broker._at.surveyor, "read", with_news)
        await ask(driver)

    monkeypatch.setattr(PacedDriver, "ask_for_the_rest", amid_news)
    found, differences = await ended(tmp_path)

    assert ACCOUNT_TRIES_MAX == disturbed
    assert Comparison() == found
    assert () == differences


async def a_fill(broker: CcxtBroker, exchange: Exchange) -> None:
    """Fill the order at rest; return when the news of it has come, and nobody has read it."""
    await exchange.server.show(BTC, [bar(1, 49_000.0)])
    while not broker._unread:
        await sleep_s(0.01)


async def the_stream(broker: CcxtBroker, exchange: Exchange) -> None:
    """Have the stream come up: its dial took so long."""
    del exchange
    stream, client = broker._at.stream, broker._at.client
    client.redial("a drill")
    stream.up = False
    dial = asyncio.ensure_future(client.exchange.watch_orders())
    while not stream.up:
        await sleep_s(0.01)
    dial.cancel()


@pytest.mark.parametrize("late", [a_fill, the_stream])
async def test_what_comes_between_the_last_question_and_the_end_is_heard(
    late: Late, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The venue's account is compared at the end, and agrees, whatever came while the session ended.

    It is said to a connection that nobody listens to any more; the venue is well, and was asked.
    Executed once more, the session hears it at the same place.
    """

    def spec_of(exchange: Exchange) -> SessionSpec:
        script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=NEAR)]})
        spec = session_of(tmp_path, script, exchange, bars=4)
        return replace(spec, reconciliation=ReconciliationPlan(patient=True, every_ms=0))

    wind_down = PacedDriver.wind_down
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])

        async def amid_news(driver: PacedDriver) -> None:
            broker = driver.session.remote
            assert isinstance(broker, CcxtBroker)
            await late(broker, exchange)
            await wind_down(driver)

        monkeypatch.setattr(PacedDriver, "wind_down", amid_news)
        result = await run_paper(spec_of(exchange), speed=240, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"), market_id)
    told = messages(result)
    last = [each for each in told if isinstance(each, Reconciled)][-1]
    again = reexecute(spec_of(exchange), result.session_id, result.out / "journal.sqlite")

    assert () == last.differences
    assert Comparison() == compare(truth, fold_journal(told, CASH))
    assert again.difference is None, str(again.difference)
    assert len(told) == again.same


async def test_an_account_is_compared_again_once_the_stream_is_back(tmp_path: Path) -> None:
    """
    While it was gone the list of open orders said more than had been told; then it came up again.

    What was waited for then is not waited for any more: the account would be silent for ever.
    """
    async with desk(tmp_path) as at:
        broker = at.broker
        broker.submit(order("tg-0123456789-1", "0.02", price="49500"), 1)
        await at.until(lambda: "accepted" in at.life("tg-0123456789-1"))
        await at.quiet()
        at.set_faults({"fault": "refuse_stream"})
        broker._at.client.redial("a drill")
        await at.until(lambda: not broker._at.stream.up)
        await at.bar(49_000.0)
        broker._at.surveyor.open_orders = {}
        broker._check_listed()
        waited_for = set(broker._standing.unheard)
        at.set_faults()
        await at.until(lambda: broker._at.stream.up)
        await broker.refresh()
        await at.quiet()

        assert {"tg-0123456789-1"} == waited_for
        assert broker.account().positions
