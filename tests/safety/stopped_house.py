"""Sessions that are stopped, killed and gone on with at many moments of a clock of their own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from session_world import BTC, Script, Scripted, make_spec, walk

from actors.assembly import StrategySpec
from actors.commands import Request
from actors.health import HealthPlan
from actors.inbox import Inbox
from actors.reexecution import reexecute
from actors.resuming import left_in
from actors.runtime.clock import rung_within
from actors.session import resume_paper, run_paper
from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import Bar, CommandVerb, ExecutionPolicy, OrderType, Side
from strategies.contract import Intents
from strategies.sma_cross import SmaCross, SmaCrossParams

SESSION = "l-1-abcdefghij"
BARS = 14
SPEEDS = (1.0, 20.0, 60.0, 600.0)

SAID = (
    Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test", reason="drill"),
    Request(verb=CommandVerb.RESUME, by="test", reason="over", unlatch=True),
    Request(verb=CommandVerb.PAUSE, by="test", for_s=90),
    Request(verb=CommandVerb.KILL, by="test", reason="enough", flatten=True),
)
"""What an operator may say."""


class PowerCut(Exception):
    """The process is gone."""


def decide(strategy: Scripted, bar: Bar) -> Intents:
    """Buy, rest an order, sell, and do nothing for a bar."""
    desk = strategy.desk
    number = bar.timestamp // 60_000 % 4
    if number == 0:
        return [desk.open(BTC, Side.BUY, Decimal(1))]
    if number == 1:
        price = Decimal(str(round(bar.close - 0.2, 2)))
        near = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=price)
        return [desk.open(BTC, Side.BUY, Decimal(1), policy=near)]
    return [desk.close(BTC)] if number == 2 and desk.position(BTC) else []


def spec_of(folder: Path, **terms: Any) -> SessionSpec:
    """Return a session of strategies that trade and keep what time it is; ``terms`` are others."""
    script = Script(on_bar=decide, snapshot=lambda strategy: {"at": strategy.desk.now})
    params = SmaCrossParams(fast=2, slow=3, quantity=Decimal(1))
    spec = make_spec(
        MemoryFeed({BTC: walk(BTC, BARS, 5)}),
        script.spec(),
        StrategySpec("sma", SmaCross, params, (BTC,)),
    )
    return replace(
        spec,
        mode="paper",
        runs_dir=folder / "runs",
        session_id=SESSION,
        health=HealthPlan(),
        **terms,
    )


@dataclass
class Machine:
    """A clock that goes on while the driver rests, and somebody who acts at some of its rests."""

    chance: Random
    now_s: float = 1_000.0
    inbox: Inbox = field(default_factory=Inbox)
    rests: int = 0
    ends_at: int = 0
    dies: bool = False
    talk: float = 0.03
    """How probable a command is at a rest."""
    said: list[str] = field(default_factory=list)

    def begin(self, ends_at: int, *, dies: bool) -> None:
        """Begin a process that is ended at rest ``ends_at``."""
        self.inbox, self.rests = Inbox(), 0
        self.ends_at, self.dies = ends_at, dies

    def monotonic_s(self) -> float:
        """Return the time, which stands while anything is done."""
        return self.now_s

    def stop(self) -> bool:
        """Return whether somebody has asked for the end."""
        return self.rests >= self.ends_at and not self.dies

    async def rung_within(self, delay_s: float, bell: asyncio.Event) -> None:
        """Rest, for any part of ``delay_s``."""
        session = self.inbox.session
        assert session is not None
        if session.recovery.is_checking or self.stop():
            await rung_within(0.002, bell)  # a thread is waited for
            return
        self.now_s += delay_s * self.chance.choice((0.01, 0.37, 1.0))
        self.rests += 1
        if self.dies and self.rests >= self.ends_at:
            raise PowerCut
        if self.chance.random() < 0.3:
            self.inbox.ask(lambda _session: {})
        if self.chance.random() < self.talk:
            request = self.chance.choice(SAID)
            self.said.append(request.verb)
            self.inbox.submit(request)
        if session.remote is None:
            await anyio.lowlevel.checkpoint()
            bell.clear()
        else:
            await rung_within(0.001, bell)  # its venue has a wire


@dataclass
class Life:
    """One session over several processes, all of it decided by ``seed``."""

    folder: Path
    seed: int
    terms: dict[str, Any] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """Return the session's folder."""
        return self.folder / "runs" / "paper" / "sessions" / SESSION

    def live(self) -> None:
        """Do what ``run`` does, in a loop of its own."""
        anyio.run(self.run)

    async def run(self, processes: int = 4) -> None:
        """Run the session, ended somewhere in each of its processes."""
        chance = Random(self.seed)
        machine = Machine(chance, talk=chance.choice((0.0, 0.03, 0.3)))
        speed = chance.choice(SPEEDS)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("actors.runtime.clock.monotonic_s", machine.monotonic_s)
            patched.setattr("actors.paced.rung_within", machine.rung_within)
            for _ in range(processes):
                rests = min(400, int(60 * BARS / speed / 0.2))
                ends_at = chance.choice((1, 2, 3, chance.randint(1, max(3, rests))))
                machine.begin(ends_at, dies=chance.random() < 0.5)
                if not await self._process(machine, speed):
                    return

    async def _process(self, machine: Machine, speed: float) -> bool:
        spec = spec_of(self.folder, **self.terms)
        terms: dict[str, Any] = {"speed": speed, "stop": machine.stop, "inbox": machine.inbox}
        with suppress(PowerCut):
            self.ended.append("died")
            if (self.out / "manifest.json").is_file():
                left = left_in(self.out, spec)
                if left.ended is not None:
                    self.ended.pop()
                    return False
                result = await resume_paper(spec, left, **terms)
            else:
                result = await run_paper(spec, **terms)
            self.ended[-1] = result.outcome
        return True

    def difference(self) -> str:
        """Execute it once more; return what differs: after a crash it may only go on."""
        spec = spec_of(self.folder, **self.terms)
        found = reexecute(spec, SESSION, self.out / "journal.sqlite").difference
        if found is None or (found.first is None and self.ended[-1] == "died"):
            return ""
        return str(found)
