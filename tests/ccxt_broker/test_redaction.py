"""Secrets are never said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.redaction import HIDDEN, TEXT_MAX, Redactor

KEY, SECRET = "AKIAFAKEKEY0123456789", "c2VjcmV0LXNlY3JldA"


def test_a_signed_address_shows_neither_key_nor_signature() -> None:
    """As ccxt puts it into the text of every exception."""
    text = Redactor([KEY, SECRET])(
        "binanceusdm GET https://fapi.binance.com/fapi/v1/order?symbol=X&timestamp=1"
        f"&signature=0011aabb {{'X-MBX-APIKEY': '{KEY}'}} listenKey=abcd"
    )

    assert KEY not in text
    assert "0011aabb" not in text
    assert "abcd" not in text
    assert "symbol=X" in text


def test_headers_of_every_venue_are_hidden_without_knowing_the_key() -> None:
    """The redactor of a process without secrets still hides what is one by its name."""
    for header in ("OK-ACCESS-SIGN", "X-BAPI-API-KEY", "API-Key", "APCA-API-SECRET-KEY"):
        assert "hush" not in Redactor([])(f"{{'{header}': 'hush', 'a': 'b'}}")


@given(secret=st.text("abcdef0123456789", min_size=8, max_size=64), around=st.text(max_size=40))
def test_a_secret_is_hidden_wherever_it_stands(secret: str, around: str) -> None:
    """Also in the middle of a word."""
    assert secret not in Redactor([secret])(f"{around}{secret}{around}").replace(HIDDEN, "")


def test_a_page_for_people_is_cut() -> None:
    """A venue's error page does not fill a journal."""
    assert len(Redactor([])("x" * 10_000)) < TEXT_MAX + 10


def test_an_address_shows_no_secret() -> None:
    """Whoever prints it, or what holds it, sees the venue's name."""
    address = CcxtAddress("okx", secrets={"api_key": KEY, "secret": SECRET})

    assert KEY not in f"{address!r} {address}"
    assert KEY not in repr(Redactor([KEY]))
