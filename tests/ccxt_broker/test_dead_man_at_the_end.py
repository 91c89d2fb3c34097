"""The venue's timer at the end of a session: put off until it is stopped, and stopped once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from binance_house import bar, terms
from ccxt_house import BTC
from dialect_house import PATIENCE_S, address, opened
from session_world import on_bars
from structlog.testing import capture_logs
from test_ccxt_in_session import FAR, TENTH, session_of
from test_dead_man import FASTER, GIVEN_UP_S, HASTE, resting

from actors.inbox import Inbox
from actors.outcomes import COMPLETED
from actors.runtime.clock import sleep_s, within
from actors.session import run_paper
from brokers.ccxt import timers as timing
from brokers.ccxt.broker import CcxtBroker
from brokers.matching import MatchingEngine
from messages import Side, ToolReport
from scenarios.exchange.binanceusdm import Exchange
from scenarios.exchange.faults import FaultScript

ETH = "ETH/USDT:USDT"
SET, STOPPED = "set", "stopped"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an end wait long for the timer to be stopped: a broker's time goes faster here."""
    monkeypatch.setattr(timing, "CLOSING_S", FASTER * PATIENCE_S)


class Noted(dict[str, int]):
    """The exchange's timers, and what has become of each."""

    def __init__(self) -> None:
        """Begin with none."""
        self.done: list[tuple[str, str]] = []

    def pop(self, symbol: str, *default: Any) -> Any:
        """Stop one, which is how setting it anew begins too."""
        self.done.append((STOPPED, symbol))
        return super().pop(symbol, *default)

    def __setitem__(self, symbol: str, at: int) -> None:
        """Set one anew."""
        assert self.done.pop() == (STOPPED, symbol)
        self.done.append((SET, symbol))
        super().__setitem__(symbol, at)


def noted(exchange: Exchange) -> Noted:
    """Have the exchange note what becomes of its timers."""
    exchange.server.book.countdowns = made = Noted()
    return made


def disturb(exchange: Exchange, *script: dict[str, Any]) -> None:
    """Put faults in force."""
    told = {"seed": 1, "faults": list(script)}
    exchange.server.faults.replace(FaultScript.model_validate(told))


class Slow(CcxtBroker):
    """A broker of a session that has ended, and has much to do before it lets go of the venue."""

    def __init__(self, exchange: Exchange, timers: Noted, symbols: Sequence[str]) -> None:
        """Be slow at ``exchange``."""
        super().__init__(address(exchange, dead_man_s=60), HASTE, symbols)
        self._timers = timers
        self.put_off = 0

    async def close(self) -> None:
        """Close it, once its timer has been put off twice."""
        if self._open is not None:
            await within(GIVEN_UP_S, self._put_off_twice)
        await super().close()

    async def _put_off_twice(self) -> None:
        while self.put_off < 2:
            before = len(self._timers.done)
            while len(self._timers.done) == before:
                await sleep_s(0.01)
            self.put_off += 1


async def test_a_session_that_takes_long_to_end_loses_no_order(tmp_path: Path) -> None:
    """
    Its run is over, and its disk is slow: what rests is cancelled by nobody meanwhile.

    And then the timer is stopped, once, and not set again.
    """
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR)]})
    slow: list[Slow] = []
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        timers = noted(exchange)

        def broker(engine: MatchingEngine) -> Slow:
            slow.append(Slow(exchange, timers, engine.symbols))
            return slow[-1]

        await exchange.server.show(BTC, [bar(0)])
        spec = session_of(tmp_path, script, exchange)
        result = await run_paper(replace(spec, broker=broker), speed=240, inbox=Inbox())
        left = resting(exchange)

    assert COMPLETED == result.outcome
    assert 2 == slow[-1].put_off
    assert 1 == len(left)
    assert {} == timers
    assert (STOPPED, BTC) == timers.done[-1]
    assert 1 == timers.done.count((STOPPED, BTC))


@asynccontextmanager
async def fed(exchange: Exchange, *symbols: str) -> AsyncIterator[CcxtBroker]:
    """Have a broker's timer put off, for whoever closes it in the middle of that."""
    broker = CcxtBroker(address(exchange, dead_man_s=60), HASTE, symbols or (BTC,))
    broker.bind(lambda _news: None)
    await broker.connect()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(broker.keep_alive)
            yield broker
            tasks.cancel_scope.cancel()
    finally:
        await broker.close()


async def test_what_puts_the_timer_off_does_not_arrive_after_what_stops_it(tmp_path: Path) -> None:
    """
    A request under way is waited for: on another connection it could come second.

    Then the timer would run with nobody to put it off, and take the orders of a session that had
    ended well.
    """
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        timers = noted(exchange)
        async with fed(exchange) as broker:
            late = {"fault": "delay_requests", "on": ["cancel_all"], "by": "300ms", "count": 1}
            disturb(exchange, late)

            async def struck() -> None:
                while not exchange.server.faults.struck:
                    await sleep_s(0.01)

            await within(PATIENCE_S, struck)
            await broker.close()
        await sleep_s(0.5)

    assert (STOPPED, BTC) == timers.done[-1]
    assert {} == timers


@pytest.mark.parametrize("fault", ["lose_requests", "lose_answers"])
async def test_a_stop_of_the_timer_that_gets_lost_is_sent_again(fault: str, tmp_path: Path) -> None:
    """It is stopped however often that is asked; once it is certain nobody asks again."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        timers = noted(exchange)
        broker = CcxtBroker(address(exchange, dead_man_s=60), HASTE, (BTC,))
        await broker.connect()
        disturb(exchange, {"fault": fault, "on": ["cancel_all"], "count": 1})
        with capture_logs() as logs:
            await broker.close()

    assert {} == timers
    assert [] == logs


async def test_a_timer_that_cannot_be_stopped_is_told(tmp_path: Path) -> None:
    """Whoever relies on what rests has to look: the venue cancels it when the span is over."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        timers = noted(exchange)
        broker = CcxtBroker(address(exchange, dead_man_s=60), HASTE, (BTC,))
        await broker.connect()
        disturb(exchange, {"fault": "fail_before", "on": ["cancel_all"]})
        with capture_logs() as logs:
            await broker.close()

    (told,) = logs
    assert {BTC} == timers.keys()
    assert ("dead_man_not_stopped", "error") == (told["event"], told["log_level"])
    assert ("binanceusdm", BTC, 60) == (told["venue"], told["symbols"], told["span_s"])
    assert "503" in told["detail"]


async def test_a_symbol_whose_timer_is_refused_does_not_keep_the_others_from_theirs(
    tmp_path: Path,
) -> None:
    """Each has one of its own there: of a coin that is gone it cannot be set, nor need it be."""
    async with opened(tmp_path, venue=terms(ETH, BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        timers = noted(exchange)
        async with fed(exchange, ETH, BTC) as broker:
            tools: list[ToolReport] = []
            broker.watch(tools.append)
            listings = exchange.server.book.listings
            del listings._symbols["ETHUSDT"]
            before = timers.done.count((SET, BTC))

            async def put_off() -> None:
                while timers.done.count((SET, BTC)) < before + 2:
                    await sleep_s(0.01)

            await within(GIVEN_UP_S, put_off)
            after = timers.done.count((SET, BTC))
            with capture_logs() as logs:
                await broker.close()

    assert after >= before + 2
    assert {ETH} == timers.keys()
    assert tools
    assert {False} == {each.ok for each in tools}
    assert [ETH] == [each["symbols"] for each in logs]
