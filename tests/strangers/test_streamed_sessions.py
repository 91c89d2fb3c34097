"""Whole sessions on the streamed candles of venues that nobody of us has made, as configured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from candle_house import CASES, PRESENT, feed_of
from candle_stand import CandleStand, standing
from market_data_house import LabClock, bar_at, minute
from passing import PATIENCE_S

from actors.session import run_paper
from actors.spec import SessionResult, SessionSpec
from feeds.ccxt.reach import Reach
from feeds.live.feed import VenueFeed
from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import ExecutionReport, MarketSeen, OpenIntent, OrderEvent
from state.journal.reader import read_journal
from tidegate.compose import compose
from tidegate.config import load
from tidegate.running import session_logs, session_spec

pytestmark = pytest.mark.exhaustive

CONFIGURATION = """\
[session]
mode = "paper"
cash = "100000"
[venue]
adapter = "paper"
exchange = "{exchange}"
{way}
[universe]
symbols = ["{symbol}"]
[feed]
source = "ccxt"
timeframe = "1m"
stale_after_s = 86400
[feed.live]
warm_up_bars = 4
[[strategies]]
name = "rounds"
use = "{rounds}:Rounds"
"""

WAYS = {
    "okx": "loopback_port = {port}\nloopback_ca = '{ca}'",
    "okx-spot": '[venue.ccxt]\nurls = "http://127.0.0.1:{port}"',
    "bybit": "loopback_port = {port}\nloopback_ca = '{ca}'",
    "bybit-spot": '[venue.ccxt]\nurls = "http://127.0.0.1:{port}"',
    "kraken": "loopback_port = {port}\nloopback_ca = '{ca}'",
}


class Trading:
    """A session as a file configures it, in the time of the venue that it listens to."""

    def __init__(
        self, feed: VenueFeed, spec: SessionSpec, stand: CandleStand, clock: LabClock
    ) -> None:
        self.feed = feed
        self.spec = spec
        self.stand = stand
        self.clock = clock
        self.bars = 0
        self.stopping = False
        self.results: list[SessionResult] = []

    async def run(self) -> None:
        """Trade until it is told to stop."""

        def progressed(count: int) -> None:
            self.bars = count

        result = await run_paper(
            self.spec, speed=1, on_progress=progressed, stop=lambda: self.stopping
        )
        self.results.append(result)

    async def shown(self, place: int, symbol: str) -> None:
        """Have a candle change three times, heard each time, and then be over."""
        self.clock.move(max(minute(place) + 1, self.stand.now))
        mine = self.feed._closing._of[symbol]
        for shift in (5.0, -3.0, 7.0):
            await self.stand.send_candle(place, symbol, shift=shift)
            close = bar_at(place, shift=shift).close
            await self.until(
                lambda close=close: mine.streamed.get(minute(place), (0,) * 6)[4] == close
            )
        assert place - PRESENT == self.bars
        self.clock.move(minute(place + 1) + 1)
        await self.stand.send_candle(place, symbol, closed=True)

    async def until(self, happens: Any) -> None:
        """Wait until something has happened, while time stands still."""
        with anyio.fail_after(PATIENCE_S):
            while not happens():  # noqa: ASYNC110 - several loops have to come round
                await anyio.sleep(0.001)


@pytest.mark.parametrize("name", WAYS)
async def test_a_session_decides_at_the_closes_that_a_venue_streams(
    name: str, tmp_path: Path
) -> None:
    """
    Each bar once and in order, its final figures, and no question between the first and the last.

    Where the venue does not say that a candle is closed, the next one's first word ends it, and
    only the minute in which the stream was joined is asked for.
    """
    case = CASES[name]
    symbol, last = case.symbol, PRESENT + 5
    stand = case.kind(minute(PRESENT) + 1)
    stand.fill(range(PRESENT + 1), symbol)
    async with standing(stand, tmp_path / "tls", tls=case.tls) as reach:
        spec = configured(name, reach)
        assert isinstance(spec.feed, VenueFeed)
        clock = LabClock(stand)  # type: ignore[arg-type]
        feed, time = feed_of(spec.feed._source, clock, (symbol,))
        trading = Trading(feed, replace(spec, feed=feed, sinks=()), stand, clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trading.run)
            await trading.until(lambda: stand.subscribed)
            asked = len(stand.asked)
            for place in range(PRESENT, last + 1):
                await trading.shown(place, symbol)
                if not stand.says_closed:
                    await stand.send_candle(place + 1, symbol, shift=9.0)
                    if place == PRESENT:
                        await time.to(stand.now + 3_000)
                await trading.until(lambda place=place: trading.bars == place - PRESENT + 1)
            trading.stopping = True

    (result,) = trading.results
    expected = [bar_at(place, symbol=symbol) for place in range(PRESENT, last + 1)]
    messages = [entry.message for entry in read_journal(result.out / "journal.sqlite")]
    seen = [bar for each in messages if isinstance(each, MarketSeen) for bar in each.seen]
    assert expected == seen
    kinds = [type(each) for each in messages if isinstance(each, MarketSeen | OpenIntent)]
    assert [MarketSeen, MarketSeen, OpenIntent, MarketSeen] == kinds[:4]
    fills = [each for each in messages if isinstance(each, ExecutionReport)]
    assert 1 == sum(each.event is OrderEvent.FILLED for each in fills)
    assert len(stand.asked) - asked == (0 if stand.says_closed else 1)
    topic = stand.candle_topic(symbol)
    assert [(stand.path(symbol, topic), topic)] == stand.subscribed
    kept = BarStore(result.out / "bars").bars(Series(stand.exchange, symbol, 60_000))
    before = [bar_at(place, symbol=symbol) for place in range(PRESENT - 4, PRESENT)]
    assert before + expected == list(kept)


def configured(name: str, reach: Reach) -> SessionSpec:
    """Return the session of a file that leads to a venue by ``reach``."""
    port = reach.loopback_port or int(reach.params["urls"].rpartition(":")[2])
    text = CONFIGURATION.format(
        exchange=reach.exchange,
        way=WAYS[name].format(port=port, ca=reach.loopback_ca),
        symbol=CASES[name].symbol,
        rounds=Path(__file__).parent / "rounds.py",
    )
    Path("tidegate.toml").write_text(text)
    configuration = load()
    with session_logs(configuration) as (_, log):
        return session_spec(configuration, compose(configuration), log)
