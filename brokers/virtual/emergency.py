"""The emergency's way to a virtual venue: one connection of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from brokers.emergency import Fate, HeldPosition, RestingOrder, Sent, Trouble
from brokers.virtual import wire
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.calls import Done, Line, NotLookedAt, Outcome, words
from brokers.virtual.limits import SKEW_MS
from brokers.virtual.wire import DUPLICATE, Account, Cancel, Submit
from messages import OrderEvent, OrderRequest, OrderType, TimeInForce

BY: Final = "panic"
"""Whose orders they are, where a strategy's name is wanted."""


class VirtualEmergency:
    """The account of a virtual venue, whole: its list of open orders names no symbols."""

    def __init__(self, address: VenueAddress, clock: MachineClock) -> None:
        """Stand ready; nothing is connected."""
        self._address = address
        self._clock = clock
        self._asked = 0
        self._line = Line(address.url, address.key, address.timeout_s, self._next_id)
        self.doubt_ms = address.recv_window_ms + SKEW_MS

    def _next_id(self) -> str:
        self._asked += 1
        return f"panic{self._asked}"

    async def connect(self) -> Trouble | None:
        """Ask for the account, to see that somebody answers."""
        found = await self._account()
        return found if isinstance(found, Trouble) else None

    async def resting(self) -> Sequence[RestingOrder] | Trouble:
        """Return all open orders, by name."""
        found = await self._account()
        if isinstance(found, Trouble):
            return found
        return [RestingOrder(name, name) for name in found.open_orders]

    async def held(self) -> Sequence[HeldPosition] | Trouble:
        """Return all open positions."""
        found = await self._account()
        if isinstance(found, Trouble):
            return found
        return [
            HeldPosition(symbol, book, quantity)
            for symbol, book, quantity in found.positions
            if quantity
        ]

    async def cancel(
        self, orders: Sequence[RestingOrder], *, one_by_one: bool
    ) -> Sequence[Trouble]:
        """Cancel all, or each of these."""
        troubles: list[Trouble] = []
        for name in [order.name for order in orders] if one_by_one else [""]:
            asked = Cancel(self._clock.wall_ms(), self._address.recv_window_ms, name)
            found = await self._line.post(wire.CANCEL if name else wire.CANCEL_ALL, asked)
            if not isinstance(found, Done):
                troubles.append(Trouble(f"cancel: {words(found)}"))
        return troubles

    async def close(self, position: HeldPosition, name: str) -> tuple[Sent, str]:
        """Send a reduce-only market order, once."""
        now = self._clock.wall_ms()
        request = OrderRequest(
            name,
            name,
            BY,
            position.symbol,
            position.closing_side,
            position.book,
            OrderType.MARKET,
            TimeInForce.GTC,
            abs(position.amount),
            now,
            reduce_only=True,
        )
        asked = Submit(request, now, self._address.recv_window_ms)
        return _sent(await self._line.post(wire.ORDERS, asked), name)

    async def fate(self, position: HeldPosition, name: str) -> tuple[Fate, str]:
        """Ask for an order by our id."""
        del position
        found = await self._line.get(wire.ORDER, {"client_order_id": name})
        if not isinstance(found, Done) or found.answer.order is None:
            return Fate.UNTOLD, words(found)
        if not found.answer.order.known:
            return Fate.ABSENT, ""
        return (Fate.OPEN if found.answer.order.open else Fate.OVER), ""

    async def shut(self) -> None:
        """Close the connections."""
        await self._line.close()

    async def _account(self) -> Account | Trouble:
        found = await self._line.get(wire.ACCOUNT)
        if isinstance(found, Done) and found.answer.account is not None:
            return found.answer.account
        return Trouble(f"read the account: {words(found) or 'an answer without it'}")


def _sent(found: Outcome, name: str) -> tuple[Sent, str]:
    if isinstance(found, Done):
        for item in found.answer.news:
            report = item.report
            if report.client_order_id == name and report.event is OrderEvent.REJECTED:
                return Sent.REFUSED, report.cause.detail if report.cause else "rejected"
        return Sent.PLACED, ""
    if isinstance(found, NotLookedAt) and found.error != DUPLICATE:
        return Sent.REFUSED, words(found)
    return Sent.LOST, words(found)
