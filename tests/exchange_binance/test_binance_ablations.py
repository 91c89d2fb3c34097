"""Each safeguard of the exchange, with and without it: what it keeps away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import ccxt
import msgspec
import pytest
from binance_house import BTC, PATIENCE_S, House, house, terms, until

from scenarios.exchange.binanceusdm import server
from scenarios.exchange.facts import FactKind


async def tampered(home: House) -> int:
    """Send an order that was changed after it was signed; return the HTTP status."""
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    sent = home.client.sign("order", ["fapiPrivate"], "POST", order)
    body = sent["body"].replace("quantity=0.01", "quantity=0.05")
    async with home.session.post(sent["url"], data=body, headers=sent["headers"]) as response:
        return response.status


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_order_that_was_changed_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """Without the signature's check it is an order of another size."""
    if not guarded:
        monkeypatch.setattr(server, "check_signature", lambda *_: None)
    async with house(tmp_path) as home:
        await home.client.load_markets()
        status = await tampered(home)
        received = home.kinds(FactKind.RECEIVED)

    assert (400, 0) == (status, len(received)) if guarded else (200, 1) == (status, len(received))


@pytest.mark.parametrize("guarded", [True, False])
async def test_nothing_is_told_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """While the disk is busy neither stream nor answer says a word; without waiting they do."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        exchange = home.exchange.server
        synced = exchange.log.synced
        free = asyncio.Event()
        waits: list[None] = []

        async def busy() -> None:
            waits.append(None)
            if guarded:
                await free.wait()
            await synced()

        key = (await home.client.fapiPrivatePostListenKey())["listenKey"]
        url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
        stream = await home.listen(url)
        monkeypatch.setattr(exchange.log, "synced", busy)
        placing = asyncio.ensure_future(home.buy("o", "0.01", "49000"))
        hearing = asyncio.ensure_future(stream.receive_json(timeout=PATIENCE_S))
        await until(lambda: bool(waits))
        if not guarded:
            await hearing
        told_early = hearing.done() or placing.done()
        free.set()
        told, placed = await hearing, await placing

    assert told_early is not guarded
    assert ("o", "o") == (told["o"]["c"], placed["clientOrderId"])


async def test_a_disk_that_fails_ends_the_exchange(tmp_path: Path) -> None:
    """The order is in doubt for its sender, nobody is answered any more, and the venue says so."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        home.exchange.server.log.failure = OSError("no space left")
        for _ in range(2):
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await home.buy("o", "0.01", "49000")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await home.client.fetch_balance()

        assert home.exchange.server.failed.is_set()
        assert [] == home.kinds(FactKind.RECEIVED)


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_account_that_has_lost_its_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """Without a maintenance margin it owes money and keeps its position."""
    if not guarded:

        def unguarded(wanted: server.Terms) -> server.Terms:
            made = server_terms(wanted)
            return msgspec.structs.replace(made, maintenance=None)

        server_terms = server.exchange_terms
        monkeypatch.setattr(server, "exchange_terms", unguarded)
    async with house(tmp_path, venue=terms(deposit="1000")) as home:
        await home.client.load_markets()
        await home.buy("o", "0.3")
        await home.bar(40_000.0)
        positions = await home.client.fetch_positions([BTC])
        balance = await home.client.fetch_balance()

    held = [(each["side"], str(each["contracts"])) for each in positions]
    assert [] == held if guarded else [("long", "0.3")] == held
    assert (float(balance["USDT"]["total"]) < 0) is not guarded
