"""Parquet and feather, freqtrade's included, by pyarrow: an optional dependency (``parquet``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from feeds.errors import BadInput, ExtraMissing
from feeds.flaws import BadRow, Flaw
from feeds.readers.base import Peek, open_binary, to_timestamp
from feeds.rows import COLUMNS, Gate, Row
from feeds.timeline import TIMESTAMP_FORMS
from messages import Bar

BATCH_ROWS = 2_048
"""Rows turned into Python objects at a time."""

VALUE_COLUMNS = COLUMNS[1:]


class _Part(NamedTuple):
    """A bounded number of rows, column by column; ``plain`` if all are there and times are int."""

    times: list[Any]
    values: list[list[Any]]
    plain: bool


class ColumnarReader:
    """
    Read the columns timestamp (or date), open, high, low, close and volume.

    Their order is free and further columns are left alone. ``date``, freqtrade's name, must be
    a timestamp with a zone; ``timestamp`` may also be int ms or ISO-8601 text. Rows are counted
    from 1 where a text file has lines.
    """

    def __init__(self, path: Path, name: str, *, form: Literal["parquet", "feather"]) -> None:
        """Name the file; raise ``ExtraMissing`` at once if pyarrow is not there."""
        self.path = path
        self.name = name
        self.form = form
        try:
            self._arrow: Any = import_module("pyarrow")
            self._parquet: Any = import_module("pyarrow.parquet")
        except ImportError as error:
            raise ExtraMissing(name, "parquet", "pyarrow") from error

    def peek(self, limit: int) -> Peek:
        """Return what the first ``limit`` rows say of time."""
        peek = Peek()
        times = chain.from_iterable(part.times for part in self._parts())
        for row, time in enumerate(islice(times, limit), 1):
            peek.add(row, time)
        return peek

    def batches(self, gate: Gate) -> Iterator[list[Bar]]:
        """Yield the bars that ``gate`` lets through, in file order, in lists."""
        first_row = 1
        for part in self._parts():
            rows = list(zip(part.times, *part.values, strict=True))
            if part.plain:
                bars = gate.admit(rows, first_row, lambda index, rows=rows: _text(rows[index]))  # type: ignore[misc]
            else:
                bars = gate.admit_each(
                    (line, _to_row(row), _text(row)) for line, row in enumerate(rows, first_row)
                )
            if bars:
                yield bars
            first_row += len(rows)

    def _parts(self) -> Iterator[_Part]:
        with open_binary(self.path, self.name) as stream, self._reading():
            for batch in self._record_batches(stream):
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    time, *values = batch.slice(start, BATCH_ROWS).columns
                    plain = not self._arrow.types.is_string(time.type) and not any(
                        column.null_count for column in (time, *values)
                    )
                    yield _Part(self._times(time), list(map(self._floats, values)), plain)

    def _record_batches(self, stream: BinaryIO) -> Iterator[Any]:
        """Yield record batches of the six columns, time first."""
        if self.form == "parquet":
            file = self._parquet.ParquetFile(stream)
            columns = self._check_columns(file.schema_arrow)
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                yield batch.select(columns)
        else:
            file = self._arrow.ipc.open_file(stream)
            columns = self._check_columns(file.schema)
            for index in range(file.num_record_batches):
                yield file.get_batch(index).select(columns)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (self._arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(
                self.name, f"unreadable {self.form} data ({reason})", "a whole file"
            ) from error

    def _check_columns(self, schema: Any) -> list[str]:
        """Return the names of the six columns, time first, or raise ``BadInput``."""
        names = schema.names
        time = "date" if "date" in names and "timestamp" not in names else "timestamp"
        columns = [time, *VALUE_COLUMNS]
        if any(names.count(name) != 1 for name in columns):
            lacking = [name for name in columns if name not in names]
            without = f" (without {', '.join(lacking)})" if lacking else ""
            raise BadInput(
                self.name,
                f"the columns {', '.join(names)}{without}",
                f"each of the columns {', '.join(COLUMNS)} once",
                reason="header",
            )
        self._check_time_type(time, schema.field(time).type)
        types = self._arrow.types
        for name in VALUE_COLUMNS:
            kind = schema.field(name).type
            if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
                raise BadInput(
                    self.name, f"the column {name} is {kind}", "numbers", reason="header"
                )
        return columns

    def _check_time_type(self, name: str, kind: Any) -> None:
        types = self._arrow.types
        zoned = types.is_timestamp(kind) and kind.tz is not None
        plain = types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)
        if not zoned and not (plain and name == "timestamp"):
            raise BadInput(
                self.name,
                f"the column {name} is {kind}",
                "timestamps with a zone" if name == "date" else TIMESTAMP_FORMS,
                reason="header",
            )

    def _times(self, column: Any) -> list[Any]:
        if self._arrow.types.is_timestamp(column.type):
            # The checked cast refuses a fraction of a millisecond.
            column = column.cast(self._arrow.timestamp("ms", tz=column.type.tz))
            column = column.cast(self._arrow.int64())
        times: list[Any] = column.to_pylist()
        return times

    def _floats(self, column: Any) -> list[Any]:
        values: list[Any] = column.cast(self._arrow.float64()).to_pylist()
        return values


def _to_row(raw: tuple[Any, ...]) -> Row | BadRow:
    for name, value in zip(VALUE_COLUMNS, raw[1:], strict=True):
        if value is None:
            return BadRow(Flaw.NOT_A_NUMBER, f"{name} is missing", "a decimal number")
    try:
        return (to_timestamp(raw[0]), *raw[1:])
    except BadRow as bad:
        return bad


def _text(raw: tuple[Any, ...]) -> str:
    return ",".join("" if value is None else str(value) for value in raw)
