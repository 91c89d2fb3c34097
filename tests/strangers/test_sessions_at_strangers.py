"""
Whole sessions at venues that nobody of us has made: any ccxt id, a server of one's own, one line.

Coins everywhere up to the broker, the venue's own unit beyond it: what arrived at the server is
compared with what the journal and the tables say.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from stranger import CASH, Market
from strangers_house import PERPETUAL, Visit, visiting

from messages import ExecutionReport, Fill, OpenIntent, OrderEvent, Reconciled

pytestmark = pytest.mark.exhaustive

HALF = Decimal("0.5")
BY_URLS = '[venue.ccxt]\nurls = "http://127.0.0.1:{port}"'
"""One address in place of all that ccxt has."""

PINNED = 'loopback_port = {port}\nloopback_ca = "{ca}"\n'
"""Every host is the port, streams too."""


@dataclass(frozen=True)
class Case:
    """A venue, the way to it, and what half a coin is there."""

    exchange: str
    amount: str
    way: str = PINNED
    books: dict[str, Any] = field(default_factory=dict)
    tls: bool = True
    streams: bool = True
    params: str = ""

    @property
    def quote(self) -> str:
        return {"kraken": "USD", "hyperliquid": "USDC"}.get(self.exchange, "USDT")


SPOT = Market("BTC/USDT", "BTCUSDT", spot=True)
CASES = {
    "okx": Case("okx", "50"),
    "okx-hedge": Case("okx", "50", BY_URLS, {"hedge": True}, tls=False, params='book = "long"'),
    "bybit": Case("bybit", "0.5"),
    "bybit-spot": Case("bybit", "0.5", BY_URLS, {"market": SPOT, "fee_in_base": True}, tls=False),
    "kraken": Case("kraken", "0.5", "allowance = 50\n" + PINNED),
    "hyperliquid": Case("hyperliquid", "0.5"),
    "gate": Case("gate", "5000", BY_URLS, tls=False, streams=False),
}
"""Pinned or by one address, http or https, with a stream or without, in contracts or in coins."""


def traded(case: Case, folder: Path, **more: Any) -> Visit:
    """Run one session at a stranger's, and return what is left."""
    with visiting(
        folder, case.exchange, tls=case.tls, streams=case.streams, **case.books, **more
    ) as visit:
        way = case.way.format(port=visit.running.port, ca=visit.running.ca)
        visit.configure(way, case.params)
        result = visit.invoke("trade")
        assert 0 == result.exit_code, result.output
        visit.output = result.output
    return visit


@pytest.mark.parametrize("name", CASES)
def test_a_session_trades_at_a_strangers(name: str, tmp_path: Path) -> None:
    """
    Bought, left at rest, taken back, sold: every fill once, and the books are the venue's.

    The intents, the orders and the fills are of coins, what arrived is of the venue's unit, and at
    the end there is nothing there that the session does not know of.
    """
    case = CASES[name]
    visit = traded(case, tmp_path)
    books = visit.books
    first, rested, last = books.orders.values()

    assert case.amount == str(first.amount) == str(rested.amount)
    assert {HALF} == {intent.quantity for intent in visit.messages(OpenIntent)}
    assert (["filled", "cancelled", "filled"]) == [each.status for each in books.orders.values()]
    assert [HALF] * 2 == [Decimal(row["quantity"]) for row in visit.rows("orders")[:2]]

    fills = [Decimal(row["quantity"]) for row in visit.rows("trades")]
    dust = HALF * books.fee_rate if books.fee_in_base else 0
    assert [HALF - dust, last.amount * books.market.size] == fills
    assert 2 == len({row["trade_id"] for row in visit.rows("trades")})
    assert {case.quote} == {row["fee_currency"] for row in visit.rows("trades")}

    assert {} == books.held()
    assert 0 == books.money.get("BTC", 0)
    assert books.money[case.quote] == Decimal(visit.rows("account")[-1]["equity"])
    assert books.money[case.quote] < CASH
    assert () == visit.messages(Reconciled)[-1].differences
    hosts = {sent.host.partition(":")[0] for sent in visit.running.house.sent}
    assert (hosts == {"127.0.0.1"}) is (case.way == BY_URLS)


@pytest.mark.parametrize("name", ["okx", "bybit", "kraken", "hyperliquid"])
def test_the_private_stream_is_signed_into_where_there_is_one(name: str, tmp_path: Path) -> None:
    """By the venue's own words, with the session's key; a fill is asked for when it is told of."""
    with visiting(tmp_path, name) as visit:
        way = CASES[name].way.format(port=visit.running.port, ca=visit.running.ca)
        visit.configure(way, "keeps = true", bars=4)
        assert 0 == visit.invoke("trade").exit_code
    said = [message for message in visit.dialect.said if message]
    words = {
        "okx": ("login", "stranger-key-0001"),
        "bybit": ("auth", "stranger-key-0001"),
        "kraken": ("executions", "a-token"),
        "hyperliquid": ("orderUpdates", "0x" + "1" * 40),
    }[name]

    assert any(all(word in str(message) for word in words) for message in said)
    assert 1 == len(visit.rows("trades"))


@pytest.mark.parametrize("streams", [True, False], ids=["up-and-silent", "refused"])
def test_without_a_word_of_the_stream_fills_are_found_by_asking(
    streams: bool, tmp_path: Path
) -> None:
    """A stream that says nothing, and a server that has none: no fill is missed, none is late."""
    with visiting(tmp_path, "okx", streams=streams) as visit:
        visit.running.house.muted = True
        result = visit.invoke("trade")
        assert 0 == result.exit_code, result.output

    assert ["filled", "cancelled", "filled"] == [row["status"] for row in visit.rows("orders")]
    assert 2 == len(visit.rows("trades"))
    circuits = visit.output_of("circuit_opened")
    assert [] == circuits


def test_a_process_that_died_is_gone_on_with(tmp_path: Path) -> None:
    """
    Killed with a position and an order at rest, both in contracts there.

    `--resume` knows both: nothing is sent a second time, the order is taken back and the position
    sold.
    """
    with visiting(tmp_path, "okx") as visit:
        visit.configure(speed=120, bars=20)
        process = visit.start("trade")
        visit.until(process, lambda: 2 == len(visit.books.orders))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert 1 == len(visit.books.open())
        resumed = visit.run("trade", "--resume")
        assert 0 == resumed.returncode, resumed.stderr

    orders = list(visit.books.orders.values())
    assert ["filled", "cancelled", "filled"] == [each.status for each in orders]
    assert len(orders) == len({each.client for each in orders})
    assert {} == visit.books.held()
    assert visit.books.money["USDT"] == Decimal(visit.rows("account")[-1]["equity"])
    fills = [each.fill for each in visit.messages(ExecutionReport) if each.fill is not None]
    assert [HALF, HALF] == [each.quantity for each in fills if isinstance(each, Fill)]
    ends = [each for each in visit.messages(ExecutionReport) if each.event is OrderEvent.FILLED]
    assert 2 == len(ends)
    assert PERPETUAL == ends[0].symbol
