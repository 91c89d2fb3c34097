"""Kills, commands, breached limits, circuits and stale data, as a session's reports tell them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from safety_makers import (
    ALICE,
    SECOND,
    dark_day,
    dark_summary,
    evidence,
    hold,
    kill_hold,
    lifted,
    started,
    step,
    summary_of_messages,
)
from session_makers import MINUTE, T0, reread, write_csv

from messages import (
    BreachAction,
    Cause,
    CommandRefused,
    CommandVerb,
    HoldMode,
    HoldPlaced,
    KillStage,
    Message,
    OperatorCommand,
    OperatorReduce,
    ReasonCode,
    ReduceIntent,
    RiskBreached,
    SessionEnded,
    Side,
    is_kill,
)
from state.projections import SummaryProjection, project, session_md, summary_json
from state.projections.limits import COMMANDS_MAX, EVIDENCE_MAX, KILL_CAUSES_MAX, KILLS_MAX
from state.projections.report_text import outcome_text
from state.projections.safety_tables import kill_sections, safety_tables
from state.projections.series import BothEnds


def killed(at: int, kill_id: str) -> list[Message]:
    """Return a whole kill, from its hold to its unlatching."""
    held = kill_hold(at)
    return [
        HoldPlaced(held),
        step(KillStage.LATCHED, kill_id=kill_id, at=at),
        evidence(at, kill_id=kill_id),
        lifted(held, at + 1, "cli:bob", "looked at it"),
    ]


# ------------------------------------------------------------------------------------------ kills


def test_a_kill_is_told_with_trigger_stages_evidence_and_every_cause() -> None:
    """A guard's kill while data is stale, and the operator's on top: all of it is on record."""
    (kill,) = dark_summary().safety.kills

    assert ("s-1-K1", "risk", True, True, T0 + 60 * MINUTE) == (
        kill.kill_id,
        kill.by,
        kill.flatten,
        kill.confirmed,
        kill.at,
    )
    assert "max_drawdown(drawdown_pct=10.2 limit_pct=10)" == kill.cause
    assert [("latched", 0), ("drained", 1), ("flattening", 3), ("confirmed", 12)] == [
        (stage.stage.value, stage.elapsed_ms) for stage in kill.stages
    ]
    assert ["stale:ETH/USDT", "risk:max_drawdown_pct", "kill"] == [
        cause.hold_id for cause in kill.causes
    ]
    assert (None, 3) == (kill.unlatched_at, kill.causes_total)


def test_a_kill_names_what_the_venue_said_is_left() -> None:
    """Orders and positions left are listed up to a bound and counted beyond it."""
    orders = tuple(f"tg-{number}" for number in range(EVIDENCE_MAX + 5))
    summary = summary_of_messages(
        *started(),
        HoldPlaced(kill_hold()),
        step(KillStage.LATCHED),
        evidence(
            confirmed=False, open_orders=orders, positions=("BTC/USDT both 2",), detail="late"
        ),
    )
    facts = dict(kill_sections(summary)[0][0].rows)

    assert facts["Open orders left"].startswith(f"{len(orders)}: tg-0, tg-1, ")
    assert facts["Open orders left"].endswith("tg-99 and 5 more")
    assert "1: BTC/USDT both 2" == facts["Positions left"]
    assert "NO, 2024-01-01 00:00:00Z: late" == facts["Confirmed by the venue"]
    assert "no: latched at the end" == facts["Unlatched"]


def test_the_newest_evidence_of_a_kill_counts() -> None:
    """Unconfirmed first and confirmed later is confirmed, and the stages show both."""
    summary = summary_of_messages(
        *started(),
        HoldPlaced(kill_hold()),
        step(KillStage.LATCHED),
        step(KillStage.UNCONFIRMED, 30_000),
        evidence(confirmed=False, open_orders=("tg-1",)),
        HoldPlaced(hold("disk")),
        step(KillStage.CONFIRMED, 41_000),
        evidence(T0 + 41_000),
    )
    (kill,) = summary.safety.kills

    assert (True, T0 + 41_000, 0) == (kill.confirmed, kill.reported_at, kill.open_orders_total)
    assert ["latched", "unconfirmed", "confirmed"] == [one.stage.value for one in kill.stages]
    assert ["kill"] == [cause.hold_id for cause in kill.causes]


def test_a_kill_without_evidence_says_that_there_is_none() -> None:
    """The process died before the venue was heard: the report must not look like success."""
    summary = summary_of_messages(*started(), HoldPlaced(kill_hold()), step(KillStage.LATCHED))
    (kill,) = summary.safety.kills
    text = session_md(summary)

    assert (None, "why kill", ALICE) == (kill.confirmed, kill.cause, kill.by)
    assert "- Confirmed by the venue: NO: the journal holds no evidence" in text
    assert "Open orders left" not in text


def test_a_kill_that_an_earlier_session_left_goes_on_as_its_own() -> None:
    """Its cause is the one that it was pulled for; that it is older is said."""
    start, actor = started()
    early = kill_hold(T0 - MINUTE, "risk:max_daily_loss", cause="max_daily_loss(x)", set_by="risk")
    summary = summary_of_messages(
        start, HoldPlaced(early), HoldPlaced(kill_hold(T0 - SECOND)), actor, step(KillStage.LATCHED)
    )
    (kill,) = summary.safety.kills

    assert (True, "max_daily_loss(x)", "risk") == (kill.carried_over, kill.cause, kill.by)
    assert "going on with the kill that an earlier session left" in session_md(summary)


def test_a_kill_is_over_when_the_last_of_its_holds_is_lifted() -> None:
    """Two holds keep it; the second lift, its author and reason end it."""
    guard, operator = kill_hold(T0, "risk:max_daily_loss"), kill_hold(T0)
    messages = [*started(), HoldPlaced(guard), step(KillStage.LATCHED), HoldPlaced(operator)]
    half = summary_of_messages(*messages, lifted(guard, T0 + 5, "cli:bob", "one"))
    whole = summary_of_messages(
        *messages,
        lifted(guard, T0 + 5, "cli:bob", "one"),
        lifted(hold("stale:x"), T0 + 6),
        lifted(operator, T0 + 7, "cli:carol", "books checked"),
    )

    assert None is half.safety.kills[0].unlatched_at
    assert (T0 + 7, "cli:carol", "books checked") == (
        whole.safety.kills[0].unlatched_at,
        whole.safety.kills[0].unlatched_by,
        whole.safety.kills[0].unlatch_reason,
    )


def test_each_kill_has_its_section_and_the_newest_is_never_cut() -> None:
    """Kill, resume, kill again: sections in order; of too many the newest stays, and a count."""
    messages = [*started()]
    for number in range(KILLS_MAX + 10):
        messages += killed(T0 + number * MINUTE, f"s-1-K{number + 1}")
    summary = summary_of_messages(*messages)
    sections = kill_sections(summary)

    assert KILLS_MAX + 10 == summary.safety.kills_total
    assert ["Kill s-1-K1", "Kill s-1-K2"] == [section[0].title for section in sections[:2]]
    assert f"Kill s-1-K{KILLS_MAX + 10}" == sections[-1][0].title
    assert sections[-1][0].note.startswith("9 more kills came before this one")


def test_causes_of_a_kill_are_bounded_and_latched_ones_never_cut() -> None:
    """A feed of a thousand silent symbols does not hide the limit that was breached."""
    crowd = [HoldPlaced(hold(f"stale:S{number}")) for number in range(KILL_CAUSES_MAX + 40)]
    guard = kill_hold(T0, "risk:max_drawdown_pct")
    summary = summary_of_messages(
        *started(), *crowd, HoldPlaced(guard), step(KillStage.LATCHED), HoldPlaced(kill_hold())
    )
    (kill,) = summary.safety.kills

    assert ["risk:max_drawdown_pct", "kill"] == [cause.hold_id for cause in kill.causes[-2:]]
    assert (KILL_CAUSES_MAX + 2, KILL_CAUSES_MAX + 42) == (len(kill.causes), kill.causes_total)


def test_a_kill_is_latched_drains_and_is_the_operators_or_a_guards() -> None:
    """Neither a quarantine nor a damaged register is one, nor what anybody can lift plainly."""
    kinds = [
        hold(hold_id, mode=mode, latched=latched)
        for hold_id in ("kill", "risk:max_daily_loss", "register", "quarantine:sma", "killer")
        for mode in HoldMode
        for latched in (False, True)
    ]

    kills = [one for one in kinds if is_kill(one)]

    assert ["kill", "risk:max_daily_loss"] == [one.hold_id for one in kills]
    assert {(HoldMode.DRAIN, True)} == {(one.mode, one.latched) for one in kills}


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        ("killed", 4, "killed (exit code 4, kill switch)"),
        ("interrupted", 130, "interrupted (exit code 130)"),
        ("risk_halted", 3, "halted by a limit (exit code 3, halted by a risk guard)"),
    ],
)
def test_outcomes_of_the_safety_system_are_told_in_words(
    outcome: str, code: int, text: str
) -> None:
    """Whoever reads the first line knows that the session did not end by itself."""
    summary = summary_of_messages(*started(), SessionEnded("session", T0, "s-1", outcome, code))

    assert text == outcome_text(summary)
    assert (outcome, code) == (summary_json(summary)["outcome"], summary_json(summary)["exit_code"])


# ------------------------------------------------------------------------- commands and breaches


def test_each_command_has_its_outcome() -> None:
    """What was taken and what was refused, by whom, with which terms, and why."""
    summary = dark_summary()
    (table,) = (table for table in safety_tables(summary) if table.title == "Commands")

    assert [
        ("pause", ALICE, "-", "no end given", "refused: a pause needs an end"),
        ("pause", ALICE, "until 2024-01-01 00:25:00Z", "news", "taken"),
        ("kill", ALICE, "flatten", "drill", "taken"),
    ] == [(row[1], row[2], row[4], row[5], row[6]) for row in table.rows]
    assert "1 of 3 were refused." == table.note


def test_a_refusal_is_of_the_command_that_it_names() -> None:
    """A refusal that comes late, or twice, changes no other command's outcome."""
    command = OperatorCommand("operator", T0, "C1", CommandVerb.RESUME, ALICE, hold_id="kill")
    refusal = CommandRefused("operator", T0, "C0", CommandVerb.RESUME, ALICE, "latched")
    summary = summary_of_messages(command, refusal)

    assert ["", 1] == [summary.safety.commands[0].refused, summary.safety.commands_refused]


def test_of_too_many_commands_the_first_and_the_newest_are_listed() -> None:
    """How it began and how it ended matter most; the rest is counted."""
    summary = summary_of_messages(
        *(
            OperatorCommand("operator", T0 + number, f"C{number}", CommandVerb.PAUSE, ALICE)
            for number in range(1_000)
        )
    )
    ids = [command.command_id for command in summary.safety.commands]

    assert (COMMANDS_MAX, 1_000) == (len(ids), summary.safety.commands_total)
    assert ["C0", "C99", "C900", "C999"] == [ids[0], ids[99], ids[100], ids[-1]]


def test_both_ends_of_a_short_list_are_all_of_it() -> None:
    """Nothing is lost or told twice before the bound is reached."""
    kept: BothEnds[int] = BothEnds(6)
    for number in range(7):
        if number <= 6:
            assert list(range(number)) == kept.items
        kept.append(number)

    assert ([0, 1, 2, 4, 5, 6], 7) == (kept.items, kept.count)


def test_a_breached_limit_has_its_figures_first_and_newest() -> None:
    """Breaches of one limit are counted; the first and the newest keep their figures."""

    def breach(at: int, detail: str, equity: int) -> RiskBreached:
        cause = Cause(ReasonCode.CONSECUTIVE_LOSSES, detail)
        action = BreachAction.REDUCE_ONLY
        return RiskBreached("risk", at, "max_consecutive_losses", action, cause, Decimal(equity))

    summary = summary_of_messages(
        breach(T0, "losses=3 limit=3", 990), breach(T0 + MINUTE, "losses=4 limit=3", 980)
    )
    (one,) = summary.safety.breaches
    (row,) = safety_tables(summary)[0].rows

    assert (2, "losses=3 limit=3", Decimal(990), "losses=4 limit=3", Decimal(980)) == (
        one.count,
        one.first_detail,
        one.first_equity,
        one.newest_detail,
        one.newest_equity,
    )
    assert ("max_consecutive_losses", "reduce only", "2") == row[:3]
    assert "consecutive_losses: losses=3 limit=3" == row[4]


# ------------------------------------------------------------------------------- the whole of it


def test_markdown_tells_the_whole_dark_day() -> None:
    """Every section stands, in the order in which a reader needs it."""
    text = session_md(dark_summary())
    titles = [line.lstrip("# ") for line in text.splitlines() if line.startswith("##")]

    assert [
        "Kill s-1-K1",
        "Stages of s-1-K1",
        "Held at s-1-K1",
        "Result",
        "Strategies",
        "Execution",
        "Round trips",
        "Open positions",
        "Holds and halts",
        "Breached limits",
        "Commands",
        "Circuits",
        "Openings of circuits",
        "Stale data",
        "Refused and ended orders",
        "What ran",
        "Where to look next",
    ] == titles
    for expected in (
        "Paper: killed (exit code 4, kill switch).",
        "**Held beyond the end: stale:ETH/USDT, risk:max_drawdown_pct, kill.**",
        "| pause (2) | 2024-01-01 00:26:00Z | why pause | block | everything | http |",
        "| stale:ETH/USDT | 2024-01-01 00:50:00Z | symbol=ETH/USDT overdue_ms=91000 silent=true |",
        "| latched | 0 | 0 | 2024-01-01 01:00:00Z | by x: y |",
        "| max_drawdown_pct | halt | 1 |",
        "max_drawdown: drawdown_pct=10.2 limit_pct=10",
        "| ETH/USDT | 1 | 1 | 11 min | 11 min |",
    ):
        assert expected in text


def test_the_json_form_carries_the_same_facts() -> None:
    """Times as ISO-8601, money as text, one document."""
    safety = summary_json(dark_summary())["safety"]

    assert "2024-01-01T01:00:00.000Z" == safety["kills"][0]["at"]
    assert "2024-01-01T00:50:00.000Z" == safety["kills"][0]["causes"][0]["since"]
    assert "89800" == safety["breaches"][0]["first_equity"]
    assert "2024-01-01T00:25:00.000Z" == safety["commands"][1]["until"]
    assert "2024-01-01T00:30:30.000Z" == safety["openings"][0]["half_open_at"]
    assert "2024-01-01T00:50:00.000Z" == safety["stale"][1]["since"]


def test_a_stored_journal_gives_the_same_reports() -> None:
    """Rebuilt from its lines, a dark day is told in the same bytes."""
    first, second = SummaryProjection(), SummaryProjection()
    project(dark_day().entries(), first)
    project(reread(dark_day().entries()), second)

    assert first.summary() == second.summary()
    assert session_md(first.summary()) == session_md(second.summary())


def test_an_operators_reducing_order_is_an_order(tmp_path: Path) -> None:
    """It has its row, marked reduce-only, with its fill and position like any other."""
    tape = dark_day(ended=False)
    intent = tape.intent(Side.SELL, "2", order_id="s-1-K1-1", reduce=True, decision=None)
    assert isinstance(intent, ReduceIntent)
    tape.messages[-1] = OperatorReduce(*(getattr(intent, f) for f in intent.__struct_fields__))
    tape.journal(intent)
    tape.accept("s-1-K1-1")
    tape.fill("s-1-K1-1", "98")
    files = write_csv(tmp_path, tape.entries())
    projection = SummaryProjection()
    project(tape.entries(), projection)
    summary = projection.summary()

    (row,) = (line for line in files["orders.csv"].splitlines() if line.startswith("s-1-K1-1,"))
    assert ["sell", "market", "gtc", "true", "2"] == row.split(",")[7:12]
    assert ("filled", 1) == (row.split(",")[17], files["trades.csv"].count(",s-1-K1-1,"))
    assert (2, {"filled": 2}, ()) == (summary.orders_total, summary.orders, summary.positions)


def test_a_quiet_session_has_no_section_of_safety() -> None:
    """Nothing that did not happen has a table."""
    summary = summary_of_messages(*started())

    assert ((), ()) == (kill_sections(summary), safety_tables(summary))
