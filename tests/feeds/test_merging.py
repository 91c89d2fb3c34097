"""Several symbols, one stream: by time, then by symbol."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import FileFeed, MemoryFeed
from feeds.merge import merge
from messages import Bar

Rows = Callable[..., list[str]]
WriteCsv = Callable[..., str]


def bar(symbol: str, timestamp: int) -> Bar:
    return Bar(symbol, timestamp, 1.0, 1.0, 1.0, 1.0, 1.0, 1)


times = st.lists(st.integers(0, 40), unique=True, max_size=25).map(sorted)


@given(st.lists(times, min_size=1, max_size=4), st.integers(1, 6))
def test_merging_loses_nothing_and_orders_by_time_then_symbol(
    times_of: list[list[int]], batch: int
) -> None:
    """Whatever the overlap and the batches: strictly increasing times, symbols in order."""
    streams = {
        f"S{index}": [bar(f"S{index}", time) for time in own] for index, own in enumerate(times_of)
    }

    groups = list(
        merge(
            [
                iter([bars[start : start + batch] for start in range(0, len(bars), batch)])
                for bars in streams.values()
            ]
        )
    )

    expected = sorted(
        (bar for bars in streams.values() for bar in bars),
        key=lambda bar: (bar.timestamp, bar.symbol),
    )
    assert expected == [bar for group in groups for bar in group]
    assert all(len({bar.timestamp for bar in group}) == 1 for group in groups)
    assert all(a[0].timestamp < b[0].timestamp for a, b in pairwise(groups))


def test_files_are_merged_by_time_then_symbol(write_csv: WriteCsv, rows: Rows) -> None:
    """Files that begin apart and have gaps meet where their times meet."""
    first = write_csv(rows(5_000), name="first.csv")
    second = write_csv(rows(3_000)[1_000:], name="second.csv")
    third = write_csv(rows(4_000)[::2], name="third.csv")
    feed = FileFeed([f"{third}@C", f"{first}@A", f"{second}@B"], timeframe="1m")

    groups = [tuple(bar.symbol for bar in group) for group in feed.groups()]

    assert ("A", "B", "C") == feed.symbols
    assert 5_000 == len(groups)
    assert [("A", "C"), ("A",)] == groups[:2]
    assert [("A", "B", "C"), ("A", "B")] == groups[1_000:1_002]
    assert [("A", "C"), ("A",), ("A", "C")] == groups[3_000:3_003]
    assert ("A",) == groups[-1]
    assert [5_000, 2_000, 2_000] == [file.bars for file in feed.report().files]
    assert (9_000, 9_000, 1_999) == (
        feed.report().rows,
        feed.report().bars,
        feed.report().missing,
    )


def test_a_memory_feed_gives_back_what_it_was_given() -> None:
    """Groups are made once and can be read again."""
    feed = MemoryFeed({"B": [bar("B", 1), bar("B", 3)], "A": [bar("A", 1), bar("A", 2)]})

    assert ("A", "B") == feed.symbols
    groups = [(bar("A", 1), bar("B", 1)), (bar("A", 2),), (bar("B", 3),)]
    assert groups == list(feed.groups()) == list(feed.groups())
    assert (
        feed.fingerprints()
        == MemoryFeed(
            {"A": [bar("A", 1), bar("A", 2)], "B": [bar("B", 1), bar("B", 3)]}
        ).fingerprints()
    )


@pytest.mark.parametrize(
    "bars", [{}, {"A": []}, {"A": [bar("B", 1)]}, {"A": [bar("A", 2), bar("A", 2)]}]
)
def test_a_memory_feed_refuses_bars_that_are_no_feed(bars: dict[str, list[Bar]]) -> None:
    """No bars, another symbol's, or out of order: a mistake of the program."""
    with pytest.raises(AssertionError):
        MemoryFeed(bars)
