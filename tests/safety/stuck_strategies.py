"""Strategies that do not come back: each way of it, and when one is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from paper_house import AT_ONCE_S, House, keeps_buying
from safety_world import FAR_BELOW, ONE
from session_world import BTC, Script

from messages import Side
from strategies import Desk


def spins(_desk: Desk) -> None:
    """Loop for ever."""
    while True:
        pass


def swallows(_desk: Desk) -> None:
    """Loop for ever and survive every error."""
    while True:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001 - that is the point
            pass


def asks_the_desk(desk: Desk) -> None:
    """Spend all time in our own code, called without end."""
    while True:
        desk.position(BTC)


def effects_without_end(desk: Desk) -> Iterator[Any]:
    """Return effects that never come to an end, slowly."""
    while True:
        for _ in range(100_000):
            pass
        yield desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)


def effects_that_hang(desk: Desk) -> Iterator[Any]:
    """Return one effect, and then none, and no end."""
    yield desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)
    while True:
        pass


def sleeps(_desk: Desk) -> None:
    """Wait for something outside."""
    time.sleep(1_000)


def waits(_desk: Desk) -> None:
    """Wait for a lock that nobody releases."""
    threading.Event().wait()


STUCK = [
    spins,
    swallows,
    asks_the_desk,
    effects_without_end,
    effects_that_hang,
    sleeps,
    waits,
]
ENTERED = threading.Event()
"""Set by a strategy that is about to get stuck."""


def stuck_at(bar: int, how: Callable[[Desk], Any]) -> Script:
    """Return a script that rests orders, and at one bar gets stuck."""
    ENTERED.clear()
    script = keeps_buying()
    calm = script.on_bar

    def on_bar(strategy: Any, seen: Any) -> Any:
        if len(script.seen) != bar:
            return calm(strategy, seen)
        ENTERED.set()
        return how(strategy.desk)

    script.on_bar = on_bar
    return script


def wait_until_stuck(house: House) -> None:
    """Return when the strategy has been stuck for a moment."""
    assert ENTERED.wait(AT_ONCE_S)
    house.until(lambda: house.inbox.pulse.late_s > 0.1)
    time.sleep(0.05)
