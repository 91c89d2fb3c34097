"""What every broker does, whichever venue is behind it: one suite for all adapters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest
from brokers_at_work import ADAPTERS, Desk
from ccxt_house import order as any_order

from brokers.behaviours import BROKERS, Behaviour
from brokers.contract import Probed, Remote, SessionBroker, TradeLister
from brokers.settings import Adapter, VenueSettings, VenueUnavailable
from messages import (
    OrderRequest,
    PositionSide,
    Side,
    TimeInForce,
    VenueReport,
    VenueTrades,
)

ONE, TWO = "tg-0123456789-1", "tg-0123456789-2"
CASH = Decimal(100_000)


def order(desk: Desk, name: str, **given: object) -> OrderRequest:
    """Return an order of what the desk trades."""
    traded = desk.traded
    return any_order(name, str(traded.quantity), symbol=traded.symbol, **given)  # type: ignore[arg-type]


PROVEN: dict[Behaviour, str] = {}
"""The test of each behaviour."""


def proves(behaviour: Behaviour) -> Callable[[Callable[[Desk], Awaitable[None]]], object]:
    """
    Run a test at a desk of each adapter that is not declared to be without ``behaviour``.

    The desk is opened within the test, for it has tasks of its own.
    """
    does = [name for name, declared in BROKERS.items() if declared.does(behaviour)]

    def decorate(test: Callable[[Desk], Awaitable[None]]) -> object:
        @pytest.mark.parametrize("adapter", does)
        async def at_one(adapter: str, tmp_path: Path) -> None:
            async with ADAPTERS[adapter](tmp_path) as desk:
                await test(desk)

        assert behaviour not in PROVEN, f"{behaviour}: one test each"
        PROVEN[behaviour] = test.__name__
        at_one.__name__, at_one.__doc__ = test.__name__, test.__doc__
        return at_one

    return decorate


async def bought(desk: Desk, name: str = ONE) -> None:
    """Buy at market."""
    desk.broker.submit(order(desk, name), 1)
    await desk.until(lambda: bool(desk.life(name)))
    await desk.bar()
    await desk.until(lambda: "filled" in desk.life(name))


@proves(Behaviour.ACCEPTED_FIRST)
async def test_an_order_is_accepted_before_it_is_filled(desk: Desk) -> None:
    """Its fill carries the order's names, what traded, and a fee in the account's currency."""
    await bought(desk)
    fills = [each.fill for each in desk.news if isinstance(each, VenueReport) and each.fill]

    assert ["accepted", "filled"] == desk.life(ONE)
    assert (ONE, f"o-{ONE}", "s", desk.traded.symbol) == (
        fills[0].client_order_id,
        fills[0].order_id,
        fills[0].strategy,
        fills[0].symbol,
    )
    assert (desk.traded.quantity, Decimal(50_000)) == (fills[0].quantity, fills[0].price)
    assert (desk.traded.fee, desk.traded.currency) == (fills[0].fee, fills[0].fee_currency)


@proves(Behaviour.RESTS)
async def test_a_resting_order_is_in_the_account_until_it_is_cancelled(desk: Desk) -> None:
    """Its end is told once, with what it was filled with."""
    desk.broker.submit(order(desk, ONE, price="40000"), 1)
    await desk.until(lambda: ["accepted"] == desk.life(ONE))
    before = await desk.account()
    desk.broker.cancel(ONE, 2)
    await desk.until(lambda: "cancelled" in desk.life(ONE))
    after = await desk.account()

    assert ({ONE}, set()) == (before.open_orders, after.open_orders)
    assert ["accepted", "cancelled"] == desk.life(ONE)


@proves(Behaviour.NO_GHOSTS)
async def test_a_cancel_of_an_order_that_is_not_there_brings_no_report(desk: Desk) -> None:
    """Neither of one that never was nor of one that is over."""
    await bought(desk)
    desk.broker.cancel(TWO, 2)
    desk.broker.cancel(ONE, 2)
    await desk.account()

    assert ["accepted", "filled"] == desk.life(ONE)
    assert [] == desk.life(TWO)


@proves(Behaviour.ANSWERS)
async def test_a_question_is_answered_for_its_order_and_its_time(desk: Desk) -> None:
    """Open, and over with all its fills; the answer says which question it answers."""
    await bought(desk)
    desk.broker.submit(order(desk, TWO, price="40000"), 2)
    await desk.until(lambda: "accepted" in desk.life(TWO))
    desk.broker.query(ONE, 71)
    desk.broker.query(TWO, 72)
    await desk.until(lambda: desk.answer(71) is not None and desk.answer(72) is not None)
    over, open_ = desk.answer(71), desk.answer(72)

    assert over is not None
    assert (True, False, desk.traded.quantity) == (over.known, over.open, over.filled)
    assert {desk.traded.quantity} == {fill.quantity for fill in over.fills}
    assert open_ is not None
    assert (True, True, ()) == (open_.known, open_.open, open_.fills)


@proves(Behaviour.ACCOUNT)
async def test_the_account_says_what_is_held(desk: Desk) -> None:
    """Signed by side, gone when it is closed, and its money is the cash less what was paid."""
    await bought(desk)
    held = await desk.account()
    desk.broker.submit(order(desk, TWO, side=Side.SELL, reduce_only=True), 3)
    await desk.until(lambda: bool(desk.life(TWO)))
    await desk.bar()
    await desk.until(lambda: "filled" in desk.life(TWO))
    flat = await desk.account()

    traded = desk.traded
    assert {(traded.symbol, PositionSide.BOTH): traded.quantity} == held.positions
    assert {} == flat.positions
    assert held.net_flow is not None
    assert flat.net_flow is not None
    paid = traded.quantity * 50_000
    assert abs(held.net_flow - (CASH - paid - traded.fee)) <= held.grain
    assert abs(flat.net_flow - (CASH - 2 * traded.fee)) <= flat.grain


@proves(Behaviour.REDUCES_ONLY)
async def test_what_would_open_although_it_only_reduces_is_rejected(desk: Desk) -> None:
    """By the venue's own word, in our code; nothing is held afterwards."""
    desk.broker.submit(order(desk, ONE, side=Side.SELL, reduce_only=True), 1)
    await desk.bar()
    await desk.until(lambda: "rejected" in desk.life(ONE))
    report = next(each for each in desk.news if isinstance(each, VenueReport))

    assert "venue_reduce_only" == report.cause.code.value  # type: ignore[union-attr]
    assert {} == (await desk.account()).positions


@proves(Behaviour.AT_ONCE)
async def test_what_cannot_fill_at_once_ends_without_a_fill(desk: Desk) -> None:
    """Immediate or cancel: it is over, once, and nothing is held."""
    desk.broker.submit(order(desk, ONE, price="40000", tif=TimeInForce.IOC), 1)
    await desk.bar()
    await desk.until(lambda: bool({"expired", "cancelled"} & set(desk.life(ONE))))
    await desk.account()

    assert 1 == sum(event in {"expired", "cancelled"} for event in desk.life(ONE))
    assert {} == (await desk.account()).positions


@proves(Behaviour.PROBED)
async def test_a_probe_is_answered_as_one(desk: Desk) -> None:
    """The venue's tool reports that it lives, under the broker's own name."""
    desk.broker.probe(5)
    await desk.until(lambda: any(each.probe for each in desk.tools))
    report = next(each for each in desk.tools if each.probe)

    assert report.ok
    assert f"venue:{desk.broker.name}" == report.tool


@proves(Behaviour.LISTS_TRADES)
async def test_trades_are_listed_where_they_can_be(desk: Desk) -> None:
    """Under our names, and again from the same watermark."""
    broker: SessionBroker = desk.broker
    assert isinstance(broker, TradeLister)
    await bought(desk)
    for _ in range(2):
        broker.list_trades(0, 9)
    await desk.until(lambda: 2 == sum(isinstance(each, VenueTrades) for each in desk.news))
    pages = [each for each in desk.news if isinstance(each, VenueTrades)]

    assert [ONE] == [fill.client_order_id for fill in pages[0].trades]
    assert pages[0].trades == pages[1].trades
    assert not pages[0].more


def test_every_behaviour_is_proven_and_every_broker_declared() -> None:
    """No behaviour without a test, no broker without a desk, no lack without a reason."""
    assert set(Behaviour) == set(PROVEN)
    assert {name for name, each in BROKERS.items() if not each.is_refused} == set(ADAPTERS)
    assert all(reason for declared in BROKERS.values() for reason in declared.lacks.values())


def test_every_adapter_that_can_be_named_is_in_the_table() -> None:
    """One that a configuration can name and nobody has built is there as what it is: refused."""
    assert {adapter.value for adapter in Adapter} == set(BROKERS)
    for name, declared in BROKERS.items():
        if declared.is_refused:
            with pytest.raises(VenueUnavailable, match=f"'{name}' is known and has no way there"):
                VenueSettings.model_validate({"adapter": name}).engine_config("t")


async def test_who_lists_no_trades_has_them_in_this_process(tmp_path: Path) -> None:
    """The one behaviour that brokers are without is none that a venue elsewhere may lack."""
    for name, declared in BROKERS.items():
        if not declared.does(Behaviour.LISTS_TRADES) and not declared.is_refused:
            async with ADAPTERS[name](tmp_path) as desk:
                assert not isinstance(desk.broker, TradeLister | Remote)


def test_every_adapter_is_what_a_session_needs() -> None:
    """By the names of the contract, and no adapter is left out of this suite."""
    from brokers.alpaca.broker import AlpacaBroker
    from brokers.ccxt.broker import CcxtBroker
    from brokers.paper import PaperBroker
    from brokers.virtual.broker import VirtualBroker

    wanted = {
        name
        for protocol in (SessionBroker, Probed)
        for name in vars(protocol)
        if not name.startswith("_")
    }
    for adapter in (PaperBroker, VirtualBroker, CcxtBroker, AlpacaBroker):
        assert wanted <= set(dir(adapter))
