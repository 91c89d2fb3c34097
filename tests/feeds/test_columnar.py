"""Parquet and feather give the same bars as CSV, under the same rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feeds import BadInput, ExtraMissing, FileFeed
from messages import Bar

pa = pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

Rows = Callable[..., list[str]]
WriteCsv = Callable[..., str]
Write = Callable[..., str]

VALUES = ("open", "high", "low", "close", "volume")


def bars_of(feed: FileFeed) -> list[Bar]:
    return [bar for group in feed.groups() for bar in group]


def table(rows: list[str], time: str = "timestamp", **changes: Any) -> Any:
    """Return the rows as a table; ``changes`` replace columns."""
    columns = list(zip(*(row.split(",") for row in rows), strict=True))
    data = {time: pa.array([int(text) for text in columns[0]])}
    data |= {
        name: pa.array([float(text) for text in column])
        for name, column in zip(VALUES, columns[1:], strict=True)
    }
    return pa.table(data | changes)


def zoned(rows: list[str], unit: str = "ms", zone: str | None = "UTC") -> Any:
    per_ms = {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    ticks = pa.array([int(row.split(",")[0]) * per_ms for row in rows])
    return ticks.cast(pa.timestamp(unit, tz=zone))


@pytest.fixture(params=["parquet", "feather"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Return a writer of tables in one of the two forms."""

    def write_table(content: Any, name: str = "bars") -> str:
        path = str(tmp_path / f"{name}.{request.param}")
        if request.param == "parquet":
            pq.write_table(content, path)
        else:
            feather.write_feather(content, path, compression="lz4")
        return path

    return write_table


def test_int_milliseconds_read_as_in_csv(write: Write, write_csv: WriteCsv, rows: Rows) -> None:
    """The form of the file makes no difference to its bars."""
    plain = rows(5_000)

    assert bars_of(FileFeed([write_csv(plain)])) == bars_of(FileFeed([write(table(plain))]))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "+05:00"])
def test_a_freqtrade_file_is_read_as_it_is(write: Write, rows: Rows, unit: str, zone: str) -> None:
    """Its columns are date, open, high, low, close, volume; dates carry a zone."""
    plain = rows(7)
    content = table(plain, "date", date=zoned(plain, unit, zone))

    bars = bars_of(FileFeed([write(content)]))

    assert [int(row.split(",")[0]) for row in plain] == [bar.timestamp for bar in bars]


def test_further_columns_and_another_order_do_no_harm(write: Write, rows: Rows) -> None:
    """Columns are found by name."""
    content = table(rows(4), trades=pa.array([1, 2, 3, 4]))
    content = content.select(list(reversed(content.column_names)))

    assert bars_of(FileFeed([write(table(rows(4)), "plain")])) == bars_of(
        FileFeed([write(content)])
    )


def test_iso_text_with_a_zone_is_read(write: Write, rows: Rows) -> None:
    """Text times obey the rule of CSV."""
    times = [f"2024-01-01T00:{minute:02}:00Z" for minute in range(4)]

    assert bars_of(FileFeed([write(table(rows(4)), "plain")])) == bars_of(
        FileFeed([write(table(rows(4), timestamp=pa.array(times)))])
    )


def test_a_bad_row_is_named_by_its_number(write: Write, rows: Rows, tmp_path: Path) -> None:
    """Nulls, NaN, impossible prices and repeated times are quarantined one by one."""
    plain = rows(8)
    closes = [float(row.split(",")[4]) for row in plain]
    volumes: list[float | None] = [1.0] * 8
    volumes[2] = None
    closes[4] = float("nan")
    closes[5] = 1_000.0
    times: list[int | None] = [int(row.split(",")[0]) for row in plain]
    times[6] = times[3]
    times[7] = None
    content = table(
        plain, timestamp=pa.array(times), close=pa.array(closes), volume=pa.array(volumes)
    )
    quarantine = tmp_path / "quarantine.csv"
    feed = FileFeed([write(content)], max_bad_rows=5, quarantine_path=quarantine)

    assert 3 == len(bars_of(feed))
    assert {
        "bad_timestamp": 1,
        "duplicate_timestamp": 1,
        "high_below_open_or_close": 1,
        "not_a_number": 1,
        "not_finite": 1,
    } == feed.report().bad_rows
    lines = [line.split(",")[1] for line in quarantine.read_text().splitlines()]
    assert ["line", "3", "5", "6", "7", "8"] == lines


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamp": ("naive",)}, r"the column timestamp is timestamp\[ms\]; expected int milli"),
        ({"timestamp": ("float",)}, r"the column timestamp is double; expected int milliseconds"),
        ({"close": ("text",)}, r"the column close is string; expected numbers"),
        ({"close": ("absent",)}, r"the columns timestamp, open, high, low, volume \(without close"),
        ({"timestamp": ("fine",)}, r"unreadable \w+ data \(Casting from timestamp\[us, tz=UTC\]"),
        ({"timestamp": ("seconds",)}, r"line 1: timestamp 1704067200 looks like seconds"),
    ],
)
def test_a_wrong_column_is_refused(
    write: Write, rows: Rows, changes: dict[str, tuple[str]], message: str
) -> None:
    """Types are judged before rows."""
    plain = rows(4)
    ((column, (change,)),) = changes.items()
    content = table(plain)
    times = [int(row.split(",")[0]) for row in plain]
    replacement = {
        "naive": lambda: zoned(plain, "ms", None),
        "float": lambda: pa.array([float(time) for time in times]),
        "text": lambda: pa.array(["1", "2", "3", "4"]),
        "fine": lambda: pa.array([time * 1_000 + 1 for time in times]).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "seconds": lambda: pa.array([time // 1_000 for time in times]),
    }
    index = content.column_names.index(column)
    if change == "absent":
        content = content.drop_columns([column])
    else:
        content = content.set_column(index, column, replacement[change]())

    with pytest.raises(BadInput, match=message):
        bars_of(FileFeed([write(content)]))


def test_a_damaged_file_is_refused_in_one_line(write: Write, rows: Rows) -> None:
    """The library's complaint is passed on, shortened to a line."""
    path = Path(write(table(rows(500))))
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(
        BadInput, match=r"unreadable \w+ data \(.+\); expected a whole file"
    ) as error:
        bars_of(FileFeed([str(path)]))

    assert "\n" not in str(error.value)


def test_without_pyarrow_the_extra_is_named(
    write: Write, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optional dependency that is missing is a setting to change, not a crash."""
    path = write(table(rows(4)))
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ExtraMissing, match=r"the extra `parquet` \(pip install 'tidegate\[parq"):
        FileFeed([path])
