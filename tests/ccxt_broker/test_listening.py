"""The private stream: raw messages in, each piece of news once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ccxt_house import BTC, NAME, SPOT, order, rules
from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.capabilities import BINANCE, BINANCEUSDM, BYBIT, OKX
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.identity import encoded
from brokers.ccxt.known import KnownOrder, KnownOrders
from brokers.ccxt.listening import Listener
from brokers.ccxt.rounding import MarketRules
from messages import OrderEvent, ReasonCode, VenueReport


class Ear:
    """A listener, and what it has said."""

    def __init__(self, row: Capabilities, market: MarketRules) -> None:
        self.orders = KnownOrders()
        self.told: list[VenueReport] = []
        self.checked: list[str] = []
        self.listener = Listener(
            row, self.orders, {market.symbol: market}, self.told.extend, self.checked.append
        )

    def hear(self, *messages: dict[str, Any]) -> list[str]:
        """Return the events that were told, all so far."""
        for message in messages:
            self.listener.hear(message)
        return [report.event.value for report in self.told]


def futures(**given: object) -> dict[str, Any]:
    """Return a message about an order of one coin, new unless told."""
    fields: dict[str, object] = {
        "s": "BTCUSDT", "c": NAME, "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "1", "p": "50000",
        "ap": "0", "sp": "0", "x": "NEW", "X": "NEW", "i": 8886774, "l": "0", "z": "0", "L": "0",
        "T": 1_700_000_000_500, "t": 0, "m": False, "R": False, "ps": "BOTH",
    }  # fmt: skip
    return {"e": "ORDER_TRADE_UPDATE", "T": 1, "E": 2, "o": {**fields, **given}}


def traded(number: int, last: str, total: str, **given: object) -> dict[str, Any]:
    """Return a message about an execution."""
    status = "FILLED" if total == "1" else "PARTIALLY_FILLED"
    some: dict[str, object] = {
        "x": "TRADE", "X": status, "l": last, "z": total, "L": "50000", "n": "0.1", "N": "USDT",
        "t": number,
    }  # fmt: skip
    return futures(**{**some, **given})


@pytest.fixture
def ear() -> Ear:
    """Return an ear at Binance's futures that knows one order of ours."""
    made = Ear(BINANCEUSDM, rules())
    made.orders.add(KnownOrder.of(order(price="50000")))
    return made


def test_an_order_is_accepted_and_filled(ear: Ear) -> None:
    """Each message is one report, with the venue's ids, price and fee as they were written."""
    assert ["accepted", "filled_partly", "filled"] == ear.hear(
        futures(), traded(1, "0.4", "0.4"), traded(2, "0.6", "1", n="0.15")
    )
    fill = ear.told[2].fill

    assert fill is not None
    assert ("BTCUSDT:2", "o-" + NAME, Decimal("0.6")) == (
        fill.trade_id,
        fill.order_id,
        fill.quantity,
    )
    assert (Decimal("0.15"), "USDT") == (fill.fee, fill.fee_currency)
    assert [] == ear.checked


def test_a_fill_before_the_acknowledgement_is_accepted_first(ear: Ear) -> None:
    """Whichever the venue says first, the order's life is told in order."""
    assert ["accepted", "filled_partly"] == ear.hear(traded(1, "0.4", "0.4"), futures())


@given(copies=st.lists(st.integers(0, 3), min_size=8, max_size=30))
def test_every_fill_is_told_once_whatever_the_line_does(copies: list[int]) -> None:
    """Messages repeated and in any order: each trade is one report, and nothing comes twice."""
    ear = Ear(BINANCEUSDM, rules())
    ear.orders.add(KnownOrder.of(order(price="50000")))
    messages = [
        futures(),
        traded(1, "0.4", "0.4"),
        traded(2, "0.3", "0.7"),
        traded(3, "0.3", "1"),
    ]
    ear.hear(*(messages[which] for which in copies))
    trades = [report.fill.trade_id for report in ear.told if report.fill is not None]

    assert len(trades) == len(set(trades)) == len(set(copies) - {0})
    assert 1 >= sum(report.event is OrderEvent.ACCEPTED for report in ear.told)


def test_a_late_partial_fill_does_not_undo_an_end(ear: Ear) -> None:
    """An end is told once, with the venue's count; the late fill is told as a fill."""
    events = ear.hear(
        futures(),
        futures(x="CANCELED", X="CANCELED", z="0.4"),
        traded(1, "0.4", "0.4"),
        futures(x="CANCELED", X="CANCELED", z="0.4"),
    )

    assert ["accepted", "cancelled", "filled_partly"] == events
    assert Decimal("0.4") == ear.told[1].filled
    assert [NAME] == ear.checked[:1]


def test_a_gap_in_the_counts_is_asked_about(ear: Ear) -> None:
    """The second fill's message was lost: the third one's count shows it."""
    ear.hear(futures(), traded(1, "0.2", "0.2"), traded(3, "0.2", "0.6"))

    assert [NAME] == ear.checked


def test_a_liquidation_is_told_although_no_trade_is_listed(ear: Ear) -> None:
    """Its execution has no trade; it has an identity of its own, and comes once."""
    forced = futures(
        c="autoclose-123", S="SELL", x="CALCULATED", X="FILLED", l="1", z="1", L="49000", i=99
    )

    assert ["accepted", "filled_partly"] == ear.hear(forced, forced)
    fill = ear.told[1].fill
    assert fill is not None
    assert ("autoclose-123", "BTCUSDT:forced-99-1") == (fill.client_order_id, fill.trade_id)


def test_deleveraging_with_a_raw_status_is_told(ear: Ear) -> None:
    """``NEW_ADL`` is no status of ours; the execution counts all the same."""
    told = futures(c="adl_autoclose", x="CALCULATED", X="NEW_ADL", l="0.5", z="0.5", L="49000", i=7)

    assert ["accepted", "filled_partly"] == ear.hear(told)


def test_a_stop_keeps_its_name_when_it_becomes_another_order(ear: Ear) -> None:
    """What it becomes has the venue's other id: its fills are the stop's."""
    algo = {"caid": NAME, "aid": 555, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT",
            "S": "BUY", "ps": "BOTH", "X": "NEW", "ai": "", "q": "1"}  # fmt: skip
    events = ear.hear(
        {"e": "ALGO_UPDATE", "T": 5, "o": algo},
        {"e": "ALGO_UPDATE", "T": 6, "o": {**algo, "X": "TRIGGERED", "ai": "777"}},
        traded(1, "1", "1", c="x-other", i=777),
    )

    assert ["accepted", "filled"] == events
    assert {NAME} == {report.client_order_id for report in ear.told}


def test_an_order_of_somebody_else_is_told_under_its_own_name(ear: Ear) -> None:
    """It is not taken for ours, and not swallowed."""
    assert ["accepted"] == ear.hear(futures(c="web_1", i=1))
    assert "web_1" == ear.told[0].client_order_id


def test_a_market_that_is_not_traded_is_counted_only(ear: Ear) -> None:
    """What the session does not list it has no rules for."""
    assert [] == ear.hear(futures(s="ETHUSDT"))
    assert 1 == ear.listener.foreign


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"e": "TRADE_LITE"},
        {"result": None, "id": 1},
        {"e": "ACCOUNT_UPDATE", "a": {}},
        [],
        "pong",
    ],
)
def test_other_messages_are_nothing(ear: Ear, message: Any) -> None:
    """Heartbeats, balances and acknowledgements tell of no order."""
    assert [] == ear.hear(message)


def spot(**given: object) -> dict[str, Any]:
    """Return a message of the spot stream, wrapped as its socket does."""
    body = {**futures(**given)["o"], "e": "executionReport", "C": "", "r": "NONE"}
    return {"subscriptionId": 0, "event": {**body, **given}}


def test_a_fee_in_what_was_bought_makes_the_fill_smaller() -> None:
    """
    One coin less a thousandth is held, and paid for in full: booked so to the last digit.

    The order ends short of what was asked, and says why.
    """
    ear = Ear(BINANCE, rules(SPOT))
    ear.orders.add(KnownOrder.of(order(symbol=SPOT, price="50000")))
    ear.hear(spot(), spot(x="TRADE", X="FILLED", l="1", z="1", L="50000", n="0.001", N="BTC", t=4))
    fill, end = ear.told[1].fill, ear.told[2]

    assert fill is not None
    assert (Decimal("0.999"), Decimal(50), "USDT") == (fill.quantity, fill.fee, fill.fee_currency)
    assert Decimal(50_000) == fill.quantity * fill.price + fill.fee
    assert (OrderEvent.CANCELLED, Decimal("0.999")) == (end.event, end.filled)
    assert end.cause is not None
    assert ReasonCode.FILLED_AS_SENT is end.cause.code


def test_a_cancelled_spot_order_is_known_by_its_first_name() -> None:
    """The venue gives a cancel a name of its own and the order's beside it."""
    ear = Ear(BINANCE, rules(SPOT))
    ear.orders.add(KnownOrder.of(order(symbol=SPOT, price="50000")))
    ear.hear(spot(), spot(x="CANCELED", X="CANCELED", c="cancel-1", C=NAME))

    assert [NAME, NAME] == [report.client_order_id for report in ear.told]
    assert OrderEvent.CANCELLED is ear.told[1].event


def test_where_messages_do_not_say_all_they_only_make_us_ask() -> None:
    """Whatever form they have: an id of an order of ours anywhere in them is enough."""
    ear = Ear(BYBIT, rules())
    known = ear.orders.add(KnownOrder.of(order(price="50000")))
    ear.orders.identify(known, "abc-1")
    ear.hear({"topic": "execution", "data": [{"orderId": "abc-1", "execQty": "1"}]})
    ear.hear({"topic": "order", "data": [{"orderLinkId": NAME}]}, {"op": "pong"})

    assert [] == ear.told
    assert [NAME, NAME] == ear.checked


def test_our_id_is_found_in_the_form_that_the_venue_gives_it() -> None:
    """Where an id goes out in another alphabet it comes back in it."""
    ear = Ear(OKX, rules())
    ear.orders.add(KnownOrder.of(order(price="50000")))
    ear.hear({"data": [{"clOrdId": encoded(NAME, OKX)}]}, {"data": [{"clOrdId": "tgZotherZ1"}]})

    assert [NAME] == ear.checked


def test_an_order_that_is_filled_as_sent_is_over() -> None:
    """What was below the venue's step is not waited for for ever."""
    ear = Ear(BINANCEUSDM, rules())
    ear.orders.add(KnownOrder.of(order(quantity="1.0004", price="50000")))
    events = ear.hear(futures(), traded(1, "1", "1"))

    assert ["accepted", "filled_partly", "cancelled"] == events
    assert BTC == ear.told[1].fill.symbol  # type: ignore[union-attr]


def waiting(status: str, becomes: str = "") -> dict[str, Any]:
    """Return a message about an order of ours that waits for a price."""
    told = {
        "caid": NAME, "aid": 815, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT",
        "S": "SELL", "ps": "BOTH", "q": "1", "X": status, "ai": becomes, "rm": "",
    }  # fmt: skip
    return {"e": "ALGO_UPDATE", "T": 1_700_000_000_400, "E": 2, "o": told}


@pytest.mark.parametrize(("is_late", "asked"), [(False, []), (True, [NAME])])
def test_a_stop_whose_trade_comes_before_the_word_whose_it_is_is_asked_for(
    ear: Ear, *, is_late: bool, asked: list[str]
) -> None:
    """Its trade was told as a stranger's: without a question nobody would book it as ours."""
    became = waiting("TRIGGERED", "99")
    trade = traded(7, "1", "1", i=99, c="whatever-the-venue-likes", S="SELL")
    ear.hear(waiting("NEW"), *((trade, became) if is_late else (became, trade)))
    fills = [report for report in ear.told if report.fill is not None]

    assert ["whatever-the-venue-likes" if is_late else NAME] == [
        report.client_order_id for report in fills
    ]
    assert asked == ear.checked
