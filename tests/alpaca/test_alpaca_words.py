"""What Alpaca's answers and documents come to: pure."""

from __future__ import annotations

from decimal import Decimal

import pytest
from alpaca_house import KEYS

from brokers.alpaca.errors import error_of
from brokers.alpaca.transport import OnlyHosts
from brokers.alpaca.wording import STATUSES, balance_of, market_of, order_fields, trade_of
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.errors import Refused, Stamp, Unknown, judged
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.stream import stamp_ms
from messages import ReasonCode

ROW = capabilities_of("alpaca")
PAGE = "<html><body>no</body></html>"


def verdict(status: int, body: str, method: str = "POST", path: str = "/v2/orders") -> object:
    """Return what is certain after an answer."""
    error = error_of(status, method, path, Stamp(status, {}, body))
    return judged(error, ROW, Redactor([KEYS.secret]))


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, '{"code": 40310000, "message": "insufficient buying power"}', "insufficient"),
        (403, '{"code": 40310000, "message": "insufficient qty available"}', "insufficient"),
        (403, '{"message": "forbidden."}', "rejected"),
        (422, '{"code": 42210000, "message": "fractional orders must be DAY orders"}', "rejected"),
        (422, '{"code": 42210000, "message": "position intent mismatch, inferred"}', "reduce"),
        (400, '{"code": 40010000, "message": "request body format is invalid"}', "rejected"),
        (401, '{"message": "unauthorized."}', "rejected"),
        (429, '{"code": 42910000, "message": "rate limit exceeded"}', "limited"),
    ],
)
def test_a_refusal_is_a_status_of_the_list_with_alpacas_words(
    status: int, body: str, code: str
) -> None:
    """In our own code, with Alpaca's words in the detail."""
    found = verdict(status, body)
    codes = {
        "insufficient": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        "rejected": ReasonCode.VENUE_REJECTED,
        "reduce": ReasonCode.VENUE_REDUCE_ONLY,
        "limited": ReasonCode.VENUE_RATE_LIMITED,
    }

    assert isinstance(found, Refused)
    assert codes[code] is found.cause.code
    assert not found.is_duplicate
    assert not found.is_unknown


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, PAGE),
        (422, PAGE),
        (404, PAGE),
        (422, '{"error": "no"}'),
        (302, ""),
        (402, '{"code": 1, "message": "no"}'),
        (408, '{"code": 1, "message": "time out"}'),
        (409, '{"code": 1, "message": "conflict"}'),
        (500, '{"code": 50010000, "message": "internal server error occurred"}'),
        (502, PAGE),
        (504, '{"message": "gateway time-out"}'),
    ],
)
def test_everything_else_is_in_doubt(status: int, body: str) -> None:
    """Pages of proxies, statuses outside of the list, and a server's own faults."""
    assert isinstance(verdict(status, body), Unknown)


def test_an_id_that_is_there_already_is_told_apart() -> None:
    """By its words: the code stands for every wrong field."""
    found = verdict(422, '{"code": 40010001, "message": "client_order_id must be unique"}')

    assert isinstance(found, Refused)
    assert found.is_duplicate


@pytest.mark.parametrize(
    ("method", "status", "message"),
    [
        ("GET", 404, "order not found for tg-1"),
        ("DELETE", 404, "order not found for tg-1"),
        ("DELETE", 422, 'order is already in "filled" state'),
    ],
)
def test_an_order_that_is_not_there_any_more_is_not_known(
    method: str, status: int, message: str
) -> None:
    """What became of it is for the next question to show."""
    body = f'{{"code": {status}10000, "message": {message!r}}}'.replace("'", '"')
    body = (
        body.replace('""', '"')
        if '"filled"' not in message
        else ('{"code": 42210000, "message": "order is already in \\"filled\\" state"}')
    )
    found = verdict(status, body, method, "/v2/orders/1")

    assert isinstance(found, Refused)
    assert found.is_unknown


def test_a_secret_in_an_answer_is_not_said() -> None:
    """Whoever puts it there."""
    found = verdict(422, f'{{"code": 1, "message": "bad key {KEYS.secret}"}}')

    assert isinstance(found, Refused)
    assert KEYS.secret not in found.cause.detail
    assert KEYS.secret not in repr(KEYS)


async def test_a_paper_session_reaches_no_other_host() -> None:
    """The host where money is is refused before anybody is asked for its address."""
    hosts = OnlyHosts(frozenset({"paper-api.alpaca.markets"}))
    try:
        with pytest.raises(OSError, match=r"^api\.alpaca\.markets is none of paper-api"):
            await hosts.resolve("api.alpaca.markets", 443)
    finally:
        await hosts.close()


def test_every_status_of_alpaca_py_is_known() -> None:
    """One that is not would make an order unreadable."""
    from brokers.alpaca.loaded import module

    statuses = module("alpaca.trading.enums").OrderStatus

    assert {each.value for each in statuses} == set(STATUSES)


def test_a_moment_is_cut_off_to_milliseconds() -> None:
    """With a zone or Z, with as many digits as Alpaca likes, or none."""
    at = 1_700_000_000_123

    assert at == stamp_ms("2023-11-14T22:13:20.123999999Z")
    assert at == stamp_ms("2023-11-14T17:13:20.123-05:00")
    assert 1_700_000_000_000 == stamp_ms("2023-11-14T22:13:20Z")
    assert 0 == stamp_ms(None)


def test_a_fill_is_named_the_same_wherever_it_is_heard_of() -> None:
    """By what its order counts after it; zeros at the end are no difference."""
    activity = {
        "order_id": "o-1",
        "cum_qty": "1.50",
        "qty": "0.5",
        "price": "10",
        "symbol": "SPY",
        "side": "sell_short",
        "transaction_time": "2023-11-14T22:13:20Z",
    }
    trade = trade_of(activity)

    assert ("o-1:1.5", "sell", "0.5") == (trade["id"], trade["side"], trade["amount"])


def test_what_is_sold_short_is_below_zero() -> None:
    """Whether Alpaca writes the shares with a sign or without."""
    positions = [
        {"symbol": "A", "qty": "-3", "side": "short"},
        {"symbol": "B", "qty": "3", "side": "short"},
        {"symbol": "C", "qty": "3", "side": "long"},
    ]

    assert {"A": "-3", "B": "-3", "C": "3", "USD": "7.5"} == balance_of({"cash": "7.5"}, positions)[
        "total"
    ]


def test_what_is_no_share_is_refused() -> None:
    """Coins have fees in themselves and other rules."""
    with pytest.raises(Exception, match="BTC/USD is crypto: only US shares"):
        market_of({"symbol": "BTC/USD", "class": "crypto"})


def test_what_only_closes_says_so() -> None:
    """To the side that it is on."""
    params = {"clientOrderId": "tg-1", "reduceOnly": True}

    for side in ("buy", "sell"):
        fields = order_fields("SPY", "market", side, "1", None, params, extended_hours=False)
        assert f"{side}_to_close" == fields["position_intent"]
    assert Decimal(fields["qty"]) == 1
