"""Projections made again from a stored journal: the same files, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from state.journal import Entry
from state.projections.limits import REBUILD_BATCH


class Projection(Protocol):
    """What follows from a journal's entries alone: a sink that does without the encoded lines."""

    def write(self, entries: list[Entry], lines: bytes = b"") -> None:
        """Take the next batch."""

    def close(self) -> None:
        """Finish."""


def project(entries: Iterable[Entry], *projections: Projection) -> None:
    """
    Give every entry to every projection, in batches, and close them.

    ``entries`` are a whole journal from its first entry on, in order; they are read once and
    a batch at a time. Nothing is closed when reading or projecting fails.
    """
    remaining = iter(entries)
    while batch := list(islice(remaining, REBUILD_BATCH)):
        for projection in projections:
            projection.write(batch)
    for projection in projections:
        projection.close()
