"""What `[venue.ccxt]` gives is laid over what we tell ccxt, and takes nothing else away."""

from __future__ import annotations

from typing import Any

import pytest

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import CcxtClient
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import open_venue
from state.overlay import overlaid

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
VENUE = "binanceusdm"
STREAMING: dict[str, Any] = {"streaming": {"maxPingPongMisses": 3}}


async def test_an_option_keeps_the_others_of_its_table() -> None:
    """One key of a table of ours: with the rest gone ccxt would ask for positions, and fail."""
    given = {"watchPositions": {"awaitPositionsSnapshot": False}}
    client = CcxtClient(CcxtAddress(VENUE, options=given), capabilities_of(VENUE), CLOCK)
    found = client.exchange.options["watchPositions"]
    await client.close()

    assert {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False} == found


async def test_a_dead_line_is_noticed_whatever_else_is_given_of_streams() -> None:
    """ccxt's own pause between two signs of life is minutes: of the account, and of its market."""
    client = CcxtClient(CcxtAddress(VENUE, params=STREAMING), capabilities_of(VENUE), CLOCK)
    async with open_venue(Reach(VENUE, STREAMING)) as market:
        found = [each.streaming for each in (client.exchange, market.exchange)]
    await client.close()

    assert [(10_000, 3)] * 2 == [(each["keepAlive"], each["maxPingPongMisses"]) for each in found]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, {"a": {"b": 1, "c": {"d": 2}}, "e": 3}),
        ({"a": {"c": {"d": 4}}}, {"a": {"b": 1, "c": {"d": 4}}, "e": 3}),
        ({"a": 5, "e": {"f": 6}}, {"a": 5, "e": {"f": 6}}),
        ({"g": {"h": 7}}, {"a": {"b": 1, "c": {"d": 2}}, "e": 3, "g": {"h": 7}}),
    ],
)
def test_a_table_is_laid_over_a_table(given: dict[str, Any], made: dict[str, Any]) -> None:
    """Key by key, however deep; anything else takes the place of what was there."""
    own = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}

    assert made == overlaid(own, given)
    assert {"a": {"b": 1, "c": {"d": 2}}, "e": 3} == own
