"""
Venue truth against local truth: a pure difference.

Equal books give no difference. Every difference is named, with both sides and how far they are
apart, and none is repaired here: what to do about one is its reader's policy.

Theory of operation. What is on its way is no difference. A trade that the venue tells of and that
is not booked yet (``unbooked``) is named once, as a missing fill, and everything that it explains
(quantity, money, fee) is taken out before the rest is compared. An order of which the venue has
not said what became of it (``AccountView.unsettled``) may have traded in part or whole: a position
within what it may have done is no drift, and the money is not compared until it is accounted for.

What cannot be compared because one side does not keep it (``None``) is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from messages import Explained, Fill, PositionSide, Side, VenueAccount, VenuePayment
from state.money import EXACT, ZERO, plain

PositionKey = tuple[str, PositionSide]
"""(symbol, position side): a venue knows no strategies."""

MONEY: Final = "net flow"
"""The subject of a difference in money."""


class MismatchKind(Explained):
    """What differs; the table in ``docs/explanation/reconciliation.md`` has the same words."""

    MISSING_FILL = ("missing_fill", "the venue tells of a trade of our order that is not booked")
    POSITION_DRIFT = ("position_drift", "both have a position, or only we, and they differ")
    EXTERNAL_POSITION = ("external_position", "the venue has a position where our books are flat")
    FOREIGN_ORDER = ("foreign_order", "the venue has an order that no session of ours has sent")
    STRAY_ORDER = (
        "stray_order",
        "the venue has an order with a client id of ours that our books do not have open",
    )
    STALE_ORDER = ("stale_order", "we believe that it is open, and the venue does not have it")
    UNBOOKED_PAYMENT = ("unbooked_payment", "the venue has taken a fee or funding that we have not")
    BALANCE_DRIFT = ("balance_drift", "money differs by more than anything above explains")
    NO_ANSWER = ("no_answer", "the venue does not say what it holds: nothing can be compared")


class Mismatch(msgspec.Struct, frozen=True, gc=False):
    """
    One difference: its kind, what it is about, and what each side says.

    ``delta`` is how far the venue is from us, in units of a position or in money. ``key`` and
    ``price`` (the venue's average, if it says one) are set for positions, ``fill`` for a missing
    fill; ``subject`` is the client order id of an order.
    """

    kind: MismatchKind
    subject: str
    local: str
    venue: str
    delta: Decimal = ZERO
    key: PositionKey | None = None
    price: Decimal | None = None
    fill: Fill | None = None

    def __str__(self) -> str:
        """Return the form that operators read."""
        if self.kind is MismatchKind.NO_ANSWER:
            return f"no answer: {self.venue}"
        return f"{self.kind.value} {self.subject}: local {self.local}, venue {self.venue}"


class AccountView(msgspec.Struct, frozen=True):
    """
    One side's account: net positions per symbol and side, open client order ids, net flow.

    ``net_flow`` is deposits less everything paid plus everything received, perpetuals counted
    as if paid for in full: unlike cash it does not depend on whether profit is realised by
    lots or by average price, which a ledger and a venue may each do their own way. ``fees`` and
    ``funding`` are totals of what was paid, ``prices`` average prices of positions.
    ``unsettled`` has, by client order id, which book an order may still have moved, and by how
    much at most (signed); ``watched`` are orders of others that are known and left alone.
    ``moving`` are the books that an order of ours may move: what differs there is no stranger's.
    ``grain`` is how far the money may be off because that side rounds what it says. ``currency``
    is the account's, where it is known: a fee that was paid in another is none of its money.
    """

    positions: Mapping[PositionKey, Decimal]
    open_orders: frozenset[str]
    net_flow: Decimal | None
    fees: Decimal | None = None
    funding: Decimal | None = None
    prices: Mapping[PositionKey, Decimal] = {}
    unsettled: Mapping[str, tuple[PositionKey, Decimal]] = {}
    watched: frozenset[str] = frozenset()
    moving: frozenset[PositionKey] = frozenset()
    grain: Decimal = ZERO
    currency: str = ""


def account_of(view: AccountView) -> VenueAccount:
    """Return what a venue says that it holds, as it is put on record."""
    return VenueAccount(
        tuple((*key, quantity) for key, quantity in sorted(view.positions.items())),
        tuple(sorted(view.open_orders)),
        view.net_flow,
        view.fees,
        view.funding,
        tuple((*key, price) for key, price in sorted(view.prices.items())),
        view.grain,
    )


def view_of(account: VenueAccount) -> AccountView:
    """Return the view that was put on record as ``account``."""
    return AccountView(
        {(symbol, side): quantity for symbol, side, quantity in account.positions},
        frozenset(account.open_orders),
        account.net_flow,
        account.fees,
        account.funding,
        {(symbol, side): price for symbol, side, price in account.prices},
        grain=account.grain,
    )


def nobodys(_client_order_id: str) -> bool:
    """Return False: for whoever has no client ids of its own."""
    return False


def diff(
    local: AccountView,
    venue: AccountView,
    *,
    unbooked: Iterable[Fill] = (),
    is_own: Callable[[str], bool] = nobodys,
) -> list[Mismatch]:
    """
    Return every difference: fills, positions, orders, money, each in sorted order.

    ``unbooked`` are trades of our own orders that the venue tells of and nobody has booked;
    ``is_own`` says whether a client order id is one that a session of ours has given.
    """
    missing = sorted(unbooked, key=lambda fill: fill.trade_id)
    found = [_missing(fill) for fill in missing]
    known = with_fills(local, missing)
    found.extend(_positions(known, venue))
    found.extend(_orders(local, venue, is_own))
    if not local.unsettled:
        found.extend(_money(known, venue))
    return found


def with_fills(view: AccountView, fills: Iterable[Fill]) -> AccountView:
    """Return the account after ``fills``; of a view without a currency their fees are in that."""
    positions = dict(view.positions)
    net_flow, fees = view.net_flow, view.fees
    for fill in fills:
        key = (fill.symbol, fill.position_side)
        signed = fill.quantity if fill.side is Side.BUY else EXACT.minus(fill.quantity)
        positions[key] = EXACT.add(positions.get(key, ZERO), signed)
        fee = fill.fee if view.currency in ("", fill.fee_currency) else ZERO
        paid = EXACT.add(EXACT.multiply(signed, fill.price), fee)
        net_flow = None if net_flow is None else EXACT.subtract(net_flow, paid)
        fees = None if fees is None else EXACT.add(fees, fee)
    held = {key: quantity for key, quantity in positions.items() if quantity}
    return msgspec.structs.replace(view, positions=held, net_flow=net_flow, fees=fees)


def with_payments(view: AccountView, payments: Iterable[VenuePayment]) -> AccountView:
    """Return the account after funding that the venue has settled, negative when paid."""
    net_flow, funding = view.net_flow, view.funding
    for payment in payments:
        net_flow = None if net_flow is None else EXACT.add(net_flow, payment.amount)
        funding = None if funding is None else EXACT.subtract(funding, payment.amount)
    return msgspec.structs.replace(view, net_flow=net_flow, funding=funding)


def unbooked_of(
    fills: Iterable[Fill], booked: Container[str], is_ours: Callable[[str], bool]
) -> list[Fill]:
    """Return the trades of our own orders that are not booked, each once, as they come."""
    found: dict[str, Fill] = {}
    for fill in fills:
        if fill.trade_id not in booked and is_ours(fill.client_order_id):
            found.setdefault(fill.trade_id, fill)
    return list(found.values())


def _missing(fill: Fill) -> Mismatch:
    told = f"{fill.side.value} {plain(fill.quantity)} {fill.symbol} at {plain(fill.price)}"
    subject = f"{fill.trade_id} of {fill.client_order_id}"
    return Mismatch(
        MismatchKind.MISSING_FILL,
        subject,
        "not booked",
        told,
        fill.quantity,
        (fill.symbol, fill.position_side),
        fill.price,
        fill,
    )


def _positions(local: AccountView, venue: AccountView) -> Iterable[Mismatch]:
    for key in sorted({*local.positions, *venue.positions}):
        ours = local.positions.get(key, ZERO)
        theirs = venue.positions.get(key, ZERO)
        delta = EXACT.subtract(theirs, ours)
        if not delta or _is_explained(key, delta, local.unsettled):
            continue
        is_ours = ours or key in local.moving
        kind = MismatchKind.POSITION_DRIFT if is_ours else MismatchKind.EXTERNAL_POSITION
        subject = f"{key[0]} {key[1].value}"
        yield Mismatch(kind, subject, plain(ours), plain(theirs), delta, key, venue.prices.get(key))


def _is_explained(
    key: PositionKey, delta: Decimal, unsettled: Mapping[str, tuple[PositionKey, Decimal]]
) -> bool:
    """Return whether orders of which nothing is known yet may have moved a book by ``delta``."""
    moves = [most for book, most in unsettled.values() if book == key]
    up = sum((most for most in moves if most > ZERO), ZERO)
    down = sum((most for most in moves if most < ZERO), ZERO)
    return down <= delta <= up


def _orders(
    local: AccountView, venue: AccountView, is_own: Callable[[str], bool]
) -> Iterable[Mismatch]:
    for name in sorted(venue.open_orders - local.open_orders - local.watched):
        if name not in local.unsettled:
            kind = MismatchKind.STRAY_ORDER if is_own(name) else MismatchKind.FOREIGN_ORDER
            yield Mismatch(kind, name, "absent", "open")
    for name in sorted(local.open_orders - venue.open_orders):
        if name not in local.unsettled:
            yield Mismatch(MismatchKind.STALE_ORDER, name, "open", "absent")


def _money(local: AccountView, venue: AccountView) -> Iterable[Mismatch]:
    """Name payments first; only what they do not explain is drift."""
    if venue.net_flow is None or local.net_flow is None:
        return
    apart = EXACT.subtract(venue.net_flow, local.net_flow)
    if not apart:
        return
    rest = apart
    for what, ours, theirs in (
        ("fees", local.fees, venue.fees),
        ("funding", local.funding, venue.funding),
    ):
        if ours is None or theirs is None or ours == theirs:
            continue
        paid = EXACT.subtract(theirs, ours)
        yield Mismatch(
            MismatchKind.UNBOOKED_PAYMENT, what, plain(ours), plain(theirs), EXACT.minus(paid)
        )
        rest = EXACT.add(rest, paid)
    if abs(rest) > max(venue.grain, local.grain):
        yield Mismatch(
            MismatchKind.BALANCE_DRIFT, MONEY, plain(local.net_flow), plain(venue.net_flow), rest
        )
