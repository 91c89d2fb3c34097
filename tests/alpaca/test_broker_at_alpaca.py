"""The Alpaca broker at the stand-in: orders, fills, the account, and what exactly was sent."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca_house import KEYS, SPY, at_work, bar, desk, opened, terms
from ccxt_house import order as any_order
from msgspec.structs import replace

from brokers.contract import VenueUnreachable
from messages import (
    Cause,
    OrderRequest,
    OrderType,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
    VenuePayment,
    VenueTrades,
)

ONE, TWO = "tg-0123456789-1", "tg-0123456789-2"
BOOK = (SPY, PositionSide.BOTH)


def order(name: str = ONE, quantity: str = "2", **given: object) -> OrderRequest:
    """Return an order of the share."""
    return any_order(name, quantity, symbol=SPY, **given)  # type: ignore[arg-type]


async def test_an_order_goes_out_once_in_exact_words_and_its_fill_comes_back(
    tmp_path: Path,
) -> None:
    """One POST to the paper host with the key's id; text for numbers; the fill named by count."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(quantity="0.123456789"), 1)
        await at.until(lambda: "filled" in at.life(ONE))
        await at.quiet()
        hits = at.sent("POST")
        account = at.broker.account()

    assert ["accepted", "filled"] == at.life(ONE)
    assert [("paper-api.alpaca.markets", KEYS.key_id)] == [(hit.host, hit.key_id) for hit in hits]
    assert (
        '{"symbol": "SPY", "qty": "0.123456789", "side": "buy", "type": "market", '
        f'"time_in_force": "day", "client_order_id": "{ONE}"}}'
    ) == hits[0].body
    fill = at.report(ONE).fill
    assert fill is not None
    assert (Decimal("0.123456789"), Decimal(400), Decimal(0), "USD") == (
        fill.quantity,
        fill.price,
        fill.fee,
        fill.fee_currency,
    )
    assert fill.trade_id.startswith("SPY:")
    assert fill.trade_id.endswith(":0.123456789")
    assert {BOOK: Decimal("0.123456789")} == account.positions


async def test_an_order_that_is_held_while_it_waits_does_not_leave(tmp_path: Path) -> None:
    """It is looked at when it has its connection, and rejected for the hold's own cause."""
    held = Cause(ReasonCode.HELD, "hold=kill")
    async with desk(tmp_path) as at:
        at.broker._at.calls.lanes.left_alone(0.3)
        at.broker.submit(order(), 1)
        at.broker.look = lambda _request: held
        await at.until(lambda: bool(at.life(ONE)))

        assert ["rejected"] == at.life(ONE)
        assert held == at.report(ONE).cause
        assert [] == at.sent("POST")


async def test_each_kind_of_order_is_said_in_alpacas_words(tmp_path: Path) -> None:
    """Limits rest until cancelled, stops too, what is for the day says so; prices are text."""
    async with desk(tmp_path) as at:
        for number, given in enumerate(
            (
                {"price": "390.5"},
                {"price": "390.5", "tif": TimeInForce.DAY},
                {"price": "390.5", "tif": TimeInForce.IOC},
                {"price": "390.5", "tif": TimeInForce.FOK},
                {"kind": OrderType.STOP, "stop": "410.55"},
                {"kind": OrderType.STOP, "stop": "410.55", "tif": TimeInForce.DAY},
                {"kind": OrderType.STOP_LIMIT, "stop": "410.55", "price": "411"},
            )
        ):
            at.broker.submit(order(f"{ONE}{number}", "3", **given), 1)
            await at.quiet()
        said = [json.loads(hit.body) for hit in at.sent("POST")]

    words = ("type", "time_in_force", "limit_price", "stop_price", "qty")
    assert [
        ("limit", "gtc", "390.5", None, "3"),
        ("limit", "day", "390.5", None, "3"),
        ("limit", "ioc", "390.5", None, "3"),
        ("limit", "fok", "390.5", None, "3"),
        ("stop", "gtc", None, "410.55", "3"),
        ("stop", "day", None, "410.55", "3"),
        ("stop_limit", "gtc", "411", "410.55", "3"),
    ] == [tuple(each.get(word) for word in words) for each in said]


async def test_a_limit_for_the_day_may_trade_outside_the_session_if_that_is_wanted(
    tmp_path: Path,
) -> None:
    """Only such an order says so: of any other Alpaca would refuse it."""
    async with desk(tmp_path, options={"extended_hours": True}) as at:
        at.broker.submit(order(ONE, price="390", tif=TimeInForce.DAY), 1)
        at.broker.submit(order(TWO, price="390"), 1)
        await at.until(lambda: bool(at.life(ONE)) and bool(at.life(TWO)))
        said = {
            (each := json.loads(hit.body))["client_order_id"]: each.get("extended_hours")
            for hit in at.sent("POST")
        }

    assert {ONE: True, TWO: None} == said


async def test_a_fraction_that_would_rest_is_refused_before_it_leaves(tmp_path: Path) -> None:
    """Alpaca takes fractions for the day only; the reason is told, and nothing was sent."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(quantity="0.5", price="390"), 1)
        await at.until(lambda: "rejected" in at.life(ONE))
        cause = at.report(ONE).cause

        assert [] == at.sent("POST")
    assert cause is not None
    assert ReasonCode.VENUE_REJECTED is cause.code
    assert "fractions are good for the day only" in cause.detail


async def test_shares_that_are_not_sold_in_fractions_are_rounded_down(tmp_path: Path) -> None:
    """What goes out is never more than was asked for."""
    async with desk(tmp_path, fractions=False) as at:
        at.broker.submit(order(quantity="2.75"), 1)
        await at.until(lambda: bool({"filled", "cancelled"} & set(at.life(ONE))))
        (hit,) = at.sent("POST")

    assert "2" == json.loads(hit.body)["qty"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"quantity": "1000", "price": "390"}, ReasonCode.VENUE_INSUFFICIENT_FUNDS),
        ({"side": Side.SELL}, ReasonCode.VENUE_REJECTED),
        ({"side": Side.SELL, "reduce_only": True}, ReasonCode.VENUE_REDUCE_ONLY),
    ],
    ids=["too-little-money", "not-allowed-to-short", "nothing-to-close"],
)
async def test_what_alpaca_refuses_is_a_rejection_in_our_code(
    given: dict[str, object], code: ReasonCode, tmp_path: Path
) -> None:
    """By status, JSON and words; the order was asked for once and is over."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, **given), 1)  # type: ignore[arg-type]
        await at.until(lambda: "rejected" in at.life(ONE))
        cause = at.report(ONE).cause

        assert 1 == len(at.sent("POST"))
    assert cause is not None
    assert code is cause.code


async def test_an_id_that_alpaca_has_already_is_a_doubt_and_the_order_is_asked_for(
    tmp_path: Path,
) -> None:
    """It is probably ours: nothing is rejected, and the question finds it."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(price="390"), 1)
        await at.until(lambda: ["accepted"] == at.life(ONE))
        at.broker.orders = type(at.broker.orders)()
        at.broker._at.ordering._orders = at.broker.orders
        at.broker.submit(order(price="390"), 2)
        await at.until(lambda: "silence" in at.life(ONE))
        at.broker.query(ONE, 3)
        await at.until(lambda: bool(at.answers(ONE)))

        assert at.answers(ONE)[0].open
        assert 2 == len(at.sent("POST"))
        assert 1 == len(at.exchange.server.book.live())


async def test_a_cancel_is_one_request_and_a_second_one_is_none(tmp_path: Path) -> None:
    """Alpaca's id is remembered, so nothing is asked first; what is over is left alone."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(price="390"), 1)
        await at.until(lambda: ["accepted"] == at.life(ONE))
        at.broker.cancel(ONE, 2)
        await at.until(lambda: "cancelled" in at.life(ONE))
        at.broker.cancel(ONE, 3)
        await at.quiet()
        paths = [f"{hit.method} {hit.path}" for hit in at.exchange.server.hits]
        cancels = [place for place, path in enumerate(paths) if path.startswith("DELETE")]

        assert 1 == len(cancels)
        assert "GET /v2/orders:by_client_order_id" not in paths[: cancels[0]]
        assert [] == [each for each in at.tools if not each.ok]


async def test_an_order_in_parts_is_told_in_parts(tmp_path: Path) -> None:
    """Each by what its order counts after it, from the stream and from the list alike."""
    async with opened(
        tmp_path, listed=replace(terms(), participation=Decimal("0.001"))
    ) as exchange:
        await exchange.server.show(SPY, [bar(0)])
        async with at_work(exchange) as at:
            at.broker.submit(order(quantity="3", price="399.5"), 1)
            await at.until(lambda: bool(at.life(ONE)))
            for _ in range(4):
                await at.bar(399.0)
            await at.until(lambda: "filled" in at.life(ONE))
            told = at.fills()
            at.broker.list_trades(0, 9)
            await at.until(lambda: any(isinstance(each, VenueTrades) for each in at.news))
            listed = next(each for each in at.news if isinstance(each, VenueTrades))

    assert 2 <= len(told)
    assert Decimal(3) == sum(told.values())
    assert told == {fill.trade_id: fill.quantity for fill in listed.trades}


async def test_what_traded_while_nobody_was_there_is_in_the_survey(tmp_path: Path) -> None:
    """A process ends with an order at rest; the next one is told of its fill, under our names."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(SPY, [bar(0)])
        async with at_work(exchange) as at:
            at.broker.submit(order(TWO, "1"), 1)
            await at.until(lambda: "filled" in at.life(TWO))
            at.broker.submit(order(price="399"), 1)
            await at.until(lambda: ["accepted"] == at.life(ONE))
            state = at.broker.snapshot()
        await exchange.server.show(SPY, [bar(1, 398.0)])
        async with at_work(exchange, state=json.loads(json.dumps(state))) as again:
            again.broker.acquaint([order(price="399")])
            survey = await again.broker.survey()

    assert {ONE, TWO} == {fill.client_order_id for fill in survey.fills}
    assert {BOOK: Decimal(3)} == survey.account.positions


async def test_what_is_known_of_a_share_is_read_again(tmp_path: Path) -> None:
    """Whether it is traded in fractions may change: what was read before is replaced."""
    async with desk(tmp_path) as at:
        book = at.broker._at.rulebook
        found = dict(book.rules)
        book.rules[SPY] = dataclasses.replace(found[SPY], amount_step=Decimal(7))
        await book.read()

    assert found == book.rules
    assert [True] == [each.ok for each in at.tools if "other rules of SPY: lot_step" in each.detail]


async def test_the_account_is_read_in_few_requests(tmp_path: Path) -> None:
    """Open orders of all shares in one, cash and shares in two: two hundred a minute are few."""
    async with desk(tmp_path) as at:
        await at.quiet()
        before = len(at.exchange.server.hits)
        await at.broker.refresh()
        asked = [hit.path for hit in list(at.exchange.server.hits)[before:]]

    assert ["/v2/orders", "/v2/positions", "/v2/account"] == [
        path for path in asked if path != "/stream"
    ][:3]


async def test_the_secret_is_in_no_word_of_the_broker(tmp_path: Path) -> None:
    """Neither in its own texts nor in what a refused key makes it say."""
    with pytest.raises(VenueUnreachable) as refused:
        async with desk(tmp_path, secrets={"api_key": KEYS.key_id, "secret": "wrong-secret-words"}):
            pass

    assert "unauthorized" in str(refused.value)
    assert "wrong-secret-words" not in str(refused.value)
    assert KEYS.key_id not in str(refused.value)


def paid(place: int, amount: str, kind: str = "FEE") -> dict[str, str]:
    """Return an activity that moves money without a fill."""
    return {
        "id": f"202401020000{place:02d}000::{place}",
        "activity_type": kind,
        "date": "2024-01-02",
        "net_amount": amount,
    }


async def test_fees_and_dividends_are_payments_and_no_drift(tmp_path: Path) -> None:
    """What was booked before is left out; each that comes is counted once, with its sign."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(SPY, [bar(0)])
        exchange.server.payments = [paid(1, "-5")]
        async with at_work(exchange) as at:
            await at.broker.refresh()
            before = at.broker.account().funding
            exchange.server.payments += [paid(2, "-0.02"), paid(3, "1.50", "DIV")]
            exchange.server.account = {"cash": "100001.48"}
            # That money has moved without a trade is reason enough to ask for payments.
            await at.broker.refresh()
            await at.broker.refresh()
            after = at.broker.account()
            surveyed = await at.broker.survey()
            told = [each for each in at.news if isinstance(each, VenuePayment)]

    assert Decimal(0) == before
    # No share's position has to bear them: what is not booked is for the reconciler to name.
    assert [] == told
    assert () == surveyed.payments
    # Paid less received, as the books have it.
    assert Decimal("-1.48") == after.funding
    assert Decimal("100001.48") == after.net_flow
