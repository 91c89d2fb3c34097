"""What is asked of exchanges without a row: in short pages, without lists, and without a change."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import SECRETS, Capture, Desk, Reply, Sent, serving, trading
from ccxt_house import NAME, order
from stranger import Books
from strangers_house import KINDS, visiting
from test_any_other_id import market

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import FETCHING, CcxtClient, MayOnlyAsk, refuse_change
from brokers.ccxt.lanes import Lane

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
SPOT = "BTC/USDT"


async def traded_in_pieces(desk: Desk, books: Books) -> None:
    """Have an order trade in 120 pieces, a millisecond apart, and ask what became of it."""
    await desk.ordering.submit(order(NAME, "1.2", symbol=SPOT, price="46000"), Lane.CREATE)
    (taken,) = books.orders.values()
    for number in range(120):
        books.fill(taken, Decimal("0.01"))
        books.trades[-1].at += number
    await desk.ordering.query(NAME, 0)


async def test_a_page_that_is_shorter_than_asked_for_is_not_taken_for_all(tmp_path: Path) -> None:
    """KuCoin gives fifty, and ccxt asks for no number: an order of 120 trades is told whole."""
    dialect, market = KINDS["kucoin"]
    books = Books(market)
    async with trading("kucoin", tmp_path, dialect(books).answer, symbols=(SPOT,)) as desk:
        await traded_in_pieces(desk, books)

        (answer,) = desk.answers()
        assert 120 == len(answer.fills)
        assert Decimal("1.2") == sum(fill.quantity for fill in answer.fills)
        assert [] == desk.trouble


async def test_a_page_that_nobody_gave_is_not_taken_for_the_last(tmp_path: Path) -> None:
    """Asked too often is no word that the exchange does not know: its other trades may be there."""
    dialect, market = KINDS["kucoin"]
    books = Books(market)
    answer = dialect(books).answer

    def busy(sent: Sent) -> Any:
        is_older = sent.path == "/api/v1/fills" and "endAt" in sent.fields
        return (
            Reply({"code": "429000", "msg": "Too Many Requests"}, 429) if is_older else answer(sent)
        )

    async with trading("kucoin", tmp_path, busy, symbols=(SPOT,)) as desk:
        await traded_in_pieces(desk, books)

        assert [] == desk.answers()
        assert desk.trouble


@pytest.mark.parametrize(
    ("method", "path", "is_question"),
    [
        ("POST", "/exchange/v1/private/get-open-orders", True),
        ("POST", "/api/v2/user_transactions/btcusd/", True),
        ("POST", "/v2/auth/r/orders", True),
        ("POST", "/v2/auth/w/order/submit", False),
        ("POST", "/api/v1/account/builder_codes/approve", False),
        ("POST", "/exchange/v1/private/create-order", False),
        ("GET", "/api/v2/private/get_open_orders_by_instrument", True),
    ],
)
async def test_a_request_is_a_question_where_ccxt_asks_and_no_word_of_it_changes(
    method: str, path: str, is_question: bool
) -> None:
    """Of venues that nobody has listed; some place orders by GET, so that alone is not enough."""
    row, url = capabilities_of("cryptocom"), f"https://api.invalid{path}"
    with pytest.raises(MayOnlyAsk):
        refuse_change(method, url, row)
    asking = FETCHING.set(True)
    try:
        if is_question:
            refuse_change(method, url, row)
        else:
            with pytest.raises(MayOnlyAsk):
                refuse_change(method, url, row)
    finally:
        FETCHING.reset(asking)


@pytest.mark.parametrize("exchange", ["cryptocom", "deribit", "luno"])
async def test_a_client_that_may_only_ask_places_no_order_by_whatever_method(
    exchange: str, tmp_path: Path
) -> None:
    """Deribit takes orders by GET: nothing leaves."""
    capture = Capture(lambda _sent: {})
    async with serving(capture, tmp_path, tls=False) as (port, _):
        url = f"http://127.0.0.1:{port}"
        address = CcxtAddress(exchange, secrets=SECRETS, urls=url)
        client = CcxtClient(address, capabilities_of(exchange), CLOCK, only_asks=True)
        client.exchange.set_markets([market(SPOT)])
        try:
            with pytest.raises(MayOnlyAsk):
                await client.exchange.create_order(SPOT, "limit", "buy", "0.5", "50000", {})
            with pytest.raises(MayOnlyAsk):
                await client.exchange.cancel_order("7", SPOT)
        finally:
            await client.close()
    assert [] == capture.sent


def test_a_start_that_is_refused_says_what_the_venue_did_not_answer(tmp_path: Path) -> None:
    """`It does not say what it holds` is no help to whoever writes the server."""
    with visiting(tmp_path, "kucoin", tls=False, streams=False) as visit:
        visit.configure(f'[venue.ccxt]\nurls = "http://127.0.0.1:{visit.running.port}"')
        visit.running.house.answers.insert(
            0, lambda sent: Reply({}, 404) if sent.path == "/api/v1/accounts" else None
        )
        result = visit.invoke("trade")

    assert 5 == result.exit_code
    assert "what it holds: " in result.output
    assert "http=404 GET /api/v1/accounts" in result.output


@pytest.mark.parametrize("place", ["options", "options.createOrder", "params.options"])
def test_what_would_make_coins_into_money_is_refused(place: str, tmp_path: Path) -> None:
    """It is ccxt's own advice where it refuses a market buy: half a coin were half a dollar."""
    with visiting(tmp_path, "kucoin", tls=False) as visit:
        name = "createMarketBuyOrderRequiresPrice"
        visit.configure(f"[venue.ccxt.{place}]\n{name} = false")
        result = visit.invoke("check")

    assert 2 == result.exit_code
    assert "expected limit orders" in result.output or "has a table of its own" in result.output
