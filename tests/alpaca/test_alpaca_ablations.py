"""Each safeguard of the Alpaca broker switched off: then something goes wrong, and is seen."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anyio.to_thread
import pytest
from alpaca_house import KEYS, SPY, bar, desk, terms
from ccxt_house import order as any_order

from brokers.alpaca import errors, transport, wording
from brokers.alpaca.loaded import module
from brokers.ccxt import listening
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.errors import Refused, Stamp, Unknown, judged
from brokers.ccxt.known import KnownOrder, KnownOrders
from brokers.ccxt.listening import Listener
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import rules_of
from messages import Cause, OrderRequest, ReasonCode
from scenarios.exchange.alpaca import Alpaca
from scenarios.exchange.faults import Faults, FaultScript

ONE = "tg-0123456789-1"
ROW = capabilities_of("alpaca")


def order(quantity: str = "3", **given: Any) -> OrderRequest:
    """Return an order of the share."""
    return any_order(ONE, quantity, symbol=SPY, **given)


async def test_alpaca_pys_own_way_sends_an_order_four_times(tmp_path: Path) -> None:
    """
    After a 504 of an order that is there it sends it again, and is told that it was a duplicate.

    So a live order looks refused. Our way sends it once and is in doubt: see the faults.
    """
    script = {"faults": [{"fault": "fail_after", "on": ["submit"], "status": 504}]}
    faults = Faults(FaultScript.model_validate(script))
    server = Alpaca(terms(), tmp_path / "truth.ndjson", KEYS, faults=faults)
    _, port = await server.start()
    try:
        await server.show(SPY, [bar(0)])
        trading, requests = module("alpaca.trading.client"), module("alpaca.trading.requests")
        client = trading.TradingClient(
            KEYS.key_id, KEYS.secret, url_override=f"http://127.0.0.1:{port}"
        )
        client._retry_wait = 0
        asked = requests.LimitOrderRequest(
            symbol=SPY, qty=1, side="buy", time_in_force="gtc", limit_price=390, client_order_id=ONE
        )

        def sent() -> str:
            try:
                client.submit_order(asked)
            except module("alpaca.common.exceptions").APIError as error:
                return type(error).__name__
            finally:
                client._session.close()
            return "answered"

        outcome = await anyio.to_thread.run_sync(sent)
        posts = [hit for hit in server.hits if hit.method == "POST"]

        assert "APIError" == outcome
        assert 4 == len(posts)
        # Numbers that were exact are floats by then.
        assert '"limit_price": 390.0' in posts[0].body
        assert 1 == len(server.book.live()) + len(server.book.executions)
    finally:
        await server.stop()


async def test_without_the_list_a_proxys_page_ends_an_order_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 403 that is not Alpaca's own is a doubt; taken for a refusal it would be the end."""
    stamp = Stamp(403, {}, "<html>no</html>")
    redact = Redactor([])
    before = judged(errors.error_of(403, "POST", "/v2/orders", stamp), ROW, redact)
    monkeypatch.setattr(errors, "words_of", lambda body: body)
    after = judged(errors.error_of(403, "POST", "/v2/orders", stamp), ROW, redact)

    assert isinstance(before, Unknown)
    assert isinstance(after, Refused)


def told_ahead() -> tuple[list[str], Decimal]:
    """Hear of the first part of an order whose document is ahead of it; return what was asked."""
    rules = rules_of(wording.market_of({"symbol": SPY, "class": "us_equity"}), ROW)
    orders, asked = KnownOrders(), list[str]()
    known = orders.add(KnownOrder.of(order("3")))
    listener = Listener(ROW, orders, {SPY: rules}, lambda _news: None, asked.append)
    document = {
        "id": "o",
        "client_order_id": ONE,
        "symbol": SPY,
        "side": "buy",
        "filled_qty": "3",
    }
    part = {"event": "partial_fill", "qty": "1", "price": "400", "order": document}
    listener.hear({"stream": "trade_updates", "data": part})
    return asked, known.gross


def test_a_part_whose_order_is_ahead_of_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A fill is named by its order's count: where that does not follow ours, it would be another's.

    Without the guard one share is booked under the name of the last part, which is then never
    booked itself.
    """
    with_guard = told_ahead()
    monkeypatch.setattr(listening, "_follows", lambda *_given: True)
    without = told_ahead()

    assert ([ONE], Decimal(0)) == with_guard
    assert ([ONE], Decimal(1)) == without


async def test_what_is_not_noted_as_it_leaves_looks_as_if_it_had_not_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An order whose answer was lost is there, and in doubt: without the note it looks refused."""
    lost = {"fault": "lose_answers", "on": ["submit"], "count": 1}
    lives, there = [], []
    for name in ("with", "without"):
        if name == "without":
            nowhere: ContextVar[list[str] | None] = ContextVar("nowhere", default=None)
            monkeypatch.setattr(transport, "LEFT", nowhere)
        async with desk(tmp_path / name, lost, {"fault": "lose_news"}, recv_window_ms=500) as at:
            at.broker.submit(order("1", price="390"), 1)
            await at.until(lambda at=at: bool(at.life(ONE)))
            lives.append(at.life(ONE))
            there.append(len(at.exchange.server.book.live()))

    assert [1, 1] == there
    assert [["silence"], ["rejected"]] == lives


async def test_without_a_connector_that_looks_a_held_order_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hold has come while it waited: only the look keeps it back."""
    monkeypatch.setattr(transport, "LookingConnector", aiohttp.TCPConnector)
    held = Cause(ReasonCode.HELD, "hold=kill")
    async with desk(tmp_path) as at:
        at.broker._at.calls.lanes.left_alone(0.3)
        at.broker.submit(order("1"), 1)
        at.broker.look = lambda _request: held
        await at.until(lambda: bool(at.fills()))

        assert 1 == len(at.sent("POST"))


async def test_without_its_intent_what_only_reduces_opens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bought to close nothing: refused by Alpaca with the intent, a position without."""
    async with desk(tmp_path / "with") as at:
        at.broker.submit(order("1", reduce_only=True), 1)
        await at.until(lambda: bool(at.life(ONE)))
        await at.quiet()
        guarded = at.life(ONE)

    def without(*args: Any, **given: Any) -> dict[str, Any]:
        fields = wording.order_fields(*args, **given)
        return {name: value for name, value in fields.items() if name != "position_intent"}

    monkeypatch.setattr("brokers.alpaca.exchange.order_fields", without)
    async with desk(tmp_path / "without") as at:
        at.broker.submit(order("1", reduce_only=True), 1)
        await at.until(lambda: bool(at.fills()))

    assert ["rejected"] == guarded
