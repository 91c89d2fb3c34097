"""
What the venue knows against what a session believes: nothing lost, nothing twice, nothing open.

Pure. ``fold_truth`` and ``fold_journal`` bring a venue's facts and a session's reports to the same
form, by rules of their own (neither asks the matching engine or the ledger), and ``compare`` names
every difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from brokers.virtual.wire import DUPLICATE
from messages import (
    ExecutionReport,
    Fill,
    OrderEvent,
    OrderStatus,
    PositionSide,
    Side,
)
from scenarios.exchange.facts import Fact, FactKind
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


@dataclass(slots=True)
class FoldedOrder:
    """One order: its last status, and how much of it is filled."""

    status: OrderStatus
    quantity: Decimal
    filled: Decimal = ZERO


@dataclass(slots=True)
class Folded:
    """
    One side's account, from its own record alone.

    ``net_flow`` is the deposit less everything paid plus everything received. ``repeated`` are
    trade ids booked more than once, ``sent_again`` client order ids that came more than once.
    """

    net_flow: Decimal = ZERO
    orders: dict[str, FoldedOrder] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    positions: dict[PositionKey, Decimal] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    sent_again: list[str] = field(default_factory=list)

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
        order = self.orders.get(fill.client_order_id)
        if order is not None:
            order.filled = EXACT.add(order.filled, fill.quantity)

    @property
    def held(self) -> dict[PositionKey, Decimal]:
        """Return the positions that are not flat."""
        return {key: quantity for key, quantity in self.positions.items() if quantity}

    @property
    def live(self) -> set[str]:
        """Return the client order ids of the orders that have not ended."""
        return {name for name, order in self.orders.items() if order.status not in TERMINAL}


def fold_truth(facts: Iterable[Fact]) -> Folded:
    """Return the account that a venue's facts add up to."""
    folded = Folded()
    for fact in facts:
        if fact.terms is not None:
            folded.net_flow = fact.terms.deposit
        elif fact.request is not None:
            quantity = fact.request.quantity
            folded.orders[fact.client_order_id] = FoldedOrder(OrderStatus.SENT, quantity)
        elif fact.fact is FactKind.REFUSED and fact.reason == DUPLICATE:
            folded.sent_again.append(fact.client_order_id)
        elif fact.payment is not None:
            folded.net_flow = EXACT.add(folded.net_flow, fact.payment.amount)
        elif fact.report is not None:
            _step(folded, fact)
    return folded


def _step(folded: Folded, fact: Fact) -> None:
    assert fact.report is not None, "only reports are steps"
    order = folded.orders[fact.client_order_id]
    fill = fact.report.fill
    if fill is not None:
        folded.book(fill)
        whole = fact.report.event is OrderEvent.FILLED
        order.status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
    else:
        order.status = _OVER.get(fact.fact, OrderStatus.ACCEPTED)


def fold_journal(messages: Iterable[object], deposit: Decimal = ZERO) -> Folded:
    """Return the account that a session's execution reports add up to, funding left out."""
    folded = Folded(deposit)
    for message in messages:
        if not isinstance(message, ExecutionReport):
            continue
        name = message.client_order_id
        if message.order is not None:
            folded.orders[name] = FoldedOrder(message.status, message.order.quantity)
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
        elif ours != fill:
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
    return Comparison(tuple(sorted(lost)), tuple(sorted(duplicated)), tuple(sorted(unresolved)))


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
