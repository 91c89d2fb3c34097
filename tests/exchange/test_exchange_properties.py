"""Whatever goes wrong on the wire: the truth is whole, and the client believes nothing else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import anyio
from exchange_house import BTC, ETH, KEY, PATIENCE_S, START, Client, client_of, order, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from messages import OrderEvent, Side, VenueReport
from scenarios.exchange.faults import (
    NEEDS_TIME,
    NEWS_FAULTS,
    PLAIN_FAULTS,
    Action,
    Faults,
    FaultScript,
    WireFault,
)
from scenarios.exchange.log import read_truth
from scenarios.exchange.server import Exchange
from scenarios.exchange.truth import Folded, fold_truth

# `account` is left out: a venue that cannot be asked at the start is no session at all.
STRUCK = [action for action in get_args(Action) if action != "account"]


@st.composite
def faults(draw: st.DrawFn) -> dict[str, object]:
    """Return one fault of any kind."""
    kind = draw(st.sampled_from(sorted(PLAIN_FAULTS)))
    fault: dict[str, object] = {
        "fault": kind.value,
        "chance": draw(st.sampled_from([0.2, 0.5, 1.0])),
        "count": draw(st.integers(1, 4)),
        "after": draw(st.integers(0, 3)),
        "on": ["news"] if kind in NEWS_FAULTS else draw(st.lists(st.sampled_from(STRUCK))),
    }
    if kind in NEEDS_TIME:
        fault["by"] = "150ms"
    if not fault["on"]:
        fault["on"] = ["submit"]
    return fault


moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.sampled_from([BTC, ETH]),
            st.sampled_from(list(Side)),
            st.sampled_from([None, "95", "105"]),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("query"), st.integers(0, 9)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("bar"), st.sampled_from([BTC, ETH]), st.sampled_from([94.0, 100.0])),
    ),
    min_size=5,
    max_size=25,
)


def make(client: Client, move: tuple[object, ...], sent: int) -> int:
    """Make one move; return how many orders were sent by now."""
    broker = client.broker
    match move:
        case ("submit", str(symbol), Side() as side, price):
            at = None if price is None else str(price)
            broker.submit(order(f"c{sent}", "0.5", symbol=symbol, side=side, price=at), START)
            return sent + 1
        case ("cancel", int(which)):
            broker.cancel(f"c{which}", START)
        case ("query", int(which)):
            broker.query(f"c{which}", START)
        case ("bar", str(symbol), float(price)):
            client.bar(price, symbol=symbol)
        case _:
            raise AssertionError(move)
    return sent


def check_truth(exchange: Exchange, folded: Folded) -> None:
    """Check that the log adds up to what the engine holds."""
    engine = exchange.venue.engine
    held = {(each.symbol, each.position_side): each.quantity for each in engine.positions()}
    assert held == folded.held
    assert engine.balance().net_flow == folded.net_flow
    assert {each.client_order_id for each in engine.open_orders()} == folded.live
    assert [] == folded.repeated


def check_client(exchange: Exchange, client: Client, sent: int) -> None:
    """Check that the client has heard the truth once, and nothing against it."""
    reports = [news for news in client.news if isinstance(news, VenueReport)]
    truth = [item.report for item in exchange.venue.news]
    ours = [report for report in reports if report.event is OrderEvent.SILENCE]
    unprocessed = [
        report for report in reports if report.event is OrderEvent.REJECTED and report not in truth
    ]
    accepted = {report.client_order_id for report in truth if report.event is OrderEvent.ACCEPTED}
    assert truth == [report for report in reports if report not in [*ours, *unprocessed]]
    assert set() == {report.client_order_id for report in unprocessed} & accepted
    for name in (f"c{number}" for number in range(sent)):
        assert client.reports(name), f"nobody has said anything about {name}"


async def rehearsed(path: Path, script: list[dict[str, object]], seed: int, steps: object) -> None:
    """Make all moves under the faults, then let the line recover and check everything."""
    assert isinstance(steps, list)
    async with AsyncExitStack() as stack:
        exchange, url = await stack.enter_async_context(serving(path, *script, seed=seed))
        client = await stack.enter_async_context(client_of(url))
        client.patience(0.1)
        sent = 0
        for move in steps:
            if move == ("restart",):
                exchange = await started_again(exchange, url)
                stack.push_async_callback(exchange.stop)
                continue
            sent = make(client, move, sent)
            await anyio.lowlevel.checkpoint()
        await client.broker.quiet(20.0)
        exchange.faults.replace(FaultScript())
        client.patience(PATIENCE_S)
        await client.caught_up(exchange)
        check_client(exchange, client, sent)
        check_truth(exchange, fold_truth(read_truth(path)))


async def started_again(exchange: Exchange, url: str) -> Exchange:
    """Stop an exchange with whatever is under way, and start another on its log and port."""
    await exchange.stop()
    again = Exchange(exchange.venue.terms, exchange.log.path, KEY, faults=exchange.faults)
    await again.start(port=int(url.rpartition(":")[2]))
    return again


@settings(max_examples=25)
@given(st.lists(faults(), max_size=4), st.integers(0, 1_000), moves)
def test_no_fault_of_the_wire_makes_the_client_believe_what_is_not_true(
    script: list[dict[str, object]], seed: int, steps: list[tuple[object, ...]]
) -> None:
    """
    The log folds to the engine's state; each news item is heard once and in order; an order that
    the truth has accepted is never told as rejected; of each order something is heard.
    """
    with TemporaryDirectory() as folder:
        asyncio.run(rehearsed(Path(folder, "truth"), script, seed, steps))


@given(st.lists(faults(), max_size=4), st.integers(0, 1_000), st.lists(st.sampled_from(STRUCK)))
def test_a_script_strikes_the_same_requests_again(
    script: list[dict[str, object]], seed: int, requests: list[Action]
) -> None:
    """What went wrong in a rehearsal is a function of the script and of what was asked."""
    read = FaultScript.model_validate({"seed": seed, "faults": script})

    def struck() -> list[WireFault | None]:
        faulty = Faults(read)
        return [faulty.strike(action) for action in requests]

    assert struck() == struck()
