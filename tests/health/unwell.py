"""Worlds that are unwell: a venue that refuses, falls silent or limits, and a scripted machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from session_world import BTC, Script, World, make_spec, on_bars

from actors.health import CircuitRules, HealthPlan, VitalRules
from actors.runtime.entropy import Tape
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    Cause,
    Hold,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    ReasonCode,
    Side,
    ToolReport,
    VenueReport,
)
from strategies import Desk

VENUE = "venue:paper"
ONE = Decimal(1)

RULES = CircuitRules(
    failure_streak=3,
    success_streak=2,
    pause_ms=90_000,
    pause_growth=2.0,
    pause_max_ms=400_000,
    rate_limit_pause_ms=45_000,
    probe_every_ms=5_000,
    quiet_ms=400_000,
)


class UnwellBroker(PaperBroker):
    """A venue that rejects with ``code``, answers nothing, or is well; its probes likewise."""

    def __init__(self, engine: MatchingEngine) -> None:
        super().__init__(engine)
        self.code: ReasonCode | None = None
        self.silent = False
        self.raises = False
        self.probes: list[int] = []
        self.sent: list[OrderRequest] = []

    def submit(self, request: OrderRequest, now: int) -> None:
        self.sent.append(request)
        event = OrderEvent.SILENCE if self.silent else OrderEvent.REJECTED
        code = ReasonCode.ANSWER_LOST if self.silent else self.code
        if code is None:
            super().submit(request, now)
        else:
            report = VenueReport(request.client_order_id, event, now, None, Cause(code))
            self._deliver(report)

    def probe(self, now: int) -> None:
        self.probes.append(now)
        if self.raises:
            raise ConnectionError("no route to the venue")
        if self.code is not None:
            self._tell(ToolReport(VENUE, ok=False, at=now, detail="still down", probe=True))
        elif not self.silent:
            super().probe(now)


@dataclass
class ScriptedVitals:
    """A machine whose vitals are set by hand."""

    free: int | None = 10**12
    offset: int | None = 0
    stalled: int | None = 0

    def disk_free_bytes(self) -> int | None:
        return self.free

    def clock_offset_ms(self) -> int | None:
        return self.offset

    def stalls(self) -> int | None:
        return self.stalled


def plan_for(**changes: object) -> HealthPlan:
    """Return a plan with short streaks and long pauses, told in bars of a minute."""
    plan = HealthPlan(RULES, 90_000, VitalRules(), None, 60_000, 10_000, False)
    return replace(plan, **changes)  # type: ignore[arg-type]


def watched(
    bars: Sequence[Bar] | dict[str, Sequence[Bar]],
    *scripts: Script,
    plan: HealthPlan | None = None,
    tape: Tape | None = None,
    **settings: object,
) -> World:
    """Return the world of a session with Health and an unwell broker."""
    by_symbol = bars if isinstance(bars, dict) else {bars[0].symbol: bars}
    spec = make_spec(
        MemoryFeed(by_symbol),
        *(
            script.spec(f"s{number}", tuple(by_symbol))
            for number, script in enumerate(scripts, start=1)
        ),
        queued=tape is not None,
        **settings,  # type: ignore[arg-type]
    )
    watching = replace(spec, health=plan_for() if plan is None else plan, broker=UnwellBroker)
    return World(watching, tape)


def unwell(world: World) -> UnwellBroker:
    """Return the broker of a watched world."""
    broker = world.assembly.broker
    assert isinstance(broker, UnwellBroker)
    return broker


def buys(*turns: int, symbol: str = BTC) -> Script:
    """Return a strategy that buys one at each of these turns (from 0)."""

    def buy(desk: Desk) -> tuple[OpenIntent, ...]:
        return (desk.open(symbol, Side.BUY, ONE),)

    return on_bars(dict.fromkeys(turns, buy))


def rejecting(code: ReasonCode | None) -> Callable[[World], None]:
    """Return an act that lets the venue reject with ``code``, or be well again."""

    def act(world: World) -> None:
        unwell(world).code = code

    return act


def held(world: World) -> dict[str, Hold]:
    """Return the holds in force."""
    return dict(world.assembly.holds.view())
