"""Circuits under any order of calls: what must hold whatever tools and time do."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.health import CircuitRules, Circuits, CircuitState
from messages import CircuitClosed, CircuitHalfOpen, CircuitOpened

TOOLS = ("venue:paper", "feed", "notify:mail")
ASKABLE = {"venue:paper": 300, "feed": 900}

rules_of = st.builds(
    CircuitRules,
    failure_streak=st.integers(1, 4),
    success_streak=st.integers(1, 3),
    pause_ms=st.integers(1, 500),
    pause_growth=st.sampled_from((1.0, 1.5, 2.0, 10.0)),
    pause_max_ms=st.integers(500, 5_000),
    rate_limit_pause_ms=st.integers(1, 500),
    probe_every_ms=st.integers(1, 200),
    quiet_ms=st.integers(1, 5_000),
)
tools = st.sampled_from(TOOLS)


class AnyCircuits(RuleBasedStateMachine):
    """A model that keeps only what the promises are about: streaks, ends of pauses, probes."""

    @initialize(rules=rules_of)
    def begin(self, rules: CircuitRules) -> None:
        self.rules = rules
        self.circuits = Circuits(rules, ASKABLE)
        self.now = 1_000
        self.streak = dict.fromkeys(TOOLS, 0)
        self.good = dict.fromkeys(TOOLS, 0)
        self.not_before = dict.fromkeys(TOOLS, 0)
        self.limit = dict.fromkeys(TOOLS, 0)
        self.asked = dict.fromkeys(TOOLS, False)
        self.openings = dict.fromkeys(TOOLS, 0)

    def take(self, tool: str, change: object) -> None:
        if isinstance(change, CircuitOpened):
            pause_ms = self.circuits.circuit(tool).until - self.now
            assert self.rules.pause_ms <= pause_ms <= self.rules.pause_max_ms
            assert change.until >= max(self.now + self.rules.pause_ms, self.limit[tool])
            self.not_before[tool] = change.until
            self.asked[tool] = False
        elif isinstance(change, CircuitClosed):
            assert self.good[tool] >= self.rules.success_streak
            self.asked[tool] = False
        elif isinstance(change, CircuitHalfOpen):
            assert self.now >= max(self.not_before[tool], self.limit[tool])
            self.good[tool] = 0

    @rule(tool=tools, probe=st.booleans())
    def fails(self, tool: str, probe: bool) -> None:
        self.streak[tool] += 1
        self.good[tool] = 0
        before = self.circuits.circuit(tool).state
        change = self.circuits.record_tool_failure(tool, self.now, "no", probe=probe)
        if before is CircuitState.HALF_OPEN:
            assert isinstance(change, CircuitOpened)
        self.take(tool, change)

    @rule(tool=tools, probe=st.booleans())
    def works(self, tool: str, probe: bool) -> None:
        self.streak[tool] = 0
        self.good[tool] += 1
        if probe:
            self.asked[tool] = False
        self.take(tool, self.circuits.record_tool_success(tool, self.now, probe=probe))

    @rule(tool=tools, after_ms=st.none() | st.integers(-1, 3_000))
    def is_limited(self, tool: str, after_ms: int | None) -> None:
        given = self.rules.rate_limit_pause_ms if after_ms is None or after_ms <= 0 else after_ms
        self.limit[tool] = max(self.limit[tool], self.now + given)
        self.asked[tool] = False
        until = self.circuits.record_rate_limit(tool, self.now, after_ms)
        assert self.limit[tool] == until

    @rule(passed_ms=st.integers(0, 1_500))
    def time_passes(self, passed_ms: int) -> None:
        self.now += passed_ms
        self.advance()

    @rule()
    def the_timer_fires(self) -> None:
        due = self.circuits.next_due()
        if due is None:
            return
        self.now = max(self.now, due)
        before = self.circuits.export()
        self.advance()
        assert before != self.circuits.export(), "a timer that is due has something to do"

    def advance(self) -> None:
        advance = self.circuits.advance(self.now)
        for change in advance.changes:
            if isinstance(change, CircuitOpened):  # the probe was not answered
                assert self.asked[change.tool]
                self.streak[change.tool] += 1
                self.good[change.tool] = 0
            self.take(change.tool, change)
        for tool in advance.probes:
            assert tool in ASKABLE
            assert CircuitState.HALF_OPEN is self.circuits.circuit(tool).state
            assert not self.asked[tool], "one probe at a time"
            assert self.now >= self.limit[tool]
            self.asked[tool] = True
        assert () == self.circuits.advance(self.now).probes, "the same moment asks nothing again"

    @rule()
    def it_is_restored(self) -> None:
        exported = self.circuits.export()
        self.circuits = Circuits(self.rules, ASKABLE)
        self.circuits.restore(exported)
        assert exported == self.circuits.export()

    @invariant()
    def never_closed_while_the_streak_is_at_its_threshold(self) -> None:
        for tool in TOOLS:
            circuit = self.circuits.circuit(tool)
            assert circuit.failures == self.streak[tool] or circuit.failures == 0
            if self.streak[tool] >= self.rules.failure_streak:
                assert CircuitState.CLOSED is not circuit.state

    @invariant()
    def pauses_are_kept(self) -> None:
        for tool in TOOLS:
            if self.now < self.limit[tool]:
                assert self.circuits.should_pause(tool, self.now)
            if self.circuits.circuit(tool).state is CircuitState.OPEN:
                assert self.circuits.should_pause(tool, self.now)
                until = self.circuits.get_pause_until(tool, self.now)
                assert until is not None
                assert until >= self.not_before[tool]

    @invariant()
    def nothing_rests_for_ever(self) -> None:
        for tool in ASKABLE:
            if self.circuits.circuit(tool).state is not CircuitState.CLOSED:
                assert self.circuits.next_due() is not None


TestAnyCircuits = AnyCircuits.TestCase
TestAnyCircuits.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
