"""The campaign would notice: with one safeguard off, a run is reported as what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from campaign import quiet, tried
from campaign_feed import Heard, Released
from campaign_safeguards import SAFEGUARDS
from checks_of_market import Market, whole
from plans import SECONDS, Command, Feed, Plan, Settlement, planned
from workload import SECOND_MS, START, bars

from feeds.timeline import Gap
from messages import CommandVerb
from scenarios.exchange.faults import WireFaultKind

pytestmark = pytest.mark.exhaustive

KILL: Final = Command(7.5, CommandVerb.KILL, {})

CASES: Final[dict[str, tuple[str, Mapping[str, Any], tuple[Command, ...]]]] = {
    "no-resend": ("sent_twice:", {"fault": "lose_answers", "on": ["submit"]}, ()),
    "dedupe": ("books: trade", {"fault": "duplicate_news"}, ()),
    "asking": ("books:", {"fault": "abort_stream"}, ()),
    "reservations": ("exposure:", {"fault": "lose_answers", "on": ["submit"]}, ()),
    "deadline": ("doubts:", {"fault": "lose_requests", "on": ["submit", "order"]}, ()),
    "lanes": ("cancels:", {"fault": "hang", "on": ["order", "trades", "account"]}, (KILL,)),
    "last-look": (
        "kills: kill: order",
        {"fault": "rate_limit", "on": ["submit"], "by": "2s"},
        (KILL,),
    ),
    "closed-bars": ("market: bar", {"fault": "stale_bars", "chance": 0.1}, ()),
    "bars-once": ("market: by the strategy", {"fault": "stale_bars", "chance": 0.1}, ()),
    "bars-right": ("market: bar Bar", {"fault": "revised_bars", "chance": 0.1}, ()),
    "staleness": ("silence: no bar", {"fault": "lose_requests", "on": ["bars"]}, ()),
    "next-silence": (
        "silence: no bar",
        {"fault": "lose_requests", "on": ["bars"], "chance": 0.9},
        (),
    ),
    "payments": ("books: funding of", {"fault": "delay_answers", "by": "50ms"}, ()),
    "ledger": ("books: funding: venue", {"fault": "delay_answers", "by": "50ms"}, ()),
    "striking": ("strikes: frozen_bars", {"fault": "frozen_bars"}, ()),
}
"""By the safeguard: what must be said, the fault, and what the operator does meanwhile."""

NUMBERS: Final = {"asking": 6, "lanes": 9, "last-look": 4, "next-silence": 4}
"""Whose market and strategy it is, where not every one of them needs the safeguard."""

LISTENS: Final = frozenset(
    {
        "closed-bars",
        "bars-once",
        "bars-right",
        "staleness",
        "next-silence",
        "striking",
    }
)
"""What is there for sessions that ask the exchange for their bars."""


def plan_of(safeguard: str) -> Plan:
    """Return a run in which the safeguard is needed: its one fault all the time."""
    _, fault, commands = CASES[safeguard]
    listens = safeguard in LISTENS
    feed = Feed.POLLED if listens else Feed.MEMORY
    if safeguard == "closed-bars":
        feed = Feed.STREAMED
    return replace(
        planned(1, NUMBERS.get(safeguard, 2)),
        hedge=False,
        tls=False,
        volume=(0.002, 0.004) if safeguard == "reservations" else (1000.0, 1000.0),
        faults=(fault,),
        struck_from_s=0.5,
        struck_until_s=12.0,
        commands=commands,
        dies_at_s=None,
        health=listens,
        feed=feed,
        dialled_anew_at_s=None,
        funding=(Settlement(9, 0.001),) if safeguard in {"payments", "ledger"} else (),
        alone=safeguard == "striking",
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@pytest.mark.parametrize("safeguard", sorted(SAFEGUARDS))
def test_without_a_safeguard_the_campaign_finds_something(safeguard: str) -> None:
    """It names what was sent twice, lost, too much, too late or in spite of a kill."""
    word, _, _ = CASES[safeguard]
    outcome = tried(plan_of(safeguard), safeguard=safeguard)

    assert [each for each in outcome.found if each.startswith(word)], outcome


@pytest.mark.parametrize("safeguard", sorted(SAFEGUARDS))
def test_with_all_safeguards_the_same_run_holds(safeguard: str) -> None:
    """It is the safeguard that was missing, not the fault that was too much."""
    outcome = tried(plan_of(safeguard))

    assert [] == outcome.found, str(outcome)


@pytest.mark.parametrize(
    ("is_counted", "answers", "is_found"),
    [(True, 2, False), (False, 2, True), (True, 1, True)],
)
def test_a_bar_is_lacking_unless_two_answers_left_it_out_and_it_was_counted(
    *, is_counted: bool, answers: int, is_found: bool
) -> None:
    """A gap that nobody has counted is found, and so is one that was believed too soon."""
    every = bars("a gap", SECONDS, (1.0, 2.0))
    gone = every.pop(7).timestamp
    market = object.__new__(Market)
    market.heard = Heard([START], [Released(START + 1_000, 1, every[0])])
    market.struck = Counter({WireFaultKind.MISSING_BARS: answers})
    market.known, market.seen = [], every
    if is_counted:
        market.heard.gaps = [Gap(gone - SECOND_MS, gone + SECOND_MS, 1)]

    assert is_found is any(str(gone) in each for each in whole(market, START))
