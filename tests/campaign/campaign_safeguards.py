"""
The safeguards of the way to a real venue, each to be switched off for a run.

With one of them off the campaign has to find something; see ``test_campaign_ablations``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from actors.execution.doubt import Doubt, Step
from actors.health.freshness import Freshness
from actors.reconciler import ReconcilerActor
from actors.risk.view import RiskView
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.calls import Calls
from brokers.ccxt.errors import Unknown
from brokers.ccxt.jobs import Jobs
from brokers.ccxt.known import KnownOrder, Trade
from brokers.ccxt.lanes import Lane
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.survey import Funding
from feeds.ccxt.venue import CcxtVenue
from feeds.closing import Closing
from messages import Bar
from scenarios.exchange.faults import Faults
from state.ledger import Ledger
from state.money import ZERO
from state.orders import OrderStore

Patch = tuple[Any, str, Any]
"""A class or a module, a name in it, and what is there instead."""


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


def not_waiting_for_the_end() -> list[Patch]:
    """Take the candle that runs for one that is closed."""

    def known(_closing: Closing, mine: Any) -> Any:
        return mine.final.get(mine.due) or mine.streamed.get(mine.due)

    return [(Closing, "_head", known)]


def telling_again() -> list[Patch]:
    """Give the last bars once more, now and then."""
    take = Closing.take
    given: list[Any] = []

    def again(self: Closing, now: int) -> Any:
        if len(given) == 3:
            found = given[-1]
            given.clear()
            return found
        group = take(self, now)
        if group is not None:
            given.append(group)
        return group

    return [(Closing, "take", again)]


def taking_what_is_heard_first() -> list[Patch]:
    """Believe the first price of a candle for its last."""
    rows = CcxtVenue._rows

    def first(self: CcxtVenue, symbol: str, answer: object) -> Any:
        return [(*row[:4], row[1], row[5]) for row in rows(self, symbol, answer)]

    return [(CcxtVenue, "_rows", first)]


def not_noticing_silence() -> list[Patch]:
    """Let data grow as old as it likes."""
    return [(Freshness, "check", lambda *_: [])]


def not_looking_again_in_time() -> list[Patch]:
    """Look for the next silence so long after the end of one, however late its bar was."""
    next_check = Freshness.next_check

    def later(self: Freshness, now: int, group: Iterable[Bar] = ()) -> int:
        return next_check(self, now + self.stale_after_ms if group else now)

    return [(Freshness, "next_check", later)]


def not_reading_payments() -> list[Patch]:
    """Leave funding in the balance, unread."""
    return [(Funding, "fresh", lambda *_: [])]


def not_booking_payments() -> list[Patch]:
    """Journal what was paid for funding, and leave it out of the ledger."""
    return [(Ledger, "book_funding", lambda *_: None)]


def letting_all_through() -> list[Patch]:
    """Strike no request, whatever the faults say."""
    return [(Faults, "strike", lambda *_: None)]


SAFEGUARDS: Final[dict[str, Callable[[], list[Patch]]]] = {
    "no-resend": resending,
    "dedupe": booking_twice,
    "asking": not_asking,
    "reservations": not_reserving,
    "deadline": not_holding,
    "lanes": one_lane,
    "last-look": not_looking,
    "closed-bars": not_waiting_for_the_end,
    "bars-once": telling_again,
    "bars-right": taking_what_is_heard_first,
    "staleness": not_noticing_silence,
    "next-silence": not_looking_again_in_time,
    "payments": not_reading_payments,
    "ledger": not_booking_payments,
    "striking": letting_all_through,
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
