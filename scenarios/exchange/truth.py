"""
What the venue knows against what a session believes: nothing lost, nothing twice, nothing open.

Pure. ``fold_truth`` and ``fold_journal`` bring a venue's facts and a session's reports to the same
form, by rules of their own (neither asks the matching engine or the ledger), and ``compare`` names
every difference. ``last_books`` are what the session's own ledger said last, and ``compare_books``
says where they are not what the venue's facts add up to, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec

from brokers.virtual.wire import DUPLICATE
from messages import (
    AccountAdopted,
    ExecutionReport,
    Fill,
    FundingBooked,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    PortfolioMarked,
    PositionSide,
    Side,
)
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.venue import AGAIN
from state.money import EXACT, ZERO
from state.orders import TERMINAL

PositionKey = tuple[str, PositionSide]

_OVER: Final = {
    FactKind.REJECTED: OrderStatus.REJECTED,
    FactKind.CANCELLED: OrderStatus.CANCELLED,
    FactKind.EXPIRED: OrderStatus.EXPIRED,
}
_NEVER_SENT: Final = frozenset(
    {
        OrderStatus.INTENDED,
        OrderStatus.APPROVED,
        OrderStatus.DENIED,
        OrderStatus.JOURNALED,
        OrderStatus.SUPPRESSED,
    }
)
_IN_DOUBT: Final = frozenset({OrderStatus.SENT, OrderStatus.IN_DOUBT})
_ASKED: Final = (
    "symbol",
    "side",
    "position_side",
    "order_type",
    "quantity",
    "price",
    "stop_price",
)
"""What of an order must have arrived as it was sent, to the last digit."""


@dataclass(slots=True)
class FoldedOrder:
    """One order: its last status, how much of it is filled, and what was asked for if known."""

    status: OrderStatus
    quantity: Decimal
    filled: Decimal = ZERO
    request: OrderRequest | None = None


@dataclass(slots=True)
class Folded:
    """
    One side's account, from its own record alone.

    ``net_flow`` is the deposit less everything paid plus everything received. ``fees`` were paid,
    ``funding`` is by position, negative when paid. ``repeated`` are trade ids booked more than
    once, ``sent_again`` client order ids that came more than once.
    """

    net_flow: Decimal = ZERO
    orders: dict[str, FoldedOrder] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    positions: dict[PositionKey, Decimal] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    sent_again: list[str] = field(default_factory=list)
    fees: Decimal = ZERO
    funding: dict[PositionKey, Decimal] = field(default_factory=dict)

    def book(self, fill: Fill) -> None:
        """Book one fill, whatever was booked before."""
        if fill.trade_id in self.fills:
            self.repeated.append(fill.trade_id)
        self.fills[fill.trade_id] = fill
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        key = (fill.symbol, fill.position_side)
        self.positions[key] = EXACT.add(self.positions.get(key, ZERO), signed)
        paid = EXACT.add(EXACT.multiply(signed, fill.price), fill.fee)
        self.net_flow = EXACT.subtract(self.net_flow, paid)
        self.fees = EXACT.add(self.fees, fill.fee)
        order = self.orders.get(fill.client_order_id)
        if order is not None:
            order.filled = EXACT.add(order.filled, fill.quantity)

    def fund(self, key: PositionKey, amount: Decimal) -> None:
        """Book funding of one position, negative when paid."""
        self.funding[key] = EXACT.add(self.funding.get(key, ZERO), amount)
        self.net_flow = EXACT.add(self.net_flow, amount)

    @property
    def held(self) -> dict[PositionKey, Decimal]:
        """Return the positions that are not flat."""
        return {key: quantity for key, quantity in self.positions.items() if quantity}

    @property
    def live(self) -> set[str]:
        """Return the client order ids of the orders that have not ended."""
        return {name for name, order in self.orders.items() if order.status not in TERMINAL}


def fold_truth(facts: Iterable[Fact], market_id: Callable[[str], str] | None = None) -> Folded:
    """
    Return the account that a venue's facts add up to.

    Where a trade's number is one of its market only, ``market_id`` says what the venue calls the
    market of a symbol, and trades are named as a broker names them: ``BTCUSDT:7``.
    """
    folded = Folded()
    for fact in facts:
        if fact.terms is not None:
            folded.net_flow = fact.terms.deposit
        elif fact.fact is FactKind.AMENDED:
            assert fact.request is not None, "what it became is in its fact"
            amended = folded.orders[fact.client_order_id]
            amended.quantity, amended.request = fact.request.quantity, fact.request
        elif fact.request is not None:
            quantity = fact.request.quantity
            first, again, _ = fact.client_order_id.partition(AGAIN)
            if again:
                folded.sent_again.append(first)
            folded.orders[fact.client_order_id] = FoldedOrder(
                OrderStatus.SENT, quantity, request=fact.request
            )
        elif fact.fact is FactKind.REFUSED and fact.reason == DUPLICATE:
            folded.sent_again.append(fact.client_order_id)
        elif fact.payment is not None:
            paid = fact.payment
            if fact.fact is FactKind.FUNDING:
                folded.fund((paid.symbol, paid.position_side), paid.amount)
            else:
                folded.net_flow = EXACT.add(folded.net_flow, paid.amount)
        elif fact.report is not None:
            _step(folded, fact, market_id)
    return folded


def _step(folded: Folded, fact: Fact, market_id: Callable[[str], str] | None) -> None:
    assert fact.report is not None, "only reports are steps"
    order = folded.orders[fact.client_order_id]
    fill = fact.report.fill
    if fill is not None:
        if market_id is not None:
            name = f"{market_id(fill.symbol)}:{fill.trade_id}"
            fill = msgspec.structs.replace(fill, trade_id=name)
        folded.book(fill)
        whole = fact.report.event is OrderEvent.FILLED
        order.status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
    else:
        order.status = _OVER.get(fact.fact, OrderStatus.ACCEPTED)


def fold_journal(messages: Iterable[object], deposit: Decimal = ZERO) -> Folded:
    """Return the account that a session's execution reports and its funding add up to."""
    folded = Folded(deposit)
    for message in messages:
        if isinstance(message, FundingBooked):
            key = (message.symbol, PositionSide(message.position_side))
            folded.fund(key, message.amount)
        if not isinstance(message, ExecutionReport):
            continue
        name = message.client_order_id
        if message.order is not None:
            quantity = message.order.quantity
            folded.orders[name] = FoldedOrder(message.status, quantity, request=message.order)
        order = folded.orders.get(name)
        if order is None:  # suppressed before it was journaled: never left
            continue
        order.status = message.status
        if message.fill is not None:
            folded.book(message.fill)
    return folded


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    Where a venue's truth and a session's journal part; each line names what, and both sides.

    ``lost``: the venue knows it and the journal does not. ``duplicated``: one of them has it more
    often than the other. ``unresolved``: the journal does not know what the venue knows, or
    believes otherwise.
    """

    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Return whether there is no difference."""
        return not (self.lost or self.duplicated or self.unresolved)


def compare(truth: Folded, journal: Folded) -> Comparison:
    """Return every difference, each list in sorted order; to be asked when all is quiet."""
    lost: list[str] = []
    duplicated = [f"trade {trade_id}: booked twice" for trade_id in journal.repeated]
    duplicated += [f"trade {trade_id}: filled twice" for trade_id in truth.repeated]
    duplicated += [f"order {name}: reached the venue again" for name in truth.sent_again]
    unresolved: list[str] = []
    for trade_id, fill in truth.fills.items():
        ours = journal.fills.get(trade_id)
        if ours is None:
            lost.append(f"trade {trade_id} of order {fill.client_order_id}")
        elif _executed(ours) != _executed(fill):
            unresolved.append(f"trade {trade_id}: venue {fill}, journal {ours}")
    duplicated += [
        f"trade {trade_id}: booked, and not the venue's"
        for trade_id in journal.fills.keys() - truth.fills.keys()
    ]
    lost += [
        f"order {name}: the venue has it, {order.status.value}"
        for name, order in truth.orders.items()
        if name not in journal.orders
    ]
    unresolved += _unresolved(truth.orders, journal.orders)
    for key in truth.funding.keys() | journal.funding.keys():
        theirs, booked = truth.funding.get(key, ZERO), journal.funding.get(key, ZERO)
        if theirs != booked:
            name = f"{key[0]} {key[1].value}"
            unresolved.append(f"funding of {name}: venue {theirs}, journal {booked}")
    return Comparison(tuple(sorted(lost)), tuple(sorted(duplicated)), tuple(sorted(unresolved)))


def _executed(fill: Fill) -> Fill:
    """Return a fill without what is the session's own: no exchange knows it of an order."""
    return msgspec.structs.replace(fill, order_id="", strategy="")


def _unresolved(
    truth: Mapping[str, FoldedOrder], journal: Mapping[str, FoldedOrder]
) -> Iterable[str]:
    for name, ours in journal.items():
        theirs = truth.get(name)
        status = ours.status
        if theirs is None:
            if status not in _NEVER_SENT and status is not OrderStatus.REJECTED:
                yield f"order {name}: journal {status.value}, and the venue never had it"
        elif status in _NEVER_SENT:
            yield f"order {name}: journal {status.value}, and the venue has it"
        elif status in _IN_DOUBT:
            yield f"order {name}: journal {status.value}, venue {theirs.status.value}"
        elif (status, ours.filled) != (theirs.status, theirs.filled):
            yield (
                f"order {name}: journal {status.value} filled {ours.filled}, "
                f"venue {theirs.status.value} filled {theirs.filled}"
            )
        elif ours.request is not None and theirs.request is not None:
            for what in _ASKED:
                asked, came = getattr(ours.request, what), getattr(theirs.request, what)
                if asked != came:
                    yield f"order {name}: {what}: journal {asked}, venue {came}"


# -- the session's own ledger


@dataclass(slots=True)
class LastBooks:
    """
    What a session's ledger said last.

    ``net_flow`` is worked out of its equity: what its positions are worth at the marks is taken
    out. ``funding`` is what was paid less what was received, ``held`` are the positions of all
    strategies that are not flat.
    """

    net_flow: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    held: dict[PositionKey, Decimal] = field(default_factory=dict)


def last_books(messages: Iterable[object]) -> LastBooks:
    """Return what the ledger of a session of perpetuals said at its last valuation."""
    books: dict[tuple[str, str, PositionSide], Decimal] = {}
    last: PortfolioMarked | None = None
    for message in messages:
        match message:
            case PortfolioMarked():
                last = message
            case ExecutionReport(fill=Fill() as fill, booking=booking) if booking is not None:
                books[fill.strategy, fill.symbol, fill.position_side] = booking.quantity
            case AccountAdopted(adoption=adoption, booking=booking) if booking is not None:
                lots = adoption.fill
                assert lots is not None, "what was booked was a fill"
                books[lots.strategy, lots.symbol, lots.position_side] = booking.quantity
    found = LastBooks()
    for (_, symbol, side), quantity in books.items():
        key = (symbol, side)
        found.held[key] = EXACT.add(found.held.get(key, ZERO), quantity)
    found.held = {key: quantity for key, quantity in found.held.items() if quantity}
    if last is not None:
        marks = dict(last.marks)
        found.net_flow, found.fees, found.funding = last.equity, last.fees, last.funding
        for (symbol, _), quantity in found.held.items():
            worth = EXACT.multiply(quantity, marks[symbol])
            found.net_flow = EXACT.subtract(found.net_flow, worth)
    return found


def compare_books(truth: Folded, books: LastBooks) -> list[str]:
    """Return where a ledger is not what the venue's facts add up to; perpetuals only."""
    paid = EXACT.minus(sum(truth.funding.values(), ZERO))
    pairs = {
        "net flow": (truth.net_flow, books.net_flow),
        "fees": (truth.fees, books.fees),
        "funding": (paid, books.funding),
        "positions": (truth.held, books.held),
    }
    return [
        f"{what}: venue {theirs}, ledger {ours}"
        for what, (theirs, ours) in pairs.items()
        if theirs != ours
    ]
