"""What happens to a session in a scenario, and when."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal import BTC, PERP, check_passes, lines, missed, opens, reduces, rehearse

from actors.turns import Session

KILL = {"verb": "kill", "reason": "drill"}


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ({"bar": 3}, "00:03:00.000"),
        ({"bar": 3, "when": "before"}, "00:02:59.999"),
        ({"at": "2m30s"}, "00:02:30.000"),
        ({"at": "00:02:30"}, "00:02:30.000"),
        ({"at": 0}, "00:00:00.000"),
    ],
)
def test_a_step_happens_at_its_time(step: dict[str, Any], when: str) -> None:
    """At a time, at a bar's close after its turn, or a millisecond before it."""
    result = rehearse(steps=[{**step, "command": KILL}], expect=[{"outcome": "killed"}])

    check_passes(result)
    assert [line.split()[0] for line in lines(result, "OperatorCommand")] == [when]


def test_a_step_at_a_close_comes_after_the_bars_decisions() -> None:
    """What the strategy decides at a bar's close has been sent when the step of that bar comes."""
    result = rehearse(
        [opens(3, "a")],
        [{"bar": 3, "command": KILL}],
        [{"order": {"tag": "a", "life": ["journaled", "sent", "accepted", "cancelled"]}}],
    )

    check_passes(result)


def test_a_step_at_the_commit_comes_between_the_record_and_the_sending() -> None:
    """The order is on disk and has not left: the last look must see the hold."""
    result = rehearse(
        [opens(3, "a")],
        [{"bar": 3, "when": "commit", "command": {"verb": "stop_new_orders"}}],
        [
            {"order": {"tag": "a", "life": ["journaled", "suppressed"]}},
            {"refusal": {"tag": "a", "causes": ["held"], "details": ["hold=stop-new-orders"]}},
        ],
    )

    check_passes(result)


def test_a_step_can_wait_for_a_message() -> None:
    """It happens as soon as the handler that journaled it is done, in the same moment."""
    accepted = {"message": "ExecutionReport", "where": {"event": "accepted"}, "tag": "b"}
    result = rehearse(
        [opens(2, "a"), opens(3, "b")],
        [{"on": accepted, "command": KILL}],
        [
            {"within": {"trigger": accepted, "event": {"message": "KillReport"}, "at_most": 0}},
            {"order": {"tag": "a", "status": "filled"}},
            {"order": {"tag": "b", "status": "cancelled"}},
        ],
    )

    check_passes(result)


def test_a_step_can_wait_for_the_nth_of_its_messages() -> None:
    """The earlier ones pass."""
    sent = {"message": "ExecutionReport", "where": {"event": "sent"}}
    result = rehearse(
        [opens(2, "a"), opens(4, "b"), opens(6, "c")],
        [{"on": sent, "nth": 2, "command": {"verb": "stop_new_orders"}}],
        [{"seen": {**sent, "times": 2}}, {"refusal": {"tag": "c", "causes": ["held"]}}],
    )

    check_passes(result)


def test_timers_of_a_moment_come_before_its_steps_and_looks_come_last() -> None:
    """A pause that ends at 4m is over for a step, and for an expectation, at 4m."""
    result = rehearse(
        [],
        [
            {"at": "2m", "command": {"verb": "pause", "until": "4m"}},
            {"at": "4m", "command": {"verb": "resume", "refused": True}},
        ],
        [{"holds": {"at": "3m59s", "are": ["pause"]}}, {"holds": {"at": "4m", "are": []}}],
    )

    check_passes(result)


@pytest.mark.parametrize(
    ("command", "holds"),
    [
        ({"verb": "kill"}, ["kill"]),
        ({"verb": "stop_new_orders"}, ["stop-new-orders"]),
        (
            {"verb": "stop_new_orders", "scope": {"symbol": BTC, "side": "short"}},
            [f"stop-new-orders:symbol={BTC} side=short"],
        ),
        ({"verb": "pause", "for": "1h"}, ["pause"]),
        ({"verb": "pause", "for": "1h", "scope": {"strategy": "one"}}, ["pause:strategy=one"]),
    ],
)
def test_every_command_can_be_given(command: dict[str, Any], holds: list[str]) -> None:
    """The desk takes it as from any operator, with all its arguments."""
    result = rehearse(
        steps=[{"at": "2m30s", "command": command}], expect=[{"holds": {"bar": 4, "are": holds}}]
    )

    check_passes(result)


def test_a_command_that_is_refused_unexpectedly_is_a_miss() -> None:
    """A drill that the desk did not take rehearses nothing."""
    result = rehearse(steps=[{"at": "2m", "command": {"verb": "pause"}}])

    assert missed(result) == [
        (
            "steps[0].command: carried out -> "
            "refused: a pause needs an end: for how many seconds, or until when"
        )
    ]


def test_a_command_that_should_be_refused_and_is_not_is_a_miss() -> None:
    """The other way round as well."""
    step = {"at": "2m", "command": {"verb": "stop_new_orders", "refused": True}}

    assert missed(rehearse(steps=[step]))[0].startswith("steps[0].command: refused -> carried out:")


def test_a_message_can_be_told_to_any_actor() -> None:
    """It lies in the actor's mailbox as if somebody had sent it; texts stand for numbers."""
    fields = {
        "intent_id": "stray-1",
        "strategy": "one",
        "symbol": BTC,
        "side": "buy",
        "quantity": "1",
        "created_at": "@2m30s",
        "valid_until": "@2m10s",
    }
    told = {"actor": "risk", "message": "OpenIntent", "fields": fields}
    result = rehearse(
        steps=[{"at": "2m30s", "tell": told}],
        expect=[{"seen": {"message": "RiskDecision", "where": {"intent_id": "stray-1"}}}],
    )

    assert lines(result, "RiskDecision", "stray-1 denied intent_expired")


@pytest.mark.parametrize(
    "actor", ["execution", "reconciler", "risk", "telemetry", "health", "strategy:one"]
)
def test_every_actor_can_crash_and_comes_back(actor: str) -> None:
    """Now, in no message; the session goes on."""
    result = rehearse(
        [opens(2, "a"), opens(6, "b")],
        [{"at": "3m30s", "crash": {"actor": actor, "error": "boom"}}],
        [
            {"seen": {"message": "ActorFailed", "where": {"actor": actor}, "times": 1}},
            {"order": {"tag": "b", "status": "filled"}},
            {"outcome": "completed"},
        ],
        health={},
    )

    check_passes(result)
    assert lines(result, "ActorFailed", "boom")


def test_a_feed_crashes_at_its_next_bar_and_goes_on_without_a_gap() -> None:
    """No bar is lost or comes twice."""
    result = rehearse(
        [{"every": 1, "do": "open", "side": "buy", "quantity": "1"}],
        [{"at": "3m30s", "crash": {"actor": "feed"}}],
        [
            {"seen": {"message": "ActorFailed", "where": {"actor": "feed"}, "times": 1}},
            {"seen": {"message": "OpenIntent", "times": 8}},
        ],
    )

    check_passes(result)


def test_a_crash_can_wait_for_a_message_and_strike_again() -> None:
    """Also the next incarnation: so does a strategy go into quarantine."""
    crash = {"actor": "strategy:one", "on": "Bar", "times": 4}
    result = rehearse(
        steps=[{"at": "1m30s", "crash": crash}],
        expect=[
            {"seen": {"message": "ActorFailed", "where": {"message_type": "Bar"}, "times": 4}},
            {"seen": {"message": "StrategyQuarantined"}},
        ],
    )

    check_passes(result)


def test_silence_holds_back_the_bars_of_a_symbol_alone() -> None:
    """The other symbol's bars come as ever."""
    market = {s: {"flat": {"price": 100, "bars": 8}} for s in (BTC, "ETH/USDT")}
    result = rehearse(
        [opens(4, "quiet"), opens(4, "loud", symbol="ETH/USDT"), opens(7, "again")],
        [{"at": "2m30s", "silence": {"symbols": [BTC], "for": "3m"}}],
        [
            {"order": {"tag": "loud", "status": "filled"}},
            {"order": {"tag": "again", "status": "filled"}},
            {"seen": {"message": "DataStale", "where": {"symbol": BTC}, "times": 1}},
            {"holds": {"at": "5m", "are": [f"stale:{BTC}"]}},
            {"holds": {"at": "6m", "are": []}},
        ],
        market=market,
        feed={"stale_after_s": 60},
    )

    assert missed(result) == []
    assert not lines(result, "[quiet]")


def test_quotes_ticks_and_funding_reach_venue_and_books() -> None:
    """A quote fills a resting order; funding is booked to the position."""
    result = rehearse(
        [opens(2, "a", policy={"order_type": "limit", "limit_price": "99"})],
        [
            {"at": "2m20s", "quote": {"symbol": PERP, "bid": 98, "ask": 98.5}},
            {"at": "2m40s", "tick": {"symbol": PERP, "price": 98}},
            {"at": "3m30s", "funding": {"symbol": PERP, "rate": 0.001}},
        ],
        [
            {"order": {"tag": "a", "status": "filled"}},
            {"position": {"symbol": PERP, "quantity": "1", "at": "2m20s"}},
            {"account": {"at": "3m30s", "funding": "0.1"}},
        ],
        market={PERP: {"flat": {"price": 100, "bars": 6}}},
    )

    check_passes(result)


def test_the_clock_can_jump_forwards_and_never_runs_backwards() -> None:
    """What was good for ten seconds is expired; a jump back changes nothing."""
    result = rehearse(
        [opens(2, "a"), opens(4, "b", valid_for="10s")],
        [
            {"at": "2m30s", "clock_jump": "-1h"},
            {"bar": 4, "when": "commit", "clock_jump": "1h"},
        ],
        [
            {"order": {"tag": "a", "status": "filled"}},
            {"refusal": {"tag": "b", "causes": ["intent_expired"]}},
        ],
    )

    check_passes(result)


def test_health_reads_the_vitals_that_the_scenario_shows() -> None:
    """Disk, clock and loop, until they are well again."""
    bad = {"disk_free_bytes": 1, "clock_offset_ms": 90_000, "stalls": 500}
    good = {"disk_free_bytes": 10**12, "clock_offset_ms": 0, "stalls": 0}
    result = rehearse(
        steps=[{"at": "2m", "vitals": bad}, {"at": "4m", "vitals": good}],
        expect=[
            {"holds": {"at": "3m", "are": ["disk", "clock", "loop"]}},
            {"holds": {"at": "5m", "are": []}},
        ],
        health={},
    )

    check_passes(result)


def test_a_full_disk_ends_the_session_and_nothing_leaves_after_it() -> None:
    """The journal's failure ends the process."""
    result = rehearse(
        [opens(2, "a"), opens(5, "b")],
        [{"at": "3m30s", "disk_full": {}}],
        [
            {"outcome": "journal_failed"},
            {"exit_code": 6},
            {"seen": {"message": "ExecutionReport", "where": {"event": "sent"}, "times": 1}},
        ],
    )

    check_passes(result)


def test_a_venue_fault_ends_when_its_time_or_its_count_is_over() -> None:
    """``for`` and ``count`` both bound it."""
    result = rehearse(
        [opens(n, f"o{n}") for n in (2, 3, 4, 5, 6)],
        [
            {"at": "1m30s", "venue": {"fault": "reject", "count": 1}},
            {"at": "3m30s", "venue": {"fault": "reject", "for": "90s", "detail": "shut"}},
        ],
        [
            {"order": {"tag": "o2", "status": "rejected"}},
            {"order": {"tag": "o3", "status": "filled"}},
            {"order": {"tag": "o4", "status": "rejected"}},
            {"order": {"tag": "o5", "status": "filled"}},
        ],
    )

    check_passes(result)


def test_reducing_orders_pass_where_openings_are_held() -> None:
    """The gate lets the land drain."""
    result = rehearse(
        [opens(2, "in"), opens(5, "more"), reduces(5, "out")],
        [{"at": "3m30s", "command": {"verb": "stop_new_orders"}}],
        [
            {"refusal": {"tag": "more", "causes": ["held"]}},
            {"order": {"tag": "out", "status": "filled"}},
            {"position": {"symbol": BTC, "quantity": "0"}},
        ],
    )

    check_passes(result)


def test_a_replay_ends_with_its_kill_and_paper_goes_on() -> None:
    """As `replay` and `trade` do."""
    step = {"at": "2m30s", "command": KILL}
    expect = [{"outcome": "killed"}, {"exit_code": 4}]

    spans = [
        rehearse(steps=[step], expect=expect, session={"mode": mode}).virtual_ms
        for mode in ("replay", "paper")
    ]

    assert spans == [150_000, 480_000]


def test_a_session_can_last_longer_than_its_market() -> None:
    """Timers and steps go on."""
    result = rehearse(
        steps=[{"at": "2m", "command": {"verb": "pause", "until": "9m"}}],
        expect=[{"holds": {"are": []}}],
        lasts="10m",
    )

    check_passes(result)
    assert result.virtual_ms == 600_000


def test_an_exception_outside_the_actors_is_a_miss_and_ends_nothing_else() -> None:
    """A bug of the house is shown with where it came from; other scenarios go on."""

    def break_it(session: Session) -> None:
        def turn(*_: object) -> None:
            raise LookupError("a bug")

        setattr(session, "turn", turn)  # noqa: B010 - of one instance

    result = rehearse([opens(2, "a")], expect=[{"outcome": "fault"}], alter=break_it)

    assert [miss.place for miss in result.misses] == ["fault"]
    assert result.misses[0].found.endswith("LookupError: a bug")
    assert result.outcomes == (("fault", 6),)
