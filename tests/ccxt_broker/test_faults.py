"""Orders over a line that fails, with the real ccxt: what each comes to, and nothing sent twice."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import venue_answers as answers
from capture_venue import CLOCK, SECRETS, Answer, Desk, Reply, Sent, trading
from ccxt import BadSymbol
from ccxt_house import BTC, NAME, known, order

from brokers.ccxt.calls import Done
from brokers.ccxt.errors import NotSent
from brokers.ccxt.known import KnownOrder
from brokers.ccxt.lanes import Lane
from brokers.ccxt.limits import READS_MAX
from brokers.contract import VenueUnreachable
from messages import OrderEvent, PositionMode, ReasonCode, Side, VenueOrder, VenueReport


def creates(reply: Reply | None) -> Answer:
    """Return what answers every create with ``reply``."""

    def answer(sent: Sent) -> Reply | None:
        return reply if (sent.method, sent.path) == ("POST", "/fapi/v1/order") else None

    return answer


async def unplugged(desk: Desk, port: int) -> None:
    """Close the connections that are open; new ones go to ``port``."""
    connector = desk.client.exchange.session.connector
    await connector.close()
    connector._closed = False
    connector._resolver.port = port


def told(desk: Desk) -> tuple[str, ReasonCode]:
    """Return the one event that was told, and its code."""
    (report,) = desk.news
    assert isinstance(report, VenueReport)
    assert report.cause is not None
    return report.event.value, report.cause.code


ERROR = '{"code": %d, "msg": "%s"}'
TRADE = {
    "id": 9, "orderId": 4711, "symbol": "BTCUSDT", "side": "BUY", "price": "50000", "qty": "0.4",
    "commission": "1", "commissionAsset": "USDT", "time": answers.NOW, "maker": False,
    "buyer": True, "positionSide": "BOTH", "quoteQty": "20000",
}  # fmt: skip
SILENT = ("silence", ReasonCode.ANSWER_LOST)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drop=True),
        Reply(answers.binance_market(), cut=True),
        Reply("<html>busy</html>", 500),
        Reply("<html>busy</html>", 502),
        Reply("<html>busy</html>", 503),
        Reply("<html>busy</html>", 504),
        Reply("", 200),
        Reply("<html>hello</html>", 200),
        Reply({}, 200),
        Reply([], 200),
        Reply(ERROR % (-1000, "unknown"), 400),
        Reply(ERROR % (-1001, "disconnected"), 400),
        Reply(ERROR % (-1006, "unexpected"), 400),
        Reply(ERROR % (-1007, "timeout"), 408),
        Reply(ERROR % (-1008, "overloaded"), 400),
        Reply(ERROR % (-9_999, "a code of tomorrow"), 400),
        Reply(ERROR % (-9_999, "a code of tomorrow"), 500),
        Reply("", 403),
        Reply("", 404),
        Reply("", 302, {"Location": "https://fapi.binance.com/fapi/v1/elsewhere"}),
        Reply("", 307, {"Location": "https://fapi.binance.com/fapi/v1/elsewhere"}),
    ],
    ids=lambda reply: f"{reply.status}-{str(reply.body)[:24]}",
)
async def test_an_order_without_a_certain_answer_is_in_doubt_and_sent_once(
    reply: Reply, tmp_path: Path
) -> None:
    """Whatever came in place of an answer: the order may be live, so it is never sent again."""
    given = (creates(reply), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert SILENT == told(desk)
        assert 1 == len(desk.capture.sent)


async def test_an_answer_that_does_not_come_in_time_is_silence(tmp_path: Path) -> None:
    """The time out is the transport's own; it does not ask again either."""
    given = (creates(Reply(hang=True)), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        desk.client.exchange.timeout = 200
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert SILENT == told(desk)
        assert 1 == len(desk.capture.sent)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, -2010, ReasonCode.VENUE_REJECTED),
        (400, -2019, ReasonCode.VENUE_INSUFFICIENT_FUNDS),
        (400, -2021, ReasonCode.VENUE_REJECTED),
        (400, -2022, ReasonCode.VENUE_REDUCE_ONLY),
        (400, -4164, ReasonCode.NOTIONAL_BELOW_MIN),
        (400, -5022, ReasonCode.POST_ONLY_WOULD_TAKE),
        (400, -1015, ReasonCode.VENUE_RATE_LIMITED),
        (429, -1003, ReasonCode.VENUE_RATE_LIMITED),
        (418, -1003, ReasonCode.VENUE_RATE_LIMITED),
        (400, -1021, ReasonCode.VENUE_REJECTED),
        (401, -2015, ReasonCode.VENUE_REJECTED),
    ],
)
async def test_a_definite_no_is_a_rejection(
    status: int, code: int, reason: ReasonCode, tmp_path: Path
) -> None:
    """By the venue's own host names ccxt takes the futures table, and so the right class."""
    given = (creates(Reply(ERROR % (code, "no"), status)), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert ("rejected", reason) == told(desk)
        assert 1 == len(desk.capture.of("POST", "/order"))


async def test_an_id_that_the_venue_has_already_is_asked_about_and_not_rejected(
    tmp_path: Path,
) -> None:
    """It is probably the order itself, of which the first answer was lost."""
    given = (creates(Reply(ERROR % (-4116, "duplicated"), 400)), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert ("silence", ReasonCode.DUPLICATE_CLIENT_ORDER_ID) == told(desk)


async def test_a_rate_limit_is_kept_for_all_and_told_of_the_venue(tmp_path: Path) -> None:
    """Nobody goes while the venue wants to be left alone, but for one cancel that tries."""
    reply = Reply(ERROR % (-1003, "slow down"), 429, {"Retry-After": "3"})
    given = (creates(reply), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)
        allowance = desk.calls.lanes.allowance
        read, cancel = allowance.ask(Lane.READ, 1), allowance.ask(Lane.CANCEL, 1)
        begins_s = allowance.pause_until_s - 3.0

        assert [cancel] == allowance.grant(begins_s + 2.9)
        assert [read] == allowance.grant(begins_s + 3.0)
        assert "retry_after_ms=3000" in desk.trouble[0]


async def test_a_connection_that_was_never_made_is_certainly_not_sent(tmp_path: Path) -> None:
    """Not one byte has left: the order is rejected at once and need not be asked for."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        await unplugged(desk, 1)  # nobody listens there
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)
        report = desk.news[0]

        assert isinstance(report, VenueReport)
        assert "rejected" == report.event.value
        assert str(report.cause).startswith("venue_rejected(not sent: ")


async def test_the_clock_is_compared_when_the_venue_does_not_like_our_time(tmp_path: Path) -> None:
    """A refusal for its time says so to whoever keeps the time."""
    given = (creates(Reply(ERROR % (-1021, "ahead"), 400)), answers.binanceusdm)
    async with trading("binanceusdm", tmp_path, *given, symbols=(BTC,)) as desk:
        off: list[bool] = []
        desk.calls.clock_is_off = lambda: off.append(True)
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert [True] == off


async def test_requests_carry_the_venues_time(tmp_path: Path) -> None:
    """The offset was found at the start: the server here lives in 2023."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)
        stamp = int(desk.capture.of("POST", "/order")[0].fields["timestamp"])

        assert abs(stamp - answers.NOW) < 60_000


async def test_a_question_is_asked_again_but_not_for_ever(tmp_path: Path) -> None:
    """It changes nothing; after the last time it counts as unanswered."""

    def silent(sent: Sent) -> Reply | None:
        return Reply("", 503) if sent.method == "GET" and sent.path.endswith("/order") else None

    async with trading(
        "binanceusdm", tmp_path, silent, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        desk.orders.add(known(price="50000"))
        await desk.ordering.query(NAME, 5)

        assert READS_MAX == len(desk.capture.of("GET", "/order"))
        assert [] == desk.news
        assert 1 == len(desk.trouble)


@pytest.mark.parametrize("stepped_ms", [0, -3_600_000, 3_600_000])
async def test_an_unknown_order_is_proof_only_late_and_twice_in_a_row(
    stepped_ms: int, tmp_path: Path
) -> None:
    """
    Asked too early it proves nothing, nor asked once; an answer in between begins anew.

    The time is of a clock that never steps: an hour that somebody sets the machine back, or ahead,
    neither puts the proof off nor makes one.
    """

    def unknown(sent: Sent) -> Reply | None:
        asked = sent.method == "GET" and sent.path.endswith("/order")
        return Reply(ERROR % (-2013, "no such order"), 400) if asked else None

    async with trading(
        "binanceusdm", tmp_path, unknown, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        asked = desk.orders.add(known(price="50000"))
        left_s = desk.ordering.connected_s
        desk.ordering._clock = replace(CLOCK, wall_ms=lambda: CLOCK.wall_ms() + stepped_ms)
        proofs = []
        for sent_s in (left_s, left_s, left_s - 9, left_s - 9, left_s - 9):
            asked.sent_s = sent_s
            await desk.ordering.query(NAME, 5)
            proofs.append(desk.answers()[-1].remembers_from)

        assert [None, None, None, asked.created_at, asked.created_at] == proofs
        assert not any(answer.known for answer in desk.answers())


@pytest.mark.parametrize(
    ("before", "event"), [(True, "rejected"), (False, "silence")], ids=["before", "after"]
)
async def test_what_ccxt_makes_of_a_reply_is_no_refusal_by_the_venue(
    before: bool, event: str, tmp_path: Path
) -> None:
    """
    Before anything has left its own checks are final; after that the venue may have the order.

    It raises one class for both: here for a market that it cannot tell from another one.
    """

    def unfit(*_arguments: Any) -> Any:
        raise BadSymbol("requires a fourth argument to disambiguate between markets")

    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        name = "create_order_request" if before else "parse_order"
        setattr(desk.client.exchange, name, unfit)
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        assert [event] == desk.life()
        assert int(not before) == len(desk.capture.of("POST", "/fapi/v1/order"))


async def test_what_an_order_of_an_unheard_of_status_has_traded_is_told(tmp_path: Path) -> None:
    """Its trades count as told from then on: whoever tells of them later is not listened to."""

    def strange(sent: Sent) -> Reply | None:
        if sent.path.endswith("/userTrades"):
            return Reply([TRADE])
        if (sent.method, sent.path) != ("GET", "/fapi/v1/order"):
            return None
        return Reply(answers.binance_order(sent, status="NEW_WORD", executedQty="0.4"))

    async with trading(
        "binanceusdm", tmp_path, strange, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        asked = desk.orders.add(known(price="50000"))
        await desk.ordering.query(NAME, 5)
        await desk.ordering.query(NAME, 6)
        fills = [each.fill for each in desk.news if isinstance(each, VenueReport) and each.fill]

        assert ["BTCUSDT:9"] == [fill.trade_id for fill in fills]
        assert {"BTCUSDT:9"} == asked.trades
        assert 2 == len([each for each in desk.trouble if "status 'NEW_WORD'" in each])


@pytest.mark.parametrize("status", ["NEW_ADL", "NEW_INSURANCE"])
@pytest.mark.parametrize(("executed", "event"), [("0.4", None), ("1", OrderEvent.FILLED)])
async def test_an_order_by_which_the_venue_closes_a_position_is_open_until_it_is_filled(
    status: str, executed: str, event: OrderEvent | None, tmp_path: Path
) -> None:
    """A liquidation or a deleveraging that is asked for: ccxt hands its status on as it is."""

    def forced(sent: Sent) -> Reply | None:
        if sent.path.endswith("/userTrades"):
            return Reply([])  # none is listed of such an order
        if (sent.method, sent.path) != ("GET", "/fapi/v1/order"):
            return None
        return Reply(answers.binance_order(sent, status=status, executedQty=executed))

    async with trading(
        "binanceusdm", tmp_path, forced, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        desk.orders.add(KnownOrder("autoclose-1", BTC, Side.BUY, venue_id="4711"))
        await desk.ordering.query("autoclose-1", 5)
        answer = desk.news[-1]
        (asked,) = desk.capture.of("GET", "/fapi/v1/order")

        assert isinstance(answer, VenueOrder)
        assert ("4711", None) == (asked.fields["orderId"], asked.fields.get("origClientOrderId"))
        assert ("autoclose-1", (), Decimal(executed)) == (
            answer.client_order_id,
            answer.fills,
            answer.filled,
        )
        assert (event is None, event) == (answer.open, answer.ended)
        assert [] == desk.trouble


@pytest.mark.parametrize("venue", ["binanceusdm", "okx", "bybit", "kraken"])
async def test_an_order_of_somebody_else_is_asked_for_and_cancelled_by_the_venues_id(
    venue: str, tmp_path: Path
) -> None:
    """Its client id is none that we can write; it is the venue's, whatever it is called."""
    words = {each: getattr(answers, each) for each in ("binanceusdm", "okx", "bybit", "kraken")}
    symbol = "BTC/USD" if venue == "kraken" else BTC
    async with trading(venue, tmp_path, words[venue], symbols=(symbol,)) as desk:
        theirs = desk.orders.add(KnownOrder("web_1", symbol, Side.BUY, venue_id="4711"))
        await desk.calls.look_up(theirs)
        looked = len(desk.capture.sent)
        await desk.calls.cancel(theirs)

        assert looked
        assert len(desk.capture.sent) > looked
        assert "4711" in str(desk.capture.sent[-1].fields)
        assert not any("web_1" in str(sent.fields) for sent in desk.capture.sent)


async def test_an_order_of_somebody_else_without_an_id_is_not_asked_for(tmp_path: Path) -> None:
    """There is nothing to ask by: that is said, and not tried again and again."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        desk.orders.add(KnownOrder("web_1", BTC, Side.BUY))
        await desk.ordering.query("web_1", 5)

        assert [] == desk.capture.sent
        assert "none of ours" in desk.trouble[0]


async def test_a_cancel_of_an_order_that_is_not_there_asks_for_its_end(tmp_path: Path) -> None:
    """It may have filled in the same moment: unknown is no end."""

    def gone(sent: Sent) -> Reply | None:
        return (
            Reply(ERROR % (-2011, "unknown order sent"), 400) if sent.method == "DELETE" else None
        )

    async with trading("binanceusdm", tmp_path, gone, answers.binanceusdm, symbols=(BTC,)) as desk:
        await desk.ordering.cancel(known(price="50000"))

        assert [] == desk.news
        assert [NAME] == desk.checked


async def test_a_cancel_without_an_answer_is_silence(tmp_path: Path) -> None:
    """Nobody knows whether it was done; it is asked about in the same way."""

    def dropped(sent: Sent) -> Reply | None:
        return Reply("", 502) if sent.method == "DELETE" else None

    async with trading(
        "binanceusdm", tmp_path, dropped, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        await desk.ordering.cancel(known(price="50000"))

        assert SILENT == told(desk)


async def test_the_venues_count_of_weight_feeds_the_allowance(tmp_path: Path) -> None:
    """By its header, whoever used it up."""

    def busy(sent: Sent) -> Reply | None:
        weight = {"X-MBX-USED-WEIGHT-1M": "2300"}
        created = (sent.method, sent.path) == ("POST", "/fapi/v1/order")
        return Reply(answers.binance_order(sent), headers=weight) if created else None

    async with trading("binanceusdm", tmp_path, busy, answers.binanceusdm, symbols=(BTC,)) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)

        allowance = desk.calls.lanes.allowance
        assert 2_300 <= allowance.used(CLOCK.monotonic_s())


async def test_no_secret_is_logged_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the loudest level, with calls that fail in every way: no key, secret or signature."""
    caplog.set_level(logging.DEBUG)

    def broken(sent: Sent) -> Reply | None:
        if not sent.path.endswith("/order"):
            return None
        return Reply(f"{sent.headers} {sent.fields}", 400 if sent.method == "GET" else 503)

    async with trading(
        "binanceusdm", tmp_path, broken, answers.binanceusdm, symbols=(BTC,)
    ) as desk:
        await desk.ordering.submit(order(price="50000"), Lane.CREATE)
        desk.orders.add(known(price="50000"))
        await desk.ordering.query(NAME, 5)
        signature = desk.capture.of("POST", "/order")[0].fields["signature"]
        said = f"{caplog.text} {desk.news} {desk.trouble} {desk.client!r} {desk.client.address!r}"

        assert desk.trouble
        for secret in (*SECRETS.values(), signature):
            assert secret not in said


@pytest.mark.parametrize(
    ("replies", "given", "words"),
    [
        ({"/fapi/v1/exchangeInfo": Reply("", 503)}, {}, "load the markets"),
        ({"/fapi/v1/exchangeInfo": Reply({"symbols": []})}, {}, "does not list"),
        (
            {"/fapi/v1/positionSide/dual": Reply({"dualSidePosition": True, "code": 200})},
            {},
            "set the position mode to one_way: it did not change",
        ),
        (
            {"/fapi/v1/leverage": Reply({"leverage": 20})},
            {"leverage": 5},
            "leverage of .* found 20",
        ),
        (
            {"/fapi/v1/marginType": Reply(ERROR % (-4047, "open orders"), 400)},
            {"margin_mode": "isolated"},
            "set the margin mode",
        ),
    ],
)
async def test_an_account_that_is_not_as_configured_is_not_traded(
    replies: dict[str, Reply], given: dict[str, object], words: str, tmp_path: Path
) -> None:
    """What was set is read back before the first step; the reason is one sentence."""

    def answer(sent: Sent) -> Reply | None:
        return replies.get(sent.path)

    with pytest.raises(VenueUnreachable, match=words):
        async with trading(
            "binanceusdm", tmp_path, answer, answers.binanceusdm, symbols=(BTC,), **given
        ):
            pass


async def test_a_venue_without_hedging_is_not_asked_to_hedge(tmp_path: Path) -> None:
    """The table says so, and the session does not start: what to set otherwise is named."""
    words = r"\[venue\] position_mode: found hedge, expected one_way: hyperliquid keeps no long"
    with pytest.raises(VenueUnreachable, match=words):
        async with trading(
            "hyperliquid",
            tmp_path,
            answers.hyperliquid,
            symbols=("BTC/USDC:USDC",),
            position_mode=PositionMode.HEDGE,
        ):
            pass


async def test_nothing_leaves_the_machine(tmp_path: Path) -> None:
    """Without a local port no host is resolved, whichever addresses are named."""
    async with trading("binanceusdm", tmp_path, answers.binanceusdm, symbols=(BTC,)) as desk:
        await unplugged(desk, 0)
        found = await desk.calls.once(Lane.READ, 1, desk.client.exchange.fetch_time)

        assert not isinstance(found, Done)
        assert isinstance(found, NotSent), found
