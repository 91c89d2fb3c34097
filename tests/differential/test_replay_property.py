"""The product against the reference on whatever markets and parameters hypothesis thinks of."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import product
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.risk import RiskLimits
from actors.session import SessionSpec, StrategySpec, run_replay
from brokers.matching import EngineConfig
from feeds.memory import MemoryFeed
from messages import Bar
from state.instruments import Instrument
from strategies.sma_cross import SmaCross, SmaCrossParams

MINUTE_MS = 60_000
START_MS = 1_733_007_600_000
SYMBOL = "BTC/USDT"


@st.composite
def markets(draw: st.DrawFn) -> list[reference.Row]:
    """Draw bars whose closes often stand still or come back, so that averages often tie."""
    places = draw(st.integers(0, 8))
    price = draw(st.integers(50, 10**6))
    steps = draw(
        st.lists(st.tuples(st.integers(-1, 1), st.integers(-3, 3)), min_size=1, max_size=60)
    )
    tick = Decimal(1).scaleb(-places)
    rows = []
    for number, (gap, step) in enumerate(steps):
        open_ = max(1, price + gap)
        price = max(1, open_ + step)
        high, low = max(open_, price) * tick, min(open_, price) * tick
        at = START_MS + number * MINUTE_MS
        rows.append(reference.Row(at, open_ * tick, high, low, price * tick, Decimal(7)))
    return rows


@given(
    rows=markets(),
    fast=st.integers(1, 5),
    wider=st.integers(1, 6),
    quantity=st.decimals(Decimal("0.001"), 1000, places=3),
    fee_bps=st.decimals(0, 100, places=2),
    slippage_bps=st.decimals(0, 50, places=1),
    perpetual=st.booleans(),
    queued=st.booleans(),
)
@settings(max_examples=25)
def test_any_market_is_replayed_exactly(
    rows: list[reference.Row],
    fast: int,
    wider: int,
    quantity: Decimal,
    fee_bps: Decimal,
    slippage_bps: Decimal,
    perpetual: bool,
    queued: bool,
) -> None:
    """
    Trades and equity equal the reference, spot or perpetual, by either dispatcher.

    Prices reach the product as floats and come out as the decimals that they stand for.
    """
    symbol = f"{SYMBOL}:USDT" if perpetual else SYMBOL
    cash = Decimal(1_000_000_000_000)
    expected = reference.sma_cross(
        rows,
        fast=fast,
        slow=fast + wider,
        quantity=quantity,
        cash=cash,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
    )
    params = SmaCrossParams(fast=fast, slow=fast + wider, quantity=quantity)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "session"
        run_replay(
            SessionSpec(
                mode="replay",
                name="property",
                seed=1,
                feed=MemoryFeed({symbol: [bar_of(symbol, row) for row in rows]}),
                strategies=(StrategySpec("sma", SmaCross, params, (symbol,)),),  # type: ignore[arg-type]
                instruments={symbol: Instrument.permissive(symbol, fee_bps)},
                currency="USDT",
                cash=cash,
                engine=EngineConfig(trade_tag="property", slippage_bps=slippage_bps),
                limits=RiskLimits(),
                out=out,
                queued=queued,
            )
        )
        trades = product.trades_by_symbol(out)
        equity = product.final_equity(out)

    assert expected == reference.Outcome(trades.get(symbol, []), equity)


def bar_of(symbol: str, row: reference.Row) -> Bar:
    """Return a row as the feed would deliver it."""
    prices = (float(row.open), float(row.high), float(row.low), float(row.close))
    return Bar(symbol, row.timestamp, *prices, float(row.volume), MINUTE_MS)
