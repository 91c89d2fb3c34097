"""
The safeguards of the way to a real venue, each to be switched off for a run.

With one of them off the campaign has to find something; see ``test_campaign_ablations``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from actors.execution.doubt import Doubt, Step
from actors.reconciler import ReconcilerActor
from actors.risk.view import RiskView
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.calls import Calls
from brokers.ccxt.errors import Unknown
from brokers.ccxt.jobs import Jobs
from brokers.ccxt.known import KnownOrder, Trade
from brokers.ccxt.lanes import Lane
from brokers.ccxt.ordering import Ordering
from state.money import ZERO
from state.orders import OrderStore

Patch = tuple[type[Any], str, Any]


def resending() -> list[Patch]:
    """Send an order once more when its answer is lost."""
    create = Calls.create

    async def again(self: Calls, *args: Any) -> Any:
        found = await create(self, *args)
        return await create(self, *args) if isinstance(found, Unknown) else found

    return [(Calls, "create", again)]


def booking_twice() -> list[Patch]:
    """Take every trade for a new one."""
    take = KnownOrder.take

    def taken(self: KnownOrder, trade: Trade) -> bool:
        take(self, trade)
        return True

    return [(KnownOrder, "take", taken), (OrderStore, "book_once", lambda *_: True)]


def not_asking() -> list[Patch]:
    """Believe that the stream tells all, whatever the account says."""

    async def nothing(*_: Any) -> None:
        return None

    return [
        (CcxtBroker, "_check_soon", lambda *_: None),
        (CcxtBroker, "_check_at_once", lambda *_: None),
        (CcxtBroker, "_check_listed", lambda *_: None),
        (CcxtBroker, "_check_all", lambda *_: None),
        (Ordering, "list_trades", nothing),
        (ReconcilerActor, "_attempt", lambda *_: ()),
        (ReconcilerActor, "unheard", lambda *_: (False, ())),
    ]


def not_reserving() -> list[Patch]:
    """Count only what is held: not what rests, is on its way or in doubt."""

    def held(self: RiskView, symbol: str | None = None) -> Decimal:
        total = ZERO
        for book, quantity in self.positions.items():
            if symbol is None or book[1] == symbol:
                total += abs(quantity) * self.board.known(book[1])
        return total

    return [(RiskView, "exposure", held)]


def not_holding() -> list[Patch]:
    """Let a doubt outlast its deadline."""
    due = Doubt.due

    def never(self: Doubt, now: int) -> tuple[Step, ...]:
        return tuple(step for step in due(self, now) if step is not Step.HOLD)

    return [(Doubt, "due", never)]


def one_lane() -> list[Patch]:
    """Let cancels wait with the questions."""
    hand_over = Jobs.hand_over

    def behind(self: Jobs, lane: Lane, name: str, work: Any) -> bool:
        return hand_over(self, Lane.READ if lane is Lane.CANCEL else lane, name, work)

    return [(Jobs, "hand_over", behind)]


def not_looking() -> list[Patch]:
    """Let an order leave that has waited, whatever has happened meanwhile."""
    return [(CcxtBroker, "_look_again", lambda *_: None)]


SAFEGUARDS: Final[dict[str, Callable[[], list[Patch]]]] = {
    "no-resend": resending,
    "dedupe": booking_twice,
    "asking": not_asking,
    "reservations": not_reserving,
    "deadline": not_holding,
    "lanes": one_lane,
    "last-look": not_looking,
}


@contextmanager
def without(name: str) -> Iterator[None]:
    """Switch a safeguard off, none for an empty name."""
    patches = SAFEGUARDS[name]() if name else []
    kept = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in patches]
    for owner, attribute, instead in patches:
        setattr(owner, attribute, instead)
    try:
        yield
    finally:
        for owner, attribute, original in kept:
            setattr(owner, attribute, original)
