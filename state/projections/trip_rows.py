"""Rows of ``round_trips.csv``: what each trip cost and brought."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from state.money import plain, ratio
from state.projections.csv_text import CsvFile, Words, quoted
from state.projections.limits import TRIP_PLANS_MAX
from state.projections.round_trips import BPS, Trip
from state.projections.timestamps import iso_ms

TRIP_COLUMNS: Final = (
    "strategy",
    "symbol",
    "position_side",
    "direction",
    "state",
    "opened_at",
    "closed_at",
    "entries",
    "adds",
    "exits",
    "max_quantity",
    "entry_average",
    "exit_average",
    "realized_pnl",
    "fees",
    "other_fees",
    "funding",
    "slippage_cost",
    "net_pnl",
    "net_bps",
    "orders",
    "retries",
    "reprices",
    "fallbacks",
    "plan_ids",
)


class TripRows:
    """Write one row a trip, in the order in which they end; call everything under ``EXACT``."""

    __slots__ = ("_lines", "_words")

    def __init__(self, file: CsvFile) -> None:
        self._lines = file.lines
        self._words = Words()

    def write(self, trip: Trip) -> None:
        """Write the row of a trip that is over, or of one that is open as it stands."""
        words = self._words
        strategy, symbol, side = trip.key
        state = "open"
        if trip.is_over:
            state = "turned" if trip.turned else "closed"
        net, entered = trip.net, trip.entered_notional
        exit_average = trip.exit_average
        other_fees = "" if trip.other_fees is None else _fees(trip.other_fees)
        # Each number as ``plain`` writes it, in place: exponents are rare.
        prices = (
            f"{trip.largest!s},{trip.entry_average or 0!s},"
            f"{'' if exit_average is None else exit_average or 0!s},{trip.realized or 0!s},"
            f"{trip.fees or 0!s}"
        )
        costs = (
            f"{trip.funding or 0!s},{'' if not trip.decided else trip.slippage or 0!s},"
            f"{net or 0!s},{ratio(net * BPS, entered) or 0 if entered else ''!s}"
        )
        if "E" in prices or "E" in costs:
            prices, costs = _plainly(prices), _plainly(costs)
        self._lines.append(
            f"{words[strategy]},{words[symbol]},{words[side]},"
            f"{'long' if trip.is_long else 'short'},{state},{iso_ms(trip.opened_at)},"
            f"{'' if trip.closed_at is None else iso_ms(trip.closed_at)},"
            f"{trip.entries},{trip.adds},{trip.exits},{prices},{other_fees},{costs},{trip.orders},"
            f"{trip.retries},{trip.reprices},{trip.fallbacks},"
            f"{'' if trip.plans is None else _plans(trip.plans)}\n"
        )


def _plainly(numbers: str) -> str:
    """Return numbers, separated by commas, without exponents."""
    return ",".join(plain(Decimal(text)) if text else "" for text in numbers.split(","))


def _fees(fees: dict[str, Decimal]) -> str:
    """Return fees that are in no sum, each with its currency, as one field."""
    return quoted("|".join(f"{plain(fee)} {name}" for name, fee in sorted(fees.items())))


def _plans(plans: list[str]) -> str:
    shown = plans[:TRIP_PLANS_MAX]
    if len(plans) > TRIP_PLANS_MAX:
        shown.append("...")
    return quoted("|".join(shown))
