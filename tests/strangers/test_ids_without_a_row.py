"""Sessions at exchanges that the table has no row for, and that ccxt treats as no others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from stranger import Market, Reply
from strangers_house import visiting

from messages import Reconciled

pytestmark = pytest.mark.exhaustive

PINNED = 'loopback_port = {port}\nloopback_ca = "{ca}"\n'
BY_URLS = '[venue.ccxt]\nurls = "http://127.0.0.1:{port}"'
HALF = Decimal("0.5")
PERP = Market("BTC/USD:USD", "BTCUSD-PERP", quote="USD")


@pytest.mark.parametrize("name", ["cryptocom", "cryptocom-perpetual", "coinbase", "kucoin"])
def test_a_session_trades_where_ccxt_has_words_of_its_own(name: str, tmp_path: Path) -> None:
    """Every order carries our id, and the books are the venue's to the last digit."""
    exchange = name.partition("-")[0]
    more = {"market": PERP} if "-" in name else {"fee_in_base": exchange != "coinbase"}
    with visiting(tmp_path, exchange, tls=False, streams=False, **more) as visit:
        visit.configure(BY_URLS.format(port=visit.running.port), 'near = "50010"')
        result = visit.invoke("trade")
        assert 0 == result.exit_code, result.output
    books = visit.books
    assert ["filled", "cancelled", "filled"] == [each.status for each in books.orders.values()]
    sent = [row["client_order_id"].replace("-", "Z") for row in visit.rows("orders")]
    assert sent == [each.client for each in books.orders.values()]
    assert {} == books.held()
    assert 0 == books.money.get("BTC", 0)
    money = books.money[books.market.quote]
    assert money == Decimal(visit.rows("account")[-1]["equity"])
    assert () == visit.messages(Reconciled)[-1].differences


@pytest.mark.parametrize("exchange", ["coinbase", "cryptocom", "kucoin"])
def test_an_order_whose_answer_was_lost_is_found_by_our_id(exchange: str, tmp_path: Path) -> None:
    """The connection closes after it was taken: it is asked for, and nothing is sent again."""
    with visiting(tmp_path, exchange, streams=False) as visit:
        answers, lost = visit.running.house.answers, []

        def losing(sent: Any) -> Reply | None:
            known = len(visit.books.orders)
            found = visit.dialect.answer(sent)
            if len(visit.books.orders) == known:
                return found if isinstance(found, Reply) or found is None else Reply(found)
            lost.append(sent)
            return Reply(drop=True) if len(lost) < 3 else Reply(found)

        answers.insert(0, losing)
        way = PINNED.format(port=visit.running.port, ca=visit.running.ca)
        visit.configure(way, 'near = "50010"', speed=120)
        result = visit.invoke("trade")
        assert 0 == result.exit_code, result.output
    assert ["filled", "cancelled", "filled"] == [
        each.status for each in visit.books.orders.values()
    ]
    assert visit.books.money[visit.books.market.quote] == Decimal(
        visit.rows("account")[-1]["equity"]
    )


@pytest.mark.parametrize("exchange", ["coinbase", "cryptocom", "kucoin"])
def test_the_check_asks_where_questions_are_sent_by_post(exchange: str, tmp_path: Path) -> None:
    """Nothing but questions leaves, and the key, the orders and the holdings are looked at."""
    with visiting(tmp_path, exchange, tls=False, streams=False) as visit:
        visit.configure(BY_URLS.format(port=visit.running.port))
        visit.books.place("", "buy", "0.1", "46000")
        result = visit.invoke("check", "--venue")
    assert "not known to be a question" not in result.output
    assert 1 == result.exit_code, result.output
    assert "taken by the venue" in result.output
