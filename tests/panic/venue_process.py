"""
A virtual binanceusdm over TLS, in a process of its own, that does what it is told line by line.

    {"do": "open", "folder": "...", "hedge": false}     an exchange anew; the one before is stopped
    {"do": "faults", "script": [...]}                   other faults
    {"do": "order", "order": ["buy", "0.1", null, {}]}  an order of BTC: side, amount, price, more
    {"do": "bar", "price": 49000}                       the next minute
"""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

sys.path.append(str(Path(__file__).parents[1] / "exchange_binance"))

from binance_house import BTC, House, house, terms

from messages import PositionMode
from scenarios.exchange.authority import TestAuthority


class Serving:
    """The exchange that is open."""

    def __init__(self) -> None:
        """Have none."""
        self.at: House | None = None

    async def do(self, stack: AsyncExitStack, told: dict[str, Any]) -> dict[str, Any]:
        """Do one thing and return what there is to say."""
        if told["do"] == "open":
            folder = Path(told["folder"])
            mode = PositionMode.HEDGE if told["hedge"] else PositionMode.ONE_WAY
            authority = TestAuthority(folder / "tls")
            opened = house(folder, venue=terms(BTC, mode=mode), ca=authority)
            self.at = await stack.enter_async_context(opened)
            return {"port": self.at.exchange.port, "ca": str(authority.ca_path)}
        assert self.at is not None, "an exchange is open"
        match told["do"]:
            case "faults":
                self.at.set_faults(*told["script"])
            case "bar":
                await self.at.bar(told["price"])
            case "order":
                side, amount, price, more = told["order"]
                kind = "market" if price is None else "limit"
                await self.at.client.create_order(BTC, kind, side, amount, price, more)
        return {}


async def main() -> None:
    """Serve until the input ends."""
    serving = Serving()
    async with AsyncExitStack() as everything:
        stack = await everything.enter_async_context(AsyncExitStack())
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            told = json.loads(line)
            if told["do"] == "open":
                await stack.aclose()
            said = await serving.do(stack, told)
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main)
