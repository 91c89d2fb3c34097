"""
Whether the credentials of ``[venue]`` could be right, and where they must not be: offline, pure.

Nothing here ever returns or shows a value. What a form says is what the venue's keys have looked
like so far: it catches a key that was cut off, swapped or pasted with its quotes, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from brokers.ccxt.capabilities import TABLE, capabilities_of
from brokers.ccxt.columns import KEY_AND_SECRET
from brokers.contract import VenueUnreachable
from brokers.findings import Finding, failed, passed, warned
from brokers.settings import Adapter, CredentialMissing, VenueCredentials, VenueSettings
from state.loopback import pins_to_this_machine

VARIABLE: Final = "TIDEGATE_VENUE__CREDENTIALS__"
"""How the environment names a credential; ours in capitals comes behind it."""

AUTOMATION: Final = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
"""What the environment has where tests or a build run, and a real account has no business."""

REAL: Final = frozenset({Adapter.CCXT, Adapter.ALPACA, Adapter.IB})
"""Adapters whose credentials are those of a real account unless they are pinned to loopback."""

LENGTH_MIN: Final = 8
"""No venue's key, secret or passphrase is shorter."""

OF_ANY_LENGTH: Final = frozenset({"uid", "login", "account_id"})
"""Who somebody is at a venue: it may be its seventh user."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a credential has looked like: a pattern, and the words for it."""

    pattern: re.Pattern[str]
    words: str


def _form(pattern: str, words: str) -> Form:
    return Form(re.compile(pattern, re.DOTALL), words)


_PEM: Final = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+-----END [A-Z ]*PRIVATE KEY-----\s*"
_BINANCE: Final = {
    "api_key": _form(r"[A-Za-z0-9]{64}", "64 letters and digits"),
    "secret": _form(rf"[A-Za-z0-9]{{64}}|{_PEM}", "64 letters and digits, or a private key (PEM)"),
}

FORMS: Final[Mapping[str, Mapping[str, Form]]] = {
    "binanceusdm": _BINANCE,
    "binance": _BINANCE,
    "bybit": {
        "api_key": _form(r"[A-Za-z0-9]{18,24}", "18 to 24 letters and digits"),
        "secret": _form(rf"[A-Za-z0-9]{{36}}|{_PEM}", "36 letters and digits, or a key (PEM)"),
    },
    "okx": {
        "api_key": _form(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID"),
        "secret": _form(r"[0-9A-F]{32}", "32 hexadecimal digits in capitals"),
        "password": _form(r".{8,32}", "8 to 32 characters"),
    },
    "kraken": {
        "api_key": _form(r"[A-Za-z0-9+/]{56}", "56 characters of base64"),
        "secret": _form(r"[A-Za-z0-9+/]{86}==", "88 characters of base64"),
    },
    "hyperliquid": {
        "api_key": _form(r"0x[0-9a-fA-F]{40}", "a wallet's address: 0x and 40 hexadecimal digits"),
        "secret": _form(r"(0x)?[0-9a-fA-F]{64}", "a private key: 64 hexadecimal digits"),
    },
    "gate": {
        "api_key": _form(r"[0-9a-f]{32}", "32 hexadecimal digits"),
        "secret": _form(r"[0-9a-f]{64}", "64 hexadecimal digits"),
    },
    "alpaca": {
        "api_key": _form(r"[AP]K[A-Z0-9]{18,24}", "PK (paper) or AK, and 18 to 24 characters"),
        "secret": _form(r"[A-Za-z0-9/]{40,44}", "40 to 44 letters and digits"),
    },
}
"""By venue and our name of the secret; from the venues' documents and the keys that they issue."""

assert set(FORMS) == set(TABLE), "every row of the table has its forms"
assert all(set(FORMS[name]) == set(row.credentials) for name, row in TABLE.items()), "no more"


def is_pinned(venue: VenueSettings) -> bool:
    """Return whether nothing but this machine can be reached with the venue's credentials."""
    if venue.adapter not in REAL:
        return True
    urls = venue.ccxt.get("urls", {}) if venue.adapter is Adapter.CCXT else {}
    return pins_to_this_machine(venue.loopback_port, urls)


def given_credentials(venue: VenueSettings) -> dict[str, str]:
    """Return the values that are given, by our names; never to be shown."""
    found = {
        name: getattr(venue.credentials, name) for name in type(venue.credentials).model_fields
    }
    return {name: text.get_secret_value() for name, text in found.items() if text is not None}


def real_credentials(venue: VenueSettings) -> list[str]:
    """Return the names of the credentials that could reach a real account."""
    return (
        []
        if is_pinned(venue)
        else [name for name, text in given_credentials(venue).items() if text]
    )


def automation_in(environ: Mapping[str, str]) -> str | None:
    """Return the variable by which ``environ`` is that of tests or of a build, ``None`` if not."""
    for name in AUTOMATION:
        if environ.get(name, "").strip().lower() not in {"", "0", "false", "no"}:
            return name
    return None


def needed_credentials(venue: VenueSettings) -> tuple[str, ...]:
    """Return the names of what the venue has to be given."""
    match venue.adapter:
        case Adapter.VIRTUAL:
            return ("api_key",)
        case Adapter.CCXT if venue.exchange is not None:
            return needed_at(venue.exchange)
        case Adapter.ALPACA:
            return tuple(TABLE["alpaca"].credentials)
        case _:
            return ()


def needed_at(exchange: str) -> tuple[str, ...]:
    """
    Return the names of what a venue behind ccxt has to be given.

    ccxt, asked where the table leaves it open, is loaded for that; of an exchange that it does not
    know nothing is needed but that it is told so.
    """
    row = capabilities_of(exchange)
    wanted: Mapping[str, bool] = {}
    if row.optional_credentials:
        from brokers.ccxt.client import class_of

        try:
            wanted = class_of(exchange)().requiredCredentials
        except VenueUnreachable:
            return tuple(KEY_AND_SECRET)
    return tuple(
        ours
        for ours, theirs in row.credentials.items()
        if ours not in row.optional_credentials or wanted.get(theirs)
    )


def refuse_missing(venue: VenueSettings) -> None:
    """Raise ``CredentialMissing``, which says what to set, where the venue needs more."""
    given = given_credentials(venue)
    missing = [name for name in needed_credentials(venue) if not given.get(name)]
    if missing:
        names = ", ".join(f"venue.credentials.{name}" for name in missing)
        variables = ", ".join(f"{VARIABLE}{name.upper()}" for name in missing)
        raise CredentialMissing(
            f"{names}: found none, and "
            f"{venue.exchange or venue.adapter.value} needs it; expected it from the environment "
            f"({variables}) or a private file"
        )


def checked_credentials(venue: VenueSettings) -> Iterator[Finding]:
    """Yield what there is to say of each credential, without asking anybody; never a value."""
    needed, given = needed_credentials(venue), given_credentials(venue)
    name_of_venue = venue.exchange or venue.adapter.value
    forms = FORMS.get("alpaca" if venue.adapter is Adapter.ALPACA else name_of_venue, {})
    optional = capabilities_of(name_of_venue).optional_credentials
    for name in VenueCredentials.model_fields:
        subject, text = f"venue.credentials.{name}", given.get(name, "")
        if name in needed:
            form = None if is_pinned(venue) else forms.get(name)
            yield _checked(subject, name, text, form, name_of_venue)
        elif text and needed and name in optional:
            yield _checked(subject, name, text, None, name_of_venue)
        elif text and needed:
            yield warned(subject, f"given, and {name_of_venue} takes none: it is not used")


def _checked(subject: str, name: str, text: str, form: Form | None, venue: str) -> Finding:
    if not text:
        return failed(
            subject,
            f"found none, and {venue} needs it; expected it from the environment "
            f"({VARIABLE}{name.upper()}) or a private file",
        )
    if text != text.strip() and not text.startswith("-----BEGIN"):
        return failed(subject, "begins or ends with a blank or a line end; expected it without")
    if text[0] == text[-1] and text[0] in "\"'":
        return failed(subject, "is in quotes of its own; expected it without")
    if len(text) < LENGTH_MIN and name not in OF_ANY_LENGTH:
        return failed(subject, f"is {len(text)} characters long, expected {LENGTH_MIN} or more")
    if not text.isascii():
        return failed(subject, "has characters beyond ASCII, and no venue issues such")
    if form is None:
        return passed(subject, "given; its form is not known, or that of a rehearsal")
    if not form.pattern.fullmatch(text):
        return warned(subject, f"does not look like one of {venue}: expected {form.words}")
    return passed(subject, f"given: {form.words}")
