"""
How far from the market a limit may be at a venue that tells.

Pure. What would pay far more than the market, or sell for far less, venues take for a mistake. The
multiples are the venue's; the market is what the session knows of it, which is not the price that
the venue looks at, but the same to the width of a hair beside such a band. What only reduces is
left to the venue: no price of ours may stand between a position and its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from brokers.ccxt.columns import BandBy
from messages import Cause, OrderRequest, OrderType, ReasonCode, Side
from state.money import EXACT, plain

FILTER: Final = "PERCENT_PRICE"
BY_SIDE: Final = "PERCENT_PRICE_BY_SIDE"


@dataclass(frozen=True, slots=True)
class Reach:
    """From what multiple of the market to what multiple; ``None``: no such bound."""

    least: Decimal | None = None
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PriceBand:
    """How far the limits of buys and of sales may be from the market."""

    buys: Reach
    sales: Reach


def band_of(market: Mapping[str, Any], by: BandBy) -> PriceBand | None:
    """Return the band that a ccxt market's filters tell of, ``None`` where they do not."""
    if by is BandBy.UNTOLD:
        return None
    filters = (market.get("info") or {}).get("filters") or ()
    found = {each.get("filterType"): each for each in filters if isinstance(each, Mapping)}
    if by is BandBy.AVERAGE and BY_SIDE in found:
        told = found[BY_SIDE]
        buys = Reach(_number(told, "bidMultiplierDown"), _number(told, "bidMultiplierUp"))
        return PriceBand(
            buys, Reach(_number(told, "askMultiplierDown"), _number(told, "askMultiplierUp"))
        )
    if FILTER not in found:
        return None
    least, most = (_number(found[FILTER], f"multiplier{end}") for end in ("Down", "Up"))
    if by is BandBy.MARK:
        return PriceBand(Reach(most=most), Reach(least=least))
    return PriceBand(Reach(least, most), Reach(least, most))


def outside(
    request: OrderRequest, price: Decimal | None, mark: Decimal | None, band: PriceBand | None
) -> Cause | None:
    """
    Return that the limit ``price`` of an order is too far from the market at ``mark``.

    One that waits for a price is not judged: the market will be elsewhere by then.
    """
    if band is None or mark is None or price is None or request.reduce_only:
        return None
    if request.order_type is not OrderType.LIMIT:
        return None
    reach = band.buys if request.side is Side.BUY else band.sales
    told = f"price={plain(price)} mark={plain(mark)}"
    if reach.most is not None and price > (most := EXACT.multiply(mark, reach.most)):
        return Cause(ReasonCode.PRICE_COLLAR, f"{told} max={plain(most)} (the venue's band)")
    if reach.least is not None and price < (least := EXACT.multiply(mark, reach.least)):
        return Cause(ReasonCode.PRICE_COLLAR, f"{told} min={plain(least)} (the venue's band)")
    return None


def _number(told: Mapping[str, Any], name: str) -> Decimal | None:
    value = told.get(name)
    if not isinstance(value, str):
        return None
    try:
        found = Decimal(value)
    except ArithmeticError:
        return None
    return found if found.is_finite() and found > 0 else None
