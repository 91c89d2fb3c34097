"""The choice of a reader."""

from __future__ import annotations

from pathlib import Path

from feeds.errors import BadInput
from feeds.readers.base import FORMS, Reader, open_binary
from feeds.readers.columnar import ColumnarReader
from feeds.readers.delimited import CsvReader
from feeds.readers.folder import SeriesReader

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
FEATHER = b"ARROW1"
FEATHER_1 = b"FEA1"
FOREIGN = {
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x28\xb5\x2f\xfd": "zstd data",
}


def open_reader(path: Path, name: str) -> Reader:
    """
    Return the reader for ``path``, which messages call ``name``.

    The first bytes decide, not the name's ending; a folder is a series of the store. Raise
    ``BadInput`` for a file that is not there or is none of the forms, ``ExtraMissing`` for one
    whose library is not installed.
    """
    if path.is_dir():
        return SeriesReader(path, name)
    with open_binary(path, name) as stream:
        start = stream.read(8)
    if not start:
        raise BadInput(name, "the file is empty", FORMS)
    if start.startswith(PARQUET):
        return ColumnarReader(path, name, form="parquet")
    if start.startswith(FEATHER):
        return ColumnarReader(path, name, form="feather")
    if start.startswith(FEATHER_1):
        raise BadInput(name, "feather version 1", "feather version 2 (the Arrow file form)")
    for magic, what in FOREIGN.items():
        if start.startswith(magic):
            raise BadInput(name, what, FORMS)
    compressed = start.startswith(GZIP)
    if path.suffix == ".gz" and not compressed:
        raise BadInput(name, "a name in .gz but no gzip data", FORMS)
    return CsvReader(path, name, compressed=compressed)
