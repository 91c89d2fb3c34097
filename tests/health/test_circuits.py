"""Circuits at their edges: thresholds, pauses, growth, probes, rate limits, what survives."""

from __future__ import annotations

import json

import pytest

from actors.health import CircuitRules, Circuits, CircuitState
from actors.health.circuits import venue_tool
from messages import CircuitClosed, CircuitHalfOpen, CircuitOpened

TOOL = "venue:paper"
RULES = CircuitRules(
    failure_streak=3,
    success_streak=2,
    pause_ms=1_000,
    pause_growth=2.0,
    pause_max_ms=3_000,
    rate_limit_pause_ms=500,
    probe_every_ms=100,
    quiet_ms=10_000,
)


def circuits_of(rules: CircuitRules = RULES) -> Circuits:
    return Circuits(rules, {TOOL: 200})


def opened(rules: CircuitRules = RULES, at: int = 0) -> Circuits:
    circuits = circuits_of(rules)
    for _ in range(rules.failure_streak):
        circuits.record_tool_failure(TOOL, at, "503")
    return circuits


def half_open(at: int = 1_000) -> Circuits:
    circuits = opened(at=at - 1_000)
    circuits.advance(at)
    return circuits


def test_the_failure_that_completes_the_streak_opens_the_circuit():
    """One failure less than the streak changes nothing; the last one opens, with all figures."""
    circuits = circuits_of()

    assert [None, None] == [circuits.record_tool_failure(TOOL, 5, "503") for _ in range(2)]
    assert not circuits.should_pause(TOOL, 5)

    change = circuits.record_tool_failure(TOOL, 7, "503")

    assert CircuitOpened("health", 7, TOOL, "503", 3, 1, 1_007) == change
    assert circuits.should_pause(TOOL, 7)
    assert 1_007 == circuits.get_pause_until(TOOL, 7)


def test_a_good_answer_ends_a_streak_of_failures():
    """Failures count in a row only."""
    circuits = circuits_of()
    for _ in range(10):
        circuits.record_tool_failure(TOOL, 1)
        circuits.record_tool_failure(TOOL, 2)
        circuits.record_tool_success(TOOL, 3)

    assert CircuitState.CLOSED is circuits.circuit(TOOL).state


def test_an_exchange_failure_is_a_failure_of_its_venue_alone():
    """Streaks are kept per tool."""
    circuits = circuits_of()
    for _ in range(3):
        circuits.record_exchange_failure("paper", 1, "timeout")
        circuits.record_tool_success("venue:other", 1)

    assert circuits.should_pause(venue_tool("paper"), 1)
    assert not circuits.should_pause("venue:other", 1)


def test_the_pause_is_over_to_the_millisecond():
    """Nothing is asked a millisecond early, and at its end exactly one probe is."""
    circuits = opened()

    assert () == circuits.advance(999).probes

    advance = circuits.advance(1_000)

    assert (CircuitHalfOpen("health", 1_000, TOOL),) == advance.changes
    assert (TOOL,) == advance.probes
    assert () == circuits.advance(1_000).probes
    assert circuits.should_pause(TOOL, 1_000)
    assert 1_000 == circuits.get_pause_until(TOOL, 1_000)


def test_good_answers_in_a_row_close_a_half_open_circuit():
    """Each probe waits for the answer to the one before it, and a while longer."""
    circuits = half_open()

    assert circuits.record_tool_success(TOOL, 1_010, probe=True) is None
    assert () == circuits.advance(1_109).probes
    assert (TOOL,) == circuits.advance(1_110).probes

    change = circuits.record_tool_success(TOOL, 1_120, probe=True)

    assert CircuitClosed("health", 1_120, TOOL, 2) == change
    assert not circuits.should_pause(TOOL, 1_120)
    assert circuits.get_pause_until(TOOL, 1_120) is None
    assert circuits.next_due() is None


def test_answers_to_other_calls_close_it_too():
    """A reducing order that the venue accepts says as much as a probe does."""
    circuits = half_open()
    circuits.record_tool_success(TOOL, 1_001)

    assert isinstance(circuits.record_tool_success(TOOL, 1_002), CircuitClosed)


def test_good_answers_during_the_pause_do_not_shorten_it():
    """A pause is a rest, not a vote."""
    circuits = opened()
    for at in range(10):
        assert circuits.record_tool_success(TOOL, at) is None

    assert circuits.should_pause(TOOL, 10)
    assert 1_000 == circuits.next_due()


def test_one_failure_of_a_half_open_circuit_opens_it_for_longer():
    """Pauses grow by their factor up to the longest."""
    circuits = opened()
    pauses = []
    for _ in range(4):
        due = circuits.next_due()
        assert due is not None
        circuits.advance(due)
        change = circuits.record_tool_failure(TOOL, due, "503", probe=True)
        assert isinstance(change, CircuitOpened)
        pauses.append(change.until - due)

    assert [2_000, 3_000, 3_000, 3_000] == pauses


def test_a_probe_that_nobody_answers_has_failed():
    """Silence does not keep a circuit half-open for ever."""
    circuits = half_open()

    assert 1_200 == circuits.next_due()
    assert () == circuits.advance(1_199).changes

    (change,) = circuits.advance(1_200).changes

    assert isinstance(change, CircuitOpened)
    assert "the probe was not answered" == change.reason
    assert 3_200 == change.until


def test_an_answer_that_comes_after_its_deadline_closes_nothing():
    """The circuit is open again: the answer was too late."""
    circuits = half_open()
    circuits.advance(1_200)

    assert circuits.record_tool_success(TOOL, 1_201, probe=True) is None
    assert circuits.should_pause(TOOL, 1_201)


def closed_at(at: int) -> Circuits:
    circuits = half_open(at - 2)
    circuits.record_tool_success(TOOL, at - 1)
    circuits.record_tool_success(TOOL, at)
    return circuits


@pytest.mark.parametrize(("quiet_ms", "pause_ms"), [(9_999, 2_000), (10_000, 1_000)])
def test_growth_is_forgotten_after_a_quiet_period(quiet_ms: int, pause_ms: int):
    """Opened again soon it rests longer; having stayed closed it starts from the first."""
    circuits = closed_at(5_000)
    again_at = 5_000 + quiet_ms
    for _ in range(3):
        change = circuits.record_tool_failure(TOOL, again_at)

    assert isinstance(change, CircuitOpened)
    assert again_at + pause_ms == change.until


def test_a_rate_limit_is_honoured_to_the_millisecond():
    """Retry-After is neither shortened nor stretched, however long, and is no failure."""
    circuits = circuits_of()

    assert 86_400_010 == circuits.record_rate_limit(TOOL, 10, 86_400_000)
    assert circuits.should_pause(TOOL, 86_400_009)
    assert not circuits.should_pause(TOOL, 86_400_010)
    assert 0 == circuits.circuit(TOOL).failures
    assert CircuitState.CLOSED is circuits.circuit(TOOL).state


@pytest.mark.parametrize("given", [None, 0, -1])
def test_a_rate_limit_without_a_time_has_the_default(given: int | None):
    """A tool that only says "too often" is left alone for the configured pause."""
    assert 510 == circuits_of().record_rate_limit(TOOL, 10, given)


def test_a_shorter_rate_limit_does_not_end_a_longer_one():
    """Two calls on their way may be refused in any order."""
    circuits = circuits_of()
    circuits.record_rate_limit(TOOL, 0, 10_000)

    assert 10_000 == circuits.record_rate_limit(TOOL, 1, 5)


def test_an_open_circuit_does_not_probe_within_a_rate_limit():
    """The pause is never shorter than what the tool itself asked for."""
    circuits = opened()
    circuits.record_rate_limit(TOOL, 0, 7_000)

    assert 7_000 == circuits.next_due()
    assert () == circuits.advance(6_999).probes
    assert (TOOL,) == circuits.advance(7_000).probes


def test_a_rate_limited_probe_is_asked_again_when_the_limit_ends():
    """It is no failure and no answer."""
    circuits = half_open()
    circuits.record_rate_limit(TOOL, 1_050, 5_000)

    assert CircuitState.HALF_OPEN is circuits.circuit(TOOL).state
    assert 6_050 == circuits.next_due()
    assert () == circuits.advance(6_049).probes
    assert (TOOL,) == circuits.advance(6_050).probes


def test_a_tool_that_cannot_be_asked_is_probed_by_its_next_call():
    """After the pause it may be used; the first answer decides, however late it comes."""
    circuits = Circuits(RULES)
    for _ in range(3):
        circuits.record_tool_failure("notify:mail", 0)

    advance = circuits.advance(1_000)

    assert () == advance.probes
    assert (CircuitHalfOpen("health", 1_000, "notify:mail"),) == advance.changes
    assert not circuits.should_pause("notify:mail", 1_000)
    assert circuits.next_due() is None
    assert isinstance(circuits.record_tool_failure("notify:mail", 9_000_000), CircuitOpened)


def test_a_circuit_of_an_earlier_session_is_asked_at_once():
    """Its hold outlived the session, so its evidence must be found again, by a probe."""
    circuits = circuits_of()
    circuits.reopen(TOOL, 50)

    assert circuits.should_pause(TOOL, 50)
    assert (TOOL,) == circuits.advance(50).probes


def test_taking_over_an_open_circuit_changes_nothing():
    """A pause is not cut short by an incarnation that starts."""
    circuits = opened()
    before = circuits.export()
    circuits.reopen(TOOL, 10)

    assert before == circuits.export()


def test_what_is_exported_comes_back():
    """Through JSON and back, circuits go on where they were."""
    circuits = half_open()
    circuits.record_tool_failure("feed", 3, "silent")
    circuits.record_rate_limit("venue:b", 3, 77)
    again = circuits_of()
    again.restore(json.loads(json.dumps(circuits.export())))

    assert circuits.export() == again.export()
    assert circuits.next_due() == again.next_due()
    assert CircuitState.HALF_OPEN is again.circuit(TOOL).state
    assert ("feed", "venue:b", TOOL) == again.tools()


def test_a_growth_beyond_all_numbers_is_the_longest_pause():
    """The thousandth opening still has a pause."""
    rules = CircuitRules(pause_ms=1, pause_growth=1000.0, pause_max_ms=900_000)

    assert 900_000 == rules.pause_of(100_000)
