"""
The torture again with the real ccxt client in the session's process, and TLS to the exchange.

Here are some of its moments; ``make torture`` has all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from torture_run import tortured

pytestmark = pytest.mark.exhaustive

AT = ("--venue", "binanceusdm")

OF_THE_WIRE = ("doubt", "no-resend", "dedupe")
"""Safeguards that another client could break."""


@pytest.mark.parametrize(("workload", "count"), [("entries", "2"), ("hedged", "1")])
def test_wherever_a_session_dies_the_exchange_and_the_journal_agree(
    workload: str, count: str
) -> None:
    """
    Nothing lost, nothing twice, nothing unresolved, whatever traded while nobody lived.

    Among the moments: a request has its turn, its answer has come, the stream has spoken.
    """
    report = tortured(*AT, "--workload", workload, "--sample", count)

    assert [] == report.failures, report.again
    assert int(count) < report.tried[workload]["deaths"]


def test_a_session_may_die_between_two_moments_and_again_while_it_recovers() -> None:
    """Each process is killed in its turn, and the last one leaves nothing open."""
    deaths = ("--at", "request.answered:2+0.002", "--then", "any:12", "--then", "any:25+0.002")
    report = tortured(*AT, "--workload", "flatten", *deaths)

    assert [] == report.failures, report.again
    assert 3 == report.tried["flatten"]["deaths"]


def test_without_a_safeguard_of_what_is_sent_and_booked_something_is_found() -> None:
    """With all of them the same moments are survived; `make torture` tries the others here too."""
    report = tortured(*AT, "--ablations", *OF_THE_WIRE)

    assert [] == report.failures, report.again
    assert len(OF_THE_WIRE) == report.tried["ablations"]["tried"]


def test_no_process_that_trades_reads_what_the_exchange_has_written() -> None:
    """Only whoever judges does: a session that could look would agree with anything."""
    floors = Path(__file__).parents[2]
    reading = [
        str(path)
        for floor in ("brokers", "actors", "state", "feeds", "strategies")
        for path in (floors / floor).rglob("*.py")
        if "truth.ndjson" in path.read_text("utf-8") or "read_truth" in path.read_text("utf-8")
    ]

    assert [] == reading
