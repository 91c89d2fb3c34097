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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import ccxt.pro
from campaign_feed import Heard, candles_of_a_second, live_feed
from machine import BEGAN_S, Machine
from plans import SECONDS, SURE_UNTIL_S, Command, Feed, Plan, certain
from watched import Record, Watched
from workload import BTC, MAX_ORDER, MAX_POSITION, SECOND_MS, START, bars, restless

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
from brokers.virtual.wire import FundingAtMark, MarketData
from feeds.contract import BarFeed, LiveFeed
from feeds.errors import FeedError
from feeds.memory import MemoryFeed
from messages import EVERYTHING, Bar, CommandVerb, PositionMode
from scenarios.exchange.binanceusdm import Exchange, Limits, TestAuthority, open_binanceusdm
from scenarios.exchange.faults import Faults, FaultScript, WireFaultKind
from state.money import exact
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
"""How long before a session that is given its bars hears of one the exchange has it."""

LIVE_START: Final = round(BEGAN_S * 1000)
"""When the market begins that a session listens to: as it comes, by the machine's clock."""

LIVE_BARS: Final = 150
"""So many bars are shown of it at most: it goes on until the session has ended."""

LATE_S: Final = 3.0
"""Who asks for his bars has the last one so much later than it closed."""

STALE_MS: Final = 5_000
"""Age of the newest bar past which a session that listens must open nothing."""

LIVE_ALLOWANCE: Final = 4
"""How many times the usual one: who asks for bars of a second asks for sixty times as many."""

LOOK_S: Final = 0.1


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
    heard: Heard = field(default_factory=Heard)
    said: list[Said] = field(default_factory=list)
    struck: Counter[WireFaultKind] = field(default_factory=Counter)
    deaths: int = 0
    starts_refused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def start_of(plan: Plan) -> int:
    """Return when the market of a run begins."""
    return START if plan.feed is Feed.MEMORY else LIVE_START


def allowance_of(plan: Plan) -> int:
    """Return how many times its usual allowance the account of a run has."""
    return 1 if plan.feed is Feed.MEMORY else LIVE_ALLOWANCE


def spec_of(plan: Plan, exchange: Exchange, folder: Path, played: Played) -> SessionSpec:
    """Return the session of a run, as a process begins it or goes on with it."""
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
        allowance=allowance_of(plan),
    )

    def broker(engine: MatchingEngine) -> SessionBroker:
        made = Watched(address, CLOCK, engine.symbols)
        made.record = played.record
        return made

    feed: BarFeed
    if plan.feed is Feed.MEMORY:
        feed = MemoryFeed({BTC: bars(plan.name, SECONDS, plan.volume)}, synthetic=True)
        health = HealthPlan()
    else:
        feed = live_feed(plan, address, played.heard)
        health = HealthPlan(stale_after_ms=STALE_MS, check_every_ms=1_000, reconnect=True)
    return SessionSpec(
        "paper",
        "campaign",
        plan.number,
        feed,
        (restless(plan, start_of(plan), played.heard.decided_on),),
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
        health=health if plan.health else None,
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
        self.struck = asyncio.Event()
        """Set when a fault that is alone has struck, or is over."""

    async def play(self) -> Played:
        """Play it to its end, faults and all, and return what is left."""
        plan, mode = self.plan, PositionMode.HEDGE if self.plan.hedge else PositionMode.ONE_WAY
        exchange = await open_binanceusdm(
            terms(BTC, deposit=str(CASH), mode=mode),
            self.folder / "venue",
            credentials=KEYS,
            ca=self.ca if plan.tls else None,
            faults=Faults(),
            limits=Limits().times(allowance_of(plan)),
        )
        self.exchange = exchange
        self.played.truth = exchange.truth / "truth.ndjson"
        (first,) = bars(plan.name, 1, plan.volume, start_of(plan))
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
        for number in range(1, 100):
            self.inbox = Inbox()
            spec = spec_of(self.plan, self.exchange, self.folder, self.played)
            self.feed = spec.feed
            folder = spec.runs_dir / spec.mode / "sessions" / spec.session_id
            self.played.folder = folder
            try:
                return await self._lived(spec, folder)
            except Died:
                self.played.deaths += 1
            except (VenueUnreachable, AccountUnexplained, FeedError) as refused:
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
            "stop": self._is_over,
            "inbox": self.inbox,
            "on_open": lambda _session: self.opened.set(),
            "on_progress": lambda _count: self._maybe_die(),
        }
        if not self.began:
            self.began = True
            return await run_paper(spec, **driven)
        return await resume_paper(spec, left_in(folder, spec), **driven)

    def _is_over(self) -> bool:
        """Return whether a session that listens has heard all, or has had the time for it."""
        if self.plan.feed is Feed.MEMORY:
            return False
        heard = self.played.heard.decided_on
        last = LIVE_START + (SECONDS - 1) * SECOND_MS
        is_told = any(bar.timestamp >= last for bar in heard[-1:])
        return monotonic_s() >= (SECONDS + LATE_S if is_told else LIVE_BARS - LATE_S)

    def _maybe_die(self) -> None:
        if self.dies:
            self.dies = False
            raise Died

    # -- what goes on beside it

    async def _market(self) -> None:
        """
        Show the exchange each bar, and settle funding.

        A session that is given its bars hears of one a little later than the exchange; to one that
        listens the market comes as it comes, whether it does or not.
        """
        plan = self.plan
        lives = plan.feed is not Feed.MEMORY
        if not lives:
            await self.opened.wait()
            await asyncio.sleep(1.0 - MARKET_LEAD_S)
        rates = {each.bar: each.rate for each in plan.funding}
        count = LIVE_BARS if lives else SECONDS
        for number, bar in enumerate(bars(plan.name, count, plan.volume, start_of(plan))):
            if lives:
                await asyncio.sleep(number + 1 - monotonic_s())
            closed = bar.timestamp + bar.timeframe_ms
            pieces: list[MarketData] = [bar]
            if number in rates:
                pieces.append(FundingAtMark(BTC, closed, rates[number], exact(bar.close)))
            await self.exchange.server.show(BTC, pieces)
            if not lives:
                await asyncio.sleep(1.0)

    async def _dial_anew(self, at_s: float) -> None:
        await self.opened.wait()
        await asyncio.sleep(at_s)
        if isinstance(self.feed, LiveFeed):
            self.feed.reconnect()

    async def _faults(self) -> None:
        """Put the faults in force, and out of it; one that is alone not before it has struck."""
        plan = self.plan
        if plan.struck_from_s >= 0:
            await self.opened.wait()
            await asyncio.sleep(plan.struck_from_s)
        self._put(plan.faults)
        until_s = monotonic_s() + plan.struck_until_s - max(0.0, plan.struck_from_s)
        if plan.alone:
            await self._wait_for_strike(until_s)
        await asyncio.sleep(until_s - monotonic_s())
        if plan.alone and not self._has_struck:
            self._put(tuple(certain(fault) for fault in plan.faults))
            await self._wait_for_strike(until_s + SURE_UNTIL_S - plan.struck_until_s)
        self.struck.set()
        self._calm()

    async def _wait_for_strike(self, until_s: float) -> None:
        for _ in range(1 + int((until_s - monotonic_s()) / LOOK_S)):
            if self._has_struck:
                self.struck.set()
                return
            await asyncio.sleep(LOOK_S)

    @property
    def _has_struck(self) -> bool:
        now = self.exchange.server.faults.struck_by_kind
        return any((self.played.struck + now).values())

    def _put(self, faults: tuple[Mapping[str, Any], ...]) -> None:
        self._count_struck()
        script = {"seed": self.plan.number, "faults": [dict(fault) for fault in faults]}
        self.exchange.server.faults.replace(FaultScript.model_validate(script))

    def _calm(self) -> None:
        self._count_struck()
        self.exchange.server.faults.replace(FaultScript())

    def _count_struck(self) -> None:
        self.played.struck.update(self.exchange.server.faults.struck_by_kind)

    @property
    def _is_calm(self) -> bool:
        return not self.exchange.server.faults.struck_by_kind

    def _talk(self) -> list[Any]:
        plan = self.plan
        talk = [self._say(command) for command in plan.commands]
        if plan.dialled_anew_at_s is not None:
            talk.append(self._dial_anew(plan.dialled_anew_at_s))
        return talk if plan.dies_at_s is None else [*talk, self._die(plan.dies_at_s)]

    async def _die(self, at_s: float) -> None:
        await self.opened.wait()
        await asyncio.sleep(at_s)
        self.dies = True

    async def _say(self, command: Command) -> None:
        """Give a command, and wait for its answer; while there is no session it is given again."""
        await self.opened.wait()
        first_s = self.plan.commands[0].at_s
        await asyncio.sleep(first_s)
        if self.plan.alone:
            await self.struck.wait()
        await asyncio.sleep(command.at_s - first_s)
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
    at = bar.timestamp - bar.timeframe_ms
    return Bar(BTC, at, bar.open, bar.open, bar.open, bar.open, bar.volume, bar.timeframe_ms)


def played(plan: Plan, folder: Path, ca: TestAuthority) -> Played:
    """Play one run in a machine of its own."""
    return Machine().run(partial(_on_machine, plan, folder, ca))


async def _on_machine(plan: Plan, folder: Path, ca: TestAuthority) -> Played:
    with candles_of_a_second():
        return await Run(plan, folder, ca).play()
