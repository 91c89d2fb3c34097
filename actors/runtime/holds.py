"""
Holds: why the OPEN lane is shut, for what, since when, and how it opens again.

The set of holds is the only state; what a lane does with a message is a pure function of it,
so simultaneous causes neither race nor mask each other. The supervisor owns the set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from messages import (
    STRICTNESS,
    ApprovedOpen,
    Cause,
    Hold,
    HoldMode,
    Message,
    OpenIntent,
    OrderRequest,
    PositionSide,
    ReasonCode,
    Scope,
    Side,
)

LONG = PositionSide.LONG.value
SHORT = PositionSide.SHORT.value


def covers(scope: Scope, order: OpenIntent | OrderRequest, venue: str) -> bool:
    """Return whether ``scope`` covers an order at ``venue``: every field that is set must equal."""
    return (
        (scope.venue is None or scope.venue == venue)
        and (scope.strategy is None or scope.strategy == order.strategy)
        and (scope.symbol is None or scope.symbol == order.symbol)
        and (scope.side is None or scope.side == direction(order))
    )


def direction(order: OpenIntent | OrderRequest) -> str:
    """Return the direction of the exposure that an order adds: its book's, or its own."""
    if order.position_side is not PositionSide.BOTH:
        return order.position_side.value
    return LONG if order.side is Side.BUY else SHORT


class HoldSet:
    """
    The holds in force, by id, in the order in which they were placed.

    ``active`` is false exactly when the set is empty: the hot path asks nothing else.
    """

    __slots__ = ("_holds", "active", "changes", "venue")

    def __init__(self, venue: str = "", holds: Iterable[Hold] = ()) -> None:
        """Start with ``holds`` (re-applied ones, after a restart)."""
        self.venue = venue
        self._holds: dict[str, Hold] = {hold.hold_id: hold for hold in holds}
        self.active = bool(self._holds)
        self.changes = 0
        """How often the set has changed: who keeps a copy sees by it when to make a new one."""

    def place(self, hold: Hold) -> bool:
        """
        Put a hold in force and return whether that changed anything.

        The same id twice is one hold: the newer one takes the older one's place, unless the
        older is latched and the newer would be weaker (not latched, a milder mode, another scope
        or an earlier end).
        """
        older = self._holds.get(hold.hold_id)
        if older is not None and (hold == older or (older.latched and not _as_strong(hold, older))):
            return False
        self._holds[hold.hold_id] = hold
        self.active = True
        self.changes += 1
        return True

    def lift(self, hold_id: str) -> Hold | None:
        """Take a hold out of force and return it."""
        hold = self._holds.pop(hold_id, None)
        self.active = bool(self._holds)
        self.changes += hold is not None
        return hold

    def covering(self, message: Message) -> list[Hold]:
        """Return every hold that covers ``message``, in order of placement."""
        order = _order_of(message)
        if order is None:
            return []
        return [hold for hold in self._holds.values() if covers(hold.scope, order, self.venue)]

    def mode(self, message: Message) -> HoldMode | None:
        """Return what happens to ``message``: the strictest mode of all that cover it."""
        modes = [hold.mode for hold in self.covering(message)]
        return max(modes, key=STRICTNESS.__getitem__) if modes else None

    def causes(self, message: Message) -> tuple[Cause, ...]:
        """Return the refusal's causes: every covering hold, none masked by another."""
        return tuple(
            Cause(ReasonCode.HELD, f"hold={hold.hold_id} cause={hold.cause} by={hold.set_by}")
            for hold in self.covering(message)
        )

    def expired(self, now: int) -> list[Hold]:
        """Return the holds whose end has come."""
        return [
            hold for hold in self._holds.values() if hold.until is not None and hold.until <= now
        ]

    def view(self) -> Mapping[str, Hold]:
        """Return the holds in force, by id."""
        return dict(self._holds)


def _as_strong(newer: Hold, older: Hold) -> bool:
    wide_enough = newer.scope in (older.scope, Scope())
    strict_enough = STRICTNESS[newer.mode] >= STRICTNESS[older.mode]
    long_enough = newer.until is None or (older.until is not None and newer.until >= older.until)
    return newer.latched and wide_enough and strict_enough and long_enough


def _order_of(message: Message) -> OpenIntent | OrderRequest | None:
    if isinstance(message, OpenIntent):
        return message
    if isinstance(message, ApprovedOpen):
        return message.request
    return None
