"""A dark day: stale data, a pause, a circuit, a breached limit, a kill; in few words."""

from __future__ import annotations

from decimal import Decimal

from session_makers import MINUTE, T0, Tape

from messages import (
    ActorStarted,
    BreachAction,
    Cause,
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    CommandRefused,
    CommandVerb,
    DataFresh,
    DataStale,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    KillReport,
    KillStage,
    KillStep,
    Message,
    OperatorCommand,
    ReasonCode,
    RiskBreached,
    Scope,
    SessionEnded,
    SessionStarted,
    Side,
    ToolReport,
)
from state.projections import Summary, SummaryProjection, project

SECOND = 1_000
ALICE = "cli:alice"
STALE_ETH = Hold(
    "stale:ETH/USDT",
    "symbol=ETH/USDT overdue_ms=91000 silent=true",
    HoldMode.REFUSE,
    "health",
    T0 + 50 * MINUTE,
    Scope(symbol="ETH/USDT"),
)


def summary_of_messages(*messages: Message) -> Summary:
    """Return the summary of a journal of these messages."""
    tape = Tape()
    tape.add(*messages)
    projection = SummaryProjection()
    project(tape.entries(), projection)
    return projection.summary()


def started(mode: str = "paper", at: int = T0) -> tuple[Message, Message]:
    """Return a session's start, up to its first actor's."""
    return (SessionStarted("session", at, "s-1", mode, 42), ActorStarted("execution", at, 1))


def hold(hold_id: str, at: int = T0, **terms: object) -> Hold:
    """Return a hold that refuses, unless ``terms`` say otherwise."""
    known: dict[str, object] = {"cause": f"why {hold_id}", "mode": HoldMode.REFUSE, "set_by": "x"}
    return Hold(hold_id=hold_id, since=at, **{**known, **terms})  # type: ignore[arg-type]


def kill_hold(at: int = T0, hold_id: str = "kill", **terms: object) -> Hold:
    """Return the hold of a kill."""
    known: dict[str, object] = {"set_by": ALICE, "mode": HoldMode.DRAIN, "latched": True}
    return hold(hold_id, at, **{**known, **terms})


def step(
    stage: KillStage, elapsed_ms: int = 0, *, kill_id: str = "s-1-K1", at: int = T0
) -> Message:
    """Return one stage of a kill."""
    detail = "by x: y" if stage is KillStage.LATCHED else ""
    return KillStep("kill", at, kill_id, stage, elapsed_ms, 0, detail)


def evidence(at: int = T0, *, confirmed: bool = True, **facts: object) -> KillReport:
    """Return the evidence of a kill."""
    known: dict[str, object] = {"kill_id": "s-1-K1", "cause": "drill", "by": ALICE}
    return KillReport(
        actor="kill",
        at=at,
        confirmed=confirmed,
        **{"flatten": False, **known, **facts},  # type: ignore[arg-type]
    )


def lifted(placed: Hold, at: int, by: str = "health", reason: str = "well again") -> HoldLifted:
    """Return the end of a hold."""
    return HoldLifted(placed, by, reason, at)


def dark_day(*, mode: str = "paper", ended: bool = True) -> Tape:
    """Return the journal of a session that ended in a kill, with everything else before it."""
    tape = Tape(cash="100000")
    tape.add(*started(mode))
    tape.mark("start")
    tape.now = T0 + 10 * MINUTE
    tape.market(Side.BUY, "2", "100")
    _paused_twice(tape, T0 + 20 * MINUTE)
    _circuit(tape, T0 + 30 * MINUTE)
    tape.now = T0 + 50 * MINUTE
    tape.add(HoldPlaced(STALE_ETH), DataStale("health", tape.now, "ETH/USDT", MINUTE, 91_000))
    _killed(tape, T0 + 60 * MINUTE)
    tape.now = T0 + 61 * MINUTE
    tape.mark("close")
    if ended:
        tape.add(SessionEnded("session", tape.now, "s-1", "killed", 4))
    return tape


def _paused_twice(tape: Tape, at: int) -> None:
    first = hold("pause", at, mode=HoldMode.BLOCK, set_by=ALICE, until=at + 5 * MINUTE)
    second = hold(
        "pause", at + 6 * MINUTE, mode=HoldMode.BLOCK, set_by="http", until=at + 9 * MINUTE
    )
    no_end = OperatorCommand("operator", at, "C1", CommandVerb.PAUSE, ALICE, "no end given")
    tape.add(
        no_end,
        CommandRefused("operator", at, "C1", CommandVerb.PAUSE, ALICE, "a pause needs an end"),
        OperatorCommand("operator", at, "C2", CommandVerb.PAUSE, ALICE, "news", until=first.until),
        HoldPlaced(first),
        lifted(first, at + 5 * MINUTE, "clock", "its time has come"),
        HoldPlaced(second),
        lifted(second, at + 9 * MINUTE, "clock", "its time has come"),
    )


def _circuit(tape: Tape, at: int) -> None:
    tool = "venue:paper"
    scope = Scope(venue="paper")
    held = hold("circuit:venue:paper", at, mode=HoldMode.BLOCK, set_by="health", scope=scope)
    tape.add(
        *(ToolReport(tool, ok=False, at=at, detail="timeout") for _ in range(5)),
        CircuitOpened("health", at, tool, "timeout", 5, 1, at + 30 * SECOND),
        HoldPlaced(held),
        CircuitHalfOpen("health", at + 30 * SECOND, tool),
        ToolReport(tool, ok=False, at=at + 31 * SECOND, detail="timeout", probe=True),
        CircuitOpened("health", at + 31 * SECOND, tool, "the probe failed", 6, 2, at + 91 * SECOND),
        CircuitHalfOpen("health", at + 91 * SECOND, tool),
        ToolReport(tool, ok=True, at=at + 92 * SECOND, probe=True),
        CircuitClosed("health", at + 92 * SECOND, tool, 2),
        lifted(held, at + 92 * SECOND, "health", "successes=2"),
        ToolReport("feed", ok=False, at=at, detail="429", retry_after_ms=2_000),
        DataStale("health", at, "BTC/USDT", MINUTE, 91_000, silent=False),
        DataFresh("health", at + 2 * MINUTE, "BTC/USDT", MINUTE, 2 * MINUTE),
    )


def _killed(tape: Tape, at: int) -> None:
    tape.now = at
    cause = Cause(ReasonCode.MAX_DRAWDOWN, "drawdown_pct=10.2 limit_pct=10")
    breach = RiskBreached("risk", at, "max_drawdown_pct", BreachAction.HALT, cause, Decimal(89_800))
    guard = kill_hold(at, "risk:max_drawdown_pct", cause=str(cause), set_by="risk")
    operator = kill_hold(at, cause="drill", set_by=ALICE)
    command = OperatorCommand("operator", at, "C3", CommandVerb.KILL, ALICE, "drill", flatten=True)
    tape.add(breach, HoldPlaced(guard))
    for stage, elapsed_ms in ((KillStage.LATCHED, 0), (KillStage.DRAINED, 1)):
        tape.add(step(stage, elapsed_ms, at=at))
    tape.add(command, HoldPlaced(operator), step(KillStage.FLATTENING, 3, at=at))
    tape.add(
        step(KillStage.CONFIRMED, 12, at=at + MINUTE),
        evidence(at + MINUTE, cause=str(cause), by="risk", flatten=True),
    )


def dark_summary() -> Summary:
    projection = SummaryProjection()
    project(dark_day().entries(), projection)
    return projection.summary()
