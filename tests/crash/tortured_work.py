"""
The sessions that are tortured: what each trades, in which market, at a venue of which terms.

On the virtual dialect they trade spot where they can, at binanceusdm perpetuals only; the rest is
the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ladder_makers import HYPE, ladder_spec, wander
from session_world import (
    BTC,
    PERP,
    Script,
    Scripted,
    instruments_of,
    make_spec,
    on_bars,
    walk,
)

from actors.spec import SessionSpec
from feeds.memory import MemoryFeed
from messages import Bar, ExecutionPolicy, OrderType, PositionMode, Side
from state.instruments import Instrument

LISTED: Final = {
    "price_tick": Decimal("0.01"),
    "lot_step": Decimal("0.001"),
    "min_quantity": Decimal("0.001"),
    "max_quantity": Decimal(1_000_000),
    "min_notional": Decimal(5),
}
"""The rules of a perpetual as an exchange lists it; on the virtual dialect there are none."""


@dataclass(frozen=True, slots=True)
class Workload:
    """
    What a session does: how it is made, and after how many bars it is killed, flat.

    ``make`` is told whether the venue lists perpetuals only.
    """

    name: str
    make: Callable[[bool], SessionSpec]
    kill_at: int | None = None


def _instruments(symbol: str, fee_bps: int, *, listed: bool) -> dict[str, Instrument]:
    return instruments_of((symbol,), Decimal(fee_bps), **(LISTED if listed else {}))


def entries(listed: bool) -> SessionSpec:
    """Return a session that buys or sells at every bar."""
    symbol = PERP if listed else BTC
    script = Script()

    def decide(strategy: Scripted, bar: Bar) -> Any:
        side = Side.SELL if strategy.desk.position(symbol) else Side.BUY
        return [strategy.desk.open(bar.symbol, side, Decimal(1))]

    script.on_bar = decide
    feed = MemoryFeed({symbol: walk(symbol, 8, 5)})
    spec = script.spec(symbols=(symbol,))
    return make_spec(feed, spec, instruments=_instruments(symbol, 10, listed=listed))


def ladder(
    listed: bool,
    mode: PositionMode = PositionMode.ONE_WAY,
    bars: int = 24,
) -> SessionSpec:
    """Return a DCA ladder in a market that falls first, whose orders are filled in parts."""
    spec = ladder_spec(
        "dual_dca",
        quantity=Decimal(5),
        rungs=3,
        step_bps=Decimal(40),
        take_profit_bps=Decimal(60),
        dca_order_type="limit",
        resting_rungs=2,
        backoff_base_s=1,
    )
    feed = MemoryFeed({HYPE: wander(bars, 7, dip=9)})
    return make_spec(
        feed,
        spec,
        instruments=_instruments(HYPE, 5, listed=listed),
        participation=Decimal("0.3"),
        position_mode=mode,
    )


def hedged(listed: bool) -> SessionSpec:
    """Return two ladders in one market, a long and a short one, in books of their own."""
    # Bars of our own venue have less to trade in: to flatten both takes more of them there.
    return ladder(listed, PositionMode.HEDGE, bars=16 if listed else 24)


def cancelling(listed: bool) -> SessionSpec:
    """Return a session that cancels an order filled in part, of which all fills are told again."""
    symbol = PERP if listed else BTC
    # Where an order that could take does so when it arrives, this one rests and is met.
    limit = Decimal("99.5") if listed else Decimal(101)
    asked = ExecutionPolicy(OrderType.LIMIT, limit_price=limit)
    script = on_bars(
        {
            0: lambda desk: [desk.open(symbol, Side.BUY, Decimal(2000), policy=asked)],
            3: lambda desk: [desk.cancel(symbol, "abc-1-1")],
        }
    )
    return make_spec(
        MemoryFeed({symbol: walk(symbol, 8, 5)}),
        script.spec(symbols=(symbol,)),
        instruments=_instruments(symbol, 10, listed=listed),
        participation=Decimal("0.3"),
    )


WORKLOADS = {
    each.name: each
    for each in (
        Workload("entries", entries),
        Workload("ladder", ladder),
        Workload("flatten", ladder, kill_at=9),
        Workload("hedged", hedged, kill_at=11),
    )
}

ABLATED = {
    each.name: each
    for each in (Workload("stopped", entries, kill_at=4), Workload("cancelling", cancelling))
}
"""For ``--without`` only."""
