"""
What is in an account beside what this session's orders have made of it.

A ledger entry that no order of ours explains is made here and nowhere else, by Execution and, from
its journal, by the fold of facts: both come to the same books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from messages import (
    EXTERNAL,
    Adoption,
    Booking,
    Fill,
    Liquidity,
    PositionSide,
    Side,
)
from state.instruments import Instrument
from state.ledger import Ledger, LotMethod
from state.money import EXACT, ZERO
from state.orders import Order, OrderStore
from state.reconciliation import Mismatch, MismatchKind


@dataclass(slots=True)
class Outside:
    """
    What was adopted: foreign orders that are watched, and what the venue's totals have beside ours.

    ``fees`` and ``funding`` are what was paid of them before or without this session's books.
    """

    watched: set[str] = field(default_factory=set)
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    adopted: int = 0


def adopt(
    adoption: Adoption, ledger: Ledger, orders: OrderStore, outside: Outside
) -> Booking | None:
    """Enter one adoption; raise ``ImpossibleFill``, changing nothing, where lots cannot move so."""
    booking = None
    if adoption.fill is not None:
        booking = ledger.book_fill(adoption.fill)
        orders.book_once(adoption.fill.trade_id)
    if adoption.transfer:
        ledger.deposit(adoption.transfer)
    outside.fees = EXACT.add(outside.fees, adoption.fees)
    outside.funding = EXACT.add(outside.funding, adoption.funding)
    outside.adopted += 1
    if adoption.client_order_id:
        outside.watched.add(adoption.client_order_id)
    return booking


def adoption_of(
    mismatch: Mismatch,
    *,
    instruments: Mapping[str, Instrument],
    currency: str,
    mark: Decimal | None,
    at: int,
    number: str,
) -> Adoption | str:
    """
    Return what taking the venue's word for ``mismatch`` comes to, or why it cannot be taken.

    Lots come in at the venue's average price, else at ``mark``. What is held outright comes with
    the money that it is worth, as if somebody had brought it; a contract is worth nothing when it
    is made. Where the venue tells of money as well: see ``settled``. ``number`` makes the id of the
    entry, at session time ``at``.
    """
    reason = str(mismatch)
    match mismatch.kind:
        case MismatchKind.EXTERNAL_POSITION | MismatchKind.POSITION_DRIFT:
            assert mismatch.key is not None, "a position has its book"
            symbol, side = mismatch.key
            instrument = instruments.get(symbol)
            if instrument is None:
                return f"{symbol} is not an instrument of this session"
            price = mismatch.price or mark
            if price is None or price <= ZERO:
                return f"no price is known for {symbol}"
            lots = _lots(number, mismatch.delta, price, (symbol, side), currency, at)
            brought = EXACT.multiply(mismatch.delta, price) if instrument.is_spot else ZERO
            return Adoption(reason, lots, brought)
        case MismatchKind.UNBOOKED_PAYMENT:
            paid = EXACT.minus(mismatch.delta)
            fees, funding = (paid, ZERO) if mismatch.subject == "fees" else (ZERO, paid)
            return Adoption(reason, None, mismatch.delta, fees, funding)
        case MismatchKind.BALANCE_DRIFT:
            return Adoption(reason, None, mismatch.delta)
        case MismatchKind.FOREIGN_ORDER | MismatchKind.STRAY_ORDER:
            return Adoption(reason, client_order_id=mismatch.subject)
        case _:
            return "only the venue's evidence about the order itself settles it"


def settled(found: Sequence[Adoption]) -> list[Adoption]:
    """
    Return the adoptions of one look, with lots and the money that went for them as one exchange.

    Net flow counts what a position has cost, so a difference in money has all of that in it. Lots
    are then paid for out of what there is, and only the rest of the money came or went.
    """
    worth = sum((_cost(each.fill) for each in found if each.fill is not None), ZERO)
    if not any(each.fill for each in found) or not any(map(_is_money, found)):
        return list(found)
    made = []
    for each in found:
        if each.fill is not None:
            made.append(msgspec.structs.replace(each, transfer=ZERO))
        elif not _is_money(each):
            made.append(each)
        elif rest := EXACT.add(each.transfer, worth):
            made.append(msgspec.structs.replace(each, transfer=rest))
    return made


def _is_money(adoption: Adoption) -> bool:
    """Return whether an adoption is of money alone, and of no payment that the venue names."""
    named = adoption.fees or adoption.funding or adoption.client_order_id
    return adoption.fill is None and bool(adoption.transfer) and not named


def _cost(fill: Fill) -> Decimal:
    cost = EXACT.multiply(fill.quantity, fill.price)
    return cost if fill.side is Side.BUY else EXACT.minus(cost)


def external(fill: Fill) -> Fill:
    """Return a trade of a watched foreign order as the external book's."""
    return msgspec.structs.replace(fill, strategy=EXTERNAL)


def _lots(
    number: str,
    delta: Decimal,
    price: Decimal,
    book: tuple[str, PositionSide],
    currency: str,
    at: int,
) -> Fill:
    name = f"adopted-{number}"
    side = Side.BUY if delta > ZERO else Side.SELL
    quantity = abs(delta)
    return Fill(
        name,
        name,
        name,
        EXTERNAL,
        book[0],
        side,
        book[1],
        quantity,
        price,
        ZERO,
        currency,
        Liquidity.TAKER,
        at,
    )


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    A session's ledger and statistics, from the venue's trades alone.

    ``volume`` is the sum of quantity times price; ``foreign`` counts trades of orders that nobody
    here knows, which are left out.
    """

    ledger: Ledger
    trades: int
    volume: Decimal
    foreign: int


def rebuilt(
    fills: Iterable[Fill],
    order_of: Callable[[str], Order | None],
    instruments: Mapping[str, Instrument],
    *,
    currency: str,
    deposit: Decimal,
    lot_methods: Mapping[str, LotMethod] | None = None,
) -> Rebuilt:
    """
    Return what the venue's trades come to, each counted once, in the order of their times and ids.

    Whose a trade is comes from our own orders, by client order id: a venue knows no strategies.
    """
    ledger = Ledger(instruments, currency=currency, deposit=deposit, lot_methods=lot_methods)
    once = {fill.trade_id: fill for fill in fills}
    trades = foreign = 0
    volume = ZERO
    for fill in sorted(once.values(), key=_told_at):
        order = order_of(fill.client_order_id)
        if order is None:
            foreign += 1
            continue
        request = order.request
        ledger.book_fill(
            msgspec.structs.replace(fill, strategy=request.strategy, order_id=request.order_id)
        )
        trades += 1
        volume = EXACT.add(volume, EXACT.multiply(fill.quantity, fill.price))
    return Rebuilt(ledger, trades, volume, foreign)


def _told_at(fill: Fill) -> tuple[int, int, str]:
    """Return what orders trades: time, then the venue's own count, which has no leading zeros."""
    return fill.timestamp, len(fill.trade_id), fill.trade_id
