"""The order of the news, and what is certain after a call."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.virtual import wire
from brokers.virtual.calls import Done, NotLookedAt, Unknown, outcome_of
from brokers.virtual.stream import NewsStream
from brokers.virtual.wire import Answer, NewsItem, Refusal
from messages import OrderEvent, VenueReport


def item(seq: int) -> NewsItem:
    """Return some news."""
    return NewsItem(seq, VenueReport(f"c{seq}", OrderEvent.ACCEPTED, seq))


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=12))
def test_each_item_comes_once_and_in_order(order: list[int], more: list[int]) -> None:
    """Whatever order and number of copies the line makes of them."""
    stream = NewsStream()

    told = [report for seq in [*more, *order, *more] for report in stream.take([item(seq)])]

    assert [f"c{seq}" for seq in range(1, 9)] == [report.client_order_id for report in told]
    assert stream.is_whole
    assert 2 * len(more) == stream.repeated


def test_nothing_is_told_past_a_gap() -> None:
    """News after a missing item waits for it."""
    stream = NewsStream()

    assert [item(1).report] == stream.take([item(1), item(3), item(4)])
    assert not stream.is_whole
    assert [2, 3, 4] == [report.timestamp for report in stream.take([item(2)])]
    assert stream.is_whole


def encoded(value: msgspec.Struct) -> bytes:
    """Return JSON."""
    return msgspec.json.encode(value)


def test_an_answer_is_taken_for_its_own_request_only() -> None:
    """An answer that is sent twice must not become the next request's."""
    answer = Answer("r1", 0)

    assert Done(answer) == outcome_of("r1", 200, encoded(answer))
    assert isinstance(outcome_of("r2", 200, encoded(answer)), Unknown)


@pytest.mark.parametrize("error", sorted(wire.UNPROCESSED))
def test_a_refusal_is_certain_by_the_venues_own_word(error: str) -> None:
    """The word, for this very request, says that nothing was looked at."""
    content = encoded(Refusal("r1", error))

    assert isinstance(outcome_of("r1", 400, content), NotLookedAt)
    assert isinstance(outcome_of("r2", 400, content), Unknown)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b'{"request_id":"r1","acc'),
        (200, b""),
        (400, b"<html>Bad Request</html>"),
        (429, b"slow down"),
        (409, encoded(Refusal("r1", wire.DUPLICATE))),
        (404, encoded(Refusal("r1", "no_such_thing"))),
        (302, b""),
        (500, encoded(Refusal("r1", wire.LATE))),
        (503, b"unavailable"),
    ],
)
def test_everything_else_is_unknown(status: int, content: bytes) -> None:
    """Half answers, others' words, any 5xx and a duplicate say nothing about the order."""
    assert isinstance(outcome_of("r1", status, content), Unknown)


def test_a_rate_limit_says_when_to_ask_again() -> None:
    """Retry-After is the venue's own word, in seconds."""
    content = encoded(Refusal("r1", wire.RATE_LIMITED))

    outcome = outcome_of("r1", 429, content, "3")

    assert isinstance(outcome, NotLookedAt)
    assert 3_000 == outcome.retry_after_ms
