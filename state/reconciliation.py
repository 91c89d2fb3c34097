"""
Venue truth against local truth: a pure difference.

Equal books give no difference. Every difference is named, with both sides, and none is
repaired here: what to do about one is its reader's policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from messages import PositionSide
from state.money import ZERO, plain

PositionKey = tuple[str, PositionSide]
"""(symbol, position side): a venue knows no strategies."""


class MismatchKind(StrEnum):
    """What differs."""

    POSITION_DRIFT = "position_drift"
    BALANCE_DRIFT = "balance_drift"
    UNKNOWN_ORDER = "unknown_order"  # the venue has it, we do not
    MISSING_ORDER = "missing_order"  # we believe that it is open, the venue does not have it


class Mismatch(msgspec.Struct, frozen=True, gc=False):
    """One difference: its kind, what it is about, and what each side says."""

    kind: MismatchKind
    subject: str
    local: str
    venue: str


class AccountView(msgspec.Struct, frozen=True):
    """
    One side's account: net positions per symbol and side, open client order ids, net flow.

    ``net_flow`` is deposits less everything paid plus everything received, perpetuals counted
    as if paid for in full: unlike cash it does not depend on whether profit is realised by
    lots or by average price, which a ledger and a venue may each do their own way.
    """

    positions: Mapping[PositionKey, Decimal]
    open_orders: frozenset[str]
    net_flow: Decimal


def diff(local: AccountView, venue: AccountView) -> list[Mismatch]:
    """Return every difference, positions first, then orders, then money, each in sorted order."""
    found: list[Mismatch] = []
    for key in sorted({*local.positions, *venue.positions}):
        ours = local.positions.get(key, ZERO)
        theirs = venue.positions.get(key, ZERO)
        if ours != theirs:
            subject = f"{key[0]} {key[1].value}"
            found.append(Mismatch(MismatchKind.POSITION_DRIFT, subject, plain(ours), plain(theirs)))
    found.extend(
        Mismatch(MismatchKind.UNKNOWN_ORDER, client_order_id, "absent", "open")
        for client_order_id in sorted(venue.open_orders - local.open_orders)
    )
    found.extend(
        Mismatch(MismatchKind.MISSING_ORDER, client_order_id, "open", "absent")
        for client_order_id in sorted(local.open_orders - venue.open_orders)
    )
    if local.net_flow != venue.net_flow:
        kind = MismatchKind.BALANCE_DRIFT
        found.append(Mismatch(kind, "net flow", plain(local.net_flow), plain(venue.net_flow)))
    return found
