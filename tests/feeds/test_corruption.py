"""Files damaged at random: an answer for every row, and no surprise."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from feeds import BadInput, FileFeed
from messages import Bar

HEADER = "timestamp,open,high,low,close,volume"
START = 1_704_067_200_000
GOOD = [
    f"{START + index * 60_000},{100 + index}.5,{103 + index},{99 + index},{101 + index}.25,{index}"
    for index in range(30)
]

fragments = st.one_of(
    st.sampled_from([b"\n", b",", b"nan", b"-", b"\r", b'"', b"\0", b"],[", b"\xff", b"e9", b""]),
    st.binary(max_size=6),
)
edits = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 60), fragments), max_size=8)


def damaged(changes: list[tuple[int, int, bytes]]) -> bytes:
    """Return the good file's body with pieces cut out and others put in."""
    body = ("\n".join(GOOD) + "\n").encode()
    for place, cut, fragment in changes:
        start = place % (len(body) + 1)
        body = body[:start] + fragment + body[start + cut :]
    return body


def attempt(content: bytes, folder: str) -> tuple[FileFeed, list[Bar]] | BadInput:
    """Return the feed with its bars, or the refusal; anything else is let through to fail."""
    path = Path(folder, "bars.csv")
    path.write_bytes(content)
    quarantine = Path(folder, "quarantine.csv")
    try:
        feed = FileFeed([str(path)], timeframe="1m", max_bad_rows=10**6, quarantine_path=quarantine)
        return feed, [bar for group in feed.groups() for bar in group]
    except BadInput as refusal:
        return refusal


def read(content: bytes, folder: str) -> tuple[FileFeed, list[Bar]]:
    outcome = attempt(content, folder)
    assert not isinstance(outcome, BadInput), outcome
    return outcome


@settings(max_examples=300)
@given(edits)
@example([(0, 2_000, b"-1,1,2,1,1,5\n")])
@example([(0, 0, b"\n\n")])
def test_damage_is_answered_row_by_row_or_by_one_refusal(
    changes: list[tuple[int, int, bytes]],
) -> None:
    """Accepted and quarantined rows are all rows; what is not BadInput is a bug."""
    body = damaged(changes)
    rows = [line for line in body.split(b"\n") if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        outcome = attempt(f"{HEADER}\n".encode() + body, folder)
        if isinstance(outcome, BadInput):
            assert str(outcome).isprintable()
            return

        feed, bars = outcome
        report = feed.report().files[0]
        assert len(rows) == report.rows == len(bars) + sum(report.bad_rows.values())
        kept = Path(folder, "quarantine.csv")
        assert kept.exists() == bool(report.bad_rows)
    previous = 0
    for bar in bars:
        assert previous < bar.timestamp
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0
        previous = bar.timestamp


@given(st.sets(st.integers(0, 29), max_size=12), st.sampled_from(["x", "1,2", ",,,,,", "{}"]))
def test_good_rows_survive_bad_neighbours_unchanged(spoiled: set[int], bad: str) -> None:
    """What a damaged file still gives is exactly what the whole one gave there."""
    with tempfile.TemporaryDirectory() as folder:
        _, whole = read("\n".join([HEADER, *GOOD, ""]).encode(), folder)
        lines = [bad if index in spoiled else row for index, row in enumerate(GOOD)]
        feed, bars = read("\n".join([HEADER, *lines, ""]).encode(), folder)

    assert [bar for index, bar in enumerate(whole) if index not in spoiled] == bars
    assert len(spoiled) == sum(feed.report().bad_rows.values())


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_gzip_file_is_refused_or_read_to_the_same_bars(place: int, value: int) -> None:
    """One changed byte changes nothing or is found out."""
    content = "\n".join([HEADER, *GOOD, ""]).encode()
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[place % len(packed)] = value
    with tempfile.TemporaryDirectory() as folder:
        _, whole = read(content, folder)
        outcome = attempt(bytes(packed), folder)

    if isinstance(outcome, BadInput):
        assert str(outcome).isprintable()
    else:
        assert whole == outcome[1]


@given(st.lists(st.floats(1e-8, 1e12).map(lambda x: (x, repr(x))), min_size=1, max_size=20))
def test_prices_are_the_floats_that_python_reads(prices: list[tuple[float, str]]) -> None:
    """The fast parser rounds as float() does, so decimal text survives the way through floats."""
    lines = [
        f"{START + index * 60_000},{text},{text},{text},{text},{text}"
        for index, (_, text) in enumerate(prices)
    ]
    with tempfile.TemporaryDirectory() as folder:
        _, bars = read("\n".join([HEADER, *lines, ""]).encode(), folder)

    assert [price for price, _ in prices] == [bar.close for bar in bars]


@given(
    st.lists(st.decimals(0, 10**7, places=8, allow_nan=False), min_size=1, max_size=20).map(
        lambda found: [f"{number + 1:f}" for number in found]
    )
)
def test_decimal_text_is_read_to_the_nearest_float(texts: list[str]) -> None:
    """Fixed-point text of up to 16 digits means the same in both ways of parsing."""
    lines = [
        f"{START + index * 60_000},{text},{text},{text},{text},{text}"
        for index, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        _, bars = read("\n".join([HEADER, *lines, ""]).encode(), folder)

    assert [float(text) for text in texts] == [bar.close for bar in bars]
