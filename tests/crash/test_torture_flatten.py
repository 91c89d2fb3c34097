"""The short form of the torture, of a ladder that is killed in its middle, and has to be flat."""

from __future__ import annotations

from pathlib import Path

import pytest
from torture_parts import PARTS
from torture_run import tortured_part

pytestmark = pytest.mark.exhaustive

WORKLOAD = "flatten"


@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_wherever_a_session_dies_the_venue_and_the_journal_agree_in_the_end(
    part: int, counts: Path
) -> None:
    """Nothing lost, nothing twice, nothing unresolved; every first passing kills a process."""
    report = tortured_part(WORKLOAD, part, counts)

    assert [] == report.failures, report.again
    assert 0 < report.tried[WORKLOAD]["deaths"]
