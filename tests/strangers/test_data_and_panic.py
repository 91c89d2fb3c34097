"""Market data, the check and the emergency at a stranger's: coins in our bars, contracts there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

import venue_answers
from capture_venue import Capture, serving, trading
from ccxt_house import BTC, NAME, known
from stranger import Books, wall_ms
from strangers_house import KINDS, PERPETUAL, visiting

from brokers.ccxt.calls import Done, Trades
from brokers.ccxt.capabilities import TABLE
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import open_venue
from feeds.errors import FeedSettingError
from feeds.history import VenueRefused
from feeds.store.layout import Series
from feeds.store.store import BarStore
from tidegate.market_sources import REHEARSAL

MINUTE = 60_000


@pytest.mark.parametrize(("exchange", "coins"), [("okx", 7.0), ("gate", 0.07)])
def test_history_is_fetched_by_one_address_and_counts_coins(
    exchange: str, coins: float, tmp_path: Path
) -> None:
    """Seven hundred contracts are so many coins in our bars, wherever ccxt has left them."""
    since = wall_ms() // MINUTE * MINUTE - 20 * MINUTE
    with visiting(tmp_path, exchange, tls=False) as visit:
        visit.configure(f'[venue.ccxt]\nurls = "http://127.0.0.1:{visit.running.port}"')
        result = visit.invoke("data", "fetch", "--since", str(since), "--store", "kept", "--json")
        hosts = {sent.host for sent in visit.running.house.sent}

    assert 0 == result.exit_code, result.output
    (fetched,) = json.loads(result.stdout)["fetched"]
    assert 19 <= fetched["bars"] <= 21
    series = Series(exchange, PERPETUAL, MINUTE)
    bars = list(BarStore(tmp_path / "kept" / REHEARSAL).bars(series, (since, since + 19 * MINUTE)))
    assert {coins} == {bar.volume for bar in bars}
    assert hosts == {f"127.0.0.1:{visit.running.port}"}


async def test_market_data_is_dialled_nowhere_else_where_its_address_is_local(
    tmp_path: Path,
) -> None:
    """A stream that was left at the real host is refused by name; so is a misspelt place."""
    capture = Capture(venue_answers.okx)
    async with serving(capture, tmp_path, tls=False) as (port, _):
        urls = {"api": {"rest": f"http://127.0.0.1:{port}"}}
        async with open_venue(Reach("okx", {"urls": urls})) as venue:
            await venue.load([BTC], "1m")
            with pytest.raises(VenueRefused, match=r"urls\.api\.ws: ws\.okx\.com is not this"):
                await venue.watch_candles(BTC, MINUTE)


def test_panic_empties_a_venue_that_has_no_row_of_its_own(tmp_path: Path) -> None:
    """Cancelled one by one, left by an order that can only reduce, and seen to be empty."""
    with visiting(tmp_path, "gate", tls=False) as visit:
        visit.configure(f'[venue.ccxt]\nurls = "http://127.0.0.1:{visit.running.port}"')
        visit.books.place("", "buy", 700)
        visit.books.place("", "buy", 300, "46000")
        result = visit.invoke("panic", "--flatten", "--yes")

    assert 0 == result.exit_code, result.output
    assert [] == visit.books.open()
    assert {} == visit.books.held()
    last = list(visit.books.orders.values())[-1]
    assert (700, "sell", True) == (last.amount, last.side, last.reduce_only)


async def test_no_trade_is_lost_where_a_full_answer_is_the_newest(tmp_path: Path) -> None:
    """Two hundred and fifty since then, a hundred at a time, the newest first: all, in order."""
    dialect, market = KINDS["okx"]
    books = Books(market)
    for number in range(250):
        books.place(f"c{number}", "buy", 1)
        books.trades[-1].at = 1_700_000_000_000 + number // 3
    async with trading("okx", tmp_path, dialect(books).answer, symbols=(BTC,)) as desk:
        found = await desk.calls.trades(BTC, 1_700_000_000_000)
        asked = len(desk.capture.sent)
        desk.calls.row = replace(TABLE["okx"], trades_backward=False)
        without = await desk.calls.trades(BTC, 1_700_000_000_000)

    assert isinstance(found, Done)
    assert isinstance(found.value, Trades)
    assert [str(9_000 + n) for n in range(250)] == sorted(t["id"] for t in found.value.trades)
    assert not found.value.is_full
    assert 4 >= asked
    assert isinstance(without, Done)
    assert 100 == len(without.value.trades)  # what would be left out without


async def test_an_order_that_was_cancelled_is_found_among_those_that_are_over(
    tmp_path: Path,
) -> None:
    """A list of the filled ones only would have it absent, and an order would be lost."""
    dialect, market = KINDS["bybit"]
    books = Books(market)
    order = books.place(NAME, "buy", "0.5", "46000")
    books.cancel(order)
    async with trading("bybit", tmp_path, dialect(books).answer, symbols=(BTC,)) as desk:
        found: Any = await desk.calls.look_up(known(symbol=BTC, price="46000"))

    assert isinstance(found, Done)
    assert found.value is not None
    assert "canceled" == found.value["status"]


async def test_an_exchange_that_ccxt_has_no_streams_of_is_asked_for_its_bars() -> None:
    """Whoever would watch it is refused, so that history is asked; so is what ccxt lacks."""
    async with open_venue(Reach("btcmarkets")) as venue:
        with pytest.raises(VenueRefused):
            await venue.watch_candles("BTC/AUD", MINUTE)
    with pytest.raises(FeedSettingError, match="venue 'bitcorn'; expected an id of ccxt"):
        async with open_venue(Reach("bitcorn")):
            pass
