"""Circuits and stale data, as a session's reports tell them."""

from __future__ import annotations

from safety_makers import SECOND, dark_summary, summary_of_messages
from session_makers import MINUTE, T0

from messages import CircuitClosed, CircuitHalfOpen, CircuitOpened, DataFresh, DataStale, ToolReport
from state.projections.limits import OPENINGS_MAX, STALE_SYMBOLS_MAX, TOOLS_MAX
from state.projections.report_text import duration
from state.projections.safety_summary import OpeningEnd


def test_a_circuit_is_told_by_tool_and_by_opening() -> None:
    """Openings with reason and pause, the questions asked, and how each opening ended."""
    safety = dark_summary().safety
    feed, venue = safety.circuits

    assert ("feed", 0, 1, 0, "closed") == (
        feed.tool,
        feed.failures,
        feed.rate_limits,
        feed.openings,
        feed.state,
    )
    assert (6, 2, 2, 2, 1, 1) == (
        venue.failures,
        venue.openings,
        venue.half_opens,
        venue.probes,
        venue.probes_failed,
        venue.closings,
    )
    assert (90 * SECOND, 60 * SECOND, "closed") == (
        venue.paused_ms,
        venue.longest_pause_ms,
        venue.state,
    )
    at = T0 + 30 * MINUTE
    assert [
        ("timeout", 1, 30 * SECOND, at + 30 * SECOND, OpeningEnd.OPENED_AGAIN, at + 31 * SECOND),
        ("the probe failed", 2, 60 * SECOND, at + 91 * SECOND, OpeningEnd.CLOSED, at + 92 * SECOND),
    ] == [
        (one.reason, one.opening, one.pause_ms, one.half_open_at, one.end, one.ended_at)
        for one in safety.openings
    ]


def test_a_circuit_that_an_earlier_session_left_open_still_counts() -> None:
    """It is asked and closes without an opening of this session."""
    summary = summary_of_messages(
        CircuitHalfOpen("health", T0, "venue:x"),
        ToolReport("venue:x", ok=True, at=T0, probe=True),
        CircuitClosed("health", T0, "venue:x", 1),
    )
    (circuit,) = summary.safety.circuits

    assert (0, 1, 1, 1, "closed") == (
        circuit.openings,
        circuit.half_opens,
        circuit.probes,
        circuit.closings,
        circuit.state,
    )


def test_tools_that_work_are_not_told() -> None:
    """A million good answers are no news."""
    summary = summary_of_messages(*(ToolReport("venue:x", ok=True, at=T0) for _ in range(100)))

    assert () == summary.safety.circuits


def test_circuits_and_openings_are_bounded() -> None:
    """Ten thousand openings of a thousand tools stay two short lists with true totals."""
    summary = summary_of_messages(
        *(
            CircuitOpened("health", T0 + n, f"tool{n % 1_000}", "x", 5, 1, T0 + n + SECOND)
            for n in range(10_000)
        )
    )
    safety = summary.safety

    assert (TOOLS_MAX + 1, OPENINGS_MAX, 10_000) == (
        len(safety.circuits),
        len(safety.openings),
        safety.openings_total,
    )
    assert 10_000 == sum(circuit.openings for circuit in safety.circuits)


def test_stale_data_is_told_by_symbol() -> None:
    """How often, how long in all, the longest time; what is stale at the end says since when."""
    safety = dark_summary().safety
    btc, eth = safety.stale

    assert ("BTC/USDT", 1, 0, 2 * MINUTE, 2 * MINUTE, T0 + 30 * MINUTE, None) == (
        btc.symbol,
        btc.spans,
        btc.silent,
        btc.total_ms,
        btc.longest_ms,
        btc.longest_at,
        btc.since,
    )
    assert ("ETH/USDT", 1, 1, 11 * MINUTE, T0 + 50 * MINUTE) == (
        eth.symbol,
        eth.spans,
        eth.silent,
        eth.total_ms,
        eth.since,
    )


def test_data_that_was_stale_before_the_session_counts_from_its_start() -> None:
    """A symbol taken over as stale has no event of its own in this journal but the fresh one."""
    (eth,) = summary_of_messages(DataFresh("health", T0, "ETH", MINUTE, SECOND)).safety.stale

    assert (1, SECOND, T0 - SECOND, None) == (eth.spans, eth.total_ms, eth.longest_at, eth.since)


def test_stale_symbols_are_bounded() -> None:
    """Symbols beyond the bound stand together."""
    count = STALE_SYMBOLS_MAX + 50
    summary = summary_of_messages(
        *(DataStale("health", T0, f"S{number}", MINUTE, 1) for number in range(count))
    )

    assert STALE_SYMBOLS_MAX + 1 == len(summary.safety.stale)
    assert count == sum(stale.spans for stale in summary.safety.stale)


def test_spans_of_time_are_written_for_people() -> None:
    """Two units at most, exact below a minute."""
    assert ["0 s", "0.25 s", "59.999 s", "1 min", "1 min 30 s", "2 h 5 min", "1 d", "40 d 3 h"] == [
        duration(length_ms)
        for length_ms in (
            0,
            250,
            59_999,
            60_000,
            90_999,
            7_500_000,
            86_400_000,
            40 * 86_400_000 + 3 * 3_600_000 + 59 * 60_000,
        )
    ]
