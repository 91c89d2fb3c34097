"""The timer of a plan's time stop goes off once, over all processes of a session."""

from __future__ import annotations

from decimal import Decimal

import pytest
from resumed_world import Disk, Process, check_sound, run_cut, run_stopped
from session_world import BTC, ETH, START, Script, Scripted, flat, make_spec

from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import Bar, ExecutionPolicy, IntentAction, OrderType, Plan, ReduceIntent, Side
from strategies.contract import Intents

MINUTE = 60_000
BARS = 14
SILENT = range(8, 11)
"""The minutes in which one of the two markets shows no bar."""

LATE = START + 5 * MINUTE + 30_000
FAR_ABOVE = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(500))


def decide(strategy: Scripted, bar: Bar) -> Intents:
    """
    Buy, plan to leave at a time, and have an order of one's own in the way of that.

    The close is refused as long as that order rests. It is taken back in the very moment, the last
    one before the silence, in which the close has just been refused once more: until the market's
    next bar nothing asks for it again.
    """
    if bar.symbol != ETH:
        return None
    desk, number = strategy.desk, (bar.timestamp - START) // MINUTE
    if number == 1:
        return [desk.open(ETH, Side.BUY, Decimal(1))]
    if number == 3:
        plan = desk.update_plan(ETH, Plan(time_stop=LATE))
        return [plan, desk.reduce(ETH, Side.SELL, Decimal(1), policy=FAR_ABOVE)]
    if number == SILENT.start - 1:
        return [desk.cancel(ETH)]
    return None


def spec_of() -> SessionSpec:
    """Return a session of one strategy in two markets, of which the one it trades falls silent."""
    script = Script()
    script.on_bar = decide
    seen = [bar for number, bar in enumerate(flat(ETH, BARS)) if number not in SILENT]
    feed = MemoryFeed({BTC: flat(BTC, BARS), ETH: seen})
    return make_spec(feed, script.spec("one", (BTC, ETH)))


def closes(process: Process) -> list[int]:
    """Return in which minutes the plan asked for its close."""
    return [
        (intent.created_at - START) // MINUTE
        for intent in process.all(ReduceIntent)
        if intent.action is IntentAction.CLOSE and intent.plan_id
    ]


def test_a_time_stop_that_has_gone_off_does_not_go_off_again_in_the_next_process() -> None:
    """What the undisturbed session asks for at a market's next bar, every other one does too."""
    whole = Process(spec_of(), Disk()).run()

    assert [5, 6, 7, 8, SILENT.stop + 1] == closes(whole)
    assert whole.assembly.books.ledger.flat
    for stop_at in range(1, BARS):
        found = run_stopped(spec_of, [stop_at])

        check_sound(found)
        assert closes(whole) == closes(found), f"stopped before turn {stop_at}"
        assert whole.outcome() == found.outcome(), f"stopped before turn {stop_at}"


@pytest.mark.exhaustive
def test_nor_after_a_crash() -> None:
    """Wherever a process may die without an order on its way, the timer's message among it."""
    whole = Process(spec_of(), Disk()).run()

    for cut_at, _ in whole.sure:
        found, _ = run_cut(spec_of, [cut_at])

        check_sound(found)
        assert closes(whole) == closes(found), f"after batch {cut_at}"
