"""
A day of a real market in two processes: the exchange that plays it, and the daemon that trades it.

The exchange plays recorded bars and funding as its own market, at high speed; the daemon hears of
them by the exchange's streams, through ccxt over TLS, and trades there. Afterwards three accounts
are compared to the last digit: the exchange's truth log, the session's journal, and its ledger.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from messages import (
    ExecutionReport,
    FundingBooked,
    HoldPlaced,
    OrderEvent,
    PositionMode,
    PositionSide,
)
from scenarios.exchange.binanceusdm import market_id
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import (
    Comparison,
    Folded,
    compare,
    compare_books,
    fold_journal,
    fold_truth,
    last_books,
)
from state.journal.reader import read_journal

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("TIDEGATE_SHARED_DATA", ROOT.parent / "shared" / "data"))

MINUTE = 60_000
DAY = 1_440 * MINUTE
WARM_UP = 120
"""Bars that the exchange has shown or shows before the day that is traded."""

CASH = Decimal(1_000_000)
BTC, SOL, LAYER = "BTC/USDT:USDT", "SOL/USDT:USDT", "LAYER/USDT:USDT"
SYMBOLS = (BTC, SOL, LAYER)
FIRST_DAY = 1_747_440_000_000
"""2025-05-17T00:00Z: three settlements of funding, and all three markets move."""

INSTRUMENTS = """\
["BTC/USDT:USDT"]
price_tick = "0.1"
lot_step = "0.001"
min_quantity = "0.001"
max_quantity = "1000"
min_notional = "100"
initial_margin = "0.05"
maker_fee_bps = "2"
taker_fee_bps = "5"

["SOL/USDT:USDT"]
price_tick = "0.01"
lot_step = "0.01"
min_quantity = "0.01"
max_quantity = "80000"
min_notional = "5"
initial_margin = "0.05"
maker_fee_bps = "2"
taker_fee_bps = "5"

["LAYER/USDT:USDT"]
price_tick = "0.0001"
lot_step = "0.1"
min_quantity = "0.1"
max_quantity = "2000000"
min_notional = "5"
initial_margin = "0.05"
maker_fee_bps = "2"
taker_fee_bps = "5"
"""

DAEMON = """\
[session]
mode = "paper"
cash = "{cash}"
dir = "{folder}/runs"

[venue]
adapter = "ccxt"
exchange = "binanceusdm"
position_mode = "{mode}"
loopback_port = {port}
loopback_ca = "{ca}"
leverage = 20
allowance = 10  # a minute of its allowance is hours of this market

[universe]
symbols = [{symbols}]
instruments = "{folder}/instruments.toml"

[feed]
source = "ccxt"
timeframe = "1m"
stale_after_s = {patience}

[feed.live]
speed = {speed}
warm_up_bars = {warm_up}
store = "{folder}/store"

# What is waited for because of the network takes as long as ever, in real seconds.
[execution]
answer_timeout_s = {patience}

[reconciliation]
every_s = {every}
grace_s = {patience}

[risk]
max_order_notional = "500000"
max_gross_exposure = "5000000"
max_daily_loss = "900000"
max_drawdown_pct = "90"
max_orders_per_minute = 100000
max_cancels_per_minute = 100000
max_open_orders = 1000

[control]
http = ""
"""

SMA = """
[[strategies]]
name = "sma"
use = "sma_cross"
symbols = ["BTC/USDT:USDT"]
params = { fast = 5, slow = 15, quantity = "0.05" }
"""
BREAKOUT = """
[[strategies]]
name = "breakout"
use = "donchian_breakout"
symbols = ["SOL/USDT:USDT"]

[strategies.params]
entry_period = 30
exit_period = 10
atr_period = 20
stop_atr = "3"
activate_atr = "2"
notional = "20000"
cooldown_bars = 5
sides = "both"
"""
LADDER = """
[[strategies]]
name = "ladder"
use = "dual_dca"
symbols = ["BTC/USDT:USDT", "SOL/USDT:USDT"]

[strategies.params]
notional = "5000"
rungs = 4
step_bps = "12"
step_growth = "1.3"
size_growth = "1.5"
take_profit_bps = "12"
"""
GRID = """
[[strategies]]
name = "grid"
use = "grid"
symbols = ["LAYER/USDT:USDT"]

[strategies.params]
direction = "neutral"
levels = 20
step_bps = "25"
notional = "1000"
"""
STRATEGIES: Mapping[PositionMode, str] = {
    PositionMode.ONE_WAY: SMA + BREAKOUT,
    PositionMode.HEDGE: LADDER + GRID,
}


# ------------------------------------------------------------------------------------ the market


@dataclass(frozen=True)
class Market:
    """Files of bars and of funding, by symbol; ``until`` is when the last bar closes."""

    bars: Mapping[str, Path]
    funding: Mapping[str, Path]
    until: int


def real_market(folder: Path, bars: int = 1_440, begin: int = FIRST_DAY) -> Market:
    """
    Cut a day of the shared files out, or so many ``bars`` of it, and what comes right before.

    Funding is the recorded one. Raises ``FileNotFoundError`` where they are not there.
    """
    first, until = begin - WARM_UP * MINUTE, begin + bars * MINUTE
    found: dict[str, Path] = {}
    for symbol in SYMBOLS:
        name = f"binance_usdm_{market_id(symbol)}_1m_202505.csv.gz"
        with gzip.open(SHARED_DATA / "bars" / name, "rt") as file:
            header, *rows = file.read().splitlines()
        wanted = [row for row in rows if first <= int(row.partition(",")[0]) < until]
        found[symbol] = folder / f"{market_id(symbol)}.csv"
        found[symbol].write_text("\n".join([header, *wanted]) + "\n")
    perp = SHARED_DATA / "perp"
    funding = {
        symbol: perp / f"binance_usdm_{market_id(symbol)}_funding_8h.csv" for symbol in (BTC, SOL)
    }
    return Market(found, funding, until)


def made_market(folder: Path, bars: int, begin: int = FIRST_DAY) -> Market:
    """Make such a market up, with the same ticks, and funding every few minutes."""
    chance = Random(7)
    first, until = begin - WARM_UP * MINUTE, begin + bars * MINUTE
    found: dict[str, Path] = {}
    for symbol, price, digits in ((BTC, 103_000.0, 1), (SOL, 170.0, 2), (LAYER, 1.2, 4)):
        rows = ["timestamp,open,high,low,close,volume"]
        for at in range(first, until, MINUTE):
            close = price * (1 + chance.gauss(0, 0.0008))
            high = max(price, close) * (1 + chance.random() * 0.0005)
            low = min(price, close) * (1 - chance.random() * 0.0005)
            prices = (round(each, digits) for each in (price, high, low, close))
            rows.append(f"{at},{','.join(map(str, prices))},{chance.randrange(10**4, 10**5)}")
            price = round(close, digits)  # noqa: PLW2901 - the walk goes on from there
        found[symbol] = folder / f"{market_id(symbol)}.csv"
        found[symbol].write_text("\n".join(rows) + "\n")
    return often_funded(folder, Market(found, {}, until))


def often_funded(folder: Path, market: Market, every: int = 20) -> Market:
    """Return a market that settles funding every so many minutes, at rates of both signs."""
    rates = folder / "funding.csv"
    times = range(market.until - DAY, market.until + 1, every * MINUTE)
    lines = [f"{at},{0.00012345 * (-1) ** number:.8f}" for number, at in enumerate(times)]
    rates.write_text("timestamp,funding_rate\n" + "\n".join(lines) + "\n")
    return replace(market, funding={BTC: rates, SOL: rates})


# --------------------------------------------------------------------------------- two processes


@dataclass
class Day:
    """One day that was traded: both records of it, and how they compare."""

    folder: Path
    session: Path
    facts: list[Fact]
    messages: list[object]
    exit_code: int
    errors: str
    truth: Folded = field(init=False)
    journal: Folded = field(init=False)

    def __post_init__(self) -> None:
        """Add both records up."""
        self.truth = fold_truth(self.facts, market_id)
        self.journal = fold_journal(self.messages, CASH)

    @property
    def differences(self) -> Comparison:
        """Return where truth log and journal part."""
        return compare(self.truth, self.journal)

    @property
    def ledger_differences(self) -> list[str]:
        """Return where the session's ledger is not the truth."""
        return compare_books(self.truth, last_books(self.messages))

    @property
    def balance_differs(self) -> str:
        """Return what the exchange's own account says otherwise than its facts, or nothing."""
        accounts = [fact.account for fact in self.facts if fact.account is not None]
        if not accounts:
            return ""
        flow = self.truth.net_flow
        found = accounts[-1].net_flow
        return "" if flow == found else f"balance: facts {flow}, account {found}"

    @property
    def sides(self) -> set[PositionSide]:
        """Return which sides were traded."""
        return {fill.position_side for fill in self.truth.fills.values()}

    def counts(self) -> dict[str, Any]:
        """Return how much was traded."""
        ends = [
            each.event
            for each in self.messages
            if isinstance(each, ExecutionReport) and each.event is not OrderEvent.JOURNALED
        ]
        bars = {
            (fact.shown.symbol, fact.shown.timestamp)
            for fact in self.facts
            if fact.fact is FactKind.SHOWN and type(fact.shown).__name__ == "Bar"
        }
        return {
            "bars": len(bars),
            "orders": len(self.truth.orders),
            "fills": len(self.truth.fills),
            "cancelled": ends.count(OrderEvent.CANCELLED),
            "rejected": ends.count(OrderEvent.REJECTED),
            "doubts": ends.count(OrderEvent.SILENCE),
            "open at the end": len(self.truth.live),
            "positions at the end": len(self.truth.held),
            "funding payments": sum(fact.fact is FactKind.FUNDING for fact in self.facts),
            "funding booked": sum(isinstance(each, FundingBooked) for each in self.messages),
            "holds": sorted(
                {each.hold.hold_id for each in self.messages if isinstance(each, HoldPlaced)}
            ),
            "fees": str(self.truth.fees),
            "funding": str(sum(self.truth.funding.values(), Decimal(0))),
            "net flow": str(self.truth.net_flow),
        }


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without settings, and with ``more``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {**own, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def exchange(
    folder: Path, market: Market, mode: PositionMode, speed: float, limits_times: int
) -> Iterator[dict[str, Any]]:
    """Let the exchange play; give what it said of itself."""
    (folder / "instruments.toml").write_text(INSTRUMENTS)
    (folder / "venue.toml").write_text(
        f'[session]\ncash = "{CASH}"\ndir = "{folder}/venue-runs"\n'
        f'[venue]\nposition_mode = "{mode.value}"\n'
        f'[universe]\ninstruments = "{folder}/instruments.toml"\n'
    )
    command = [sys.executable, "-m", "tidegate", "venue", "-c", str(folder / "venue.toml")]
    command += ["--dialect", "binanceusdm", "--speed", str(speed), "--json"]
    command += ["--limits-times", str(limits_times)]
    command += ["--data", *(f"{path}@{symbol}" for symbol, path in market.bars.items())]
    for symbol, path in market.funding.items():
        command += ["--funding", f"{path}@{symbol}"]
    with (folder / "venue.log").open("w") as log:
        started = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert started.stdout is not None
    try:
        said = ""
        while not said.endswith("}\n"):
            line = started.stdout.readline()
            assert line, (folder / "venue.log").read_text()
            said += line
        yield json.loads(said)
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)


def trade(
    folder: Path,
    market: Market,
    mode: PositionMode,
    *,
    speed: float,
    strategies: str = "",
    limits_times: int = 1,
    patience_s: float = 900.0,
) -> Day:
    """Trade ``market`` to its end, stop both processes, and return what they have recorded."""
    with exchange(folder, market, mode, speed, limits_times) as told:
        network = math.ceil(10 * speed)
        text = DAEMON.format(
            cash=CASH,
            folder=folder,
            mode=mode.value,
            port=told["port"],
            ca=told["ca_file"],
            symbols=", ".join(f'"{symbol}"' for symbol in SYMBOLS),
            speed=float(speed),
            warm_up=WARM_UP // 2,
            patience=network,
            every=5 * speed,
        )
        errors, configured = folder / "trade.log", folder / "tidegate.toml"
        configured.write_text(text + (strategies or STRATEGIES[mode]))
        with errors.open("w") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "trade", "-c", str(configured), "--new"],
                cwd=folder,
                env=environment(
                    TIDEGATE_VENUE__CREDENTIALS__API_KEY=_line(told["key_file"]),
                    TIDEGATE_VENUE__CREDENTIALS__SECRET=_line(told["secret_file"]),
                ),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            _await_end(Path(told["truth"]), market.until, daemon, patience_s)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=120)
    (session,) = (folder / "runs" / "paper" / "sessions").iterdir()
    return Day(
        folder,
        session,
        read_truth(Path(told["truth"])),
        [entry.message for entry in read_journal(session / "journal.sqlite")],
        daemon.returncode,
        errors.read_text(),
    )


def verified(day: Day) -> str:
    """Have the session executed once more from its journal; return what differs, or nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "verify", str(day.session)],
        cwd=day.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"verify: exit {done.returncode} {done.stdout}"


SETTLE_S = 1.0
"""How long the daemon has for what the last bar brought about."""


def _await_end(truth: Path, until: int, daemon: subprocess.Popen[bytes], patience_s: float) -> None:
    """Return a moment after the last bars were shown; raises ``TimeoutError``."""
    deadline_s = time.monotonic() + patience_s
    last = f'"timestamp":{until - MINUTE},'.encode()
    seen = 0
    with truth.open("rb") as log:
        while time.monotonic() < deadline_s and daemon.poll() is None:
            for line in log:
                seen += b'"fact":"shown"' in line and last in line
            if seen >= len(SYMBOLS):
                time.sleep(SETTLE_S)
                return
            time.sleep(0.1)
    raise TimeoutError(f"the market was not played to its end, daemon: {daemon.poll()}")


def _line(path: str) -> str:
    return Path(path).read_text().strip()


def problems(day: Day) -> Sequence[str]:
    """Return everything that is not as it should be, one line each."""
    found = day.differences
    lines = [f"lost: {each}" for each in found.lost]
    lines += [f"duplicated: {each}" for each in found.duplicated]
    lines += [f"unresolved: {each}" for each in found.unresolved]
    lines += [f"ledger: {each}" for each in day.ledger_differences]
    return [*lines, *filter(None, [day.balance_differs])]
