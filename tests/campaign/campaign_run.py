"""
One run of the campaign: a whole session through ccxt at the virtual exchange, and all that fails.

The exchange, the session, the operator and the clock of all of them are in one process (see
``machine``): the session's actors, the ccxt client, its sockets and TLS, the journal and the truth
log are the real ones.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import ccxt.pro
from machine import Machine
from plans import SECONDS, Command, Plan
from watched import Record, Watched
from workload import BTC, MAX_ORDER, MAX_POSITION, START, bars, restless

from actors.commands import Answer, Request
from actors.execution import DoubtPlan
from actors.health import HealthPlan
from actors.inbox import Closed, Inbox
from actors.opening import AccountUnexplained
from actors.resuming import left_in
from actors.risk import RiskLimits
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from actors.session import resume_paper, run_paper
from actors.spec import SessionResult, SessionSpec
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.contract import SessionBroker, VenueUnreachable
from brokers.matching import EngineConfig, MatchingEngine
from feeds.memory import MemoryFeed
from messages import EVERYTHING, Bar, CommandVerb, PositionMode
from scenarios.exchange.binanceusdm import Exchange, TestAuthority, open_binanceusdm
from scenarios.exchange.faults import Faults, FaultScript, WireFaultKind
from state.reconciliation_policy import Policy, ReconciliationPlan

sys.path.append(str(Path(__file__).parents[1] / "exchange_binance"))

from binance_house import KEYS, instrument, terms

CASH: Final = Decimal(100_000)
CLOCK: Final = VenueClock(wall_ms, monotonic_s, sleep_s)
WINDOW_MS: Final = 1_000
TIMEOUT_S: Final = 1.0
DOUBTS: Final = DoubtPlan(receive_window_ms=WINDOW_MS, budget_ms=8_000)
TRIES: Final = 4
"""How often a session is begun again while faults are in force; then they are over."""

AGAIN_S: Final = 2.0
MARKET_LEAD_S: Final = 0.3
"""How long before the session hears of a bar the exchange has it."""


class Died(Exception):
    """The end of a process."""


@dataclass(frozen=True, slots=True)
class Said:
    """A command that was given: when, and what the session answered to it, and when."""

    command: Command
    at_s: float
    answered_s: float | None
    answer: Answer | None


@dataclass(slots=True)
class Played:
    """All that is left of a run, for the checks."""

    plan: Plan
    result: SessionResult | None = None
    folder: Path = Path()
    truth: Path = Path()
    record: Record = field(default_factory=Record)
    said: list[Said] = field(default_factory=list)
    struck: Counter[WireFaultKind] = field(default_factory=Counter)
    deaths: int = 0
    starts_refused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def spec_of(plan: Plan, exchange: Exchange, folder: Path, record: Record) -> SessionSpec:
    """Return the session of a run."""
    mode = PositionMode.HEDGE if plan.hedge else PositionMode.ONE_WAY
    address = CcxtAddress(
        "binanceusdm",
        account=f"at-{exchange.port}",
        secrets={"api_key": KEYS.api_key, "secret": KEYS.secret},
        position_mode=mode,
        loopback_port=exchange.port,
        loopback_ca=exchange.ca_path,
        urls={} if plan.tls else _plain_urls(exchange.port),
        timeout_s=TIMEOUT_S,
        recv_window_ms=WINDOW_MS,
    )

    def broker(engine: MatchingEngine) -> SessionBroker:
        made = Watched(address, CLOCK, engine.symbols)
        made.record = record
        return made

    return SessionSpec(
        "paper",
        "campaign",
        plan.number,
        MemoryFeed({BTC: bars(plan.name, SECONDS, plan.volume)}, synthetic=True),
        (restless(plan.name, hedge=plan.hedge),),
        {BTC: instrument(BTC)},
        "USDT",
        CASH,
        EngineConfig(trade_tag="abc", position_mode=mode),
        RiskLimits(
            max_order_notional=MAX_ORDER,
            max_position_notional=MAX_POSITION,
            max_gross_exposure=MAX_POSITION,
        ),
        runs_dir=folder / "runs",
        session_id=f"campaign-{plan.seed}-{plan.number}",
        broker=broker,
        health=HealthPlan() if plan.health else None,
        doubts=DOUBTS,
        reconciliation=ReconciliationPlan(
            Policy.ADOPT if plan.adopts else Policy.REFUSE,
            patient=True,
            every_ms=3_000,
            grace_ms=2_000,
        ),
    )


def _plain_urls(port: int) -> dict[str, Any]:
    """Return ccxt's addresses of the exchange, without TLS, on loopback."""

    def plain(url: Any) -> Any:
        if isinstance(url, dict):
            return {key: plain(each) for key, each in url.items()}
        scheme = "ws" if str(url).startswith("wss") else "http"
        return re.sub(r"^\w+://[^/]+", f"{scheme}://127.0.0.1:{port}", str(url))

    return {"api": plain(ccxt.pro.binanceusdm().urls["api"])}


class Run:
    """One run under way."""

    def __init__(self, plan: Plan, folder: Path, ca: TestAuthority) -> None:
        """Play ``plan`` in ``folder``."""
        self.plan = plan
        self.folder = folder
        self.ca = ca
        self.played = Played(plan)
        self.inbox = Inbox()
        self.dies = self.began = False
        self.opened = asyncio.Event()

    async def play(self) -> Played:
        """Play it to its end, faults and all, and return what is left."""
        plan, mode = self.plan, PositionMode.HEDGE if self.plan.hedge else PositionMode.ONE_WAY
        exchange = await open_binanceusdm(
            terms(BTC, deposit=str(CASH), mode=mode),
            self.folder / "venue",
            credentials=KEYS,
            ca=self.ca if plan.tls else None,
            faults=Faults(),
        )
        self.exchange = exchange
        self.played.truth = exchange.truth / "truth.ndjson"
        first = bars(plan.name, 1, plan.volume)[0]
        await exchange.server.show(BTC, [_before(first)])
        beside = [
            asyncio.ensure_future(each) for each in (self._market(), self._faults(), *self._talk())
        ]
        try:
            self.played.result = await self._session()
        finally:
            for task in beside:
                task.cancel()
            for found in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(found, Exception):
                    raise found
            self._count_struck()
            await exchange.stop()
        if exchange.server.failed.is_set():
            self.played.problems.append(f"the exchange failed: {exchange.server.trouble!r}")
        return self.played

    # -- the session, which may die

    async def _session(self) -> SessionResult:
        spec = spec_of(self.plan, self.exchange, self.folder, self.played.record)
        folder = spec.runs_dir / spec.mode / "sessions" / spec.session_id
        self.played.folder = folder
        for number in range(1, 100):
            self.inbox = Inbox()
            try:
                return await self._lived(spec, folder)
            except Died:
                self.played.deaths += 1
            except (VenueUnreachable, AccountUnexplained) as refused:
                self.played.starts_refused.append(f"{type(refused).__name__}: {refused}")
                if len(self.played.starts_refused) > TRIES:
                    if not self._is_calm:
                        self._calm()
                    elif len(self.played.starts_refused) > 2 * TRIES:
                        raise
            await asyncio.sleep(AGAIN_S if number > 1 else 0.1)
        raise AssertionError("it never comes to its end")

    async def _lived(self, spec: SessionSpec, folder: Path) -> SessionResult:
        driven: dict[str, Any] = {
            "speed": 1.0,
            "inbox": self.inbox,
            "on_open": lambda _session: self.opened.set(),
            "on_progress": lambda _count: self._maybe_die(),
        }
        if not self.began:
            self.began = True
            return await run_paper(spec, **driven)
        return await resume_paper(spec, left_in(folder, spec), **driven)

    def _maybe_die(self) -> None:
        if self.dies:
            self.dies = False
            raise Died

    # -- what goes on beside it

    async def _market(self) -> None:
        """Show the exchange each bar a little before the session hears of it."""
        await self.opened.wait()
        shown = bars(self.plan.name, SECONDS, self.plan.volume)
        await asyncio.sleep(1.0 - MARKET_LEAD_S)
        for bar in shown:
            await self.exchange.server.show(BTC, [bar])
            await asyncio.sleep(1.0)

    async def _faults(self) -> None:
        """Put the faults in force, and out of it."""
        plan = self.plan
        await self.opened.wait()
        await asyncio.sleep(plan.struck_from_s)
        script = {"seed": plan.number, "faults": [dict(fault) for fault in plan.faults]}
        self.exchange.server.faults.replace(FaultScript.model_validate(script))
        await asyncio.sleep(plan.struck_until_s - plan.struck_from_s)
        self._calm()

    def _calm(self) -> None:
        self._count_struck()
        self.exchange.server.faults.replace(FaultScript())

    def _count_struck(self) -> None:
        self.played.struck.update(self.exchange.server.faults.struck_by_kind)

    @property
    def _is_calm(self) -> bool:
        return not self.exchange.server.faults.struck_by_kind

    def _talk(self) -> list[Any]:
        talk = [self._say(command) for command in self.plan.commands]
        return talk if self.plan.dies_at_s is None else [*talk, self._die(self.plan.dies_at_s)]

    async def _die(self, at_s: float) -> None:
        await self.opened.wait()
        await asyncio.sleep(at_s)
        self.dies = True

    async def _say(self, command: Command) -> None:
        """Give a command, and wait for its answer; while there is no session it is given again."""
        await self.opened.wait()
        await asyncio.sleep(command.at_s)
        request = Request(verb=command.verb, by="campaign", scope=EVERYTHING, **command.terms)
        for _ in range(1_000):
            at_s = monotonic_s()
            answer: Answer | None = None
            with suppress(Closed):
                answer = await asyncio.wrap_future(self.inbox.submit(request))
            answered_s = monotonic_s() if answer is not None else None
            self.played.said.append(Said(command, at_s, answered_s, answer))
            if answer is not None or command.verb is CommandVerb.KILL:
                # A kill that nobody has answered is in the register all the same.
                return
            await asyncio.sleep(0.1)


def _before(bar: Bar) -> Bar:
    """Return the bar before the first one: the exchange has a price when the session comes."""
    at = START - bar.timeframe_ms
    return Bar(BTC, at, bar.open, bar.open, bar.open, bar.open, bar.volume, bar.timeframe_ms)


def played(plan: Plan, folder: Path, ca: TestAuthority) -> Played:
    """Play one run in a machine of its own."""
    return Machine().run(partial(_on_machine, plan, folder, ca))


async def _on_machine(plan: Plan, folder: Path, ca: TestAuthority) -> Played:
    return await Run(plan, folder, ca).play()
