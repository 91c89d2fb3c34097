"""What happened in a session on a live feed becomes a scenario, its market out of the journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from market_data_house import BTC, MINUTE, LabClock, LabVenue, bar_at, minute

from actors.session import run_paper
from actors.spec import SessionResult
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.live.feed import VenueFeed
from feeds.live.venue import FeedClock, Stream
from messages import (
    CommandVerb,
    Hold,
    HoldMode,
    HoldPlaced,
    MarketSeen,
    OperatorCommand,
    Quote,
    Tick,
)
from scenarios.runner import run_scenario
from state.journal.entry import make_entry
from tidegate import recorded_market
from tidegate.archive import resolve
from tidegate.compose import compose
from tidegate.config import load
from tidegate.incidents import steps_of, write_incident
from tidegate.running import session_logs, session_spec
from tidegate.verification import verify

FIRST = 110
"""The first bar of the session: those before it rise already."""

CONFIGURATION = """
[session]
mode = "paper"
cash = "10000"
[venue]
adapter = "paper"
exchange = "binanceusdm"
[universe]
symbols = ["BTC/USDT:USDT"]
[feed]
source = "ccxt"
timeframe = "1m"
[feed.live]
store = "store"
[[strategies]]
name = "sma"
use = "sma_cross"
params = { fast = 2, slow = 3, quantity = "1" }
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.toml").write_text(CONFIGURATION)
    return tmp_path


Traded = Callable[[int], Any]


@pytest.fixture
def traded(own_folder: Path, venue: LabVenue, reach: Reach) -> Traded:
    """Return what runs the configured session over so many live bars, with a quote between."""
    venue.now = minute(FIRST) + 1
    venue.fill(range(FIRST + 1))
    clock = LabClock(venue)

    async def until(happens: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            while not happens():
                await anyio.sleep(0.005)
                clock.move(venue.now + 2_000)

    async def run(bars: int) -> SessionResult:
        configuration = load()
        feed = VenueFeed(
            ccxt_source(reach),
            [BTC],
            MINUTE,
            clock=FeedClock(clock.wall_ms, clock.sleep_s),
            chance=Random(1).random,
            warm_up=3,
            streams=frozenset(Stream),
        )
        with session_logs(configuration) as (_, log):
            spec = session_spec(configuration, compose(configuration), log)
        spec = replace(spec, feed=feed, sinks=())
        done, stopping = 0, False
        results = []

        def progressed(count: int) -> None:
            nonlocal done
            done = count

        async def session() -> None:
            results.append(
                await run_paper(spec, speed=1, on_progress=progressed, stop=lambda: stopping)
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session)
            await until(lambda: len(venue.subscribed) == 3)
            for number, place in enumerate(range(FIRST, FIRST + bars), 1):
                await venue.send_quote(place, bar_at(place).close - 0.5, bar_at(place).close + 0.5)
                await venue.send_trade(place, bar_at(place).close, number)
                venue.fill(range(place, place + 2))
                await until(lambda number=number: done >= number)
            stopping = True
        return results[0]

    return run


async def test_an_incident_on_live_data_passes_as_a_scenario(
    traded: Traded, own_folder: Path
) -> None:
    """Bars, what was known before them, quotes and trades are the journal's."""
    await traded(6)
    assert verify(resolve("latest", Path("runs"))).same
    path = own_folder / "incident.json"

    event, ran = write_incident(
        resolve("latest", Path("runs")), "OpenIntent", path, before=5, after=20
    )

    assert ran.passed, ran.misses
    assert event.ts == minute(FIRST + 1)  # at the first close: it was warm
    document = json.loads(path.read_text())
    numbers = [row[0] for row in document["market"][BTC]["rows"]]
    assert [-2, -1, 0, 1] == numbers[:4]
    assert {"quote", "tick"} <= {name for step in document["steps"] for name in step}
    assert run_scenario(path).passed


async def test_without_what_was_known_before_the_scenario_fails(
    traded: Traded, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: a strategy that starts cold decides two bars later."""
    await traded(6)
    monkeypatch.setattr(recorded_market, "MarketBefore", type("Nothing", (), {}))

    _, ran = write_incident(
        resolve("latest", Path("runs")), "OpenIntent", own_folder / "cold.json", before=5, after=20
    )

    assert not ran.passed


def test_quotes_and_trades_keep_their_order() -> None:
    """Two within a millisecond are two steps, in the order in which they came."""
    quote, tick = Quote(BTC, 5, 1.0, 2.0, 3.0, 4.0), Tick(BTC, 5, 1.5, 0.5)
    entry = make_entry(1, 7, "feed", "", "turn:0:0@0+0", MarketSeen(7, (quote, tick)))

    steps = steps_of([entry], 0)

    assert ["quote", "tick"] == [next(name for name in step if name != "at") for step in steps]
    assert [{"7ms"}] * 2 == [{step["at"]} for step in steps]


def test_what_came_at_one_instant_comes_in_the_order_in_which_it_came() -> None:
    """The last quote is seen before the stop that came in its millisecond, after a command."""
    command = OperatorCommand("operator", 7, "s-C1", CommandVerb.STOP_NEW_ORDERS, "test", "drill")
    hold = Hold("stopping:interrupted", "the session ends", HoldMode.BLOCK, "supervisor", 7)
    quote = MarketSeen(7, (Quote(BTC, 5, 1.0, 2.0, 3.0, 4.0),))
    said = [(command, "turn:0:0"), (quote, "turn:0:0@0+0"), (HoldPlaced(hold), "")]
    entries = [
        make_entry(seq, 7, "test", "", place, message)
        for seq, (message, place) in enumerate(said, 1)
    ]

    steps = steps_of(entries, 0)

    assert ["command", "quote", "stop"] == [
        next(name for name in step if name not in ("at", "when")) for step in steps
    ]
