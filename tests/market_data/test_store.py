"""The store of bars: merged exactly, whole at every moment, written by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_data_house import MINUTE, START, SYMBOL, bar_at

from feeds import BadInput, FeedSettingError, FileFeed
from feeds.store import parts
from feeds.store.layout import Series, part_span, series_of
from feeds.store.store import BarStore, StoreBusy
from messages import Bar

MONTH = 31 * 24 * 60


def write(store: BarStore, series: Series, places: list[int], *, shift: float = 0.0) -> None:
    with store.writing(series) as writer:
        writer.merge([bar_at(place, shift=shift) for place in places], newer_wins=True)


def test_bars_come_back_as_they_were_put_in(store: BarStore, series: Series) -> None:
    """Every figure is the same float, over the ends of months."""
    bars = [bar_at(place) for place in (0, 1, 2, MONTH - 1, MONTH, 2 * MONTH)]

    with store.writing(series) as writer:
        merged = writer.merge(bars, newer_wins=False)

    assert 6 == merged.added
    assert bars == list(store.bars(series))
    assert ["2024-01.parquet", "2024-02.parquet", "2024-03.parquet"] == [
        part.name for part in store.parts(series)
    ]
    assert bars[3:5] == list(store.bars(series, (bars[3].timestamp, bars[4].timestamp + 1)))


@given(
    batches=st.lists(
        st.tuples(st.sets(st.integers(0, 30)), st.integers(0, 2), st.booleans()), max_size=5
    )
)
@settings(max_examples=25)
def test_merging_is_a_dictionary_s_update(
    batches: list[tuple[set[int], int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever overlaps, every bar is there once, in order, with the figures that should win."""
    store = BarStore(tmp_path_factory.mktemp("store"))
    series = Series("venue", SYMBOL, MINUTE)
    model: dict[int, Bar] = {}
    for places, shift, newer_wins in batches:
        # Around the end of a month, so that several parts take part.
        bars = [bar_at(MONTH - 15 + place, shift=shift) for place in sorted(places)]
        with store.writing(series) as writer:
            merged = writer.merge(bars, newer_wins=newer_wins)
        differing = sum(model.get(bar.timestamp, bar) != bar for bar in bars)
        added = sum(bar.timestamp not in model for bar in bars)
        for bar in bars:
            if newer_wins or bar.timestamp not in model:
                model[bar.timestamp] = bar

        assert (added, len(bars) - added - differing, differing) == (
            merged.added,
            merged.same,
            merged.differing,
        )
    assert [model[at] for at in sorted(model)] == list(store.bars(series))


def test_what_changes_nothing_writes_nothing(store: BarStore, series: Series) -> None:
    """A second import of the same bars leaves the very same file."""
    write(store, series, [0, 1, 2])
    before = store.parts(series)[0].stat()

    write(store, series, [1, 2])

    after = store.parts(series)[0].stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_death_in_the_middle_of_a_write_leaves_the_old_part(
    store: BarStore, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the disk is the old bars or the new ones: a part is replaced, never changed."""
    write(store, series, [0, 1])

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write(store, series, [2, 3])
    monkeypatch.undo()

    assert [bar_at(0), bar_at(1)] == list(store.bars(series))


def test_ablation_a_part_written_in_place_is_torn_by_the_same_death(
    store: BarStore, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the replacement the test above would find a series that cannot be read."""
    write(store, series, [0, 1])

    def in_place(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(parts, "replace_file", in_place)
    with pytest.raises(OSError, match="No space"):
        write(store, series, [2, 3])

    with pytest.raises(BadInput, match="unreadable parquet data"):
        list(store.bars(series))


def test_a_series_has_one_writer(store: BarStore, series: Series) -> None:
    """The second one is refused, whichever process it is in; another series is not affected."""
    other = Series("binanceusdm", "ETH/USDT:USDT", MINUTE)
    with store.writing(series):
        with pytest.raises(StoreBusy, match="another process writes this series"):
            write(store, series, [0])
        with store.writing(other):
            pass

    write(store, series, [0])
    assert [bar_at(0)] == list(store.bars(series))


def test_gaps_are_named_by_the_bars_around_them(store: BarStore, series: Series) -> None:
    """Missing buckets are counted and never filled in."""
    write(store, series, [0, 1, 5, 6, 8])

    gaps = store.gaps(series)

    assert [
        (START + MINUTE, START + 5 * MINUTE, 3),
        (START + 6 * MINUTE, START + 8 * MINUTE, 1),
    ] == [(gap.after, gap.before, gap.missing) for gap in gaps]
    assert 5 == len(list(store.bars(series)))


def test_what_a_venue_has_answered_is_not_needed_again(store: BarStore, series: Series) -> None:
    """Needed is what no bar covers and the venue has not vouched for being empty."""
    write(store, series, [0, 1, 4])
    with store.writing(series) as writer:
        writer.note_asked((START, START + 3 * MINUTE))

    needed = store.needed(series, (START, START + 6 * MINUTE))

    assert [(START + 3 * MINUTE, START + 4 * MINUTE), (START + 5 * MINUTE, START + 6 * MINUTE)] == (
        needed
    )


def test_pruning_removes_the_old_bars_and_no_others(store: BarStore, series: Series) -> None:
    """Whole months go as files; the month of the border is cut at the bar."""
    write(store, series, [0, 1, MONTH, MONTH + 1, MONTH + 2, 2 * MONTH])
    with store.writing(series) as writer:
        removed = writer.prune(START + (MONTH + 1) * MINUTE)

    assert 3 == removed
    assert [bar_at(place) for place in (MONTH + 1, MONTH + 2, 2 * MONTH)] == list(
        store.bars(series)
    )
    with store.writing(series) as writer:
        assert 0 == writer.prune(START)
        assert 3 == writer.prune(START + 3 * MONTH * MINUTE)
    assert [] == store.series()


@given(
    symbol=st.from_regex(r"[A-Za-z0-9^][A-Za-z0-9._/:=\-]{0,20}", fullmatch=True),
    timeframe_ms=st.sampled_from([1_000, MINUTE, 90_000, 3_600_000, 86_400_000, 604_800_000]),
)
def test_a_folder_names_its_series_exactly(symbol: str, timeframe_ms: int) -> None:
    """From a series to its folder and back is the same series."""
    series = Series("kraken", symbol, timeframe_ms)

    assert series == series_of(series.folder(Path("/x")))


@given(st.integers(10**11, 4 * 10**12), st.sampled_from([MINUTE, 86_400_000]))
def test_a_part_spans_the_bars_that_are_put_into_it(timestamp: int, timeframe_ms: int) -> None:
    """A bar lies in the month, or year, that its part is named after."""
    start, end = part_span(Path(Series("v", "S", timeframe_ms).part_of(timestamp)))

    assert start <= timestamp < end


@pytest.mark.parametrize("venue", ["", "../x", "a/b", ".hidden"])
def test_a_venue_cannot_lead_out_of_the_store(venue: str) -> None:
    """A name that is a path is refused."""
    with pytest.raises(FeedSettingError, match="venue"):
        Series(venue, SYMBOL, MINUTE)


def test_a_series_is_replayed_like_a_file(store: BarStore, series: Series) -> None:
    """Its folder is an input: the symbol is its own, and a change of it changes the fingerprint."""
    places = [MONTH - 2, MONTH - 1, MONTH, MONTH + 1]
    write(store, series, places)
    folder = series.folder(store.root)
    feed = FileFeed([str(folder)])

    bars = [bar for group in feed.groups() for bar in group]
    named = list(feed.fingerprints())
    write(store, series, [MONTH + 2])

    assert [bar_at(place) for place in places] == bars
    assert (SYMBOL,) == feed.symbols
    assert ["1m@" + SYMBOL] == named
    assert feed.fingerprints() != FileFeed([str(folder)]).fingerprints()


def test_a_bad_row_of_a_series_is_named_by_its_part(
    store: BarStore, series: Series, flawed_part: Callable[[Path], None]
) -> None:
    """Somebody else's file in a series is judged like any input."""
    write(store, series, [0, 1])
    flawed_part(series.folder(store.root) / "2024-02.parquet")

    with pytest.raises(BadInput, match=r"2024-02\.parquet, line 2: high .* is below low"):
        list(FileFeed([str(series.folder(store.root))]).groups())


@pytest.fixture
def flawed_part() -> Callable[[Path], None]:
    """Return a writer of a part whose second row is no bar."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def make(path: Path) -> None:
        times = [START + (MONTH + place) * MINUTE for place in range(2)]
        columns = {"timestamp": times, "open": [1.0, 1.0], "high": [1.0, 0.5], "low": [1.0, 1.0]}
        columns |= {"close": [1.0, 1.0], "volume": [0.0, 0.0]}
        parquet.write_table(arrow.table(columns), path)

    return make
