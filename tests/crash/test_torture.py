"""A session dies again while it recovers, stands still, and is tried in parts."""

from __future__ import annotations

import pytest
from torture_parts import part_of
from torture_run import tortured

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "asked",
    [
        ("--at", "order.left:2", "--then", "any:1", "--then", "any:12", "--then", "any:25"),
        ("--at", "any:60+0.002", "--then", "any:20+0.002"),
    ],
    ids=["at moments", "between moments"],
)
def test_a_session_may_die_again_while_it_recovers(asked: tuple[str, ...]) -> None:
    """Each process dies in its turn, and the last one leaves nothing open."""
    report = tortured("--workload", "flatten", *asked)

    assert [] == report.failures, report.again
    assert asked.count("--then") < report.tried["flatten"]["deaths"]


def test_a_second_process_is_turned_away_while_the_first_stands_still() -> None:
    """The first goes on afterwards as if nothing had happened."""
    report = tortured("--workload", "entries", "--beside", "order.left:2")

    assert [] == report.failures, report.again
    assert 0 == report.tried["entries"]["never_came"]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_parts_are_the_whole(of: int) -> None:
    """Every attempt is in exactly one of them."""
    attempts = list(range(20))
    parts = [attempts[part_of(f"{number}/{of}")] for number in range(1, of + 1)]

    assert attempts == sorted(each for part in parts for each in part)
    with pytest.raises(ValueError, match=f"found part {of + 1} of {of}"):
        part_of(f"{of + 1}/{of}")
