"""The only sources of time and of chance."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import Pacer, SimulatedClock
from actors.runtime.clock import NEVER, monotonic_s, next_midnight
from actors.runtime.entropy import DefaultTape, RecordedTape, SeededTape, session_entropy
from actors.runtime.stall import StallWatch

DAY = 86_400_000

commands = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 50)),
        st.tuples(st.just("arm early"), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("due"), st.integers(0, 60)),
    ),
    max_size=40,
)


@given(commands)
def test_timers_come_in_order_of_time_then_of_name_then_of_arming(
    script: Sequence[tuple[str, int]],
) -> None:
    """Against a plain list: what is due, what was cancelled, and when the next one is."""
    clock = SimulatedClock()
    model: list[tuple[int, str, int]] = []
    handles: list[int] = []
    fired: list[tuple[int, str, int]] = []
    for verb, number in script:
        if verb.startswith("arm"):
            name, serial = ("a" if verb == "arm early" else "b"), len(handles) + 1
            armed = (number, name, serial)
            handles.append(
                clock.call_at(number, lambda _at, armed=armed: fired.append(armed), name)
            )
            model.append((number, name, handles[-1]))
        elif verb == "cancel" and number < len(handles):
            clock.cancel(handles[number])
            model = [one for one in model if one[2] != handles[number]]
        elif verb == "due":
            due = [one for one in sorted(model) if one[0] <= number]
            fired.clear()
            while (one := clock.pop_due(number)) is not None:
                one[1](one[0])

            assert due == fired
            model = [one for one in model if one not in due]
        earliest = min((at for at, _, _ in model), default=NEVER)

        # A cancelled timer is not even announced: who waits for it would get a later one.
        assert earliest == clock.next_timer_at


def test_what_was_cancelled_does_not_grow_with_how_often_a_far_timer_is_armed_again() -> None:
    """A time stop a month away is, with every plan; nearer timers are always before it."""

    class Look:
        def __call__(self, at: int) -> None:
            """Do nothing."""

    clock = SimulatedClock()
    clock.call_at(1, Look(), "near")
    alive: WeakSet[Look] = WeakSet()
    handle = 0
    for _ in range(1_000):
        clock.cancel(handle)
        look = Look()
        alive.add(look)
        handle = clock.call_at(30 * DAY, look, "far")

    assert len(alive) < 100


def test_what_was_not_cancelled_keeps_its_order_when_the_rest_is_let_go() -> None:
    """Many are cancelled, in the middle of others: as if they had never been armed."""
    clock = SimulatedClock()
    armed = [(number * 37 % 101, "ab"[number % 2], number) for number in range(600)]
    handles = [clock.call_at(at, lambda _at: None, name) for at, name, _ in armed]
    left = [(at, name, handles[n]) for at, name, n in armed if n % 7 == 0]
    for _, _, number in armed:
        if number % 7:
            clock.cancel(handles[number])
            clock.cancel(handles[number])  # again: it is let go, or still there

    assert clock.next_timer_at == min(left)[0]
    for at, _, _ in sorted(left):
        due = clock.pop_due(1_000)
        assert due is not None
        assert due[0] == at
    assert clock.next_timer_at == NEVER
    assert clock.fired == len(left)


def test_time_never_runs_backwards() -> None:
    """``advance`` to the past changes nothing."""
    clock = SimulatedClock(100)
    clock.advance(50)

    assert clock.now == 100
    clock.advance(101)
    assert clock.now == 101


@pytest.mark.parametrize(
    ("at", "expected"), [(0, DAY), (1, DAY), (DAY - 1, DAY), (DAY, 2 * DAY), (-1, 0)]
)
def test_the_next_midnight_is_strictly_later(at: int, expected: int) -> None:
    """At midnight itself the next one is a day away."""
    assert expected == next_midnight(at)


@given(st.integers(0, 5), st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9))))
def test_a_label_draws_the_same_whatever_the_others_draw(
    seed: int, draws: list[tuple[str, int]]
) -> None:
    """One more draw somewhere does not reshuffle everything else."""
    together = SeededTape(seed)
    mixed = [(label, together.choose(label, n)) for label, n in draws]
    for name in "abc":
        alone = SeededTape(seed)

        assert [c for label, c in mixed if label == name] == [
            alone.choose(name, n) for label, n in draws if label == name
        ]
    assert [choice for _, choice in mixed] == together.drawn
    assert all(0 <= choice < n for (_, choice), (_, n) in zip(mixed, draws, strict=True))


def test_a_recorded_tape_ends_in_boredom() -> None:
    """Past its end, and for choices that no longer exist, there is always an answer."""
    tape = RecordedTape([1, 5])

    assert [tape.choose("x", 3) for _ in range(4)] == [1, 2, 0, 0]
    assert DefaultTape().choose("x", 3) == 0


def test_live_sessions_are_named_by_the_machine() -> None:
    """Two sessions that start in the same millisecond have different ids."""
    names = {session_entropy() for _ in range(20)}

    assert len(names) == 20
    assert all(len(name) == 10 and int(name, 16) >= 0 for name in names)


def test_a_machine_that_sleeps_lets_time_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was true before it slept is as old as that: session time is not where it stopped."""
    hours_ms = 8 * 3_600_000
    pacer = Pacer(1.0)
    pacer.begin(DAY)
    awake_s, at_s = time.clock_gettime, monotonic_s()

    # Linux's: the boot clock goes on while the machine sleeps, the other two stand still.
    def after_sleeping(clock: int) -> float:
        return awake_s(clock) + (hours_ms / 1000 if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", after_sleeping)

    assert pacer.session_ms(0) >= DAY + hours_ms
    assert pacer.delay_s(DAY + hours_ms) == 0.0
    assert monotonic_s() - at_s >= hours_ms / 1000


def test_a_loop_that_does_not_beat_is_reported_once() -> None:
    """A stall is counted once for as long as it lasts, with its length."""
    stalled = threading.Event()
    lengths: list[float] = []

    def on_stall(late_s: float) -> None:
        lengths.append(late_s)
        stalled.set()

    watch = StallWatch(after_s=0.02, on_stall=on_stall)
    watch.start()
    try:
        assert stalled.wait(10.0)
    finally:
        watch.stop()

    assert watch.stalls == len(lengths) == 1
    assert lengths[0] >= 0.02
