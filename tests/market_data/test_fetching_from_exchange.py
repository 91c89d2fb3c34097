"""`data fetch` from the virtual exchange, whose bars have faults of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from market_data_house import BTC, MINUTE, Waits, bar_at, minute

from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.live.fetching import fetch_all
from feeds.store.fetching import Fetched
from feeds.store.layout import Series
from feeds.store.store import BarStore
from scenarios.exchange.binanceusdm import Exchange, Keys, TestAuthority, open_binanceusdm
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import FaultScript
from state.instruments import Instrument, InstrumentKind

pytest.importorskip("ccxt", reason="needs the extra `ccxt`")

KEYS = Keys("virtual_key_for_tests", "virtual secret for tests only")
BARS = 700
"""More than a page."""


def listed() -> Terms:
    """Return the terms of a venue that lists one perpetual."""
    rules = (Decimal("0.01"), Decimal("0.001"), Decimal("0.001"), Decimal(1000))
    sizes = (Decimal(100), Decimal(2), Decimal(5), Decimal("0.05"))
    kind = InstrumentKind.LINEAR_PERPETUAL
    instrument = Instrument(BTC, kind, "BTC", "USDT", "USDT", *rules, *sizes)
    return Terms({BTC: instrument}, "USDT", Decimal(1_000), "")


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Give an exchange that has shown its market."""
    authority = TestAuthority(tmp_path / "tls")
    exchange = await open_binanceusdm(listed(), tmp_path, credentials=KEYS, ca=authority)
    try:
        await exchange.server.show(BTC, [bar_at(place) for place in range(BARS)])
        yield exchange
    finally:
        await exchange.stop()


async def fetched(exchange: Exchange, store: BarStore, bars: int = BARS) -> Fetched:
    """
    Fetch all but the newest bar.

    The exchange's clock is this machine's and its market lies years back, so the newest bar, which
    still changes there, looks as if it were over for long.
    """
    reach = Reach("binanceusdm", {"rateLimit": 1}, exchange.port, exchange.ca_path)
    waits = Waits()
    (one,) = await fetch_all(
        ccxt_source(reach),
        store.root,
        [BTC],
        MINUTE,
        (minute(0), minute(bars - 1)),
        sleep_s=waits.sleep_s,
        chance=Random(1).random,
    )
    return one


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "missing_bars", "on": ["bars"], "count": 1},
        {"fault": "stale_bars", "on": ["bars"], "count": 1},
        {"fault": "revised_bars", "on": ["bars"], "count": 1},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_a_fault_of_one_answer_leaves_the_store_with_the_truth(
    fault: dict[str, Any], exchange: Exchange, store: BarStore, series: Series
) -> None:
    """After one more fetch every bar is there with the figures that the exchange stands by."""
    exchange.server.faults.replace(FaultScript.model_validate({"seed": 1, "faults": [fault]}))

    await fetched(exchange, store)
    await fetched(exchange, store)

    assert [bar_at(place) for place in range(BARS - 1)] == list(store.bars(series))


async def test_an_exchange_that_goes_on_is_fetched_on(
    exchange: Exchange, store: BarStore, series: Series
) -> None:
    """The second fetch brings what has been shown since the first one, and only that."""
    await fetched(exchange, store)
    await exchange.server.show(BTC, [bar_at(place) for place in range(BARS, BARS + 30)])

    again = await fetched(exchange, store, BARS + 30)

    assert 30 == again.merged.added
    assert 0 == again.revised
    assert [bar_at(place) for place in range(BARS + 29)] == list(store.bars(series))
