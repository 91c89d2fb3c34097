"""A kill at a real venue: what it sends has to be an order there too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from binance_house import terms
from ccxt_house import BTC
from dialect_house import opened
from session_world import Script, flat, on_bars
from test_ccxt_in_session import FAR, TENTH, Died, messages, session_of

from actors.commands import Request
from actors.inbox import Inbox
from actors.session import run_paper
from actors.spec import SessionResult
from brokers.ccxt import rounding
from brokers.ccxt.errors import TooMany
from brokers.ccxt.lanes import Allowance
from messages import CommandVerb, KillReport, Side
from scenarios.exchange.binanceusdm import Exchange
from scenarios.exchange.faults import FaultScript
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Folded, fold_truth

ASKED_TOO_OFTEN = {"fault": "rate_limit", "on": ["account"], "count": 1, "by": "60s"}
BANNED = {"fault": "ban", "on": ["account"], "count": 1, "by": "60s"}


LOOKS = 40
"""How often a cancel that is to come is looked for at most: a loaded machine takes its time."""


async def killed_after(
    fault: dict[str, Any], folder: Path, orders: int = 1, *, cancels: bool = False
) -> Folded:
    """
    Have a session's order rest, then the venue's ``fault``, then a kill.

    Return what the venue had two seconds after the kill, or once nothing rests there any more: long
    before the fault's time is over.
    """
    script = on_bars(
        {0: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR) for _ in range(orders)]}
    )
    inbox = Inbox()
    found: list[Folded] = []
    async with opened(folder, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))

        def progressed(bars: int) -> None:
            if bars == 3:
                given = FaultScript.model_validate({"seed": 1, "faults": [fault]})
                exchange.server.faults.replace(given)
            if bars == 14:
                inbox.submit(Request(verb=CommandVerb.KILL, by="drill"))
            if bars >= 18:
                found.append(fold_truth(read_truth(exchange.truth / "truth.ndjson")))
                if not (cancels and found[-1].live and len(found) < LOOKS):
                    raise Died  # its end would wait for the venue

        spec = session_of(folder, script, exchange, bars=18 + LOOKS)
        with pytest.raises(Died):
            await run_paper(spec, speed=120, inbox=inbox, on_progress=progressed)
    return found[-1]


async def test_a_kill_cancels_though_the_venue_wants_to_be_left_alone(tmp_path: Path) -> None:
    """
    A question was answered with 429 and a time; within it a kill's cancels go all the same.

    One after the other: each may be the one that the venue refuses.
    """
    truth = await killed_after(ASKED_TOO_OFTEN, tmp_path, orders=2, cancels=True)

    assert 2 == len(truth.orders)
    assert set() == truth.live


async def test_without_the_try_a_kills_cancel_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: taken as a ban, the order rests for as long as the venue has said."""
    alone = Allowance.left_alone

    def banned(self: Allowance, wait_s: float, now_s: float, *_: Any) -> None:
        alone(self, wait_s, now_s, TooMany.BANNED)

    monkeypatch.setattr(Allowance, "left_alone", banned)
    truth = await killed_after(ASKED_TOO_OFTEN, tmp_path)

    assert 1 == len(truth.live)


async def test_during_a_ban_a_kill_sends_nothing(tmp_path: Path) -> None:
    """The venue would not look at it, and the ban would last longer."""
    truth = await killed_after(BANNED, tmp_path)

    assert 1 == len(truth.live)


async def flattened(
    folder: Path,
    script: Script,
    exchange: Exchange,
    *,
    orders: int,
    fills: int,
    bars: int = LOOKS,
) -> tuple[SessionResult, Folded]:
    """
    Kill a session once its orders are at the exchange, and return it and the truth.

    It ends when the venue has confirmed that it is flat, or with its bars.
    """
    inbox = Inbox()
    killed: list[int] = []

    def there() -> bool:
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))
        return (orders, fills) == (len(truth.orders), len(truth.fills))

    def progressed(bars: int) -> None:
        if not killed and there():
            inbox.submit(Request(verb=CommandVerb.KILL, by="drill", flatten=True))
            killed.append(bars)

    def over() -> bool:
        session = inbox.session
        report = None if session is None else session.assembly.kill.report
        return report is not None and report.confirmed and report.flatten

    await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
    spec = session_of(folder, script, exchange, bars=bars)
    result = await run_paper(spec, speed=120, inbox=inbox, stop=over, on_progress=progressed)
    return result, fold_truth(read_truth(exchange.truth / "truth.ndjson"))


async def test_a_kill_flattens_at_the_exchange(tmp_path: Path) -> None:
    """Its orders have ids of their own, and the venue takes them: nothing is held, none is open."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
            1: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=FAR)],
        }
    )
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        result, truth = await flattened(tmp_path, script, exchange, orders=2, fills=1)
    reports = [each for each in messages(result) if isinstance(each, KillReport)]

    assert 2 == len(truth.fills)
    assert ({}, set()) == (truth.held, truth.live)
    assert [True] == [report.confirmed for report in reports]


async def flattened_in_parts(folder: Path, bars: int = LOOKS) -> tuple[Folded, list[bool]]:
    """Kill and flatten a position of twice what the venue takes in one order."""
    half = TENTH / 2
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, half) for _ in range(2)]})
    venue = terms(BTC)
    listed = {BTC: replace(venue.instruments[BTC], max_quantity=half)}
    venue = msgspec.structs.replace(venue, instruments=listed)
    async with opened(folder, venue=venue) as exchange:
        result, truth = await flattened(folder, script, exchange, orders=2, fills=2, bars=bars)
    reports = [each for each in messages(result) if isinstance(each, KillReport)]
    return truth, [report.confirmed for report in reports]


async def test_a_kill_flattens_what_is_more_than_one_order_takes(tmp_path: Path) -> None:
    """One order after the other, each as large as the venue takes it, until nothing is held."""
    truth, confirmed = await flattened_in_parts(tmp_path)

    assert 4 == len(truth.fills)
    assert ({}, set()) == (truth.held, truth.live)
    assert [True] == confirmed


async def test_without_the_parts_a_kill_would_not_be_flat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: the order was refused here each time, and the position stayed."""
    monkeypatch.setattr(rounding, "most_in_one", lambda _type, _rules, amount, _price: amount)
    truth, confirmed = await flattened_in_parts(tmp_path, bars=12)

    assert {TENTH} == set(truth.held.values())
    assert [True] != confirmed
