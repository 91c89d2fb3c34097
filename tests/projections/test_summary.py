"""The numbers of a session, added up as its journal goes by."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from session_makers import MINUTE, STORY_FACTS, T0, Tape, d, reread, story, write_csv

from messages import (
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    Cause,
    DeadLetter,
    EquitySampled,
    FeedGap,
    FundingBooked,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    MarketSampled,
    Message,
    OrderEvent,
    OrderStatus,
    ReasonCode,
    Reconciled,
    SessionEnded,
    SessionStarted,
    Side,
)
from state.journal import Entry
from state.projections import (
    FactsInvalid,
    Summary,
    SummaryProjection,
    project,
    summary_json,
    summary_table,
)
from state.projections.limits import (
    CHART_SYMBOLS_MAX,
    DEAD_LETTER_KINDS_MAX,
    FILL_MARKERS_MAX,
    HOLDS_MAX,
    INCIDENTS_MAX,
)
from state.projections.report_tables import session_facts


def summary_of(entries: list[Entry], facts: dict[str, object] | None = None) -> Summary:
    """Return the summary of a journal."""
    projection = SummaryProjection()
    project(entries, projection)
    projection.set_facts(facts or {})
    return projection.summary()


def summary_of_messages(*messages: Message) -> Summary:
    """Return the summary of a journal of these messages."""
    tape = Tape()
    tape.add(*messages)
    return summary_of(tape.entries())


def test_a_session_without_events_has_a_summary() -> None:
    """An empty journal is a session in which nothing happened."""
    summary = summary_of([])

    assert (0, 0, d(0), ()) == (
        summary.orders_total,
        summary.fills,
        summary.volume,
        summary.accounts,
    )
    assert summary_json(summary)["orders"] == {}
    assert [] == [table.title for table in summary_table(summary) if table.title == "Strategies"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"bars.csv@BTC/USDT": "sha256"}, "none"),
        ({"live@BTC/USDT": "binanceusdm 1m"}, "told in the log as feed_gap"),
    ],
    ids=["a file", "a live feed"],
)
def test_no_gap_is_said_only_of_a_source_whose_gaps_are_journaled(
    data: dict[str, str], text: str
) -> None:
    """Those of a live feed are told by the log, when they are found."""
    summary = summary_of([], {"data": data})

    assert text == dict(session_facts(summary).rows)["Gaps"]


def test_the_account_is_that_of_the_last_mark() -> None:
    """Equity, return, fees and drawdown follow from the marks, exactly."""
    tape = Tape(cash="1000")
    tape.mark("start")
    tape.now += MINUTE
    tape.market(Side.BUY, "2", "100", fee="0.2")
    tape.now += MINUTE
    tape.prices[tape.symbol] = d("90")
    tape.mark("midnight")
    tape.now += 2 * MINUTE
    tape.market(Side.SELL, "2", "105", fee="0.21")

    (account,) = summary_of(tape.entries()).accounts

    assert (d("1000"), d("1009.59"), d("1009.59")) == (
        account.first_equity,
        account.equity,
        account.cash,
    )
    assert (d("10"), d(0), d("0.41")) == (
        account.realized_pnl,
        account.unrealized_pnl,
        account.fees,
    )
    assert d("0.00959") == account.return_share
    assert d("0.02020000") == account.max_drawdown  # 979.8 of 1000
    assert account.exposure_share == pytest.approx(3 / 4)
    assert account.max_drawdown_bars is None


def test_samples_of_every_bar_say_more_than_marks() -> None:
    """Where the session sampled its equity, the report has that drawdown and exposure."""
    tape = Tape()
    tape.mark("start")
    tape.add(EquitySampled(((T0, 1000.0), (T0 + MINUTE, 950.0)), 0.05, 0.25))

    summary = summary_of(tape.entries())

    assert (0.05, 0.25) == (
        summary.accounts[0].max_drawdown_bars,
        summary.accounts[0].exposure_share,
    )
    assert ((T0, 1000.0), (T0 + MINUTE, 950.0)) == summary.charts.equity


def test_the_largest_drawdown_is_that_of_the_account_file(tmp_path: Path) -> None:
    """Report and account.csv agree to the last digit."""
    entries = story()
    rows = write_csv(tmp_path, entries)["account.csv"].splitlines()[1:]
    largest = max(Decimal(row.rsplit(",", 1)[1]) for row in rows)

    assert largest == summary_of(entries).accounts[0].max_drawdown


def test_orders_are_counted_by_their_last_status() -> None:
    """Finished and unfinished orders add up to all of them."""
    tape = Tape()
    tape.intent()
    tape.deny(tape.intent(), Cause(ReasonCode.HELD))
    tape.journal(tape.intent())
    tape.accept("o3")
    tape.market(Side.BUY, "1", "100")
    tape.journal(tape.intent())
    tape.report("o5", OrderEvent.SUPPRESSED, OrderStatus.SUPPRESSED, cause=Cause(ReasonCode.HELD))
    tape.report("o3", OrderEvent.CANCELLED, OrderStatus.CANCELLED)
    tape.report("o3", OrderEvent.ACCEPTED, OrderStatus.CANCELLED)  # late news changes nothing

    summary = summary_of(tape.entries())

    assert {
        "intended": 1,
        "denied": 1,
        "suppressed": 1,
        "filled": 1,
        "cancelled": 1,
    } == summary.orders
    assert 5 == summary.orders_total
    assert [("denied", "held", 1, "o2"), ("suppressed", "held", 1, "o5")] == [
        (one.status, one.code, one.count, one.first_order_id) for one in summary.refusals
    ]
    assert ReasonCode.HELD.meaning == summary.refusals[0].meaning


def test_every_cause_of_a_refusal_counts() -> None:
    """Refusals are counted by code; the first of each kind keeps its time, order and detail."""
    tape = Tape()
    for number in range(3):
        tape.now += MINUTE
        held = Cause(ReasonCode.HELD, f"hold={number}")
        cash = Cause(ReasonCode.CASH_INSUFFICIENT)
        tape.deny(tape.intent(), held, *((cash,) if number else ()))

    summary = summary_of(tape.entries())

    assert [
        ("held", 3, T0 + MINUTE, "o1", "hold=0"),
        ("cash_insufficient", 2, T0 + 2 * MINUTE, "o2", ""),
    ] == [
        (one.code, one.count, one.first_at, one.first_order_id, one.first_detail)
        for one in summary.refusals
    ]
    assert 3 == summary.strategies[0].refused


def test_a_strategy_is_judged_by_its_closing_fills() -> None:
    """Wins, losses and profit factor count fills that close, partial and break-even ones too."""
    tape = Tape(cash="100000", strategy="b")
    tape.market(Side.BUY, "3", "100", fee="1")
    tape.market(Side.SELL, "1", "110", fee="1")
    tape.market(Side.SELL, "1", "95", fee="1")
    tape.market(Side.SELL, "1", "100", fee="1")
    tape.strategy = "a"
    tape.market(Side.BUY, "2", "50")
    tape.prices[tape.symbol] = d("40")
    tape.mark("close")

    a, b = summary_of(tape.entries()).strategies

    assert ("a", "b") == (a.strategy, b.strategy)
    assert (4, 4, 3, 1, 1) == (b.orders, b.fills, b.closing_fills, b.wins, b.losses)
    assert (d("0.333333333333"), d("2")) == (b.win_share, b.profit_factor)
    assert (d("10"), d("-5"), d("10"), d("5")) == (b.best, b.worst, b.gross_profit, b.gross_loss)
    assert (d("5"), d(0), {"USDT": d("4")}, d("1")) == (
        b.realized_pnl,
        b.unrealized_pnl,
        b.fees,
        b.net_pnl,
    )
    assert d("605") == b.volume
    assert (d(0), d("-20"), d("-20")) == (a.realized_pnl, a.unrealized_pnl, a.net_pnl)
    assert (None, None, None) == (a.win_share, a.profit_factor, a.best)


def test_covering_a_short_is_a_closing_fill() -> None:
    """A buy against a short position closes it."""
    tape = Tape()
    tape.market(Side.SELL, "1", "100")
    tape.market(Side.BUY, "1", "90")

    (result,) = summary_of(tape.entries()).strategies

    assert (1, 1, d("10")) == (result.closing_fills, result.wins, result.realized_pnl)


def test_funding_counts_where_it_was_booked() -> None:
    """Funding received adds to a strategy's net, funding paid takes away."""
    summary = summary_of_messages(
        FundingBooked("x", T0, "a", "B", "both", d("-1.5"), d("0.0001")),
        FundingBooked("x", T0, "a", "B", "both", d("0.25"), d("-0.0001")),
    )

    assert [("a", d("-1.25"), d("-1.25"))] == [
        (one.strategy, one.funding, one.net_pnl) for one in summary.strategies
    ]


def test_holds_keep_their_trigger_and_how_they_were_lifted() -> None:
    """A hold that is placed again at a restart is one hold."""
    first = Hold("h1", "max_drawdown", HoldMode.DRAIN, "risk", T0, latched=True)
    second = Hold("h2", "operator", HoldMode.REFUSE, "cli", T0 + 1)
    summary = summary_of_messages(
        HoldPlaced(first),
        HoldPlaced(second),
        HoldPlaced(first),
        HoldLifted(second, "cli", "drill over", T0 + 5),
    )

    assert 2 == summary.holds_total
    assert [(first, None, "", ""), (second, T0 + 5, "cli", "drill over")] == [
        (one.hold, one.lifted_at, one.lifted_by, one.lift_reason) for one in summary.holds
    ]


def test_failures_gaps_and_dead_letters_are_counted() -> None:
    """Actors, incidents, dead letters, gaps and reconciliations each have their numbers."""
    summary = summary_of_messages(
        ActorStarted("feed", T0, 1),
        ActorFailed("feed", T0, 1, "ValueError: x", "tb", "Bar"),
        ActorRestarting("feed", T0, 2, 0.5),
        ActorStarted("feed", T0, 2),
        DeadLetter("feed", T0, "Bar", "failed", "first"),
        DeadLetter("feed", T0 + 1, "Bar", "failed", "second"),
        FeedGap("feed", T0, "B", T0, T0 + 3 * MINUTE, 2),
        FeedGap("feed", T0, "B", T0 + 9 * MINUTE, T0 + 19 * MINUTE, 9),
        Reconciled("reconciler", T0, "start"),
        Reconciled("reconciler", T0 + 2, "timer", ("position B: 1 here, 2 there",)),
    )

    assert [("feed", 2, 1, 1)] == [
        (one.actor, one.starts, one.failures, one.restarts) for one in summary.actors
    ]
    assert [
        ("failed", "ValueError: x (on Bar)"),
        ("restarted", "incarnation 2 after 0.5 s"),
        ("differed", "timer: position B: 1 here, 2 there"),
    ] == [(one.kind, one.text) for one in summary.incidents]
    assert [("Bar", 2, T0, "first")] == [
        (one.message_type, one.count, one.first_at, one.first_detail)
        for one in summary.dead_letters
    ]
    assert [("B", 2, 11, 9, T0 + 9 * MINUTE)] == [
        (one.symbol, one.gaps, one.missing, one.longest, one.longest_after) for one in summary.gaps
    ]
    assert (2, 1) == (summary.reconciliations, summary.reconciliations_different)


def test_lists_are_bounded_and_say_what_they_leave_out() -> None:
    """Ten thousand of anything stay a short list with a true total."""
    tape = Tape()
    for number in range(1_500):
        at = T0 + number
        hold = Hold(f"h{number}", "x", HoldMode.BLOCK, "risk", at)
        tape.add(
            HoldPlaced(hold),
            HoldLifted(hold, "risk", "over", at),
            ActorFailed("feed", at, number, "E", "", "Bar"),
            DeadLetter("feed", at, f"Type{number}", "r"),
            MarketSampled(f"S{number}", ((at, 1.0),)),
        )
        tape.strategy, tape.symbol = "s", "S0"
        tape.market(Side.BUY, "0.001", "1")

    summary = summary_of(tape.entries())

    assert (HOLDS_MAX, 1_500) == (len(summary.holds), summary.holds_total)
    assert (INCIDENTS_MAX, 1_500) == (len(summary.incidents), summary.incidents_total)
    assert (DEAD_LETTER_KINDS_MAX + 1, 1_500) == (
        len(summary.dead_letters),
        summary.dead_letters_total,
    )
    assert 1_500 == sum(one.count for one in summary.dead_letters)
    assert (CHART_SYMBOLS_MAX, 1_500) == (
        len(summary.charts.symbols),
        summary.charts.symbols_total,
    )
    chart = summary.charts.symbols[0]
    assert ("S0", 1_500) == (chart.symbol, chart.fills_total)
    assert FILL_MARKERS_MAX / 2 < len(chart.fills) <= FILL_MARKERS_MAX


def test_thinned_fills_show_both_sides() -> None:
    """Buys and sells that alternate are thinned apart: a chart of buys only would be a lie."""
    tape = Tape(cash="1000000")
    for _ in range(1_000):
        tape.now += MINUTE
        tape.market(Side.BUY, "1", "100")
        tape.market(Side.SELL, "1", "100")

    (chart,) = summary_of(tape.entries()).charts.symbols
    sides = [fill.buy for fill in chart.fills]

    assert sides.count(1) == sides.count(0) > FILL_MARKERS_MAX / 2
    assert sorted(fill.at for fill in chart.fills) == [fill.at for fill in chart.fills]


def test_facts_of_the_journal_stand_where_the_runner_gave_none() -> None:
    """Session id, mode and seed come from the first event, and from the runner where it knows."""
    tape = Tape()
    tape.add(SessionStarted("s", T0, "id-1", "paper", 7))

    summary = summary_of(tape.entries(), {"mode": "shadow"})

    assert ("id-1", "shadow", 7) == (
        summary.facts.session_id,
        summary.facts.mode,
        summary.facts.seed,
    )
    assert ("", None) == (summary.outcome, summary.exit_code)


def test_a_resumed_session_has_not_ended() -> None:
    """A session that starts again in its journal is running, and began when it first did."""
    tape = Tape()
    started = SessionStarted("s", T0, "id-1", "paper", 7)
    tape.add(started, SessionEnded("s", T0 + 1, "id-1", "stopped", 0), replace(started, at=T0 + 2))

    summary = summary_of(tape.entries())

    assert (T0, "", None) == (summary.started_at, summary.outcome, summary.exit_code)


@pytest.mark.parametrize("facts", [{"barz": 1}, {"bars": "many"}, {"data": {"f": 1}}])
def test_an_unknown_or_wrong_fact_is_refused_by_name(facts: dict[str, object]) -> None:
    """A misspelt fact is an error, not a missing line in a report."""
    with pytest.raises(FactsInvalid, match=r"facts of a summary: .*(barz|bars|data)"):
        SummaryProjection().set_facts(facts)


def test_the_json_form_is_exact_and_parts_what_differs_from_run_to_run() -> None:
    """Money is text, times are ISO-8601, and only ``run`` knows speed and folder."""
    document = summary_json(summary_of(story(), STORY_FACTS))

    assert document == json.loads(json.dumps(document))
    assert "2024-01-01T00:00:00.000Z" == document["started_at"] == document["first_bar_at"]
    assert {"folder", "load_s", "wall_s", "bars_per_s"} == set(document["run"])
    assert isinstance(document["accounts"][0]["equity"], str)
    assert "2024-01-01T05:00:00.000Z" == document["holds"][0]["hold"]["since"]
    assert STORY_FACTS["strategies"] == document["strategy_use"]
    assert 2 == len(document["strategies"])


def test_a_summary_of_a_stored_journal_is_the_same() -> None:
    """Reading the journal back gives an equal summary."""
    entries = story()

    assert summary_of(entries, STORY_FACTS) == summary_of(reread(entries), STORY_FACTS)


def test_the_terminal_shows_the_run_and_leaves_out_empty_tables() -> None:
    """The short form has the speed; nothing that did not happen has a table."""
    titles = [table.title for table in summary_table(summary_of(story(), STORY_FACTS))]
    quiet = Tape()
    quiet.market(Side.BUY, "1", "100")
    tables = summary_table(summary_of(quiet.entries(), {"bars_per_s": 450_000.0, "wall_s": 1.5}))

    assert [
        "Session",
        "Result",
        "Strategies",
        "Refused and ended orders",
        "Holds and halts",
        "Incidents",
    ] == titles
    assert ["Session", "Result", "Strategies"] == [table.title for table in tables]
    assert ("Speed", "450,000 bars/s") in tables[0].rows
