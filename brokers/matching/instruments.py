"""An instrument as the venue lists it: its rules, its rates and the positions held in it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from brokers.matching.account import Position
from messages import InstrumentKind, PositionMode, PositionSide
from state.instruments import Instrument
from state.money import BASIS_POINT


class Listing:
    """One instrument with its rates worked out, and its books: one net book, or long and short."""

    __slots__ = (
        "filtered",
        "instrument",
        "lot_step",
        "maker_rate",
        "positions",
        "price_tick",
        "spot",
        "symbol",
        "taker_rate",
    )

    def __init__(self, instrument: Instrument, mode: PositionMode) -> None:
        """List ``instrument``; spot has one book in every mode."""
        self.symbol = instrument.symbol
        self.spot = instrument.kind is InstrumentKind.SPOT
        self.set_rules(instrument)
        self.set_mode(mode)

    def set_rules(self, instrument: Instrument) -> None:
        """Have other rules and rates from now on; positions and orders stay as they are."""
        self.instrument = instrument
        self.price_tick = instrument.price_tick
        self.lot_step = instrument.lot_step
        self.maker_rate = (instrument.maker_fee_bps * BASIS_POINT).normalize()
        self.taker_rate = (instrument.taker_fee_bps * BASIS_POINT).normalize()
        self.filtered = _has_rules(instrument)

    def set_mode(self, mode: PositionMode) -> None:
        """Begin with flat books: one, or long and short."""
        sides = (
            (PositionSide.BOTH,)
            if self.spot or mode is PositionMode.ONE_WAY
            else (PositionSide.LONG, PositionSide.SHORT)
        )
        self.positions = tuple(Position(self.instrument, side) for side in sides)

    def set_minimum(self, quantity: Decimal | None, notional: Decimal | None) -> None:
        """Ask for another least order from now on."""
        self.instrument = replace(self.instrument, min_quantity=quantity, min_notional=notional)
        self.filtered = _has_rules(self.instrument)

    def position(self, side: PositionSide) -> Position | None:
        """Return the book of ``side``, or None where the account keeps no such book."""
        for position in self.positions:
            if position.side is side:
                return position
        return None


def _has_rules(instrument: Instrument) -> bool:
    return any(
        rule is not None
        for rule in (
            instrument.price_tick,
            instrument.lot_step,
            instrument.min_quantity,
            instrument.max_quantity,
            instrument.min_notional,
        )
    )
