"""Every placement of every hold has its row, and nothing that matters is ever left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_makers import hold, kill_hold, lifted, started, summary_of_messages
from session_makers import MINUTE, T0

from messages import Hold, HoldMode, HoldPlaced, Message, SessionEnded
from state.projections import Summary, hold_tally, session_md, summary_json
from state.projections.limits import HOLD_KINDS_MAX, HOLDS_MAX
from state.projections.safety_summary import HoldCount, HoldEnd
from state.projections.safety_tables import held_at_the_end, hold_table


def ends(summary: Summary) -> list[tuple[str, int, str]]:
    return [(row.hold.hold_id, row.placement, row.end.value) for row in summary.holds]


def cell(summary: Summary, column: str, row: int = 0) -> str:
    table = hold_table(summary)
    return table.rows[row][table.columns.index(column)]


def test_a_hold_that_is_placed_again_after_it_was_lifted_is_another_row() -> None:
    """A second placement overwrites nothing: each has its own time, cause and end."""
    first, second = hold("pause", T0), hold("pause", T0 + 5, cause="again")
    summary = summary_of_messages(
        *started(),
        HoldPlaced(first),
        lifted(first, T0 + 2, "cli:bob", "too early"),
        HoldPlaced(second),
    )

    assert [("pause", 1, "lifted"), ("pause", 2, "in_force")] == ends(summary)
    assert (2, T0 + 2, "cli:bob", "too early") == (
        summary.holds_total,
        summary.holds[0].lifted_at,
        summary.holds[0].lifted_by,
        summary.holds[0].lift_reason,
    )
    assert ["pause", "pause (2)"] == [row[0] for row in hold_table(summary).rows]
    assert "in parentheses" in hold_table(summary).note


def test_a_hold_that_a_newer_one_replaces_says_so() -> None:
    """A pause that is made longer ends the shorter one, by whoever made it longer."""
    longer = hold("pause", T0 + 5, set_by="cli:bob", cause="lunch is longer")
    summary = summary_of_messages(*started(), HoldPlaced(hold("pause", T0)), HoldPlaced(longer))

    assert [("pause", 1, "replaced"), ("pause", 2, "in_force")] == ends(summary)
    assert (T0 + 5, "cli:bob", "lunch is longer") == (
        summary.holds[0].lifted_at,
        summary.holds[0].lifted_by,
        summary.holds[0].lift_reason,
    )
    assert "replaced 2024-01-01 00:00:00.005Z" == cell(summary, "Lifted at")


def test_the_same_hold_put_in_force_again_is_the_same_row() -> None:
    """A session that goes on in its journal re-applies what is in force: that is no news."""
    same = hold("kill", T0)
    summary = summary_of_messages(*started(), HoldPlaced(same), *started(), HoldPlaced(same))

    assert ([("kill", 1, "in_force")], 1) == (ends(summary), summary.holds_total)


def test_a_hold_of_an_earlier_session_is_told_as_such() -> None:
    """Its own time stands in the report, and that it was there before the session was."""
    start, actor = started()
    early = kill_hold(T0 - 60 * MINUTE)
    own = hold("stop-new-orders", T0)
    summary = summary_of_messages(start, HoldPlaced(early), actor, HoldPlaced(own))

    assert [True, False] == [row.carried_over for row in summary.holds]
    assert [T0, T0] == [row.placed_at for row in summary.holds]
    assert "2023-12-31 23:00:00Z, in an earlier session" == cell(summary, "Placed")
    assert "2024-01-01 00:00:00Z" == cell(summary, "Placed", 1)


def test_the_order_of_events_tells_an_earlier_hold_where_times_run_twice() -> None:
    """Two sessions over the same bars: the first one's hold is dated after the second's start."""
    start, actor = started()
    later = kill_hold(T0 + 60 * MINUTE)
    register = hold("register", T0, set_by="start-up", latched=True)
    summary = summary_of_messages(start, HoldPlaced(later), HoldPlaced(register), actor)

    assert [("kill", True, T0), ("register", False, T0)] == [
        (row.hold.hold_id, row.carried_over, row.placed_at) for row in summary.holds
    ]


def test_what_outlives_the_session_is_said_where_there_is_a_register() -> None:
    """Paper keeps its holds for the next start; a replay's end with it; so does a stop's."""
    messages: tuple[Message, ...] = (
        HoldPlaced(kill_hold()),
        HoldPlaced(hold("stopping:killed")),
        SessionEnded("session", T0 + 1, "s-1", "killed", 4),
    )
    paper = summary_of_messages(*started("paper"), *messages)
    replay = summary_of_messages(*started("replay"), *messages)

    assert [True, False] == [row.outlives for row in paper.holds]
    assert [False, False] == [row.outlives for row in replay.holds]
    assert "in force; it outlives the session" == cell(paper, "Lifted at")
    assert "in force" == cell(replay, "Lifted at")
    assert "Held beyond the end: kill." == held_at_the_end(paper)
    assert "Held at the end: kill." == held_at_the_end(replay)
    assert "tidegate resume --unlatch --reason TEXT" in session_md(paper)
    assert "tidegate resume" not in session_md(replay)
    assert "**Held beyond the end: kill.**" in session_md(paper)


def test_a_journal_that_just_stops_leaves_its_holds_in_force() -> None:
    """A process that died lifted nothing: the report does not say otherwise."""
    summary = summary_of_messages(*started(), HoldPlaced(kill_hold()))

    assert (HoldEnd.IN_FORCE, True) == (summary.holds[0].end, summary.holds[0].outlives)
    assert "not ended" in session_md(summary)


def test_a_lift_without_its_placement_is_not_lost() -> None:
    """A journal that begins in the middle still names the hold and who lifted it."""
    summary = summary_of_messages(lifted(hold("pause"), T0 + 9, "cli:bob", "done"))

    assert [("pause", 1, "lifted")] == ends(summary)


def test_too_many_holds_are_cut_by_kind_and_counted() -> None:
    """Beyond the bound lifted ones go; none goes without being counted under its kind."""
    messages: list[Message] = [*started()]
    for number in range(HOLDS_MAX + 300):
        kind = "stale" if number % 3 else "circuit"
        held = hold(f"{kind}:S{number % 7}", T0 + number)
        messages += [HoldPlaced(held), lifted(held, T0 + number)]
    summary = summary_of_messages(*messages)

    assert (HOLDS_MAX, HOLDS_MAX + 300) == (len(summary.holds), summary.holds_total)
    assert (HoldCount("stale", 200), HoldCount("circuit", 100)) == summary.holds_left_out
    assert "300 more, each lifted again (200 stale, 100 circuit)" in hold_table(summary).note


def test_what_is_latched_or_in_force_is_never_cut() -> None:
    """The last of ten thousand holds is shown if it was latched, or is still shut."""
    messages: list[Message] = [*started()]

    def crowd(start: int, count: int) -> None:
        for number in range(start, start + count):
            held = hold(f"stale:S{number}", T0 + number)
            messages.extend((HoldPlaced(held), lifted(held, T0 + number)))

    crowd(0, HOLDS_MAX + 10)
    killed, shut = kill_hold(T0 + 9_000), hold("stop-new-orders", T0 + 9_001)
    messages += [HoldPlaced(killed), lifted(killed, T0 + 9_002, "cli:bob", "looked at it")]
    messages += [HoldPlaced(shut)]
    crowd(10_000, 500)
    summary = summary_of_messages(*messages)

    assert HOLDS_MAX + 2 == len(summary.holds)
    assert [("kill", 1, "lifted"), ("stop-new-orders", 1, "in_force")] == ends(summary)[-2:]
    assert summary.holds_total == len(summary.holds) + sum(k.count for k in summary.holds_left_out)


def test_a_kind_is_an_id_up_to_its_colon_and_kinds_are_bounded() -> None:
    """Ids that somebody makes up by the thousand stay a short list."""
    messages: list[Message] = []
    for number in range(HOLDS_MAX + 2 * HOLD_KINDS_MAX):
        held = Hold(f"kind{number}:x", "y", HoldMode.BLOCK, "z", T0)
        messages += [HoldPlaced(held), lifted(held, T0)]
    left_out = summary_of_messages(*messages).holds_left_out

    assert HOLD_KINDS_MAX + 1 == len(left_out)
    assert 2 * HOLD_KINDS_MAX == sum(kind.count for kind in left_out)


def test_the_json_form_has_every_placement_with_its_end() -> None:
    """What the reports say, a program can read: times as ISO-8601, the hold as it was placed."""
    first = hold("pause", T0, until=T0 + MINUTE)
    document = summary_json(
        summary_of_messages(
            *started(), HoldPlaced(first), lifted(first, T0 + 2, "cli:bob", "early")
        )
    )

    (row,) = document["holds"]
    assert "2024-01-01T00:00:00.002Z" == row["lifted_at"]
    assert "2024-01-01T00:01:00.000Z" == row["hold"]["until"]
    assert ("lifted", "cli:bob", "early", 1) == (
        row["end"],
        row["lifted_by"],
        row["lift_reason"],
        row["placement"],
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=60))
def test_whatever_happens_every_placement_is_told_or_counted(
    steps: list[tuple[str, bool, bool]],
) -> None:
    """Of any placing, replacing and lifting: rows and counts add up, and what holds is shown."""
    in_force: dict[str, Hold] = {}
    messages: list[Message] = []
    placed, latched_rows = 0, 0
    for number, (name, lifts, latched) in enumerate(steps):
        if lifts and name in in_force:
            messages.append(lifted(in_force.pop(name), T0 + number))
        elif not lifts:
            in_force.pop(name, None)
            in_force[name] = hold(name, T0 + number, latched=latched)
            messages.append(HoldPlaced(in_force[name]))
            placed += 1
            latched_rows += latched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hold_tally, "HOLDS_MAX", 5)
        summary = summary_of_messages(*messages)
    left_out = sum(kind.count for kind in summary.holds_left_out)

    assert placed == summary.holds_total == len(summary.holds) + left_out
    assert latched_rows == sum(row.hold.latched for row in summary.holds)
    assert list(in_force.values()) == [
        row.hold for row in summary.holds if row.end is HoldEnd.IN_FORCE
    ]
    assert sorted(row.placed_at for row in summary.holds) == [
        row.placed_at for row in summary.holds
    ]
