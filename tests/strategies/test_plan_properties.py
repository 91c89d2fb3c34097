"""Plans over whatever may happen: what protects is what is held, and nothing is asked twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from plan_bench import BTC, PROTECTIVE, ZERO, Bench

from messages import (
    ExecutionPolicy,
    IntentAction,
    OpenIntent,
    OrderType,
    Plan,
    PlanAdd,
    PlanPlace,
    PlanStop,
    PlanTarget,
    PlanTrail,
    PositionSide,
    ReduceIntent,
)
from state.money import use_exact_context

D = Decimal

bps = st.integers(50, 900).map(D)
sizes = st.integers(1, 4).map(lambda number: D(number) / 2)
shares = st.lists(st.sampled_from([D("0.25"), D("0.5")]), max_size=2)
here_or_there = st.sampled_from(PlanPlace)


@st.composite
def plans(draw: Any) -> Plan:
    """Return a sound plan of any shape, with a stop."""
    ways = [ExecutionPolicy(OrderType.LIMIT), ExecutionPolicy(OrderType.STOP)]
    return Plan(
        PlanStop(distance_bps=draw(bps)),
        tuple(PlanTarget(distance_bps=draw(bps), share=share) for share in draw(shares)),
        draw(st.none() | st.builds(PlanTrail, bps, st.none(), st.none() | bps)),
        tuple(
            PlanAdd(distance_bps=draw(bps), quantity=draw(sizes), how=draw(st.sampled_from(ways)))
            for _ in range(draw(st.integers(0, 2)))
        ),
        None,
        place=draw(here_or_there),
    )


class PlansOverAnything(RuleBasedStateMachine):
    """One book, one plan after the other, a venue that does as it likes, and a twin restored."""

    def __init__(self) -> None:
        super().__init__()
        use_exact_context()
        self.bench = Bench(PositionSide.LONG, tick="0.1")
        self.seen = 0

    def do(self, act: Any) -> None:
        """Do something to the book, and the same to one that was restored a moment before."""
        twin = self.bench.twin()
        act(self.bench)
        act(twin)
        assert self.bench.saved() == twin.saved()
        assert self.bench.asked == twin.asked
        assert self.bench.cancels == twin.cancels
        self.look_at_what_was_asked()

    def look_at_what_was_asked(self) -> None:
        """Nothing is asked for twice while it lives, and shares are never more than is held."""
        for number, intent in enumerate(self.bench.asked[self.seen :], start=self.seen):
            for older in self.bench.asked[:number]:
                step = (intent.plan_id, intent.tag)
                if older.intent_id not in self.bench.live or (older.plan_id, older.tag) != step:
                    continue
                assert isinstance(intent, ReduceIntent), f"{intent.tag} is asked for twice"
                assert intent.replaces or intent.action in LEAVE_NOW, f"{intent.tag} beside another"
        self.seen = len(self.bench.asked)

    # -- what may happen

    @precondition(lambda self: self.bench.held < 12)
    @rule(size=sizes, price=st.integers(90, 110))
    def enter(self, size: Decimal, price: int) -> None:
        self.do(lambda bench: bench.hold(str(size), price))

    @precondition(lambda self: self.bench.held > 0)
    @rule(part=st.sampled_from([D("0.5"), D(1)]))
    def leave(self, part: Decimal) -> None:
        size = min(self.bench.held, part)
        self.do(lambda bench: bench.hold(str(-size)))

    @rule(plan=plans())
    def plan(self, plan: Plan) -> None:
        self.do(lambda bench: bench.plan(plan))

    @rule()
    def drop(self) -> None:
        self.do(lambda bench: bench.plan(None))

    @rule(price=st.integers(880, 1120))
    def see(self, price: int) -> None:
        self.do(lambda bench: bench.see(price / 10))

    @rule(ms=st.sampled_from([1, 1_000, 61_000]))
    def later(self, ms: int) -> None:
        self.do(lambda bench: bench.later(ms))

    @precondition(lambda self: self.bench.live)
    @rule(data=st.data())
    def accept(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.bench.live)))
        self.do(lambda bench: bench.accept(name))

    @precondition(lambda self: self.bench.live)
    @rule(data=st.data(), how=st.sampled_from(["refuse", "end"]))
    def end(self, data: Any, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.bench.live)))
        self.do(lambda bench: getattr(bench, how)(name))

    @precondition(lambda self: self.bench.live)
    @rule(data=st.data(), part=st.sampled_from([D("0.25"), D("0.5"), None]))
    def fill(self, data: Any, part: Decimal | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.bench.live)))
        intent = self.bench.live[name]
        rest = self.bench.rest(name)
        if isinstance(intent, ReduceIntent):  # a venue takes off no more than there is
            rest = min(rest, self.bench.held)
        if rest <= ZERO:
            return
        quantity = rest if part is None else min(part, rest)
        if self.bench.held or isinstance(intent, OpenIntent):
            self.do(lambda bench: bench.fill(name, quantity))

    # -- what holds

    def leaves_now(self) -> bool:
        """Return whether an order that is no protection is taking something off."""
        return any(
            isinstance(each, ReduceIntent) and each.action in LEAVE_NOW
            for each in self.bench.live.values()
        )

    @invariant()
    def what_protects_is_what_is_held(self) -> None:
        bench, standing = self.bench, self.bench.standing
        if standing is None or not bench.held or standing.plan.place is PlanPlace.HERE:
            return
        if standing.stop.refused_at is not None or standing.trail.refused_at is not None:
            return
        assert standing.guards, "a position without protection"
        newest = standing.guards[-1]
        rest = bench.rest(newest)
        if self.leaves_now() or bench.live[newest].action is IntentAction.TRAIL:
            assert rest >= bench.held
        else:
            assert rest == bench.held

    @invariant()
    def shares_are_together_no_more_than_is_held(self) -> None:
        bench, standing = self.bench, self.bench.standing
        if standing is None or standing.plan.place is PlanPlace.HERE:
            return
        if self.leaves_now():
            return  # what is too much then waits for that: see ``Wants._differs``
        wanted = sum(
            (
                bench.rest(step.intent_id)
                for step in standing.targets
                if step.intents and step.intent_id not in standing.taken_back
            ),
            ZERO,
        )
        assert wanted <= bench.held or not bench.held

    @invariant()
    def nothing_is_known_that_is_not_there(self) -> None:
        standing = self.bench.standing
        if standing is None:
            return
        known = [*standing.guards, *standing.leaving]
        known += [name for step in standing.steps() for name in step.intents]
        assert set(known) <= set(self.bench.live)

    @invariant()
    def a_look_asks_for_nothing_new(self) -> None:
        bench, before = self.bench, len(self.bench.asked)
        bench.take(bench.keeper.look((BTC, bench.side)))  # a cancel may be due once more
        assert before == len(bench.asked)


LEAVE_NOW = set(IntentAction) - set(PROTECTIVE)

TestPlansOverAnything = PlansOverAnything.TestCase
TestPlansOverAnything.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
