"""
How long a kill takes, under load: from its trigger to what it promises.

    python -m tests.bench.kills [--kills 1000] [--queued 10000] [--slow-ms 25]

A real paper session on the loop that the daemon uses, with its journal and register on disk. For
every kill its queues are filled first: a tenth of the messages are intents that a pause keeps in
Risk's mailbox, the rest ticks on their way to two strategies, one of which takes long over every
four hundredth. Another thread pulls the kill, at a random moment of that work, and the time runs
until

    in force       the hold is placed and what waited is answered: nothing that adds risk can leave
    acknowledged   journal and register have it on disk, and whoever pulled it has the answer
    confirmed      the venue has said what is left

Then it is unlatched and the next one follows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

import anyio

from actors.assembly import StrategySpec
from actors.commands import Answer, Request
from actors.inbox import Inbox
from actors.risk import RiskLimits
from actors.runtime import Dispatcher
from actors.runtime.interrupt import Interrupter
from actors.sentinel import Sentinel
from actors.session import run_paper
from actors.spec import SessionSpec
from actors.turns import Session
from brokers.matching import EngineConfig
from feeds.contract import Group
from messages import Bar, CommandVerb, HoldMode, KillReport, Side, Tick
from state.instruments import Instrument
from strategies import Strategy, StrategyParams
from strategies.contract import Intents

SYMBOL = "BTC/USDT"
MINUTE = 60_000
PAUSE_S = 10**6
TARGET_MS = 100.0
BOUND_MS = 5_000.0
WAIT_S = 60.0


class Endless:
    """A flat market without end: the session lasts until it is told to stop."""

    symbols = (SYMBOL,)
    timeframe_ms = MINUTE
    synthetic = True

    def groups(self) -> Iterator[Group]:
        """Yield one bar a minute for ever."""
        at = 0
        while True:
            yield (Bar(SYMBOL, at, 100.0, 100.0, 100.0, 100.0, 1.0, MINUTE),)
            at += MINUTE

    def fingerprints(self) -> dict[str, str]:
        """Return what the market is a function of."""
        return {"endless": "flat"}


class Idle(Strategy):
    """Look at everything, do nothing."""

    def on_bar(self, bar: Bar) -> Intents:
        """Ask for nothing."""
        return None


class Slow(Idle):
    """Take long over every four hundredth tick."""

    busy_s = 0.0
    seen = 0

    def on_tick(self, tick: Tick) -> Intents:
        """Compute something that nobody needs."""
        self.seen += 1
        if not self.seen % 400:
            until = time.perf_counter() + Slow.busy_s
            while time.perf_counter() < until:
                pass
        return None


@dataclass
class Times:
    """Milliseconds since the trigger, one of each per kill."""

    in_force: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    confirmed: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)


class Drill:
    """Kills of one session, pulled from a thread beside it."""

    def __init__(self, inbox: Inbox, kills: int, queued: int, seed: int) -> None:
        """Pull ``kills``, each with ``queued`` messages on their way."""
        self.inbox = inbox
        self.kills = kills
        self.queued = queued
        self.chance = Random(f"kills:{seed}")
        self.times = Times()
        self.ended = threading.Event()
        self.failure = ""
        self._in_force_s = 0.0
        self._confirmed: Future[float] = Future()
        self._loaded = threading.Event()

    def open(self, session: Session) -> None:
        """Note when a kill is in force and when it is confirmed; start pulling."""
        desk = session.assembly.desk
        take = desk.take

        def timed(request: Request, waited_ms: int = 0) -> Answer:
            answer = take(request, waited_ms)
            if request.verb is CommandVerb.KILL:
                self._in_force_s = time.perf_counter()
            return answer

        desk.take = timed  # type: ignore[method-assign]
        session.assembly.kill.on_done = self._done
        threading.Thread(target=self._pull_all, args=(session,), daemon=True).start()

    def _done(self, report: KillReport) -> None:
        if report.confirmed and not self._confirmed.done():
            self._confirmed.set_result(time.perf_counter())

    def _pull_all(self, session: Session) -> None:
        try:
            for number in range(self.kills):
                self._pull(session)
                if sys.stderr.isatty() and not number % 10:
                    sys.stderr.write(f"\r{number} kills")
        except BaseException as error:  # noqa: BLE001 - said at the end
            self.failure = repr(error)
        finally:
            self.ended.set()

    def _pull(self, session: Session) -> None:
        self._loaded.clear()
        session.assembly.dispatcher.errands.append(lambda: self._load(session))
        self._command(CommandVerb.PAUSE, for_s=PAUSE_S)
        assert self._loaded.wait(WAIT_S), "the queues were filled"
        time.sleep(self.chance.random() * 0.1)
        self._confirmed = Future()
        answered = session.assembly.supervisor.answered
        pulled_s = time.perf_counter()
        waiting = self.inbox.submit(Request(verb=CommandVerb.KILL, by="bench", reason="drill"))
        acknowledged: Future[float] = Future()
        waiting.add_done_callback(lambda _f: acknowledged.set_result(time.perf_counter()))
        waiting.result(WAIT_S)
        times = self.times
        times.acknowledged.append((acknowledged.result(WAIT_S) - pulled_s) * 1000)
        times.in_force.append((self._in_force_s - pulled_s) * 1000)
        times.confirmed.append((self._confirmed.result(WAIT_S) - pulled_s) * 1000)
        times.answered.append(session.assembly.supervisor.answered - answered)
        self._command(CommandVerb.RESUME, reason="next", unlatch=True)

    def _command(self, verb: CommandVerb, **terms: object) -> None:
        request = Request(verb=verb, by="bench", **terms)  # type: ignore[arg-type]
        answer = self.inbox.submit(request).result(WAIT_S)
        assert answer.ok, answer.text

    def _load(self, session: Session) -> None:
        """Fill the queues, where no handler is running."""
        assembly = session.assembly
        now = assembly.clock.now
        supervisor = assembly.supervisor
        supervisor.hold_open("pause", "load", mode=HoldMode.BLOCK, until=now + PAUSE_S * 1000)
        desk = assembly.strategy_cells["idle"].actor.desk  # type: ignore[union-attr]
        risk = assembly.dispatcher.cells["risk"]
        for _ in range(self.queued // 10):
            intent = desk.open(SYMBOL, Side.BUY, Decimal(1), valid_until=now + PAUSE_S * 1000)
            assembly.dispatcher.tell(risk, intent)
        cells = list(assembly.strategy_cells.values())
        for number in range(self.queued - self.queued // 10):
            assembly.dispatcher.tell(cells[number % 2], Tick(SYMBOL, now, 100.0, 1.0))
        self._loaded.set()


def measure(kills: int, queued: int, slow_ms: float, seed: int = 1) -> Times:
    """Return the times of ``kills``; raises when the drill breaks off."""
    Slow.busy_s = slow_ms / 1000
    with tempfile.TemporaryDirectory(prefix="tidegate-kills-") as folder:
        inbox = Inbox()
        drill = Drill(inbox, kills, queued, seed)
        interrupter = Interrupter(Dispatcher.handler_calls(), Dispatcher.handler_passages())
        sentinel = Sentinel(inbox, interrupter)
        spec = SessionSpec(
            "paper",
            "kills",
            seed,
            Endless(),
            tuple(
                StrategySpec(name, kind, StrategyParams(), (SYMBOL,))
                for name, kind in (("idle", Idle), ("slow", Slow))
            ),
            {SYMBOL: Instrument.permissive(SYMBOL, Decimal(0), currency="USDT")},
            "USDT",
            Decimal(10**12),
            EngineConfig(trade_tag="kills"),
            RiskLimits(),
            runs_dir=Path(folder),
        )

        async def session() -> None:
            await run_paper(
                spec, speed=600.0, stop=drill.ended.is_set, inbox=inbox, on_open=drill.open
            )

        interrupter.install()
        sentinel.start()
        try:
            anyio.run(session, backend_options={"use_uvloop": True})
        finally:
            sentinel.stop()
            interrupter.remove()
        if drill.failure:
            raise RuntimeError(drill.failure)
        return drill.times


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> int:
    """Measure and print; exit 1 when the bound of five seconds was passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--slow-ms", type=float, default=25.0)
    options = parser.parse_args()
    times = measure(options.kills, options.queued, options.slow_ms)
    waited = sum(times.answered) / len(times.answered)
    print(
        f"{options.kills} kills, {options.queued} messages queued before each, a strategy that "
        f"takes {options.slow_ms:g} ms; {waited:.0f} waiting intents answered by each kill"
    )
    print(f"{'ms from trigger to':<20}{'p50':>10}{'p99':>10}{'max':>10}")
    for name in ("in_force", "acknowledged", "confirmed"):
        values: list[float] = getattr(times, name)
        row = (percentile(values, 0.5), percentile(values, 0.99), max(values))
        print(f"{name.replace('_', ' '):<20}" + "".join(f"{value:>10.2f}" for value in row))
    p99, most = percentile(times.in_force, 0.99), max(times.acknowledged)
    print(f"target: in force p99 < {TARGET_MS:g} ms: {'met' if p99 < TARGET_MS else 'MISSED'}")
    print(f"bound: acknowledged < {BOUND_MS:g} ms: {'kept' if most < BOUND_MS else 'BROKEN'}")
    return 0 if most < BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
