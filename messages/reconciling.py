"""
What passes between the Reconciler, Execution and the venue beside single orders.

Times are int ms UTC. A *watermark* counts the venue's trades its own way: it grows with them, and
what was told up to one need not be asked for again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from messages.base import Lane, Message, Overflow
from messages.control import LifecycleEvent
from messages.orders import Booking, Fill

EXTERNAL: Final = "(external)"
"""Whose books hold what no strategy has traded; no strategy can be called so."""


class SyncTrades(Message, frozen=True):
    """Ask Execution to fetch the venue's trades since its watermark and to book what it misses."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    at: int


class CompareAccount(Message, frozen=True):
    """Ask the Reconciler to look at once: what was executed in ``symbol`` is no order's of ours."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    at: int
    symbol: str


class VenueTrades(Message, frozen=True):
    """
    What the venue answers when it is asked for its trades after watermark ``since``.

    ``upto`` is the watermark after them; ``more`` says that there are more after it. They are in
    the venue's own order and may contain what was told before, and trades of others.
    """

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE
    journaled: ClassVar[bool] = True

    since: int
    upto: int
    more: bool = False
    trades: tuple[Fill, ...] = ()


class Adoption(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One thing of the venue's account that is taken into the books though no order of ours made it.

    ``fill`` brings lots into (or takes them out of) the external book, ``transfer`` moves money in
    (negative: out). ``fees`` and ``funding`` are parts of the venue's totals that the books do not
    have and never will; ``client_order_id`` is a foreign order that is watched from now on.
    """

    reason: str
    fill: Fill | None = None
    transfer: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    client_order_id: str = ""

    @property
    def is_money(self) -> bool:
        """Return whether it is nothing but money, had or spent."""
        return self.fill is None and not self.client_order_id


class AdoptAccount(Message, frozen=True):
    """Ask Execution to take what the policies let be adopted into the books."""

    lane: ClassVar[Lane] = Lane.REDUCE
    overflow: ClassVar[Overflow] = Overflow.ESCALATE

    adoptions: tuple[Adoption, ...]


class AccountAdopted(LifecycleEvent, frozen=True):
    """
    Something of the venue's account is in the books from now on: an entry of the ledger.

    ``booking`` is what became of the external book, ``cash`` the account's cash afterwards;
    ``occasion`` is ``start`` (before anything was decided) or ``look``.
    """

    adoption: Adoption
    cash: Decimal
    booking: Booking | None = None
    occasion: str = "look"
