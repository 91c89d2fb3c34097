"""Orders of every kind through ccxt: batches, amendments, stops, pages, the dead man's switch."""

from __future__ import annotations

from pathlib import Path

import ccxt
import pytest
from binance_house import BTC, MINUTE, PATIENCE_S, START, house, terms

from scenarios.exchange.facts import FactKind
from scenarios.exchange.truth import fold_truth


async def test_a_stop_waits_at_the_algo_endpoint_and_becomes_an_order(tmp_path: Path) -> None:
    """It is no order until it is triggered; then it is one, with a trade of its own."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("long", "0.1")
        stop = await client.create_order(
            BTC,
            "market",
            "sell",
            "0.1",
            None,
            {"stopLossPrice": "49000", "reduceOnly": True, "clientOrderId": "stop"},
        )
        plain = await client.fetch_open_orders(BTC)
        waiting = await client.fetch_open_orders(BTC, params={"trigger": True})
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, BTC, {"clientOrderId": "stop"})
        await home.bar(48_900.0, open=49_500.0, high=49_500.0, low=48_900.0)
        filled = await client.fetch_order(None, BTC, {"clientOrderId": "stop"})
        after = await client.fetch_order(stop["id"], BTC, {"trigger": True})
        positions = await client.fetch_positions([BTC])

        assert ([], [stop["id"]]) == (plain, [each["id"] for each in waiting])
        assert ("closed", "49000") == (filled["status"], filled["average"])
        assert "FINISHED" == after["info"]["algoStatus"]
        assert [] == positions


async def test_a_take_profit_a_stop_limit_and_a_trailing_stop_are_let_in(tmp_path: Path) -> None:
    """Each waits as what it is and can be cancelled by the id that its client gave it."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("long", "0.1")
        for name, kind, price, params in (
            ("tp", "market", None, {"takeProfitPrice": "51000"}),
            ("sl", "limit", "48900", {"stopLossPrice": "49000"}),
            ("ts", "market", None, {"trailingPercent": "1"}),
        ):
            params |= {"clientOrderId": name, "reduceOnly": True}
            await client.create_order(BTC, kind, "sell", "0.1", price, params)
        waiting = await client.fetch_open_orders(BTC, params={"trigger": True})
        for name in ("tp", "sl", "ts"):
            await client.cancel_order(None, BTC, {"trigger": True, "clientOrderId": name})

        assert ["TAKE_PROFIT_MARKET", "STOP", "TRAILING_STOP_MARKET"] == [
            each["info"]["orderType"] for each in waiting
        ]
        assert [] == await client.fetch_open_orders(BTC, params={"trigger": True})
        assert set() == fold_truth(home.truth).live


async def test_an_amended_order_keeps_its_number_and_its_fills(tmp_path: Path) -> None:
    """Quantity and price change; less than is filled, or the same again, is refused."""
    part = {"fault": "fill_parts", "share": "0.5", "count": 1}
    async with house(tmp_path, part) as home:
        client = home.client
        await client.load_markets()
        placed = await home.buy("o", "0.02", "49000")
        changed = await client.edit_order(placed["id"], BTC, "limit", "buy", "0.03", "48000")
        with pytest.raises(ccxt.OperationRejected, match="-5027"):
            await client.edit_order(placed["id"], BTC, "limit", "buy", "0.03", "48000")
        with pytest.raises(ccxt.InvalidOrder, match="-2010"):
            await client.edit_order(placed["id"], BTC, "limit", "buy", "0.005", "48000")
        await home.bar(47_900.0, open=49_500.0, high=49_500.0, low=47_900.0)
        done = await client.fetch_order(placed["id"], BTC)

        assert (placed["id"], "0.010", "0.03") == (
            changed["id"],
            str(changed["filled"]),
            str(changed["amount"]),
        )
        assert ("closed", 0.03) == (done["status"], float(done["filled"]))
        assert "0.03" == str(fold_truth(home.truth).orders["o"].quantity.normalize())


async def test_a_batch_is_answered_one_by_one(tmp_path: Path) -> None:
    """What is refused in a batch is refused alone."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        made = await client.create_orders(
            [
                {
                    "symbol": BTC,
                    "type": "limit",
                    "side": "buy",
                    "amount": "0.01",
                    "price": price,
                    "params": {"clientOrderId": name},
                }
                for name, price in (("a", "49000"), ("high", "60000"), ("b", "48000"))
            ]
        )
        live = {each["clientOrderId"]: each["id"] for each in made if each["id"]}
        refused = [each["info"]["code"] for each in made if not each["id"]]
        await client.cancel_orders(list(live.values()), BTC)

        assert (["a", "b"], [-4016]) == (list(live), refused)
        assert [] == await client.fetch_open_orders(BTC)


async def test_trades_and_orders_come_in_pages(tmp_path: Path) -> None:
    """From an id, from a time, the newest: each page is what was asked for."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        for number in range(5):
            await home.buy(f"o{number}", "0.01")
            await home.bar()
        by_id = await client.fetch_my_trades(BTC, limit=2, params={"fromId": 2})
        newest = await client.fetch_my_trades(BTC, limit=2)
        since = await client.fetch_my_trades(BTC, START + 3 * MINUTE, 2)
        orders = await client.fetch_orders(BTC, START + 3 * MINUTE)
        with pytest.raises(ccxt.BadRequest, match="-1128"):
            await client.fetch_my_trades(BTC, START, params={"fromId": 2})

        assert [["2", "3"], ["4", "5"], ["3", "4"]] == [
            [trade["id"] for trade in page] for page in (by_id, newest, since)
        ]
        assert ["o2", "o3", "o4"] == [order["clientOrderId"] for order in orders]


async def test_candles_have_a_running_last_bar_and_every_length(tmp_path: Path) -> None:
    """The last bar runs; five minutes are made of what is there; pages go from their start."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        for number in range(1, 7):
            await home.bar(50_000.0 + number)
        minutes = await client.fetch_ohlcv(BTC, "1m")
        five = await client.fetch_ohlcv(BTC, "5m")
        page = await client.fetch_ohlcv(BTC, "1m", START + 2 * MINUTE, 3)

        assert [START + number * MINUTE for number in range(8)] == [bar[0] for bar in minutes]
        assert ("50006.0", "0") == (str(minutes[-1][4]), str(minutes[-1][5]))
        assert [START, START + 5 * MINUTE] == [bar[0] for bar in five]
        assert [50_004.0, 50_006.0] == [float(bar[4]) for bar in five]
        assert [START + number * MINUTE for number in (2, 3, 4)] == [bar[0] for bar in page]


async def test_the_dead_mans_switch_cancels_unless_asked_again(tmp_path: Path) -> None:
    """Armed anew in time, nothing happens; left alone, everything in the symbol is cancelled."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("o", "0.01", "49000")
        key = (await client.fapiPrivatePostListenKey())["listenKey"]
        url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
        stream = await home.listen(url)
        armed = {"symbol": "BTCUSDT", "countdownTime": "120000"}
        await client.fapiPrivatePostCountdownCancelAll(armed)
        await client.fapiPrivatePostCountdownCancelAll({**armed, "countdownTime": "0"})
        assert {} == home.exchange.server.book.countdowns
        await client.fapiPrivatePostCountdownCancelAll({**armed, "countdownTime": "50"})
        told = await stream.receive_json(timeout=PATIENCE_S)

        assert ("o", "CANCELED") == (told["o"]["c"], told["o"]["X"])
        assert ["o"] == [fact.client_order_id for fact in home.kinds(FactKind.CANCELLED)]


async def test_a_session_that_shows_the_market_is_answered_bar_by_bar(tmp_path: Path) -> None:
    """In a rehearsal a market order waits for the next bar, as it does on paper."""
    async with house(tmp_path, venue=terms(at_once=False)) as home:
        client = home.client
        await client.load_markets()
        placed = await home.buy("o", "0.01")
        await home.bar(50_500.0, open=50_400.0, high=50_500.0, low=50_400.0)
        filled = await client.fetch_order(placed["id"], BTC)

        assert ("open", "closed", "50400") == (
            placed["status"],
            filled["status"],
            filled["average"].partition(".")[0],
        )


async def test_what_cannot_be_had_at_once_expires(tmp_path: Path) -> None:
    """IOC and FOK that find nothing end as EXPIRED, and ask for no margin any more."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        for word in ("IOC", "FOK"):
            order = await client.create_order(
                BTC, "limit", "buy", "0.01", "49000", {"timeInForce": word}
            )
            assert "expired" == order["status"]
        account = await client.fapiPrivateV3GetAccount()

        assert "0" == account["totalInitialMargin"]
