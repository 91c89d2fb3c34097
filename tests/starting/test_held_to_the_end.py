"""A session that came to its end and was kept from trading says so where scripts look."""

from __future__ import annotations

from pathlib import Path

import pytest
from starting_house import House, document, types_of, write_configuration


@pytest.fixture
def house(tmp_path: Path) -> House:
    write_configuration(tmp_path, bars=20)
    return House(tmp_path)


def test_a_session_without_room_to_open_says_at_its_end_that_nothing_could(house: House) -> None:
    """
    Exit code 0, for its data is over and all its files are there; one line names hold and cause.

    Beside a full disk that stops a session with 6 this one is only short: nobody must take it for
    a session whose strategy wanted nothing.
    """
    environ = {"TIDEGATE_HEALTH__MIN_FREE_MB": "1000000000"}
    done = house.run("trade", "--new", "--json", environ=environ)

    assert 0 == done.code, done.said
    refused = types_of(house.session).count("RiskDecision")
    assert refused == document(done)["summary"]["orders_total"] > 1
    (line,) = done.problems
    assert line.startswith("tidegate: completed: still held at its end by disk (free_mb=")
    assert line.endswith(f"min_free_mb=1000000000); {refused} orders refused for holds")


def test_a_session_that_nothing_held_says_nothing_of_the_kind(house: House) -> None:
    """Its last words are those of its summary."""
    done = house.run("trade", "--new", "--json")

    assert 0 == done.code, done.said
    assert [] == done.problems
