"""
Empty an account, and have its venue say that it is empty.

Theory of operation. There are passes: ask the venue what there is, cancel the orders, close the
positions, rest, ask again. What the venue says is all that is believed, and only what it has said
twice in a row, a moment apart, is the end: a list may be behind, and somebody else may be sending.

An order that closes is sent for a position as it was read after the last such order had come to its
end: no two are ever under way for one position. One without an answer is asked for by its name, and
taken for absent only when it cannot arrive any more and was not known twice in a row. Besides, each
is reduce-only, so that even a venue that shows an old position turns none round.

Names are a function of the panic and of a count, ``tg-panic-<panic>-<n>``: one that was used is
never used again, and whoever reads the venue's own records knows whose order it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from brokers.ccxt.address import VenueClock
from brokers.emergency import (
    EmergencyVenue,
    Fate,
    HeldPosition,
    RestingOrder,
    Sent,
    Trouble,
)
from messages import PositionSide
from state.money import plain

TAG: Final = "tg-panic-"
"""How the names of all closing orders begin."""

TROUBLES_MAX: Final = 50
"""Most different troubles that are told; more of them say nothing new."""

REST_GROWTH: Final = 1.5

Key = tuple[str, PositionSide]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long what may take; seconds."""

    whole_s: float = 60.0
    """After this nobody waits any longer: somebody has to look at the venue by other means."""
    rest_first_s: float = 0.25
    rest_max_s: float = 4.0
    settle_s: float = 2.0
    """How long a venue may still show a position that an order has closed already."""
    calm_s: float = 2.0
    """Between the two answers that have to agree that there is nothing: lists may be behind."""
    shut_s: float = 2.0


@dataclass(slots=True)
class Closing:
    """An order that was to close a position: when it was sent, and how often it was not known."""

    name: str
    position: HeldPosition
    sent_at: int
    absent: int = 0


@dataclass(slots=True)
class Outcome:
    """
    What the venue said last; ``None`` where it gave no answer.

    ``is_clean``: it has shown twice that nothing is left of what was to go.
    """

    flatten: bool
    is_clean: bool = False
    resting: Sequence[RestingOrder] | None = None
    held: Sequence[HeldPosition] | None = None
    sent: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def seems_clean(self) -> bool:
        """Return whether the newest answers show nothing that was to go."""
        if self.resting is None or (self.flatten and self.held is None):
            return False
        return not self.resting and not (self.flatten and self.held)


class Emergency:
    """
    Empties one account; ``run`` is called once.

    ``chance`` spreads the waits, ``say`` hears each new trouble and each order that is sent.
    """

    def __init__(
        self,
        venue: EmergencyVenue,
        clock: VenueClock,
        panic: str,
        *,
        flatten: bool,
        chance: Callable[[], float],
        say: Callable[[str], object],
        bounds: Bounds | None = None,
    ) -> None:
        """Work at ``venue``; ``panic`` says which panic it is."""
        self.venue = venue
        self._clock = clock
        self._panic = hashlib.sha256(panic.encode()).hexdigest()[:10]
        self._chance = chance
        self._say = say
        self._bounds = bounds or Bounds()
        self._closing: dict[Key, Closing] = {}
        self._numbers = 0
        self._connected = False
        self._clean_in_a_row = 0
        self.outcome = Outcome(flatten)

    async def run(self) -> None:
        """
        Return when it is done, or when the time for it has passed; ``outcome`` says which.

        May be cancelled at any time: what was sent by then is in the outcome. Raises
        ``VenueUnreachable`` where asking again would be no use.
        """
        bounds, rest_s = self._bounds, self._bounds.rest_first_s
        until = self._clock.monotonic_s() + bounds.whole_s
        passes = 0
        while True:
            await self._pass(passes)
            if self.outcome.is_clean or self._clock.monotonic_s() >= until:
                return
            passes += 1
            if self._clean_in_a_row:
                await self._clock.sleep_s(bounds.calm_s)
                continue
            await self._clock.sleep_s(rest_s * (0.5 + self._chance()))
            # Longer each time, trouble or not: the lists of a whole account are dear.
            rest_s = min(REST_GROWTH * rest_s, bounds.rest_max_s)

    async def _pass(self, number: int) -> None:
        found: list[Trouble] = []
        if not self._connected:
            trouble = await self.venue.connect()
            if trouble is not None:
                self._told([trouble])
                return
            self._connected = True
        await self._look(found)
        outcome = self.outcome
        self._clean_in_a_row = self._clean_in_a_row + 1 if outcome.seems_clean else 0
        outcome.is_clean = self._clean_in_a_row >= 2
        # Its own orders close something: to cancel one that is late would be to begin again.
        ours = f"{TAG}{self._panic}-"
        orders = [order for order in outcome.resting or () if not order.name.startswith(ours)]
        if orders:
            # Every other time one by one: what a call for all leaves behind is named then.
            one_by_one = number % 2 == 1
            found += await self.venue.cancel(orders, one_by_one=one_by_one)
        if outcome.flatten:
            for position in outcome.held or ():
                await self._close(position, found)
        self._told(found)

    async def _look(self, found: list[Trouble]) -> None:
        """Take the venue's newest answers; an old one does not stand in for one that lacks."""
        outcome = self.outcome
        outcome.resting = outcome.held = None
        resting = await self.venue.resting()
        if isinstance(resting, Trouble):
            found.append(resting)
            self._told(found)  # what comes next may have to wait: for as long as the venue has said
        else:
            outcome.resting = resting
        held = await self.venue.held()
        if isinstance(held, Trouble):
            found.append(held)
        else:
            outcome.held = held

    # -- closing

    async def _close(self, position: HeldPosition, found: list[Trouble]) -> None:
        before = self._closing.get(position.key)
        if before is not None:
            # Even where it has ended now, this position was read before that was known.
            if await self._is_over(before, position, found):
                del self._closing[position.key]
            return
        self._numbers += 1
        name = f"{TAG}{self._panic}-{self._numbers}"
        closing = Closing(name, position, self._clock.wall_ms())
        # Before it leaves: cancelled in the middle, it may be there.
        self._closing[position.key] = closing
        words = f"{name}: {position.closing_side.value} {plain(abs(position.amount))} "
        self.outcome.sent.append(f"{words}{position.symbol}, reduce-only")
        self._say(f"closing {position} by {name}")
        sent, detail = await self.venue.close(position, name)
        # No later than now: the line may have delayed it.
        closing.sent_at = self._clock.wall_ms()
        if sent is Sent.REFUSED:
            del self._closing[position.key]
        if sent is not Sent.PLACED:
            found.append(Trouble(f"{name} {sent.value}: {detail}"))

    async def _is_over(
        self, closing: Closing, position: HeldPosition, found: list[Trouble]
    ) -> bool:
        age_ms = self._clock.wall_ms() - closing.sent_at
        fate, detail = await self.venue.fate(closing.position, closing.name)
        match fate:
            case Fate.OVER:
                stale = position.amount == closing.position.amount
                return not stale or age_ms >= 1000 * self._bounds.settle_s
            case Fate.ABSENT:
                closing.absent += 1
                return closing.absent >= 2 and age_ms >= self.venue.doubt_ms
            case Fate.OPEN:
                closing.absent = 0
                return False
            case Fate.UNTOLD:
                found.append(Trouble(f"{closing.name} not told: {detail}"))
                return False

    def _told(self, found: Sequence[Trouble]) -> None:
        for trouble in found:
            known = self.outcome.troubles
            if trouble.detail not in known and len(known) < TROUBLES_MAX:
                known.append(trouble.detail)
                self._say(trouble.detail)
