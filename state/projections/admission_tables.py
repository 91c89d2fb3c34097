"""By whose leave a session traded beyond paper, where to, and what its twin says of the market."""

from __future__ import annotations

from decimal import Decimal

from state.projections.report_text import NONE, amount, count, places_for
from state.projections.summary import Summary
from state.projections.tables import Table


def admission_table(summary: Summary) -> Table:
    """Return by whose leave the session's last start was."""
    admission = summary.facts.admission
    if not admission:
        return Table("Leave to trade", (), ())
    rows = [
        ("Orders", "sent" if admission["sends_orders"] else "not sent"),
        ("Venue", admission["venue"]),
        ("Account", admission["account"]),
        ("Reached", admission["reaches"]),
        ("Cap", admission["live_notional_cap"]),
    ]
    if admission["sends_orders"]:
        why = f": {admission['approval_reason']}" if admission["approval_reason"] else ""
        rows += [
            ("Risk", "acknowledged on the command line"),
            ("Approved", f"by {admission['approved_by']}, {admission['approved_at']}{why}"),
            ("Rehearsed", f"{admission['rehearsed_at']}: {', '.join(admission['scenarios'])}"),
            ("Approved configuration", f"sha256 {admission['subject']}"),
        ]
    return Table("Leave to trade", (), tuple(rows))


def shadow_table(summary: Summary) -> Table:
    """Return one row a strategy and symbol: what the twin's fills missed the market by."""
    places = places_for(summary)
    rows = tuple(
        (
            each.strategy,
            each.symbol,
            count(each.orders),
            count(each.fills),
            amount(each.volume, places),
            amount(each.slippage, places, signed=True),
            bps(each.slippage_bps),
            bps(each.worst_bps),
            count(each.quoted_fills),
            bps(each.quote_bps),
            bps(each.worst_quote_bps),
        )
        for each in summary.shadow
    )
    return Table(
        "Shadow: the twin against the market",
        (
            "Strategy",
            "Symbol",
            "Orders withheld",
            "Fills of the twin",
            "Volume",
            "Slippage",
            "Mean, bps",
            "Worst, bps",
            "Fills with a quote",
            "Mean to quote, bps",
            "Worst to quote, bps",
        ),
        rows,
        note="Slippage is against the prices decided at, by notional; to quote is against the ask "
        "for a buy and the bid for a sell as the order would have left. Positive is adverse.",
    )


def bps(value: Decimal | None) -> str:
    """Return basis points with their sign."""
    return NONE if value is None else f"{value:+.2f}"
