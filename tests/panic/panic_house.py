"""An account in trouble at an exchange in another process, and what its truth log says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.emergency import CcxtEmergency
from messages import Fill, Side
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Folded, fold_truth
from tidegate.emergency import TAG, Bounds, Emergency, Outcome

KEY, SECRET = "virtual_key_for_tests", "virtual secret for tests only"
BTC = "BTC/USDT:USDT"
CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
QUICK = Bounds(whole_s=30.0, rest_first_s=0.05, rest_max_s=0.2, settle_s=0.3, calm_s=0.05)
"""Waits that suit a venue on this machine; the whole is only reached by a test that fails."""


@dataclass
class Venue:
    """The exchange's process, as the tests talk to it."""

    process: subprocess.Popen[str]
    folder: Path = Path()
    port: int = 0
    ca: Path = Path()
    said: list[str] = field(default_factory=list)

    def tell(self, what: str, **more: Any) -> dict[str, Any]:
        """Have it do something; return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the exchange's process has ended: its standard error says why"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def open(self, folder: Path, *, hedge: bool = False) -> None:
        """Open an account with 100,000 USDT and a market at 50,000."""
        opened = self.tell("open", folder=str(folder), hedge=hedge)
        self.folder, self.port, self.ca = folder, opened["port"], Path(opened["ca"])
        self.said.clear()

    def order(self, side: str, amount: str, price: str | None = None, **more: Any) -> None:
        """Place an order that is nobody's of ours."""
        self.tell("order", order=[side, amount, price, more])

    def faults(self, *script: dict[str, Any]) -> None:
        """Put faults in force."""
        self.tell("faults", script=script)

    @property
    def facts(self) -> list[Fact]:
        """Return its truth log."""
        return read_truth(self.folder / "truth.ndjson")

    @property
    def truth(self) -> Folded:
        """Return what its truth log adds up to."""
        return fold_truth(self.facts)

    @property
    def closes(self) -> list[Fill]:
        """Return the trades of the orders that closed."""
        fills = self.truth.fills.values()
        return [fill for fill in fills if fill.client_order_id.startswith(TAG)]

    def received(self) -> list[str]:
        """Return the names of the closing orders that came, in order, those refused too."""
        return [
            fact.client_order_id
            for fact in self.facts
            if fact.fact is FactKind.RECEIVED and fact.client_order_id.startswith(TAG)
        ]

    def flips(self) -> list[Fill]:
        """Return every closing trade after which a position was not smaller, or was turned."""
        held: dict[Any, Decimal] = {}
        found = []
        for fill in self.truth.fills.values():
            key = fill.symbol, fill.position_side
            before = held.get(key, Decimal(0))
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            held[key] = before + signed
            is_smaller = abs(held[key]) < abs(before) and held[key] * before >= 0
            if fill.client_order_id.startswith(TAG) and not is_smaller:
                found.append(fill)
        return found

    def address(self, **given: Any) -> CcxtAddress:
        """Return how the account is reached."""
        return CcxtAddress(
            "binanceusdm",
            secrets={"api_key": KEY, "secret": SECRET},
            loopback_port=self.port,
            loopback_ca=self.ca,
            **{"timeout_s": 1.0, "recv_window_ms": 500, **given},
        )

    async def panic(
        self,
        *,
        flatten: bool = True,
        symbols: tuple[str, ...] = (),
        bounds: Bounds = QUICK,
        doubt_ms: int | None = None,
        **given: Any,
    ) -> Outcome:
        """Empty the account; return what it came to."""
        way = CcxtEmergency(self.address(**given), CLOCK, symbols)
        if doubt_ms is not None:
            way.doubt_ms = doubt_ms
        emergency = Emergency(
            way,
            CLOCK,
            "a test's",
            flatten=flatten,
            chance=lambda: 0.5,
            say=self.said.append,
            bounds=bounds,
        )
        try:
            await emergency.run()
        finally:
            await way.shut()
        return emergency.outcome

    def configuration(self, folder: Path, *more: str) -> dict[str, str]:
        """Write a configuration of the account; return the environment with its secrets."""
        text = f"""\
[venue]
adapter = "ccxt"
exchange = "binanceusdm"
loopback_port = {self.port}
loopback_ca = "{self.ca}"
"""
        (folder / "tidegate.toml").write_text("\n".join([text, *more]))
        return {
            "TIDEGATE_VENUE__CREDENTIALS__API_KEY": KEY,
            "TIDEGATE_VENUE__CREDENTIALS__SECRET": SECRET,
        }
