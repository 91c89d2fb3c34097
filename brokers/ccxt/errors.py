"""
What is certain after a call that did not go well.

Pure. There are three outcomes of a failure. ``NotSent``: no connection was made, so nothing has
left. ``Refused``: the venue, or ccxt before it, says for certain that the request came to nothing.
``Unknown``: everything else, whatever it looks like.

ccxt's classes do not say which. A body that was cut off, a venue's own time-out and a code that
ccxt does not know are all a plain ``ExchangeError``; so a refusal is one by the *exact* class, in a
list of those that always are one, or by a code of the venue's row, and never by inheritance. What
is in neither is unknown. A server error (5xx) is unknown by whichever class.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from brokers.ccxt.columns import Capabilities
from brokers.ccxt.redaction import Redactor
from brokers.contract import VenueUnreachable
from messages import Cause, ReasonCode

REFUSALS: Final = frozenset(
    {
        "AccountNotEnabled",
        "AccountSuspended",
        "ArgumentsRequired",
        "AuthenticationError",
        "BadRequest",
        "BadSymbol",
        "ContractUnavailable",
        "DDoSProtection",
        "DuplicateOrderId",
        "InsufficientFunds",
        "InvalidNonce",
        "InvalidOrder",
        "MarginModeAlreadySet",
        "MarketClosed",
        "NoChange",
        "NotSupported",
        "OperationRejected",
        "OrderImmediatelyFillable",
        "OrderNotFillable",
        "PermissionDenied",
        "RateLimitExceeded",
        "RestrictedLocation",
    }
)
"""Classes of ccxt by which a request has certainly come to nothing."""

UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""
What comes of reading a page that is not what was asked for, with a status of success: ccxt hands on
what it got.
"""

HTTP_BANNED: Final = 418
BAN_MS: Final = 120_000
"""How long a ban is taken to last that does not say so: the shortest one at Binance."""

RATE_LIMITS: Final = frozenset({"DDoSProtection", "RateLimitExceeded"})
NEVER_CONNECTED: Final = frozenset(
    {
        "ClientConnectorError",
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorSSLError",
    }
)

BY_CLASS: Final = {
    "DuplicateOrderId": ReasonCode.DUPLICATE_CLIENT_ORDER_ID,
    "InsufficientFunds": ReasonCode.VENUE_INSUFFICIENT_FUNDS,
    "OrderImmediatelyFillable": ReasonCode.VENUE_REJECTED,
    "OrderNotFillable": ReasonCode.POST_ONLY_WOULD_TAKE,
    **dict.fromkeys(RATE_LIMITS, ReasonCode.VENUE_RATE_LIMITED),
}

CODE_FIELDS: Final = ("code", "retCode", "sCode", "ret_code")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an answer was that ccxt made an exception of; put on it by the client."""

    status: int
    headers: dict[str, str]
    body: str
    asked: str = ""
    """What was asked for: method and path, and nothing that was signed."""


class LeftElsewhere(Exception):
    """An address that is not this machine was to be dialled; nothing has left."""


class NoAnswer(Exception):
    """What came is no answer of a venue: another server, or something between."""


class TooMany(Enum):
    """Of what a venue has had too many, and so what it must not be sent for a while."""

    REQUESTS = "requests"  # all that is asked of it: its advice, until it is a ban
    ORDERS = "orders"  # only orders: neither cancels nor questions count
    BANNED = "banned"  # whatever it is, it is not looked at


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing has left."""

    detail: str


@dataclass(frozen=True, slots=True)
class Refused:
    """
    The request came to nothing, for certain.

    ``code`` is the venue's own, ``retry_after_ms`` set where it was asked too often, and then
    ``too_many`` says of what.
    ``is_duplicate``: it has an order of this id already, which is probably ours. ``is_unknown``: it
    has no such order, and that says nothing of what became of one. ``is_clock``: our time is off.
    ``is_lacking``: ccxt has no such call there, for that kind of market at least.
    """

    cause: Cause
    code: str = ""
    retry_after_ms: int | None = None
    is_duplicate: bool = False
    is_unknown: bool = False
    is_clock: bool = False
    is_lacking: bool = False
    too_many: TooMany = TooMany.REQUESTS

    @property
    def is_for_good(self) -> bool:
        """Return whether the same would be refused again: not for our time, nor our many asks."""
        return self.retry_after_ms is None and not self.is_clock


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows what the venue did."""

    detail: str


Failure = NotSent | Refused | Unknown


def judged(error: BaseException, row: Capabilities, redact: Redactor) -> Failure:
    """Return what is certain after a call that ended with ``error``."""
    name = type(error).__name__
    stamp: Stamp | None = getattr(error, "stamp", None)
    code, words = said(stamp.body) if stamp is not None else ("", "")
    detail = redact(_told(name, stamp, code, words, error))
    if isinstance(error, LeftElsewhere) or _never_connected(error):
        return NotSent(detail)
    if name == "OrderNotFound" or code in row.unknown_order_codes:
        return Refused(Cause(ReasonCode.UNKNOWN_ORDER, detail), code, is_unknown=True)
    too_often = stamp is not None and stamp.status in {HTTP_BANNED, 429}
    if stamp is not None and stamp.status >= 500:
        return Unknown(detail)
    if _is_duplicate(row, name, code, words):
        cause = Cause(ReasonCode.DUPLICATE_CLIENT_ORDER_ID, detail)
        return Refused(cause, code, is_duplicate=True)
    # By its address ccxt tells what a code means there: behind another one it no longer knows.
    is_clock = name == "InvalidNonce" or code in row.clock_codes
    if not (name in REFUSALS or too_often or is_clock or code in row.codes):
        return Unknown(detail)
    reason = (
        row.codes.get(code)
        or next((each for start, each in row.words.items() if words.startswith(start)), None)
        or BY_CLASS.get(name, ReasonCode.VENUE_REJECTED)
    )
    if too_often or name in RATE_LIMITS or reason is ReasonCode.VENUE_RATE_LIMITED:
        too_many = _too_many(row, stamp, code)
        wait_ms = retry_after_ms(stamp) or (BAN_MS if too_many is TooMany.BANNED else 0)
        told = Cause(ReasonCode.VENUE_RATE_LIMITED, f"retry_after_ms={wait_ms} {detail}")
        return Refused(told, code, wait_ms, too_many=too_many)
    is_lacking = name == "NotSupported"
    return Refused(Cause(reason, detail), code, is_clock=is_clock, is_lacking=is_lacking)


def _too_many(row: Capabilities, stamp: Stamp | None, code: str) -> TooMany:
    if stamp is not None and stamp.status == HTTP_BANNED:
        return TooMany.BANNED
    return TooMany.ORDERS if code in row.order_limit_codes else TooMany.REQUESTS


def said(body: str) -> tuple[str, str]:
    """Return the venue's code and words in an answer, empty where it has none."""
    try:
        document = json.loads(body)
    except ValueError:
        return "", ""
    found = _first_error(document)
    errors = document.get("error") if isinstance(document, dict) else None
    if isinstance(errors, list) and errors:  # kraken
        return str(errors[0]), str(errors[0])
    if found is None:
        return "", ""
    code = next((str(found[key]) for key in CODE_FIELDS if found.get(key) not in (None, "")), "")
    words = next(
        (
            str(found[key])
            for key in ("msg", "sMsg", "retMsg", "message", "response")
            if isinstance(found.get(key), str)
        ),
        "",
    )
    return code, words


def _first_error(document: Any) -> dict[str, Any] | None:
    """Return the part of an answer that says what was wrong: okx puts it into a list of one."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    data = document.get("data")
    if isinstance(data, list) and data and isinstance(data[0], dict) and "sCode" in data[0]:
        return data[0]
    return document


def retry_after_ms(stamp: Stamp | None) -> int:
    """Return how long the venue wants to be left alone, 0 if it does not say."""
    if stamp is None:
        return 0
    for name, value in stamp.headers.items():
        if name.lower() == "retry-after" and re.fullmatch(r"\d{1,6}", value.strip()):
            return 1000 * int(value)
    return 0


def _never_connected(error: BaseException) -> bool:
    cause = error.__cause__
    if type(error).__name__ != "ExchangeNotAvailable" or cause is None:
        return False
    return type(cause).__name__ in NEVER_CONNECTED


def _is_duplicate(row: Capabilities, name: str, code: str, words: str) -> bool:
    told = {code, f"{code} {words}".lower(), words}
    known = {duplicate.lower() for duplicate in row.duplicate_codes}
    return name == "DuplicateOrderId" or any(each.lower() in known for each in told if each)


def _told(name: str, stamp: Stamp | None, code: str, words: str, error: BaseException) -> str:
    if isinstance(error, LeftElsewhere):
        return str(error)
    if stamp is None:
        cause = error.__cause__
        under = ""
        if cause is not None:
            # Whoever could not connect has said to where, and nothing that was signed.
            why = f": {cause}" if type(cause).__name__ in NEVER_CONNECTED else ""
            under = f" ({type(cause).__name__}{why})"
        # ccxt's own text of a failed call is the signed address: nobody needs it.
        text = "" if name in _ADDRESSED else f": {error}"
        return f"{name}{under}{text}".rstrip(": ")
    if isinstance(error, NoAnswer):
        return f"http={stamp.status} {stamp.asked}: {error}"
    told = (name, f"http={stamp.status}", f"code={code}" * bool(code), words)
    # Without a code of the venue's own it may be the wrong server: say what was asked of it.
    asked = "" if code or words else stamp.asked
    return " ".join(filter(None, (*told, asked)))


_ADDRESSED: Final = frozenset(
    {"ExchangeNotAvailable", "RequestTimeout", "ExchangeError", "NetworkError"}
)


def is_of_the_reply(error: Exception, failure: Failure, left: list[str]) -> bool:
    """
    Return whether it is ccxt that could not read a reply, in a word that is else the venue's.

    By then what was asked for may have been done. That an order is unknown proves nothing anyway.
    """
    if not isinstance(failure, Refused) or failure.is_unknown:
        return False
    return getattr(error, "stamp", None) is None and any(method != "GET" for method in left)


@contextmanager
def readable(venue: str, what: str) -> Iterator[None]:
    """Let what is asked at a start be readable; raises ``VenueUnreachable`` where it is not."""
    try:
        yield
    except UNREADABLE as error:
        detail = f"{venue}: what it says of {what} cannot be read: {type(error).__name__}"
        raise VenueUnreachable(detail) from error
