"""Whatever a name contains, a CSV reader gets it back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import Side
from state.projections.csv_text import CsvFile, Words, csv_row, quoted

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = st.text(st.sampled_from([",", '"', "\n", "\r", "a", " ", "é", "|", ";"]))


@given(st.lists(TEXTS | NASTY, min_size=2, max_size=8))
def test_a_reader_gets_back_what_was_written(fields: list[str]) -> None:
    """Commas, quotes and line breaks survive the standard library's reader."""
    row = csv_row(fields)

    assert [fields] == list(csv.reader(io.StringIO(row, newline="")))
    assert row.endswith("\n")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("", ""),
        ("a,b", '"a,b"'),
        ('say "no"', '"say ""no"""'),
        ("two\nlines", '"two\nlines"'),
        ("carriage\rreturn", '"carriage\rreturn"'),
        (" space ", " space "),
    ],
)
def test_only_what_needs_quotes_has_them(text: str, field: str) -> None:
    """Quotes stand exactly where RFC 4180 asks for them."""
    assert field == quoted(text)
    assert f"{field},x\n" == csv_row((text, "x"))


def test_a_word_is_looked_at_once_and_becomes_plain_text() -> None:
    """Members of an enumeration are written as their value."""
    words = Words()

    assert "buy" == words[Side.BUY]
    assert type(words[Side.BUY]) is str
    assert '"a,b"' == words["a,b"]
    assert {"buy", "a,b"} == set(words)


def test_lines_reach_the_file_at_a_flush(tmp_path: Path) -> None:
    """A reader sees whole batches, in UTF-8, and an old file is replaced."""
    path = tmp_path / "x.csv"
    path.write_text("old\n" * 100, "utf-8")

    file = CsvFile(path, ("a", "b"))
    assert b"a,b\n" == path.read_bytes()
    file.lines.append("é,1\n")
    assert b"a,b\n" == path.read_bytes()
    file.flush()
    assert "a,b\né,1\n".encode() == path.read_bytes()
    file.lines.append("z,2\n")
    file.close()
    file.close()
    assert "a,b\né,1\nz,2\n".encode() == path.read_bytes()
