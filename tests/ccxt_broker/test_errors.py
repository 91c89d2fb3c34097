"""What is certain after a call: the table of research 5.2, with ccxt's own classes."""

from __future__ import annotations

import asyncio
import json

import ccxt
import pytest
from aiohttp import ClientConnectorError, ClientPayloadError, ServerDisconnectedError
from aiohttp.client_reqrep import ConnectionKey

from brokers.ccxt.capabilities import BINANCEUSDM, TABLE
from brokers.ccxt.errors import (
    BAN_MS,
    REFUSALS,
    Failure,
    NotSent,
    Refused,
    Stamp,
    TooMany,
    Unknown,
    judged,
    said,
)
from brokers.ccxt.redaction import Redactor
from messages import ReasonCode

HIDE = Redactor(["a-secret-key"])
HOST = ConnectionKey(
    "h", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


def judge(
    error: BaseException,
    status: int | None = None,
    body: object = None,
    *,
    venue: str = "binanceusdm",
    cause: BaseException | None = None,
    headers: dict[str, str] | None = None,
) -> Failure:
    """Return what is certain after ``error``, stamped as the client does it."""
    if status is not None:
        text = body if isinstance(body, str) else json.dumps(body)
        error.stamp = Stamp(status, headers or {}, text)  # type: ignore[attr-defined]
    error.__cause__ = cause
    return judged(error, TABLE[venue], HIDE)


def binance(code: int, words: str = "no") -> dict[str, object]:
    """Return an error as Binance writes it."""
    return {"code": code, "msg": words}


@pytest.mark.parametrize(
    ("error", "status", "body", "cause"),
    [
        (ccxt.RequestTimeout("x"), None, None, TimeoutError()),
        (ccxt.ExchangeNotAvailable("x"), None, None, ServerDisconnectedError()),
        (ccxt.ExchangeError("x"), None, None, ClientPayloadError()),
        (ccxt.ExchangeNotAvailable("x"), 500, "<html>", None),
        (ccxt.ExchangeNotAvailable("x"), 503, "<html>", None),
        (ccxt.RequestTimeout("x"), 504, "<html>", None),
        (ccxt.OperationFailed("x"), 400, binance(-1000), None),
        (ccxt.OperationFailed("x"), 400, binance(-1001), None),
        (ccxt.OperationFailed("x"), 400, binance(-1006), None),
        (ccxt.OperationFailed("x"), 400, binance(-1008), None),
        (ccxt.RequestTimeout("x"), 400, binance(-1007), None),
        (ccxt.ExchangeError("x"), 500, binance(-9999), None),
        (ccxt.ExchangeError("x"), 400, binance(-9999), None),
        (ccxt.ExchangeNotAvailable("x"), 403, "", None),
        (ccxt.ExchangeNotAvailable("x"), 404, "", None),
        (ccxt.BadResponse("x"), 200, "", None),
        (ccxt.NullResponse("x"), 200, "", None),
        (
            ccxt.InvalidOrder("x"),
            503,
            binance(-2010),
            None,
        ),  # a server error is unknown by any name
        (KeyError("orderId"), None, None, None),
        (asyncio.CancelledError(), None, None, None),
        (TimeoutError(), None, None, None),
    ],
)
def test_whatever_is_not_certain_is_unknown(
    error: BaseException, status: int | None, body: object, cause: BaseException | None
) -> None:
    """An order after any of these may be live: it is in doubt, never rejected."""
    assert isinstance(judge(error, status, body, cause=cause), Unknown)


@pytest.mark.parametrize(
    ("error", "status", "code", "reason"),
    [
        (ccxt.InvalidOrder("x"), 400, -2010, ReasonCode.VENUE_REJECTED),
        (ccxt.InvalidOrder("x"), 400, -2022, ReasonCode.VENUE_REDUCE_ONLY),
        (ccxt.InvalidOrder("x"), 400, -4164, ReasonCode.NOTIONAL_BELOW_MIN),
        (ccxt.InsufficientFunds("x"), 400, -2019, ReasonCode.VENUE_INSUFFICIENT_FUNDS),
        (ccxt.InsufficientFunds("x"), 400, -2018, ReasonCode.VENUE_INSUFFICIENT_FUNDS),
        (ccxt.OrderImmediatelyFillable("x"), 400, -2021, ReasonCode.VENUE_REJECTED),
        (ccxt.OrderNotFillable("x"), 400, -5022, ReasonCode.POST_ONLY_WOULD_TAKE),
        (ccxt.OperationRejected("x"), 400, -2027, ReasonCode.VENUE_REJECTED),
        (ccxt.OperationRejected("x"), 400, -4061, ReasonCode.VENUE_REJECTED),
        (ccxt.PermissionDenied("x"), 400, -4400, ReasonCode.VENUE_REJECTED),
        (ccxt.AuthenticationError("x"), 401, -2015, ReasonCode.VENUE_REJECTED),
        (ccxt.BadSymbol("x"), 400, -1121, ReasonCode.VENUE_REJECTED),
        (ccxt.BadRequest("x"), 400, -1102, ReasonCode.VENUE_REJECTED),
        (ccxt.DDoSProtection("x"), 400, -1015, ReasonCode.VENUE_RATE_LIMITED),
        (ccxt.DDoSProtection("x"), 429, -1003, ReasonCode.VENUE_RATE_LIMITED),
        (ccxt.DDoSProtection("x"), 418, -1003, ReasonCode.VENUE_RATE_LIMITED),
    ],
)
def test_a_definite_no_is_a_rejection_with_a_code(
    error: BaseException, status: int, code: int, reason: ReasonCode
) -> None:
    """The list of classes that always are one, and the venue's own codes."""
    found = judge(error, status, binance(code))

    assert isinstance(found, Refused)
    assert reason is found.cause.code
    assert str(code) == found.code


@pytest.mark.parametrize(
    ("status", "code", "too_many", "wait_ms"),
    [
        (429, -1003, TooMany.REQUESTS, 0),
        (429, -1015, TooMany.ORDERS, 0),
        (418, -1003, TooMany.BANNED, BAN_MS),
    ],
)
def test_what_there_was_too_much_of_is_told_apart(
    status: int, code: int, too_many: TooMany, wait_ms: int
) -> None:
    """Orders, requests, or a ban: which without a time of its own is not asked about at once."""
    found = judge(ccxt.DDoSProtection("x"), status, binance(code))

    assert isinstance(found, Refused)
    assert (too_many, wait_ms) == (found.too_many, found.retry_after_ms)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-2022, ReasonCode.VENUE_REDUCE_ONLY),
        (-2019, ReasonCode.VENUE_INSUFFICIENT_FUNDS),
        (-2021, ReasonCode.VENUE_REJECTED),
        (-4023, ReasonCode.VENUE_REJECTED),
        (-1015, ReasonCode.VENUE_RATE_LIMITED),
    ],
)
def test_a_code_of_the_row_is_certain_although_ccxt_does_not_know_it(
    code: int, reason: ReasonCode
) -> None:
    """
    ccxt looks its classes up by the host's address; behind another one all are a plain error.

    A server error stays unknown by any code.
    """
    found = judge(ccxt.ExchangeError("x"), 400, binance(code))

    assert isinstance(found, Refused)
    assert reason is found.cause.code
    assert isinstance(judge(ccxt.ExchangeError("x"), 502, binance(code)), Unknown)


def test_a_clock_that_is_off_is_known_by_its_code_too() -> None:
    """Where ccxt has no class for it, the clock is compared all the same."""
    found = judge(ccxt.ExchangeError("x"), 400, binance(-1021))

    assert isinstance(found, Refused)
    assert found.is_clock


@pytest.mark.parametrize("error", [ccxt.ArgumentsRequired("x"), ccxt.NotSupported("x")])
def test_what_ccxt_refuses_by_itself_has_not_left(error: BaseException) -> None:
    """No answer was there, and none was needed."""
    assert isinstance(judge(error), Refused)


def test_only_a_connection_that_was_never_made_is_certainly_not_sent() -> None:
    """The same class with any other cause is unknown: it also stands for a dropped reply."""
    never = ClientConnectorError(HOST, OSError("refused"))

    assert isinstance(judge(ccxt.ExchangeNotAvailable("x"), cause=never), NotSent)
    assert isinstance(
        judge(ccxt.ExchangeNotAvailable("x"), cause=ServerDisconnectedError()), Unknown
    )
    assert isinstance(judge(ccxt.RequestTimeout("x"), cause=never), Unknown)


def test_no_class_is_a_refusal_by_inheritance() -> None:
    """The list is of exact classes: a new child of one, or its parents, are unknown."""

    class Newer(ccxt.InvalidOrder):  # type: ignore[misc]
        """What a later ccxt may have."""

    assert isinstance(judge(Newer("x")), Unknown)
    for bare in (
        "BaseError",
        "ExchangeError",
        "OperationFailed",
        "NetworkError",
        "ExchangeNotAvailable",
    ):
        assert bare not in REFUSALS
        assert isinstance(judge(getattr(ccxt, bare)("x")), Unknown)
    assert all(hasattr(ccxt, name) for name in REFUSALS)


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("binanceusdm", binance(-4116, "ClientOrderId is duplicated.")),
        ("binance", binance(-2010, "Duplicate order sent.")),
        ("bybit", {"retCode": 110072, "retMsg": "OrderLinkedID is duplicate"}),
        ("okx", {"code": "1", "data": [{"sCode": "51016", "sMsg": "Duplicated client order ID"}]}),
    ],
)
def test_a_duplicate_is_probably_ours(venue: str, body: object) -> None:
    """None of them raises ccxt's class for it: they are told by their codes, and asked about."""
    found = judge(ccxt.InvalidOrder("x"), 200, body, venue=venue)

    assert isinstance(found, Refused)
    assert found.is_duplicate


def test_spots_other_refusals_of_the_same_code_are_no_duplicates() -> None:
    """Binance's -2010 is a new order's refusal for any reason; its words tell which."""
    found = judge(
        ccxt.InvalidOrder("x"), 400, binance(-2010, "Order would trigger"), venue="binance"
    )

    assert isinstance(found, Refused)
    assert not found.is_duplicate


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("bybit", {"retCode": 10000, "retMsg": "Server Timeout"}),
        ("bybit", {"retCode": 10016, "retMsg": "Server error."}),
        ("kraken", {"error": ["EService:Timeout"]}),
    ],
)
def test_a_venues_own_time_out_is_no_rejection(venue: str, body: object) -> None:
    """ccxt raises a plain ExchangeError, which looks final."""
    assert isinstance(judge(ccxt.ExchangeError("x"), 200, body, venue=venue), Unknown)


def test_an_unknown_order_says_so_whatever_its_class() -> None:
    """kraken raises InvalidOrder for it."""
    found = judge(ccxt.InvalidOrder("x"), 200, {"error": ["EOrder:Unknown order"]}, venue="kraken")

    assert isinstance(found, Refused)
    assert found.is_unknown
    assert judge(ccxt.OrderNotFound("x"), 400, binance(-2013)) == Refused(
        found.cause.__class__(ReasonCode.UNKNOWN_ORDER, "OrderNotFound http=400 code=-2013 no"),
        "-2013",
        is_unknown=True,
    )


def test_a_clock_that_is_off_is_a_refusal_that_says_so() -> None:
    """The order came to nothing; the clock is compared anew."""
    found = judge(ccxt.InvalidNonce("x"), 400, binance(-1021))

    assert isinstance(found, Refused)
    assert found.is_clock


def test_a_rate_limit_says_how_long() -> None:
    """By the header, in milliseconds; 0 where there is none."""
    found = judge(ccxt.DDoSProtection("x"), 429, "", headers={"Retry-After": "7"})
    silent = judge(ccxt.DDoSProtection("x"), 429, "")

    assert isinstance(found, Refused)
    assert 7_000 == found.retry_after_ms
    assert isinstance(silent, Refused)
    assert 0 == silent.retry_after_ms


def test_no_failure_shows_a_key_or_a_signature() -> None:
    """Not by the text of ccxt's exception, nor by the venue's words."""
    text = "binanceusdm GET https://fapi.binance.com/x?signature=00ff&apiKey=a-secret-key"
    for found in (
        judge(ccxt.RequestTimeout(text)),
        judge(ccxt.ExchangeError(text), cause=ClientPayloadError(text)),
        judge(ccxt.BadRequest(text)),
        judge(ccxt.BadRequest(text), 400, binance(-1, text)),
        judge(RuntimeError(text)),
    ):
        assert "a-secret-key" not in repr(found)
        assert "00ff" not in repr(found)


@pytest.mark.parametrize(
    "body", ["", "<html>", "null", "[]", "{}", "7", '"text"', "[1]", '{"data":[]}']
)
def test_a_body_without_an_error_has_no_code(body: str) -> None:
    """Whatever comes in place of one, nothing fails over it."""
    assert ("", "") == said(body)


def test_the_row_that_is_judged_by_is_the_venues() -> None:
    """The same code at another venue is another venue's business."""
    assert "-4116" in BINANCEUSDM.duplicate_codes
    found = judge(ccxt.InvalidOrder("x"), 200, binance(-4116), venue="okx")

    assert isinstance(found, Refused)
    assert not found.is_duplicate
