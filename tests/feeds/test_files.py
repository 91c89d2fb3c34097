"""What is wrong with a file as a whole is refused in one clear line, whatever is tolerated."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from feeds import BadInput, FileFeed
from feeds.readers.delimited import LINE_BYTES_MAX

Rows = Callable[..., list[str]]
WriteCsv = Callable[..., str]

HEADER = b"timestamp,open,high,low,close,volume\n"
GOOD = HEADER + b"1704067200000,1,2,1,1,5\n1704067260000,1,2,1,1,5\n"


def refusal(file: str, **settings: object) -> str:
    """Return the one line with which ``file`` is refused although every bad row is tolerated."""
    with pytest.raises(BadInput) as caught:
        for _ in FileFeed([file], max_bad_rows=10**9, **settings).groups():  # type: ignore[arg-type]
            pass
    text = str(caught.value)
    assert text.startswith(file)
    assert "; expected " in text
    assert text.isprintable()
    return text.removeprefix(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": the file is empty; expected CSV, gzipped CSV, Parquet or feather"),
        (HEADER, ": a header and no rows; expected at least one bar"),
        (HEADER.strip(), ": a header and no rows; expected at least one bar"),
        (HEADER + b"\n\n", ": a header and no rows"),
        (GOOD.decode().encode("utf-16"), ": UTF-16 text (by its byte-order mark); expected UTF-8"),
        (GOOD.decode().encode("utf-32"), ": UTF-32 text (by its byte-order mark); expected UTF-8"),
        (GOOD.decode().encode("utf-16-le"), ": NUL bytes in the header (UTF-16 or binary data)"),
        (GOOD.replace(b"open", b"\xff\xfe"), ", line 1: a header that is not UTF-8"),
        (GOOD.replace(b"timestamp", b"date"), ", line 1: the header 'date,open,high,low,close,vol"),
        (GOOD.replace(b"timestamp,", b""), "(without timestamp); expected the header 'timestamp,o"),
        (GOOD.replace(b"volume", b"volume,trades"), "close,volume,trades'; expected the header"),
        (GOOD.replace(b"high,low", b"low,high"), "'timestamp,open,low,high,close,volume'; expec"),
        (GOOD.replace(b"open", b"Open"), "(without open); expected"),
        (GOOD[len(HEADER) :], ", line 1: the header '1704067200000,1,2,1,1,5'"),
        (HEADER + b"1,1,1,1,1\nx\n", ", line 2: "),
        (HEADER + b"1704067200000,1,2,3,1,5\n1704067260000,1,2,3,1,5\n", ": no good row; expected"),
        (b"PK\x03\x04 and so on", ": a ZIP archive; expected CSV"),
        (b"FEA1 and so on", ": feather version 1; expected feather version 2"),
        (HEADER + b"1" * (3 * LINE_BYTES_MAX), ", line 2: a line of more than 65,536 bytes"),
        (b"x" * (3 * LINE_BYTES_MAX), ", line 1: a line of more than 65,536 bytes"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(
    write_csv: WriteCsv, content: bytes, message: str
) -> None:
    """No number of tolerated bad rows lets a wrong form in, nor fills a quarantine with it."""
    assert message in refusal(write_csv(content))


def test_a_utf8_byte_order_mark_is_no_part_of_the_header(write_csv: WriteCsv) -> None:
    """Spreadsheets write one; the text after it is UTF-8."""
    feed = FileFeed([write_csv(b"\xef\xbb\xbf" + GOOD)])

    assert 2 == len(list(feed.groups()))


def test_a_descending_file_is_called_so(write_csv: WriteCsv, rows: Rows) -> None:
    """Newest first is one finding, not one per row."""
    assert ": rows in descending order (2024-01-01T00:05:00Z, 2024-01-01T00:04:00Z, ...)" in (
        refusal(write_csv(rows(6)[::-1]))
    )


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    """The reason is given, without a traceback's noise; a folder may be a series, but is none."""
    assert ": no such file or directory; expected" in refusal(str(tmp_path / "absent.csv"))
    assert ": a folder without bars; expected" in refusal(str(tmp_path))


def test_gzip_is_known_by_its_bytes(write_csv: WriteCsv, tmp_path: Path) -> None:
    """A gzipped file needs no .gz in its name, and .gz alone does not make one."""
    hidden = tmp_path / "hidden.csv"
    hidden.write_bytes(gzip.compress(GOOD))
    false = tmp_path / "false.csv.gz"
    false.write_bytes(GOOD)

    assert 2 == len(list(FileFeed([str(hidden)]).groups()))
    assert ": a name in .gz but no gzip data" in refusal(str(false))


def test_gzip_data_that_is_cut_off_or_corrupt_is_refused(tmp_path: Path, rows: Rows) -> None:
    """The line up to which the file could be read is named."""
    whole = gzip.compress(HEADER + "\n".join(rows(20_000)).encode())
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    corrupt = tmp_path / "corrupt.csv.gz"
    corrupt.write_bytes(whole[:-6] + b"\0" * 6)

    message = refusal(str(cut))
    assert "the gzip data is cut off; expected its end-of-stream marker" in message
    assert int(message.split()[2].rstrip(":")) > 5_000
    assert "the gzip data is corrupt (CRC check failed" in refusal(str(corrupt))


def test_memory_does_not_grow_with_the_file(write_csv: WriteCsv, rows: Rows) -> None:
    """Five times the rows take the same memory, plain and gzipped."""

    def peak(count: int, name: str) -> int:
        feed = FileFeed([write_csv(rows(count), name=name)])
        tracemalloc.start()
        for _ in feed.groups():
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    for name in ("bars.csv", "bars.csv.gz"):
        assert peak(30_000, name) < 1.2 * peak(6_000, name)


def test_an_abandoned_replay_closes_its_files(write_csv: WriteCsv, rows: Rows) -> None:
    """Warnings are errors here: a file left open would fail this test."""
    groups = FileFeed([write_csv(rows(5_000))]).groups()

    assert 1 == len(next(groups))
    groups.close()  # type: ignore[attr-defined]


def test_fingerprints_are_those_of_the_bytes(write_csv: WriteCsv) -> None:
    """The name goes without its folder: the same file anywhere is the same input."""
    feed = FileFeed([write_csv(GOOD)])

    assert {"bars.csv@BTC/USDT": hashlib.sha256(GOOD).hexdigest()} == feed.fingerprints()
