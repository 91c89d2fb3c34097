"""The venue's timer is put off from when it is set on, not only while a session runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from binance_house import bar, terms
from ccxt_house import BTC, order
from dialect_house import CLOCK, PATIENCE_S, address, at_work, opened
from session_world import on_bars
from test_ccxt_in_session import FAR, TENTH, Died, session_of

from actors import session as sessions
from actors.inbox import Inbox
from actors.outcomes import COMPLETED
from actors.resuming import left_in
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms, within
from actors.session import resume_paper, run_paper
from brokers.ccxt.address import VenueClock
from brokers.ccxt.broker import CcxtBroker
from brokers.contract import KeepsAlive, Survey, VenueUnreachable
from brokers.matching import MatchingEngine
from messages import Side
from scenarios.exchange.binanceusdm import Exchange
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth

ONE = "tg-0123456789-1"
FASTER = 20
HASTE = VenueClock(
    wall_ms, lambda: FASTER * monotonic_s(), lambda delay_s: sleep_s(delay_s / FASTER)
)
"""A broker's time that goes so much faster: a timer of a minute is put off every second."""

GIVEN_UP_S = 15.0
"""For how long nobody puts a timer off that is to be put off every second."""


def resting(exchange: Exchange) -> set[str]:
    """Return what rests at the exchange, by its own log."""
    return set(fold_truth(read_truth(exchange.truth / "truth.ndjson")).live)


class Late(CcxtBroker):
    """A broker whose venue takes longer to say what it holds than its timer waits."""

    def __init__(self, exchange: Exchange, symbols: Sequence[str]) -> None:
        """Be late at ``exchange``."""
        super().__init__(address(exchange, dead_man_s=60), HASTE, symbols)
        self._exchange = exchange
        self.put_off = 0
        self.rested: set[str] = set()

    async def survey(self) -> Survey:
        """Return what the venue holds, once its timer has been put off twice."""
        found = await super().survey()
        await within(GIVEN_UP_S, self._put_off_twice)
        self.rested = resting(self._exchange)
        return found

    async def _put_off_twice(self) -> None:
        countdowns = self._exchange.server.book.countdowns
        while self.put_off < 2:
            before = dict(countdowns)
            while countdowns == before:
                await sleep_s(0.01)
            self.put_off += 1


async def test_a_start_that_takes_longer_than_the_timer_loses_no_order(tmp_path: Path) -> None:
    """
    A session goes on with an order at rest, and what the account holds is long in coming.

    Until the session runs nobody but the start is there to put the timer off.
    """
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR)]})
    late: list[Late] = []

    async with opened(tmp_path, venue=terms(BTC)) as exchange:

        def die(count: int) -> None:
            if count >= 4 and resting(exchange):
                raise Died

        def broker(engine: MatchingEngine) -> Late:
            late.append(Late(exchange, engine.symbols))
            return late[-1]

        await exchange.server.show(BTC, [bar(0)])
        spec = session_of(tmp_path, script, exchange, bars=12)
        with pytest.raises(Died):
            await run_paper(spec, speed=240, inbox=Inbox(), on_progress=die)
        left = resting(exchange)
        (folder,) = (tmp_path / "runs" / "paper" / "sessions").iterdir()
        again = replace(spec, broker=broker)
        result = await resume_paper(again, left_in(folder, again), speed=240, inbox=Inbox())
        countdowns = dict(exchange.server.book.countdowns)

    assert 1 == len(left)
    assert (2, left) == (late[-1].put_off, late[-1].rested)
    assert COMPLETED == result.outcome
    assert {} == countdowns


@asynccontextmanager
async def connected(exchange: Exchange, clock: VenueClock = HASTE) -> AsyncIterator[CcxtBroker]:
    """Have a broker connected that wants the timer, and does not run."""
    broker = CcxtBroker(address(exchange, dead_man_s=60), clock, (BTC,))
    broker.bind(lambda _news: None)
    await broker.connect()
    try:
        yield broker
    finally:
        await broker.close()


async def test_a_timer_is_put_off_while_it_is_kept_alive_and_not_after(tmp_path: Path) -> None:
    """Whoever waits for anything between the connection and the run has it put off meanwhile."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        countdowns = exchange.server.book.countdowns
        async with connected(exchange) as broker:
            assert isinstance(broker, KeepsAlive)
            (armed,) = countdowns.values()

            async def later() -> None:
                while max(countdowns.values()) <= armed:
                    await sleep_s(0.01)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(broker.keep_alive)
                await within(PATIENCE_S, later)
                tasks.cancel_scope.cancel()
            (fed,) = countdowns.values()

    assert fed > armed
    assert {} == countdowns


async def test_a_process_that_dies_at_the_start_leaves_the_timer_behind(tmp_path: Path) -> None:
    """It is set as soon as the broker is connected: what rests is cancelled, as was asked for."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            first.broker.submit(order(ONE, "0.02", price="40000"), 1)
            await first.until(lambda: "accepted" in first.life(ONE))
        left = resting(exchange)
        broker = CcxtBroker(address(exchange, dead_man_s=1), CLOCK, (BTC,))
        await broker.connect()
        await broker._at.client.close()  # and nothing is said any more

        async def cancelled() -> None:
            while resting(exchange):
                await sleep_s(0.05)

        await within(PATIENCE_S, cancelled)

        assert {ONE} == left
        assert set() == resting(exchange)


async def test_a_start_that_is_refused_leaves_no_timer_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error leaves as it is, although something went on beside what has raised it."""

    async def refuse(*_args: object) -> None:
        raise VenueUnreachable("it does not say what it holds")

    monkeypatch.setattr(sessions, "explain", refuse)
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        spec = session_of(tmp_path, on_bars({}), exchange)
        spec = replace(spec, broker=lambda engine: Late(exchange, engine.symbols))
        with pytest.raises(VenueUnreachable, match="does not say what it holds"):
            await run_paper(spec, speed=240, inbox=Inbox())

        assert {} == exchange.server.book.countdowns


async def test_putting_the_timer_off_is_counted_as_the_venue_counts_it(tmp_path: Path) -> None:
    """
    Ten for each symbol at Binance: counted as one it would come on top of all that is planned.

    By our own count: the venue's would be heard of after the request that was too many.
    """
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with connected(exchange, CLOCK) as broker:
            calls = broker._at.calls
            weights = replace(calls.row.weights, used_header="")
            calls.row = replace(calls.row, weights=weights)
            before = calls.lanes.allowance.used(monotonic_s())
            await calls.count_down([BTC], 60_000)
            after = calls.lanes.allowance.used(monotonic_s())

    assert 10 == after - before
