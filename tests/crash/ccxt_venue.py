"""
The torture's venue as binanceusdm: the real ccxt client in the session's process, TLS between.

A real venue has a market of its own. Here it is the session's bars: a broker that shows each to
the venue before an order of its turn leaves, and the torture itself one more while no process
lives, so that orders at rest are filled and nobody is told. Bars are numbered by the feed, and the
venue takes each once.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import ccxt.pro  # noqa: F401 - half a second, once and not in every fork
import msgspec
from venues import TIMEOUT_S, Dialect

from actors.execution import DoubtPlan
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from actors.spec import SessionSpec
from brokers.ccxt import broker as ccxt_broker
from brokers.ccxt import ordering
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.lanes import Lane
from brokers.contract import SessionBroker
from brokers.matching import MatchingEngine
from brokers.shown import EverySymbol
from brokers.virtual.wire import KEY_HEADER, MARKET, Answer, Shown
from messages import Bar, OrderRequest, OrderStatus, ReasonCode
from scenarios.exchange.binanceusdm import Keys, Limits, TestAuthority, open_binanceusdm
from scenarios.exchange.facts import FactKind, Terms
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Folded, fold_truth
from state.reconciliation_policy import ReconciliationPlan

KEYS: Final = Keys("virtual_key_for_tests", "virtual secret for tests only")

RECV_WINDOW_MS: Final = 600
"""Through TLS a request takes longer, and on a busy machine it is to arrive all the same."""

FASTER: Final = 1_000
"""So many times the real limits, on both sides: the market runs that much faster."""

DOUBTS: Final = DoubtPlan(
    receive_window_ms=RECV_WINDOW_MS, clock_skew_ms=0, margin_ms=0, pause_ms=50, pause_ms_max=2_000
)
"""Short, as above; and not a question for every moment between two bars that are one to us."""

SOURCE: Final = "rehearsal"
CLOCK: Final = VenueClock(wall_ms, monotonic_s, sleep_s)

QUICK: Final = {
    ordering: {"SKEW_MS": 0, "READ_LAG_MS": 0},  # one clock, and one copy of the truth
    ccxt_broker: {"ACCOUNT_SOON_S": 0.02, "CHECK_AFTER_S": 0.2},
}
"""What is allowed for at a venue far away, and only takes time at one on loopback."""

for module, names in QUICK.items():
    assert names.keys() <= vars(module).keys(), f"{module}: {names} have other names"
    vars(module).update(names)


def bars_of(spec: SessionSpec) -> list[Bar]:
    """Return the bars of a session's feed, in the order in which they are numbered."""
    return [bar for group in spec.feed.groups() for bar in group]


class ShowingBroker(CcxtBroker):
    """A ccxt broker whose venue has the session's own market, bar by bar."""

    def __init__(self, address: CcxtAddress, symbols: Sequence[str], bars: Sequence[Bar]) -> None:
        """Show ``bars``, each when the session has it."""
        super().__init__(address, CLOCK, symbols)
        weights = replace(self.row.weights, per_window=FASTER * self.row.weights.per_window)
        self.row = replace(self.row, weights=weights)
        self._bars = bars
        self._shown = anyio.Event()
        self._shown.set()

    @property
    def working(self) -> Mapping[str, object]:
        """Return that every symbol's market is to be shown."""
        return EverySymbol()

    def on_bar(self, bar: Bar) -> None:
        """Show the venue this bar, and those before it that it may not have."""
        upto = next(n for n, each in enumerate(self._bars, 1) if each.timestamp == bar.timestamp)
        self._shown = shown = anyio.Event()
        work = partial(self._show, self._bars[:upto], shown)
        assert self._hand_over(Lane.READ, "", work, self._now), "nothing is turned away here"

    async def _show(self, bars: Sequence[Bar], shown: anyio.Event) -> None:
        client = self._at.client
        async with client._session.post(
            f"https://fapi.binance.com{MARKET}",
            data=msgspec.json.encode(Shown(SOURCE, 1, tuple(bars))),
            headers={KEY_HEADER: self.address.secrets["api_key"]},
        ) as answer:
            assert answer.status == 200, await answer.text()
        # It has told its stream before it answers: what the bar has changed is to be heard of.
        self._standing.is_dirty = True
        shown.set()

    async def _submit(self, request: OrderRequest, lane: Lane) -> None:
        await self._shown.wait()
        await super()._submit(request, lane)


class Binanceusdm(Dialect):
    """Perpetuals, over TLS with an authority of its own."""

    name = "binanceusdm"
    listed = True

    async def open(self, terms: Terms, folder: Path) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Serve an exchange."""
        exchange = await open_binanceusdm(
            terms,
            folder / "venue",
            credentials=KEYS,
            ca=TestAuthority(folder / "tls"),
            limits=Limits().times(FASTER),
        )
        return f"{exchange.port} {exchange.ca_path}", exchange.stop

    def session(self, spec: SessionSpec, address: str) -> SessionSpec:
        """Return ``spec`` as a session there."""
        port, _, ca = address.partition(" ")
        reached = CcxtAddress(
            self.name,
            account=f"at-{port}",
            secrets={"api_key": KEYS.api_key, "secret": KEYS.secret},
            position_mode=spec.engine.position_mode,
            loopback_port=int(port),
            loopback_ca=Path(ca),
            timeout_s=TIMEOUT_S,
            recv_window_ms=RECV_WINDOW_MS,
        )
        bars = bars_of(spec)

        def broker(engine: MatchingEngine) -> SessionBroker:
            return ShowingBroker(reached, engine.symbols, bars)

        return replace(
            spec, broker=broker, reconciliation=ReconciliationPlan(patient=True), doubts=DOUBTS
        )

    def truth(self, folder: Path) -> Folded:
        """
        Return what the exchange's own log adds up to, in the words of its wire.

        There a trade's id is one of its market, and what nobody asked to cancel has expired.
        """
        facts = read_truth(folder / "venue" / "truth.ndjson")
        truth = fold_truth(facts)
        for fact in facts:
            cause = None if fact.report is None else fact.report.cause
            asked = cause is not None and cause.code is ReasonCode.CANCEL_REQUESTED
            if fact.fact is FactKind.CANCELLED and not asked:
                truth.orders[fact.client_order_id].status = OrderStatus.EXPIRED
        fills = {}
        for trade_id, fill in truth.fills.items():
            market = fill.symbol.partition(":")[0].replace("/", "")
            fills[f"{market}:{trade_id}"] = msgspec.structs.replace(
                fill, trade_id=f"{market}:{trade_id}"
            )
        truth.fills = fills
        return truth

    def move(self, spec: SessionSpec, address: str) -> None:
        """Show the exchange one bar more than it has."""
        port, _, ca = address.partition(" ")
        context = ssl.create_default_context(cafile=ca)
        line = http.client.HTTPSConnection("localhost", int(port), context=context)
        try:
            taken = _show(line, ()).shown
            _show(line, bars_of(spec)[: taken + 1])
        finally:
            line.close()


def _show(line: http.client.HTTPSConnection, bars: Sequence[Bar]) -> Answer:
    body = msgspec.json.encode(Shown(SOURCE, 1, tuple(bars)))
    line.request("POST", MARKET, body, {KEY_HEADER: KEYS.api_key})
    answer: Any = line.getresponse()
    content = answer.read()
    assert answer.status == 200, content
    return msgspec.json.decode(content, type=Answer)
