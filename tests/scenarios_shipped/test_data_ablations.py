"""Every scenario of data, clocks and the journal fails where nobody minds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ablations import (
    Ablation,
    assert_needed,
    closes_held,
    each_incarnation,
    file_of,
    not_ablated,
    part,
    unaltered,
    without_hold,
    without_last_look,
    without_reapplied_holds,
)

from actors.health.wiring import Watch
from actors.runtime.clock import SimulatedClock
from actors.turns import Session
from feeds.contract import Group
from feeds.report import FeedReport
from messages import Hold, Scope
from scenarios.director import Alter
from scenarios.model import Scenario
from scenarios.reading import read_scenario
from scenarios.runner import run_scenario


def watch_of(session: Session) -> Watch:
    """Return a session's Health."""
    health = session.assembly.health
    assert health is not None, "the scenario watches its data"
    return health


def stale_after(change_ms: int) -> Alter:
    """Return an ablation in which data is stale so much later, or sooner."""

    def alter(session: Session) -> None:
        watch_of(session).state.freshness.stale_after_ms += change_ms

    return alter


def everywhere(prefix: str) -> Alter:
    """Return an ablation in which holds whose id begins with ``prefix`` cover everything."""

    def wide(hold_open: Callable[..., Hold]) -> Callable[..., Hold]:
        def opened(hold_id: str, cause: str, **options: Any) -> Hold:
            if hold_id.startswith(prefix):
                options["scope"] = Scope()
            return hold_open(hold_id, cause, **options)

        return opened

    return part(lambda session: session.assembly.supervisor, "hold_open", wide)


def fresh_after_the_decision() -> Alter:
    """Return an ablation in which a turn hears of fresh data when it is over."""

    def alter(session: Session) -> None:
        fresh = session._fresh
        assert fresh is not None, "the scenario watches its data"
        turn = session.turn

        def late(group: Group, at: int) -> None:
            turn(group, at)
            fresh(group)

        session._fresh = None
        session.turn = late  # type: ignore[method-assign]

    return alter


def always_connected() -> Alter:
    """Return an ablation in which a feed that is down counts as connected."""

    def changed(health: Any) -> None:
        health.ports = replace(health.ports, connected=lambda: True)

    return each_incarnation("health", changed)


def never_reconnecting() -> Alter:
    """Return an ablation in which a silent feed is left alone."""

    def changed(health: Any) -> None:
        health.plan = replace(health.plan, reconnect=False)

    return each_incarnation("health", changed)


def untold_gaps() -> Alter:
    """Return an ablation in which a session says nothing of gaps."""
    return part(lambda session: session.spec.feed, "report", lambda _: lambda: FeedReport(0, ()))


def unrecorded() -> Alter:
    """Return an ablation in which a journal that cannot be written goes on as if it could."""

    def alter(session: Session) -> None:
        (recorder,) = session.journal._sinks  # type: ignore[attr-defined]
        write = recorder.write

        def careless(entries: Any, lines: bytes) -> None:
            recorder.full = False
            write(entries, lines)

        recorder.write = careless

    return alter


def running_backwards() -> Alter:
    """Return an ablation in which a session's time can step back."""

    class Loose(SimulatedClock):
        __slots__ = ()

        def advance(self, to: int) -> None:
            self.now = to

    def alter(session: Session) -> None:
        session.assembly.clock.__class__ = Loose

    return alter


DATA = (
    Ablation(
        "freshness",
        "data/stale_data_blocks_opening_only",
        stale_after(3_600_000),
        ("expect[0].seen", "expect[2].holds", "expect[3].refusal"),
    ),
    Ablation(
        "closes",
        "data/stale_data_blocks_opening_only",
        closes_held(),
        ("expect[4].seen",),
    ),
    Ablation(
        "before the decision",
        "data/stale_data_blocks_opening_only",
        fresh_after_the_decision(),
        ("expect[6].order",),
    ),
    Ablation("freshness", "data/one_stale_symbol", without_hold("stale:"), ("expect[3].refusal",)),
    Ablation(
        "by symbol", "data/one_stale_symbol", everywhere("stale:"), ("expect[1]", "expect[2].order")
    ),
    Ablation("its bound", "data/fresh_data_in_time", stale_after(-2), ("expect[0].never",)),
    Ablation(
        "silent or down",
        "data/connected_but_silent",
        always_connected(),
        ("expect[3].seen",),
    ),
    Ablation(
        "opened anew",
        "data/connected_but_silent",
        never_reconnecting(),
        ("expect[1].seen",),
    ),
    Ablation(
        "the register",
        "data/stale_survives_a_restart",
        without_reapplied_holds(),
        ("expect[0].seen", "expect[1].refusal"),
    ),
    Ablation(
        "the register",
        "data/restart_after_a_full_disk",
        without_reapplied_holds(),
        ("expect[1].seen", "expect[2].refusal"),
    ),
    Ablation("gaps are told", "data/gap_in_the_data", untold_gaps(), ("expect[0].seen",)),
    Ablation(
        "write-ahead",
        "data/journal_cannot_be_written",
        unrecorded(),
        ("expect[1].never", "expect[5].outcome", "expect[6].exit_code"),
        crashes=-1,
    ),
    Ablation(
        "the last look",
        "data/clock_jumps_forwards",
        without_last_look(),
        ("expect[0].order", "expect[2].never"),
    ),
    Ablation(
        "never backwards",
        "data/clock_jumps_backwards",
        running_backwards(),
        ("invariant: the journal is in order",),
    ),
)


@pytest.mark.parametrize("ablation", DATA, ids=str)
def test_the_scenario_of_data_fails_where_nobody_minds_them(ablation: Ablation) -> None:
    """Freshness, gaps, time and the journal: each is missed where it does nothing."""
    assert_needed(ablation)


# -- files: what reads them has read their head before a session could be changed


def changed_file(scenario: str, **market: object) -> Scenario:
    """Return a scenario whose file is cut off in another way, or not at all."""
    read = read_scenario(file_of(scenario))
    only = next(iter(read.market))
    return read.model_copy(
        update={"market": {only: read.market[only].model_copy(update=market)}},
    )


@pytest.mark.parametrize(
    "scenario", ["data/file_cut_off_while_it_is_read", "data/file_cut_off_and_tolerated"]
)
def test_the_scenario_of_a_file_that_is_cut_off_fails_with_a_whole_one(scenario: str) -> None:
    """What is expected of a broken row is not met by a file that has none."""
    whole = run_scenario(changed_file(scenario, cut=None), folder=file_of(scenario).parent)
    places = [miss.place for miss in whole.misses]

    assert unaltered(scenario).passed
    assert any(place.endswith("artifact") for place in places)


def test_the_scenario_of_a_tolerated_row_fails_without_the_tolerance() -> None:
    """One bad row is fatal unless it was allowed."""
    name = "data/file_cut_off_while_it_is_read"
    read = read_scenario(file_of(name))
    feed = read.feed.model_copy(update={"max_bad_rows": 1})
    lenient = run_scenario(read.model_copy(update={"feed": feed}), folder=file_of(name).parent)
    places = [miss.place for miss in lenient.misses]

    assert "expect[5].outcome" in places
    assert "expect[6].exit_code" in places


def test_every_scenario_of_data_has_an_ablation() -> None:
    """No scenario of data passes whatever is done about it; files are tried above."""
    left = [name for name in not_ablated("data", DATA) if not name.startswith("file_cut_off")]

    assert [] == left
