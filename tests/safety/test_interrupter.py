"""The way out of a handler that does not return: only out of a strategy's code, ever."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import sys
import threading
import time
from typing import Any, Self

import pytest
from invariants import check_books, check_journal, running
from safety_world import FAR_BELOW, ONE, daemon
from session_world import BTC, ETH, PERP, Script, World, flat, instruments_of, make_world
from workloads import busy_steps, market, trader

from actors.runtime import Dispatcher, interrupt
from actors.runtime.interrupt import SIGNAL, HandlerStuck, Interrupter
from messages import ActorFailed, DeadLetter, Side
from strategies import Desk
from strategies.backoff import StrategyRejectionBackoff
from strategies.plans import PlanKeeper

BARS = 24
STORM_S = 6.0


def make() -> Interrupter:
    return Interrupter(Dispatcher.handler_calls(), Dispatcher.handler_passages())


class Storm:
    """
    Interrupts this thread again and again while it plays sessions.

    What falls into a finalizer is dropped by Python: the next interrupt is heard. Whoever is
    told of that while it storms must not be Python code, or it is interrupted as well.
    """

    def __init__(self, every_s: float) -> None:
        """Ask so often; nothing is asked yet."""
        self.interrupter = make()
        self.every_s = every_s
        self._blows = threading.Event()
        self._over = threading.Event()
        self._asking = threading.Thread(target=self._ask)
        self._dropped: list[sys.UnraisableHookArgs] = []
        self._told_before: Any = None

    def _ask(self) -> None:
        while not self._over.wait(self.every_s):
            if self._blows.is_set():
                self.interrupter.interrupt()

    def __enter__(self) -> Self:
        gc.collect()  # what earlier tests have left is no word about this storm
        self._told_before, sys.unraisablehook = sys.unraisablehook, self._dropped.append
        self.interrupter.install()
        self._asking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._asking.join()
        self.interrupter.remove()
        sys.unraisablehook = self._told_before
        assert {dropped.exc_type for dropped in self._dropped} <= {HandlerStuck}
        self._dropped.clear()

    def play(self, world: World) -> World:
        """Let a session happen in the storm; it starts in calm, for a start may fail."""
        world.start()
        self._blows.set()
        try:
            world.play()
        finally:
            self._blows.clear()
        return world


def busy(seed: int) -> World:
    """Return a busy session whose strategies compute a little."""
    steps = [busy_steps(2 * seed + number, 3 * BARS, 2.0) for number in range(2)]
    scripts = [trader(found) for found in steps]
    for script in scripts:
        calm = script.on_bar

        def computes(strategy: Any, bar: Any, calm: Any = calm) -> Any:
            for _ in range(200):
                strategy.desk.position(bar.symbol)
            return calm(strategy, bar)

        script.on_bar = computes
    return make_world(
        market(BARS, seed),
        scripts[0].spec("one", (BTC, ETH)),
        scripts[1].spec("two", (BTC, PERP)),
        cash=5_000,
        instruments=instruments_of((BTC, ETH, PERP)),
    )


def check(world: World) -> None:
    """Check what must be whole however often strategies were stopped."""
    check_journal(world)
    check_books(world)
    for failed in world.all(ActorFailed):
        assert failed.actor.startswith("strategy:"), failed
        assert failed.error.startswith("HandlerStuck: strategy:"), failed
        assert "actors/runtime" not in failed.traceback
    assert {"execution", "risk", "reconciler", "telemetry"} <= running(world)
    for cell in world.assembly.dispatcher.cells.values():
        assert cell.stats().mailbox.balanced
    for name, cell in world.assembly.strategy_cells.items():
        if not cell.runs:
            continue
        desk = cell.actor.desk  # type: ignore[union-attr]
        for position in world.assembly.books.ledger.positions():
            if position.strategy == name:
                held = desk.position(position.symbol, position.position_side)
                assert held == position.quantity


def test_a_session_that_is_interrupted_all_the_time_stays_whole() -> None:
    """Nothing but strategies fails; books, orders, desks, mailboxes and journal agree in each."""
    sessions = 0
    end = time.monotonic() + STORM_S
    with Storm(0.0003) as storm:
        while time.monotonic() < end:
            check(storm.play(busy(sessions)))
            sessions += 1

    assert storm.interrupter.raised, f"none in {sessions} sessions"


def test_every_stop_is_a_failure_of_the_strategy_that_ran() -> None:
    """A failure is journaled for what was raised, but for what fell into a finalizer."""
    with Storm(0.001) as storm:
        found = [storm.play(busy(seed)) for seed in range(30)]
    failed = [failure for world in found for failure in world.all(ActorFailed)]

    assert 0 < len(failed) <= storm.interrupter.raised


def test_raising_anywhere_would_break_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ablation: without the look at the stack the same storm hits our own code."""
    monkeypatch.setattr(Interrupter, "stuck_in", lambda *_: "whatever runs")

    def breaks() -> bool:
        end = time.monotonic() + STORM_S
        try:
            with Storm(0.0005) as storm:
                for seed in range(10_000):
                    if time.monotonic() > end:
                        return False
                    check(storm.play(busy(seed)))
        except (HandlerStuck, AssertionError):
            return True  # also for a file that was left open, which the storm's end tells of
        return False

    assert breaks()


# -- where it looks


def frame_of(code: Any) -> Any:
    """Return a frame in which ``code`` runs, called by nobody that matters."""
    found = []

    def trace(frame: Any, _event: str, _arg: Any) -> None:
        if frame.f_code is code:
            found.append(frame)

    sys.setprofile(trace)
    try:
        code_runs = {interrupt.Interrupter.interrupt.__code__: make().interrupt}
        code_runs[code]()
    finally:
        sys.setprofile(None)
    return found[0]


def test_our_own_code_is_never_stopped() -> None:
    """A frame of ours is not stuck, whoever called it; nor is one outside of any handler."""
    interrupter = make()

    assert interrupter.stuck_in(frame_of(Interrupter.interrupt.__code__)) is None
    assert interrupter.stuck_in(sys._getframe()) is None
    assert interrupter.stuck_in(None) is None


@pytest.mark.parametrize("hook", ["on_bar", "on_fill", "on_update", "on_refusal", "on_start"])
def test_each_hook_of_a_strategy_is_known(hook: str) -> None:
    """Wherever a strategy's code runs, the look at the stack says whose it is."""
    script = Script()
    interrupter = make()
    seen: list[str | None] = []

    def looks(strategy: Any, *_told: Any) -> Any:
        seen.append(interrupter.stuck_in(sys._getframe()))

    def effects(strategy: Any, *told: Any) -> Any:
        yield strategy.desk.open(BTC, Side.BUY, ONE)
        seen.append(interrupter.stuck_in(sys._getframe()))
        looks(strategy, *told)

    asks = {0: lambda s: [s.desk.open(BTC, Side.BUY, ONE), s.desk.open(BTC, Side.BUY, 10 * ONE)]}
    script.on_bar = lambda strategy, _bar: asks.get(len(script.seen) - 1, lambda _s: None)(strategy)
    setattr(script, hook, effects if hook == "on_bar" else looks)
    world = daemon(flat(BTC, 4), script.spec(), cash=500).begin().play()

    assert seen
    assert {"strategy:one"} == set(seen)
    assert not world.all(ActorFailed)


@pytest.mark.parametrize("hook", ["constructor", "snapshot"])
def test_what_a_strategy_does_outside_its_hooks_is_known(hook: str) -> None:
    """Its constructor and its snapshot are called from elsewhere, and may hang as well."""
    script = Script()
    interrupter = make()
    seen: list[str | None] = []

    class Noting(list[Any]):
        def append(self, item: Any) -> None:
            super().append(item)
            if hook == "constructor":
                seen.append(interrupter.stuck_in(sys._getframe()))

    def snapshot(_strategy: Any) -> dict[str, Any]:
        if hook == "snapshot":
            seen.append(interrupter.stuck_in(sys._getframe()))
        return {}

    script.made = Noting()
    script.snapshot = snapshot
    world = daemon(flat(BTC, 4), script.spec()).begin().play()
    world.end()

    assert {"strategy:one"} == set(seen)


@pytest.mark.parametrize("kind", [Desk, PlanKeeper, StrategyRejectionBackoff])
def test_what_outlives_a_strategy_is_spared_wherever_it_is_written(kind: type) -> None:
    """A class that is split over files stays out of reach in all of them."""
    bases = [each for each in kind.__mro__ if each is not object]

    assert [] == [
        f"{each.__module__}.{each.__qualname__}"
        for each in bases
        if not (inspect.getsourcefile(each) or "").startswith(interrupt.OUTLIVING)
    ]


def test_a_folder_that_begins_like_ours_is_not_ours() -> None:
    """A user's strategies may lie in ``actors_of_mine``."""
    assert interrupt.HOUSE.endswith(f"actors{os.sep}")
    assert not f"{interrupt.HOUSE.rstrip(os.sep)}_of_mine{os.sep}one.py".startswith(interrupt.HOUSE)


def test_a_stop_is_no_exception_that_a_strategy_swallows() -> None:
    """``except Exception`` is common; this goes through it."""
    assert not issubclass(HandlerStuck, Exception)


def test_what_a_stopped_handler_asked_for_does_not_happen() -> None:
    """Its message is a dead letter, its intents are taken off the desk, the next bar is handled."""
    script = Script()
    interrupter = make()

    def on_bar(strategy: Any, _bar: Any) -> Any:
        intent = strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)
        if len(script.seen) == 2:
            threading.Timer(0.05, interrupter.interrupt).start()
            while True:
                pass
        return [intent]

    script.on_bar = on_bar
    interrupter.install()
    try:
        world = daemon(flat(BTC, 6), script.spec()).begin().play()
    finally:
        interrupter.remove()

    assert ["Bar"] == [letter.message_type for letter in world.all(DeadLetter)]
    assert 1 == interrupter.raised
    assert [f"abc-1-{number}" for number in (1, 3, 4, 5, 6)] == world.live_ids()
    assert 5 == script.desk.pending(BTC)


# -- the signal


def test_it_gives_the_signal_back() -> None:
    """Installed and removed, as if it had never been there; asked then, it says no."""
    before = signal.getsignal(SIGNAL)
    interrupter = make()
    interrupter.install()
    assert before != signal.getsignal(SIGNAL)
    interrupter.remove()
    interrupter.remove()

    assert before == signal.getsignal(SIGNAL)
    assert not interrupter.interrupt()


def test_no_signal_comes_after_it_is_gone() -> None:
    """Asked from another thread in the very moment of its removal, it ends no process."""
    for _ in range(200):
        interrupter = make()
        interrupter.install()
        asking = threading.Thread(target=lambda it=interrupter: [it.interrupt() for _ in range(20)])
        asking.start()
        interrupter.remove()
        asking.join()

    assert not interrupter.interrupt()


def test_it_works_in_the_main_thread_only() -> None:
    """Elsewhere Python handles no signal, and it says so."""
    found: list[BaseException] = []

    def elsewhere() -> None:
        try:
            make().install()
        except RuntimeError as error:
            found.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()

    assert 1 == len(found)
