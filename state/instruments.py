"""
What is traded: an instrument's kind, currencies, grid, limits, fees and margin.

Symbols follow ccxt: ``BTC/USDT`` is spot, ``BTC/USDT:USDT`` a linear perpetual, ``BTC/USD:BTC``
an inverse contract (refused: its profit is paid in the coin, which the ledger does not do).
``EUR/USD`` is spot too. A symbol without a slash, ``SPY``, is an asset bought with the
account's currency.

Rounding has a direction, and it is always the caller's: a quantity never grows, a limit never
gets worse than asked, a stop never triggers earlier than asked.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from messages import InstrumentKind, Liquidity, Side
from state.money import BASIS_POINT, EXACT, FINEST_STEP

ONE = Decimal(1)
DEFAULT_CURRENCY = "USD"

_NAME = r"[^\s/:]+"
_SYMBOL = re.compile(rf"(?P<base>{_NAME})(?:/(?P<quote>{_NAME})(?::(?P<settle>{_NAME}))?)?")


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_SPOT: Final = InstrumentKind.SPOT
_SELL: Final = Side.SELL
_BUY: Final = Side.BUY


class InstrumentError(ValueError):
    """A symbol or an instrument file that cannot be used; the message says where and why."""


class UnsupportedInstrument(InstrumentError):
    """A symbol that is well formed and names something that this system does not trade."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    One instrument's rules. ``None`` means that the rule does not exist.

    ``maker_fee_bps`` and ``taker_fee_bps`` are basis points of the notional (negative: a
    rebate). ``initial_margin`` is the part of the notional that must be covered: 1 for spot,
    1/leverage for a perpetual.
    """

    symbol: str
    kind: InstrumentKind
    base: str
    quote: str
    settle: str
    price_tick: Decimal | None
    lot_step: Decimal | None
    min_quantity: Decimal | None
    max_quantity: Decimal | None
    min_notional: Decimal | None
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    initial_margin: Decimal = ONE

    @classmethod
    def permissive(
        cls, symbol: str, fee_bps: Decimal = Decimal(0), *, currency: str = DEFAULT_CURRENCY
    ) -> Instrument:
        """Return ``symbol`` with no limits at all: what a replay assumes unless told otherwise."""
        kind, base, quote, settle = parse_symbol(symbol, currency)
        return cls(
            symbol, kind, base, quote, settle, None, None, None, None, None, fee_bps, fee_bps
        )

    @property
    def is_spot(self) -> bool:
        """Return whether the instrument is paid for in full and held."""
        return self.kind is _SPOT

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """
        Return the quantity on the lot grid, never more than asked; it may become zero.

        Where the instrument has no lot step the grid is ``FINEST_STEP``: a quotient of 76 digits
        is no quantity that could be multiplied exactly.
        """
        return _on_grid(quantity, self.lot_step, upwards=False)

    def round_limit(self, price: Decimal, side: Side) -> Decimal:
        """
        Return the price on the tick grid that never crosses the caller's limit.

        A buy goes down and a sell goes up.
        """
        return _on_grid(price, self.price_tick, upwards=side is _SELL)

    def round_stop(self, price: Decimal, side: Side) -> Decimal:
        """
        Return the stop price on the tick grid that never triggers earlier than asked.

        A buy stop triggers on a rise and goes up; a sell stop triggers on a fall and goes down.
        """
        return _on_grid(price, self.price_tick, upwards=side is _BUY)

    def round_target(self, price: Decimal, side: Side) -> Decimal:
        """
        Return the take-profit price on the tick grid that never triggers earlier than asked.

        The mirror of ``round_stop``: a sell target triggers on a rise and goes up.
        """
        return _on_grid(price, self.price_tick, upwards=side is _SELL)

    def fee(self, notional: Decimal, liquidity: Liquidity) -> Decimal:
        """Return the exact fee on a notional."""
        bps = self.maker_fee_bps if liquidity is Liquidity.MAKER else self.taker_fee_bps
        return notional * bps * BASIS_POINT


def _on_grid(value: Decimal, step: Decimal | None, *, upwards: bool) -> Decimal:
    # Floor and ceiling, not truncation: the direction must hold for negative prices as well.
    # A value already on the grid comes back as it is written.
    if step is None:
        direction = ROUND_CEILING if upwards else ROUND_FLOOR
        rounded = value.quantize(FINEST_STEP, direction, EXACT)
        return value if rounded == value else rounded
    beyond = EXACT.remainder(value, step)
    if not beyond:
        return value
    below = EXACT.multiply(EXACT.divide_int(value, step), step)
    if value < 0:
        below = EXACT.subtract(below, step)
    return EXACT.add(below, step) if upwards else below


def parse_symbol(
    symbol: str, currency: str = DEFAULT_CURRENCY
) -> tuple[InstrumentKind, str, str, str]:
    """
    Return (kind, base, quote, settle) of a ccxt symbol; ``currency`` buys a plain one.

    Raises ``UnsupportedInstrument`` for inverse and dated contracts and options, and
    ``InstrumentError`` for what is no symbol.
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise InstrumentError(
            f"symbol {symbol!r}: expected BASE, BASE/QUOTE or BASE/QUOTE:SETTLE, as ccxt writes it"
        )
    base, quote, settle = match["base"], match["quote"], match["settle"]
    if quote is None:
        return _SPOT, base, currency, currency
    if settle is None:
        return _SPOT, base, quote, quote
    if "-" in settle:
        raise UnsupportedInstrument(
            f"symbol {symbol!r}: dated futures and options are not supported, "
            "only spot and linear perpetuals are"
        )
    if settle != quote:
        raise UnsupportedInstrument(
            f"symbol {symbol!r}: settles in {settle} but is quoted in {quote}; inverse and quanto "
            "contracts are not supported, only linear ones (BASE/QUOTE:QUOTE) are"
        )
    return InstrumentKind.LINEAR_PERPETUAL, base, quote, settle


def _refuse_floats(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError("expected an exact number: a string or an integer")  # noqa: TRY004
    return value


Exact = Annotated[Decimal, BeforeValidator(_refuse_floats)]
Positive = Annotated[Exact, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Exact, Field(ge=0, allow_inf_nan=False)]


class InstrumentTable(BaseModel):
    """One symbol's table in an instrument file; numbers are strings or integers, never floats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str | None = None
    price_tick: Positive | None = None
    lot_step: Positive | None = None
    min_quantity: NotNegative | None = None
    max_quantity: Positive | None = None
    min_notional: NotNegative | None = None
    maker_fee_bps: Annotated[Exact, Field(allow_inf_nan=False)] = Decimal(0)
    taker_fee_bps: Annotated[Exact, Field(allow_inf_nan=False)] = Decimal(0)
    initial_margin: Annotated[Exact, Field(gt=0, le=1)] = ONE


def load_instruments(path: Path, *, currency: str = DEFAULT_CURRENCY) -> dict[str, Instrument]:
    """
    Return the instruments of a TOML or JSON file, one table per symbol, in the file's order.

    A plain symbol is bought with its table's ``currency``, else with the one given. Raises one
    ``InstrumentError`` that names the file, the table and the field.
    """
    found: dict[str, Instrument] = {}
    for symbol, fields in _read(path).items():
        if not isinstance(fields, dict):
            raise InstrumentError(
                f"{path}: {symbol}: found {fields!r}, expected a table of the instrument's rules"
            )
        try:
            table = InstrumentTable.model_validate(fields)
            found[symbol] = instrument_of(symbol, table, currency)
        except ValidationError as error:
            raise InstrumentError(f"{path}: [{symbol}] {_problem(error)}") from None
        except InstrumentError as error:
            raise type(error)(f"{path}: {error}") from None
    return found


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = list(InstrumentTable.model_fields)
        near = get_close_matches(field, known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(known)}"
        reason = f"there is no such key; {meant}"
    return f"{field}: found {first['input']!r}: {reason}"


def instrument_of(
    symbol: str, table: InstrumentTable, currency: str = DEFAULT_CURRENCY
) -> Instrument:
    """Return the instrument that ``table`` describes; raises ``InstrumentError`` by field."""
    kind, base, quote, settle = parse_symbol(symbol, table.currency or currency)
    if table.currency is not None and "/" in symbol:
        raise InstrumentError(
            f"[{symbol}] currency: found {table.currency!r}, but the symbol itself says {quote}"
        )
    if kind is _SPOT and table.initial_margin != ONE:
        raise InstrumentError(
            f"[{symbol}] initial_margin: found {table.initial_margin}, expected 1: "
            "spot is paid in full"
        )
    low, high = table.min_quantity, table.max_quantity
    if low is not None and high is not None and low > high:
        raise InstrumentError(f"[{symbol}] max_quantity: found {high}, below min_quantity {low}")
    return Instrument(
        symbol,
        kind,
        base,
        quote,
        settle,
        table.price_tick,
        table.lot_step,
        table.min_quantity,
        table.max_quantity,
        table.min_notional,
        table.maker_fee_bps,
        table.taker_fee_bps,
        table.initial_margin,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InstrumentError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InstrumentError(f"{path}: cannot be read: {error}") from error
    try:
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise InstrumentError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise InstrumentError(f"{path}: expected one table per symbol at the top level")
    return document
