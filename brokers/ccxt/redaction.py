"""
What must not be said: keys, signatures and the secrets themselves, whoever puts them in a text.

Pure. ccxt's exceptions carry the whole signed address, and some carry the key's header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "***"
TEXT_MAX: Final = 300
"""Longest text of a venue that is passed on: its own page for people is of no use to anybody."""

SECRET_LENGTH_MIN: Final = 4
"""Shorter secrets cannot be told from ordinary text; nobody's key is that short."""

_SIGNED: Final = re.compile(
    r"(?i)((?:signature|sign|sig|api[-_]?key|apikey|listenKey|passphrase|token|nonce)=)[^&\s\"']+"
)
_HEADERS: Final = re.compile(
    r"(?i)((?:X-MBX-APIKEY|OK-ACCESS-[A-Z]+|API-KEY|API-SIGN|X-BAPI-[A-Z-]+|APCA-[A-Z-]+"
    r"|Authorization)[\"']?\s*[:=]\s*[\"']?)[^\"',;\s}]+"
)


class Redactor:
    """Takes secrets out of texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Hide ``secrets`` wherever they stand."""
        self._secrets = sorted(
            {secret for secret in secrets if len(secret) >= SECRET_LENGTH_MIN},
            key=len,
            reverse=True,
        )

    def __repr__(self) -> str:
        """Return how many secrets there are, and none of them."""
        return f"<Redactor {len(self._secrets)} secrets>"

    def __call__(self, text: str) -> str:
        """Return the text without secrets, on one line, and not too long."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _HEADERS.sub(rf"\1{HIDDEN}", _SIGNED.sub(rf"\1{HIDDEN}", text))
        text = " ".join(text.split())
        return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."
