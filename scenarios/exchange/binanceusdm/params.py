"""What came with a request: texts that are read strictly, each refusal with the venue's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl

from scenarios.exchange.binanceusdm.errors import (
    BAD_PARAMETER,
    ILLEGAL,
    MANDATORY,
    Refused,
)

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")


class Params:
    """The parameters of one request, by name; a name that comes twice counts once, first come."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Hold values as they came, decoded."""
        self._values = dict(values)

    @classmethod
    def read(cls, *parts: bytes) -> Params:
        """Read what is encoded as a query, in the order of ``parts``."""
        values: dict[str, str] = {}
        for part in parts:
            text = part.decode("ascii", "replace")
            for name, value in parse_qsl(text, keep_blank_values=True):
                values.setdefault(name, value)
        return cls(values)

    def __contains__(self, name: str) -> bool:
        """Tell whether a parameter was sent, even empty."""
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a parameter, or refuse the request where it is mandatory and missing."""
        found = self._values.get(name, "")
        if found:
            return found
        if default is None:
            raise Refused(MANDATORY, name.lower())
        return default

    def number(self, name: str, default: Decimal | None = None) -> Decimal:
        """Return a decimal number."""
        found = self._values.get(name, "")
        if not found and default is not None:
            return default
        if not found:
            raise Refused(MANDATORY, name.lower())
        if not _NUMBER.fullmatch(found):
            raise Refused(ILLEGAL, name.lower())
        return Decimal(found)

    def whole(self, name: str, default: int | None = None) -> int:
        """Return a whole number, zero or more."""
        found = self._values.get(name, "")
        if not found and default is not None:
            return default
        if not found:
            raise Refused(MANDATORY, name.lower())
        if not _WHOLE.fullmatch(found):
            raise Refused(ILLEGAL, name.lower())
        return int(found)

    def optional_whole(self, name: str) -> int | None:
        """Return a whole number, or None where it was not sent."""
        return self.whole(name) if self._values.get(name) else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return ``true`` or ``false``, in any case of letters."""
        found = self._values.get(name, "").lower()
        if not found:
            return default
        if found not in {"true", "false"}:
            raise Refused(BAD_PARAMETER, name)
        return found == "true"

    def limit(self, default: int, most: int) -> int:
        """Return how many items are wanted, which may not be more than ``most``."""
        found = self.whole("limit", default)
        if not 1 <= found <= most:
            raise Refused(BAD_PARAMETER, "limit")
        return found
