"""Funding at the virtual binanceusdm: each payment is news, booked once, and nothing is held."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from ccxt_house import BTC, order
from dialect_house import Desk, desk, opened

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from binance_house import MINUTE, START, terms
from session_world import flat, on_bars
from test_ccxt_in_session import CASH, TENTH, messages, session_of

from actors import opening
from actors.inbox import Inbox
from actors.opening import AccountUnexplained
from actors.outcomes import COMPLETED
from actors.resuming import left_in
from actors.session import resume_paper, run_paper
from actors.spec import SessionResult
from brokers.ccxt import listening
from brokers.ccxt.survey import Surveyor
from brokers.virtual.wire import FundingAtMark
from messages import (
    FundingBooked,
    HoldPlaced,
    PositionSide,
    Side,
    VenuePayment,
)
from scenarios.exchange.binanceusdm import Exchange, market_id
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import (
    compare,
    compare_books,
    fold_journal,
    fold_truth,
    last_books,
)

ONE, TWO = "tg-0123456789-1", "tg-0123456789-2"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


async def settle(exchange: Exchange, rate: float, number: int = 2) -> None:
    """Settle funding at minute ``number``."""
    paid = FundingAtMark(BTC, START + number * MINUTE, rate, Decimal(50_000))
    await exchange.server.show("funding", [paid])


def paid(at: Desk) -> list[tuple[PositionSide | None, Decimal]]:
    """Return the payments that were told."""
    told = [each for each in at.news if isinstance(each, VenuePayment)]
    assert len({each.payment_id for each in told}) == len(told), "each has its name"
    return [(each.position_side, each.amount) for each in told]


async def test_a_payment_is_told_once_as_soon_as_the_stream_says_so(tmp_path: Path) -> None:
    """It need not wait for the next regular question; the total is the account's."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.2"), 1)
        await at.until(lambda: "filled" in at.life(ONE))
        await at.quiet()
        for number in (2, 3):
            await settle(at.exchange, 0.0001, number)
            await at.until(lambda number=number: number - 1 == len(paid(at)))  # type: ignore[misc]
        await at.quiet()

        assert [(PositionSide.BOTH, Decimal(-1))] * 2 == paid(at)
        assert Decimal(2) == at.broker.account().funding


@pytest.mark.parametrize("rate", [0.0001, -0.0001])
async def test_both_sides_of_a_hedged_position_have_their_own_payment(
    rate: float, tmp_path: Path
) -> None:
    """The venue does not say whose a payment is: by the rate it is known, of equal sizes too."""
    async with desk(tmp_path, hedge=True) as at:
        at.broker.submit(order(ONE, "0.2", position_side=LONG), 1)
        at.broker.submit(order(TWO, "0.2", side=Side.SELL, position_side=SHORT), 1)
        await at.until(lambda: "filled" in at.life(ONE) and "filled" in at.life(TWO))
        await settle(at.exchange, rate)
        await at.until(lambda: 2 == len(paid(at)))

        sign = 1 if rate > 0 else -1
        assert {(LONG, Decimal(-sign)), (SHORT, Decimal(sign))} == set(paid(at))


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody hear the stream's word of payments."""
    monkeypatch.setattr(listening, "says", lambda _message, _words: False)


async def test_a_payment_of_which_the_stream_says_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money has moved, and nothing was traded: there is something to ask for."""
    deaf(monkeypatch)
    async with desk(tmp_path) as at:
        await bought(at)
        await settle(at.exchange, 0.0001)
        await at.broker.refresh()

        assert [(PositionSide.BOTH, Decimal(-1))] == paid(at)


async def test_whose_money_does_not_add_up_is_told_of_a_payment_between_trades_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where something was traded as well the balance says nothing of a payment: but who then asks for
    the trades that he may have missed hears of it, before he takes it for anything else.
    """
    deaf(monkeypatch)
    async with desk(tmp_path) as at:
        await bought(at)
        await settle(at.exchange, 0.0001)
        at.broker.submit(order(TWO, "0.1"), 2)
        await at.until(lambda: "filled" in at.life(TWO))
        await at.broker.refresh()
        unasked = paid(at)
        at.broker.list_trades(0, 3)
        await at.quiet()
        await at.broker.refresh()

        assert [] == unasked
        assert [(PositionSide.BOTH, Decimal(-1))] == paid(at)


async def test_without_both_a_payment_waits_for_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: neither the stream's word nor the balance's makes anybody ask."""
    deaf(monkeypatch)
    monkeypatch.setattr(Surveyor, "_look_for_payment", lambda _self, _balance: None)
    async with desk(tmp_path) as at:
        await bought(at)
        await settle(at.exchange, 0.0001)
        await at.broker.refresh()

        assert [] == paid(at)


async def bought(at: Desk) -> None:
    """Buy, and have the account read."""
    at.broker.submit(order(ONE, "0.2"), 1)
    await at.until(lambda: "filled" in at.life(ONE))
    await at.quiet()
    await at.broker.refresh()


# -- in a session


def buys() -> Any:
    """Return a strategy that buys and keeps."""
    return on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)]})


async def when_bought(exchange: Exchange, then: Callable[[], Any]) -> None:
    """Do something once the exchange has filled an order."""
    log = exchange.truth / "truth.ndjson"
    while True:
        await anyio.sleep(0.01)
        if fold_truth(read_truth(log)).held:
            break
    await then()


async def test_a_sessions_books_have_the_funding_that_was_paid(tmp_path: Path) -> None:
    """In the ledger as funding, of the position that paid, and no hold for a look at it."""
    results: list[SessionResult] = []
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, buys(), exchange, bars=12)

        async def run() -> None:
            results.append(await run_paper(spec, speed=240, inbox=Inbox()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await when_bought(exchange, lambda: settle(exchange, 0.00012345))
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"), market_id)
    told = messages(results[0])
    booked = [each for each in told if isinstance(each, FundingBooked)]

    assert COMPLETED == results[0].outcome
    assert [("one", BTC, Decimal("-0.61725"))] == [
        (each.strategy, each.symbol, each.amount) for each in booked
    ]
    assert compare(truth, fold_journal(told, CASH)).agrees
    assert [] == compare_books(truth, last_books(told))
    assert [] == [each for each in told if isinstance(each, HoldPlaced)]


class Died(Exception):
    """The end of a process."""


async def gone_on(folder: Path) -> tuple[SessionResult, list[str]]:
    """Let a process die with a position, settle funding, and go on; return where books part."""
    async with opened(folder, venue=terms(BTC)) as exchange:

        def die(count: int) -> None:
            log = exchange.truth / "truth.ndjson"
            if count >= 4 and fold_truth(read_truth(log)).held:
                raise Died

        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(folder, buys(), exchange, bars=10)
        with pytest.raises(Died):
            await run_paper(spec, speed=240, inbox=Inbox(), on_progress=die)
        await settle(exchange, 0.00012345)
        (left,) = (folder / "runs" / "paper" / "sessions").iterdir()
        spec = replace(spec, broker=session_of(folder, buys(), exchange).broker)
        result = await resume_paper(spec, left_in(left, spec), speed=240, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"), market_id)
    return result, compare_books(truth, last_books(messages(result)))


async def test_funding_that_was_paid_while_nobody_ran_is_booked_at_the_next_start(
    tmp_path: Path,
) -> None:
    """The account is explained by it: a settlement every eight hours stands in no start's way."""
    result, apart = await gone_on(tmp_path)

    assert COMPLETED == result.outcome
    assert [] == apart
    assert 1 == sum(isinstance(each, FundingBooked) for each in messages(result))


async def test_without_its_payments_the_account_is_not_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: money that went for funding is a difference, and no start."""
    monkeypatch.setattr(opening, "with_payments", lambda view, _payments: view)

    with pytest.raises(AccountUnexplained, match="unbooked_payment funding"):
        await gone_on(tmp_path)
