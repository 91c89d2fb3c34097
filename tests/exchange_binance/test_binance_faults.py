"""Every fault, one by one: what ccxt makes of it, and what the truth log says meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest
from binance_house import BTC, MINUTE, PATIENCE_S, START, WINDOW_MS, House, house, until

from brokers.virtual.wire import FAULTS, KEY_HEADER
from scenarios.exchange.facts import FactKind
from scenarios.exchange.faults import WireFaultKind

K = WireFaultKind


def fault(kind: str, **how: Any) -> dict[str, Any]:
    """Return one fault that strikes once."""
    return {"fault": kind, "count": 1, **how}


async def accepted(home: House) -> list[str]:
    """Return which orders the venue let in."""
    return [fact.client_order_id for fact in home.kinds(FactKind.ACCEPTED)]


# What ccxt raises from a create, exactly, and whether the order lives.
CREATES: list[tuple[dict[str, Any], type[Exception], bool]] = [
    (fault("delay_answers", on=["submit"], by="2s"), ccxt.RequestTimeout, True),
    (fault("hang", on=["submit"]), ccxt.RequestTimeout, False),
    (fault("lose_requests", on=["submit"]), ccxt.ExchangeNotAvailable, False),
    (fault("lose_answers", on=["submit"]), ccxt.ExchangeNotAvailable, True),
    (fault("down", on=["submit"]), ccxt.ExchangeNotAvailable, False),
    (fault("cut_answers", on=["submit"]), ccxt.ExchangeError, True),
    (fault("maintenance", on=["submit"]), ccxt.ExchangeNotAvailable, False),
    (fault("rate_limit", on=["submit"], by="3s"), ccxt.DDoSProtection, False),
    (fault("ban", on=["submit"], by="1m"), ccxt.DDoSProtection, False),
]
for status, kind in (
    (500, ccxt.ExchangeNotAvailable),
    (502, ccxt.ExchangeNotAvailable),
    (503, ccxt.ExchangeNotAvailable),
    (504, ccxt.RequestTimeout),
):
    CREATES.append((fault("fail_before", on=["submit"], status=status), kind, False))
    CREATES.append((fault("fail_after", on=["submit"], status=status), kind, True))
for code, raised in (
    (-1000, ccxt.OperationFailed),
    (-1001, ccxt.OperationFailed),
    (-1006, ccxt.OperationFailed),
    (-1007, ccxt.RequestTimeout),
    (-1008, ccxt.OperationFailed),
    (-1021, ccxt.InvalidNonce),
):
    CREATES.append((fault("error_before", on=["submit"], code=code), raised, False))
    CREATES.append((fault("error_after", on=["submit"], code=code), raised, True))


@pytest.mark.parametrize(
    ("struck", "raised", "lives"),
    CREATES,
    ids=["-".join(str(part) for part in each[0].values()) for each in CREATES],
)
async def test_what_a_create_raises_and_whether_the_order_lives(
    tmp_path: Path, struck: dict[str, Any], raised: type[Exception], lives: bool
) -> None:
    """The class that ccxt raises is the one of research, and says nothing of the order's fate."""
    async with house(tmp_path, struck) as home:
        await home.client.load_markets()
        if struck["fault"] in {"hang", "delay_answers"}:
            home.client.timeout = 500
            home.hold_up()
        with pytest.raises(raised) as caught:
            await home.buy("o", "0.01", "49000")
        if lives:  # its sender may have given it up before it was there
            await until(lambda: bool(home.kinds(FactKind.ACCEPTED)))

        assert raised is type(caught.value)
        assert (["o"] if lives else []) == await accepted(home)


@pytest.mark.parametrize("body", ["empty", "html", "object", "list"])
async def test_success_without_an_answer_is_an_order_without_an_id(
    tmp_path: Path, body: str
) -> None:
    """ccxt raises nothing and returns an order that knows nothing, while it lives at the venue."""
    struck = fault("blank_answers", on=["submit"], body=body)
    async with house(tmp_path, struck) as home:
        await home.client.load_markets()
        placed = await home.buy("o", "0.01", "49000")

        assert (None, None) == (placed["id"], placed["status"])
        assert ["o"] == await accepted(home)


async def test_an_order_that_was_held_up_arrives_after_its_time_out(tmp_path: Path) -> None:
    """Asked for right after the time-out it does not exist; a moment later it lives."""
    struck = fault("delay_requests", on=["submit"], by="1s")
    async with house(tmp_path, struck) as home:
        client = home.client
        await client.load_markets()
        stream = await stream_of(home)
        arrive = home.hold_up()
        patience, client.timeout = client.timeout, 300
        with pytest.raises(ccxt.RequestTimeout):
            await home.buy("late", "0.01", "49000")
        client.timeout = patience
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, BTC, {"clientOrderId": "late"})
        assert [] == await accepted(home)
        arrive.set()
        told = await stream.receive_json(timeout=PATIENCE_S)

        assert ("late", "NEW") == (told["o"]["c"], told["o"]["X"])
        assert ["late"] == await accepted(home)


async def test_a_request_that_arrives_twice_is_one_order(tmp_path: Path) -> None:
    """The second is a duplicate, as the log says; the client hears of the first."""
    struck = fault("repeat_requests", on=["submit"])
    async with house(tmp_path, struck) as home:
        await home.client.load_markets()
        placed = await home.buy("o", "0.01", "49000")

        assert "open" == placed["status"]
        assert ["o"] == await accepted(home)
        assert ["duplicate"] == [fact.reason for fact in home.kinds(FactKind.REFUSED)]


async def test_an_answer_that_comes_twice_is_heard_once(tmp_path: Path) -> None:
    """The spare bytes spoil their connection, and no later answer."""
    async with house(tmp_path, fault("repeat_answers", on=["submit"])) as home:
        await home.client.load_markets()
        first = await home.buy("first", "0.01", "49000")
        orders = await home.client.fetch_open_orders(BTC)

        assert [first["id"]] == [order["id"] for order in orders]


async def test_everything_is_banned_after_a_ban(tmp_path: Path) -> None:
    """HTTP 418 holds for every request until its time is over, and says for how long."""
    async with house(tmp_path, fault("ban", on=["submit"], by="1m")) as home:
        await home.client.load_markets()
        with pytest.raises(ccxt.DDoSProtection, match="418"):
            await home.buy("o", "0.01", "49000")
        async with home.session.get("https://fapi.binance.com/fapi/v1/ping") as response:
            assert 418 == response.status
            assert 0 < int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("skew", [{"skew_ms": 40_000}, {"skew_ms": -40_000}])
async def test_a_clock_that_is_off_refuses_what_is_signed_by_another(
    tmp_path: Path, skew: dict[str, Any]
) -> None:
    """-1021 until the client asks for the time and signs by it."""
    struck = {"fault": "skew_clock", **skew}
    async with house(tmp_path, struck) as home:
        client = home.client
        await client.load_markets()
        with pytest.raises(ccxt.InvalidNonce, match="-1021"):
            await home.buy("o", "0.01", "49000")
        await client.load_time_difference()
        placed = await home.buy("o", "0.01", "49000")

        assert abs(client.options["timeDifference"] + skew["skew_ms"]) < WINDOW_MS
        assert "open" == placed["status"]
        assert ["o"] == await accepted(home)


async def test_a_clock_that_drifts_is_off_after_a_while(tmp_path: Path) -> None:
    """What the clock gains grows with the time that it runs."""
    struck = {"fault": "skew_clock", "drift_ppm": 100_000}
    async with house(tmp_path, struck) as home:
        server = home.exchange.server
        start = server.wall()
        server.wall = lambda: start + 100_000

        assert 9_000 <= server.clock() - server.wall() <= 11_000


async def test_an_order_is_not_found_for_a_while_after_it_was_accepted(tmp_path: Path) -> None:
    """Not found, not open, no trades, although it was filled; when it is found, it is filled."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("o", "0.01")
        home.set_faults(fault("hide_orders", by="1h", count=3))
        with pytest.raises(ccxt.OrderNotFound, match="-2013"):
            await client.fetch_order(None, BTC, {"clientOrderId": "o"})
        orders = await client.fetch_orders(BTC)
        trades = await client.fetch_my_trades(BTC)
        found = await client.fetch_order(None, BTC, {"clientOrderId": "o"})

        assert ([], [], "closed") == (orders, trades, found["status"])


async def test_positions_lag_behind_the_fills(tmp_path: Path) -> None:
    """The order is filled and the position is still flat."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("o", "0.01")
        home.set_faults(fault("hide_fills", on=["positions"], by="1h"))
        before = await client.fetch_positions([BTC])
        after = await client.fetch_positions([BTC])

        assert ([], ["long"]) == (before, [each["side"] for each in after])


async def test_a_cancel_races_a_fill_and_loses(tmp_path: Path) -> None:
    """The cancel finds no order (-2011); the order is filled, not cancelled."""
    async with house(tmp_path, fault("race_fills")) as home:
        client = home.client
        await client.load_markets()
        await home.buy("o", "0.01", "49000")
        with pytest.raises(ccxt.OrderNotFound, match="-2011"):
            await client.cancel_order(None, BTC, {"clientOrderId": "o"})
        found = await client.fetch_order(None, BTC, {"clientOrderId": "o"})

        assert ("closed", 0.01) == (found["status"], float(found["filled"]))
        assert [] == home.kinds(FactKind.CANCELLED)


async def test_a_part_of_an_order_is_filled_as_it_comes(tmp_path: Path) -> None:
    """The answer says how much; cancelling it leaves that part filled."""
    async with house(tmp_path, fault("fill_parts", share="0.3")) as home:
        client = home.client
        await client.load_markets()
        placed = await home.buy("o", "0.010", "49000")
        cancelled = await client.cancel_order(None, BTC, {"clientOrderId": "o"})

        assert ("open", 0.003) == (placed["status"], float(placed["filled"]))
        assert ("canceled", 0.003) == (cancelled["status"], float(cancelled["filled"]))


@pytest.mark.parametrize(
    ("kind", "prefix", "left"), [("liquidate", "autoclose-", 0.0), ("deleverage", "adl_", 0.005)]
)
async def test_the_venue_closes_a_position_by_itself(
    tmp_path: Path, kind: str, prefix: str, left: float
) -> None:
    """An order that nobody sent closes it: ``CALCULATED`` on the stream, a trade in the list."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        key = (await client.fapiPrivatePostListenKey())["listenKey"]
        url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
        stream = await home.listen(url)
        await home.buy("o", "0.01")
        home.set_faults(fault(kind, on=["positions"]))
        positions = await client.fetch_positions([BTC])
        trades = await client.fetch_my_trades(BTC)
        executed = []
        while len(executed) < 4:
            told = await stream.receive_json(timeout=PATIENCE_S)
            if told["e"] == "ORDER_TRADE_UPDATE":
                executed.append((told["o"]["c"][: len(prefix)], told["o"]["x"], told["o"]["o"]))

        assert left == sum(float(each["contracts"]) for each in positions)
        assert (prefix, "CALCULATED", "LIQUIDATION") == executed[-1]
        assert 2 == len(trades)
        assert 1 == len(home.kinds(FactKind.OWN_ORDER))


async def test_rules_change_in_the_middle_of_a_session(tmp_path: Path) -> None:
    """An order by the old rules is refused as the venue refuses it."""
    async with house(tmp_path, fault("change_rules", on=["submit"])) as home:
        await home.client.load_markets()
        with pytest.raises(ccxt.BadRequest, match="-1111"):
            await home.buy("o", "0.011", "49000")

        assert [] == await accepted(home)


async def test_candles_are_stale_missing_revised_or_frozen(tmp_path: Path) -> None:
    """The same question gets four wrong answers, and the right one when the faults are over."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        for price in (50_010.0, 50_020.0, 50_030.0):
            await home.bar(price)
        home.set_faults(
            fault("stale_bars"),
            fault("missing_bars"),
            fault("revised_bars"),
            fault("frozen_bars"),
        )
        answers = [await client.fetch_ohlcv(BTC, "1m") for _ in range(5)]

        opened = [[(bar[0] - START) // MINUTE for bar in answer] for answer in answers]
        closes = [[round(float(bar[4]), 1) for bar in answer] for answer in answers]
        assert [[0, 1, 2], [0, 1, 3, 4], *[[0, 1, 2, 3, 4]] * 3] == opened
        assert [50_000.0, 50_010.0, 50_020.0, 50_030.0, 50_030.0] == closes[4]
        assert [50_000.0, 50_010.0, 50_020.0, 55_033.0, 50_030.0] == closes[2]
        assert [50_000.0] * 5 == closes[3]


async def test_maintenance_empties_the_book(tmp_path: Path) -> None:
    """Books are empty, everything else is away."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        home.set_faults(fault("maintenance", count=2))
        book = await client.fetch_order_book(BTC)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_balance()

        assert ([], []) == (book["bids"], book["asks"])


# -- streams


async def stream_of(home: House) -> aiohttp.ClientWebSocketResponse:
    """Open the account's stream."""
    key = (await home.client.fapiPrivatePostListenKey())["listenKey"]
    url = f"wss://fstream.binance.com/private/ws?listenKey={key}"
    return await home.listen(url)


async def told(stream: aiohttp.ClientWebSocketResponse, count: int) -> list[tuple[str, str]]:
    """Return the next ``count`` pieces of news of orders."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        message = await stream.receive_json(timeout=PATIENCE_S)
        if message["e"] == "ORDER_TRADE_UPDATE":
            found.append((message["o"]["c"], message["o"]["x"]))
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lose_news", [("o", "TRADE"), ("next", "NEW")]),
        ("duplicate_news", [("o", "NEW"), ("o", "NEW"), ("o", "TRADE"), ("o", "TRADE")]),
        ("fills_first", [("o", "TRADE"), ("o", "NEW"), ("next", "NEW")]),
    ],
)
async def test_news_is_lost_twice_or_out_of_order(
    tmp_path: Path, kind: str, expected: list[tuple[str, str]]
) -> None:
    """The account's stream tells of a filled order as the fault has it; the truth is untouched."""
    async with house(tmp_path, fault(kind)) as home:
        await home.client.load_markets()
        stream = await stream_of(home)
        await home.buy("o", "0.01")
        await home.buy("next", "0.01", "49000")

        assert expected == await told(stream, len(expected))
        assert 1 == len(home.kinds(FactKind.FILLED))


async def test_news_comes_in_any_order(tmp_path: Path) -> None:
    """Nothing is lost, and some seed turns it round."""
    orders = set()
    async with house(tmp_path) as home:
        await home.client.load_markets()
        stream = await stream_of(home)
        for seed in range(8):
            home.set_faults(fault("reorder_news"), seed=seed)
            await home.buy(f"o{seed}", "0.01")
            orders.add(tuple(what for _, what in await told(stream, 2)))

    assert {("NEW", "TRADE"), ("TRADE", "NEW")} == orders


@pytest.mark.parametrize(("kind", "how"), [("delay_news", {"by": "1s"}), ("answer_first", {})])
async def test_news_that_is_held_comes_in_a_burst_with_what_follows(
    tmp_path: Path, kind: str, how: dict[str, Any]
) -> None:
    """The answers are there first; then everything comes at once, in order."""
    async with house(tmp_path, fault(kind, **how)) as home:
        await home.client.load_markets()
        stream = await stream_of(home)
        server = home.exchange.server
        due: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        server.streams._later = lambda *work: due.append(work)
        await home.buy("o", "0.01")
        held = len(server.streams._held)
        await home.buy("next", "0.01", "49000")
        for each in due:  # only now does its time begin
            server.later(*each)

        assert held > 0
        assert [("o", "NEW"), ("o", "TRADE"), ("next", "NEW")] == await told(stream, 3)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("close_stream", {aiohttp.WSMsgType.CLOSE}),
        ("abort_stream", {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}),
        ("expire_key", {aiohttp.WSMsgType.TEXT}),
    ],
)
async def test_a_stream_ends_and_its_news_is_lost(
    tmp_path: Path, kind: str, ends: set[aiohttp.WSMsgType]
) -> None:
    """After it is opened again only newer news comes; REST knows what was missed."""
    async with house(tmp_path, fault(kind)) as home:
        await home.client.load_markets()
        stream = await stream_of(home)
        await home.buy("missed", "0.01")
        end = await stream.receive(timeout=PATIENCE_S)
        again = await stream_of(home)
        await home.buy("next", "0.01", "49000")
        trades = await home.client.fetch_my_trades(BTC)

        assert end.type in ends
        assert kind != "expire_key" or "listenKeyExpired" in end.data
        assert [("next", "NEW")] == await told(again, 1)
        assert 1 == len(trades)


async def test_a_silent_stream_says_nothing_and_answers_no_ping(tmp_path: Path) -> None:
    """The connection stays open without a word; ccxt ends it when its pings stay unanswered."""
    async with house(tmp_path, fault("silence_stream")) as home:
        client = home.client
        client.streaming["keepAlive"] = 100
        await client.load_markets()
        watching = asyncio.ensure_future(client.watch_orders(BTC))
        await until(lambda: home.exchange.server.streams.open >= 1)
        await home.buy("missed", "0.01", "49000")

        with pytest.raises(ccxt.RequestTimeout):
            await watching
        assert ["missed"] == await accepted(home)


async def test_a_stream_is_refused_at_its_opening(tmp_path: Path) -> None:
    """The dial fails with the status of the fault; the next one is served."""
    async with house(tmp_path, fault("refuse_stream", status=429)) as home:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await home.listen("wss://fstream.binance.com/market/ws/0")
        await home.listen("wss://fstream.binance.com/market/ws/0")

        assert 429 == refused.value.status


async def test_other_faults_are_put_in_force_over_the_wire(tmp_path: Path) -> None:
    """With the key, and only a script that can be used; the next request is struck."""
    script = {"faults": [{"fault": "fail_before", "on": ["submit"], "count": 1}]}
    async with house(tmp_path) as home:
        await home.client.load_markets()
        url, headers = f"https://fapi.binance.com{FAULTS}", {KEY_HEADER: home.client.apiKey}
        async with home.session.post(url, json=script) as refused:
            assert 401 == refused.status
        async with home.session.post(url, json={"faults": [{}]}, headers=headers) as wrong:
            assert (400, True) == (wrong.status, "faults.0.fault" in (await wrong.text()))
        async with home.session.post(url, json=script, headers=headers) as taken:
            assert 204 == taken.status
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await home.buy("o", "0.01", "49000")
        await home.buy("o", "0.01", "49000")

        assert ["o"] == await accepted(home)


def test_every_fault_is_shown_here() -> None:
    """A fault that is added gets a test of what the client sees."""
    text = Path(__file__).read_text("utf-8")
    missing = [kind.value for kind in K if f'"{kind.value}"' not in text]

    assert [] == missing
