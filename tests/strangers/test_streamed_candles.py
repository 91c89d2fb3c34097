"""
Live bars of venues that nobody of us has made: the real ccxt.pro over their websockets, end to end.

Every venue speaks its own words at its own addresses; time stands still until a test moves it, so
what comes without a question has come over the stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from candle_house import CASES, POLLED_MS, PRESENT, STEP_MS, VENUES, AtWork, at_work
from candle_words import SPOT, SWAP
from market_data_house import bar_at, minute
from structlog.testing import capture_logs

from feeds.ccxt import differences
from feeds.ccxt.listening import Listening
from feeds.live.feed import SILENT_BARS, VenueFeed
from feeds.live.venue import Stream
from messages import Bar, Quote, Tick

pytestmark = pytest.mark.exhaustive


def bars_of(running: AtWork, *places: int) -> list[tuple[Bar, ...]]:
    """Return the groups of one symbol's bars: prices as told, volume in coins."""
    return [(bar_at(place, symbol=running.symbol),) for place in places]


async def streamed(running: AtWork, *places: int) -> list[Any]:
    """Have minutes close one after the other, time standing still; return what comes."""
    found = []
    for place in places:
        await running.closes(place)
        found.append(await running.next(as_time_passes=False))
    return found


async def joined(running: AtWork) -> None:
    """Have the stream be joined in the middle of the first minute, and pass that."""
    await running.subscriptions(1)
    await running.unfinished(PRESENT)
    if running.stand.says_closed:
        assert bars_of(running, PRESENT) == await streamed(running, PRESENT)
    else:
        await told_by_history(running, PRESENT)


async def told_by_history(running: AtWork, place: int) -> None:
    """Pass a minute that the stream does not end, and join the stream in the next one."""
    running.stand.fill([place], running.symbol)
    running.stand.fill([place + 1], running.symbol, shift=9.0)
    running.time.clock.move(minute(place + 1) + POLLED_MS)
    assert bars_of(running, place) == [await running.next(as_time_passes=False)]
    await running.unfinished(place + 1)


@pytest.mark.parametrize("name", CASES)
async def test_a_bar_is_decided_on_at_its_close_once_and_in_order(
    name: str, tmp_path: Path
) -> None:
    """
    However often a candle is shown before, and again afterwards; nothing is asked meanwhile.

    The subscription goes to the address and by the name that the venue has for that market, and
    the volume is in coins, whatever it counts.
    """
    case = CASES[name]
    async with at_work(case, tmp_path) as running:
        stand, symbol = running.stand, running.symbol
        await joined(running)
        asked = running.questions
        found = []
        for place in range(PRESENT + 1, PRESENT + 4):
            for shift in (4.0, 2.0, 3.0):
                await running.unfinished(place, shift=shift)
                assert running.feed.take() is None
            found += await streamed(running, place)
            for again in (place - 1, place):
                running.woken = False
                await stand.send_candle(again, symbol, closed=True)
                await running.time.heard(lambda: running.woken)
                assert running.feed.take() is None

    topic = stand.candle_topic(symbol)
    assert bars_of(running, *range(PRESENT + 1, PRESENT + 4)) == found
    assert [(stand.path(symbol, topic), topic)] == stand.subscribed
    assert (asked, asked == 0) == (running.questions, stand.says_closed)
    assert case.tls is not (stand.hosts == {"127.0.0.1"})
    assert 0 == running.feed.statistics()["symbols"][symbol]["gaps"]


@pytest.mark.parametrize("name", ["okx", "bybit", "bybit-spot"])
async def test_what_the_venue_says_is_closed_waits_for_no_other_candle(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own flag ends a candle at once; ablation: without it the next candle's first word."""
    async with at_work(CASES[name], tmp_path) as running:
        await running.subscriptions(1)
        await running.unfinished(PRESENT)
        found = await streamed(running, PRESENT, PRESENT + 1)
        assert 0 == running.questions

    assert bars_of(running, PRESENT, PRESENT + 1) == found

    monkeypatch.setattr(differences, "CLOSED_WORDS", {})
    async with at_work(CASES[name], tmp_path / "without") as running:
        await running.subscriptions(1)
        await running.unfinished(PRESENT)
        await told_by_history(running, PRESENT)
        await running.closes(PRESENT + 1)
        assert running.feed.take() is None
        await running.unfinished(PRESENT + 2)
        found = [await running.next(as_time_passes=False)]

    assert bars_of(running, PRESENT + 1) == found


@pytest.mark.parametrize("name", VENUES)
async def test_a_cut_is_healed_from_history(name: str, tmp_path: Path) -> None:
    """The bars of a break, and the one in which it was dialled anew, come whole and in order."""
    async with at_work(CASES[name], tmp_path) as running:
        stand, symbol = running.stand, running.symbol
        await joined(running)
        found = await streamed(running, PRESENT + 1)
        before = running.questions
        stand.cut()
        await running.time.heard(lambda: not stand.lines)
        stand.fill([PRESENT + 2, PRESENT + 3], symbol)
        running.time.clock.move(minute(PRESENT + 3) + 1_000)
        await running.subscribed_anew(2)
        await running.unfinished(PRESENT + 3, shift=9.0)
        found += await running.groups(1)
        assert before < running.questions
        if stand.says_closed:
            found += await streamed(running, PRESENT + 3)
        else:
            await told_by_history(running, PRESENT + 3)
            found += bars_of(running, PRESENT + 3)
        asked = running.questions
        found += await streamed(running, PRESENT + 4)

    assert bars_of(running, *range(PRESENT + 1, PRESENT + 5)) == found
    assert asked == running.questions
    topic = stand.candle_topic(symbol)
    assert [(stand.path(symbol, topic), topic)] * 2 == stand.subscribed


@pytest.mark.parametrize("name", VENUES)
async def test_a_silent_stream_is_polled_for_and_dialled_anew(name: str, tmp_path: Path) -> None:
    """Bars come from history while it says nothing, and over the stream when it speaks again."""
    async with at_work(CASES[name], tmp_path) as running:
        stand, symbol = running.stand, running.symbol
        await running.subscriptions(1)
        last = PRESENT + SILENT_BARS + 1
        stand.fill(range(PRESENT, last + 2), symbol)
        found = await running.groups(SILENT_BARS + 1)
        asked = running.questions
        await running.subscribed_anew(2)
        place = (stand.now - minute(0)) // 60_000
        stand.fill(range(PRESENT, place + 2), symbol)
        found += await running.groups(place - last)
        await running.unfinished(place)
        if stand.says_closed:
            found += await streamed(running, place)
        else:
            await told_by_history(running, place)
            found += bars_of(running, place)
        polled = running.questions
        found += await streamed(running, place + 1)

    assert bars_of(running, *range(PRESENT, place + 2)) == found
    assert SILENT_BARS + 1 <= asked
    assert polled == running.questions


@pytest.mark.parametrize("name", VENUES)
async def test_a_venue_without_a_websocket_is_polled(name: str, tmp_path: Path) -> None:
    """Whoever dials it is answered with a page: one line a try, and every bar from history."""
    with capture_logs() as logs:
        async with at_work(CASES[name], tmp_path, streams=False) as running:
            await running.time.heard(lambda: logs)
            running.stand.fill(range(PRESENT, PRESENT + 4), running.symbol)
            found = await running.groups(3)

    assert bars_of(running, *range(PRESENT, PRESENT + 3)) == found
    said = [each["error"] for each in logs if each["event"] == "stream_broken"]
    assert "NetworkError: 404" in said[0]
    assert running.stand.path(running.symbol, running.stand.candle_topic(running.symbol)) in said[0]
    assert not any("\n" in each or "<" in each for each in said)
    assert 1 <= running.stand.dials <= len(said) + 1
    assert 3 <= running.questions


@pytest.mark.parametrize("name", VENUES)
async def test_trades_are_no_sign_of_life_of_candles(name: str, tmp_path: Path) -> None:
    """A line that goes on with trades, and has no candles any more, is dialled anew; no other."""
    async with at_work(CASES[name], tmp_path, Stream.BARS, Stream.TRADES) as running:
        stand, symbol = running.stand, running.symbol
        await running.subscriptions(2)
        stand.fill(range(PRESENT, PRESENT + 9), symbol)
        for place in range(PRESENT, PRESENT + SILENT_BARS):
            await stand.send_trade(symbol, minute(place), 100.0, 1.0, place)
            assert isinstance(await running.next(as_time_passes=False), Tick)
            await running.time.to(minute(place + 1) + POLLED_MS)
            assert bars_of(running, place) == await running.groups(1)
        trades, candles = stand.trade_topic(symbol), stand.candle_topic(symbol)
        shared = stand.path(symbol, trades) == stand.path(symbol, candles)
        await running.subscribed_anew(4 if shared else 3)
        await stand.send_trade(symbol, minute(PRESENT), 101.0, 1.0, 99)
        await running.until_trade(101.0)

    expected = [candles, trades, candles, *([trades] if shared else [])]
    assert sorted(expected) == sorted(topic for _, topic in stand.subscribed)


REFUSED = {
    "okx": {"code": "60018", "msg": "Wrong URL or channel:candle1m,instId:BTC-USDT-SWAP doesn't "
                                    "exist."},
    "kraken": {"error": "Currency pair not supported BTC/USD"},
}  # fmt: skip
"""What no second try would change; Bybit gives no reason that could be told from any other."""


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_subscription_is_one_line_and_history_is_asked(
    name: str, tmp_path: Path
) -> None:
    """It says which stream of which symbol and what the venue says; nothing is dialled again."""
    with capture_logs() as logs:
        async with at_work(CASES[name], tmp_path, refusals=[REFUSED[name]]) as running:
            stand, symbol = running.stand, running.symbol
            stand.fill(range(PRESENT, PRESENT + 7), symbol)
            await running.time.heard(lambda: not stand.refusals and logs)
            found = await running.groups(5)

    assert bars_of(running, *range(PRESENT, PRESENT + 5)) == found
    (said,) = logs
    assert ("stream_refused", "bars", symbol) == (said["event"], said["stream"], said["symbol"])
    assert "BTC" in said["error"]
    assert "\n" not in said["error"]
    assert [] == stand.subscribed
    assert 5 <= running.questions


NAMED = {"code": "60018", "msg": "Wrong URL or channel:candle1m,instId:BTC-USDT doesn't exist."}
BUSY = {"code": "60014", "msg": "Requests too frequent"}


async def after_an_error(running: AtWork, error: dict[str, str]) -> list[str]:
    """Have a line of two streams, and an error on it; return the subscriptions after that."""
    stand = running.stand
    await running.subscriptions(2)
    stand.subscribed.clear()
    (line,) = stand.lines
    await line.socket.send_json(stand.refusal({}, error))
    for _ in range(100):
        await running.time.to(stand.now + STEP_MS)
    return [topic for _, topic in stand.subscribed]


async def test_an_error_that_names_a_stream_ends_no_other_of_its_line(tmp_path: Path) -> None:
    """The other goes on without a word and without being sent again; the pair is not the swap."""
    with capture_logs() as logs:
        async with at_work(CASES["okx"], tmp_path, symbols=(SPOT, SWAP)) as running:
            again = await after_an_error(running, NAMED)
            await running.unfinished(PRESENT, SWAP)

    assert [] == again
    assert [("stream_refused", SPOT)] == [(each["event"], each["symbol"]) for each in logs]


async def test_without_the_name_every_stream_of_the_line_would_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: one symbol that a venue does not stream ends the streams of all."""
    monkeypatch.setattr(Listening, "note_names", lambda *_: None)
    with capture_logs() as logs:
        async with at_work(CASES["okx"], tmp_path, symbols=(SPOT, SWAP)) as running:
            await after_an_error(running, NAMED)

    assert {("stream_refused", SPOT), ("stream_refused", SWAP)} == {
        (each["event"], each["symbol"]) for each in logs
    }


async def test_after_an_error_without_a_name_every_stream_is_sent_again(tmp_path: Path) -> None:
    """Nobody knows which is not there: each is, once it is subscribed to again."""
    with capture_logs() as logs:
        async with at_work(CASES["okx"], tmp_path, symbols=(SPOT, SWAP)) as running:
            again = await after_an_error(running, BUSY)

    assert {"candle1m:BTC-USDT", "candle1m:BTC-USDT-SWAP"} == set(again)
    assert {SPOT, SWAP} == {each["symbol"] for each in logs}
    assert {"stream_broken"} == {each["event"] for each in logs}


TROUBLE = {
    "okx": {"code": "60014", "msg": "Requests too frequent"},
    "bybit": {"ret_msg": "error:handler not found,topic:kline.1.BTCUSDT"},
    "kraken": {"error": "EGeneral:Internal error"},
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_a_subscription_that_failed_is_sent_again(name: str, tmp_path: Path) -> None:
    """One line for each failure, later each time, until it is taken; then the stream is as any."""
    with capture_logs() as logs:
        refusals = [TROUBLE[name]] * 2
        async with at_work(CASES[name], tmp_path, refusals=refusals) as running:
            await running.subscribed_anew(1)
            assert running.stand.now < minute(PRESENT + 1)
            await joined(running)
            found = await streamed(running, PRESENT + 1)

    assert bars_of(running, PRESENT + 1) == found
    assert ["stream_broken"] * 2 == [each["event"] for each in logs]
    assert {(running.symbol, "bars")} == {(each["symbol"], each["stream"]) for each in logs}
    words = next(iter(v for k, v in TROUBLE[name].items() if k != "code"))
    assert all(words in each["error"] for each in logs)


async def test_without_forgetting_it_a_subscription_that_failed_is_never_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: ccxt takes it for made, and whoever watches waits for ever."""
    monkeypatch.setattr(Listening, "about_to_subscribe", lambda *_: lambda _heard: None)
    with capture_logs() as logs:
        async with at_work(CASES["okx"], tmp_path, refusals=[BUSY]) as running:
            await running.time.heard(lambda: logs)
            for _ in range(400):
                await running.time.to(running.stand.now + STEP_MS)

    assert [] == running.stand.subscribed


async def test_without_its_number_an_error_is_heard_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: ccxt keeps what Kraken says of a request, and nothing is said or sent again."""
    monkeypatch.setattr("feeds.ccxt.listening.REQUESTS_MAX", 0)
    with capture_logs() as logs:
        refusals = [TROUBLE["kraken"]]
        async with at_work(CASES["kraken"], tmp_path, refusals=refusals) as running:
            await running.time.heard(lambda: not running.stand.refusals)
            for _ in range(100):
                await running.time.to(running.stand.now + STEP_MS)

    assert [] == running.stand.subscribed
    assert [] == logs


async def test_if_any_message_were_a_sign_of_life_candles_could_stay_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: trades that go on keep a line that has no candles any more."""
    find = VenueFeed._find_silence

    def of_any(feed: VenueFeed) -> None:
        own = feed._heard_at
        feed._heard_at = {(Stream.BARS, name): max(own.values()) for _, name in own}
        find(feed)
        feed._heard_at = own

    monkeypatch.setattr(VenueFeed, "_find_silence", of_any)
    async with at_work(CASES["okx"], tmp_path, Stream.BARS, Stream.TRADES) as running:
        stand, symbol = running.stand, running.symbol
        await running.subscriptions(2)
        stand.fill(range(PRESENT, PRESENT + 9), symbol)
        for place in range(PRESENT, PRESENT + SILENT_BARS + 2):
            await stand.send_trade(symbol, minute(place), 100.0, 1.0, place)
            assert isinstance(await running.next(as_time_passes=False), Tick)
            await running.time.to(minute(place + 1) + POLLED_MS)
            await running.groups(1)

    assert 2 == len(stand.subscribed)


@pytest.mark.parametrize("name", CASES)
async def test_trades_and_quotes_are_in_coins(name: str, tmp_path: Path) -> None:
    """Over the addresses that the venue has for them; a trade that is told twice comes once."""
    case = CASES[name]
    async with at_work(case, tmp_path, Stream.TRADES, Stream.QUOTES) as running:
        stand, symbol = running.stand, case.symbol
        await running.subscriptions(2)
        at = minute(PRESENT)
        for number in (1, 2, 2, 3):
            await stand.send_trade(symbol, at, 100.0 + number, 1.5, number)
        ticks = [await running.next(as_time_passes=False) for _ in range(3)]
        await stand.send_quote(symbol, at, 99.5, 100.5, 0.25)
        quote = await running.next(as_time_passes=False)

    assert [Tick(symbol, at, 100.0 + number, 1.5) for number in (1, 2, 3)] == ticks
    assert isinstance(quote, Quote)
    assert (symbol, 99.5, 100.5, 0.25, 0.25) == (
        quote.symbol,
        quote.bid,
        quote.ask,
        quote.bid_size,
        quote.ask_size,
    )
    topics = [stand.trade_topic(symbol), stand.quote_topic(symbol)]
    expected = {(stand.path(symbol, topic), topic) for topic in topics}
    assert (expected, 2) == (set(stand.subscribed), len(stand.subscribed))


@pytest.mark.parametrize("name", ["okx", "bybit"])
async def test_a_pair_and_a_swap_of_one_coin_are_told_apart(name: str, tmp_path: Path) -> None:
    """Bybit calls both by one name, at two addresses; their bars come together, each its own."""
    async with at_work(CASES[name], tmp_path, symbols=(SPOT, SWAP)) as running:
        stand = running.stand
        await running.subscriptions(2)
        running.time.clock.move(minute(PRESENT + 1) + 1)
        await stand.send_candle(PRESENT, SWAP, closed=True)
        await stand.send_candle(PRESENT, SPOT, closed=True, shift=3.0)
        group = await running.next(as_time_passes=False)
        assert 0 == running.questions

    assert (bar_at(PRESENT, shift=3.0, symbol=SPOT), bar_at(PRESENT, symbol=SWAP)) == group
    assert 2 == len(set(stand.subscribed)) == len(stand.subscribed)


FAST = {"streaming": {"keepAlive": 20, "maxPingPongMisses": 1e9}}
DEAF = {"streaming": {"keepAlive": 20, "maxPingPongMisses": 2.0}}


@pytest.mark.parametrize("name", VENUES)
async def test_a_line_is_pinged_in_the_venues_own_words(name: str, tmp_path: Path) -> None:
    """Its answer is understood as one; a line without answers is dialled anew."""
    async with at_work(CASES[name], tmp_path, params=FAST) as running:
        await running.time.heard(lambda: running.stand.pings)
        clients: Any = running.feed._venue.exchange.clients  # type: ignore[attr-defined]
        (client,) = clients.values()
        first = client.lastPong
        await running.time.heard(lambda: client.lastPong > first)
        assert 1 == len(running.stand.subscribed)

    async with at_work(CASES[name], tmp_path / "deaf", params=DEAF, answers_pings=False) as running:
        await running.subscribed_anew(2)
