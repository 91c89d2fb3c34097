"""A kill at a real venue: what it sends has to be an order there too."""

from __future__ import annotations

from pathlib import Path

from binance_house import terms
from ccxt_house import BTC
from dialect_house import opened
from session_world import flat, on_bars
from test_ccxt_in_session import FAR, TENTH, messages, session_of

from actors.commands import Request
from actors.inbox import Inbox
from actors.session import run_paper
from messages import CommandVerb, KillReport, Side
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth


async def test_a_kill_flattens_at_the_exchange(tmp_path: Path) -> None:
    """Its orders have ids of their own, and the venue takes them: nothing is held, none is open."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
            1: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR)],
        }
    )
    inbox = Inbox()

    def progressed(bars: int) -> None:
        if bars == 4:
            inbox.submit(Request(verb=CommandVerb.KILL, by="drill", flatten=True))

    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, script, exchange)
        result = await run_paper(spec, speed=120, inbox=inbox, on_progress=progressed)
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))
    reports = [each for each in messages(result) if isinstance(each, KillReport)]

    assert 2 == len(truth.fills)
    assert ({}, set()) == (truth.held, truth.live)
    assert [True] == [report.confirmed for report in reports]
