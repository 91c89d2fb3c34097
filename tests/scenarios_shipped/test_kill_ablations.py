"""Every scenario of a kill fails where a part of the kill switch does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ablations import (
    Ablation,
    all_of,
    assert_needed,
    each_incarnation,
    holds_that,
    not_ablated,
    part,
    without_doubts,
    without_hold,
    without_last_look,
    without_reapplied_holds,
)

from actors.kill import KillSwitch
from actors.reconciler import local_view
from actors.turns import Session
from messages import Hold, OrderStatus, VenueReport
from scenarios.director import Alter
from state.orders import Order
from state.reconciliation import AccountView


def kill_of(session: Session) -> KillSwitch:
    """Return a session's kill switch."""
    return session.assembly.kill


# -- the hold


def unlatched() -> Alter:
    """Return an ablation in which no hold is latched."""

    def mild(hold_open: Callable[..., Hold]) -> Callable[..., Hold]:
        return lambda *args, **options: hold_open(*args, **{**options, "latched": False})

    return part(lambda session: session.assembly.supervisor, "hold_open", mild)


def without_drain() -> Alter:
    """Return an ablation in which what waits when a hold is placed goes on waiting."""
    return part(lambda session: session.assembly.dispatcher, "drain", lambda _: lambda _mode: 0)


def the_first_alone() -> Alter:
    """Return an ablation in which of several holds only the first is seen."""
    return holds_that(lambda holds, _message: holds[:1])


# -- the sequence


def without_cancels() -> Alter:
    """Return an ablation in which a kill cancels nothing."""
    return part(kill_of, "_cancel", lambda _: lambda _orders: None)


def cancelling_once() -> Alter:
    """Return an ablation in which a kill sends its cancels once and waits for ever."""

    def make(cancel: Callable[[list[Order]], None]) -> Callable[[list[Order]], None]:
        left = [1]

        def once(orders: list[Order]) -> None:
            if left:
                left.pop()
                cancel(orders)

        return once

    return part(kill_of, "_cancel", make)


def to_cancel(chosen: Callable[[KillSwitch, list[Order]], list[Order]]) -> Alter:
    """Return an ablation in which a kill cancels other orders than it should."""

    def alter(session: Session) -> None:
        kill = kill_of(session)
        part(kill_of, "_to_cancel", lambda find: lambda: chosen(kill, find()))(session)

    return alter


def every_order(kill: KillSwitch, _orders: list[Order]) -> list[Order]:
    """Return protective orders as well."""
    return kill.books.orders.live()


def no_order_in(*statuses: OrderStatus) -> Callable[[KillSwitch, list[Order]], list[Order]]:
    """Return a choice that forgets orders in these statuses."""
    return lambda _kill, orders: [order for order in orders if order.status not in statuses]


def without_flattening() -> Alter:
    """Return an ablation in which a kill takes every position for flat."""
    return part(kill_of, "_flat", lambda _: lambda **_again: True)


def never_asking_the_venue() -> Alter:
    """Return an ablation in which a kill is confirmed by our own books."""

    def alter(session: Session) -> None:
        def ours() -> AccountView:
            return local_view(session.assembly.books, session.spec.instruments)

        kill_of(session).venue = ours

    return alter


def not_looking_who_runs() -> Alter:
    """Return an ablation in which a kill sends to an actor that is down at every look."""
    return part(kill_of, "_runs", lambda _: lambda *_names: True)


# -- several kills, sessions, news


def a_new_kill_each_time() -> Alter:
    """Return an ablation in which a kill forgets that it is latched."""

    def make(pull: Callable[..., str]) -> Callable[..., str]:
        def afresh(*args: Any, **options: Any) -> str:
            owner: Any = getattr(pull, "__self__")  # noqa: B009 - a bound method has one
            owner._kill_id = ""
            return pull(*args, **options)

        return afresh

    return part(kill_of, "pull", make)


def never_standing_down() -> Alter:
    """Return an ablation in which a kill that was resumed is still taken for the newest."""
    return part(kill_of, "stand_down", lambda _: lambda: None)


def not_going_on() -> Alter:
    """Return an ablation in which a session leaves an earlier one's kill where it was."""
    return part(kill_of, "go_on", lambda _: lambda: None)


def deaf_to_breaches() -> Alter:
    """Return an ablation in which a breached limit brings about nothing."""
    return part(lambda session: session.assembly.core, "breached", lambda _: lambda _breach: None)


def without_late_fills() -> Alter:
    """Return an ablation in which a fill of an order that has ended is dropped."""

    def changed(execution: Any) -> None:
        take = execution.on_venue_report

        def taken(report: VenueReport) -> Any:
            order = execution.orders.by_client_id(report.client_order_id)
            late = report.fill is not None and order is not None and not order.live
            return None if late else take(report)

        execution.on_venue_report = taken

    return each_incarnation("execution", changed)


def ending_with_any_report() -> Alter:
    """Return an ablation in which a kill says that it is confirmed when its time is up."""

    def make(publish: Callable[..., None]) -> Callable[..., None]:
        return lambda *args, **fields: publish(*args, **{**fields, "confirmed": True})

    return part(kill_of, "_publish_report", make)


IN_EACH_STATE = (
    Ablation(
        "drain",
        "kill/intent_waiting_behind_a_pause",
        without_drain(),
        ("expect[2].seen", "expect[4].seen"),
    ),
    Ablation(
        "the hold", "kill/intent_waiting_behind_a_pause", without_hold("kill"), ("expect[2]",)
    ),
    Ablation(
        "drain",
        "kill/approved_and_waiting_at_execution",
        without_drain(),
        ("expect[1].seen", "expect[2].seen"),
    ),
    Ablation(
        "cancels",
        "kill/journaled_and_not_yet_durable",
        all_of(without_cancels(), without_last_look()),
        ("expect[0].order", "expect[4].never"),
    ),
    Ablation(
        "cancels",
        "kill/journaled_and_not_yet_durable",
        without_cancels(),
        ("expect[1].refusal",),
    ),
    Ablation(
        "cancels and the last look",
        "kill/between_commit_and_send",
        all_of(without_cancels(), without_last_look()),
        ("expect[0].order", "expect[2].never"),
    ),
    Ablation(
        "what was only sent",
        "kill/sent_and_not_yet_accepted",
        to_cancel(no_order_in(OrderStatus.SENT)),
        ("expect[2].order", "expect[3].within"),
    ),
    Ablation(
        "cancels",
        "kill/resting_buy_is_cancelled",
        without_cancels(),
        ("expect[0].order", "expect[6].within"),
    ),
    Ablation(
        "protective orders stay",
        "kill/resting_buy_is_cancelled",
        to_cancel(every_order),
        ("expect[1].order",),
    ),
    Ablation(
        "the rest of what is partly filled",
        "kill/partly_filled",
        to_cancel(no_order_in(OrderStatus.PARTIALLY_FILLED)),
        ("expect[0].order", "expect[3].position"),
    ),
    Ablation(
        "what is in doubt",
        "kill/in_doubt_and_at_the_venue",
        to_cancel(no_order_in(OrderStatus.IN_DOUBT)),
        ("expect[0].order", "expect[2].seen"),
    ),
    Ablation(
        "what is in doubt",
        "kill/in_doubt_and_never_arrived",
        to_cancel(no_order_in(OrderStatus.IN_DOUBT)),
        ("expect[1].never", "expect[3].seen"),
    ),
    Ablation("the hold", "kill/filled_before_it", without_hold("kill"), ("expect[4].refusal",)),
)

FLATTENING = (
    *(
        Ablation("flattening", f"kill/{name}", without_flattening(), missed)
        for name, missed in (
            ("flatten_a_long_position", ("expect[2].seen", "expect[9].position")),
            ("flatten_a_short_position", ("expect[2].seen", "expect[5].position")),
            ("flatten_both_books_of_a_hedge", ("expect[3].seen", "expect[7].position")),
            ("flatten_a_partly_filled_entry", ("expect[1].seen", "expect[4].position")),
            ("flatten_in_several_bites", ("expect[1].position", "expect[7].position")),
            ("flatten_more_than_one_order_takes", ("expect[2].seen", "expect[6].position")),
            ("flatten_ends_a_replay", ("expect[0].order", "expect[5].position")),
            ("risk_is_restarting", ("expect[2].seen", "expect[5].position")),
            ("twice_is_one_kill", ("expect[5].seen", "expect[8].position")),
        )
    ),
    Ablation(
        "the stop goes too",
        "kill/flatten_a_long_position",
        to_cancel(lambda _kill, orders: [o for o in orders if not o.request.reduce_only]),
        ("expect[1].order", "expect[7].seen"),
    ),
    Ablation(
        "confirmed, not overdue",
        "kill/flatten_ends_a_replay",
        ending_with_any_report(),
        ("expect[1].seen", "expect[2].seen", "expect[5].position"),
    ),
)

AGAINST_ODDS = (
    Ablation(
        "the venue's word",
        "kill/venue_is_mute",
        never_asking_the_venue(),
        ("expect[1].seen", "expect[2].seen", "expect[3].never"),
    ),
    Ablation(
        "asking again",
        "kill/cancels_are_ignored",
        all_of(cancelling_once(), without_doubts()),
        ("expect[1].seen", "expect[3].seen", "expect[5].position"),
    ),
    Ablation(
        "asking again",
        "kill/venue_is_down",
        all_of(cancelling_once(), without_doubts()),
        ("expect[3].seen", "expect[4].seen", "expect[5].position"),
    ),
    Ablation(
        "cancels",
        "kill/execution_is_restarting",
        without_cancels(),
        ("expect[3].order", "expect[5].seen"),
    ),
    Ablation(
        "one order, however long it waits",
        "kill/risk_is_restarting",
        not_looking_who_runs(),
        ("expect[2].seen",),
    ),
    Ablation(
        "late fills",
        "kill/a_fill_crosses_the_cancel",
        without_late_fills(),
        ("expect[0].order", "expect[2].position", "expect[3].account"),
    ),
    Ablation(
        "protective orders stay",
        "kill/protective_stop_still_works",
        to_cancel(every_order),
        ("expect[0].seen",),
    ),
    Ablation("the hold", "kill/as_the_first_thing", without_hold("kill"), ("expect[1].never",)),
    Ablation("cancels", "kill/at_the_last_bar", without_cancels(), ("expect[0].order",)),
)

COMMANDS_AND_GUARDS = (
    Ablation(
        "one kill",
        "kill/twice_is_one_kill",
        a_new_kill_each_time(),
        ("expect[3].never",),
    ),
    Ablation(
        "latched",
        "kill/resume_needs_unlatch_and_reason",
        unlatched(),
        ("expect[0].seen", "expect[2].holds", "steps[1].command"),
    ),
    Ablation(
        "a new kill",
        "kill/a_second_kill_after_a_resume",
        never_standing_down(),
        ("expect[1].order", "expect[3].seen"),
    ),
    Ablation(
        "halt",
        "kill/by_a_guard",
        deaf_to_breaches(),
        ("expect[2].seen", "expect[3].order", "expect[9].exit_code"),
    ),
    Ablation(
        "halt",
        "kill/by_a_guard_in_a_replay",
        deaf_to_breaches(),
        ("expect[1].order", "expect[3].seen", "expect[4].never", "expect[8].exit_code"),
    ),
    Ablation(
        "none masks another",
        "kill/by_a_guard_and_the_operator",
        the_first_alone(),
        ("expect[3].refusal",),
    ),
    Ablation(
        "none masks another",
        "kill/stale_data_and_drawdown_at_once",
        the_first_alone(),
        ("expect[3].refusal",),
    ),
)

OVER_RESTARTS = (
    *(
        Ablation("the register", f"kill/{name}", without_reapplied_holds(), missed)
        for name, missed in (
            ("survives_a_power_cut", ("expect[0].seen", "expect[1].never")),
            ("power_cut_before_it_is_confirmed", ("expect[1].seen", "expect[2].never")),
            ("power_cut_in_the_same_moment", ("expect[0].seen", "expect[3].never")),
            ("register_is_torn", ("expect[0].seen", "expect[1].never", "expect[2].refusal")),
        )
    ),
    Ablation(
        "it goes on",
        "kill/power_cut_before_it_is_confirmed",
        not_going_on(),
        ("expect[4].seen",),
    ),
)

EVERY = (
    *IN_EACH_STATE,
    *FLATTENING,
    *AGAINST_ODDS,
    *COMMANDS_AND_GUARDS,
    *OVER_RESTARTS,
)


@pytest.mark.parametrize("ablation", EVERY, ids=str)
def test_the_scenario_of_a_kill_fails_without_a_part_of_it(ablation: Ablation) -> None:
    """Latch, drain, cancels, flattening, confirmation, register: each is missed by name."""
    assert_needed(ablation)


def test_every_scenario_of_kills_has_an_ablation() -> None:
    """No scenario of a kill passes whatever the kill switch does."""
    assert [] == not_ablated("kill", EVERY)
