"""While a session runs: what appears at the venue holds, is adopted or cancelled, by policy."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from session_world import BTC, MINUTE, START, Script, World, flat, make_spec

from actors.risk import RiskLimits
from feeds.memory import MemoryFeed
from messages import (
    EXTERNAL,
    AccountAdopted,
    HoldLifted,
    HoldPlaced,
    OrderRequest,
    OrderType,
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
