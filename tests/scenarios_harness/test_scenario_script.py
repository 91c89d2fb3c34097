"""The built-in strategy that does what its script says."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal import BTC, check_passes, limit, lines, opens, reduces, rehearse

from scenarios.model.script import Nonsense


def times_of(result: Any, *words: str) -> list[str]:
    """Return the minutes at which the timeline has a line with all the words."""
    return [line.split()[0].split(":")[1] for line in lines(result, *words)]


@pytest.mark.parametrize(
    ("when", "minutes"),
    [
        ({"bar": 3}, ["03"]),
        ({"at": "3m"}, ["03"]),
        ({"at": "2m1ms"}, ["03"]),
        ({"every": 3}, ["03", "06"]),
        ({"every": 2, "times": 2}, ["02", "04"]),
        ({"on": "start"}, ["00"]),
    ],
)
def test_a_line_is_due_when_it_says(when: dict[str, Any], minutes: list[str]) -> None:
    """By bar, by time, again and again, or at the start."""
    line = {**when, "do": "open", "side": "buy", "quantity": "1", **limit("50")}

    assert times_of(rehearse([line]), "OpenIntent") == minutes


def test_an_order_has_everything_that_its_line_says() -> None:
    """Policy, deadline, tag, plan: the intent is the line."""
    line = opens(
        2,
        "entry",
        "0.5",
        valid_for="90s",
        planned_stop="90",
        planned_target="120",
        policy={
            "order_type": "stop_limit",
            "time_in_force": "day",
            "limit_price": "101",
            "stop_price": "100.5",
            "expire_in": "1h",
        },
    )
    seen = {
        "message": "OpenIntent",
        "where": {
            "tag": "entry",
            "quantity": "0.5",
            "valid_until": "@3m30s",
            "planned_stop": 90,
            "planned_target": 120,
            "decision_price": 100,
            "policy": {
                "order_type": "stop_limit",
                "time_in_force": "day",
                "limit_price": 101,
                "stop_price": "100.50",
                "expire_at": "@1h2m",
            },
        },
    }

    check_passes(rehearse([line], expect=[{"seen": seen}]))


def test_a_cancel_is_of_one_order_or_of_all() -> None:
    """By its tag, or without one."""
    script = [
        *(opens(2, tag, **limit("90")) for tag in "abc"),
        {"bar": 3, "do": "cancel", "tag": "b"},
        {"bar": 5, "do": "cancel"},
    ]
    result = rehearse(
        script, expect=[{"order": {"tag": tag, "status": "cancelled"}} for tag in "abc"]
    )

    check_passes(result)
    assert times_of(result, "ExecutionReport", "cancelled") == ["03", "05", "05"]


def test_a_refusal_can_be_answered_by_the_same_order_again() -> None:
    """So many times, each a new intent; the house is not impressed."""
    script = [opens(2, "a", "9"), {"on": "refusal", "of": "a", "do": "resubmit", "times": 3}]
    result = rehearse(
        script,
        expect=[
            {"refusal": {"tag": tag, "causes": ["max_order_notional"]}}
            for tag in ("a", "a+1", "a+2", "a+3")
        ],
        risk={"max_order_notional": "100"},
    )

    check_passes(result)
    assert len(lines(result, "OpenIntent")) == 4


def test_the_very_same_intent_can_come_again() -> None:
    """It is refused as a duplicate, and the first one fares as ever."""
    script = [opens(2, "a"), {"bar": 3, "do": "repeat", "tag": "a"}]
    duplicate = {"message": "RiskDecision", "where": {"causes": [{"code": "duplicate_intent"}]}}

    check_passes(rehearse(script, expect=[{"seen": {**duplicate, "times": 1}}]))


def test_fills_and_updates_can_bring_orders_about() -> None:
    """Only those of the order and the event that are meant."""
    out = {"do": "reduce", "side": "sell", "quantity": "1"}
    script = [
        opens(2, "a"),
        opens(2, "b"),
        {"on": "fill", "of": "a", "tag": "after", **out},
        {"on": "update", "of": "b", "event": "accepted", "tag": "early", **out},
    ]
    result = rehearse(
        script,
        expect=[
            {"order": {"tag": "after", "status": "filled"}},
            {"refusal": {"tag": "early", "causes": ["reduce_only_would_open"]}},
        ],
    )

    check_passes(result)
    assert times_of(result, "ReduceIntent", "[after]") == ["03"]
    assert times_of(result, "ReduceIntent", "[early]") == ["02"]


def test_a_script_goes_on_after_a_failure() -> None:
    """What it raised at one bar it does not raise again; later lines come."""
    script = [{"bar": 2, "do": "raise", "error": "boom"}, opens(5, "a")]
    result = rehearse(
        script,
        expect=[
            {"seen": {"message": "ActorFailed", "contains": {"error": "boom"}, "times": 1}},
            {"order": {"tag": "a", "status": "filled"}},
        ],
    )

    check_passes(result)


@pytest.mark.parametrize("what", Nonsense, ids=str)
def test_nonsense_is_the_strategys_failure_alone(what: Nonsense) -> None:
    """It is restarted, nothing of it reaches anybody, and it goes on."""
    result = rehearse(
        [{"bar": 3, "do": "nonsense", "what": what.value}, opens(6, "a")],
        expect=[
            {"seen": {"message": "ActorFailed", "where": {"actor": "strategy:one"}, "times": 1}},
            {"seen": {"message": "OpenIntent", "times": 1}},
            {"order": {"tag": "a", "status": "filled"}},
        ],
    )

    check_passes(result)


def test_orders_can_be_of_any_symbol_and_side() -> None:
    """A short in hedge mode, beside a long."""
    perp = "BTC/USDT:USDT"
    script = [
        {**opens(2, "short", position_side="short"), "side": "sell"},
        {**reduces(4, "cover", position_side="short"), "side": "buy"},
    ]
    result = rehearse(
        script,
        expect=[
            {"position": {"symbol": perp, "quantity": "-1", "bar": 3}},
            {"position": {"symbol": perp, "quantity": "0"}},
        ],
        market={perp: {"closes": [[100, 8]]}},
        session={"position_mode": "hedge"},
    )

    check_passes(result)


def test_a_message_can_be_told_many_times() -> None:
    """Each with its number: a flood of strangers' intents, every one answered."""
    fields = {
        "intent_id": "stray-{n}",
        "strategy": "one",
        "symbol": BTC,
        "side": "buy",
        "quantity": "1",
        "created_at": "@2m",
    }
    told = {"actor": "risk", "message": "OpenIntent", "fields": fields, "times": 3000}
    pause = {"at": "1m", "command": {"verb": "pause", "for": "2m"}}
    result = rehearse(
        steps=[pause, {"at": "2m", "tell": told}],
        expect=[
            {"seen": {"message": "RiskDecision", "times": 3000}},
            {
                "seen": {
                    "message": "RiskDecision",
                    "where": {"causes": [{"code": "mailbox_full"}]},
                    "times": 1976,
                }
            },
        ],
    )

    check_passes(result)
