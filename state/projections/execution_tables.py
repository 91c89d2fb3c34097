"""How the strategies' wishes were carried out, as tables of text: intents, round trips, plans."""

from __future__ import annotations

from collections.abc import Iterable

from state.projections.execution_summary import ExecutionResult
from state.projections.report_text import NONE, amount, count, duration, places_for
from state.projections.summary import Summary
from state.projections.tables import Table

EVER_SHOWN = frozenset({"Strategy", "Intents", "Orders", "Fills", "Slippage, bps"})
"""Columns of the first table that are there although nothing but zeros stands in them."""


def execution_tables(summary: Summary) -> tuple[Table, ...]:
    """Return the tables of how intents were carried out; those without a row are left out."""
    tables = (execution_table(summary), trip_table(summary), plan_table(summary))
    return tuple(table for table in tables if table.rows)


def is_plain(summary: Summary) -> bool:
    """Return whether no intent took more than one order, and no plan or backoff had a part."""
    return not any(
        result.retries
        or result.reprices
        or result.fallbacks
        or result.follow_ups_refused
        or _has_more(result)
        for result in summary.executions
    )


def execution_table(summary: Summary) -> Table:
    """Return one row a strategy: how many orders its intents took, and how near they came."""
    fills = {result.strategy: result.fills for result in summary.strategies}
    rows = [
        (
            result.strategy,
            count(result.intents),
            count(result.unfinished),
            count(result.orders),
            count(fills.get(result.strategy, 0)),
            count(result.retries),
            count(result.reprices),
            count(result.fallbacks),
            ", ".join(f"{family} {number:,}" for family, number in result.refusals.items()) or "0",
            count(result.follow_ups_refused),
            NONE if result.trips.slippage_bps is None else f"{result.trips.slippage_bps:+.2f}",
        )
        for result in summary.executions
        if result.intents
    ]
    return _shown(
        Table(
            "Execution",
            (
                "Strategy",
                "Intents",
                "Unfinished",
                "Orders",
                "Fills",
                "Retries",
                "Reprices",
                "Fallbacks",
                "Refused",
                "Further orders refused",
                "Slippage, bps",
            ),
            tuple(rows),
            note="Orders are made of intents, further ones as policies permit. Slippage is the "
            "mean against the prices decided at, by notional; positive is adverse. Each intent "
            "is a row of intents.csv.",
        ),
        EVER_SHOWN,
    )


def trip_table(summary: Summary) -> Table:
    """Return one row a strategy: what its stays in the market brought and cost."""
    places = places_for(summary)
    rows = [
        (
            result.strategy,
            count(trips.closed),
            count(trips.open),
            count(trips.won),
            count(trips.lost),
            amount(trips.expectancy, places, signed=True),
            amount(trips.best, places, signed=True),
            amount(trips.worst, places, signed=True),
            amount(trips.net_pnl, places, signed=True),
            amount(trips.fees, places),
            amount(trips.funding, places),
            amount(trips.slippage, places, signed=True),
        )
        for result in summary.executions
        if (trips := result.trips).closed or trips.open
    ]
    table = Table(
        "Round trips",
        (
            "Strategy",
            "Closed",
            "Open",
            "Won",
            "Lost",
            "Expectancy",
            "Best",
            "Worst",
            "Net",
            "Fees",
            "Funding paid",
            "Slippage",
        ),
        tuple(rows),
        note="From flat to flat, or turned round. Won, lost, expectancy, best, worst and net are "
        "of the closed ones, after fees and funding; costs are of open ones too. Slippage is "
        "in the prices already. Each is a row of round_trips.csv.",
    )
    return _shown(table, frozenset(table.columns) - {"Open", "Funding paid"})


def plan_table(summary: Summary) -> Table:
    """Return what became of plans, states and backoffs, where a strategy has any."""
    rows = [
        (
            result.strategy,
            count(result.plans.adopted),
            count(result.plans.refused),
            count(result.plans.replaced),
            count(result.plans.dropped),
            count(result.plans.done),
            count(result.rolled_back),
            count(result.superseded),
            count(result.backoffs),
            duration(result.longest_backoff_ms) if result.backoffs else NONE,
            count(result.resting),
        )
        for result in summary.executions
        if _has_more(result)
    ]
    table = Table(
        "Plans, rollbacks, backoffs",
        (
            "Strategy",
            "Plans adopted",
            "Plans refused",
            "Plans replaced",
            "Plans dropped",
            "Plans done",
            "Rolled back",
            "Rollbacks superseded",
            "Backoffs",
            "Longest backoff",
            "Resting at the end",
        ),
        tuple(rows),
    )
    return _shown(table, frozenset({"Strategy"}))


def _has_more(result: ExecutionResult) -> bool:
    plans = result.plans
    return bool(
        plans.adopted or plans.refused or result.rolled_back or result.superseded or result.backoffs
    )


def _shown(table: Table, ever: Iterable[str]) -> Table:
    """Return a table without the columns in which nothing happened."""
    indexes = [
        index
        for index, name in enumerate(table.columns)
        if name in ever or any(row[index].strip("0.-") for row in table.rows)
    ]
    return Table(
        table.title,
        tuple(table.columns[index] for index in indexes),
        tuple(tuple(row[index] for index in indexes) for row in table.rows),
        numeric=tuple(range(1, len(indexes))),
        note=table.note,
    )
