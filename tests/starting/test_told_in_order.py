"""What a start after an earlier process tells is told in the order in which it happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from starting_house import House, write_configuration


@pytest.fixture
def left(tmp_path: Path) -> House:
    """Return a paper session that died in the middle."""
    write_configuration(tmp_path, bars=80)
    house = House(tmp_path)
    house.crash("trade", "--new", at="journal.committed:60")
    return house


def test_a_session_trades_again_after_it_was_held_and_not_before(left: House) -> None:
    """
    A phase is told after what brought it about: the hold of the start, and its end.

    Whoever waits for `phase=trading` in the log may believe that nothing of the start comes later.
    """
    done = left.run("trade", "--resume")

    assert 0 == done.code, done.said
    told = [
        next(number for number, line in enumerate(done.said.splitlines()) if words in line)
        for words in (
            "hold=recovering cause=",
            "recovery_phase",
            "hold=recovering lifted_by=",
            "phase=trading",
        )
    ]
    assert sorted(told) == told
    assert ["protected", "checked", "trading"] == [
        line.partition("phase=")[2].split()[0]
        for line in done.said.splitlines()
        if "recovery_phase" in line
    ]
