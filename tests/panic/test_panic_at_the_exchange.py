"""An account is emptied by the real client over TLS, at an exchange in another process."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from panic_house import BTC, Venue

from actors.runtime.clock import monotonic_s, sleep_s
from brokers.ccxt import emergency as ccxt_emergency
from brokers.ccxt.columns import Weights
from brokers.ccxt.errors import TooMany
from brokers.ccxt.lanes import lanes_of
from brokers.contract import VenueUnreachable
from messages import PositionSide
from tidegate.emergency import Bounds, Emergency


def in_trouble(venue: Venue) -> None:
    """Have a long position, an order that rests, and a stop that waits for its price."""
    venue.order("buy", "0.3", clientOrderId="somebody-1")
    venue.order("buy", "0.01", "40000", clientOrderId="somebody-2")
    venue.order("sell", "0.3", stopLossPrice="45000", reduceOnly=True, clientOrderId="somebody-3")


async def test_all_orders_and_positions_are_gone_and_the_venue_says_so(venue: Venue) -> None:
    """Orders of anybody's, stops too, are cancelled; the position is closed by one order."""
    in_trouble(venue)

    outcome = await venue.panic()

    assert outcome.is_clean
    assert outcome.resting == []
    assert outcome.held == []
    assert not venue.truth.live
    assert not venue.truth.held
    assert [fill.quantity for fill in venue.closes] == [Decimal("0.3")]
    assert re.fullmatch(r"tg-panic-[0-9a-f]{10}-1", venue.closes[0].client_order_id)


async def test_without_flatten_positions_stay(venue: Venue) -> None:
    """Orders go, the position is shown, and no order is sent."""
    in_trouble(venue)

    outcome = await venue.panic(flatten=False)

    assert outcome.is_clean
    assert [str(held) for held in outcome.held or ()] == [f"{BTC} long 0.3"]
    assert not venue.truth.live
    assert not venue.received()


async def test_long_and_short_of_a_hedged_account_are_both_closed(
    venue: Venue, tmp_path: Path
) -> None:
    """Each book is closed by its own order, whatever the mode that is configured."""
    venue.open(tmp_path / "hedged", hedge=True)
    venue.order("buy", "0.2", hedged=True)
    venue.order("sell", "0.5", hedged=True)
    assert len(venue.truth.held) == 2

    outcome = await venue.panic()

    assert outcome.is_clean
    assert not venue.truth.held
    assert {(fill.position_side, fill.quantity) for fill in venue.closes} == {
        (PositionSide.LONG, Decimal("0.2")),
        (PositionSide.SHORT, Decimal("0.5")),
    }


@pytest.mark.parametrize("rule", ["market_amount_max", "amount_max"])
async def test_a_position_larger_than_the_largest_order_goes_in_parts(
    venue: Venue, rule: str
) -> None:
    """No order is larger than the venue takes, nor than what is left."""
    venue.order("buy", "0.7")
    rules_of = ccxt_emergency.rules_of
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            ccxt_emergency,
            "rules_of",
            lambda market, row: _with_most(rules_of(market, row), rule, Decimal("0.3")),
        )
        outcome = await venue.panic()

    assert outcome.is_clean
    assert [fill.quantity for fill in venue.closes] == [*[Decimal("0.3")] * 2, Decimal("0.1")]


def _with_most(rules: Any, rule: str, most: Decimal) -> Any:
    return replace(rules, **{"market_amount_max": None, rule: most})


@pytest.mark.parametrize("fault", ["lose_answers", "blank_answers"])
async def test_a_close_whose_answer_is_lost_is_looked_up_and_not_sent_again(
    venue: Venue, fault: str
) -> None:
    """The venue did it and did not say so: one order comes, and the position is never turned."""
    in_trouble(venue)
    venue.faults({"fault": fault, "on": ["submit"], "count": 1})

    outcome = await venue.panic()

    assert outcome.is_clean
    assert len(venue.received()) == 1
    assert not venue.flips()
    assert any("lost" in text for text in outcome.troubles)


async def test_a_close_that_never_arrived_is_sent_again_under_another_name(venue: Venue) -> None:
    """Once it cannot arrive any more and was not known twice, another order is sent."""
    venue.order("sell", "0.3")
    venue.faults({"fault": "lose_requests", "on": ["submit"], "count": 1})

    outcome = await venue.panic(doubt_ms=600)

    assert outcome.is_clean
    assert [name[-2:] for name in venue.received()] == ["-2"]
    assert not venue.flips()


async def test_a_time_out_does_not_make_it_send_twice(venue: Venue) -> None:
    """The answer comes after it was given up: by then the order was found by its name."""
    in_trouble(venue)
    venue.faults({"fault": "delay_answers", "on": ["submit"], "count": 1, "by": "2s"})

    outcome = await venue.panic()

    assert outcome.is_clean
    assert len(venue.received()) == 1
    assert not venue.flips()


LATE = {"fault": "delay_requests", "on": ["submit"], "count": 1, "by": "2s"}


async def test_a_close_that_is_still_on_its_way_is_waited_for(venue: Venue) -> None:
    """It is not known yet, and that is no proof while it may arrive: no other is sent."""
    venue.order("buy", "0.3")
    venue.faults(LATE)

    outcome = await venue.panic(recv_window_ms=5_000)

    assert outcome.is_clean
    assert [name[-2:] for name in venue.received()] == ["-1"]


async def test_without_the_look_up_another_would_be_sent_beside_it(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes silence for an end sends a second order while the first is on its way."""
    venue.order("buy", "0.3")
    venue.faults(LATE)

    async def over(*_args: object) -> bool:
        return True

    monkeypatch.setattr(Emergency, "_is_over", over)

    outcome = await venue.panic(recv_window_ms=5_000)

    assert len(outcome.sent) > 1


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "fail_before", "count": 4},
        {"fault": "fail_before", "on": ["cancel_all"]},
        {"fault": "rate_limit", "count": 1, "by": "1s"},
        {"fault": "down", "count": 5},
    ],
    ids=lambda fault: "-".join(map(str, [fault["fault"], *fault.get("on", ())])),
)
async def test_whatever_fails_for_a_while_is_asked_again(
    venue: Venue, fault: dict[str, Any]
) -> None:
    """Errors, drops, limits; and where all at once never works, one by one does."""
    in_trouble(venue)
    venue.faults(fault)

    outcome = await venue.panic()

    assert outcome.is_clean
    assert outcome.troubles
    assert not venue.truth.live
    assert not venue.truth.held
    assert not venue.flips()


async def test_a_venue_that_does_not_say_it_is_empty_is_not_taken_for_empty(venue: Venue) -> None:
    """When the time is over without its answer nothing is claimed, and no old answer stands in."""
    in_trouble(venue)
    venue.faults({"fault": "fail_before", "on": ["orders"]})
    bounds = Bounds(whole_s=0.5, rest_first_s=0.05, rest_max_s=0.1)

    outcome = await venue.panic(bounds=bounds)

    assert not outcome.is_clean
    assert outcome.resting is None
    assert any("http=503" in text for text in outcome.troubles)


BEHIND = {"fault": "hide_fills", "on": ["positions"], "by": "600ms"}
PATIENT = Bounds(whole_s=30.0, rest_first_s=0.05, rest_max_s=0.2, settle_s=0.1, calm_s=0.8)
"""The venue's list is behind by less than the time between two answers that have to agree."""


async def test_a_venue_that_shows_a_closed_position_has_none_turned_round(venue: Venue) -> None:
    """Its list of positions is behind: what is sent for it can only reduce, so it is refused."""
    venue.order("buy", "0.3")
    venue.faults(BEHIND)

    outcome = await venue.panic(bounds=PATIENT)

    assert outcome.is_clean
    assert len(venue.received()) > 1
    assert not venue.truth.held
    assert not venue.flips()


async def test_without_reduce_only_the_position_would_be_turned_round(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the safeguard the same list makes a short position of a long one."""
    venue.order("buy", "0.3")
    venue.faults(BEHIND)
    monkeypatch.setattr(ccxt_emergency, "only_reducing", lambda _position: {})

    # It would go to and fro for as long as it is let.
    await venue.panic(bounds=replace(PATIENT, whole_s=2.5))

    assert venue.flips()


async def test_with_symbols_only_theirs_is_touched(venue: Venue) -> None:
    """A symbol that the venue does not list is an error before anything is done."""
    in_trouble(venue)

    with pytest.raises(VenueUnreachable, match="does not list DOGE"):
        await venue.panic(symbols=("DOGE/USDT:USDT",))
    assert len(venue.truth.live) == 2
    outcome = await venue.panic(symbols=(BTC,))

    assert outcome.is_clean
    assert not venue.truth.live


async def test_a_venue_that_wants_the_daemon_to_leave_it_alone_does_not_delay_a_panic(
    venue: Venue,
) -> None:
    """A panic has a connection and an allowance of its own: what the daemon heard is not its."""
    lanes = lanes_of("binanceusdm", "main", Weights(2_400, 60.0), monotonic_s, sleep_s)
    lanes.left_alone(3_600.0, TooMany.BANNED)
    in_trouble(venue)

    outcome = await venue.panic()

    assert outcome.is_clean
    assert not venue.truth.live
    assert lanes.alone_s > 0


async def test_what_a_panic_waits_for_is_said_before_it_waits(venue: Venue) -> None:
    """The list of orders was refused for two seconds; nobody looks at a silent screen for them."""
    in_trouble(venue)
    venue.faults({"fault": "rate_limit", "on": ["orders"], "count": 1, "by": "2s"})
    said: list[float] = []
    told = venue.said.append

    class Said(list[str]):
        def append(self, text: str) -> None:
            said.append(monotonic_s())
            told(text)

    venue.said = Said()
    outcome = await venue.panic()
    waited_s = monotonic_s() - said[0]

    assert outcome.is_clean
    assert any("retry_after_ms=2000" in each for each in outcome.troubles)
    assert waited_s > 1.0
