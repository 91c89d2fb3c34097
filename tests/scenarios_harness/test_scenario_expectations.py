"""What is expected, and what is said when it does not come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal import BTC, PERP, check_passes, document, missed, opens, reduces, rehearse

from scenarios.runner import run_scenario

BUYS = [opens(2, "a"), opens(5, "b")]
REJECT = {"at": "4m", "venue": {"fault": "reject", "detail": "shut"}}
KILL = {"at": "6m30s", "command": {"verb": "kill"}}
SENT = {"message": "ExecutionReport", "where": {"event": "sent"}}
PLACED = {"message": "HoldPlaced", "where": {"hold": {"hold_id": "kill", "latched": True}}}

MET: list[dict[str, Any]] = [
    {"seen": SENT},
    {"seen": {**SENT, "times": 2}},
    {"seen": {**SENT, "at_least": 2}},
    {"seen": {**SENT, "tag": "b", "times": 1, "from": "4m", "until": "5m"}},
    {"seen": {**PLACED, "contains": {"hold.cause": "operator"}}},
    {"seen": {"message": "HoldPlaced", "after": SENT}},
    {"never": {**SENT, "from": "5m1s"}},
    {"never": {**SENT, "after": PLACED}},
    {"never": {"message": "ActorFailed"}},
    {"order": {"tag": "a", "life": ["journaled", "sent", "accepted", "filled"], "filled": 1}},
    {"order": {"ordinal": 2, "status": "rejected", "filled": "0.00"}},
    {"order": {"tag": "a", "fee": "0.1"}},
    {"refusal": {"tag": "b", "causes": ["venue_rejected"], "details": ["shut"]}},
    {"position": {"symbol": BTC, "quantity": 1}},
    {"position": {"symbol": BTC, "quantity": "0", "at": "2m59s"}},
    {"position": {"symbol": BTC, "quantity": "1.0", "bar": 3, "strategy": "one"}},
    {"position": {"symbol": BTC, "quantity": "0", "strategy": "another"}},
    {"account": {"cash": "99899.9", "equity": "99999.9", "fees": "0.1", "realized_pnl": 0}},
    {"account": {"at": "1m", "cash": "100000", "unrealized_pnl": "0", "funding": "0"}},
    {"holds": {"at": "6m29s", "are": []}},
    {"holds": {"are": ["kill"], "include": ["kill"], "exclude": ["pause"]}},
    {
        "within": {
            "trigger": {"message": "OperatorCommand"},
            "event": {"message": "KillReport"},
            "at_most": "100ms",
        }
    },
    {"artifact": {"file": "orders.csv", "where": {"status": "rejected"}, "count": 1}},
    {"artifact": {"file": "trades.csv", "where": {"quantity": "1", "side": "buy"}}},
    {"artifact": {"file": "quarantine.csv", "count": 0}},
    {"artifact": {"file": "intents.csv", "where": {"tag": "b", "outcome": "rejected"}, "count": 1}},
    {"artifact": {"file": "round_trips.csv", "where": {"state": "open", "fees": "0.1"}}},
    {"report": {"contains": ["kill"], "lacks": ["quarantined strategy"]}},
    {"outcome": "killed"},
    {"exit_code": 4},
]


def of_the_session(*expect: dict[str, Any]) -> list[str]:
    """Return what is missing of ``expect`` in the session of this page."""
    return missed(rehearse(BUYS, [REJECT, KILL], expect, session={"fee_bps": "10"}))


def test_what_is_so_is_met() -> None:
    """Every kind of expectation, in one session."""
    assert of_the_session(*MET) == []


NOT_MET: dict[str, tuple[dict[str, Any], str]] = {
    "seen too seldom": (
        {"seen": {**SENT, "times": 3}},
        "seen: ExecutionReport(event=sent) 3 times -> 2 times",
    ),
    "never seen": (
        {"seen": {"message": "KillReport", "where": {"confirmed": False}}},
        "seen: KillReport(confirmed=False) at least 1 times -> never; the nearest is: ",
    ),
    "seen too late": (
        {"seen": {**PLACED, "until": "6m"}},
        "at least 1 times until 00:06:00.000 -> never; the nearest is: 00:06:30.000",
    ),
    "after what never came": (
        {"seen": {**SENT, "after": {"message": "ActorFailed"}}},
        "seen: ExecutionReport(event=sent) after ActorFailed -> no ActorFailed at all",
    ),
    "seen though never": (
        {"never": {**SENT, "tag": "b"}},
        "never: never ExecutionReport(event=sent, tag=b) -> 1 times, first: 00:05:00.000",
    ),
    "another life": (
        {"order": {"tag": "b", "life": ["journaled", "sent", "accepted", "filled"]}},
        "order: order [b] lives journaled, sent, accepted, filled -> journaled, sent, rejected",
    ),
    "another status": (
        {"order": {"ordinal": 1, "status": "cancelled"}},
        "order: order number 1 ends cancelled -> filled",
    ),
    "filled otherwise": (
        {"order": {"tag": "a", "filled": "2"}},
        "order: order [a] filled 2 -> 1",
    ),
    "another fee": ({"order": {"tag": "a", "fee": "0.2"}}, "costs a fee of 0.2 -> 0.1"),
    "no such order": (
        {"order": {"tag": "c", "status": "filled"}},
        "order: order [c] exists -> the intents are: a (s1-1-1), b (s1-1-2)",
    ),
    "another cause": (
        {"refusal": {"tag": "b", "causes": ["held"]}},
        "refusal: order [b] is refused: held -> venue_rejected(shut)",
    ),
    "not refused": (
        {"refusal": {"tag": "a", "causes": ["held"]}},
        "refusal: order [a] is refused: held -> not refused",
    ),
    "other figures": (
        {"refusal": {"tag": "b", "causes": ["venue_rejected"], "details": ["open"]}},
        "refusal: order [b]'s causes say open -> shut",
    ),
    "another position": (
        {"position": {"symbol": BTC, "quantity": "2", "bar": 4}},
        f"position: position {BTC} 2 at 00:04:00.000 -> 1",
    ),
    "other money": (
        {"account": {"cash": "99900"}},
        "account: cash 99900 at the end -> 99899.9",
    ),
    "other holds": (
        {"holds": {"are": ["pause"]}},
        "holds: holds at the end: pause -> kill",
    ),
    "too few holds": ({"holds": {"include": ["pause"]}}, "include pause -> kill"),
    "too many holds": ({"holds": {"exclude": ["kill"]}}, "without kill -> kill"),
    "too slow": (
        {"within": {"trigger": SENT, "event": {"message": "KillReport"}, "at_most": "1m"}},
        "within: KillReport within 60000 ms of ExecutionReport(event=sent) -> it took 270000 ms",
    ),
    "no trigger": (
        {"within": {"trigger": {"message": "ActorFailed"}, "event": SENT, "at_most": "1m"}},
        "-> no ActorFailed at all",
    ),
    "other rows": (
        {"artifact": {"file": "orders.csv", "where": {"status": "filled"}, "count": 2}},
        (
            "artifact: 2 rows of orders.csv of session 1 with status=filled -> 1 of 2; rows: "
            "status=filled; status=rejected"
        ),
    ),
    "no such column": (
        {"artifact": {"file": "trades.csv", "where": {"colour": "red"}}},
        "trades.csv of session 1 has a column colour -> its columns are trade_id, timestamp,",
    ),
    "no such session": (
        {"artifact": {"file": "trades.csv", "session": 2}},
        "trades.csv of session 2 -> there were 1 sessions",
    ),
    "another report": (
        {"report": {"contains": ["all is well"]}},
        "report: session.md contains 'all is well' -> it does not",
    ),
    "another outcome": ({"outcome": "completed"}, "outcome: outcome completed -> killed"),
    "another code": ({"exit_code": 0}, "exit_code: exit code 0 -> 4 (killed)"),
}


@pytest.mark.parametrize(("expected", "said"), NOT_MET.values(), ids=NOT_MET)
def test_what_is_not_so_is_missed_in_words(expected: dict[str, Any], said: str) -> None:
    """What was expected, and what came instead."""
    found = of_the_session(expected)

    assert len(found) == 1
    assert found[0].startswith("expect[0].")
    assert said in found[0]


def test_what_was_never_reached_is_a_miss() -> None:
    """A look at a time that the session did not live to see is no agreement."""
    result = rehearse(
        steps=[{"at": "2m", "stop": {}}],
        expect=[
            {"holds": {"at": "5m", "are": []}},
            {"position": {"symbol": BTC, "quantity": 0, "at": "5m"}},
        ],
    )

    assert missed(result) == [
        "expect[0].holds: holds then -> the session was over by then",
        f"expect[1].position: position {BTC} 0 then -> the session was over by then",
    ]


def test_numbers_are_compared_by_value_and_texts_as_texts() -> None:
    """1, 1.0 and 1.00 are one number; a text is no part of another."""
    fill = {"message": "ExecutionReport", "where": {"fill": {"quantity": "1.00", "price": 100}}}
    part = {"message": "RiskDecision", "where": {"symbol": "BTC"}}

    assert of_the_session({"seen": fill}, {"never": part}) == []


def test_lists_are_compared_item_by_item() -> None:
    """All causes, each by its part."""
    causes = [{"code": "max_order_notional"}, {"code": "max_position_notional"}]
    decision = {"message": "RiskDecision", "where": {"causes": causes}}
    shorter = {"message": "RiskDecision", "where": {"causes": causes[:1]}}
    result = rehearse(
        [opens(2, "a", "3")],
        expect=[{"seen": decision}, {"never": shorter}],
        risk={"max_order_notional": "100", "max_position_notional": "200"},
    )

    check_passes(result)


def test_a_miss_shows_the_timeline_around_it_and_how_to_run_it_again(tmp_path: Path) -> None:
    """The line to look at is marked; machine-made text stays out of it."""
    path = tmp_path / "x.scenario.json"
    expect = [{"order": {"tag": "a", "status": "cancelled"}}]
    path.write_text(json.dumps(document([opens(2, "a")], expect=expect)), "utf-8")

    report = run_scenario(path).report().splitlines()

    assert report[:4] == [
        "expect[0].order",
        "  expected: order [a] ends cancelled",
        "  found:    filled",
        "  around it:",
    ]
    marked = [line for line in report if line.startswith("  >")]
    assert marked == [
        "  > 00:03:00.000  execution    ExecutionReport: s1-1-1 filled -> filled 1 at 100.0"
    ]
    assert report[-1] == f"run it alone: tidegate scenario run {path}"


def test_positions_can_be_asked_by_book() -> None:
    """In hedge mode long and short stand apart; without a side they are added."""
    result = rehearse(
        [
            opens(2, "long", position_side="long"),
            {**opens(2, "short", "3"), "side": "sell", "position_side": "short"},
            reduces(4, "flat", position_side="long"),
        ],
        expect=[
            {"position": {"symbol": PERP, "quantity": "1", "position_side": "long", "bar": 3}},
            {"position": {"symbol": PERP, "quantity": "-3", "position_side": "short"}},
            {"position": {"symbol": PERP, "quantity": "-2", "bar": 3}},
            {"position": {"symbol": PERP, "quantity": "0", "position_side": "long"}},
        ],
        market={PERP: {"flat": {"price": 100, "bars": 8}}},
        session={"position_mode": "hedge"},
    )

    check_passes(result)
