"""
Health's place in a session: its cell, its ports, and what a turn asks of it.

Kept out of the assembly so that a session without Health has nothing of it: no cell, no route,
no timer, and an empty mapping where a turn looks for stale symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from actors.board import Board
from actors.health.actor import (
    FEED,
    FRESHNESS_TIMER,
    STALE_HOLD,
    HealthActor,
    HealthState,
    Ports,
)
from actors.health.circuits import HEALTH, Circuits, CircuitState, venue_tool
from actors.health.freshness import Freshness
from actors.health.plan import HealthPlan
from actors.runtime import Cell, Clock, Dispatcher, SetTimer, Supervisor
from actors.runtime.supervision import RestartChild
from brokers.contract import Probed
from feeds.contract import BarFeed, Group
from messages import DataFresh, HoldMode, Lane, Scope, ToolReport

NOTHING_STALE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Watch:
    """
    A session's Health as the rest of the session sees it.

    ``stale`` is empty while all data is fresh, and always the same object; when it is not,
    ``fresh`` must be told of a group of bars before anybody decides by them. ``report`` takes
    news of a tool from anywhere, a running handler included.
    """

    cell: Cell
    state: HealthState
    stale: Mapping[str, int]
    fresh: Callable[[Group], None]
    report: Callable[[ToolReport], None]
    reconnects: bool


def watch(
    plan: HealthPlan,
    *,
    dispatcher: Dispatcher,
    supervisor: Supervisor,
    clock: Clock,
    board: Board,
    broker: Probed,
    feed: BarFeed,
    feed_cell: Cell,
    bounds: dict[Lane, int] | None,
) -> Watch:
    """Return the Health of a session, wired to it and not yet declared."""
    freshness = Freshness(
        feed.symbols, feed.timeframe_ms, plan.stale_after_ms, board.last, clock.now
    )
    venue = broker.name
    askable = {
        venue_tool(venue): plan.probe_timeout_ms,
        FEED: feed.timeframe_ms + plan.stale_after_ms,  # the answer is a bar
    }
    state = HealthState(Circuits(plan.circuits, askable), freshness)
    when_idle = dispatcher.when_idle

    def hold(hold_id: str, cause: str, mode: HoldMode, scope: Scope, until: int | None) -> None:
        when_idle(
            lambda: supervisor.hold_open(
                hold_id, cause, mode=mode, scope=scope, set_by=HEALTH, until=until
            )
        )

    def lift(hold_id: str, reason: str) -> None:
        when_idle(lambda: supervisor.lift(hold_id, HEALTH, reason))

    def ask(tool: str) -> None:
        try:
            broker.probe(clock.now)
        except Exception as error:  # noqa: BLE001 - a probe that cannot be asked has failed
            news = ToolReport(tool, ok=False, at=clock.now, detail=repr(error), probe=True)
            dispatcher.publish(tool, news)

    def probe(tool: str) -> None:
        assert tool == venue_tool(venue), f"nobody can ask {tool}"
        when_idle(lambda: ask(tool))

    def reconnect() -> None:
        # A planned restart: the feed is well as far as anybody knows, so it costs it nothing.
        when_idle(lambda: supervisor.apply(RestartChild(FEED, 0.0, healthy=True)))

    def report(news: ToolReport) -> None:
        when_idle(lambda: dispatcher.publish(news.tool, news))

    def fresh(group: Group) -> None:
        now = clock.now
        found = freshness.fresh(group, now)
        if not found:
            return
        for bar, stale_ms in found:
            symbol = bar.symbol
            again = DataFresh(HEALTH, now, symbol, freshness.timeframe_ms, stale_ms)
            dispatcher.publish(HEALTH, again, bar)
            supervisor.lift(STALE_HOLD + symbol, HEALTH, f"a bar came after {stale_ms} ms")
        # The timer that stands is that of the silence: it may look too late for the next one.
        next_check = SetTimer(FRESHNESS_TIMER, freshness.next_check(now, group))
        first = found[0][0]
        dispatcher.emit_now(cell, (next_check,), first)
        if state.circuits.troubled(FEED):
            asked = state.circuits.circuit(FEED).state is CircuitState.HALF_OPEN
            answer = ToolReport(FEED, ok=True, at=now, detail="a bar came", probe=asked)
            dispatcher.publish(HEALTH, answer, first)

    ports = Ports(
        hold,
        lift,
        dispatcher.holds.view,
        probe,
        reconnect,
        lambda: feed_cell.runs,
    )
    broker.watch(report)
    cell = Cell(HEALTH, lambda: HealthActor(state, plan, ports, clock, venue), bounds)
    return Watch(cell, state, freshness.stale, fresh, report, plan.reconnect)
