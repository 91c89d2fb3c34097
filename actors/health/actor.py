"""
Health: who still works, how old the data is, what shape the machine is in.

It trades nothing and turns no gate. It counts failures and silences, and asks the supervisor,
through the ports that it was given, to hold what depends on the tool that fails, the symbol that
is stale, the disk that is full, and to lift that again when there is evidence for it. What it has
counted outlives its incarnations: a crash leaves every hold in force, and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from actors.health.circuits import VENUE, Circuits, CircuitState, venue_tool
from actors.health.freshness import Freshness
from actors.health.plan import HealthPlan
from actors.health.vitals import VITALS, judge, read
from actors.runtime import Actor, Clock, Effect, Effects, SetTimer
from actors.runtime.cell import Handler
from messages import (
    EVERYTHING,
    RATE_LIMIT_HOLDS,
    CircuitClosed,
    CircuitOpened,
    DataStale,
    ExecutionReport,
    Hold,
    HoldMode,
    Message,
    OrderEvent,
    ReasonCode,
    Scope,
    ToolReport,
    Wake,
)

FEED = "feed"
"""The tool that the session's market data comes from."""

CIRCUIT_HOLD = "circuit:"
STALE_HOLD = "stale:"
ABANDONED_HOLD = "abandoned:health"
"""What the supervisor holds when Health itself failed too often: see ``WhenExhausted.HOLD``."""

CIRCUITS_TIMER = "circuits"
FRESHNESS_TIMER = "freshness"
VITALS_TIMER = "vitals"

WHOLE_SESSION = frozenset({"clock", "disk"})
"""Tools besides feeds without which nothing may open anywhere."""

NO_FAILURE = frozenset(
    {
        ReasonCode.QUANTITY_NOT_POSITIVE,
        ReasonCode.QUANTITY_BELOW_MIN,
        ReasonCode.QUANTITY_ABOVE_MAX,
        ReasonCode.NOTIONAL_BELOW_MIN,
        ReasonCode.PRICE_NOT_POSITIVE,
        ReasonCode.PRICE_MISSING,
        ReasonCode.PRICE_COLLAR,
        ReasonCode.INSTRUMENT_UNKNOWN,
        ReasonCode.MAX_OPEN_ORDERS,
        ReasonCode.CASH_INSUFFICIENT,
        ReasonCode.MARGIN_INSUFFICIENT,
        ReasonCode.REDUCE_ONLY_WOULD_OPEN,
        ReasonCode.SPOT_CANNOT_SHORT,
        ReasonCode.POSITION_SIDE_MISMATCH,
        ReasonCode.POST_ONLY_WOULD_TAKE,
        ReasonCode.FOK_UNFILLABLE,
        ReasonCode.IOC_REMAINDER,
        ReasonCode.DAY_ENDED,
        ReasonCode.ORDER_EXPIRED,
        ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        ReasonCode.VENUE_REDUCE_ONLY,
        ReasonCode.DUPLICATE_CLIENT_ORDER_ID,
        ReasonCode.VENUE_RATE_LIMITED,
    }
)
"""
Rejections that say something about the order and nothing about the venue, or that the broker
reports by a ``ToolReport`` besides (a rate limit, with the time to wait).

They count neither as failures nor as good answers. Every other code, and a rejection without
one, is a failure of the venue: a storm of refusals that nobody can explain is a reason to stop.
"""

# Members of an enum are slow to look up in Python 3.11 (65 ns): every order passes here.
_REJECTED: Final = OrderEvent.REJECTED
_SILENCE: Final = OrderEvent.SILENCE
ANSWERS: Final = frozenset({OrderEvent.ACCEPTED, OrderEvent.FILLED, OrderEvent.FILLED_PARTLY})
"""What only a venue that works can say."""

OF_INTEREST: Final = ANSWERS | {_REJECTED, _SILENCE}
"""Steps of an order that say something about the venue."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    What Health can bring about; none of it happens in the middle of its own handlers.

    ``hold(hold_id, cause, mode, scope, until)`` and ``lift(hold_id, reason)`` ask the
    supervisor; ``holds()`` shows what is in force. ``probe(tool)`` asks a tool for a sign of
    life, to be answered by a ``ToolReport`` with ``probe`` set. ``reconnect()`` opens the feed
    anew; ``connected()`` says whether it claims to run.
    """

    hold: Callable[[str, str, HoldMode, Scope, int | None], object]
    lift: Callable[[str, str], object]
    holds: Callable[[], Mapping[str, Hold]]
    probe: Callable[[str], object]
    reconnect: Callable[[], object]
    connected: Callable[[], bool]


@dataclass(slots=True)
class HealthState:
    """What an incarnation does not take with it: circuits, staleness, what is wrong below."""

    circuits: Circuits
    freshness: Freshness
    wrong: dict[str, str] = field(default_factory=dict)
    """What is wrong with the machine, by hold id."""
    limits: dict[str, int] = field(default_factory=dict)
    """Until when a rate limit's hold was asked for, by tool."""


class HealthActor(Actor):
    """One incarnation of Health."""

    def __init__(
        self, state: HealthState, plan: HealthPlan, ports: Ports, clock: Clock, venue: str
    ) -> None:
        """Go on with ``state``; ``venue`` names the one that the session's orders go to."""
        self.state = state
        self.plan = plan
        self.ports = ports
        self.clock = clock
        self.venue = venue
        self._venue_tool = venue_tool(venue)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {
            ToolReport: self.on_tool_report,
            ExecutionReport: self.on_execution_report,
            Wake: self.on_wake,
        }

    def on_start(self) -> Effects:
        """Take over what is held in Health's name, look at everything, arm the timers."""
        now = self.clock.now
        for hold_id, hold in self.ports.holds().items():
            self._take_over(hold_id, hold, now)
        return (*self._look_at_vitals(now), *self._look_at_data(now), *self._advance(now))

    def _take_over(self, hold_id: str, hold: Hold, now: int) -> None:
        """Let a hold of an earlier session, or incarnation, have somebody who can lift it."""
        if hold_id.startswith(CIRCUIT_HOLD):
            self.state.circuits.reopen(hold_id.removeprefix(CIRCUIT_HOLD), now)
        elif hold_id.startswith(STALE_HOLD):
            symbol = hold_id.removeprefix(STALE_HOLD)
            if not self.state.freshness.reopen(symbol, now):
                self.ports.lift(hold_id, f"the session has no data of {symbol}")
        elif hold_id in VITALS:
            self.state.wrong.setdefault(hold_id, hold.cause)
        elif hold_id == ABANDONED_HOLD:
            self.ports.lift(hold_id, "health watches again")

    # -- tools

    def on_tool_report(self, report: ToolReport) -> Effects:
        """Count how a call of a tool went."""
        if report.retry_after_ms is not None:
            return self._limit(report)
        if report.ok:
            return self._good(report.tool, self.clock.now, probe=report.probe)
        return self._bad(report.tool, self.clock.now, report.detail, probe=report.probe)

    def on_execution_report(self, report: ExecutionReport) -> Effects:
        """Take what an order's step says about the venue."""
        event = report.event
        if event in ANSWERS:
            if self.state.circuits.troubled(self._venue_tool):
                return self._good(self._venue_tool, self.clock.now)
        elif event is _SILENCE:
            return self._bad(self._venue_tool, self.clock.now, _words("no answer", report))
        elif event is _REJECTED and not (report.cause and report.cause.code in NO_FAILURE):
            return self._bad(self._venue_tool, self.clock.now, _words("rejected", report))
        return None

    def _good(self, tool: str, at: int, *, probe: bool = False) -> Effects:
        circuits = self.state.circuits
        if not circuits.troubled(tool):
            return None
        change = circuits.record_tool_success(tool, at, probe=probe)
        if isinstance(change, CircuitClosed):
            self.ports.lift(CIRCUIT_HOLD + tool, f"successes={change.successes}")
            return (change, *self._rearmed())
        return self._rearmed()

    def _bad(self, tool: str, at: int, reason: str, *, probe: bool = False) -> Effects:
        change = self.state.circuits.record_tool_failure(tool, at, reason, probe=probe)
        if isinstance(change, CircuitOpened):
            self._hold_for(change)
            return (change, *self._rearmed())
        return None

    def _limit(self, report: ToolReport) -> Effects:
        tool = report.tool
        until = self.state.circuits.record_rate_limit(tool, self.clock.now, report.retry_after_ms)
        scope = self.scope_of(tool)
        if scope is not None and until > self.state.limits.get(tool, 0):
            self.state.limits[tool] = until
            cause = f"rate limit of {tool}: {report.detail or 'no detail'}"
            self.ports.hold(RATE_LIMIT_HOLDS + tool, cause, HoldMode.BLOCK, scope, until)
        return self._rearmed()

    def _hold_for(self, opened: CircuitOpened) -> None:
        scope = self.scope_of(opened.tool)
        if scope is None:
            return
        cause = (
            f"tool={opened.tool} failures={opened.failures} openings={opened.openings} "
            f"pause_ms={opened.until - opened.at} last={opened.reason or 'no detail'}"
        )
        # Without an end: the pause's end only brings a probe, and its answer lifts the hold.
        self.ports.hold(CIRCUIT_HOLD + opened.tool, cause, HoldMode.BLOCK, scope, None)

    def scope_of(self, tool: str) -> Scope | None:
        """
        Return what depends on ``tool``, ``None`` for one that no order depends on.

        A venue: its orders. A symbol's own feed: that symbol. Any other feed, the disk, the
        clock: everything. Whatever else is reported on (a notifier) has a circuit and no hold.
        """
        if tool.startswith(VENUE):
            return Scope(venue=tool.removeprefix(VENUE))
        kind, _, name = tool.partition(":")
        if kind == FEED:
            return Scope(symbol=name) if name in self.state.freshness.symbols else EVERYTHING
        return EVERYTHING if kind in WHOLE_SESSION else None

    def _rearmed(self) -> tuple[Effect, ...]:
        due = self.state.circuits.next_due()
        return () if due is None else (SetTimer(CIRCUITS_TIMER, due),)

    # -- time

    def on_wake(self, wake: Wake) -> Effects:
        """Look at what the timer was for."""
        if wake.key == FRESHNESS_TIMER:
            return self._look_at_data(wake.at)
        if wake.key == VITALS_TIMER:
            return self._look_at_vitals(wake.at)
        return self._advance(wake.at)

    def _advance(self, now: int) -> tuple[Effect, ...]:
        advance = self.state.circuits.advance(now)
        effects: list[Effect] = []
        for change in advance.changes:
            effects.append(change)
            if isinstance(change, CircuitOpened):
                self._hold_for(change)
        for tool in advance.probes:
            if tool != FEED:
                self.ports.probe(tool)
            elif self.state.freshness.silent:
                self.ports.reconnect()  # data is the answer
            else:
                effects.append(ToolReport(FEED, ok=True, at=now, probe=True))
        return (*effects, *self._rearmed())

    def _look_at_data(self, now: int) -> tuple[Effect, ...]:
        freshness = self.state.freshness
        silent = self.ports.connected()
        effects: list[Effect] = []
        for found in freshness.check(now):
            symbol = found.symbol
            cause = f"symbol={symbol} overdue_ms={found.overdue_ms} silent={str(silent).lower()}"
            self.ports.hold(STALE_HOLD + symbol, cause, HoldMode.REFUSE, Scope(symbol=symbol), None)
            effects.append(
                DataStale("health", now, symbol, freshness.timeframe_ms, found.overdue_ms, silent)
            )
        if freshness.silent and self.plan.reconnect:
            effects.extend(self._silence(now))
        return (*effects, SetTimer(FRESHNESS_TIMER, freshness.next_check(now)))

    def _silence(self, now: int) -> tuple[Effect, ...]:
        """Count the silence of a whole feed against it, and open it anew unless it rests."""
        circuits = self.state.circuits
        if circuits.circuit(FEED).state is not CircuitState.CLOSED:
            return ()  # its probes do that
        if not circuits.should_pause(FEED, now):
            self.ports.reconnect()
        overdue_ms = self.state.freshness.overdue_ms(now)
        detail = f"no bar of any symbol, overdue_ms={overdue_ms}"
        return (ToolReport(FEED, ok=False, at=now, detail=detail),)

    def _look_at_vitals(self, now: int) -> tuple[Effect, ...]:
        vitals = self.plan.vitals
        if vitals is None:
            return ()
        before = self.state.wrong
        found = judge(read(vitals), self.plan.vital_rules, before)
        self.state.wrong = found
        for hold_id, cause in found.items():
            if hold_id not in before:
                self.ports.hold(hold_id, cause, HoldMode.REFUSE, EVERYTHING, None)
        for hold_id in before:
            if hold_id not in found:
                self.ports.lift(hold_id, "measured again and well")
        return (SetTimer(VITALS_TIMER, now + self.plan.check_every_ms, counted=False),)


def _words(what: str, report: ExecutionReport) -> str:
    cause = f": {report.cause}" if report.cause is not None else ""
    return f"{what} order_id={report.order_id}{cause}"
