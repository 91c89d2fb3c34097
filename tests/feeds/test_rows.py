"""One bad row among good ones: found, named, kept, counted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from feeds import BadInput, FileFeed
from messages import Bar

Rows = Callable[..., list[str]]
WriteCsv = Callable[..., str]

T5 = 1_704_067_500_000  # the timestamp of row 5


def bars_of(feed: FileFeed) -> list[Bar]:
    return [bar for group in feed.groups() for bar in group]


BAD_ROWS = [
    (f"{T5},1,2,1", "field_count", "4 fields"),
    (f"{T5},1,2,1,1,5,9", "field_count", "7 fields"),
    (f"{T5},1,2,1,1,5],[{T5 + 60_000},1,2,1,1,5", "field_count", "12 fields"),
    (f"{T5},1,2,1,x,5", "not_a_number", "close is 'x'"),
    (f"{T5},1,2,1,,5", "not_a_number", "close is ''"),
    (f"{T5},1_0,20,1,2,5", "not_a_number", "open is '1_0'"),
    (f"{T5},1,2,1,1.5,\u0661", "not_a_number", "volume is '\\u0661'"),
    (f"{T5},1,2],[1,1,5", "not_a_number", "high is '2]'"),
    (f"{T5},nan,2,1,1,5", "not_finite", "open is nan"),
    (f"{T5},1,inf,1,1,5", "not_finite", "high is inf"),
    (f"{T5},1,2,1,1,1e999", "not_finite", "volume is inf"),
    (f"{T5},1,2,0,1,5", "price_not_positive", "low is 0.0"),
    (f"{T5},-1,2,1,1,5", "price_not_positive", "open is -1.0"),
    (f"{T5},1,1,2,1,5", "high_below_low", "high 1.0 is below low 2.0"),
    (f"{T5},1,1.5,1,1.6,5", "high_below_open_or_close", "high 1.5 is below"),
    (f"{T5},1.7,1.6,1,1.6,5", "high_below_open_or_close", "high 1.6 is below"),
    (f"{T5},1,2,1.5,1.6,5", "low_above_open_or_close", "low 1.5 is above"),
    (f"{T5},1.6,2,1.5,1.4,5", "low_above_open_or_close", "low 1.5 is above"),
    (f"{T5},1,2,1,1,-5", "negative_volume", "volume is -5.0"),
    (f"{T5 - 60_000},1,2,1,1,5", "duplicate_timestamp", "duplicate timestamp 2024-01-01T00:04:00Z"),
    (f"{T5 - 180_000},1,2,1,1,5", "duplicate_timestamp", "00:02:00Z, 2m back"),
    (f"{T5 - 600_000},1,2,1,1,5", "backward_jump", "23:55:00Z goes backward, 9m back"),
    (f"{T5 - 90_000},1,2,1,1,5", "backward_jump", "00:03:30Z goes backward, 30s back"),
    ("2024-01-01T00:05:00,1,2,1,1,5", "naive_timestamp", "has no zone"),
    ("2024-01-01,1,2,1,1,5", "naive_timestamp", "has no zone"),
    ("2024-01-01T00:05:00.0005Z,1,2,1,1,5", "bad_timestamp", "fraction of a millisecond"),
    ("yesterday,1,2,1,1,5", "bad_timestamp", "timestamp is 'yesterday'"),
    (f"{T5}.0,1,2,1,1,5", "bad_timestamp", "timestamp is '1704067500000.0'"),
    (",1,2,1,1,5", "bad_timestamp", "timestamp is ''"),
    ("9" * 5_000 + ",1,2,1,1,5", "bad_timestamp", "timestamp is '999"),
    (f"{T5 // 1_000},1,2,1,1,5", "timestamp_unit", "looks like seconds (2024-01-01T00:05:00Z)"),
    (f"{T5 * 1_000},1,2,1,1,5", "timestamp_unit", "looks like microseconds (2024-01-01T00:05"),
    (f"{T5 * 1_000_000},1,2,1,1,5", "timestamp_unit", "looks like nanoseconds"),
    ("-1,1,2,1,1,5", "timestamp_unit", "is no time between 1973 and 2286"),
]


@pytest.mark.parametrize(("bad", "reason", "found"), BAD_ROWS, ids=[row[1] for row in BAD_ROWS])
def test_a_bad_row_is_fatal_by_default_in_one_line_that_says_all(
    write_csv: WriteCsv, rows: Rows, bad: str, reason: str, found: str
) -> None:
    """The error names file, line, finding and expectation, in one line of ASCII."""
    good = rows(12)
    file = write_csv([*good[:5], bad, *good[6:]])

    with pytest.raises(BadInput) as caught:
        bars_of(FileFeed([file]))

    error = caught.value
    assert (file, 7, reason) == (error.file, error.line, error.reason)
    assert found in error.found
    assert str(error) == f"{file}, line 7: {error.found}; expected {error.expected}"
    assert str(error).isascii()
    assert str(error).isprintable()


@pytest.mark.parametrize(("bad", "reason", "found"), BAD_ROWS, ids=[row[1] for row in BAD_ROWS])
def test_a_bad_row_goes_to_quarantine_with_its_line(
    write_csv: WriteCsv, rows: Rows, tmp_path: Path, bad: str, reason: str, found: str
) -> None:
    """Within the limit the row is kept as it stood, and its neighbours are not touched."""
    good = rows(12)
    file = write_csv([*good[:5], bad, *good[6:]])
    feed = FileFeed([file], max_bad_rows=1, quarantine_path=tmp_path / "quarantine.csv")

    bars = bars_of(feed)

    expected = [int(row.split(",")[0]) for row in (*good[:5], *good[6:])]
    assert expected == [bar.timestamp for bar in bars]
    with (tmp_path / "quarantine.csv").open(newline="") as stream:
        kept = list(csv.DictReader(stream))
    assert kept == [{"file": "bars.csv", "line": "7", "reason": reason, "row": bad[:1_000]}]
    report = feed.report().files[0]
    assert (12, 11, {reason: 1}) == (report.rows, report.bars, report.bad_rows)
    assert (1, 1) == (report.gaps, report.missing)


def test_bytes_that_are_not_utf8_spoil_one_row_only(write_csv: WriteCsv, rows: Rows) -> None:
    """A stray byte is a bad row, shown escaped; the file is read on."""
    lines = [row.encode() for row in rows(4)]
    lines[2] = lines[2].replace(b"1", b"\xff", 1)
    file = write_csv(b"timestamp,open,high,low,close,volume\n" + b"\n".join(lines) + b"\n")
    feed = FileFeed([file], max_bad_rows=1)

    assert 3 == len(bars_of(feed))
    assert {"not_utf8": 1} == feed.report().bad_rows


@pytest.mark.parametrize("cut", ["1704067440000,104.5,1", "17040", "1704067440000,1,2,1,1,"])
def test_a_partial_last_line_is_called_so(write_csv: WriteCsv, rows: Rows, cut: str) -> None:
    """A last line without a line end that is no row was being written when the file was copied."""
    file = write_csv([*rows(4), cut], end="")
    feed = FileFeed([file], max_bad_rows=1)

    assert 4 == len(bars_of(feed))
    assert {"partial_last_line": 1} == feed.report().bad_rows
    with pytest.raises(BadInput, match=r"line 6: a partial last line, '17040.*without a line end"):
        bars_of(FileFeed([file]))


def test_a_whole_last_line_needs_no_line_end(write_csv: WriteCsv, rows: Rows) -> None:
    """Only what cannot be read is partial."""
    assert 4 == len(bars_of(FileFeed([write_csv(rows(4), end="")])))


def test_of_two_rows_of_one_timestamp_the_first_wins(write_csv: WriteCsv, rows: Rows) -> None:
    """A repetition never replaces what was there."""
    first = rows(6)
    again = [row.replace(".5,", ".6,") for row in first]
    feed = FileFeed([write_csv([*first, *again])], max_bad_rows=6)

    bars = bars_of(feed)

    assert [100.5, 101.5, 102.5, 103.5, 104.5, 105.5] == [bar.open for bar in bars]
    report = feed.report().files[0]
    assert ({"duplicate_timestamp": 6}, 1) == (report.bad_rows, report.backward_jumps)


def test_a_bad_row_does_not_use_up_its_timestamp(write_csv: WriteCsv, rows: Rows) -> None:
    """A good row after a bad one of the same time is a bar."""
    good = rows(4)
    bad = good[2].replace("104.25", "1")
    feed = FileFeed([write_csv([*good[:2], bad, *good[2:]])], max_bad_rows=1)

    assert 4 == len(bars_of(feed))
    assert 0 == feed.report().gaps


def test_one_bad_row_too_many_is_fatal_and_still_kept(
    write_csv: WriteCsv, rows: Rows, tmp_path: Path
) -> None:
    """The limit counts over the file; the last straw is in the quarantine too."""
    good = rows(9)
    for index in (2, 4, 6):
        good[index] = f"broken {index}"
    file = write_csv(good)
    feed = FileFeed([file], max_bad_rows=2, quarantine_path=tmp_path / "q.csv")

    with pytest.raises(BadInput, match=r"line 8: .* \(bad row 3, where --max-bad-rows allows 2\)"):
        bars_of(feed)

    assert 4 == len((tmp_path / "q.csv").read_text().splitlines())
    assert {"field_count": 3} == feed.report().bad_rows


def test_the_limit_of_bad_rows_is_that_of_all_files_together(
    write_csv: WriteCsv, rows: Rows
) -> None:
    """Twenty files do not multiply what is tolerated."""
    files = [
        f"{write_csv([*rows(4), 'broken', *rows(9)[5:]], name=f'{name}.csv')}@{name}"
        for name in ("A", "B")
    ]

    assert 16 == len(bars_of(FileFeed(files, max_bad_rows=2)))
    with pytest.raises(BadInput, match="bad row 2"):
        bars_of(FileFeed(files, max_bad_rows=1))


def test_without_bad_rows_there_is_no_quarantine_file(
    write_csv: WriteCsv, rows: Rows, tmp_path: Path
) -> None:
    """The file's presence alone says that something was wrong."""
    feed = FileFeed([write_csv(rows(4))])
    feed.write_quarantine_to(tmp_path / "quarantine.csv")

    bars_of(feed)

    assert not (tmp_path / "quarantine.csv").exists()


def test_reading_again_counts_anew(write_csv: WriteCsv, rows: Rows) -> None:
    """Each pass over the data has its own account."""
    feed = FileFeed([write_csv([*rows(4), "broken"])], max_bad_rows=1)

    assert bars_of(feed) == bars_of(feed)
    assert (5, {"field_count": 1}) == (feed.report().rows, feed.report().bad_rows)


@pytest.mark.parametrize(
    "form",
    [
        lambda row: row + "\r",
        lambda row: ",".join(f'"{field}"' for field in row.split(",")),
        lambda row: row.replace(",", " , "),
        lambda row: row + "\n",
    ],
    ids=["crlf", "quoted", "spaces", "blank_lines"],
)
def test_other_ways_of_writing_give_the_same_bars(
    write_csv: WriteCsv, rows: Rows, form: Callable[[str], str]
) -> None:
    """Line ends, quotes, spaces and blank lines carry no data."""
    plain = bars_of(FileFeed([write_csv(rows(7))]))

    other = write_csv([form(row) for row in rows(7)], name="other.csv")

    assert plain == bars_of(FileFeed([other]))


def test_blank_lines_count_as_lines_but_not_as_rows(write_csv: WriteCsv, rows: Rows) -> None:
    """A finding after blank lines still has an editor's line number."""
    file = write_csv(["", *rows(3), "", " ", "broken"])

    with pytest.raises(BadInput, match="line 8: 1 fields"):
        bars_of(FileFeed([file]))


@pytest.mark.parametrize(
    "form",
    ["2024-01-01T00:{:02}:00Z", "2024-01-01 00:{:02}:00+00:00", "2024-01-01T05:{:02}:00.000+05:00"],
)
def test_iso_times_with_a_zone_mean_what_they_say(
    write_csv: WriteCsv, rows: Rows, form: str
) -> None:
    """ISO-8601 with any zone gives the same bars as int milliseconds."""
    plain = rows(5)
    iso = [form.format(index) + row[13:] for index, row in enumerate(plain)]

    expected = bars_of(FileFeed([write_csv(plain)]))

    assert expected == bars_of(FileFeed([write_csv(iso, name="iso.csv")]))
    mixed = [*iso[:2], *plain[2:]]
    assert expected == bars_of(FileFeed([write_csv(mixed, name="mixed.csv")]))


@pytest.mark.parametrize("text", ["96466.11", "0.00001234", "1.38680", "7", "5.50169101", "1e-7"])
def test_a_price_keeps_its_decimal_text(write_csv: WriteCsv, rows: Rows, text: str) -> None:
    """The float's shortest text is the decimal that the file shows."""
    lines = [",".join([row.split(",")[0], text, text, text, text, text]) for row in rows(2)]

    bar = bars_of(FileFeed([write_csv(lines)]))[0]

    assert Decimal(text) == Decimal(repr(bar.close)) == Decimal(repr(bar.volume))


def test_a_bar_follows_from_its_row(write_csv: WriteCsv, rows: Rows) -> None:
    """Every field lands where it belongs."""
    bars = bars_of(FileFeed([write_csv(rows(2)) + "@X/Y"]))

    assert Bar("X/Y", 1_704_067_260_000, 101.5, 103.25, 100.0, 102.75, 1.125, 60_000) == bars[1]
