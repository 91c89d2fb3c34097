"""Holds where they meet: latched and ending, thousands of orders, sessions of other times."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from safety_world import FAR_BELOW, ONE, daemon
from session_world import BTC, MINUTE, START, Script, flat

from actors import inspection
from actors.pulse import Pulse
from actors.refusals import Refusals
from actors.runtime import HoldSet, limits
from messages import (
    Cause,
    ExecutionReport,
    Hold,
    HoldMode,
    OrderEvent,
    OrderStatus,
    ReasonCode,
    RiskDecision,
    Scope,
    Side,
    Verdict,
)

KILL = Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", START, latched=True)


@pytest.mark.parametrize(
    "weaker",
    [
        Hold("kill", "x", HoldMode.DRAIN, "x", START, latched=False),
        Hold("kill", "x", HoldMode.REFUSE, "x", START, latched=True),
        Hold("kill", "x", HoldMode.DRAIN, "x", START, Scope(symbol=BTC), latched=True),
        Hold("kill", "x", HoldMode.DRAIN, "x", START, until=START + 1, latched=True),
    ],
    ids=["not latched", "milder", "narrower", "with an end"],
)
def test_a_latched_hold_gives_way_to_no_weaker_one(weaker: Hold) -> None:
    """Whatever is placed under its name, it stays as it is."""
    holds = HoldSet("paper", [KILL])

    assert not holds.place(weaker)
    assert {"kill": KILL} == dict(holds.view())


def test_a_latched_hold_does_not_end_by_itself() -> None:
    """It may say until when it was meant: somebody has to lift it all the same."""
    world = daemon(flat(BTC, 8), Script().spec()).begin()
    world.assembly.supervisor.hold_open(
        "risk:x", "meant for a minute", until=START + MINUTE, latched=True
    )
    world.play()

    assert ["risk:x"] == list(world.holds)


def test_a_hold_of_an_earlier_session_ends_at_its_time() -> None:
    """Re-applied, it is the same hold with the same end, also where that is past."""
    future = Hold("pause", "x", HoldMode.BLOCK, "x", START - 9, until=START + 3 * MINUTE)
    past = Hold("pause:symbol=BTC/USDT", "x", HoldMode.BLOCK, "x", 5, Scope(symbol=BTC), until=9)
    world = daemon(flat(BTC, 8), Script().spec()).begin([future, past])
    assert [future, past] == list(world.holds.values())

    world.play(1)
    assert [future] == list(world.holds.values())

    world.play()
    assert {} == world.holds


def test_a_hold_from_the_future_has_no_negative_age() -> None:
    """Sessions over recorded data start in the past of the one before."""
    later = Hold("kill", "x", HoldMode.DRAIN, "x", START + 86_400_000, latched=True)
    world = daemon(flat(BTC, 4), Script().spec()).begin([later]).play()

    assert 0 == inspection.holds(world.session)["holds"][0]["age_s"]


def test_ten_thousand_resting_orders_are_cancelled_in_one_go() -> None:
    """Each once, none left, confirmed; none of the answers looks at all the others."""
    script = Script()
    script.on_bar = lambda strategy, _bar: [
        strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW) for _ in range(1_000)
    ]
    world = daemon(flat(BTC, 14), script.spec(), cash=10**9).begin().play(10)
    assert 10_000 == len(world.live_ids())

    world.kill()
    world.play()

    assert [] == world.live_ids()
    assert 10_000 == len(world.venue.cancels)
    assert world.newest_report().confirmed


def test_the_set_can_be_read_from_any_thread_while_it_changes() -> None:
    """Readiness probes and metrics look at it without asking the session."""
    holds = HoldSet("paper")
    over = threading.Event()
    trouble: list[BaseException] = []

    def reads() -> None:
        try:
            while not over.is_set():
                for hold in holds.view().values():
                    assert hold.hold_id
        except BaseException as error:  # noqa: BLE001 - looked at below
            trouble.append(error)

    readers = [threading.Thread(target=reads) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20_000):
        holds.place(Hold(f"h{number % 50}", "x", HoldMode.REFUSE, "x", number))
        holds.lift(f"h{(number * 7) % 50}")
    over.set()
    for reader in readers:
        reader.join()

    assert [] == trouble


# -- the heartbeat


def test_a_pulse_is_late_from_the_moment_at_which_work_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alive is not enough: what is due and not done is what counts."""
    now = [100.0]
    monkeypatch.setattr("actors.pulse.monotonic_s", lambda: now[0])
    pulse = Pulse()
    pulse.beat(START)
    pulse.rest(5.0)
    now[0] += 4.0
    resting = (pulse.late_s, pulse.stalled, pulse.idle_s)
    now[0] += 3.0
    late = (pulse.late_s, pulse.stalled, pulse.idle_s)
    pulse.beat(START + 1)

    assert (0.0, False, 4.0) == resting
    assert (2.0, True, 7.0) == late
    assert (0.0, 2) == (pulse.late_s, pulse.beats)
    assert {
        "beats": 2,
        "uptime_s": 7.0,
        "last_work_s": 0.0,
        "late_s": 0.0,
        "stalled": False,
        "session_ms": START + 1,
    } == pulse.document()


# -- what did not become a trade


def decision(*codes: ReasonCode, at: int = START, strategy: str = "one") -> RiskDecision:
    causes = tuple(Cause(code, f"figure={number}") for number, code in enumerate(codes))
    return RiskDecision("i", strategy, BTC, Verdict.DENIED, at, causes=causes)


def test_refusals_of_a_kind_are_counted_and_the_newest_figures_kept() -> None:
    """A thousand alike are one line with how often, the last one's time and causes."""
    refusals = Refusals()
    for number in range(1_000):
        refusals.record_decision(decision(ReasonCode.HELD, at=START + number))
    refusals.record_decision(decision(ReasonCode.HELD, strategy="two"))
    newest, older = map(str, refusals.of(BTC))

    assert "of two" in newest
    assert "of one, 1000 times" in older
    assert {"held": 1_001} == dict(refusals.counts)
    assert [] == refusals.of("ETH/USDT")


def test_refusals_kept_of_a_symbol_are_bounded() -> None:
    """The newest kinds; all are counted."""
    refusals = Refusals()
    for number in range(50):
        kind = ReasonCode.HELD if number % 2 else ReasonCode.INTENT_EXPIRED
        refusals.record_decision(decision(kind))

    assert limits.REFUSALS_KEPT == len(refusals.of(BTC))
    assert {"held": 25, "intent_expired": 25} == dict(refusals.counts)


def test_every_cause_of_a_refusal_is_told() -> None:
    """Orders that were suppressed are refusals too."""
    refusals = Refusals()
    refusals.record_decision(decision(ReasonCode.HELD, ReasonCode.INTENT_EXPIRED))
    report: Any = ExecutionReport(
        "o",
        "c",
        "one",
        BTC,
        OrderEvent.SUPPRESSED,
        OrderStatus.SUPPRESSED,
        START,
        ONE,
        Cause(ReasonCode.KILL_CANCEL),
    )
    refusals.record_report(report)
    newest, older = map(str, refusals.of(BTC))

    assert newest.startswith("order suppressed of one")
    assert "kill_cancel" in newest
    assert "held" in older
    assert "intent_expired" in older
