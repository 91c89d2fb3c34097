"""Small files of bars for the feeds' tests."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

HEADER = "timestamp,open,high,low,close,volume"
START = 1_704_067_200_000
MINUTE = 60_000

WriteCsv = Callable[..., str]


@pytest.fixture
def rows() -> Callable[..., list[str]]:
    """Return a maker of good rows: ``rows(count)``, one minute apart, prices that differ."""

    def make(count: int, *, start: int = START, step: int = MINUTE) -> list[str]:
        return [
            f"{start + index * step},{100 + index}.5,{102 + index}.25,{99 + index},"
            f"{101 + index}.75,{index}.125"
            for index in range(count)
        ]

    return make


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    """Return a writer of data files: ``write_csv(lines)`` gives the path as text."""

    def write(
        lines: Iterable[str] | bytes,
        *,
        name: str = "bars.csv",
        header: str | None = HEADER,
        end: str = "\n",
    ) -> str:
        if not isinstance(lines, bytes):
            text = "\n".join([*([] if header is None else [header]), *lines])
            lines = (text + end).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
        return str(path)

    return write
