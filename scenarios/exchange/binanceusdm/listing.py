"""What is listed: the venue's names of instruments, their rules as it publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from messages import InstrumentKind
from scenarios.exchange.binanceusdm.budget import Limits
from scenarios.exchange.binanceusdm.errors import BAD_SYMBOL, Refused, decimals
from scenarios.exchange.facts import NotListable, Terms
from state.instruments import Instrument
from state.money import plain

ORDER_TYPES: Final = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX", "GTD")

OPEN_ORDERS_MAX: Final = 200
"""Most live orders of one symbol."""

PRICE_UP: Final = Decimal("1.15")
PRICE_DOWN: Final = Decimal("0.85")
"""How far beyond the mark price a limit may lie: what would pay more is taken for a mistake."""

LEVERAGE_MAX: Final = 125
MAINTENANCE: Final = Decimal("0.004")
"""The maintenance margin rate of the first bracket, here the only one."""

_TICK: Final = Decimal("0.01")
_STEP: Final = Decimal("0.001")
_QUANTITY_MAX: Final = Decimal(1_000_000)
_NOTIONAL_MIN: Final = Decimal(5)
_LEVERAGE: Final = Decimal("0.05")


def market_id(symbol: str) -> str:
    """Return the venue's name of a perpetual, by our symbol."""
    return symbol.partition(":")[0].replace("/", "")


def exchange_terms(terms: Terms) -> Terms:
    """
    Return ``terms`` as this exchange has them: perpetuals only, each with every rule.

    An instrument without margin rules begins with a leverage of 20. Raises ``NotListable``.
    """
    return Terms(
        {symbol: _with_rules(each) for symbol, each in terms.instruments.items()},
        terms.currency,
        terms.deposit,
        "",
        terms.position_mode,
        terms.slippage_bps,
        terms.participation,
        brackets=True,
        reuses_ids=True,
        reserves=True,
        at_once=terms.at_once,
        maintenance=terms.maintenance or MAINTENANCE,
    )


def _with_rules(instrument: Instrument) -> Instrument:
    if instrument.kind is InstrumentKind.SPOT:
        raise NotListable(
            f"{instrument.symbol} is spot; binanceusdm lists perpetuals like "
            f"{instrument.base}/{instrument.quote}:{instrument.quote}"
        )
    step = instrument.lot_step or _STEP
    return replace(
        instrument,
        price_tick=instrument.price_tick or _TICK,
        lot_step=step,
        min_quantity=instrument.min_quantity or step,
        max_quantity=instrument.max_quantity or _QUANTITY_MAX,
        min_notional=instrument.min_notional or _NOTIONAL_MIN,
        initial_margin=_LEVERAGE if instrument.initial_margin == 1 else instrument.initial_margin,
    )


class Listings:
    """The instruments by the venue's names and by ours; ``rules`` are those of the moment."""

    def __init__(self, rules: Mapping[str, Instrument]) -> None:
        """List what ``rules`` has; it is looked at whenever something is asked."""
        self._rules = rules
        self._symbols = {market_id(symbol): symbol for symbol in rules}
        self._names = {symbol: name for name, symbol in self._symbols.items()}

    def symbol(self, name: str) -> str:
        """Return our symbol of the venue's name; refuses a name that is not listed."""
        symbol = self._symbols.get(name)
        if symbol is None:
            raise Refused(BAD_SYMBOL)
        return symbol

    def name(self, symbol: str) -> str:
        """Return the venue's name of our symbol; empty for none."""
        return self._names.get(symbol, "")

    @property
    def names(self) -> list[str]:
        """Return all names."""
        return list(self._symbols)

    @property
    def symbols(self) -> list[str]:
        """Return all of our symbols."""
        return list(self._names)

    def rules(self, symbol: str) -> Instrument:
        """Return the rules of the moment."""
        return self._rules[symbol]

    def information(self, now: int, limits: Limits) -> dict[str, Any]:
        """Return what ``exchangeInfo`` publishes."""
        return {
            "timezone": "UTC",
            "serverTime": now,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                _limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m),
                _limit("ORDERS", "MINUTE", 1, limits.orders_1m),
                _limit("ORDERS", "SECOND", 10, limits.orders_10s),
            ],
            "exchangeFilters": [],
            "assets": [
                {"asset": asset, "marginAvailable": True, "autoAssetExchange": "0"}
                for asset in sorted({each.settle for each in self._rules.values()})
            ],
            "symbols": [self._entry(name) for name in self._symbols],
        }

    def _entry(self, name: str) -> dict[str, Any]:
        rules = self._rules[self._symbols[name]]
        tick, step = rules.price_tick or _TICK, rules.lot_step or _STEP
        lots = {
            "minQty": plain(rules.min_quantity or step),
            "maxQty": plain(rules.max_quantity or _QUANTITY_MAX),
            "stepSize": plain(step),
        }
        return {
            "symbol": name,
            "pair": name,
            "contractType": "PERPETUAL",
            "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": rules.base,
            "quoteAsset": rules.quote,
            "marginAsset": rules.settle,
            "pricePrecision": decimals(tick),
            "quantityPrecision": decimals(step),
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "settlePlan": 0,
            "triggerProtect": "0.0500",
            "liquidationFee": "0.0125",
            "marketTakeBound": "0.05",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": plain(tick),
                    "maxPrice": "100000000",
                    "tickSize": plain(tick),
                },
                {"filterType": "LOT_SIZE", **lots},
                {"filterType": "MARKET_LOT_SIZE", **lots},
                {"filterType": "MAX_NUM_ORDERS", "limit": OPEN_ORDERS_MAX},
                {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": OPEN_ORDERS_MAX},
                {"filterType": "MIN_NOTIONAL", "notional": plain(rules.min_notional or Decimal(0))},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": plain(PRICE_UP),
                    "multiplierDown": plain(PRICE_DOWN),
                    "multiplierDecimal": "4",
                },
            ],
            "orderTypes": list(ORDER_TYPES),
            "timeInForce": list(TIMES_IN_FORCE),
        }


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }
