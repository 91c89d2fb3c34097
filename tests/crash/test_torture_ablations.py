"""The torture would notice: with one safeguard off, a chosen moment is reported as what it is."""

from __future__ import annotations

import re

import pytest
from torture_ablations import ABLATIONS, LIMIT_S, Ablation
from torture_run import tortured

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda each: each.without)
def test_without_a_safeguard_a_death_is_reported(ablation: Ablation) -> None:
    """What is lost, sent twice or believed falsely is named, and the exit code is 1."""
    report = tortured(*ablation.options, "--without", ablation.without, "--limit-s", f"{LIMIT_S:g}")

    assert 1 == report.code
    assert re.search(ablation.word, "\n".join(report.failures)), report.again


@pytest.mark.parametrize("options", sorted({each.options for each in ABLATIONS}), ids=" ".join)
def test_with_all_safeguards_the_same_moments_are_survived(options: tuple[str, ...]) -> None:
    """It is the safeguard that was missing, not the moment that was too much."""
    report = tortured(*options)

    assert [] == report.failures, report.again
    assert [0] == [tried["never_came"] for tried in report.tried.values()]


def test_what_fails_is_printed_with_the_options_that_do_it_once_more() -> None:
    """Whoever reads a failure, of a long campaign too, sees that one session again."""
    report = tortured("--workload", "stopped", "--without", "latch", "--at", "kill.latched:1")
    (options,) = (failure.splitlines()[0] for failure in report.failures)

    again = tortured(*options.split())

    assert [options] == [failure.splitlines()[0] for failure in again.failures], again.again
