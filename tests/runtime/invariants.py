"""What must hold in every session, whatever its schedule; checked from its journal and books."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from session_world import World

from actors.risk import RiskActor
from actors.runtime.cell import CellState
from messages import (
    BackoffChanged,
    CancelIntent,
    ExecutionReport,
    HoldLifted,
    HoldPlaced,
    Intent,
    IntentEnded,
    OrderEvent,
    OrderRequest,
    PlanIntent,
    PortfolioMarked,
    PositionSide,
    RiskDecision,
    Scope,
    Side,
    Verdict,
)
from state.money import use_exact_context

PROGRESS = {OrderEvent.APPROVED, OrderEvent.JOURNALED, OrderEvent.SENT, OrderEvent.ACCEPTED}


class Watch:
    """Sees every order leave, with the holds that were in force in that very step."""

    def __init__(self, world: World) -> None:
        """Stand between the session and its broker."""
        self.left: list[tuple[OrderRequest, tuple[Scope, ...]]] = []
        broker, holds = world.assembly.broker, world.assembly.holds
        submit = broker.submit

        def watched(request: OrderRequest, now: int) -> None:
            self.left.append((request, tuple(hold.scope for hold in holds.view().values())))
            submit(request, now)

        broker.submit = watched  # type: ignore[method-assign]


def check_all(world: World, watch: Watch) -> None:
    """Check every invariant of a session that has ended in which no actor failed."""
    check_each_intent_is_decided_once(world)
    check_orders(world, watch)
    check_no_opening_order_left_while_held(watch)
    check_messages_are_conserved(world)
    check_books(world)
    check_reservations(world)
    check_journal(world)
    check_account_equation(world)


def check_each_intent_is_decided_once(world: World) -> None:
    """Every intent has exactly one verdict, and a refusal has causes."""
    asked = Counter(intent.intent_id for intent in world.all(Intent))
    plans = {intent.intent_id for intent in world.all(PlanIntent)}  # refused by their own host
    decided = Counter(
        decision.intent_id
        for decision in world.all(RiskDecision)
        if decision.intent_id not in plans
    )

    assert asked == decided
    assert set(asked.values()) <= {1}
    for decision in world.all(RiskDecision):
        assert bool(decision.causes) == (decision.verdict is Verdict.DENIED)


def check_orders(world: World, watch: Watch) -> None:
    """One approval, one order; one client id, one submission; written before sent."""
    approved = {d.intent_id for d in world.all(RiskDecision) if d.verdict is Verdict.APPROVED}
    first: dict[str, ExecutionReport] = {}
    seen: set[tuple[str, OrderEvent]] = set()
    for report in world.reports():
        first.setdefault(report.order_id, report)
        if report.event is OrderEvent.SENT:
            assert (report.order_id, OrderEvent.JOURNALED) in seen
            assert (report.order_id, OrderEvent.SENT) not in seen
        seen.add((report.order_id, report.event))

    assert approved == set(first)
    assert {report.event for report in first.values()} <= {
        OrderEvent.JOURNALED,
        OrderEvent.SUPPRESSED,
    }
    clients = Counter(request.client_order_id for request, _ in watch.left)
    assert set(clients.values()) <= {1}
    assert set(clients) == {
        r.client_order_id for r in world.reports() if r.event is OrderEvent.SENT
    }


def check_no_opening_order_left_while_held(watch: Watch) -> None:
    """In the step of a send no hold covers an order that adds exposure."""
    for request, scopes in watch.left:
        if request.reduce_only:
            continue
        for scope in scopes:
            adds = "long" if request.side is Side.BUY else "short"
            book = request.position_side
            facts = (
                "paper",
                request.strategy,
                request.symbol,
                adds if book is PositionSide.BOTH else book.value,
            )
            wanted = (scope.venue, scope.strategy, scope.symbol, scope.side)
            covered = all(w in (None, fact) for w, fact in zip(wanted, facts, strict=True))

            assert not covered, f"{request.order_id} left under {scope}"


def check_messages_are_conserved(world: World) -> None:
    """What the journal says was sent to an actor is what the actor's counts account for."""
    expected: Counter[str] = Counter()
    for entry in world.entries:
        message = entry.message
        if isinstance(message, Intent | CancelIntent | BackoffChanged):
            expected["risk"] += 1
        elif (
            isinstance(message, RiskDecision) and message.verdict is Verdict.DENIED
        ) or isinstance(message, IntentEnded):
            for name in ("telemetry", f"strategy:{message.strategy}"):
                expected[name] += 1
        elif isinstance(message, ExecutionReport) and message.event not in PROGRESS:
            for name in ("risk", "telemetry", f"strategy:{message.strategy}"):
                expected[name] += 1
    for name in ("risk", "telemetry"):
        assert expected[name] == world.cell(name).stats().accepted, name
    for cell in world.assembly.dispatcher.cells.values():
        stats = cell.stats()

        assert stats.mailbox.balanced
        assert stats.accepted >= expected[cell.name], cell.name


def check_books(world: World) -> None:
    """Ledger and venue agree on positions, open orders and money; the ledger audits itself."""
    books, engine = world.assembly.books, world.assembly.broker.engine
    books.ledger.audit()
    ours: Counter[tuple[str, PositionSide]] = Counter()
    flow = books.ledger.cash
    for position in books.ledger.positions():
        ours[position.symbol, position.position_side] += position.quantity  # type: ignore[assignment]
        if not world.spec.instruments[position.symbol].is_spot:
            flow -= position.cost
    theirs = {(p.symbol, p.position_side): p.quantity for p in engine.positions()}
    # Perpetuals as if paid for in full: lots and averages realise profit at different times.
    venue_flow = engine.balance().cash - sum(p.cost for p in engine.account.margined)

    assert {key: held for key, held in ours.items() if held} == theirs
    assert flow == venue_flow
    # A take-profit that waits here is live and not at the venue.
    assert {order.client_order_id for order in engine.open_orders()} == {
        order.request.client_order_id
        for order in books.orders.live()
        if not books.brackets.stays(order.request.order_id)
    }


def check_reservations(world: World) -> None:
    """Risk reserves for exactly the orders that live, and its cash and positions are the books'."""
    risk = world.cell("risk").actor
    assert isinstance(risk, RiskActor)
    view, books = risk.view, world.assembly.books

    assert {order.request.order_id for order in books.orders.live()} == set(view.reservations)
    assert books.ledger.cash == view.cash
    assert {
        (p.strategy, p.symbol, p.position_side): p.quantity for p in books.ledger.positions()
    } == view.positions
    reserved = sum((r.quantity * r.cash_per_unit for r in view.reservations.values()), Decimal(0))
    assert reserved == view.reserved_cash


def check_journal(world: World) -> None:
    """Numbers have no gap, time never steps back, and causes come before what they caused."""
    before = 0
    for number, entry in enumerate(world.entries, start=1):
        assert entry.seq == number
        assert entry.ts >= before
        before = entry.ts
        if entry.causation.isdigit():
            assert int(entry.causation) < entry.seq
    placed = [m.hold.hold_id for m in world.all(HoldPlaced)]
    lifted = [m.hold.hold_id for m in world.all(HoldLifted)]
    assert not Counter(lifted) - Counter(placed)


def check_account_equation(world: World) -> None:
    """Equity is cash + quantity * mark (spot) or cash + unrealised (perpetuals), in each row."""
    use_exact_context()
    books: dict[tuple[str, str, PositionSide], tuple[Decimal, Decimal]] = {}
    for entry in world.entries:
        message = entry.message
        if isinstance(message, ExecutionReport) and message.fill and message.booking:
            fill = message.fill
            key = (fill.strategy, fill.symbol, fill.position_side)
            held, cost = books.get(key, (Decimal(0), Decimal(0)))
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            # What was paid for the book so far, less the cost of what was closed.
            books[key] = (held + signed, cost + signed * fill.price + message.booking.realized_pnl)

            assert books[key][0] == message.booking.quantity
        elif isinstance(message, PortfolioMarked):
            marks = dict(message.marks)
            equity = message.cash
            for (_, symbol, _), (held, cost) in books.items():
                if held:
                    spot = world.spec.instruments[symbol].is_spot
                    equity += held * marks[symbol] - (0 if spot else cost)

            assert equity == message.equity


def running(world: World) -> set[str]:
    """Return the names of the actors that run."""
    return {
        name
        for name, cell in world.assembly.dispatcher.cells.items()
        if cell.state is CellState.RUNNING
    }
