"""Rows keep the order of their beginnings, whatever the order of their ends."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.projections.csv_text import CsvFile
from state.projections.ordered_rows import OrderedRows, Place


class World:
    """Rows numbered as they begin; the file is flushed after every step."""

    def __init__(self, folder: Path, waiting_max: int) -> None:
        self.path = folder / "rows.csv"
        self.file = CsvFile(self.path, ("row",))
        self.rows = OrderedRows(self.file, folder, waiting_max=waiting_max)
        self.begun = 0
        self.open: list[tuple[int, Place]] = []

    def begin(self) -> None:
        self.open.append((self.begun, self.rows.take_place()))
        self.begun += 1

    def end(self, which: int) -> None:
        number, place = self.open.pop(which % len(self.open))
        self.rows.put(place, f"row {number} é{'x' * (number % 5)}\n")
        self.file.flush()

    def written(self) -> list[int]:
        lines = self.path.read_text("utf-8").splitlines()[1:]
        assert [f"row {index} é{'x' * (index % 5)}" for index in range(len(lines))] == lines
        return list(range(len(lines)))


@settings(max_examples=60)
@given(st.lists(st.none() | st.integers(0, 10**6), max_size=120), st.integers(1, 6))
def test_every_row_is_written_once_in_order_of_beginning(
    steps: list[int | None], waiting_max: int
) -> None:
    """At any time the file holds every row up to the first unfinished one."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder), waiting_max)
        for step in steps:
            if step is None or not world.open:
                world.begin()
            else:
                world.end(step)
            expected = min((number for number, _ in world.open), default=world.begun)

            assert list(range(expected)) == world.written()
        while world.open:
            world.end(len(world.open) - 1)

        assert list(range(world.begun)) == world.written()
        world.rows.close()
        world.file.close()


def test_one_resting_order_does_not_keep_the_others_in_memory(tmp_path: Path) -> None:
    """Beyond the bound, rows behind an unfinished one wait in a file that leaves no trace."""
    world = World(tmp_path, waiting_max=10)
    world.begin()
    for _ in range(1_000):
        world.begin()
        world.end(1)

    assert len(world.rows._places) <= 12
    assert world.rows._waiting <= 10
    assert [] == world.written()
    world.end(0)
    assert list(range(1_001)) == world.written()
    world.rows.close()
    world.file.close()
    assert ["rows.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_place_is_filled_once(tmp_path: Path) -> None:
    """Filling a place twice is a programming error."""
    world = World(tmp_path, waiting_max=10)
    world.begin()
    world.begin()
    _, place = world.open[1]
    world.rows.put(place, "x\n")

    with pytest.raises(AssertionError, match="filled once"):
        world.rows.put(place, "x\n")
    world.file.close()
