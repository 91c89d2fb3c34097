"""
How long an order takes from the bar that it is decided by to the socket, and whose time that is.

    python tests/bench/latency.py [--orders 2000] [--rounds 4] [--pause-ms 20] [--folder DIR]
        [--no-memory]

A session on its real event loop, with its real actors, journal and risk limits, places one market
order for each bar: bar, strategy, risk, execution, commit with its sync, ccxt, TLS. The exchange
(``tidegate venue --dialect binanceusdm``) is a process of its own. A bar comes once the order
before it is filled, and about ``--pause-ms`` later. Taken for each order, in ms:

    decided    from the bar's arrival at the feed to Risk's approval
    committed  to the hand-over to the broker: the record on the disk, synced, and the last look
    handed     to the call of ccxt's ``create_order``: the broker's queue and its turn
    ours       the sum of these
    ccxt       from that call to the return of the write to the TLS transport
    whole      all of it

``work`` is how long the event loop's thread was at work in our part, whatever for: that it had to
wait for a processor, or for the disk, is not in it.

Three ways, in turns: ``synced`` (the session's folder on the disk), ``unsynced`` (the same in
memory: on a tmpfs a sync costs nothing), and ``raw``, which is ccxt's ``create_order`` alone,
called in a loop. The cost of a sync on this disk is measured by itself before and after, back to
back; and, at the pace of the orders, what ``floor.py`` takes: the disk and SQLite, without us.
Only the allowance of requests is larger than the real one, so that orders in such number wait for
no turn.

The memory is that of a ``tidegate trade`` that trades at the same exchange: itself, and the process
that writes its artifacts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent / "runtime")]
sys.path.append(str(HERE.parent / "exchange_binance"))

import aiohttp  # noqa: E402
import anyio  # noqa: E402
import floor  # noqa: E402
import run  # noqa: E402
from aiohttp.http_writer import StreamWriter  # noqa: E402
from day_house import BTC  # noqa: E402
from kills import percentile  # noqa: E402
from resident import memory  # noqa: E402
from session_world import Script, make_spec  # noqa: E402
from still_exchange import PRICE, exchange  # noqa: E402

from actors.inbox import Inbox  # noqa: E402
from actors.risk import RiskLimits  # noqa: E402
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms  # noqa: E402
from actors.session import run_paper  # noqa: E402
from actors.turns import Session  # noqa: E402
from brokers.ccxt.address import CcxtAddress, VenueClock  # noqa: E402
from brokers.ccxt.broker import CcxtBroker  # noqa: E402
from brokers.ccxt.client import LoopbackResolver  # noqa: E402
from feeds.contract import Arrival, Group  # noqa: E402
from messages import (  # noqa: E402
    Bar,
    ExecutionReport,
    OrderEvent,
    OrderRequest,
    RiskDecision,
    Side,
)
from state.instruments import load_instruments  # noqa: E402
from state.money import apart  # noqa: E402
from state.reconciliation_policy import Policy, ReconciliationPlan  # noqa: E402

TARGET_MS = 1.0
BAR_MS = 10
ORDER = b"POST /fapi/v1/order"
QUANTITY = Decimal("0.01")
WARM_UP = 50
"""Orders of each way that are not counted: connections are dialled, caches are filled."""

PARTS = ("decided", "committed", "handed", "ours", "work", "ccxt", "whole")
SYNCS = 1_000

PATIENCE_S = 15.0


# ---------------------------------------------------------------------------------- the moments


@dataclass
class Stamps:
    """When an order came where, in ns, and at which work; each moment is noted once."""

    at: dict[str, int] = field(default_factory=dict)
    worked: dict[str, int] = field(default_factory=dict)

    def note(self, moment: str) -> None:
        """Note that this is it, unless it was."""
        if moment not in self.at:
            self.worked[moment] = time.thread_time_ns()
            self.at[moment] = time.perf_counter_ns()

    def clear(self) -> None:
        """Begin anew."""
        self.at.clear()
        self.worked.clear()

    def parts(self) -> dict[str, float]:
        """Return the parts in ms."""
        at = self.at
        found = {
            "decided": at["approved"] - at["bar"],
            "committed": at["submitted"] - at["approved"],
            "handed": at["called"] - at["submitted"],
            "ours": at["called"] - at["bar"],
            "ccxt": at["written"] - at["called"],
            "whole": at["written"] - at["bar"],
            "work": self.worked["called"] - self.worked["bar"],
        }
        return {name: ns / 1e6 for name, ns in found.items()}


NOW = Stamps()


def _watch_sockets() -> None:
    """Note when an order's request has been handed to the transport."""
    write, writelines = StreamWriter._write, StreamWriter._writelines

    def written(self: StreamWriter, chunk: Any) -> None:
        write(self, chunk)
        if bytes(chunk[: len(ORDER)]) == ORDER:
            NOW.note("written")

    def many_written(self: StreamWriter, chunks: Any) -> None:
        chunks = tuple(chunks)
        writelines(self, chunks)
        if bytes(chunks[0][: len(ORDER)]) == ORDER:
            NOW.note("written")

    StreamWriter._write = written  # type: ignore[method-assign]
    StreamWriter._writelines = many_written  # type: ignore[method-assign]


# ----------------------------------------------------------------------------------- the session


class Bars:
    """A live feed that gives a bar when it is told to."""

    symbols = (BTC,)
    timeframe_ms = BAR_MS
    synthetic = False
    speed = 1.0

    def __init__(self) -> None:
        """Have nothing yet."""
        self.wake: Callable[[], object] = lambda: None
        self._waiting: list[Group] = []
        self._newest = 0

    def give(self) -> None:
        """Let a bar arrive, now."""
        opened = max(self._newest + BAR_MS, wall_ms() // BAR_MS * BAR_MS - BAR_MS)
        self._newest = opened
        bar = Bar(BTC, opened, PRICE, PRICE, PRICE, PRICE, 10.0, BAR_MS)
        NOW.clear()
        NOW.note("bar")
        self._waiting.append((bar,))
        self.wake()

    def take(self) -> Arrival | None:
        """Return the bar that has arrived."""
        return self._waiting.pop(0) if self._waiting else None

    def groups(self) -> Iterator[Group]:
        """Yield no history."""
        return iter(())

    def fingerprints(self) -> dict[str, str]:
        """Return what it is."""
        return {"live": "bench"}

    def keep_in(self, folder: Path) -> None:
        """Keep nothing."""

    async def connect(self, after: int | None = None) -> int:
        """Return the machine's time."""
        del after
        return wall_ms()

    async def run(self) -> None:
        """Have nothing to listen to."""
        await anyio.sleep_forever()

    def reconnect(self) -> None:
        """Have nothing to dial."""

    async def close(self) -> None:
        """Have nothing open."""


class Bench:
    """One session that places ``orders`` orders in ``folder``."""

    def __init__(self, told: Mapping[str, Any], folder: Path, orders: int, pause_s: float) -> None:
        """Stand ready; the session's folder is made below ``folder``."""
        self.told = told
        self.folder = folder
        self.orders = orders
        self.pause_s = pause_s
        self.feed = Bars()
        self.filled = anyio.Event()
        self.parts: list[dict[str, float]] = []
        self.is_over = False
        self._chance = random.Random(orders)
        listed = load_instruments(_instruments(told))
        self._instruments = {BTC: listed[BTC]}

    async def run(self) -> list[dict[str, float]]:
        """Run the session; return the parts of each order."""
        script = Script(on_bar=self._decide, on_update=self._updated, on_refusal=self._refused)
        spec = make_spec(self.feed, script.spec("bench", (BTC,)), instruments=self._instruments)
        spec = replace(
            spec,
            mode="paper",
            runs_dir=self.folder,
            broker=self._broker,
            limits=RiskLimits(
                max_order_notional=Decimal(500_000),
                max_position_notional=Decimal(500_000),
                max_gross_exposure=Decimal(900_000),
                max_daily_loss=Decimal(900_000),
                max_drawdown_pct=Decimal(90),
                max_orders_per_minute=10**6,
                max_open_orders=100,
            ),
            reconciliation=ReconciliationPlan(policy=Policy.ADOPT, patient=True),
        )
        await run_paper(spec, speed=1, stop=lambda: self.is_over, inbox=Inbox(), on_open=self._open)
        self._giving.result()
        return self.parts[WARM_UP:]

    def _broker(self, engine: Any) -> CcxtBroker:
        address = CcxtAddress(
            "binanceusdm",
            account=f"bench-{time.time_ns()}",
            secrets={"api_key": self.told["key"], "secret": self.told["secret"]},
            loopback_port=self.told["port"],
            loopback_ca=Path(self.told["ca_file"]),
        )
        broker = CcxtBroker(address, VenueClock(wall_ms, monotonic_s, sleep_s), engine.symbols)
        submit = broker.submit

        def submitted(request: OrderRequest, now: int) -> None:
            NOW.note("submitted")
            submit(request, now)

        broker.submit = submitted  # type: ignore[method-assign]
        self.broker = broker
        return broker

    def _open(self, session: Session) -> None:
        at = self.broker._at
        create = at.client.exchange.create_order

        async def called(*given: Any) -> Any:
            NOW.note("called")
            return await create(*given)

        at.client.exchange.create_order = called
        allowance = at.calls.lanes.allowance
        allowance.weights = replace(allowance.weights, per_window=10**9)
        dispatcher = session.assembly.dispatcher
        append = dispatcher._append

        def appended(ts: int, source: str, correlation: str, causation: str, message: Any) -> int:
            if type(message) is RiskDecision:
                NOW.note("approved")
            return append(ts, source, correlation, causation, message)

        dispatcher._append = appended
        self._giving = asyncio.get_running_loop().create_task(self._give_all())
        self._giving.add_done_callback(self._given)

    def _given(self, _task: asyncio.Task[None]) -> None:
        self.is_over = True

    async def _give_all(self) -> None:
        for _ in range(self.orders + WARM_UP):
            # Not evenly: nothing that comes at intervals of its own is met or missed each time.
            await anyio.sleep(self.pause_s * self._chance.uniform(0.5, 1.5))
            self.filled = anyio.Event()
            with anyio.fail_after(PATIENCE_S):
                # As from a socket: in a step of its own, which does nothing else.
                asyncio.get_running_loop().call_soon(self.feed.give)
                await self.filled.wait()
            self.parts.append(NOW.parts())

    def _decide(self, strategy: Any, _bar: Bar) -> Any:
        desk = strategy.desk
        if desk.position(BTC):
            return [desk.close(BTC)]
        # Of bars this short an order is out of date before a loaded machine has sent it.
        until = wall_ms() + round(1_000 * PATIENCE_S)
        return [desk.open(BTC, Side.BUY, QUANTITY, valid_until=until)]

    def _refused(self, _strategy: Any, decision: Any) -> None:
        raise AssertionError(f"an order was refused: {decision}")

    def _updated(self, _strategy: Any, report: ExecutionReport) -> None:
        if report.event in {OrderEvent.FILLED, OrderEvent.REJECTED, OrderEvent.SUPPRESSED}:
            assert report.event is OrderEvent.FILLED, report
            self.filled.set()


def _instruments(told: Mapping[str, Any]) -> Path:
    return Path(told["truth"]).parents[2] / "instruments.toml"


# ------------------------------------------------------------------------------------- ccxt alone


async def raw(told: Mapping[str, Any], orders: int, pause_s: float) -> list[dict[str, float]]:
    """Return ccxt's own part of so many orders, and nothing of ours."""
    import ccxt.pro

    context = ssl.create_default_context(cafile=told["ca_file"])
    connector = aiohttp.TCPConnector(ssl=context, resolver=LoopbackResolver(told["port"]))
    parts: list[dict[str, float]] = []
    async with aiohttp.ClientSession(connector=connector) as session:
        client = ccxt.pro.binanceusdm(
            {
                "apiKey": told["key"],
                "secret": told["secret"],
                "session": session,
                "enableRateLimit": False,
                "options": {"fetchCurrencies": False},
            }
        )
        client.decimal_to_precision = apart(client.decimal_to_precision)
        try:
            await client.load_markets()
            for number in range(orders + WARM_UP):
                await anyio.sleep(pause_s)
                NOW.clear()
                NOW.note("called")
                side = "sell" if number % 2 else "buy"
                await client.create_order(BTC, "market", side, float(QUANTITY))
                parts.append({"ccxt": (NOW.at["written"] - NOW.at["called"]) / 1e6})
        finally:
            await client.close()
    return parts[WARM_UP:]


# --------------------------------------------------------------------------------------- the table


def figures_of(values: list[float]) -> tuple[float, float, float]:
    """Return p50, p99 and the maximum."""
    return percentile(values, 0.50), percentile(values, 0.99), max(values)


def table(ways: Mapping[str, list[dict[str, float]]]) -> None:
    """Print what each way came to."""
    print(f"{'':<22}{'p50':>10}{'p99':>10}{'max':>10}")
    for way, parts in ways.items():
        for name in PARTS:
            values = [each[name] for each in parts if name in each]
            if values:
                figures = "".join(f"{value:>7.3f} ms" for value in figures_of(values))
                print(f"{way:<10}{name:<12}{figures}")
    own = [each["ccxt"] for each in ways["raw"]]
    raw_p50, raw_p99, _ = figures_of(own)
    for way in ("synced", "unsynced"):
        p50, p99, _ = figures_of([each["whole"] for each in ways[way]])
        our_p50, our_p99, _ = figures_of([each["ours"] for each in ways[way]])
        print(
            f"{way}: whole / raw ccxt {p50 / raw_p50:.2f} at p50, {p99 / raw_p99:.2f} at p99; "
            f"our part / raw ccxt {our_p50 / raw_p50:.2f}, {our_p99 / raw_p99:.2f}"
        )
    synced = figures_of([each["ours"] for each in ways["synced"]])[1]
    verdict = "met" if synced < TARGET_MS else "missed"
    print(f"target: our part below {TARGET_MS:g} ms at p99, sync included: {verdict}")


def _line(name: str, values: list[float], remark: str) -> None:
    figures = "".join(f"{value:>7.3f} ms" for value in figures_of(values))
    print(f"{name:<22}{figures}   ({remark}, {len(values)} times)")


def _loop(work: Callable[[], Any]) -> Any:
    """Run on the event loop that the daemon has."""
    from importlib.util import find_spec

    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="from a bar to the socket")
    parser.add_argument("--orders", type=int, default=2_000, help="of each way")
    parser.add_argument("--rounds", type=int, default=4, help="in which they are placed, in turns")
    parser.add_argument("--pause-ms", type=float, default=20.0, help="between two orders")
    parser.add_argument("--folder", type=Path, help="where the synced sessions lie (default: temp)")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out")
    chosen = parser.parse_args()
    each, pause_s = max(1, chosen.orders // chosen.rounds), chosen.pause_ms / 1000
    print(run.machine())
    _watch_sockets()
    ways: dict[str, list[dict[str, float]]] = {"synced": [], "unsynced": [], "raw": []}
    disk: dict[str, list[float]] = {"syncs": [], "disk": [], "row": []}
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-", dir=chosen.folder) as on_disk,
        tempfile.TemporaryDirectory(prefix="tidegate-bench-", dir="/dev/shm") as in_memory,
        exchange(Path(in_memory)) as told,
    ):
        for number in range(chosen.rounds):
            disk["syncs"] += floor.syncs(Path(on_disk), SYNCS)
            for way, place in (("synced", on_disk), ("unsynced", in_memory)):
                folder = Path(place) / f"round-{number}"
                ways[way] += _loop(Bench(told, folder, each, pause_s).run)
                shutil.rmtree(folder)
            ways["raw"] += _loop(lambda: raw(told, each, pause_s))
            disk["syncs"] += floor.syncs(Path(on_disk), SYNCS)
            for name, alone in (("disk", floor.disk), ("row", floor.row)):
                disk[name] += _loop(partial(alone, Path(on_disk), each, pause_s))
        used = {} if chosen.no_memory else memory(told, Path(in_memory))
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{len(ways['synced'])} orders each way, {chosen.rounds} rounds, load after {load}")
    _line("a sync", disk["syncs"], f"{floor.COMMIT_BYTES} bytes, back to back")
    _line("floor     disk", disk["disk"], "a sync at the orders' pace, nothing of ours")
    _line("floor     row", disk["row"], "the same through SQLite in a thread")
    table(ways)
    if used:
        print(", ".join(f"{name} {mib:.0f} MiB" for name, mib in used.items()) + " resident")
    return 0


if __name__ == "__main__":
    sys.exit(main())
