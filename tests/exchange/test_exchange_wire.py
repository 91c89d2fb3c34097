"""The exchange over loopback: a real server, a real client, and all that goes wrong between."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from aiohttp import web
from exchange_house import ETH, KEY, PATIENCE_S, START, bar, client_of, order, serving

from brokers.contract import VenueSilent, VenueUnreachable
from brokers.virtual import wire
from brokers.virtual.calls import Done, Line, NotLookedAt, Outcome, Unknown
from brokers.virtual.wire import Cancel, Shown, Submit
from messages import OrderEvent, ReasonCode
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth

SHORT_S = 0.15
"""A client's patience with a venue that does not answer."""

NOT_PROCESSED = ["lose_requests", "fail_before", "hang"]
PROCESSED = ["lose_answers", "fail_after", "cut_answers"]


def fault(kind: str, **more: object) -> dict[str, object]:
    """Return a fault that strikes the next order."""
    return {"fault": kind, "on": ["submit"], "count": 1, **more}


async def test_an_order_is_accepted_filled_and_accounted_for(tmp_path: Path) -> None:
    """The news comes in order, and the account is what the fill made of it."""
    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.bar()
        await client.quiet()
        view = client.broker.account()

        assert ["accepted", "filled"] == client.life("a")
        assert exchange.venue.account().net_flow == view.net_flow
        assert 1 == len(view.positions)
        assert frozenset() == view.open_orders


async def test_a_cancel_ends_an_order_and_a_question_is_answered(tmp_path: Path) -> None:
    """Requests of one order are carried out one after the other."""
    async with serving(tmp_path / "t") as (_, url), client_of(url) as client:
        client.broker.submit(order("a", price="50"), START)
        client.broker.query("a", START)
        client.broker.cancel("a", START)
        client.broker.query("a", START)
        client.broker.query("nobody's", START)
        await client.quiet()

        assert ["accepted", "cancelled"] == client.life("a")
        told = [(answer.client_order_id, answer.known, answer.open) for answer in client.answers()]
        # Different orders are asked about side by side.
        assert sorted([("a", True, True), ("a", True, False), ("nobody's", False, False)]) == (
            sorted(told)
        )


async def test_facts_are_on_the_disk_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk has not confirmed an order nobody hears of it, on any way."""
    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        waiting, both, opened = 0, anyio.Event(), anyio.Event()
        synced = exchange.log.synced

        async def slow() -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 2:  # the order's own answer, and the news
                both.set()
            await opened.wait()
            await synced()

        monkeypatch.setattr(exchange.log, "synced", slow)
        client.broker.submit(order("a"), START)
        await both.wait()

        assert [] == client.news
        assert 0 == client.broker.stream.known
        assert "a" in fold_truth(read_truth(exchange.log.path)).orders
        opened.set()
        await client.quiet()
        assert ["accepted"] == client.life("a")


@pytest.mark.parametrize("kind", NOT_PROCESSED)
async def test_a_request_that_is_lost_is_silence(tmp_path: Path, kind: str) -> None:
    """Nobody can tell it from a lost answer; the venue, asked, does not know the order."""
    async with serving(tmp_path / "t", fault(kind)) as (_, url), client_of(url) as client:
        client.patience(SHORT_S)  # of one kind there is no word, ever
        client.broker.submit(order("a"), START)
        await client.until(lambda: bool(client.reports("a")))
        client.patience(PATIENCE_S)
        client.broker.query("a", START)
        await client.quiet()

        assert ["silence"] == client.life("a")
        (answer,) = client.answers()
        assert not answer.known
        assert [] == client.tools  # what is said of the order is word of the venue, and told once


@pytest.mark.parametrize("kind", PROCESSED)
async def test_an_answer_that_is_lost_is_silence_and_then_news(tmp_path: Path, kind: str) -> None:
    """Never a rejection: the order is there, and the news tells of it later."""
    async with serving(tmp_path / "t", fault(kind)) as (_, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.broker.query("a", START)
        await client.quiet()

        assert ["accepted", "silence"] == sorted(client.life("a"))
        (answer,) = client.answers()
        assert answer.open


@pytest.mark.parametrize("kind", ["delay_answers", "delay_requests"])
async def test_what_comes_too_late_for_the_client_is_silence(tmp_path: Path, kind: str) -> None:
    """The venue processes it after all, and its news is delivered."""
    async with (
        serving(tmp_path / "t", fault(kind, by="600ms")) as (_, url),
        client_of(url) as client,
    ):
        client.patience(SHORT_S)
        client.broker.submit(order("a"), START)
        await client.until(lambda: "accepted" in client.life("a"))
        await client.quiet()

        assert ["accepted", "silence"] == sorted(client.life("a"))


async def test_an_answer_that_comes_twice_is_heard_once(tmp_path: Path) -> None:
    """Its second copy is nobody's answer, least of all the next request's."""
    faults = {"fault": "repeat_answers"}
    async with serving(tmp_path / "t", faults) as (exchange, url), client_of(url) as client:
        for name in "abcdef":
            client.broker.submit(order(name, "0.1"), START)
            await client.quiet()
        client.bar()
        await client.quiet()

        told = [news for news in client.news if getattr(news, "event", "") != "silence"]
        assert [item.report for item in exchange.venue.news] == told


async def test_a_request_that_arrives_twice_is_one_order(tmp_path: Path) -> None:
    """The venue refuses the second by its client order id, and the truth says so."""
    faults = fault("repeat_requests")
    async with serving(tmp_path / "t", faults) as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.bar()
        await client.quiet()
        folded = fold_truth(read_truth(exchange.log.path))

        assert ["accepted", "filled"] == client.life("a")
        assert ["a"] == folded.sent_again
        assert 1 == len(folded.fills)


async def test_a_duplicate_is_no_rejection(tmp_path: Path) -> None:
    """That an order of this id came before says nothing of what became of it: silence."""
    async with serving(tmp_path / "t") as (_, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.broker.submit(order("a"), START)
        await client.quiet()

        assert ["accepted", "silence"] == client.life("a")


async def test_a_rate_limit_is_a_rejection_and_word_of_the_venue(tmp_path: Path) -> None:
    """The venue says that it has not looked, and when to come again."""
    faults = fault("rate_limit", by="2s")
    async with serving(tmp_path / "t", faults) as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        await client.quiet()

        (report,) = client.reports("a")
        assert OrderEvent.REJECTED is report.event
        assert report.cause is not None
        assert ReasonCode.VENUE_RATE_LIMITED is report.cause.code
        assert [2_000] == [tool.retry_after_ms for tool in client.tools]
        assert "a" not in exchange.venue.requests


@pytest.mark.parametrize(
    "kind", ["lose_news", "duplicate_news", "reorder_news", "delay_news", "cut_answers"]
)
async def test_news_is_heard_once_and_in_order_whatever_the_line_does(
    tmp_path: Path, kind: str
) -> None:
    """A gap is asked for again; a copy is dropped."""
    by = {"by": "50ms"} if kind == "delay_news" else {}
    on = {"on": ["news"]} if kind == "cut_answers" else {}
    faults = {"fault": kind, "count": 3, **by, **on}
    async with serving(tmp_path / "t", faults) as (exchange, url), client_of(url) as client:
        for name in "abcdef":
            client.broker.submit(order(name, "0.1"), START)
            client.bar()
        await client.quiet()

        assert [item.report for item in exchange.venue.news] == client.news


async def test_a_connection_that_is_refused_is_not_sent(tmp_path: Path) -> None:
    """Nobody listens, no byte has left: this is certain, and the order is rejected as not sent."""
    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        await exchange.stop()
        # Until then a connection may be there still on which a byte could leave.
        await client.until(lambda: any("unreachable" in tool.detail for tool in client.tools))
        client.broker.submit(order("a"), START)
        await client.until(lambda: bool(client.reports("a")))

        (report,) = client.reports("a")
        assert OrderEvent.REJECTED is report.event
        assert report.cause is not None
        assert report.cause.detail.startswith("not sent: ")


@pytest.mark.parametrize("kind", ["cut_answers", "repeat_answers"])
async def test_whoever_hangs_up_before_a_faulty_answer_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Nobody is there to be told half of it or twice: nothing of it is in the exchange's log."""
    caplog.set_level(logging.ERROR)
    async with serving(tmp_path / "t", {"fault": kind, "on": ["orders"]}) as (exchange, url):
        asked, over = anyio.Event(), anyio.Event()
        answered = exchange.answered

        async def late(request: web.Request, *given: Any, **how: Any) -> web.StreamResponse:
            asked.set()
            while request.transport is not None:
                await anyio.lowlevel.checkpoint()
            try:
                return await answered(request, *given, **how)
            finally:
                over.set()

        monkeypatch.setattr(exchange, "answered", late)
        line = Line(url, KEY, PATIENCE_S, lambda: "r1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.get, wire.ORDERS)
            await asked.wait()
            tasks.cancel_scope.cancel()
        await line.close()
        await over.wait()

        assert [] == [record.getMessage() for record in caplog.records]


async def test_a_venue_that_starts_again_knows_everything(tmp_path: Path) -> None:
    """Killed and started, it has the same orders, fills, news numbers and money."""
    path = tmp_path / "t"
    async with serving(path) as (before, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.broker.submit(order("b", price="50"), START)
        client.bar()
        await client.quiet()
    async with serving(path) as (after, url), client_of(url, source="next") as client:
        client.broker.query("a", START)
        client.broker.cancel("b", START)
        await client.quiet()

        told, now = before.venue.account(), after.venue.account()
        assert ("b",) == told.open_orders
        assert msgspec.structs.replace(told, seq=now.seq, open_orders=()) == now
        assert ["cancelled"] == client.life("b")
        (answer,) = client.answers()
        assert 1 == len(answer.fills)


async def test_a_restored_broker_hears_what_it_missed(tmp_path: Path) -> None:
    """A fill that came while the daemon was away is delivered when it is back, and only that."""
    async with serving(tmp_path / "t") as (exchange, url):
        async with client_of(url) as before:
            before.broker.submit(order("a"), START)
            await before.quiet()
            state = before.broker.snapshot()
        await exchange.show("another", [bar(0)])
        async with client_of(url, state=state) as after:
            await after.until(lambda: bool(after.news))
            await after.quiet()
            after.bar()
            await after.quiet()

            assert ["accepted"] == before.life("a")
            assert ["filled"] == after.life("a")
            assert exchange.venue.account().net_flow == after.broker.account().net_flow


async def asked(url: str, key: str, path: str, body: msgspec.Struct) -> Outcome:
    """Ask the venue as any client could."""
    line = Line(url, key, PATIENCE_S, lambda: "r1")
    try:
        return await line.post(path, body)
    finally:
        await line.close()


async def test_a_request_that_is_too_old_is_not_looked_at(tmp_path: Path) -> None:
    """This is what bounds doubt: past its window a request can no longer become an order."""
    async with serving(tmp_path / "t") as (exchange, url):
        now = exchange.wall()
        old = await asked(url, KEY, wire.ORDERS, Submit(order("a"), now - 6_000, 5_000))
        ahead = await asked(url, KEY, wire.ORDERS, Submit(order("b"), now + 60_000, 5_000))
        kinds = [(fact.fact, fact.reason) for fact in read_truth(exchange.log.path)]

        assert isinstance(old, NotLookedAt)
        assert wire.LATE == old.error
        assert isinstance(ahead, NotLookedAt)
        assert wire.EARLY == ahead.error
        assert {} == exchange.venue.requests
        assert (FactKind.REFUSED, wire.LATE) in kinds


async def test_a_wrong_key_is_turned_away_and_no_key_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the venue's nor the wrong one is in a log, an error or a repr."""
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path / "t") as (exchange, url):
        turned_away = await asked(
            url, "the wrong key", wire.ORDERS, Submit(order("a"), exchange.wall(), 5_000)
        )
        with pytest.raises(VenueUnreachable, match="unauthorized") as refused:
            async with client_of(url, key="the wrong key"):
                raise AssertionError("nobody comes in with a wrong key")

        assert isinstance(turned_away, NotLookedAt)
        assert {} == exchange.venue.requests
        said = f"{caplog.text} {refused.value} {exchange!r}"
        assert KEY not in said
        assert "the wrong key" not in said


@pytest.mark.parametrize(
    "body", [Cancel(0, 60_000), Shown("m", 1, (bar(0, symbol="DOGE/USDT"),)), Cancel(1, 1, "a")]
)
async def test_a_request_that_makes_no_sense_changes_nothing(
    tmp_path: Path, body: msgspec.Struct
) -> None:
    """It is refused with the venue's word for it."""
    async with serving(tmp_path / "t") as (exchange, url):
        path = wire.MARKET if isinstance(body, Shown) else wire.CANCEL
        outcome = await asked(url, KEY, path, body)

        assert isinstance(outcome, NotLookedAt)
        assert 0 == exchange.venue.seq


async def test_all_orders_are_cancelled_and_trades_told_since_a_number(tmp_path: Path) -> None:
    """The questions that a session does not ask are answered too."""
    async with serving(tmp_path / "t") as (exchange, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        client.broker.submit(order("b", price="50"), START)
        client.broker.submit(order("c", price="50", symbol=ETH), START)
        client.bar()
        await client.quiet()
        line = Line(url, KEY, PATIENCE_S, lambda: "r1")
        live = await line.get(wire.ORDERS)
        trades = await line.get(wire.TRADES, {"after": "1"})
        since = await line.get(wire.TRADES, {"after": str(exchange.venue.seq)})
        done = await line.post(wire.CANCEL_ALL, Cancel(exchange.wall(), 5_000))
        await line.close()
        await client.broker.refresh()
        await client.quiet()

        assert isinstance(live, Done)
        assert {"b", "c"} == set(live.answer.orders)
        assert isinstance(trades, Done)
        assert ["a"] == [item.report.client_order_id for item in trades.answer.news]
        assert isinstance(since, Done)
        assert () == since.answer.news
        assert isinstance(done, Done)
        assert ["accepted", "cancelled"] == client.life("b")
        assert ["accepted", "cancelled"] == client.life("c")


async def test_the_account_is_silent_while_news_is_missing(tmp_path: Path) -> None:
    """Books are not compared with an account that rests on fills nobody has heard of yet."""
    lost, unheard = fault("lose_answers"), {"fault": "hang", "on": ["news"]}
    async with serving(tmp_path / "t", lost, unheard) as (_, url), client_of(url) as client:
        client.broker.submit(order("a"), START)
        await client.until(lambda: ["silence"] == client.life("a"))
        await client.broker.refresh()  # tells of the account, and not what it rests on

        with pytest.raises(VenueSilent, match="as of news 1, ours as of 0"):
            client.broker.account()


async def test_the_account_is_silent_when_the_venues_word_is_old(tmp_path: Path) -> None:
    """What the venue held a minute ago is not what it holds."""
    async with serving(tmp_path / "t") as (_, url), client_of(url) as client:
        client.broker._account_at -= 60_000

        with pytest.raises(VenueSilent, match="ms old"):
            client.broker.account()


async def test_a_probe_is_answered_as_the_venue_is(tmp_path: Path) -> None:
    """Well when it is well, and badly when it is down."""
    faults = {"fault": "down", "on": ["account"], "after": 2}
    async with serving(tmp_path / "t", faults) as (_, url), client_of(url) as client:
        client.broker.probe(START)
        await client.quiet()
        client.broker.probe(START)
        await client.quiet()

        assert [(True, True), (False, True)] == [(tool.ok, tool.probe) for tool in client.tools]


def test_unknown_is_never_certain() -> None:
    """The types keep apart what is certain from what is not."""
    assert not isinstance(Unknown("a time out"), NotLookedAt)
