"""What a shadow session's twin came to: the values that reports are made of."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class ShadowResult(msgspec.Struct, frozen=True):
    """
    One strategy in one symbol: ``orders`` that were withheld from the venue, and the twin's fills.

    ``slippage`` is money and ``slippage_bps`` its mean by notional, against the prices decided at;
    ``quote_bps`` compares ``quoted_fills`` with the other side of the live quote at the moment at
    which the order would have left. Positive is adverse; ``None`` where nothing was compared.
    """

    strategy: str
    symbol: str
    orders: int
    fills: int
    volume: Decimal
    slippage: Decimal
    slippage_bps: Decimal | None
    worst_bps: Decimal | None
    quoted_fills: int
    quote_bps: Decimal | None
    worst_quote_bps: Decimal | None
