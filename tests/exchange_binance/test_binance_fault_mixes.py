"""Faults of every kind at once, by seed: the exchange itself stays whole."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import ccxt
import pytest
from binance_house import BTC, House, house, terms

from scenarios.exchange.binanceusdm import TestAuthority
from scenarios.exchange.faults import WireFaultKind
from scenarios.exchange.truth import fold_truth
from scenarios.exchange.venue import restored

K = WireFaultKind
SEEDS = 12
STEPS = 25
HOW: dict[WireFaultKind, dict[str, Any]] = {
    K.DELAY_REQUESTS: {"by": "50ms"},
    K.DELAY_ANSWERS: {"by": "50ms"},
    K.DELAY_NEWS: {"by": "50ms"},
    K.RATE_LIMIT: {"by": "50ms"},
    K.BAN: {"by": "30ms"},
    K.HIDE_ORDERS: {"by": "1s"},
    K.HIDE_FILLS: {"by": "1s"},
    K.ERROR_BEFORE: {"code": -1001},
    K.ERROR_AFTER: {"code": -1007},
    K.SKEW_CLOCK: {"skew_ms": 400},
}


def script(random: Random) -> list[dict[str, Any]]:
    """Return six kinds of faults, each striking now and then."""
    kinds = random.sample(list(K), 6)
    return [
        {
            "fault": kind.value,
            "chance": 0.05 if kind in {K.HANG, K.DOWN, K.LIQUIDATE} else 0.2,
            "share": "0.4",
            **HOW.get(kind, {}),
        }
        for kind in kinds
    ]


async def step(home: House, number: int, random: Random) -> None:
    """Do one thing that a client does."""
    client, name = home.client, f"o{random.randrange(number + 1)}"
    named = {"clientOrderId": name}
    match random.randrange(9):
        case 0 | 1:
            await home.buy(f"o{number}", random.choice(["0.01", "0.25"]))
        case 2:
            price = random.choice(["49000", "49990", "51000"])
            await home.buy(f"o{number}", "0.02", price)
        case 3:
            side = random.choice(["buy", "sell"])
            await client.create_order(BTC, "market", side, "0.05", None, named)
        case 4:
            await client.cancel_order(None, BTC, named)
        case 5:
            await client.fetch_order(None, BTC, named)
        case 6:
            await client.fetch_positions([BTC])
        case 7:
            await client.fetch_ohlcv(BTC, "1m")
        case _:
            await home.bar(random.choice([49_500.0, 50_000.0, 50_400.0]))


async def listen(home: House) -> None:
    """Keep the account's stream open, whatever becomes of it."""
    while True:
        try:
            key = (await home.client.fapiPrivatePostListenKey())["listenKey"]
            url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
            async with home.session.ws_connect(url) as socket:
                async for _ in socket:
                    pass
        except (ccxt.BaseError, aiohttp.ClientError, KeyError, TypeError):
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Mint one authority for all seeds."""
    return TestAuthority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_goes_wrong_the_truth_stays_whole(
    tmp_path: Path, seed: int, ca: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """
    No request breaks the exchange, no client order id is two live orders, the log makes the same
    venue again, and what the account has is what the log adds up to.
    """
    random = Random(seed)
    caplog.set_level(logging.ERROR)
    venue = terms(deposit=random.choice(["3000", "100000"]))
    async with house(tmp_path, venue=venue, ca=ca) as home:
        await home.client.load_markets()
        home.client.timeout = 150
        listening = asyncio.ensure_future(listen(home))
        home.set_faults(*script(random), seed=seed)
        for number in range(STEPS):
            try:
                await step(home, number, random)
            except ccxt.BaseError:
                continue
        listening.cancel()
        home.set_faults()
        server = home.exchange.server
        failed = server.failed.is_set()
        facts = home.truth
        again, unwritten = restored(facts)
        held = {
            (each.symbol, each.position_side): each.quantity
            for each in server.venue.engine.positions()
        }
        truth = fold_truth(facts)
        cash = server.venue.engine.balance().net_flow
        # What was held up on its way still arrives while the house is closed.
        engine = server.venue.engine.snapshot()

    assert not failed
    assert [] == [record.getMessage() for record in caplog.records]
    assert [] == unwritten
    assert again.engine.snapshot() == engine
    assert (truth.held, truth.net_flow, []) == (held, cash, truth.repeated)
    assert Decimal(0) <= cash or held
