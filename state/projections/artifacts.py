"""
The CSV files of a session, written as its journal is.

Everything in them follows from the messages alone, so the same journal gives the same bytes,
while the session runs or years later. Memory depends on how many orders are unfinished and how
many positions there are, not on how long the session is.

These are the costliest projections of a replay: every order passes through seven events. Hence
rows are made by one formatted string each, what they share is formatted once, and a message is
looked at only for what a row needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import localcontext
from pathlib import Path
from typing import Any

from messages import (
    AccountAdopted,
    ExecutionReport,
    OpenFollowUp,
    OpenIntent,
    OperatorReduce,
    PortfolioMarked,
    ReduceFollowUp,
    ReduceIntent,
    RiskDecision,
)
from state.journal import Entry
from state.money import EXACT
from state.projections.account_rows import ACCOUNT_COLUMNS, AccountRows
from state.projections.csv_text import CsvFile
from state.projections.executions import Executions
from state.projections.order_rows import ORDER_COLUMNS, TRADE_COLUMNS, OrderRows
from state.projections.position_rows import POSITION_COLUMNS, PositionRows
from state.projections.timestamps import iso_ms

Handler = Callable[[Any], object]


class CsvArtifacts:
    """
    Write orders, trades, positions and account, intents and round trips from the journal.

    A journal's sink: give it every entry, from the first, once. Files of an earlier run in
    ``out`` are replaced. After each batch the rows known by then are with the operating
    system; ``close`` adds what is not finished, as it stands. Nothing is synced to disk: what a
    crash of the machine takes, a rebuild from the journal brings back. ``executions`` has what a
    summary says of intents and round trips.
    """

    def __init__(self, out: Path) -> None:
        """Make the files in the existing folder ``out``."""
        orders = CsvFile(out / "orders.csv", ORDER_COLUMNS)
        trades = CsvFile(out / "trades.csv", TRADE_COLUMNS)
        positions = CsvFile(out / "positions.csv", POSITION_COLUMNS)
        account = CsvFile(out / "account.csv", ACCOUNT_COLUMNS)
        self.executions = Executions(out)
        self._files = (orders, trades, positions, account, *self.executions.files)
        self._account = AccountRows(account)
        self._positions = PositionRows(positions)
        self._orders = OrderRows(orders, trades, self._positions, out, self.executions.on_news)
        self._closed = False
        self._handlers = both(
            {
                OpenIntent: self._orders.on_intent,
                ReduceIntent: self._orders.on_intent,
                OpenFollowUp: self._orders.on_intent,
                ReduceFollowUp: self._orders.on_intent,
                OperatorReduce: self._orders.on_intent,
                RiskDecision: self._orders.on_decision,
                ExecutionReport: self._orders.on_report,
                AccountAdopted: self._orders.on_adopted,
            },
            self.executions.handlers(),
        )
        self._handlers[ExecutionReport] = self._orders.on_report
        self._handlers[PortfolioMarked] = self._on_first_mark

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
                self.executions.finish()
            for file in self._files:
                file.close()

    def _on_first_mark(self, marked: PortfolioMarked) -> None:
        self._handlers[PortfolioMarked] = self._on_mark  # it has named the account's currency
        self.executions.on_mark(marked)
        self._on_mark(marked)

    def _on_mark(self, marked: PortfolioMarked) -> None:
        at = iso_ms(marked.at)
        self._account.on_mark(at, marked)
        self._positions.on_mark(at, marked.marks)


def both(first: Mapping[type, Handler], second: Mapping[type, Handler]) -> dict[type, Handler]:
    """Return what gives each message to the handlers of its class in both, in this order."""
    return {
        kind: _in_turn(first[kind], second[kind]) if kind in first and kind in second else handler
        for kind, handler in {**first, **second}.items()
    }


def _in_turn(first: Handler, second: Handler) -> Handler:
    def handle(message: Any) -> None:
        first(message)
        second(message)

    return handle
