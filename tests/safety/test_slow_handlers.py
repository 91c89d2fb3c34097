"""Handlers that take long, without a kill: how long any may, and what is left alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from paper_house import AT_ONCE_S, House, keeps_buying, live_in
from stuck_strategies import spins, stuck_at

from actors import sentinel
from actors.runtime import limits
from messages import ActorFailed, CommandVerb


def test_a_handler_that_takes_longer_than_any_may_is_stopped(tmp_path: Path) -> None:
    """Its strategy fails like any other; the session goes on."""

    def act(house: House) -> None:
        cell = house.session.assembly.strategy_cells["one"]
        house.until(lambda: cell.failures)
        turns = house.session.turns
        house.until(lambda: house.session.turns > turns + 5)

    house = live_in(tmp_path, stuck_at(4, spins), act=act, handler_timeout_s=0.3)

    (failed,) = house.all(ActorFailed)
    assert failed.error.startswith("HandlerStuck: strategy:one")
    assert house.result is not None
    assert 130 == house.result.exit_code


def test_many_quick_handlers_are_not_one_slow_one(tmp_path: Path) -> None:
    """A turn that is long because many work in it is nobody's fault."""
    script = keeps_buying()

    def works(_strategy: Any, _bar: Any) -> Any:
        if len(script.seen) < 40:
            time.sleep(0.05)

    script.on_bar = works

    def opened(house: House) -> None:
        # Forty bars at once, as after a restart: they wait in the mailbox.
        cell = house.session.assembly.strategy_cells["one"]
        for bar in house.spec.feed.groups():
            cell.mailbox.put(bar[0])
            if len(cell.mailbox) == 40:
                break
        cell.become(cell.state)
        house.session.assembly.dispatcher.wake(cell)

    house = live_in(
        tmp_path,
        script,
        act=lambda house: house.until(lambda: len(script.seen) > 45),
        opened=opened,
        handler_timeout_s=0.4,
    )

    assert not house.all(ActorFailed)


def test_a_slow_handler_within_the_grace_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill waits that long for it: here for longer than the machine may take over a handler."""
    for name in ("KILL_GRACE_S", "KILL_HANDLER_S"):
        monkeypatch.setattr(sentinel, name, AT_ONCE_S)
    script = keeps_buying()
    script.on_bar = lambda _strategy, _bar: time.sleep(2 * limits.KILL_GRACE_S)

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 5)
        house.take(CommandVerb.KILL)

    house = live_in(tmp_path, script, act=act, speed=60_000.0)

    assert not house.all(ActorFailed)
