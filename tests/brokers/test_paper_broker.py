"""The paper broker: the engine behind the contract that every broker keeps."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from brokers.paper import PaperBroker
from messages import (
    Bar,
    FundingRate,
    OrderEvent,
    OrderRequest,
    OrderType,
    PositionSide,
    Quote,
    Side,
    Tick,
    TimeInForce,
    VenueReport,
)

if TYPE_CHECKING:
    from brokers.contract import Broker
    from tests.brokers.conftest import VenueMaker

MINUTE = 60_000
PERPETUAL = "BTC/USDT:USDT"


def request(name: str, kind: OrderType = OrderType.MARKET, **terms: object) -> OrderRequest:
    """Return a buy of one."""
    return OrderRequest(
        order_id=name,
        client_order_id=name,
        strategy="s",
        symbol=PERPETUAL,
        side=Side.BUY,
        position_side=PositionSide.BOTH,
        order_type=kind,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(1),
        created_at=0,
        **terms,  # type: ignore[arg-type]
    )


def bar_at(timestamp: int, price: float) -> Bar:
    """Return a bar of one price."""
    return Bar(PERPETUAL, timestamp, price, price, price, price, 1.0, MINUTE)


@pytest.fixture
def delivered() -> list[VenueReport]:
    """Return where reports end up."""
    return []


@pytest.fixture
def broker(make_venue: VenueMaker, delivered: list[VenueReport]) -> PaperBroker:
    """Return a bound paper broker."""
    broker = PaperBroker(make_venue(PERPETUAL).engine)
    broker.bind(delivered.append)
    return broker


def events(delivered: list[VenueReport]) -> list[tuple[str, OrderEvent]]:
    """Return what was delivered, in short."""
    return [(report.client_order_id, report.event) for report in delivered]


def test_the_paper_broker_is_a_broker(broker: PaperBroker) -> None:
    """Execution needs no more of it than of any other."""
    contract: Broker = broker

    assert "paper" == contract.name


def test_reports_are_delivered_in_the_order_of_the_venue(
    broker: PaperBroker, delivered: list[VenueReport]
) -> None:
    """Acceptance, fills and cancels all come through the one way."""
    broker.submit(request("a"), 0)
    broker.submit(request("b", OrderType.LIMIT, price=Decimal(90)), 0)
    broker.on_bar(bar_at(0, 100.0))
    broker.cancel("b", MINUTE)
    broker.cancel("b", MINUTE)

    assert [
        ("a", OrderEvent.ACCEPTED),
        ("b", OrderEvent.ACCEPTED),
        ("a", OrderEvent.FILLED),
        ("b", OrderEvent.CANCELLED),
    ] == events(delivered)


def test_all_kinds_of_data_reach_the_venue(
    broker: PaperBroker, delivered: list[VenueReport]
) -> None:
    """Quotes and trades fill, time ends, funding pays."""
    broker.submit(request("a"), 0)
    broker.on_quote(Quote(PERPETUAL, 1, 99.0, 101.0, 1.0, 1.0))
    broker.submit(request("b"), 1)
    broker.on_tick(Tick(PERPETUAL, 2, 100.0, 1.0))
    broker.submit(request("c", expire_at=5), 2)
    assert 5 == broker.next_end()
    broker.on_time(5)
    (payment,) = broker.on_funding(FundingRate(PERPETUAL, 6, 0.01), 100.0)

    assert [OrderEvent.FILLED, OrderEvent.FILLED, OrderEvent.EXPIRED] == [
        report.event for report in delivered if report.event is not OrderEvent.ACCEPTED
    ]
    assert Decimal(-2) == payment.amount


def test_what_a_report_sets_off_may_submit_at_once(broker: PaperBroker) -> None:
    """A receiver may place its next order from within the delivery of a fill."""
    seen: list[VenueReport] = []

    def receive(report: VenueReport) -> None:
        seen.append(report)
        if report.event is OrderEvent.FILLED and report.client_order_id == "a":
            broker.submit(request("c"), MINUTE)
            broker.cancel("b", MINUTE)

    broker.bind(receive)
    broker.submit(request("a"), 0)
    broker.submit(request("b", OrderType.LIMIT, price=Decimal(90)), 0)
    broker.on_bar(bar_at(0, 100.0))
    broker.on_bar(bar_at(MINUTE, 101.0))

    assert [("c", OrderEvent.ACCEPTED), ("b", OrderEvent.CANCELLED), ("c", OrderEvent.FILLED)] == (
        events(seen)[3:]
    )


def test_working_orders_show_at_the_broker(broker: PaperBroker) -> None:
    """The mapping that spares idle symbols a call is the engine's own."""
    working = broker.working
    broker.submit(request("a"), 0)

    assert [PERPETUAL] == list(working)
    broker.on_bar(bar_at(0, 100.0))
    assert not working


def test_a_restarted_broker_keeps_its_resting_orders(
    broker: PaperBroker, make_venue: VenueMaker, delivered: list[VenueReport]
) -> None:
    """A snapshot of the broker is a snapshot of its venue."""
    broker.submit(request("a"), 0)
    again = PaperBroker(make_venue(PERPETUAL).engine)
    again.bind(delivered.append)
    again.restore(broker.snapshot())
    again.on_bar(bar_at(0, 100.0))

    assert ("a", OrderEvent.FILLED) == events(delivered)[-1]


def test_a_broker_that_nobody_listens_to_says_so(make_venue: VenueMaker) -> None:
    """News without a receiver is a programming error, not silence."""
    broker = PaperBroker(make_venue(PERPETUAL).engine)

    with pytest.raises(AssertionError, match=r"news before bind: .*'a'"):
        broker.submit(request("a"), 0)
