"""Each safeguard of the exchange and of its broker, switched off: a test of ours must see it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio
import msgspec
import pytest
from exchange_house import START, client_of, order, serving

from brokers.virtual.calls import Line, NotLookedAt, Outcome, Unknown
from brokers.virtual.stream import NewsStream
from brokers.virtual.wire import NewsItem
from messages import Fill, OrderEvent, VenueReport
from scenarios.exchange.log import TruthLog, read_truth
from scenarios.exchange.truth import fold_truth

LOST = {"fault": "lose_answers", "on": ["submit"], "count": 1}


async def test_a_time_out_that_is_told_as_a_rejection_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client then rejects an order that the truth has accepted."""
    post = Line.post

    async def certain(line: Line, path: str, body: msgspec.Struct) -> Outcome:
        outcome = await post(line, path, body)
        return NotLookedAt("time_out") if isinstance(outcome, Unknown) else outcome

    monkeypatch.setattr(Line, "post", certain)
    async with serving(tmp_path / "t", LOST) as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        await client.quiet()

        assert "a" in fold_truth(read_truth(exchange.log.path)).live
        assert "rejected" in client.life("a")


async def test_an_order_that_is_sent_again_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth knows that it came twice, although the venue refused the second."""
    post = Line.post

    async def stubborn(line: Line, path: str, body: msgspec.Struct) -> Outcome:
        outcome = await post(line, path, body)
        return await post(line, path, body) if isinstance(outcome, Unknown) else outcome

    monkeypatch.setattr(Line, "post", stubborn)
    async with serving(tmp_path / "t", LOST) as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        await client.quiet()

        assert ["a"] == fold_truth(read_truth(exchange.log.path)).sent_again


async def test_news_that_is_taken_as_it_comes_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its numbers, news comes as often as the line repeats it."""

    def as_it_comes(stream: NewsStream, items: Iterable[NewsItem]) -> list[VenueReport]:
        items = list(items)
        stream.taken = max([stream.taken, *(item.seq for item in items)])
        return [item.report for item in items]

    monkeypatch.setattr(NewsStream, "take", as_it_comes)
    faults = {"fault": "duplicate_news"}
    async with serving(tmp_path / "t", faults) as (exchange, url), client_of(url) as client:
        for name in "abc":
            client.broker.submit(order(name, "0.1"), START)
            client.bar()
        await client.quiet()

        assert len(client.news) > len(exchange.venue.news)


def test_a_trade_that_a_venue_tells_twice_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a second number it is still the same trade; without its id it would be booked twice."""
    fill = msgspec.convert(
        {
            "trade_id": "T-1",
            "order_id": "o",
            "client_order_id": "a",
            "strategy": "s",
            "symbol": "BTC/USDT",
            "side": "buy",
            "position_side": "both",
            "quantity": "1",
            "price": "100",
            "fee": "0",
            "fee_currency": "USDT",
            "liquidity": "taker",
            "timestamp": START,
        },
        Fill,
        strict=False,
    )
    report = VenueReport("a", OrderEvent.FILLED, START, fill)
    stream = NewsStream()

    assert [report] == stream.take([NewsItem(1, report), NewsItem(2, report)])
    assert 1 == stream.refilled
    forgetful = NewsStream()
    assert [report] == forgetful.take([NewsItem(1, report)])
    forgetful._trades.clear()
    assert [report] == forgetful.take([NewsItem(2, report)])


async def test_an_answer_before_the_disk_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wait, what was told is not yet durable."""

    async def hasty(_log: TruthLog) -> None:
        await anyio.lowlevel.checkpoint()

    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        durable = exchange.log._durable
        monkeypatch.setattr(TruthLog, "synced", hasty)
        client.broker.submit(order("a"), START)
        await client.quiet()

        assert ["accepted"] == client.life("a")
        assert durable == exchange.log._durable < exchange.log._written


async def test_a_sync_that_fails_ends_the_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk then holds is unknown: the order is in doubt, nobody is answered any more."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        with monkeypatch.context() as patch:
            patch.setattr("os.fdatasync", full)
            client.broker.submit(order("a"), START)
            await client.until(lambda: bool(client.reports("a")))
        client.broker.submit(order("b"), START)
        await client.until(lambda: bool(client.reports("b")))

        assert exchange.failed.is_set()
        assert ["silence"] == client.life("a")
        assert ["silence"] == client.life("b")
        assert "b" not in exchange.venue.requests
