"""One file of a series: read with every check that an input gets, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from feeds.errors import BadInput, ExtraMissing
from feeds.quarantine import Quarantine
from feeds.readers.columnar import ColumnarReader
from feeds.rows import COLUMNS, Gate
from feeds.store.layout import Series
from messages import Bar
from state.atomic import replace_file


def read_part(path: Path, series: Series) -> Iterator[list[Bar]]:
    """Yield the bars of one file in lists; a row that is no good bar raises ``BadInput``."""
    gate = Gate(str(path), series.symbol, series.timeframe_ms, Quarantine(0))
    yield from ColumnarReader(path, str(path), form="parquet").batches(gate)


def timestamps_in(path: Path) -> list[int]:
    """Return when the bars of one file open, int ms UTC, from that column alone."""
    arrow, parquet = arrow_of(str(path))
    try:
        column = parquet.read_table(path, columns=[COLUMNS[0]], use_threads=False).column(0)
        times: list[int] = column.cast(arrow.int64()).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(str(path), f"unreadable parquet data ({reason})", "a whole file") from error
    return times


def write_part(path: Path, series: Series, bars: Sequence[Bar]) -> None:
    """Replace the file by ``bars``, in increasing time, in one step and durably."""
    arrow, parquet = arrow_of(str(path))
    columns = {
        "timestamp": arrow.array([bar.timestamp for bar in bars], arrow.timestamp("ms", tz="UTC"))
    }
    for name in COLUMNS[1:]:
        columns[name] = arrow.array([getattr(bar, name) for bar in bars], arrow.float64())
    about = {
        "tidegate.venue": series.venue,
        "tidegate.symbol": series.symbol,
        "tidegate.timeframe": series.timeframe,
    }
    content = BytesIO()
    table = arrow.table(columns).replace_schema_metadata(about)
    parquet.write_table(table, content, compression="zstd")
    replace_file(path, content.getvalue())


def arrow_of(name: str) -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module, or raise ``ExtraMissing`` on behalf of ``name``."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExtraMissing(name, "parquet", "pyarrow") from error
