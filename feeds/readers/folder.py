"""A series of the store, as if its parts were one file; and what identifies any input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from feeds.errors import BadInput
from feeds.readers.base import Peek, open_binary
from feeds.readers.columnar import ColumnarReader
from feeds.rows import Gate
from feeds.store.layout import parts_in
from messages import Bar

HASH_BYTES = 1 << 20
"""Bytes read at a time for a fingerprint."""


class SeriesReader:
    """
    Read the parts of a series one after the other.

    A bad row is named by its part and its row in there.
    """

    def __init__(self, path: Path, name: str) -> None:
        """List the parts of the folder ``path``; raise ``BadInput`` if there are none."""
        self.parts: Sequence[Path] = parts_in(path)
        if not self.parts:
            raise BadInput(
                name,
                "a folder without bars",
                "a file, or a series of the store (DIR/2024-01.parquet)",
            )

    def peek(self, limit: int) -> Peek:
        """Return what the first ``limit`` rows say of time."""
        peek = Peek()
        for part in self.parts:
            if peek.rows >= limit:
                break
            own = ColumnarReader(part, str(part), form="parquet").peek(limit - peek.rows)
            if peek.first_bad is None:
                peek.first_bad = own.first_bad
            peek.rows += own.rows
            peek.timestamps += own.timestamps
        return peek

    def batches(self, gate: Gate) -> Iterator[list[Bar]]:
        """Yield the bars that ``gate`` lets through, in file order, in lists."""
        whole = gate.file
        try:
            for part in self.parts:
                gate.file = str(part)
                yield from ColumnarReader(part, str(part), form="parquet").batches(gate)
        finally:
            gate.file = whole


def content_sha256(path: Path, name: str) -> str:
    """Return the sha256 of a file's bytes; of a folder's, that of its parts' names and sha256s."""
    if path.is_dir():
        lines = [f"{content_sha256(part, str(part))}  {part.name}\n" for part in parts_in(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    digest = hashlib.sha256()
    with open_binary(path, name) as stream:
        while chunk := stream.read(HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
