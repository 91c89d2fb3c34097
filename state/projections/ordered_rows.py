"""
Rows in the order in which their subjects began, though those end in any order.

A row is known when its order is finished, but stands where the order was created. So a
finished row waits for every earlier one. One order that rests for a whole session would make
all later rows wait: beyond a bound they wait in an unnamed file, so memory depends on how many
orders are unfinished, not on how many there were.
"""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path
from typing import IO

from state.projections.csv_text import CsvFile
from state.projections.limits import PARKED_PIECE_BYTES, WAITING_ROWS_MAX

Place = list[str]
"""A row's place in the file: empty until the row is known. A list is the cheapest such cell."""


class NoRows:
    """Take places and rows and keep none: for whoever only counts."""

    __slots__ = ()

    def take_place(self) -> Place:
        """Return a place like any other."""
        return []

    def put(self, place: Place, row: str) -> None:
        """Drop the row."""

    def close(self) -> None:
        """Do nothing: there is no file."""


class _Parked:
    """A run of neighbouring rows that wait in the file: its pieces as (offset, length)."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int]] = []


class OrderedRows:
    """
    Give every row to ``file`` once, in the order in which places were taken.

    A row is handed on as soon as it and all earlier ones are known. Rows whose predecessors
    never become known are never handed on. ``close`` drops the waiting file; its folder is
    that of the CSV file, because temporary folders may be small.
    """

    __slots__ = ("_file", "_folder", "_parking", "_places", "_waiting", "_waiting_max")

    def __init__(self, file: CsvFile, folder: Path, *, waiting_max: int = WAITING_ROWS_MAX) -> None:
        assert waiting_max > 0, "at least one row must be able to wait"
        self._file = file
        self._folder = folder
        self._waiting_max = waiting_max
        self._waiting = 0  # rows known and in memory
        self._places: deque[Place | _Parked] = deque()  # seam: past waiting_max, on disk
        self._parking: IO[bytes] | None = None

    def take_place(self) -> Place:
        """Return the next place, to be given to ``put`` once."""
        place: Place = []
        self._places.append(place)
        return place

    def put(self, place: Place, row: str) -> None:
        """Fill ``place`` with its finished line."""
        assert not place, "a place is filled once"
        places = self._places
        if places[0] is place:
            places.popleft()
            self._file.lines.append(row)
            if places:
                self._advance()
            return
        place.append(row)
        self._waiting += 1
        if self._waiting > self._waiting_max:
            self._park()

    def close(self) -> None:
        """Drop the waiting file, if there is one."""
        if self._parking is not None:
            self._parking.close()
            self._parking = None

    def _advance(self) -> None:
        places = self._places
        while places:
            front = places[0]
            if isinstance(front, _Parked):
                self._unpark(front)
            elif front:
                self._file.lines.append(front[0])
                self._waiting -= 1
            else:
                return
            places.popleft()

    def _unpark(self, parked: _Parked) -> None:
        assert self._parking is not None, "parked rows have a file"
        for offset, length in parked.pieces:
            self._parking.seek(offset)
            self._file.lines.append(self._parking.read(length).decode("utf-8"))
            self._file.flush()  # one piece in memory at a time

    def _park(self) -> None:
        """Write every waiting row to the file, neighbours together."""
        if self._parking is None:
            self._parking = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by close()
        offset = self._parking.seek(0, 2)
        kept: deque[Place | _Parked] = deque()  # seam: no longer than what it replaces
        for place in self._places:
            if not isinstance(place, _Parked) and not place:
                kept.append(place)
                continue
            if not kept or not isinstance(kept[-1], _Parked):
                kept.append(_Parked())
            run = kept[-1]
            assert isinstance(run, _Parked), "the run that was just made sure of"
            if isinstance(place, _Parked):
                run.pieces.extend(place.pieces)
                continue
            data = place[0].encode("utf-8")
            self._parking.write(data)
            if (
                run.pieces
                and sum(run.pieces[-1]) == offset
                and run.pieces[-1][1] < PARKED_PIECE_BYTES
            ):
                offset_first, length = run.pieces[-1]
                run.pieces[-1] = (offset_first, length + len(data))
            else:
                run.pieces.append((offset, len(data)))
            offset += len(data)
        self._places = kept
        self._waiting = 0


Rows = OrderedRows | NoRows
