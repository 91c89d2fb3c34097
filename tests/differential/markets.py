"""The markets that the differential test replays: six real files, and made-up ones anywhere."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("TIDEGATE_SHARED_DATA", ROOT.parent / "shared" / "data"))
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class RealFile:
    """A recorded market and the whole number of units traded on it."""

    name: str
    symbol: str
    quantity: int = 1

    @property
    def path(self) -> Path:
        """Return where the file is expected."""
        return SHARED_DATA / "bars" / self.name


REAL_FILES = (
    RealFile("binance_spot_BTCUSDT_1m_202412.csv.gz", "BTC/USDT"),
    RealFile("binance_usdm_SOLUSDT_1m_202505.csv.gz", "SOL/USDT:USDT"),
    RealFile("bitstamp_spot_BTCUSD_1m_20200101.csv", "BTC/USD"),
    RealFile("us_equity_SPY_1d_1998_2021.csv", "SPY"),
    # One unit of EUR/USD is about a dollar: a cent would prove nothing. 100,000 is a lot.
    RealFile("oanda_EURUSD_1h_bid_2014.csv", "EUR/USD", quantity=100_000),
    RealFile("coinbase_spot_BTCUSD_1d_2014_2018.csv", "BTC/USD"),
)


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A seeded walk; the coarser its tick against its steps, the more ties of the averages."""

    name: str
    seed: int
    bars: int
    places: int
    start: int  # in ticks
    step: int  # ticks per bar at most

    def rows(self) -> list[reference.Row]:
        """Return its bars; opens gap away from the close before."""
        rng = random.Random(f"{self.name}/{self.seed}")
        tick = Decimal(1).scaleb(-self.places)
        close = self.start
        rows = []
        for number in range(self.bars):
            open_ = max(1, close + rng.randint(-1, 1))
            close = max(1, open_ + rng.randint(-self.step, self.step))
            high = max(open_, close) + rng.randint(0, self.step)
            low = max(1, min(open_, close) - rng.randint(0, self.step))
            at = 1_704_067_200_000 + number * MINUTE_MS
            volume = Decimal(rng.randint(10, 999))
            rows.append(
                reference.Row(at, open_ * tick, high * tick, low * tick, close * tick, volume)
            )
        return rows


MADE_UP = (
    MadeUp("crypto, fine ticks", 1, 4_000, places=2, start=4_200_000, step=3_000),
    MadeUp("equity, coarse ticks", 2, 4_000, places=2, start=10_000, step=3),
    MadeUp("forex, five places", 3, 4_000, places=5, start=110_000, step=12),
    MadeUp("penny, many ties", 4, 4_000, places=1, start=400, step=1),
    MadeUp("shorter than the slow window", 5, 29, places=2, start=10_000, step=5),
    MadeUp("one decision, on the last bar", 6, 30, places=2, start=10_000, step=5),
)


def write_csv(path: Path, rows: list[reference.Row]) -> None:
    """Write bars as the CSV that replay reads."""
    lines = ["timestamp,open,high,low,close,volume"]
    lines += [f"{r.timestamp},{r.open},{r.high},{r.low},{r.close},{r.volume}" for r in rows]
    path.write_text("\n".join(lines) + "\n")
