"""The printed summary at a session's end: the numbers, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.spec import SessionResult
from messages import ReasonCode
from state.admission import admission_line
from state.projections.report_text import per_second, without_sign_of_zero
from state.register import STOPPING
from tidegate.output import say_table

HOLDS_SHOWN = 5
"""Holds named on the screen; the report has all."""

REFUSED = frozenset({"denied", "suppressed", "rejected"})
"""How an order ends that was refused; a stop that ends with its position was not."""


def say_result(result: SessionResult) -> None:
    """Print what came of a session and where its files are."""
    say_summary(result.summary, result.out, outcome=result.outcome)


def say_summary(summary: Mapping[str, Any], folder: Path, *, outcome: str) -> None:
    """Print a session's numbers, its refusals, and where to look for more."""
    synthetic = "  [synthetic data]" if summary.get("synthetic") else ""
    print(f"{summary['mode']} session {summary['session_id']}: {outcome}{synthetic}")
    if line := admission_line(summary.get("admission") or {}):
        print(line)
    say_table(("", ""), rows_of(summary))
    refusals = summary.get("refusals") or ()
    if refusals:
        say_table(
            ("not filled", "why", "orders"),
            [(row["status"], row["code"], row["count"]) for row in refusals],
        )
    print(f"report   {folder / 'session.html'}   (text: {folder / 'session.md'})")
    print(f"files    {folder}")


def rows_of(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the printed rows of a summary, amounts rounded for reading."""
    rows: list[tuple[str, str]] = []
    for account in summary["accounts"]:
        currency = account["currency"]
        drawdown = account["max_drawdown_bars"]
        if drawdown is None:
            drawdown = account["max_drawdown"]
        rows += [
            ("equity", f"{amount(account['equity'])} {currency}"),
            ("return", percent(account["return_share"])),
            ("max drawdown", percent(drawdown)),
            ("fees", f"{amount(account['fees'])} {currency}"),
        ]
    refused = sum(
        int(row["count"]) for row in summary.get("refusals") or () if row["status"] in REFUSED
    )
    held = _held(summary)
    if held:
        rows.append(("still held", held))
    if summary.get("incidents_total"):
        rows.append(("incidents", _incidents(summary)))
    if summary.get("shadow"):
        rows += _shadow(summary["shadow"])
    rows += [
        ("orders", f"{summary['orders_total']:,}"),
        ("fills", f"{summary['fills']:,}"),
        ("refusals", f"{refused:,}"),
    ]
    if summary.get("bars") is not None:
        rows.append(("bars", f"{summary['bars']:,}"))
    if summary.get("quarantined_rows"):
        rows.append(("bad rows", f"{summary['quarantined_rows']:,} (quarantine.csv)"))
    gaps = sum(int(row["gaps"]) for row in summary.get("gaps") or ())
    if gaps:
        rows.append(("gaps", f"{gaps:,}"))
    speed = (summary.get("run") or {}).get("bars_per_s")
    if speed is not None:
        rows.append(("bars/s", per_second(speed)))
    rows.append(("seed", str(summary["seed"])))
    return rows


def _shadow(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what the twin missed the market by, one row a strategy and symbol."""
    rows = []
    for each in results:
        told = f"{each['orders']} orders not sent, {each['fills']} fills"
        if each["slippage_bps"] is not None:
            told += f", {Decimal(each['slippage_bps']):+.2f} bps off the price decided at"
        if each["quote_bps"] is not None:
            told += f", {Decimal(each['quote_bps']):+.2f} bps off the quote"
        rows.append((f"twin of {each['strategy']}, {each['symbol']}", told))
    return rows


def held_to_the_end(summary: Mapping[str, Any]) -> str:
    """Say by what a session was held at its end, and how many orders any hold refused it."""
    told = [f"{hold['hold_id']} ({hold['cause']})" for hold in _in_force(summary)]
    refused = sum(
        int(row["count"])
        for row in summary.get("refusals") or ()
        if row["status"] in REFUSED and row["code"] == ReasonCode.HELD.value
    )
    if not told or not refused:
        return ""
    orders = "1 order" if refused == 1 else f"{refused:,} orders"
    return f"still held at its end by {_first(told)}; {orders} refused for holds"


def _held(summary: Mapping[str, Any]) -> str:
    """Return the holds in force at the end, but for that of the end itself."""
    names = [str(hold["hold_id"]) for hold in _in_force(summary)]
    return f"{_first(names)} (see session.md)" if names else ""


def _in_force(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        row["hold"]
        for row in summary.get("holds") or ()
        if row["end"] == "in_force" and not row["hold"]["hold_id"].startswith(STOPPING)
    ]


def _first(texts: Sequence[str]) -> str:
    hidden = len(texts) - HOLDS_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"{', '.join(texts[:HOLDS_SHOWN])}{more}"


def _incidents(summary: Mapping[str, Any]) -> str:
    """Return how many there were, and which strategies were stopped for good."""
    stopped = [row["strategy"] for row in summary["strategies"] if row["quarantined"]]
    quarantined = f"; quarantined: {', '.join(stopped)}" if stopped else ""
    return f"{summary['incidents_total']:,} (see session.md{quarantined})"


def amount(value: Any) -> str:
    """Return an amount with two decimals, for reading only."""
    return f"{Decimal(str(value)):,.2f}"


def percent(share: Any) -> str:
    """Return a share as a percentage, ``-`` where there is none."""
    if share is None:
        return "-"
    return without_sign_of_zero(f"{Decimal(str(share)) * 100:,.2f}") + " %"
