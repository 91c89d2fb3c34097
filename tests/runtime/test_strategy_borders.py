"""What a strategy may say: intents of its own, and nothing else, through no hook."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from message_examples import concrete_classes, example
from neighbours import beside_a_neighbour, check_only_evil_failed, market
from session_world import BTC, PERP, START, Script, flat, make_world, on_bars

from actors.strategy.border import INTENTS_PER_MOMENT_MAX
from messages import (
    ActorFailed,
    ApprovedOpen,
    CancelIntent,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    HoldLifted,
    Message,
    OpenIntent,
    OrderRequest,
    OrderType,
    PositionSide,
    ReduceIntent,
    RiskDecision,
    Side,
    StrategyQuarantined,
    TimeInForce,
    Verdict,
)
from strategies import Desk

ONE = Decimal(1)
OWN = {OpenIntent, ReduceIntent, CancelIntent}
FOREIGN = [kind for kind in concrete_classes() if kind not in OWN]
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_a_forged_message_is_a_failure_of_its_strategy_alone(
    kind: type[Message], queued: bool
) -> None:
    """No class but the three intents leaves a strategy: no command, approval, report or price."""
    forged = example(kind, strategy="evil", hold_id="kill")
    script = on_bars({1: lambda _desk: [forged]})
    world = beside_a_neighbour(script, queued=queued).run()

    check_only_evil_failed(world)
    assert not [entry for entry in world.entries if entry.message == forged]


REQUEST = OrderRequest(
    "forged",
    "tg-forged",
    "evil",
    BTC,
    Side.BUY,
    PositionSide.BOTH,
    OrderType.MARKET,
    TimeInForce.GTC,
    ONE,
    START,
)


def hook_script(hook: str, answer: Any) -> Script:
    """Return a script that gives ``answer`` from one hook, once."""
    script = Script()
    given = [False]

    def once(*_: Any) -> Any:
        if given[0]:
            return None
        given[0] = True
        return answer(script.made[-1].desk) if callable(answer) else answer

    setattr(script, hook, once)
    if hook not in ("on_bar", "on_start"):
        quantity = Decimal(-1) if hook == "on_refusal" else ONE
        script.on_bar = lambda strategy, _bar: (
            [strategy.desk.open(BTC, Side.BUY, quantity)] if len(script.seen) == 1 else None
        )
    return script


HOOKS = ("on_start", "on_bar", "on_fill", "on_update", "on_refusal")


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "forged",
    [
        (ApprovedOpen(REQUEST),),
        (example(HoldLifted),),
        (OpenIntent("x-1", "good", BTC, Side.BUY, ONE, START),),
        5,
    ],
    ids=["approval", "lifted hold", "another's intent", "no effects at all"],
)
def test_no_hook_is_a_back_door(hook: str, forged: Any, queued: bool) -> None:
    """What ``on_bar`` may not say, no other hook may: not even at the start."""
    world = beside_a_neighbour(hook_script(hook, forged), queued=queued).run()

    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert "forged" not in [report.order_id for report in world.reports()]
    assert list(world.assembly.holds.view()) == ["kill"]
    assert [i.intent_id for i in world.all(OpenIntent) if i.strategy == "good"] == ["abc-2-1"]
    assert world.life("abc-2-1")[-1] == "filled"


@pytest.mark.parametrize("hook", HOOKS)
def test_an_exception_in_any_hook_is_a_failure_of_that_strategy_alone(hook: str) -> None:
    """The contract of ``Strategy``, for every hook: the session starts and goes on without it."""

    def fails(_desk: Desk) -> Any:
        raise RuntimeError("a bug of the user's")

    world = beside_a_neighbour(hook_script(hook, fails)).run()

    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert world.life("abc-2-1")[-1] == "filled"


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_a_strategy_that_answers_its_own_refusals_forever_is_cut_off(queued: bool) -> None:
    """At one session time only so much may be said, however many turns it takes to say it."""
    script = Script()
    said = [0]

    def again(strategy: Any, _message: Any) -> Any:
        said[0] += 200
        return [market(strategy.desk, quantity=Decimal(-1)) for _ in range(200)]

    script.on_bar = lambda strategy, bar: again(strategy, bar) if len(script.seen) == 2 else None
    script.on_refusal = again
    world = beside_a_neighbour(script, queued=queued).run()

    # Each incarnation gets that far, and there are only so many before the quarantine.
    assert said[0] <= 5 * INTENTS_PER_MOMENT_MAX
    assert 1 == len(world.all(StrategyQuarantined))
    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert "at one time" in world.all(ActorFailed)[0].error
    assert world.life("abc-2-1")[-1] == "filled"


def test_ids_of_the_first_and_the_tenth_strategy_are_told_apart() -> None:
    """A prefix that is the beginning of another one is no right to the other's ids."""
    thief = on_bars({0: lambda _desk: [OpenIntent("abc-10-1", "s1", BTC, Side.BUY, ONE, START)]})
    others = [on_bars({2: lambda desk: [desk.open(BTC, Side.BUY, ONE)]}) for _ in range(9)]
    specs = [script.spec(f"s{n}") for n, script in enumerate([thief, *others], start=1)]
    world = make_world(flat(BTC, 5), *specs).run()

    approved = {d.intent_id for d in world.all(RiskDecision) if d.verdict is Verdict.APPROVED}

    assert approved == {f"abc-{n}-1" for n in range(2, 11)}
    assert world.life("abc-10-1")[-1] == "filled"


def test_an_intent_that_is_made_and_not_returned_is_not_pending() -> None:
    """A strategy that thinks better of it and returns nothing has no order on its way."""
    script = Script()
    pending: list[int] = []

    def decide(strategy: Any, _bar: Any) -> Any:
        pending.append(strategy.desk.pending(BTC))
        strategy.desk.open(BTC, Side.BUY, ONE)

    script.on_bar = decide
    make_world(flat(BTC, 5), script.spec()).run()

    assert pending == [0] * 5


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
def test_an_answer_without_an_end_is_cut_short(queued: bool) -> None:
    """A generator that never stops is its strategy's failure, and not the end of the session."""
    script = Script()
    taken = [0]

    def endless(strategy: Any, _bar: Any) -> Any:
        while len(script.seen) == 2 and taken[0] < 3_000:  # so that this test ends all the same
            taken[0] += 1
            yield strategy.desk.open(BTC, Side.BUY, ONE)

    script.on_bar = endless
    world = beside_a_neighbour(script, queued=queued).run()

    assert taken[0] < 3_000
    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert world.life("abc-2-1")[-1] == "filled"


@pytest.mark.parametrize("price", [100.0, 100.01, 0.1])
def test_a_quantity_that_is_a_quotient_never_breaks_the_books(price: float) -> None:
    """Cash divided by a price has no last digit; the order is put on a grid before it is sent."""
    script = on_bars({1: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1) / Decimal(3))]})
    world = make_world(flat(BTC, 5, price), script.spec()).run()

    assert world.session.halted is None
    assert world.life("abc-1-1")[-1] == "filled"


@pytest.mark.parametrize("field", ["limit_price", "stop_price"])
def test_a_price_that_is_a_quotient_never_breaks_the_books(field: str) -> None:
    """An average of closes as a limit or stop is on a grid before money is multiplied by it."""
    price = Decimal(100) + Decimal(1) / Decimal(3)
    kind = OrderType.LIMIT if field == "limit_price" else OrderType.STOP
    terms: dict[str, Any] = {"order_type": kind, field: price}
    script = on_bars(
        {1: lambda desk: [desk.open(PERP, Side.SELL, ONE, policy=ExecutionPolicy(**terms))]}
    )
    bars = [*flat(PERP, 3, 100.0), *flat(PERP, 3, 101.0, start=START + 180_000)]
    if field == "stop_price":
        bars = [*flat(PERP, 3, 101.0), *flat(PERP, 3, 100.0, start=START + 180_000)]
    world = make_world(bars, script.spec(symbols=(PERP,))).run()

    assert world.session.halted is None
    assert world.life("abc-1-1")[-1] == "filled"


def test_a_strategy_cannot_cancel_the_order_of_another() -> None:
    """An order id of somebody else is an unknown order to a strategy."""
    owner = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)]})
    thief = on_bars({2: lambda desk: [desk.cancel(BTC, "abc-1-1")]})
    world = make_world(flat(BTC, 5), owner.spec("owner"), thief.spec("thief")).run()

    assert world.life("abc-1-1") == ["journaled", "sent", "accepted"]


def test_cancelling_all_of_a_symbol_cancels_ones_own_orders_only() -> None:
    """An empty order id means every order of this strategy on the symbol, and of nobody else."""

    def two_orders(desk: Desk) -> Any:
        return [desk.open(symbol, Side.BUY, ONE, policy=FAR_BELOW) for symbol in (BTC, "ETH/USDT")]

    owner = on_bars({0: two_orders})
    other = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)],
            2: lambda desk: [desk.cancel(BTC)],
        }
    )
    bars = {symbol: flat(symbol, 5) for symbol in (BTC, "ETH/USDT")}
    world = make_world(bars, owner.spec("owner", tuple(bars)), other.spec("other")).run()

    assert world.life("abc-1-1")[-1] == world.life("abc-1-2")[-1] == "accepted"
    assert world.life("abc-2-1")[-1] == "cancelled"


def test_a_strategy_cannot_use_up_the_ids_of_another() -> None:
    """An intent id that belongs to somebody else's desk is not accepted from a strategy."""
    thief = on_bars({0: lambda _desk: [OpenIntent("abc-2-1", "thief", BTC, Side.BUY, ONE, START)]})
    owner = on_bars({2: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 5), thief.spec("thief"), owner.spec("owner")).run()

    approved = {d.strategy for d in world.all(RiskDecision) if d.verdict is Verdict.APPROVED}

    assert approved == {"owner"}


def test_an_intent_sent_twice_is_refused_once_and_its_order_stays_pending() -> None:
    """One intent makes one order; the refusal of its copy does not make the desk forget it."""
    script = Script()
    kept: list[OpenIntent] = []
    pending: list[int] = []

    def decide(strategy: Any, _bar: Any) -> Any:
        if not kept:
            kept.append(strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW))
            return kept
        pending.append(strategy.desk.pending(BTC))
        return kept if len(script.seen) == 3 else None

    script.on_bar = decide
    world = make_world(flat(BTC, 6), script.spec()).run()

    assert [d.verdict.value for d in world.all(RiskDecision)] == ["approved", "denied"]
    assert world.sent() == ["abc-1-1"]
    assert pending == [1] * 5


def test_hooks_see_the_desk_as_it_is_after_what_they_are_told() -> None:
    """In ``on_fill`` the position includes the fill, and a refusal is no longer pending."""
    script = on_bars(
        {0: lambda desk: [desk.open(BTC, Side.BUY, ONE), desk.open(BTC, Side.BUY, Decimal(-1))]}
    )
    views: list[tuple[str, Decimal, int]] = []

    def view(name: str) -> Any:
        def look(strategy: Any, _message: Any) -> None:
            desk = strategy.desk
            views.append((name, desk.position(BTC), desk.pending(BTC)))

        return look

    script.on_fill, script.on_refusal = view("fill"), view("refusal")
    make_world(flat(BTC, 3), script.spec()).run()

    assert views == [("refusal", Decimal(0), 1), ("fill", ONE, 0)]


def test_every_step_of_an_own_order_is_told_to_its_strategy_alone() -> None:
    """``on_order_update`` hears of every step, after ``on_fill`` if it is a fill."""
    owner = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    other = on_bars({})
    make_world(flat(BTC, 3), owner.spec("owner"), other.spec("other")).run()

    told = [
        "fill" if isinstance(message, Fill) else message.event.value
        for message in owner.told
        if isinstance(message, Fill | ExecutionReport)
    ]

    assert told == ["journaled", "sent", "accepted", "fill", "filled"]
    assert other.told == []


def test_a_generator_of_a_hook_runs_in_its_turn() -> None:
    """``on_fill`` comes before ``on_order_update`` of the same fill, written as a generator too."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    order: list[str] = []

    def on_fill(strategy: Any, _fill: Any) -> Any:
        order.append("fill")
        yield strategy.desk.reduce(BTC, Side.SELL, ONE, tag="from on_fill")

    def on_update(strategy: Any, report: Any) -> Any:
        if report.fill is not None:
            order.append("update")
            yield strategy.desk.cancel(BTC, tag="from on_order_update")

    script.on_fill, script.on_update = on_fill, on_update
    world = make_world(flat(BTC, 2), script.spec()).run()
    tags = [
        entry.message.tag
        for entry in world.entries
        if isinstance(entry.message, ReduceIntent | CancelIntent)
    ]

    assert order == ["fill", "update"]
    assert tags == ["from on_fill", "from on_order_update"]


def test_a_hook_that_is_no_generator_runs_after_one_that_is() -> None:
    """The order of hooks does not depend on how each is written."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    order: list[str] = []

    def on_fill(_strategy: Any, _fill: Any) -> Any:
        order.append("fill")
        yield from ()

    def on_update(_strategy: Any, report: Any) -> None:
        if report.fill is not None:
            order.append("update")

    script.on_fill, script.on_update = on_fill, on_update
    make_world(flat(BTC, 2), script.spec()).run()

    assert order == ["fill", "update"]
