"""
Run one session and print a digest of each of its files: what a child process is asked to do.

    python replay_digest.py OUT fused|queued sound|failing

The work is busy: three symbols, every kind of order, partial fills; in the failing one a third
strategy raises now and then.
"""

from __future__ import annotations

import hashlib
import sys
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from session_world import BTC, ETH, PERP, Scripted, instruments_of, make_spec  # noqa: E402
from workloads import busy_steps, market, trader  # noqa: E402

from actors.session import run_replay  # noqa: E402
from actors.spec import SessionSpec  # noqa: E402
from feeds.memory import MemoryFeed  # noqa: E402
from messages import Bar  # noqa: E402
from strategies.contract import Intents  # noqa: E402

BARS = 160
FILES = (
    "events.ndjson",
    "orders.csv",
    "trades.csv",
    "positions.csv",
    "account.csv",
    "intents.csv",
    "round_trips.csv",
)


def spec(out: Path, *, queued: bool, fails: bool) -> SessionSpec:
    """Return a session of three symbols and three strategies, one of which may fail."""
    failing = trader(busy_steps(9, 3 * BARS, 0.2))
    act = failing.on_bar

    def sometimes(strategy: Scripted, bar: Bar) -> Intents:
        if fails and len(failing.seen) % 57 == 0:
            raise RuntimeError("a bug")
        return act(strategy, bar)

    failing.on_bar = sometimes
    made = make_spec(
        MemoryFeed(market(BARS)),
        trader(busy_steps(1, 3 * BARS, 0.7)).spec("one", (BTC, ETH)),
        trader(busy_steps(2, 3 * BARS, 0.7)).spec("two", (PERP, BTC)),
        failing.spec("three", (ETH,)),
        cash=20_000,
        instruments=instruments_of((BTC, ETH, PERP), Decimal(10), lot_step=Decimal("0.25")),
        queued=queued,
        participation=Decimal("0.05"),
        slippage_bps=Decimal(2),
    )
    fields = {name: getattr(made, name) for name in made.__slots__}
    return SessionSpec(**{**fields, "out": out})


def digests(out: Path, *, queued: bool, fails: bool) -> list[str]:
    """Run the session into ``out`` and return one line a file: name, size, SHA-256."""
    run_replay(spec(out, queued=queued, fails=fails))
    found = []
    for name in FILES:
        content = (out / name).read_bytes()
        found.append(f"{name} {len(content)} {hashlib.sha256(content).hexdigest()}")
    return found


if __name__ == "__main__":
    _, where, dispatch, work = sys.argv
    print("\n".join(digests(Path(where), queued=dispatch == "queued", fails=work == "failing")))
