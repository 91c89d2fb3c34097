"""Sessions at exchanges that the table has no row for, and that ccxt treats as no others."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import pytest
from stranger import Market, Reply, Sent
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
        answers = visit.running.house.answers
        lost: list[Sent] = []

        def losing(sent: Sent) -> Reply | None:
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


@pytest.mark.parametrize("exchange", ["coinbase", "cryptocom"])
def test_a_process_that_died_in_doubt_finds_its_order_by_our_id(
    exchange: str, tmp_path: Path
) -> None:
    """
    Killed while the answer to an order that was taken hangs; `--resume` sends nothing again.

    Nothing that was written has a line of the key: Coinbase's is a page of them.
    """
    with visiting(tmp_path, exchange, streams=False) as visit:
        taken: list[Sent] = []

        def hanging(sent: Sent) -> Reply | None:
            known = len(visit.books.orders)
            found = visit.dialect.answer(sent)
            if len(visit.books.orders) == known or known:
                return found if isinstance(found, Reply) or found is None else Reply(found)
            taken.append(sent)
            return Reply(hang=True)

        visit.running.house.answers.insert(0, hanging)
        way = PINNED.format(port=visit.running.port, ca=visit.running.ca)
        visit.configure(way, 'near = "50010"', speed=120)
        process = visit.start("trade")
        visit.until(process, lambda: bool(taken))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        resumed = visit.run("trade", "--resume")
        assert 0 == resumed.returncode, resumed.stderr
    orders = list(visit.books.orders.values())
    assert ["filled", "cancelled", "filled"] == [each.status for each in orders]
    assert len(orders) == len({each.client for each in orders})
    money = visit.books.money[visit.books.market.quote]
    assert money == Decimal(visit.rows("account")[-1]["equity"])

    secret = visit.secrets()["TIDEGATE_VENUE__CREDENTIALS__SECRET"]
    parts = [line for line in secret.splitlines() if not line.startswith("-----")]
    written = [each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()]
    written += [resumed.stdout.encode(), resumed.stderr.encode()]
    assert not [part for part in parts if any(part.encode() in each for each in written)]
