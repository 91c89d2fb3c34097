"""Power cuts, orderly ends, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal import BTC, check_passes, limit, lines, missed, opens, rehearse

from scenarios.errors import ScenarioError

CUT = {"at": "4m30s", "power_cut": {}}
ANEW = {"restart": True, "new": True}
FULL = ("journal_failed", 6)


def test_nothing_is_finished_in_a_power_cut() -> None:
    """No actor is stopped, the session has no end; the next one begins where the market was cut."""
    result = rehearse(
        [{"every": 1, "do": "open", "side": "buy", "quantity": "1"}],
        [CUT],
        [
            {"seen": {"message": "OpenIntent", "times": 8}},
            {"seen": {"message": "OpenIntent", "session": 1, "times": 4}},
            {"seen": {"message": "SessionEnded", "times": 1}},
            {"never": {"message": "ActorStopped", "until": "4m30s"}},
            {"seen": {"message": "SessionStarted", "from": "4m30s", "until": "4m30s"}},
        ],
    )

    check_passes(result)
    assert result.outcomes == (("power_cut", 137), ("completed", 0))


def test_a_power_cut_without_a_restart_is_the_end() -> None:
    """What is left of the market is never seen."""
    result = rehearse(
        steps=[{"at": "4m30s", "power_cut": {"restart": False}}], expect=[{"outcome": "power_cut"}]
    )

    check_passes(result)
    assert result.virtual_ms == 270_000


def test_bars_that_close_while_it_is_down_are_lost() -> None:
    """Nobody was there to see them."""
    result = rehearse(
        [{"every": 1, "do": "open", "side": "buy", "quantity": "1", "tag": "x"}],
        [{"at": "3m30s", "power_cut": {"down": "2m"}}],
        [
            {"never": {"message": "OpenIntent", "from": "3m30s", "until": "5m30s"}},
            {"seen": {"message": "OpenIntent", "session": 2, "times": 3}},
        ],
    )

    check_passes(result)
    assert [line.split()[0] for line in lines(result, "OpenIntent")[-3:]] == [
        "00:06:00.000",
        "00:07:00.000",
        "00:08:00.000",
    ]


@pytest.mark.parametrize("ending", [{"power_cut": {}}, {"power_cut": ANEW}, {"stop": ANEW}])
@pytest.mark.parametrize(
    ("command", "hold"),
    [
        ({"verb": "kill", "reason": "drill"}, "kill"),
        ({"verb": "stop_new_orders"}, "stop-new-orders"),
        ({"verb": "pause", "for": "1h"}, "pause"),
    ],
)
def test_holds_are_in_force_before_anything_starts_again(
    ending: dict[str, Any], command: dict[str, Any], hold: str
) -> None:
    """Durable before they are acknowledged: whatever the end was."""
    result = rehearse(
        [opens(6, "late")],
        [{"at": "3m", "command": command}, {"at": "4m30s", **ending}],
        [
            {
                "within": {
                    "trigger": {"message": "SessionStarted", "session": 2},
                    "event": {
                        "message": "HoldPlaced",
                        "where": {"hold": {"hold_id": hold}},
                        "session": 2,
                    },
                    "at_most": 0,
                }
            },
            {"never": {"message": "ExecutionReport", "where": {"event": "sent"}}},
            {"holds": {"at": "5m", "are": [hold]}},
        ],
    )

    check_passes(result)
    second = [line for line in result.timeline if "HoldPlaced" in line or "ActorStarted" in line]
    placed = [index for index, line in enumerate(second) if f"HoldPlaced: {hold} " in line]
    started = [
        index for index, line in enumerate(second) if "ActorStarted: actor=execution" in line
    ]
    assert placed[-1] < started[-1]


def test_a_pause_that_ended_while_it_was_down_is_lifted_at_once() -> None:
    """Its time has come."""
    result = rehearse(
        [opens(7, "a")],
        [
            {"at": "3m", "command": {"verb": "pause", "until": "4m"}},
            {"at": "3m30s", "power_cut": {"down": "2m"}},
        ],
        [{"holds": {"at": "6m", "are": []}}, {"order": {"tag": "a", "status": "filled"}}],
    )

    check_passes(result)


def test_a_torn_register_holds_everything_until_somebody_looks() -> None:
    """What was held before is not known: nothing opens, and a reason is asked for."""
    result = rehearse(
        [opens(6, "late"), opens(8, "after")],
        [
            {"at": "3m", "command": {"verb": "stop_new_orders"}},
            {"at": "4m30s", "power_cut": {**ANEW, "tears_register": True}},
            {"at": "7m", "command": {"verb": "resume", "unlatch": True, "reason": "looked"}},
        ],
        [
            {"refusal": {"tag": "late", "causes": ["held"], "details": ["hold=register"]}},
            {"holds": {"at": "7m", "are": []}},
            {"order": {"tag": "after", "status": "filled"}},
        ],
        bars=10,
    )

    check_passes(result)


def test_an_order_that_was_written_and_not_sent_stays_unsent() -> None:
    """A cut between the record and the sending: the venue is asked, and never hears of it."""
    result = rehearse(
        [opens(3, "a")],
        [{"bar": 3, "when": "commit", "power_cut": {}}],
        [
            {"order": {"tag": "a", "life": ["journaled", "silence", "proven_absent"]}},
            {"position": {"symbol": BTC, "quantity": "0"}},
        ],
    )

    check_passes(result)


def test_a_new_session_starts_flat() -> None:
    """Positions and resting orders are not carried over: a new account each time."""
    result = rehearse(
        [opens(2, "a"), opens(3, "rest", **limit("90"))],
        [{"at": "4m30s", "power_cut": ANEW}],
        [
            {"position": {"symbol": BTC, "quantity": "1", "at": "4m"}},
            {"position": {"symbol": BTC, "quantity": "0"}},
            {"account": {"cash": "100000"}},
        ],
    )

    check_passes(result)


def test_ids_never_repeat_across_sessions() -> None:
    """Each session's orders have its own tag."""
    result = rehearse(
        [{"every": 2, "do": "open", "side": "buy", "quantity": "1"}],
        [{"at": "4m30s", "power_cut": ANEW}, {"at": "6m30s", "stop": ANEW}],
        [{"seen": {"message": "OpenIntent", "times": 4}}],
    )

    ids = [line.split()[3] for line in lines(result, "OpenIntent")]

    check_passes(result)
    assert ids == ["s1-1-1", "s1-1-2", "s2-1-1", "s3-1-1"]


def test_files_can_be_asked_of_each_session() -> None:
    """Each session leaves its own."""
    result = rehearse(
        [opens(2, "a"), opens(6, "b"), opens(7, "c")],
        [{"at": "4m30s", "power_cut": ANEW}],
        [
            {"artifact": {"file": "orders.csv", "session": 1, "count": 1}},
            {"artifact": {"file": "orders.csv", "session": 2, "count": 2}},
            {"artifact": {"file": "orders.csv", "count": 2}},
        ],
    )

    check_passes(result)


HALT = [{"at": at, "crash": {"actor": "risk"}} for at in ("2m10s", "2m20s", "2m30s")]


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (HALT, ("halted", 6)),
        ([{"at": "2m30s", "disk_full": {}}, {"at": "2m40s", "command": {"verb": "kill"}}], FULL),
        ([{"at": "2m30s", "stop": {}}], ("interrupted", 130)),
    ],
)
def test_a_session_that_ended_can_be_started_again(
    ending: list[dict[str, Any]], outcome: tuple[str, int]
) -> None:
    """Whatever ended it; the bars of the time between are lost."""
    result = rehearse(
        [{"every": 1, "do": "open", "side": "buy", "quantity": "1", "tag": "x"}],
        [*ending, {"at": "5m30s", "start": {"new": True}}],
        [
            {"seen": {"message": "SessionStarted", "session": 2, "from": "5m30s"}},
            {"never": {"message": "OpenIntent", "from": "2m30s", "until": "5m59s"}},
            {"seen": {"message": "OpenIntent", "session": 2, "times": 3}},
        ],
    )

    check_passes(result)
    assert outcome == result.outcomes[0]


def test_a_session_that_runs_cannot_be_started() -> None:
    """A start that comes too early is a miss: the file says something else than what happens."""
    result = rehearse(steps=[{"at": "3m", "start": {}}])

    assert ["steps[0].start: the session has ended by then -> it is running"] == missed(result)
    assert len(result.outcomes) == 1


def test_what_is_wrong_with_the_venue_outlives_a_session() -> None:
    """Our restart mends nothing there."""
    result = rehearse(
        [opens(6, "lost"), opens(7, "good")],
        [{"at": "4m", "venue": {"fault": "lose_requests", "for": "2m30s"}}, CUT],
        [
            {"order": {"tag": "lost", "status": "rejected"}},
            {"order": {"tag": "good", "status": "filled"}},
        ],
    )

    check_passes(result)


def test_restarts_have_a_limit() -> None:
    """A scenario that restarts for ever is no rehearsal."""
    steps = [{"at": f"{n}s", "power_cut": {}} for n in range(1, 30)]

    with pytest.raises(ScenarioError, match="found more than 20 restarts"):
        rehearse(steps=steps)
