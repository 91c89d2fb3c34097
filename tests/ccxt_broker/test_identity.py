"""Client order ids as venues take them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk.actor import client_order_id
from brokers.ccxt.capabilities import GENERIC, TABLE
from brokers.ccxt.columns import Capabilities, IdForm
from brokers.ccxt.identity import IdUnfit, decoded, encoded

ROWS = [*TABLE.values(), GENERIC]
FORMS = {
    IdForm.PLAIN: r"[a-z0-9-]+",
    IdForm.ALPHANUMERIC: r"[A-Za-z0-9]+",
    IdForm.HEX128: r"0x[0-9a-f]{32}",
    IdForm.UUID: r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
ours = st.from_regex(
    r"[0-9a-f]{10}-([1-9][0-9]{0,6}(-b[1-9][0-9]?)?|K[1-9][0-9]?-[1-9][0-9]{0,3})", fullmatch=True
).map(client_order_id)
"""Of a strategy's orders, of what stays with a position, and of those that a kill closes with."""

anything = st.from_regex(r"tg-[0-9a-z-]{1,24}", fullmatch=True)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.venue)
@given(name=ours)
def test_every_id_of_ours_goes_out_in_the_venues_form_and_comes_back(
    row: Capabilities, name: str
) -> None:
    """The alphabet and the length are the venue's, and nothing is lost."""
    wire = encoded(name, row)

    assert re.fullmatch(row.id_prefix + FORMS[row.id_form], wire)
    assert len(wire) <= row.id_length_max
    assert name == decoded(wire, row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.venue)
@given(one=anything, other=anything)
def test_two_ids_are_never_one_at_a_venue(row: Capabilities, one: str, other: str) -> None:
    """Two orders under one id would be one order."""
    assert (encoded(one, row) == encoded(other, row)) is (one == other)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.venue)
@given(
    wire=st.text(max_size=40)
    | st.from_regex(r"0x[0-9a-f]{32}", fullmatch=True)
    | st.uuids().map(str)
)
def test_what_is_not_ours_stays_as_the_venue_writes_it(row: Capabilities, wire: str) -> None:
    """Only what our own encoder would have written is read as ours."""
    name = decoded(wire, row)

    assert name == wire or encoded(name, row) == wire


@pytest.mark.parametrize("name", ["x-1", "tg-", "tg-ABC", "tg-a_b", ""])
def test_an_id_that_is_not_ours_is_not_sent(name: str) -> None:
    """Whoever hands over anything else has made a mistake."""
    with pytest.raises(IdUnfit):
        encoded(name, TABLE["okx"])


def test_an_id_is_refused_and_never_shortened() -> None:
    """At a venue with room for less the order does not leave."""
    long = "tg-" + "a" * 25

    for venue in ("hyperliquid", "kraken"):
        with pytest.raises(IdUnfit, match="length_max=27"):
            encoded(long, TABLE[venue])
    with pytest.raises(IdUnfit, match="length_max=32"):
        encoded("tg-" + "a" * 30, TABLE["okx"])
