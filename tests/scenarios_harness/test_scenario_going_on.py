"""A session that goes on in another process, at a venue that was never away."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rehearsal import BTC, check_passes, document, limit, lines, missed, opens, reduces, rehearse

from actors.turns import Session
from messages import ExecutionReport, OrderEvent, OrderStatus
from scenarios.errors import ScenarioError
from scenarios.reading import parse_scenario

CUT: dict[str, Any] = {"at": "4m30s", "power_cut": {}}
REST = limit("95")
FALLING = {BTC: {"closes": [[100, 4], [94, 2], [100, 4]]}}
ENDED = {"outcome": "interrupted"}
LIFE = ["journaled", "sent", "accepted", "filled"]
FILLED = {"message": "ExecutionReport", "where": {"event": "filled"}}


def test_positions_orders_and_money_go_on() -> None:
    """Nothing is there twice, nothing is gone; ids and figures go on where they were."""
    money = {"cash": "99909.69", "equity": "100019.69", "realized_pnl": "10", "fees": "0.31"}
    result = rehearse(
        [opens(1, "a", "2"), reduces(2, "half"), opens(3, "rest", **limit("104")), reduces(7, "b")],
        [CUT],
        [
            {"account": {"at": "4m", **money}},
            {"account": {"at": "4m45s", **money}},
            {"position": {"symbol": BTC, "quantity": "1", "at": "4m45s"}},
            {"position": {"symbol": BTC, "quantity": "2", "at": "5m"}},
            {"seen": {"message": "OpenIntent", "times": 2}},
            {"seen": {**FILLED, "times": 4}},
            {"artifact": {"file": "orders.csv", "count": 4}},
            {"artifact": {"file": "trades.csv", "count": 4}},
            {"position": {"symbol": BTC, "quantity": "1"}},
            {"holds": {"at": "4m45s", "are": []}},
        ],
        market={BTC: {"closes": [100, [110, 3], [100, 5]]}},
        session={"fee_bps": "10"},
    )

    check_passes(result)
    assert [line.split()[3] for line in lines(result, "Intent: ")] == [
        "s1-1-1",
        "s1-1-2",
        "s1-1-3",
        "s1-1-4",
    ]
    assert result.outcomes == (("power_cut", 137), ("completed", 0))


def test_both_dispatchers_go_on_alike() -> None:
    """What comes back is a function of what was durable."""
    story = {
        queued: rehearse(
            [opens(2, "a"), opens(3, "rest", **REST), reduces(7, "b")],
            [{"on": FILLED, "power_cut": {}}, {"at": "4m30s", "power_cut": {"down": "1m"}}],
            market=FALLING,
            queued=queued,
        ).story
        for queued in (False, True)
    }

    assert story[False] == story[True]


def test_the_venue_goes_on_while_nobody_is_there() -> None:
    """An order that rests fills while the daemon is down, and is booked when it is back: once."""
    result = rehearse(
        [opens(3, "rest", **REST)],
        [{"at": "4m30s", "power_cut": {"down": "2m"}}],
        [
            {"never": {**FILLED, "until": "6m29s"}},
            {"seen": {**FILLED, "from": "6m30s", "until": "6m30s", "session": 2, "times": 1}},
            {"order": {"tag": "rest", "life": ["journaled", "sent", "accepted", "filled"]}},
            {"seen": {"message": "HoldPlaced", "where": {"hold": {"hold_id": "recovering"}}}},
            {"never": {"message": "HoldPlaced", "where": {"hold": {"hold_id": "reconciliation"}}}},
            {"holds": {"at": "7m", "are": []}},
            {"position": {"symbol": BTC, "quantity": "1"}},
            {"account": {"cash": "99905"}},
        ],
        market=FALLING,
    )

    check_passes(result)


def test_a_fill_that_was_booked_and_not_durable_is_heard_again() -> None:
    """The process that booked it is gone, and its books; the venue tells of it once more."""
    result = rehearse(
        [opens(2, "a")],
        [{"on": FILLED, "power_cut": {}}],
        [
            {"seen": {**FILLED, "session": 2, "times": 1}},
            {"never": {**FILLED, "session": 1}},
            {"position": {"symbol": BTC, "quantity": "1"}},
            {"artifact": {"file": "trades.csv", "count": 1}},
        ],
    )

    check_passes(result)
    assert len(lines(result, "-- lost: execution", "filled")) == 1


def test_what_was_not_durable_is_gone_and_done_again() -> None:
    """An intent whose record the cut took was never made; its bar is read again, and makes it."""
    result = rehearse(
        [opens(3, "a")],
        [{"on": {"message": "OpenIntent"}, "power_cut": {}}],
        [
            {"never": {"message": "OpenIntent", "session": 1}},
            {"seen": {"message": "OpenIntent", "session": 2, "times": 1}},
            {"order": {"tag": "a", "status": "filled"}},
            {"order": {"ordinal": 1, "status": "filled"}},
            {"position": {"symbol": BTC, "quantity": "1"}},
        ],
    )

    check_passes(result)
    assert len(lines(result, "-- lost: strategy:one OpenIntent: s1-1-1")) == 1


def test_a_script_goes_back_with_its_session() -> None:
    """A line that may act once acts again if the cut took what it did."""
    once = {"on": "fill", "times": 1, "do": "reduce", "side": "sell", "quantity": "1", "tag": "x"}
    result = rehearse(
        [opens(2, "a"), once],
        [{"on": {"message": "ReduceIntent"}, "power_cut": {}}],
        [{"order": {"tag": "x", "status": "filled"}}, {"seen": {**FILLED, "times": 2}}],
    )

    check_passes(result)


def test_news_that_is_under_way_arrives_at_the_next_process() -> None:
    """What is late comes when it was to come, whoever is there to hear it."""
    result = rehearse(
        [opens(2, "a")],
        [{"at": "2m30s", "venue": {"fault": "delay_fills", "by": "3m", "count": 1}}, CUT],
        [
            {"seen": {**FILLED, "from": "6m", "until": "6m", "session": 2, "times": 1}},
            {"position": {"symbol": BTC, "quantity": "0", "at": "5m"}},
            {"position": {"symbol": BTC, "quantity": "1"}},
        ],
    )

    check_passes(result)


def test_an_order_that_left_unheard_is_in_doubt_and_asked_for() -> None:
    """Its acceptance died with the process: the venue says that it has it."""
    result = rehearse(
        [opens(3, "rest", **REST)],
        [{"on": {"message": "ExecutionReport", "where": {"event": "sent"}}, "power_cut": {}}],
        [
            {"seen": {"message": "ExecutionReport", "where": {"event": "silence"}, "session": 2}},
            {"order": {"tag": "rest", "status": "filled"}},
            {"never": {"message": "ExecutionReport", "where": {"event": "sent"}}},
            {"position": {"symbol": BTC, "quantity": "1"}},
        ],
        market=FALLING,
    )

    check_passes(result)


def test_a_full_disk_takes_what_it_could_not_hold() -> None:
    """What is on the disk is gone on with, as after a power cut."""
    result = rehearse(
        [opens(2, "a"), opens(4, "unwritten"), opens(7, "b")],
        [{"at": "3m30s", "disk_full": {}}, {"at": "5m30s", "start": {}}],
        [
            {"never": {"message": "OpenIntent", "where": {"tag": "unwritten"}}},
            {"order": {"tag": "b", "status": "filled"}},
            {"position": {"symbol": BTC, "quantity": "2"}},
            {"artifact": {"file": "trades.csv", "count": 2}},
        ],
        bars=10,
    )

    check_passes(result)
    assert result.outcomes == (("journal_failed", 6), ("completed", 0))


def test_a_venue_that_does_not_answer_refuses_the_start() -> None:
    """Nobody could say what it holds; the next start finds it there."""
    result = rehearse(
        [opens(2, "a"), reduces(8, "b")],
        [
            {"at": "4m", "venue": {"fault": "down", "for": "2m"}},
            CUT,
            {"at": "6m30s", "start": {}},
        ],
        [
            {"never": {"message": "SessionStarted", "session": 2}},
            {
                "seen": {
                    "message": "SessionStarted",
                    "session": 3,
                    "from": "6m30s",
                    "until": "6m30s",
                }
            },
            {"order": {"tag": "b", "status": "filled"}},
            {"position": {"symbol": BTC, "quantity": "0"}},
        ],
        bars=10,
    )

    check_passes(result)
    assert result.outcomes == (("power_cut", 137), ("start_refused", 5), ("completed", 0))


def test_a_refused_start_is_an_end_like_any_other() -> None:
    """It has an outcome, an exit code and its reason."""
    result = rehearse(
        [opens(2, "a")],
        [{"at": "4m", "venue": {"fault": "mute_account"}}, CUT],
        [{"outcome": "start_refused"}, {"exit_code": 0}],
    )

    assert missed(result) == [
        "expect[1].exit_code: exit code 0 -> 5 (start_refused): paper: the venue does not answer"
    ]


def test_an_account_that_the_books_cannot_explain_refuses_the_start() -> None:
    """A unit of money more than our books say is nobody's to ignore."""
    result = rehearse(
        [opens(2, "a")],
        [{"at": "4m", "venue": {"fault": "wrong_account"}}, CUT],
        [{"outcome": "start_refused"}, {"exit_code": 5}, {"never": {"message": "SessionEnded"}}],
    )

    check_passes(result)


def test_a_journal_that_contradicts_itself_refuses_the_start() -> None:
    """What does not follow from its own entries is no ground to go on from."""

    def contradicting(session: Session) -> None:
        start = session.start
        report = ExecutionReport(
            "nobodys", "tg-x", "one", BTC, OrderEvent.ACCEPTED, OrderStatus.ACCEPTED, 0, Decimal(0)
        )

        def started(*given: Any) -> None:
            start(*given)
            session.assembly.dispatcher.publish("test", report)

        session.start = started  # type: ignore[method-assign]

    result = rehearse(steps=[CUT], expect=[{"exit_code": 5}], alter=contradicting)

    assert result.outcomes == (("power_cut", 137), ("start_refused", 5))
    assert lines(result, "start refused: entry", "of nobodys, which has no record")


def test_nobody_goes_on_with_a_session_that_has_ended() -> None:
    """`trade --resume` would say that it has; a scenario that means another thing is missed."""
    fails = [{"at": f"3m{at}s", "crash": {"actor": "execution"}} for at in (10, 20, 30)]
    result = rehearse(steps=[*fails, {"at": "5m", "start": {}}], expect=[{"outcome": "halted"}])

    assert missed(result) == [
        "steps[3].start: a session to go on with -> it has ended: only a new one can start"
    ]


@pytest.mark.parametrize(
    "steps",
    [
        [{"at": "3m", "stop": {}}, {"at": "5m", "start": {}}],
        [{"at": "3m", "stop": {"restart": True, "down": "2m"}}],
    ],
)
def test_a_session_that_was_stopped_goes_on(steps: list[dict[str, Any]]) -> None:
    """By the step that stopped it, or by one that starts the daemon later: as after a cut."""
    told = {"message": "SessionEnded", "session": 1, "where": {"stopped": True}, "times": 1}
    again = {"message": "SessionStarted", "session": 2, "where": {"session_id": "scenario-s1"}}
    result = rehearse(
        [opens(2, "a"), opens(6, "b")],
        steps,
        [{"seen": told}, {"seen": again}, {"position": {"symbol": BTC, "quantity": "2"}}],
    )

    check_passes(result)


@pytest.mark.parametrize(
    ("step", "mode", "problem"),
    [
        ({"stop": {"new": True}}, "paper", r"steps\[0\].stop: new: goes with restart only"),
        (
            {"power_cut": {"new": True, "restart": False}},
            "paper",
            r"steps\[0\].power_cut: new: goes with restart only",
        ),
        ({"power_cut": {}}, "replay", r"steps\[0\].power_cut.new: missing, and needed"),
        ({"start": {}}, "replay", r"steps\[0\].start.new: missing, and needed"),
    ],
)
def test_a_restart_says_which_session_it_means(
    step: dict[str, Any], mode: str, problem: str
) -> None:
    """Where nobody can go on, the file must ask for a new session."""
    with pytest.raises(ScenarioError, match=problem):
        parse_scenario(document(steps=[{"at": "3m", **step}], session={"mode": mode}), "f")


def test_a_replay_that_was_cut_begins_anew() -> None:
    """There is nothing durable to go on from."""
    result = rehearse(
        [opens(2, "a"), opens(6, "b")],
        [{"at": "4m30s", "power_cut": {"new": True}}],
        [{"position": {"symbol": BTC, "quantity": "1"}}, {"order": {"tag": "b", "life": LIFE}}],
        session={"mode": "replay"},
    )

    check_passes(result)


def test_a_restart_after_the_last_bar_ends_the_session() -> None:
    """What was under way is still accounted for, though nothing is left to trade on."""
    result = rehearse(
        [opens(2, "a")],
        [{"at": "9m", "power_cut": {}}],
        [{"outcome": "completed"}, {"position": {"symbol": BTC, "quantity": "1"}}],
    )

    check_passes(result)
    assert result.outcomes == (("power_cut", 137), ("completed", 0))


OUTSIDE = {"symbol": BTC, "side": "buy", "quantity": "1"}


def test_an_order_of_somebody_else_is_the_venues_alone() -> None:
    """Nothing is told of it, its fill is in no book of ours: a comparison finds the position."""
    result = rehearse(
        [opens(2, "a")],
        [{"at": "3m30s", "outside": OUTSIDE}],
        [
            {"position": {"symbol": BTC, "quantity": "1"}},
            {"seen": {**FILLED, "times": 1}},
            {
                "seen": {
                    "message": "Reconciled",
                    "where": {"occasion": "close"},
                    "contains": {"differences": "position_drift BTC/USDT both: local 1, venue 2"},
                }
            },
            {"seen": {"message": "HoldPlaced", "where": {"hold": {"hold_id": "reconciliation"}}}},
        ],
    )

    check_passes(result)


@pytest.mark.parametrize(
    ("policies", "outcome"),
    [
        ({}, ("start_refused", 5)),
        ({"stray_order": "adopt"}, ("completed", 0)),
        ({"stray_order": "cancel"}, ("completed", 0)),
    ],
)
def test_a_policy_says_what_becomes_of_an_order_that_the_books_do_not_have(
    policies: dict[str, str], outcome: tuple[str, int]
) -> None:
    """Refused, taken for what it is, or cancelled: then the session goes on and agrees."""
    stray = {**OUTSIDE, "limit_price": "50", "client_order_id": "tg-s1-1-9"}
    agrees = {"message": "Reconciled", "session": 2, "where": {"occasion": "close"}}
    result = rehearse(
        [opens(2, "a")],
        [{"at": "4m20s", "outside": stray}, CUT],
        [{"outcome": outcome[0]}]
        + ([{"seen": {**agrees, "where": {"differences": []}}}] if outcome[1] == 0 else []),
        reconciliation={"policies": policies},
    )

    check_passes(result)
    assert outcome == result.outcomes[-1]


def test_an_order_of_somebody_else_needs_a_market() -> None:
    """One of a symbol that nobody trades is a slip of the pen."""
    with pytest.raises(ScenarioError, match=r"steps\[0\].outside: ETH/USDT has no market"):
        rehearse(steps=[{"at": "3m", "outside": {**OUTSIDE, "symbol": "ETH/USDT"}}])
