"""
The four CSV files of a session, written as its journal is.

Everything in them follows from the messages alone, so the same journal gives the same bytes,
while the session runs or years later. Memory depends on how many orders are unfinished and how
many positions there are, not on how long the session is.

These are the costliest projections of a replay: every order passes through seven events. Hence
rows are made by one formatted string each, what they share is formatted once, and a message is
looked at only for what a row needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import localcontext
from pathlib import Path
from typing import Any

from messages import (
    ExecutionReport,
    OpenIntent,
    OperatorReduce,
    PortfolioMarked,
    ReduceIntent,
    RiskDecision,
)
from state.journal import Entry
from state.money import EXACT
from state.projections.account_rows import ACCOUNT_COLUMNS, AccountRows
from state.projections.csv_text import CsvFile
from state.projections.order_rows import ORDER_COLUMNS, TRADE_COLUMNS, OrderRows
from state.projections.position_rows import POSITION_COLUMNS, PositionRows
from state.projections.timestamps import iso_ms


class CsvArtifacts:
    """
    Write ``orders.csv``, ``trades.csv``, ``positions.csv`` and ``account.csv`` from the journal.

    A journal's sink: give it every entry, from the first, once. Files of an earlier run in
    ``out`` are replaced. After each batch the rows known by then are with the operating
    system; ``close`` adds the orders that are not finished, as they stand. Nothing is synced
    to disk: what a crash of the machine takes, a rebuild from the journal brings back.
    """

    def __init__(self, out: Path) -> None:
        """Make the four files in the existing folder ``out``."""
        orders = CsvFile(out / "orders.csv", ORDER_COLUMNS)
        trades = CsvFile(out / "trades.csv", TRADE_COLUMNS)
        positions = CsvFile(out / "positions.csv", POSITION_COLUMNS)
        account = CsvFile(out / "account.csv", ACCOUNT_COLUMNS)
        self._files = (orders, trades, positions, account)
        self._account = AccountRows(account)
        self._positions = PositionRows(positions)
        self._orders = OrderRows(orders, trades, self._positions, out)
        self._closed = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            OpenIntent: self._orders.on_intent,
            ReduceIntent: self._orders.on_intent,
            OperatorReduce: self._orders.on_intent,
            RiskDecision: self._orders.on_decision,
            ExecutionReport: self._orders.on_report,
            PortfolioMarked: self._on_mark,
        }

    def write(self, entries: Sequence[Entry], lines: bytes = b"") -> None:
        """Take the next batch; ``lines``, its encoded form, is not needed here."""
        handlers = self._handlers
        with localcontext(EXACT):
            for entry in entries:
                message = entry.message
                handler = handlers.get(message.__class__)
                if handler is not None:
                    handler(message)
        for file in self._files:
            file.flush()

    def close(self) -> None:
        """Write what is unfinished and close the files; may be called again without effect."""
        if not self._closed:
            self._closed = True
            with localcontext(EXACT):
                self._orders.finish()
            for file in self._files:
                file.close()

    def _on_mark(self, marked: PortfolioMarked) -> None:
        at = iso_ms(marked.at)
        self._account.on_mark(at, marked)
        self._positions.on_mark(at, marked.marks)
