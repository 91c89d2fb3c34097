"""The plan: what to do about a failure is a pure function of specs, histories and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import Backoff, ChildSpec, Intensity, Restart, WhenExhausted, plan
from actors.runtime.supervision import (
    CORE_INTENSITY,
    FEED_INTENSITY,
    STRATEGY_INTENSITY,
    AbandonChild,
    Halt,
    HoldOpen,
    QuarantineChild,
    RestartChild,
)

NAMES = ("execution", "reconciler", "risk", "feed", "strategy:one")
NOW = 1_000_000_000

intensities = st.builds(
    Intensity,
    st.integers(0, 4),
    st.sampled_from((1.0, 60.0, 600.0)),
    st.integers(0, 6),
    st.sampled_from((600.0, 86_400.0)),
)
backoffs = st.builds(
    Backoff, st.sampled_from((0.0, 0.5, 1.0)), st.sampled_from((1.0, 2.0)), st.just(60.0)
)
histories_of = st.lists(st.integers(0, 100_000_000), max_size=7).map(
    lambda ages: sorted(NOW - age for age in ages)
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[ChildSpec], dict[str, list[int]], str]:
    specs = [
        ChildSpec(
            name,
            draw(st.sampled_from(Restart)),
            draw(intensities),
            draw(backoffs),
            draw(st.sampled_from(WhenExhausted)),
            "one" if name.startswith("strategy") else None,
            draw(st.booleans()),
        )
        for name in NAMES
    ]
    histories = {name: draw(histories_of) for name in NAMES}
    return specs, histories, draw(st.sampled_from(NAMES))


def allowed_by_hand(spec: ChildSpec, history: Sequence[int]) -> bool:
    bounds = spec.intensity
    within = [
        sum(NOW - at < span_s * 1000 for at in history)
        for span_s in (bounds.burst_s, bounds.sustained_s)
    ]
    return within[0] < bounds.burst and within[1] < bounds.sustained


Situation = tuple[list[ChildSpec], dict[str, list[int]], str]


@given(situations())
def test_the_plan_is_pure(situation: Situation) -> None:
    """Asked twice it answers the same and changes none of its arguments."""
    specs, histories, failed = situation
    before = ([*specs], {name: [*history] for name, history in histories.items()})

    first = plan(specs, histories, failed, NOW)

    assert first == plan(specs, histories, failed, NOW)
    assert before == (specs, histories)


@given(situations())
def test_within_its_intensity_the_failed_child_restarts_first(situation: Situation) -> None:
    """Rest-for-one adds exactly the children declared later, in order; one-for-one nobody."""
    specs, histories, failed = situation
    position = NAMES.index(failed)
    spec = specs[position]
    actions = plan(specs, histories, failed, NOW)
    restarts = [action for action in actions if isinstance(action, RestartChild)]
    if not allowed_by_hand(spec, histories[failed]):
        assert restarts == []
        return

    rest = NAMES[position + 1 :] if spec.restart is Restart.REST_FOR_ONE else ()

    assert [action.name for action in restarts] == [failed, *rest]
    assert [action for action in actions if isinstance(action, HoldOpen)] == (
        [actions[0]] if spec.holds_open_while_down else []
    )
    assert len(actions) == len(restarts) + spec.holds_open_while_down


@given(situations())
def test_past_its_intensity_a_child_takes_the_next_rung(situation: Situation) -> None:
    """Exhausted means quarantine, abandon, held or not, or hold and halt; never a restart."""
    specs, histories, failed = situation
    spec = specs[NAMES.index(failed)]
    if allowed_by_hand(spec, histories[failed]):
        return
    actions = plan(specs, histories, failed, NOW)

    kinds = [type(action) for action in actions]

    if spec.when_exhausted is WhenExhausted.QUARANTINE and spec.strategy is not None:
        assert kinds == [QuarantineChild]
    elif spec.when_exhausted is WhenExhausted.ABANDON:
        assert kinds == [AbandonChild]
    elif spec.when_exhausted is WhenExhausted.HOLD:
        assert kinds == [HoldOpen, AbandonChild]
    else:
        assert kinds == [HoldOpen, Halt]


def restarts_until_exhausted(spec: ChildSpec, times: Sequence[int]) -> tuple[int, list[float]]:
    """Return how many failures at ``times`` are followed by a restart, and their delays."""
    history: list[int] = []
    delays: list[float] = []
    for at in times:
        first = plan([spec], {spec.name: history}, spec.name, at)[0]
        if not isinstance(first, RestartChild):
            break
        delays.append(first.delay_s)
        history.append(at)
    return len(history), delays


def strategy(intensity: Intensity) -> ChildSpec:
    return ChildSpec(
        "strategy:one",
        intensity=intensity,
        when_exhausted=WhenExhausted.QUARANTINE,
        strategy="one",
    )


def test_a_burst_is_bounded_and_a_slow_trickle_too() -> None:
    """Three restarts in ten minutes are too many, and so are ten in a day."""
    spec = strategy(Intensity(burst=3, burst_s=600.0, sustained=10, sustained_s=86_400.0))
    minute, hour = 60_000, 3_600_000

    assert restarts_until_exhausted(spec, [n * minute for n in range(20)])[0] == 3
    assert restarts_until_exhausted(spec, [n * hour for n in range(50)])[0] == 10
    assert restarts_until_exhausted(spec, [n * 3 * hour for n in range(50)])[0] == 50


def test_what_is_exactly_as_old_as_the_window_counts_no_more() -> None:
    """Equality at the bound: a restart 600 s ago is outside a burst window of 600 s."""
    spec = strategy(Intensity(burst=1, burst_s=600.0, sustained=9, sustained_s=86_400.0))

    assert restarts_until_exhausted(spec, [0, 599_999])[0] == 1
    assert restarts_until_exhausted(spec, [0, 600_000])[0] == 2


def test_delays_double_up_to_their_cap() -> None:
    """The nth restart in a row waits twice as long as the one before, sixty seconds at most."""
    spec = strategy(Intensity(burst=99, burst_s=1e9, sustained=99, sustained_s=1e9))

    _, delays = restarts_until_exhausted(spec, [0] * 9)

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@given(
    st.floats(0.0, 10.0),
    st.floats(1.0, 4.0),
    st.floats(0.0, 300.0),
    st.integers(0, 10_000),
)
def test_backoff_never_shrinks_and_never_passes_its_cap(
    base_s: float, factor: float, max_s: float, restarts: int
) -> None:
    """Whatever its figures, the delay is finite, monotone in the restarts and capped."""
    backoff = Backoff(base_s, factor, max_s)

    assert 0.0 <= backoff.delay_s(restarts) <= backoff.delay_s(restarts + 1) <= max_s


@pytest.mark.parametrize(
    ("intensity", "burst"), [(STRATEGY_INTENSITY, 3), (CORE_INTENSITY, 2), (FEED_INTENSITY, 5)]
)
def test_the_houses_own_intensities(intensity: Intensity, burst: int) -> None:
    """Few restarts for the core, more for a feed: what the documentation may say."""
    assert restarts_until_exhausted(strategy(intensity), [0] * 50)[0] == burst


def test_a_strategy_without_a_name_cannot_be_quarantined_and_halts() -> None:
    """Quarantine is for strategies: any other child that asks for it ends the session."""
    spec = ChildSpec(
        "odd", when_exhausted=WhenExhausted.QUARANTINE, intensity=Intensity(0, 1, 0, 1)
    )
    empty: Mapping[str, Sequence[int]] = {}

    actions = plan([spec], empty, "odd", 0)

    assert [type(action) for action in actions] == [HoldOpen, Halt]
