"""
The token of the HTTP interface: made once, in a file that only its owner can read.

It is compared in constant time and shown nowhere: not in a log, an error or a ``repr``.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

TOKEN_BYTES = 32
"""256 bits: nobody guesses it, however long he tries."""

SHORTEST = 16
LONGEST = 512

FILE = "control.token"


class TokenRefused(Exception):
    """The token file cannot be used; the message says why, without the token."""


class Token:
    """A secret that can be compared with what a client says, and not be shown."""

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        """Keep ``text``."""
        self._secret = text.encode()

    def __repr__(self) -> str:
        """Return no secret."""
        return "<Token ***>"

    def admits(self, authorization: str) -> bool:
        """Tell whether an Authorization header bears the token; takes as long either way."""
        scheme, _, found = authorization.partition(" ")
        same = hmac.compare_digest(found.strip().encode("utf-8", "replace"), self._secret)
        return same and scheme.lower() == "bearer"

    def reveal(self) -> str:
        """Return the secret itself, for the one who has to hide it."""
        return self._secret.decode()


def token_at(path: Path) -> Token:
    """
    Return the token of a file, which is made, with mode 0600, if there is none.

    Raises ``TokenRefused`` for a file that others can read, or that holds no token.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise TokenRefused(f"{path}: cannot be read: {error.strerror}") from None


def _read(path: Path) -> Token:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(LONGEST + 1)
    if mode & 0o077:
        raise TokenRefused(
            f"{path}: found permissions {mode:04o}, expected 0600: others can use it; "
            "chmod 600 it, or remove it and a new one is made"
        )
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not SHORTEST <= len(text) <= LONGEST or not text.isprintable() or " " in text:
        raise TokenRefused(
            f"{path}: expected one line of {SHORTEST} to {LONGEST} printable characters; "
            "remove the file and a token is made"
        )
    return Token(text)


def _make(path: Path) -> Token:
    text = secrets.token_urlsafe(TOKEN_BYTES)  # seam: a token must be guessed by nobody
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)  # somebody was faster
    except OSError as error:
        raise TokenRefused(f"{path}: cannot be made: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Token(text)
