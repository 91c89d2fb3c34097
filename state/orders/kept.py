"""The form in which an ``OrderStore`` is kept: every order with all that is known of it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from messages import Cause, OrderRequest, OrderStatus
from state.orders.payments import KeptPayments


class KeptOrder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order as it stands; the fields are those of ``Order``."""

    request: OrderRequest
    status: OrderStatus
    filled: Decimal
    notional: Decimal
    fee: Decimal
    fee_currency: str
    other_fees: dict[str, Decimal] | None
    late_fills: int
    updated_at: int
    cause: Cause | None
    trades: list[str]


class KeptOrders(msgspec.Struct, frozen=True):
    """
    A whole store: what lives, oldest first; what has ended, in order of ending; what is booked.

    The trade ids are in two generations, the older first, each sorted.
    """

    live: list[KeptOrder]
    finished: list[KeptOrder]
    trades: tuple[list[str], list[str]]
    payments: KeptPayments
