"""
Keep secrets out of everything that is shown or written.

A value is a secret when its key, or a table above it, has a name that secrets have; and once
it is known to be one, it is taken out of every text in which it turns up.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MASK = "***"
SHORTEST_SECRET = 4
"""A shorter text is not searched for: it would mask half of every line."""

_ENDINGS = (
    "apikey",
    "secret",
    "password",
    "passphrase",
    "token",
    "privatekey",
    "credentials",
    "authorization",
)
_WHOLE = frozenset({"twofa", "pin", "login", "uid", "notify"})  # the last: addresses with passwords


def is_secret_name(name: str) -> bool:
    """Tell whether ``name`` is one that secrets have, spelled ``api_key`` or ``apiKey``."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain.endswith(_ENDINGS) or plain in _WHOLE


def is_secret(key: Sequence[str | int]) -> bool:
    """Tell whether a key, or a table above it, has a name that secrets have."""
    return any(isinstance(part, str) and is_secret_name(part) for part in key)


def masked(values: Any, *, secret: bool = False) -> Any:
    """Return ``values`` with every secret replaced; what is empty stays empty."""
    if isinstance(values, Mapping):
        return {
            name: masked(value, secret=secret or is_secret_name(str(name)))
            for name, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [masked(value, secret=secret) for value in values]
    return MASK if secret and values not in (None, "") else values


def without_secrets(values: Any) -> Any:
    """Return ``values`` without any secret key."""
    if isinstance(values, Mapping):
        return {
            name: without_secrets(value)
            for name, value in values.items()
            if not is_secret_name(str(name))
        }
    if isinstance(values, list | tuple):
        return [without_secrets(value) for value in values]
    return values


def secrets_in(values: Any, *, secret: bool = False) -> list[str]:
    """Return every secret text in ``values``, longest first."""
    found: list[str] = []
    if isinstance(values, Mapping):
        for name, value in values.items():
            found += secrets_in(value, secret=secret or is_secret_name(str(name)))
    elif isinstance(values, list | tuple):
        for value in values:
            found += secrets_in(value, secret=secret)
    elif secret and values not in (None, ""):
        found.append(str(values))
    return sorted(dict.fromkeys(found), key=len, reverse=True)


class Redactor:
    """Takes known secrets, and the values of secret names, out of log events and texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted(
            {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True
        )

    def text(self, text: str) -> str:
        """Return ``text`` with every known secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def value(self, value: Any) -> Any:
        """Return ``value`` fit to be shown: what is no number, flag or container becomes text."""
        if value is None or isinstance(value, bool | int | float):
            return value if self.text(str(value)) == str(value) else MASK
        if isinstance(value, Mapping):
            return self.event(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def event(self, event: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a log event, or a table in one, without secrets."""
        return {
            self.text(str(name)): MASK
            if is_secret_name(str(name)) and value not in (None, "")
            else self.value(value)
            for name, value in event.items()
        }


def exposed_secrets(path: Path, values: Mapping[str, Any]) -> list[str]:
    """
    Return the problems with secrets among the ``values`` of a configuration file.

    Secrets need a private file: it holds nothing else, and only its owner may read it.
    """
    found = list(_walk(values))
    secrets = [key for key, secret in found if secret]
    if not secrets:
        return []
    names = ", ".join(secrets)
    if len(secrets) < len(found):
        key = secrets[0].partition("[")[0]  # a list is one variable
        variable = "TIDEGATE_" + key.replace(".", "__").upper()
        problem = (
            f"{path}: {names}: credentials do not belong in the configuration file; set "
            f"{variable} in the environment, or keep them in a file of their own that only its "
            "owner can read (0600), given by one more -c"
        )
        return [problem]
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        problem = (
            f"{path}: found permissions {mode:04o}, expected 0600: the file holds credentials "
            f"({names}) that others can read"
        )
        return [problem]
    return []


def _walk(values: Any, key: str = "", *, secret: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield every value's key and whether it is a secret; what is empty is none."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            inner = f"{key}.{name}" if key else str(name)
            yield from _walk(value, inner, secret=secret or is_secret_name(str(name)))
    elif isinstance(values, list | tuple) and values:
        for place, value in enumerate(values):
            yield from _walk(value, f"{key}[{place}]", secret=secret)
    else:
        yield key, secret and values not in (None, "", {}, [])
