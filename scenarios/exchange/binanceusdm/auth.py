"""Who a request is from and how old it is: key, signature over the exact bytes, time."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from scenarios.exchange.binanceusdm.errors import (
    AHEAD,
    BAD_KEY,
    BAD_KEY_FORMAT,
    BAD_SIGNATURE,
    BAD_WINDOW,
    MANDATORY,
    OUTSIDE_WINDOW,
    Refused,
)
from scenarios.exchange.binanceusdm.params import Params

KEY_HEADER: Final = "X-MBX-APIKEY"
WINDOW_MS: Final = 5_000
WINDOW_MS_MAX: Final = 60_000
AHEAD_MS_MAX: Final = 1_000

_KEY_FORM: Final = re.compile(r"[A-Za-z0-9_-]{8,128}")
_SIGNATURE: Final = re.compile(rb"(?:^|&)signature=([^&]*)")


@dataclass(frozen=True, slots=True)
class Keys:
    """The credentials that the venue knows, and what they may do; the secret is never shown."""

    api_key: str
    secret: str = field(repr=False)
    may_trade: bool = True
    may_withdraw: bool = False


def admit(keys: Keys, header: str) -> None:
    """Refuse whoever does not show the key."""
    if not _KEY_FORM.fullmatch(header):
        raise Refused(BAD_KEY_FORMAT, status=401)
    if not hmac.compare_digest(header.encode(), keys.api_key.encode()):
        raise Refused(BAD_KEY, status=401)


def check_signature(keys: Keys, query: bytes, body: bytes) -> None:
    """
    Refuse what is not signed over the exact bytes of query and body, one after the other.

    The signature itself is left out, wherever it stands.
    """
    signed, found = body, _SIGNATURE.search(body)
    if found is not None:
        signed = body[: found.start()] + body[found.end() :]
        content = query + signed
    else:
        found = _SIGNATURE.search(query)
        if found is None:
            raise Refused(MANDATORY, "signature")
        content = query[: found.start()] + query[found.end() :] + body
    right = hmac.new(keys.secret.encode(), content, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), found.group(1).lower()):
        raise Refused(BAD_SIGNATURE)


def check_time(params: Params, now: int) -> None:
    """Refuse what is older than its window, or from a clock that is too far ahead of ``now``."""
    window = params.whole("recvWindow", WINDOW_MS)
    if window > WINDOW_MS_MAX:
        raise Refused(BAD_WINDOW)
    sent = params.whole("timestamp")
    if sent >= now + AHEAD_MS_MAX:
        raise Refused(AHEAD)
    if now - sent > window:
        raise Refused(OUTSIDE_WINDOW)
