"""Random sessions: every intent has one row that adds up, every trip its money, to the digit."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_makers import EXECUTION_FILES, write_csv
from session_world import BTC, ETH, PERP, World, instruments_of, make_world
from wishing import unruly_world
from workloads import busy_steps, market, trader

from messages import (
    Cause,
    ExecutionReport,
    Fill,
    Intent,
    IntentEnded,
    OpenFollowUp,
    PortfolioMarked,
    ReasonCode,
    ReduceFollowUp,
    RiskDecision,
    Side,
    Verdict,
)
from state.journal import Entry
from state.ledger import LotMethod
from state.projections import CsvArtifacts, SummaryProjection, project, summary_json

BARS = 24
ZERO = Decimal(0)
FOLLOW_UPS = (OpenFollowUp, ReduceFollowUp)

seeds = st.integers(0, 10_000)


def busy_world(seed: int, *, brackets: bool = True, lots: LotMethod = LotMethod.FIFO) -> World:
    """Return a busy session of two strategies that share a symbol."""
    one = trader(busy_steps(2 * seed, 2 * BARS, 1.2)).spec("one", (BTC, ETH))
    two = trader(busy_steps(2 * seed + 1, 2 * BARS, 1.2)).spec("two", (BTC, PERP))
    return make_world(
        market(BARS, seed),
        replace(one, lot_method=lots),
        replace(two, lot_method=lots),
        cash=20_000,
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25")),
        participation=Decimal("0.05"),
        brackets=brackets,
    ).run()


def rows_of(entries: list[Entry]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the rows of both files."""
    with TemporaryDirectory() as folder:
        files = write_csv(Path(folder), entries, files=EXECUTION_FILES)
    found = [list(csv.DictReader(io.StringIO(files[name], newline=""))) for name in EXECUTION_FILES]
    return found[0], found[1]


@settings(max_examples=15)
@given(seeds, st.booleans())
def test_every_intent_has_one_row_that_adds_up(seed: int, brackets: bool) -> None:
    """Ids, orders, further orders, quantities and mean prices, counted again from the journal."""
    world = busy_world(seed, brackets=brackets)
    rows, _ = rows_of(world.entries)
    orders = [row for row in rows if row["side"]]
    asked = [m.intent_id for m in world.all(Intent) if type(m) not in FOLLOW_UPS]

    assert asked == [row["intent_id"] for row in orders]
    check_counts(world, {row["intent_id"]: row for row in orders})
    check_fills(world, {row["intent_id"]: row for row in orders})


def check_counts(world: World, rows: dict[str, dict[str, str]]) -> None:
    """Check the numbers of orders, and of those that policies permit."""
    made: Counter[str] = Counter()
    for decision in world.all(RiskDecision):
        if decision.verdict is Verdict.APPROVED:
            made[decision.root_id or decision.intent_id] += 1
    ended = {end.intent_id: end for end in world.all(IntentEnded)}
    for intent_id, row in rows.items():
        assert made[intent_id] == int(row["orders"])
        end = ended.get(intent_id)
        if end is not None and end.cause != Cause(ReasonCode.BRACKET):
            counts = [end.retries, end.reprices, end.fallbacks]
            assert counts == [int(row[name]) for name in ("retries", "reprices", "fallbacks")]


def check_fills(world: World, rows: dict[str, dict[str, str]]) -> None:
    """Check quantities, means and slippage against the fills."""
    intents = {intent.intent_id: intent for intent in world.all(Intent)}
    fills: defaultdict[str, list[Fill]] = defaultdict(list)
    for report in world.all(ExecutionReport):
        if report.fill is not None:
            fills[report.root_id or report.order_id].append(report.fill)
    for intent_id, row in rows.items():
        filled = sum((fill.quantity for fill in fills[intent_id]), ZERO)
        assert filled == Decimal(row["filled"])
        assert ("filled" == row["outcome"]) == (filled == Decimal(row["quantity"] or -1) != 0)
        if not filled:
            continue
        notional = sum((fill.quantity * fill.price for fill in fills[intent_id]), ZERO)
        assert abs(Decimal(row["average_price"]) * filled - notional) < Decimal("1e-9")
        decided = intents[intent_id].decision_price
        if decided is not None:
            sign = 1 if row["side"] == "buy" else -1
            slippage = sign * (notional - decided * filled)
            assert abs(Decimal(row["slippage"]) * filled - slippage) < Decimal("1e-9")


class Book:
    """One book's money, counted by the cash that went in and out: no lots, no averages."""

    def __init__(self) -> None:
        self.held = self.spent = self.fees = ZERO
        self.trips: list[tuple[Decimal, Decimal]] = []

    def take(self, fill: Fill) -> None:
        """Take a fill, cut in two where it passes through flat."""
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        crosses = self.held * (self.held + signed) < 0
        part = -self.held if crosses else signed
        self._add(part, fill.price, fill.fee * abs(part) / fill.quantity)
        if crosses:
            rest = signed - part
            self._add(rest, fill.price, fill.fee * abs(rest) / fill.quantity)

    def _add(self, signed: Decimal, price: Decimal, fee: Decimal) -> None:
        self.held += signed
        self.spent += signed * price
        self.fees += fee
        if not self.held:
            self.trips.append((-self.spent, self.fees))
            self.spent = self.fees = ZERO


@settings(max_examples=15)
@given(seeds, st.booleans(), st.sampled_from(LotMethod))
def test_every_trip_has_its_money(seed: int, brackets: bool, lots: LotMethod) -> None:
    """Realised profit is the cash that came out less what went in, whichever lots are closed."""
    check_money(busy_world(seed, brackets=brackets, lots=lots))


@pytest.mark.parametrize("hedge", [False, True], ids=["one_way", "hedge"])
def test_no_fault_of_a_venue_costs_a_trip_its_money(hedge: bool) -> None:
    """Late, lost, split and doubled fills; in hedge mode two books side by side."""
    for seed in range(12):
        world = unruly_world(seed, brackets=True, hedge=hedge).run()
        intents, _ = rows_of(world.entries)
        asked = [m.intent_id for m in world.all(Intent) if type(m) not in FOLLOW_UPS]

        assert asked == [row["intent_id"] for row in intents if row["side"]]
        check_money(world)


def check_money(world: World) -> None:
    """Check every closed trip against cash in and out, and the sums against the account."""
    _, rows = rows_of(world.entries)
    books: defaultdict[tuple[str, str, str], Book] = defaultdict(Book)
    for report in world.all(ExecutionReport):
        if report.fill is not None:
            fill = report.fill
            books[fill.strategy, fill.symbol, fill.position_side.value].take(fill)
    last = world.all(PortfolioMarked)[-1]

    for key, book in books.items():
        closed = [row for row in rows if key == book_of(row) and row["state"] != "open"]
        assert len(book.trips) == len(closed)
        for (realized, fees), row in zip(book.trips, closed, strict=True):
            assert realized == Decimal(row["realized_pnl"])
            assert abs(fees - Decimal(row["fees"])) < Decimal("1e-9")
            net = Decimal(row["realized_pnl"]) - Decimal(row["fees"]) - Decimal(row["funding"])
            assert net == Decimal(row["net_pnl"])
        assert bool(book.held) == any(row["state"] == "open" for row in rows if key == book_of(row))
    assert last.realized_pnl == sum((Decimal(row["realized_pnl"]) for row in rows), ZERO)
    assert last.fees == sum((Decimal(row["fees"]) for row in rows), ZERO)


def book_of(row: dict[str, str]) -> tuple[str, str, str]:
    """Return the book that a trip's row is of."""
    return row["strategy"], row["symbol"], row["position_side"]


@settings(max_examples=10)
@given(seeds)
def test_the_summary_counts_the_same_with_files_and_without(seed: int) -> None:
    """One reading serves both; a summary without files reads for itself."""
    entries = busy_world(seed).entries
    with TemporaryDirectory() as folder:
        tables = CsvArtifacts(Path(folder))
        lent = SummaryProjection(tables.executions)
        project(entries, tables, lent)
    alone = SummaryProjection()
    project(entries, alone)

    assert summary_json(alone.summary()) == summary_json(lent.summary())


@settings(max_examples=10)
@given(seeds)
def test_the_summary_adds_up_the_rows(seed: int) -> None:
    """Counts and costs by strategy are those of the rows."""
    entries = busy_world(seed).entries
    intents, trips = rows_of(entries)
    projection = SummaryProjection()
    project(entries, projection)

    for result in projection.summary().executions:
        own = [row for row in intents if row["strategy"] == result.strategy and row["side"]]
        costs = [row for row in trips if row["strategy"] == result.strategy]
        closed = [row for row in costs if row["state"] != "open"]
        assert len(own) == result.intents
        for name in ("orders", "retries", "reprices", "fallbacks"):
            assert sum(int(row[name]) for row in own) == getattr(result, name)
        refused = sum(1 for row in own if row["outcome"] == "refused" and row["orders"] == "0")
        assert refused == sum(result.refusals.values())
        assert len(closed) == result.trips.closed
        assert sum((Decimal(row["net_pnl"]) for row in closed), ZERO) == result.trips.net_pnl
        slippage = sum((Decimal(row["slippage_cost"] or 0) for row in costs), ZERO)
        assert slippage == result.trips.slippage
