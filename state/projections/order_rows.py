"""Rows of ``orders.csv`` and ``trades.csv``, out of the steps in each order's life."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import chain
from pathlib import Path

import msgspec

from messages import (
    AccountAdopted,
    Booking,
    Cause,
    ExecutionReport,
    Fill,
    Intent,
    OpenIntent,
    OrderRequest,
    OrderStatus,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Side,
    Verdict,
)
from state.money import plain, ratio
from state.orders import TERMINAL
from state.projections.csv_text import CsvFile, Words, csv_row, quoted
from state.projections.ordered_rows import OrderedRows, Place
from state.projections.position_rows import PositionRows
from state.projections.timestamps import iso_ms

ORDER_COLUMNS = (
    "order_id",
    "client_order_id",
    "created_at",
    "updated_at",
    "strategy",
    "symbol",
    "position_side",
    "side",
    "type",
    "time_in_force",
    "reduce_only",
    "quantity",
    "price",
    "stop_price",
    "filled",
    "average_price",
    "fee",
    "status",
    "reason",
)
TRADE_COLUMNS = (
    "trade_id",
    "timestamp",
    "order_id",
    "client_order_id",
    "strategy",
    "symbol",
    "position_side",
    "side",
    "quantity",
    "price",
    "fee",
    "fee_currency",
    "liquidity",
    "realized_pnl",
    "lot_ids",
    "decision_price",
    "slippage",
)

_BUY = Side.BUY
_DENIED = Verdict.DENIED
_REPEATED = ReasonCode.DUPLICATE_INTENT
_FILLED = OrderStatus.FILLED


class _Fills(msgspec.Struct, gc=False):
    """What the fills of an order come to, where it was not filled whole by one."""

    quantity: Decimal
    notional: Decimal
    fee: Decimal
    fee_currency: str

    def add(self, fill: Fill) -> None:
        """Add a further fill."""
        self.quantity += fill.quantity
        self.notional += fill.quantity * fill.price
        # ``orders.csv`` names no currency: its fee is in that of the first fill that paid one.
        if not self.fee:
            self.fee_currency = fill.fee_currency
        if fill.fee_currency == self.fee_currency:
            self.fee += fill.fee

    def amounts(self) -> str:
        """Return the columns filled, average_price and fee."""
        return (
            f"{plain(self.quantity)},{plain(ratio(self.notional, self.quantity))},{plain(self.fee)}"
        )


class _Order(msgspec.Struct, gc=False):
    """An unfinished order: the messages that its row will be made of."""

    intent: Intent | None
    place: Place
    decision: RiskDecision | None = None
    request: OrderRequest | None = None
    report: ExecutionReport | None = None
    fills: _Fills | None = None


class OrderRows:
    """
    Write one row an order, in order of creation, and one row a fill, as it comes.

    An order begins with its intent, or, without one, where the journal first shows its
    request. Its row waits until it is finished; refused and suppressed ones have a row too. A
    fill that comes after its order's end still has its row in ``trades.csv``; the order's row
    is written by then and stays as it was at the end. ``on_news`` is told of fills and of ends,
    which are few of an order's steps. Call everything under ``EXACT``.
    """

    __slots__ = ("_on_news", "_orders", "_positions", "_repeats", "_rows", "_trades", "_words")

    def __init__(
        self,
        orders: CsvFile,
        trades: CsvFile,
        positions: PositionRows,
        folder: Path,
        on_news: Callable[[ExecutionReport], object],
    ) -> None:
        self._orders: dict[str, _Order] = {}
        self._repeats: dict[str, list[_Order]] = {}
        self._rows = OrderedRows(orders, folder)
        self._trades = trades.lines
        self._positions = positions
        self._on_news = on_news
        self._words = Words()

    def on_intent(self, intent: OpenIntent | ReduceIntent) -> None:
        """Begin an order; a repeat of an unfinished one gets a row of its own, for its refusal."""
        order = _Order(intent, self._rows.take_place())
        if intent.intent_id in self._orders:
            self._repeats.setdefault(intent.intent_id, []).append(order)
        else:
            self._orders[intent.intent_id] = order

    def on_decision(self, decision: RiskDecision) -> None:
        """Note an approval; end the order at a refusal, or the repeat that was refused."""
        if self._repeats and any(cause.code is _REPEATED for cause in decision.causes):
            repeats = self._repeats.get(decision.intent_id)
            if repeats:
                repeat = repeats.pop(0)
                repeat.decision = decision
                self._rows.put(repeat.place, _intent_row(repeat))
                return
        order = self._orders.get(decision.intent_id)
        if order is not None:
            order.decision = decision
            if decision.verdict is _DENIED:
                del self._orders[decision.intent_id]
                self._rows.put(order.place, _intent_row(order))

    def on_report(self, report: ExecutionReport) -> None:
        """Take one step in an order's life; a fill's booking goes on to the positions."""
        order = self._orders.get(report.order_id)
        if report.fill is not None:
            self._trades.append(self._trade_row(order, report.fill, report.booking, report))
            self._on_news(report)
            return
        if report.order is not None:
            if order is None:
                order = self._orders[report.order_id] = _Order(None, self._rows.take_place())
            order.request = report.order
        over = report.status in TERMINAL
        if order is not None:
            order.report = report
            if over:
                del self._orders[report.order_id]
                self._rows.put(order.place, self._finished_row(order))
        if over:
            self._on_news(report)

    def on_adopted(self, adopted: AccountAdopted) -> None:
        """Show lots that were taken into the books, or out of them, as a trade of no order."""
        fill = adopted.adoption.fill
        if fill is not None:
            self._trades.append(self._trade_row(None, fill, adopted.booking, None))

    def finish(self) -> None:
        """Write the unfinished orders as they stand, in order of creation."""
        unfinished = [*self._orders.values(), *chain.from_iterable(self._repeats.values())]
        for order in unfinished:
            self._rows.put(order.place, self._finished_row(order))
        self._orders.clear()
        self._repeats.clear()
        self._rows.close()

    def _trade_row(
        self,
        order: _Order | None,
        fill: Fill,
        booking: Booking | None,
        report: ExecutionReport | None,
    ) -> str:
        """Take a fill, of an order of ours if there is a ``report``; return its row."""
        book = self._positions.on_fill(fill, booking)
        realized = lots = ""
        if booking is not None:
            realized = plain(booking.realized_pnl)
            lots = "|".join(booking.lot_ids)
        trade_id, ids = fill.trade_id, f"{fill.order_id},{fill.client_order_id}"
        # Ids are new every time: one look at all of them decides whether any needs quotes.
        every_id = f"{trade_id}{ids}{lots}"
        if every_id.count(",") > 1 or '"' in every_id or "\n" in every_id or "\r" in every_id:
            trade_id, lots = quoted(trade_id), quoted(lots)
            ids = f"{quoted(fill.order_id)},{quoted(fill.client_order_id)}"
        # These three stand side by side in both files.
        amounts = f"{fill.quantity or 0!s},{fill.price or 0!s},{fill.fee or 0!s}"
        if "E" in amounts:
            amounts = f"{plain(fill.quantity)},{plain(fill.price)},{plain(fill.fee)}"
        decided = ","
        if order is not None and report is not None:
            request = order.request
            if request is not None:
                decided = _decided(request.decision_price, fill)
                if report.status is _FILLED and order.fills is None:
                    del self._orders[report.order_id]
                    row = self._order_row(ids, book, order.intent, request, report, amounts)
                    self._rows.put(order.place, row)
                else:
                    self._on_part(order, report, fill)
        words = self._words
        return (
            f"{trade_id},{iso_ms(fill.timestamp)},{ids},{book},{words[fill.side]},{amounts},"
            f"{words[fill.fee_currency]},{words[fill.liquidity]},{realized},{lots},{decided}\n"
        )

    def _on_part(self, order: _Order, report: ExecutionReport, fill: Fill) -> None:
        """Take a fill that is not the whole order."""
        order.report = report
        if order.fills is None:
            notional = fill.quantity * fill.price
            order.fills = _Fills(fill.quantity, notional, fill.fee, fill.fee_currency)
        else:
            order.fills.add(fill)
        if report.status in TERMINAL:
            del self._orders[report.order_id]
            self._rows.put(order.place, self._finished_row(order))

    def _finished_row(self, order: _Order) -> str:
        request, report = order.request, order.report
        if request is None or report is None:
            return _intent_row(order)
        words = self._words
        ids = f"{quoted(request.order_id)},{quoted(request.client_order_id)}"
        book = f"{words[request.strategy]},{words[request.symbol]},{words[request.position_side]}"
        amounts = f"{plain(report.filled)},,0" if order.fills is None else order.fills.amounts()
        return self._order_row(ids, book, order.intent, request, report, amounts)

    def _order_row(
        self,
        ids: str,
        book: str,
        intent: Intent | None,
        request: OrderRequest,
        report: ExecutionReport,
        amounts: str,
    ) -> str:
        words = self._words
        return (
            f"{ids},{iso_ms(request.created_at if intent is None else intent.created_at)},"
            f"{iso_ms(report.timestamp)},{book},{words[request.side]},"
            f"{words[request.order_type]},{words[request.time_in_force]},"
            f"{'true' if request.reduce_only else 'false'},{plain(request.quantity)},"
            f"{'' if request.price is None else plain(request.price)},"
            f"{'' if request.stop_price is None else plain(request.stop_price)},"
            f"{amounts},{words[report.status]},"
            f"{'' if report.cause is None else quoted(str(report.cause))}\n"
        )


def _decided(decision_price: Decimal | None, fill: Fill) -> str:
    """Return the columns decision_price and slippage, the latter positive when adverse."""
    if decision_price is None:
        return ","
    if fill.side is _BUY:
        slippage = fill.price - decision_price
    else:
        slippage = decision_price - fill.price
    text = f"{decision_price or 0!s},{slippage or 0!s}"
    return text if "E" not in text else f"{plain(decision_price)},{plain(slippage)}"


def _intent_row(order: _Order) -> str:
    """Return the row of what never became a request: refused, suppressed, or still undecided."""
    intent = order.intent
    assert intent is not None, "an order without a request began with its intent"
    policy = intent.policy
    decision, report = order.decision, order.report
    causes: tuple[Cause, ...] = ()
    updated_at, status = intent.created_at, "intended"
    if decision is not None:
        updated_at, status, causes = decision.decided_at, decision.verdict, decision.causes
    if report is not None:
        updated_at, status = report.timestamp, report.status
        causes = () if report.cause is None else (report.cause,)
    return csv_row(
        (
            intent.intent_id,
            "" if report is None else report.client_order_id,
            iso_ms(intent.created_at),
            iso_ms(updated_at),
            intent.strategy,
            intent.symbol,
            intent.position_side,
            intent.side,
            policy.order_type,
            policy.time_in_force,
            "true" if isinstance(intent, ReduceIntent) else "false",
            "" if intent.quantity is None else plain(intent.quantity),
            "" if policy.limit_price is None else plain(policy.limit_price),
            "" if policy.stop_price is None else plain(policy.stop_price),
            "0",
            "",
            "0",
            status,
            ";".join(map(str, causes)),
        )
    )
