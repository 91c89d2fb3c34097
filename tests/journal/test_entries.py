"""An entry has one written form, and comes back from it as it was."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from journal_makers import MESSAGES, T0, gap

from messages import Bar, Message, message_types
from state.journal import ENTRY_TYPES, decode_line, encode_lines, journaled_types, make_entry


@given(MESSAGES)
def test_every_journaled_message_comes_back_as_it_was(message: Message) -> None:
    """Whatever a message holds, its line decodes to an equal message of the same class."""
    entry = make_entry(7, T0, "risk", "order-1", "6", message)

    line = encode_lines([entry])

    assert entry == decode_line(line)
    assert line == encode_lines([decode_line(line)])


def test_every_journaled_class_of_the_vocabulary_has_an_entry() -> None:
    """No message class that says it is journaled is left out; bases are not messages."""
    wanted = {kind for kind in message_types() if kind.journaled}

    assert wanted == set(ENTRY_TYPES) == set(journaled_types())
    assert len({kind.__name__ for kind in wanted}) == len(wanted)


def test_the_line_shows_type_and_ids_at_its_top() -> None:
    """A line can be read and filtered without knowing what its data mean."""
    line = encode_lines([make_entry(3, T0, "feed", "c1", "2", gap(5))])

    assert (
        b'{"type":"FeedGap","seq":3,"ts":1700000000000,"source":"feed","correlation_id":"c1",'
        b'"causation_id":"2","data":{"type":"FeedGap","actor":"feed","at":1700000000000,'
        b'"symbol":"BTC/USDT","after":5,"before":6,"missing":1}}\n'
    ) == line


def test_money_keeps_its_digits() -> None:
    """A decimal is written as its own text, trailing zeros included, never as a float."""
    written = msgspec.json.encode([Decimal("0.10"), Decimal("100000000000000000.01")])

    assert b'["0.10","100000000000000000.01"]' == written


def test_a_message_that_is_not_journaled_is_refused_by_name() -> None:
    """Market data do not enter the journal; the error says which class tried."""
    bar = Bar("BTC/USDT", T0, 1.0, 1.0, 1.0, 1.0, 1.0, 60_000)

    with pytest.raises(TypeError, match=r"messages\.market\.Bar is not a journaled message"):
        make_entry(1, T0, "feed", "", "", bar)


def test_text_that_is_no_unicode_is_refused_when_written() -> None:
    """A lone surrogate has no bytes: better an error than a line nobody can read."""
    with pytest.raises(UnicodeEncodeError):
        encode_lines([make_entry(1, T0, "\ud800", "", "", gap(1))])
