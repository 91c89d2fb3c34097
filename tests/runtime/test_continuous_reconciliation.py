"""While a session runs: what appears at the venue holds, is adopted or cancelled, by policy."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec.structs import replace as replace_order
from session_world import BTC, MINUTE, PERP, START, Script, World, flat, make_spec, on_bars

from actors.execution.outside import OutsideHands
from actors.reconciler import ReconcilerActor
from actors.risk import RiskLimits
from actors.runtime import Actor
from feeds.memory import MemoryFeed
from messages import (
    EXTERNAL,
    AccountAdopted,
    HoldLifted,
    HoldPlaced,
    OrderRequest,
    OrderType,
    PortfolioMarked,
    PositionSide,
    Reconciled,
    Side,
    TimeInForce,
)
from state.facts import Facts
from state.reconciliation_policy import Policy, ReconciliationPlan


def world_of(policy: Policy, *, patient: bool = False, bars: int = 12) -> World:
    """Return a session that looks every minute."""
    plan = ReconciliationPlan(policy, {}, MINUTE, 10 * MINUTE, patient)
    spec = make_spec(MemoryFeed({BTC: flat(BTC, bars)}), Script().spec())
    limits = RiskLimits(max_session_loss=Decimal(50), max_drawdown_pct=Decimal(1))
    return World(replace(spec, reconciliation=plan, limits=limits))


def somebody_orders(name: str, order_type: OrderType = OrderType.LIMIT) -> OrderRequest:
    """Return an order that no session has sent."""
    price = Decimal(50) if order_type is OrderType.LIMIT else None
    return OrderRequest(
        name,
        name,
        "nobody",
        BTC,
        Side.BUY,
        PositionSide.BOTH,
        order_type,
        TimeInForce.GTC,
        Decimal(2),
        START,
        price=price,
    )


def place(world: World, name: str, order_type: OrderType = OrderType.LIMIT) -> None:
    """Let an order appear at the venue."""
    engine = world.assembly.core.engine
    world.assembly.broker._hand_over(  # type: ignore[attr-defined]
        engine.submit(somebody_orders(name, order_type), world.assembly.clock.now)
    )


def test_a_foreign_order_holds_while_it_is_there() -> None:
    """Seen twice, by name; and let go at the first look that does not find it."""
    world = world_of(Policy.REFUSE, patient=True)
    world.before_turn(3, lambda w: place(w, "web-1"))
    world.before_turn(7, lambda w: w.assembly.broker.cancel("web-1", w.assembly.clock.now))
    world.run()
    (placed,) = world.all(HoldPlaced)
    (lifted,) = world.all(HoldLifted)
    seen = [told.at for told in world.all(Reconciled) if told.differences]

    assert "foreign_order web-1" in placed.hold.cause
    assert 1_000 == placed.hold.since - seen[0], "the second look comes soon"
    assert lifted.at <= START + 9 * MINUTE
    assert 1 == len(seen), "the same finding is journaled once"


def test_an_own_stray_order_is_cancelled_and_no_other() -> None:
    """By the policy `cancel`: one with this session's own ids, unknown to its books."""
    world = world_of(Policy.CANCEL)
    world.before_turn(3, lambda w: place(w, "tg-abc-1-99"))
    world.before_turn(3, lambda w: place(w, "tg-else-1-99"))
    world.run()

    assert {"tg-else-1-99"} == world.assembly.broker.account().open_orders


def test_what_somebody_buys_is_adopted_and_journaled() -> None:
    """External lots and money: the books are the venue's, no limit takes it for a loss or gain."""
    world = world_of(Policy.ADOPT)
    world.before_turn(3, lambda w: place(w, "web-1", OrderType.MARKET))
    world.run()
    ledger = world.assembly.books.ledger
    held = ledger.position(EXTERNAL, BTC, PositionSide.BOTH)
    facts = Facts(
        world.spec.instruments, currency=world.spec.currency, deposit=world.spec.cash
    ).fold_all(world.entries)

    assert held is not None
    assert Decimal(2) == held.quantity
    assert world.all(AccountAdopted)
    assert world.assembly.core.engine.balance().net_flow == ledger.cash
    assert ledger.accounts == facts.ledger.accounts
    assert () == world.all(Reconciled)[-1].differences
    assert {} == world.assembly.holds.view()
    ledger.audit()


def test_news_that_never_comes_does_not_blind_the_house() -> None:
    """
    Something is under way for ever: looks wait for it, but no longer than they are apart.

    What is found then holds; it is not adopted, for what is under way may explain it yet.
    """
    world = world_of(Policy.ADOPT, patient=True)
    cell = world.cell("reconciler")
    make = cell.factory

    def never_whole() -> Actor:
        actor = make()
        assert isinstance(actor, ReconcilerActor)
        actor.ports = replace(actor.ports, is_whole=lambda: False)
        return actor

    cell.factory = never_whole
    world.before_turn(3, lambda w: place(w, "web-1", OrderType.MARKET))
    world.run()
    held = [each.hold for each in world.all(HoldPlaced)]

    assert any("external_position" in hold.cause for hold in held)
    assert min(hold.since for hold in held) < START + 8 * MINUTE
    assert [] == world.all(AccountAdopted)


def executed(world: World) -> None:
    """Let the venue buy by itself, and tell of the execution as its stream does."""
    core, now = world.assembly.core, world.assembly.clock.now
    name = "adl_autoclose-1"
    for news in core.engine.submit(somebody_orders(name, OrderType.MARKET), now):
        world.assembly.broker._hand_over([news])  # type: ignore[attr-defined]


def seldom(policy: Policy) -> World:
    """Return a session whose Reconciler looks by itself once in an hour only."""
    world = world_of(policy, patient=True)
    plan = ReconciliationPlan(policy, {}, 60 * MINUTE, 10 * MINUTE, patient=True)
    return World(replace(world.spec, reconciliation=plan, limits=RiskLimits()))


def test_an_execution_that_is_nobodys_holds_its_symbol_and_is_looked_at_at_once() -> None:
    """
    A liquidation told by the stream: nothing opens there from that on, and in seconds it is booked.

    The symbol is free again once the venue and our books agree: limits count from its position.
    """
    world = seldom(Policy.ADOPT)
    world.before_turn(3, executed)
    world.run()
    placed = next(each.hold for each in world.all(HoldPlaced))
    lifted = next(each for each in world.all(HoldLifted) if each.hold == placed)
    adopted = world.all(AccountAdopted)[0]

    assert (f"outside:{BTC}", BTC) == (placed.hold_id, placed.scope.symbol)
    assert adopted.at - placed.since <= 2_000
    assert adopted.at < lifted.at <= placed.since + 4_000
    assert {} == world.assembly.holds.view()


def test_it_holds_for_as_long_as_nobody_takes_it_over() -> None:
    """By the policy `refuse` the difference is a person's: the symbol stays held."""
    world = seldom(Policy.REFUSE)
    world.before_turn(3, executed)
    world.run()

    assert {f"outside:{BTC}", "reconciliation"} == set(world.assembly.holds.view())


def test_without_the_look_the_difference_waits_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plan's own look would come in an hour: until then limits count from the old position."""
    monkeypatch.setattr(OutsideHands, "hear_strange", lambda _hands, _report: ())
    world = seldom(Policy.ADOPT)
    world.before_turn(3, executed)
    world.run()

    assert [] == world.all(AccountAdopted)
    assert "outside" not in str(world.all(HoldPlaced))


def moved(world: World, symbol: str, side: Side) -> None:
    """Let the venue execute in ``symbol`` by itself."""
    request = replace_order(somebody_orders("quiet", OrderType.MARKET), symbol=symbol, side=side)
    for news in world.assembly.core.engine.submit(request, world.assembly.clock.now):
        world.assembly.broker._hand_over([news])  # type: ignore[attr-defined]


def watched_world(symbol: str, script: Script, *, money: bool) -> World:
    """Return a session with tight limits on losses; without ``money`` its venue does not say it."""
    plan = ReconciliationPlan(Policy.ADOPT, {}, 60 * MINUTE, 10 * MINUTE)
    spec = make_spec(MemoryFeed({symbol: flat(symbol, 12)}), script.spec(symbols=(symbol,)))
    limits = RiskLimits(max_session_loss=Decimal(50), max_drawdown_pct=Decimal("0.001"))
    world = World(replace(spec, reconciliation=plan, limits=limits))
    broker = world.assembly.broker
    account = broker.account
    if not money:
        broker.account = lambda: replace_order(  # type: ignore[method-assign]
            account(), net_flow=None, fees=None, funding=None
        )
    return world


@pytest.mark.parametrize("symbol", [BTC, PERP])
def test_what_somebody_has_paid_for_is_neither_gain_nor_loss(symbol: str) -> None:
    """Lots and the money that they cost are one exchange: limits on losses see none."""
    world = watched_world(symbol, Script(), money=True)
    world.before_turn(3, lambda w: moved(w, symbol, Side.BUY))
    world.run()
    equities = {marked.equity for marked in world.all(PortfolioMarked)}

    assert Decimal(2) == world.assembly.broker.account().positions[symbol, PositionSide.BOTH]
    assert world.all(AccountAdopted)
    assert () == world.all(Reconciled)[-1].differences
    assert [] == [each.hold for each in world.all(HoldPlaced) if "risk" in each.hold.hold_id]
    assert {Decimal(1_000_000)} == equities


@pytest.mark.parametrize("symbol", [BTC, PERP])
def test_what_the_venue_has_sold_of_ours_is_lost_by_its_result_and_no_more(symbol: str) -> None:
    """A liquidation at our own price: the position is gone, and its whole notional is not."""
    script = on_bars({0: lambda desk: [desk.open(symbol, Side.BUY, Decimal(2))]})
    world = watched_world(symbol, script, money=True)
    world.before_turn(5, lambda w: moved(w, symbol, Side.SELL))
    world.run()

    assert {} == world.assembly.broker.account().positions
    assert world.all(AccountAdopted)
    assert [] == [each.hold for each in world.all(HoldPlaced) if "risk" in each.hold.hold_id]
    assert {Decimal(1_000_000)} == {marked.equity for marked in world.all(PortfolioMarked)}


def test_a_contract_that_is_adopted_brings_no_money() -> None:
    """At a venue that does not say what money there is, limits are not measured by more of it."""
    world = watched_world(PERP, Script(), money=False)
    world.before_turn(3, lambda w: moved(w, PERP, Side.BUY))
    world.run()

    assert world.all(AccountAdopted)
    assert Decimal(1_000_000) == world.assembly.books.ledger.cash
    assert {Decimal(1_000_000)} == {marked.equity for marked in world.all(PortfolioMarked)}
