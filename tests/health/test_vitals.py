"""Vitals: what is wrong with the machine, when it is over, and how it is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.health import MachineVitals, Reading, VitalRules, judge
from actors.health.vitals import MB

RULES = VitalRules(min_free_bytes=200 * MB, max_clock_offset_ms=1_000, stalls_per_minute=10)


@pytest.mark.parametrize(
    ("reading", "wrong"),
    [
        (Reading(200 * MB, 1_000, 10), []),
        (Reading(200 * MB - 1, 1_000, 10), ["disk"]),
        (Reading(200 * MB, 1_001, 10), ["clock"]),
        (Reading(200 * MB, -1_001, 10), ["clock"]),
        (Reading(200 * MB, 1_000, 11), ["loop"]),
        (Reading(0, 9_999, 99), ["disk", "clock", "loop"]),
        (Reading(None, None, None), []),
    ],
)
def test_a_value_at_its_threshold_is_well_and_one_beyond_is_not(reading: Reading, wrong: list[str]):
    """Each vital is judged by itself, and all that is wrong is named."""
    assert wrong == list(judge(reading, RULES))


@pytest.mark.parametrize(
    ("standing", "reading", "wrong"),
    [
        ("disk", Reading(250 * MB - 1, 0, 0), True),
        ("disk", Reading(250 * MB, 0, 0), False),
        ("clock", Reading(999 * MB, 501, 0), True),
        ("clock", Reading(999 * MB, -500, 0), False),
        ("loop", Reading(999 * MB, 0, 6), True),
        ("loop", Reading(999 * MB, 0, 5), False),
    ],
)
def test_what_is_wrong_ends_only_when_it_is_clearly_over(
    standing: str, reading: Reading, wrong: bool
):
    """A value that trembles at its threshold does not turn a gate at every look."""
    assert wrong is (standing in judge(reading, RULES, {standing}))


@pytest.mark.parametrize("vital", ["disk", "clock", "loop"])
def test_what_can_no_longer_be_measured_stays_as_it_was(vital: str):
    """Not knowing is no evidence."""
    assert [vital] == list(judge(Reading(), RULES, {vital}))


def test_a_cause_has_its_figures():
    """An operator reads what was found and what was expected."""
    found = judge(Reading(12_345_678, 4_000, 12), RULES)

    assert {
        "disk": "free_mb=12 min_free_mb=200",
        "clock": "clock_offset_ms=4000 max_clock_offset_ms=1000",
        "loop": "stalls=12 stalls_per_minute=10",
    } == found


class Machine:
    """Two clocks and a count, all set by hand."""

    def __init__(self) -> None:
        self.wall_ms = 1_700_000_000_000
        self.monotonic_s = 50.0
        self.stall_count = 3

    def passes(self, seconds: float, *, set_by_ms: int = 0) -> None:
        self.monotonic_s += seconds
        self.wall_ms += round(seconds * 1000) + set_by_ms

    def vitals(self, folder: Path) -> MachineVitals:
        return MachineVitals(
            folder,
            lambda: self.stall_count,
            wall=lambda: self.wall_ms,
            monotonic=lambda: self.monotonic_s,
        )


def test_the_free_space_is_that_of_the_sessions_disk(tmp_path: Path):
    """A folder that exists has some; one that is gone has none."""
    assert Machine().vitals(tmp_path).disk_free_bytes() > 0
    assert 0 == Machine().vitals(tmp_path / "gone").disk_free_bytes()


def test_a_clock_that_is_set_is_off_until_it_has_run_evenly(tmp_path: Path):
    """A step shows at once and for a minute; after that the clock is what it was set to."""
    machine = Machine()
    vitals = machine.vitals(tmp_path)
    machine.passes(5)

    assert 0 == vitals.clock_offset_ms()

    machine.passes(5, set_by_ms=-3_600_000)

    assert -3_600_000 == vitals.clock_offset_ms()

    machine.passes(59)

    assert -3_600_000 == vitals.clock_offset_ms()

    machine.passes(1)

    assert 0 == vitals.clock_offset_ms()


def test_a_clock_that_is_slewed_is_not_off(tmp_path: Path):
    """Half a millisecond a second, as a time daemon corrects it, adds up to nothing."""
    machine = Machine()
    vitals = machine.vitals(tmp_path)
    offsets = []
    for _ in range(1_000):
        machine.passes(5, set_by_ms=2)
        offsets.append(abs(vitals.clock_offset_ms()))

    assert max(offsets) <= 30


def test_stalls_are_counted_within_the_last_minute(tmp_path: Path):
    """What happened before the watch began, or more than a minute ago, does not count."""
    machine = Machine()
    vitals = machine.vitals(tmp_path)

    assert 0 == vitals.stalls()

    machine.stall_count += 4
    machine.passes(5)

    assert 4 == vitals.stalls()

    machine.passes(30)
    machine.stall_count += 2

    assert 6 == vitals.stalls()

    machine.passes(40)

    assert 2 == vitals.stalls()

    machine.passes(60)

    assert 0 == vitals.stalls()
