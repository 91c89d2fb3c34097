"""A venue, and a line to it, that misbehave as they are told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rehearsal import BTC, check_passes, limit, lines, missed, opens, rehearse

from messages import Fill, Liquidity, OrderEvent, PositionSide, Side, VenueReport
from scenarios.faults import pieces_of
from state.money import use_exact_context


def fault(name: str, **more: Any) -> dict[str, Any]:
    """Return the step that puts a fault in force before anything is ordered."""
    return {"at": "1m", "venue": {"fault": name, **more}}


@pytest.mark.parametrize(
    ("step", "life"),
    [
        (fault("lose_answers"), ["journaled", "sent", "silence", "accepted", "filled"]),
        (fault("lose_requests"), ["journaled", "sent", "silence", "proven_absent"]),
        (fault("down"), ["journaled", "sent", "silence"]),
        (fault("reject"), ["journaled", "sent", "rejected"]),
        (fault("rate_limit", by="1m"), ["journaled", "sent", "rejected"]),
        (fault("delay_acceptance", by="9s"), ["journaled", "sent", "accepted", "filled"]),
        (
            fault("delay_acceptance", by="90s"),
            ["journaled", "sent", "silence", "accepted", "filled", "accepted"],
        ),
        (fault("delay_fills", by="30s"), ["journaled", "sent", "accepted", "filled"]),
        (
            fault("split_fills", parts=3),
            ["journaled", "sent", "accepted", "filled_partly", "filled_partly", "filled"],
        ),
        (fault("duplicate_fills"), ["journaled", "sent", "accepted", "filled"]),
    ],
    ids=lambda value: value["venue"]["fault"] if isinstance(value, dict) else "",
)
def test_every_fault_shows_in_the_orders_life(step: dict[str, Any], life: list[str]) -> None:
    """The order moves as its venue's word comes, or does not come."""
    result = rehearse([opens(2, "a")], [step], [{"order": {"tag": "a", "life": life}}])

    check_passes(result)


def test_late_news_comes_as_late_as_it_is_told() -> None:
    """A fill that is 30 s late moves the position 30 s late."""
    result = rehearse(
        [opens(2, "a")],
        [fault("delay_fills", by="30s")],
        [
            {"position": {"symbol": BTC, "quantity": "0", "at": "3m29s"}},
            {"position": {"symbol": BTC, "quantity": "1", "at": "3m30s"}},
        ],
    )

    check_passes(result)


def test_a_fill_that_comes_twice_is_booked_once() -> None:
    """The second copy is a dead letter."""
    result = rehearse(
        [opens(2, "a")],
        [fault("duplicate_fills")],
        [
            {"position": {"symbol": BTC, "quantity": "1"}},
            {"seen": {"message": "DeadLetter", "where": {"reason": "duplicate_trade"}, "times": 1}},
        ],
    )

    check_passes(result)


def test_pieces_of_a_fill_can_come_in_reverse() -> None:
    """The order is full when every piece is there, whichever comes last."""
    result = rehearse(
        [opens(2, "a", "0.5")],
        [fault("split_fills", parts=3), fault("reorder_fills")],
        [{"order": {"tag": "a", "status": "filled", "filled": "0.5"}}],
    )

    check_passes(result)
    assert [line.split()[-3] for line in lines(result, "ExecutionReport", " at ")] == [
        "0.168",
        "0.166",
        "0.166",
    ]


def test_what_came_in_pieces_is_told_in_the_same_pieces_when_it_is_asked_for() -> None:
    """A cancel asks for the fills that there are, and none of them is booked once more."""
    result = rehearse(
        [opens(2, "a", "3", **limit("101")), {"bar": 4, "do": "cancel", "tag": "a"}],
        [fault("split_fills", parts=2, count=1)],
        [
            {"order": {"tag": "a", "status": "cancelled", "filled": "2"}},
            {"position": {"symbol": BTC, "quantity": "2"}},
        ],
        session={"participation": "0.1"},
        market={BTC: {"closes": [[100, 8]], "volume": 10}},
    )

    check_passes(result)


def test_two_fills_can_change_places() -> None:
    """The earlier one comes right after the later one."""
    result = rehearse(
        [opens(2, "a"), opens(3, "b")],
        [fault("reorder_fills")],
        [{"order": {"tag": name, "status": "filled"}} for name in "ab"],
    )

    check_passes(result)
    assert [line.split()[3] for line in lines(result, "ExecutionReport", "filled")] == [
        "s1-1-2",
        "s1-1-1",
    ]


def test_a_cancel_can_be_ignored_and_tried_again() -> None:
    """The order rests until a cancel is heard."""
    cancels = [{"bar": bar, "do": "cancel", "tag": "a"} for bar in (3, 5)]
    result = rehearse(
        [opens(2, "a", **limit("90")), *cancels],
        [fault("ignore_cancels", count=1), fault("mute_orders")],
        [
            {
                "never": {
                    "message": "ExecutionReport",
                    "where": {"event": "cancelled"},
                    "until": "4m59s",
                }
            },
            {"order": {"tag": "a", "status": "cancelled"}},
        ],
    )

    check_passes(result)


def test_a_fault_can_be_that_of_one_symbol() -> None:
    """The other symbol's orders fare well."""
    result = rehearse(
        [opens(2, "a"), opens(2, "b", symbol="ETH/USDT")],
        [fault("reject", symbol="ETH/USDT")],
        [
            {"order": {"tag": "a", "status": "filled"}},
            {"order": {"tag": "b", "status": "rejected"}},
        ],
        market={s: {"flat": {"price": 100, "bars": 5}} for s in (BTC, "ETH/USDT")},
    )

    check_passes(result)


def test_a_rejection_has_the_venues_own_words() -> None:
    """Code and detail as they are given."""
    step = fault("reject", code="venue_insufficient_funds", detail="margin call")
    result = rehearse(
        [opens(2, "a")],
        [step],
        [{"refusal": {"tag": "a", "causes": ["venue_insufficient_funds"], "details": ["margin"]}}],
    )

    check_passes(result)


def test_a_rate_limit_pauses_until_it_may_ask_again() -> None:
    """Health honours the Retry-After, and what waits goes on then."""
    result = rehearse(
        [opens(2, "a"), opens(3, "b", valid_for="5m")],
        [fault("rate_limit", by="90s", count=1)],
        [
            {"holds": {"at": "3m", "are": ["rate-limit:venue:paper"]}},
            {"holds": {"at": "3m30s", "are": []}},
            {"order": {"tag": "b", "status": "filled"}},
        ],
        health={},
    )

    check_passes(result)


def test_a_venue_that_is_down_answers_no_probe() -> None:
    """The circuit stays open until it is back."""
    result = rehearse(
        [opens(2, "a"), opens(6, "b", valid_for="5m")],
        [fault("down", **{"for": "3m"})],
        [
            {"seen": {"message": "CircuitOpened", "times": 2}},
            {"seen": {"message": "CircuitClosed", "times": 1, "from": "4m"}},
            {"order": {"tag": "b", "status": "filled"}},
        ],
        health={"failure_streak": 1, "pause_s": 60},
    )

    check_passes(result)


def test_a_venue_that_does_not_say_what_it_holds_stops_no_kill() -> None:
    """The hold is in force at once; the kill is unconfirmed, then confirmed when it answers."""
    kill = {"at": "2m30s", "command": {"verb": "kill"}}
    result = rehearse(
        [opens(2, "a", **limit("90")), opens(4, "b")],
        [fault("mute_account", **{"for": "4m"}), kill],
        [
            {"holds": {"at": "2m30s", "are": ["kill"]}},
            {"refusal": {"tag": "b", "causes": ["held"]}},
            {"seen": {"message": "KillReport", "where": {"confirmed": False}, "until": "5m"}},
            {"seen": {"message": "KillReport", "where": {"confirmed": True}, "from": "5m"}},
        ],
    )

    check_passes(result)


@pytest.mark.parametrize("name", ["mute_account", "wrong_account"])
def test_an_account_that_cannot_be_compared_holds_openings(name: str) -> None:
    """No answer and a wrong one both are differences, by name."""
    looks = {
        "actor": "reconciler",
        "message": "Wake",
        "fields": {"actor": "reconciler", "key": "midnight", "generation": 1, "at": "@2m"},
    }
    result = rehearse(
        [opens(4, "a")],
        [fault(name, count=1), {"at": "2m", "tell": looks}],
        [
            {"holds": {"at": "3m", "are": ["reconciliation"]}},
            {"refusal": {"tag": "a", "causes": ["held"]}},
            {"holds": {"are": ["reconciliation"]}},
        ],
    )

    check_passes(result)


def test_what_never_came_is_in_doubt_and_no_difference() -> None:
    """Nobody knows whether the order arrived: that is a doubt's to hold, not a comparison's."""
    result = rehearse([opens(2, "a")], [fault("lose_requests"), fault("mute_orders")])

    assert missed(result) == []
    assert not lines(result, "Reconciled", "stale_order")
    assert lines(result, "HoldPlaced", "in-doubt:s1-1-1")


@settings(max_examples=60)
@given(
    quantity=st.decimals("0.00000001", "100000", places=8),
    fee=st.decimals("0", "1000", places=6),
    parts=st.integers(2, 20),
)
def test_the_pieces_of_a_fill_add_up_to_it(quantity: Decimal, fee: Decimal, parts: int) -> None:
    """Exactly: quantities and fees, and each piece has something in it."""
    use_exact_context()
    fill = Fill(
        "T-1",
        "o-1",
        "tg-o-1",
        "one",
        BTC,
        Side.BUY,
        PositionSide.BOTH,
        quantity,
        Decimal(100),
        fee,
        "USDT",
        Liquidity.TAKER,
        0,
    )

    pieces = pieces_of(VenueReport("tg-o-1", OrderEvent.FILLED, 0, fill), parts)
    fills = [piece.fill for piece in pieces if piece.fill is not None]

    assert sum(piece.quantity for piece in fills) == quantity
    assert sum(piece.fee for piece in fills) == fee
    assert min(piece.quantity for piece in fills) > 0
    assert len({piece.trade_id for piece in fills}) == parts
