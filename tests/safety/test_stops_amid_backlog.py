"""A session that is stopped while a strategy lags loses no more of its queue than a crash does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from session_world import BTC, Script, Scripted, make_spec, walk

from actors import committing
from actors.commands import Request
from actors.inbox import Inbox
from actors.reexecution import reexecute
from actors.resuming import left_in
from actors.runtime.supervisor import Supervisor
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import (
    ActorStopped,
    Bar,
    CommandVerb,
    DeadLetter,
    ExecutionPolicy,
    ExecutionReport,
    OrderEvent,
    OrderType,
    Side,
)
from state.journal.reader import read_journal
from strategies.contract import Intents

SESSION = "l-1-abcdefghij"
BARS = 20
ORDERS = 12
ORDERED_AT = 3
STOPS = [6, BARS]
"""How many bars there have been when it is killed and stopped: with more to come, and with none."""

LAGS = "it has not kept up"


def spec_of(folder: Path, script: Script) -> SessionSpec:
    """Return a session whose strategy rests many orders far below the market."""
    bars = walk(BTC, BARS, 5)

    def decide(strategy: Scripted, bar: Bar) -> Intents:
        if bar.timestamp != bars[ORDERED_AT].timestamp:
            return None
        far = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
        return [strategy.desk.open(BTC, Side.BUY, Decimal(1), policy=far) for _ in range(ORDERS)]

    script.on_bar = decide
    spec = make_spec(MemoryFeed({BTC: bars}), script.spec())
    return replace(spec, mode="paper", runs_dir=folder / "runs", session_id=SESSION)


def stopped(
    folder: Path, script: Script, monkeypatch: pytest.MonkeyPatch, after: int = STOPS[0]
) -> Path:
    """Kill a session and stop it at once, with no patience; return its journal."""
    inbox, seen = Inbox(), [0]

    def progressed(bars: int) -> None:
        seen[0] = bars
        if bars == after:
            inbox.submit(Request(verb=CommandVerb.KILL, by="test", reason="drill"))

    async def main() -> Path:
        result = await run_paper(
            spec_of(folder, script),
            speed=0,
            inbox=inbox,
            stop=lambda: seen[0] >= after,
            on_progress=progressed,
        )
        return result.out / "journal.sqlite"

    with monkeypatch.context() as patched:
        patched.setattr(committing, "STOP_PATIENCE_S", -1.0)  # asked so long ago that nobody waits
        patched.setattr(committing, "SETTLE_SLICE_S", -1.0)  # and each message takes a slice
        return anyio.run(main)


def gone_on_with(folder: Path, script: Script) -> Path:
    """Go on with the session to its end; return its journal."""
    spec = spec_of(folder, script)
    left = left_in(folder / "runs" / "paper" / "sessions" / SESSION, spec)

    async def main() -> Path:
        result = await resume_paper(spec, left, speed=0)
        return result.out / "journal.sqlite"

    return anyio.run(main)


def cancelled(script: Script) -> Counter[str]:
    """Return how often a strategy was told of the end of each of its orders."""
    reports = (told for told in script.told if isinstance(told, ExecutionReport))
    return Counter(each.order_id for each in reports if each.event is OrderEvent.CANCELLED)


@pytest.mark.parametrize("after", STOPS)
def test_what_a_lagging_strategy_has_still_to_hear_it_hears_after_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Its queue is part of what the next process goes on with: no dead letter, nothing twice."""
    first, second = Script(), Script()
    journal = stopped(tmp_path, first, monkeypatch, after)
    lagging = [m for m in messages(journal, ActorStopped) if m.reason.startswith(LAGS)]

    gone_on_with(tmp_path, second)

    assert ["strategy:one"] == [each.actor for each in lagging]
    assert len(cancelled(first)) < ORDERS
    assert [] == messages(journal, DeadLetter)
    heard = cancelled(first) + cancelled(second)
    assert ORDERS == len(heard)
    assert {1} == set(heard.values())


@pytest.mark.parametrize("after", STOPS)
def test_a_session_stopped_so_is_the_same_when_it_is_executed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The journal says where the strategy was left behind; with all that came after."""
    stopped(tmp_path, Script(), monkeypatch, after)
    journal = gone_on_with(tmp_path, Script())

    found = reexecute(spec_of(tmp_path, Script()), SESSION, journal)

    assert found.difference is None, str(found.difference)
    assert len(list(read_journal(journal))) == found.same


def test_a_stop_that_drops_the_queue_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: left behind as at an end, the strategy never hears of some of its orders."""
    monkeypatch.setattr(
        Supervisor, "leave", lambda self, cell, reason, _place: self.retire(cell, reason)
    )
    first, second = Script(), Script()
    journal = stopped(tmp_path, first, monkeypatch)

    gone_on_with(tmp_path, second)

    assert messages(journal, DeadLetter)
    assert len(cancelled(first) + cancelled(second)) < ORDERS


def messages(journal: Path, kind: type) -> list:  # type: ignore[type-arg]
    """Return every message of a class in a journal."""
    return [entry.message for entry in read_journal(journal) if isinstance(entry.message, kind)]
