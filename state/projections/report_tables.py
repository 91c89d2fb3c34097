"""
A session's summary as tables of text: one source for the terminal, session.md and session.html.

Amounts are rounded for reading; the exact ones are in the CSV files and in ``--json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from state.projections.admission_tables import shadow_table
from state.projections.execution_tables import execution_tables, is_plain
from state.projections.report_text import (
    NONE,
    amount,
    count,
    moment,
    outcome_text,
    per_second,
    percent,
    places_for,
    price,
    short,
)
from state.projections.safety_tables import hold_table, kill_sections, safety_tables
from state.projections.summary import AccountResult, RunFacts, StrategyResult, Summary
from state.projections.tables import Table, more

SYNTHETIC = "SYNTHETIC DATA: made by a seeded generator, not recorded from any market"

LIVE_DATA: Final = "live@"
"""What the name of data begins with that a live feed brought: see ``VenueFeed.fingerprints``."""


def summary_table(summary: Summary) -> tuple[Table, ...]:
    """
    Return what the terminal shows at the end of a session: the short form, with its speed.

    Tables that would be empty are left out, and how orders were made where each intent is one.
    """
    session = session_facts(summary)
    tables = (
        Table(session.title, (), session.rows + _run_rows(summary.facts), note=session.note),
        result_facts(summary),
        strategy_table(summary),
        shadow_table(summary),
        *(() if is_plain(summary) else execution_tables(summary)),
        refusal_table(summary),
        *(section[0] for section in kill_sections(summary)),
        hold_table(summary),
        *safety_tables(summary),
        incident_table(summary),
    )
    return tuple(table for table in tables if table.rows)


def session_facts(summary: Summary) -> Table:
    """Return what ran: everything that identifies the session and its inputs."""
    facts = summary.facts
    rows = [
        ("Session", facts.session_id),
        ("Mode", facts.mode),
        ("Outcome", outcome_text(summary)),
        ("Seed", NONE if facts.seed is None else str(facts.seed)),
        ("From", moment(summary.started_at if facts.first_bar_at is None else facts.first_bar_at)),
        ("To", moment(summary.ended_at if facts.last_bar_at is None else facts.last_bar_at)),
        ("Symbols", ", ".join(facts.symbols)),
        ("Time frame", facts.timeframe),
        ("Bars", count(facts.bars)),
        ("Gaps", _gaps_text(summary)),
        ("Bad rows", count(facts.quarantined_rows)),
        ("Last start", recovery_text(facts.recovery)),
        *((f"Strategy {name}", use) for name, use in sorted(facts.strategies.items())),
        ("Configuration", f"sha256 {facts.config_sha256}" if facts.config_sha256 else ""),
        ("Code", facts.code_version),
        *((f"Data {name}", print_) for name, print_ in sorted(facts.data.items())),
    ]
    return Table(
        "Session",
        (),
        tuple((name, value) for name, value in rows if value not in {"", NONE}),
        note=SYNTHETIC if facts.synthetic else "",
    )


RECOVERY_PHASES: Final = ("protected", "checked", "trading")


def recovery_text(times: Mapping[str, float]) -> str:
    """
    Return how long each phase of a start after an earlier process took, in a few words.

    The order of the phases is not that of ``times``: a manifest gives them back by name.
    """
    phases = ", ".join(
        f"{phase} after {times[phase]:.2f} s" for phase in RECOVERY_PHASES if phase in times
    )
    return f"went on after an earlier process: {phases}" if phases else ""


def _gaps_text(summary: Summary) -> str:
    gaps = sum(gap.gaps for gap in summary.gaps)
    if gaps:
        missing = sum(gap.missing for gap in summary.gaps)
        return f"{gaps:,} ({missing:,} bars missing)"
    if any(name.startswith(LIVE_DATA) for name in summary.facts.data):
        return "told in the log as feed_gap"  # a live feed's are not in the journal
    return "none"


def result_facts(summary: Summary) -> Table:
    """Return the numbers that a session is judged by."""
    places = places_for(summary)
    rows: list[tuple[str, str]] = []
    if summary.opening_cash is not None:
        rows.append(("Began with the account's money", amount(summary.opening_cash, places)))
    for account in summary.accounts:
        rows.extend(_account_rows(account, places))
    unfinished = sum(number for status, number in summary.orders.items() if status not in _FINISHED)
    rows += [
        ("Orders", _order_counts(summary)),
        ("Fills", count(summary.fills)),
        ("Volume", amount(summary.volume, places)),
    ]
    if unfinished:
        rows.append(("Unfinished orders", count(unfinished)))
    return Table("Result", (), tuple(rows))


def strategy_table(summary: Summary) -> Table:
    """Return one row a strategy; refusals and funding have a column where there were any."""
    places = places_for(summary)
    currency = summary.accounts[0].currency if summary.accounts else ""
    columns = (
        "Strategy",
        "Orders",
        "Refused",
        "Fills",
        "Volume",
        "Realized",
        "Unrealized",
        "Fees",
        "Funding",
        "Net",
        "Closes",
        "Win rate",
        "Profit factor",
        "Best",
        "Worst",
    )
    rows = tuple(_strategy_row(result, places, currency) for result in summary.strategies)
    shown = [
        index
        for index, name in enumerate(columns)
        if name not in {"Refused", "Funding"} or any(row[index].strip("0.") for row in rows)
    ]
    return Table(
        "Strategies",
        tuple(columns[index] for index in shown),
        tuple(tuple(row[index] for index in shown) for row in rows),
        numeric=tuple(range(1, len(shown))),
        note="Closes are fills that close a position, wholly or partly; win rate, profit factor, "
        "best and worst are theirs, gross of fees. Net is after fees and funding.",
    )


def position_table(summary: Summary) -> Table:
    """Return the positions still open, valued at the last mark."""
    places = places_for(summary)
    return Table(
        "Open positions",
        ("Strategy", "Symbol", "Side", "Quantity", "Average price", "Mark", "Unrealized"),
        tuple(
            (
                position.strategy,
                position.symbol,
                position.position_side,
                price(position.quantity),
                price(position.average_price),
                price(position.mark_price),
                amount(position.unrealized_pnl, places, signed=True),
            )
            for position in summary.positions
        ),
        numeric=(3, 4, 5, 6),
    )


def refusal_table(summary: Summary) -> Table:
    """Return why orders were refused or ended unfilled, the commonest reason first."""
    ordered = sorted(summary.refusals, key=lambda one: (-one.count, one.status, one.code))
    return Table(
        "Refused and ended orders",
        ("Status", "Code", "Meaning", "Count", "First at", "First order", "Detail"),
        tuple(
            (
                refusal.status,
                refusal.code,
                refusal.meaning,
                count(refusal.count),
                moment(refusal.first_at),
                refusal.first_order_id,
                short(refusal.first_detail),
            )
            for refusal in ordered
        ),
        numeric=(3,),
        note="An order refused for several reasons counts under each.",
    )


def incident_table(summary: Summary) -> Table:
    """Return failures, restarts, quarantines, escalations and differences found."""
    return Table(
        "Incidents",
        ("At", "What", "Actor", "Detail"),
        tuple(
            (moment(incident.at), incident.kind, incident.actor, short(incident.text))
            for incident in summary.incidents
        ),
        note=more(summary.incidents_total - len(summary.incidents)),
    )


def actor_table(summary: Summary) -> Table:
    """Return the actors that did not simply run."""
    return Table(
        "Actors that failed or restarted",
        ("Actor", "Starts", "Failures", "Restarts"),
        tuple(
            (life.actor, count(life.starts), count(life.failures), count(life.restarts))
            for life in summary.actors
            if life.failures or life.restarts
        ),
        numeric=(1, 2, 3),
    )


def dead_letter_table(summary: Summary) -> Table:
    """Return the messages that nobody handled."""
    return Table(
        "Dead letters",
        ("Actor", "Message", "Reason", "Count", "First at", "Detail"),
        tuple(
            (
                letter.actor,
                letter.message_type,
                short(letter.reason),
                count(letter.count),
                moment(letter.first_at),
                short(letter.first_detail),
            )
            for letter in summary.dead_letters
        ),
        numeric=(3,),
    )


def gap_table(summary: Summary) -> Table:
    """Return what was missing in the bars."""
    return Table(
        "Gaps in the data",
        ("Symbol", "Gaps", "Bars missing", "Longest", "Longest after"),
        tuple(
            (
                gap.symbol,
                count(gap.gaps),
                count(gap.missing),
                count(gap.longest),
                moment(gap.longest_after),
            )
            for gap in summary.gaps
        ),
        numeric=(1, 2, 3),
    )


def next_steps(summary: Summary) -> Table:
    """Return where to look next: the session's files and the commands that explain it."""
    session = summary.facts.session_id or "SESSION"
    rows = [
        ("orders.csv", "every order with its end and the reason for it"),
        ("trades.csv", "every fill with its realised profit, lots and slippage"),
        ("intents.csv", "everything a strategy asked for, how it was carried out, what came of it"),
        ("round_trips.csv", "every stay in the market, with its fees, funding and slippage"),
        (
            "positions.csv, account.csv",
            "positions and account after each fill, at midnights, at the end",
        ),
        ("events.ndjson", "every event in order: what was asked, decided, sent and answered"),
        ("manifest.json", "configuration as merged, seed, fingerprints of code and data"),
        (f"tidegate explain ORDER_ID --session {session}", "every step of one order's life"),
        (f"tidegate verify {session}", "run it again and compare, event by event"),
    ]
    if summary.incidents_total or summary.dead_letters_total:
        rows.insert(0, ("logs/", "what the actors said when they failed"))
    if any(row.outlives and row.hold.latched for row in summary.holds):
        rows.append(
            (
                "tidegate resume --unlatch --reason TEXT",
                "lifts what is latched, said to the account's running session",
            )
        )
    return Table("Where to look next", (), tuple(rows), names_are_code=True)


_FINISHED = {"denied", "suppressed", "rejected", "filled", "cancelled", "expired"}


def _account_rows(account: AccountResult, places: int) -> list[tuple[str, str]]:
    currency = account.currency
    drawdown = account.max_drawdown_bars
    where = "at every bar's close"
    if drawdown is None:
        where = "at fills, midnights and the end"
    return [
        ("Final equity", f"{amount(account.equity, places)} {currency}"),
        ("First equity", f"{amount(account.first_equity, places)} {currency}"),
        ("Return", percent(account.return_share, signed=True)),
        (
            "Max drawdown",
            f"{percent(account.max_drawdown if drawdown is None else drawdown)} ({where})",
        ),
        (
            "Realized profit, gross",
            f"{amount(account.realized_pnl, places, signed=True)} {currency}",
        ),
        ("Unrealized profit", f"{amount(account.unrealized_pnl, places, signed=True)} {currency}"),
        ("Fees", f"{amount(account.fees, places)} {currency}"),
        ("Funding paid", f"{amount(account.funding, places)} {currency}"),
        ("Cash", f"{amount(account.cash, places)} {currency}"),
        ("Time with a position", percent(account.exposure_share)),
    ]


def _order_counts(summary: Summary) -> str:
    parts = ", ".join(
        f"{number:,} {status.replace('_', ' ')}" for status, number in summary.orders.items()
    )
    return f"{summary.orders_total:,}" + (f" ({parts})" if parts else "")


def _strategy_row(result: StrategyResult, places: int, currency: str) -> tuple[str, ...]:
    fees = [amount(result.fees.get(currency, Decimal(0)), places)]
    fees += [f"{price(fee)} {other}" for other, fee in result.fees.items() if other != currency]
    return (
        f"{result.strategy} (quarantined)" if result.quarantined else result.strategy,
        count(result.orders),
        count(result.refused),
        count(result.fills),
        amount(result.volume, places),
        amount(result.realized_pnl, places, signed=True),
        amount(result.unrealized_pnl, places, signed=True),
        " + ".join(fees),
        amount(result.funding, places, signed=True),
        amount(result.net_pnl, places, signed=True),
        count(result.closing_fills),
        percent(result.win_share),
        NONE if result.profit_factor is None else f"{result.profit_factor:.2f}",
        amount(result.best, places, signed=True),
        amount(result.worst, places, signed=True),
    )


def _run_rows(facts: RunFacts) -> tuple[tuple[str, str], ...]:
    """Return what differs from run to run; it never reaches a file of the session."""
    rows = []
    if facts.load_s is not None:
        rows.append(("Loading", f"{facts.load_s:.2f} s"))
    if facts.wall_s is not None:
        rows.append(("Running", f"{facts.wall_s:.2f} s"))
    if facts.bars_per_s is not None:
        rows.append(("Speed", f"{per_second(facts.bars_per_s)} bars/s"))
    if facts.folder:
        rows.append(("Folder", facts.folder))
    return tuple(rows)
