"""
The driver of a session in simulated time: every turn at once after the one before.

Nothing is waited for: what a turn leaves to be committed is committed with it, timers go off as
time comes to them, and a kill ends the session as soon as the venue has confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.turns import Session
from feeds.contract import Group

PROGRESS_EVERY = 4096


def drive(session: Session, groups: Iterator[Group], on_progress: Callable[[int], None]) -> None:
    """
    Run every turn as fast as it goes, committing as it goes (simulation).

    A kill ends it, as soon as the venue has confirmed.
    """
    clock = session.assembly.clock
    dispatcher = session.assembly.dispatcher
    supervisor = session.assembly.supervisor
    kill = session.assembly.kill
    timeframe_ms = session.spec.feed.timeframe_ms
    several = len(session.spec.feed.symbols) > 1
    turn = session.turn
    taken = 0
    beyond_first = 0
    try:
        for count, group in enumerate(groups, start=1):
            at = group[0].timestamp + timeframe_ms
            if clock.next_timer_at < at:
                while session.fire_next(at - 1):
                    dispatcher.settle_all()
                if supervisor.halted is not None or (kill.report and kill.report.confirmed):
                    break
            turn(group, at)
            taken = count
            if dispatcher.pending:
                dispatcher.settle_all()
                if supervisor.halted is not None:
                    break
            if several:
                beyond_first += len(group) - 1
            if not count % PROGRESS_EVERY:
                on_progress(count + beyond_first)
    finally:
        session.turns = taken
        session.bars = taken + beyond_first
