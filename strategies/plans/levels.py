"""At which price a plan's steps are, and how much each is to take off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final

from messages import OrderType, PlanAdd, PlanTarget, Side
from state.instruments import Instrument
from state.money import BASIS_POINT, EXACT, ZERO
from strategies.desk import Desk
from strategies.plans.standing import Standing

ONE: Final = Decimal(1)


class Levels:
    """
    The prices and quantities of steps, for a position of ``held`` (signed, never zero).

    A distance is counted from the mean entry price of the lots held, a rung's from what that was
    when the plan began. A price that is named is as it was named; one that follows from a distance
    is on the instrument's grid, rounded as Risk would: a stop or target is never met earlier, a
    rung never worse, than asked.
    """

    def __init__(
        self,
        desk: Desk,
        mark: Callable[[str], Decimal | None],
        instruments: Mapping[str, Instrument],
    ) -> None:
        """Look at the books of ``desk`` and the newest prices."""
        self._desk = desk
        self._instruments = instruments
        self.mark = mark

    def stop(self, standing: Standing, held: Decimal) -> Decimal:
        """Return the price of the stop; for plans that have one."""
        stop = standing.plan.stop
        assert stop is not None, "asked of a plan with a stop"
        if stop.price is not None:
            return stop.price
        price = self._at(standing, stop.distance_bps, -1, held)
        return self._rules(standing).round_stop(price, leaving(held))

    def target(self, standing: Standing, target: PlanTarget, held: Decimal) -> Decimal:
        """Return the price of a target."""
        if target.price is not None:
            return target.price
        price = self._at(standing, target.distance_bps, 1, held)
        return self._rules(standing).round_target(price, leaving(held))

    def rung(self, standing: Standing, rung: PlanAdd, held: Decimal) -> Decimal:
        """Return the price of a rung that adds."""
        if rung.price is not None:
            return rung.price
        assert rung.distance_bps is not None, "the plan was checked"
        side, rules = leaving(held).opposite, self._rules(standing)
        on_strength = rung.how.order_type is OrderType.STOP
        sign = side.sign if on_strength else -side.sign
        price = standing.base + sign * standing.base * rung.distance_bps * BASIS_POINT
        return rules.round_stop(price, side) if on_strength else rules.round_limit(price, side)

    def _rules(self, standing: Standing) -> Instrument:
        return self._instruments[standing.book[0]]

    def _at(
        self, standing: Standing, distance_bps: Decimal | None, way: int, held: Decimal
    ) -> Decimal:
        """Return the mean entry price, so far in favour (1) or against (-1)."""
        assert distance_bps is not None, "the plan was checked"
        average = self._desk.average_price(*standing.book)
        sign = way if held > ZERO else -way
        return average + sign * average * distance_bps * BASIS_POINT

    # -- the trail

    def trail(self, standing: Standing, held: Decimal, best: Decimal) -> Decimal:
        """Return where the trailing stop is once the price has been at ``best``."""
        trail = standing.plan.trail
        assert trail is not None, "asked of a plan with a trail"
        sign = 1 if held > ZERO else -1
        price = best - sign * best * trail.trail_bps * BASIS_POINT
        return self._rules(standing).round_stop(price, leaving(held))

    def trail_starts(self, standing: Standing, held: Decimal) -> bool:
        """Return whether the trail takes over from the stop: activated, and no worse than it."""
        trail = standing.plan.trail
        mark = self.mark(standing.book[0])
        if trail is None or mark is None:
            return False
        sign = 1 if held > ZERO else -1
        activate = trail.activate_price
        if trail.activate_distance_bps is not None:
            average = self._desk.average_price(*standing.book)
            activate = average + sign * average * trail.activate_distance_bps * BASIS_POINT
        best = mark if standing.best is None else standing.best
        if activate is not None and (best - activate) * sign < ZERO:
            return False
        if standing.plan.stop is None:
            return True
        return (self.trail(standing, held, mark) - self.stop(standing, held)) * sign >= ZERO

    def next_target(self, standing: Standing, held: Decimal) -> Decimal | None:
        """Return the nearest target that is still to come."""
        sign = 1 if held > ZERO else -1
        prices = [
            self.target(standing, target, held)
            for target, quantity in zip(
                standing.plan.targets, self.shares(standing, held), strict=True
            )
            if quantity > ZERO
        ]
        return min(prices, key=lambda price: price * sign, default=None)

    # -- quantities

    def shares(self, standing: Standing, held: Decimal) -> list[Decimal]:
        """
        Return how much each target is to take off now: its share, less what it has taken.

        Together never more than is held. The last one takes what rounding left, where all shares
        are the whole.
        """
        targets = standing.plan.targets
        instrument = self._instruments[standing.book[0]]
        left = abs(held)
        whole = _total(target.share for target in targets) == ONE
        found = []
        for number, (target, step) in enumerate(
            zip(targets, standing.targets, strict=True), start=1
        ):
            wanted = instrument.round_quantity(standing.size * target.share) - step.filled
            if whole and number == len(targets):
                wanted = left
            quantity = max(ZERO, min(wanted, left))
            left -= quantity
            found.append(quantity)
        return found


def leaving(held: Decimal) -> Side:
    """Return the side that takes something off a position."""
    return Side.SELL if held > ZERO else Side.BUY


def _total(shares: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for share in shares:
        total = EXACT.add(total, share)
    return total
