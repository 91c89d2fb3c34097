"""The limits that ``trade`` sets where the configuration does not; a replay has none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

LIVE_NEEDS: Final = (
    "max_order_notional",
    "max_gross_exposure",
    "max_drawdown_pct",
    "max_daily_loss",
)
"""Limits that a live session must be given explicitly: what bounds one order, all of them, a bad
run and a bad day. A default is made of a simulated account's cash and knows nothing of a real one.
"""


LIVE_NOTIONAL_CAP: Final = Decimal(250)
"""What all positions of a live session may come to, in the account's currency, until somebody
raises it by hand: some of the smallest orders that venues take, and a loss that teaches.
"""


def trade_defaults(cash: Decimal) -> Mapping[str, Decimal | int]:
    """
    Return safe limits for an account that starts with ``cash``, by their keys under ``[risk]``.

    They stop what runs away, and leave alone what a strategy that is meant to trade does: no
    order of more than half the cash, no leverage, an order every half second and its cancels,
    prices within a tenth of the market, and an end at a fifth below the peak or a twentieth of
    the cash lost in a day.
    """
    return {
        "max_order_notional": cash / 2,
        "max_gross_exposure": cash,
        "max_drawdown_pct": Decimal(20),
        "max_daily_loss": cash / 20,
        "max_orders_per_minute": 120,
        "max_cancels_per_minute": 240,
        "max_open_orders": 200,
        "price_collar_bps": Decimal(1000),
    }
