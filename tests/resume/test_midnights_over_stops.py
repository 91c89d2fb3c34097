"""The account is valued at each midnight once, whichever process of a session lives through it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from resumed_world import Disk, Process, check_sound, run_cut, run_stopped
from session_world import BTC, DAY, MINUTE, START, Script, Scripted, flat, make_spec

from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import Bar, PortfolioMarked, Side
from strategies.contract import Intents

BARS = 8
MIDNIGHT = START + DAY
FIRST = MIDNIGHT - 4 * MINUTE


def spec_of() -> SessionSpec:
    """Return a session of some minutes around a midnight that buys something before it."""

    def decide(strategy: Scripted, bar: Bar) -> Intents:
        return [strategy.desk.open(BTC, Side.BUY, Decimal(1))] if bar.timestamp == FIRST else None

    script = Script()
    script.on_bar = decide
    feed = MemoryFeed({BTC: flat(BTC, BARS, start=FIRST)})
    return make_spec(feed, script.spec("one", (BTC,)))


def midnights(process: Process) -> list[int]:
    """Return when the account was valued for a midnight."""
    return [mark.at for mark in process.all(PortfolioMarked) if mark.occasion == "midnight"]


def test_a_stop_at_midnight_itself_takes_nothing_of_it_away() -> None:
    """Between the bar that closes then and the timer; and any other stop leaves it as it is."""
    whole = Process(spec_of(), Disk()).run()

    assert [MIDNIGHT] == midnights(whole)
    for stop_at in range(1, BARS):
        found = run_stopped(spec_of, [stop_at])

        check_sound(found)
        assert [MIDNIGHT] == midnights(found), f"stopped before turn {stop_at}"


def test_several_stops_at_it_do_not_either() -> None:
    """Each process knows whether the one before it has had it."""
    assert [MIDNIGHT] == midnights(run_stopped(spec_of, [4, 4, 5]))


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_crash_around_it_does_not_either(offset: int) -> None:
    """Right before its record, with it, and after it."""
    whole = Process(spec_of(), Disk()).run()
    at_midnight = [batch for batch, turns in whole.seen if turns == 4]

    for cut_at in at_midnight:
        found, _ = run_cut(spec_of, [cut_at + offset])

        check_sound(found)
        assert [MIDNIGHT] == midnights(found), f"after batch {cut_at + offset}"
