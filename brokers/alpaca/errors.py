"""
What Alpaca's answers come to, under the names by which ``brokers.ccxt.errors`` judges.

A definite refusal is an HTTP status in a list *and* Alpaca's own words as JSON: what a proxy in
front of it says proves nothing. Everything else is ``ExchangeError``, which is no refusal.
"""

from __future__ import annotations

import json
from typing import Final

from brokers.ccxt.errors import Stamp

REFUSING: Final = frozenset({400, 401, 403, 404, 422, 429})
"""Statuses by which a request has certainly come to nothing, with Alpaca's words in them."""

ORDERS: Final = "/v2/orders"


class AlpacaError(Exception):
    """An answer that is none, or no answer; ``stamp`` is what came."""

    stamp: Stamp | None = None


class ExchangeNotAvailable(AlpacaError):
    """No connection, by its cause; or a server's own fault."""


class RequestTimeout(AlpacaError):
    """No answer in time."""


class NetworkError(AlpacaError):
    """The connection broke under way."""


class ExchangeError(AlpacaError):
    """Nobody knows."""


class AuthenticationError(AlpacaError):
    """The key is not taken."""


class PermissionDenied(AlpacaError):
    """The account may not."""


class InsufficientFunds(AlpacaError):
    """Too little buying power, or too few shares."""


class InvalidOrder(AlpacaError):
    """An order that Alpaca does not take."""


class NotSupported(AlpacaError):
    """An order that is not sent: Alpaca would not take it, or would take it for another."""


class BadRequest(AlpacaError):
    """A question that Alpaca does not take."""


class BadSymbol(AlpacaError):
    """No such share."""


class OrderNotFound(AlpacaError):
    """No such order, or one that is over and cannot be cancelled any more."""


class RateLimitExceeded(AlpacaError):
    """Too many requests."""


def error_of(status: int, method: str, path: str, stamp: Stamp) -> AlpacaError:
    """Return what an answer that is not a success comes to."""
    message = words_of(stamp.body)
    kind: type[AlpacaError]
    if status >= 500:
        kind = ExchangeNotAvailable
    elif message is None or status not in REFUSING:
        kind = ExchangeError
    else:
        kind = _refusal(status, method, path, message)
    error = kind(message or f"HTTP {status}")
    error.stamp = stamp
    return error


def _refusal(status: int, method: str, path: str, message: str) -> type[AlpacaError]:
    about_orders = path.startswith(ORDERS)
    if status == 401:
        return AuthenticationError
    if status == 429:
        return RateLimitExceeded
    if status == 403:
        return InsufficientFunds if message.startswith("insufficient") else PermissionDenied
    if about_orders and method != "POST" and (status == 404 or method == "DELETE"):
        return OrderNotFound
    if about_orders and method == "POST":
        return InvalidOrder
    return BadSymbol if status == 404 else BadRequest


def words_of(body: str) -> str | None:
    """Return Alpaca's message in an answer, ``None`` where it is not Alpaca's."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    message = document.get("message") if isinstance(document, dict) else None
    return message if isinstance(message, str) else None
