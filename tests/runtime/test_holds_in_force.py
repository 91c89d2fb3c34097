"""Holds in a running session: refused, blocked, drained, released, and what flows regardless."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from session_world import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    START,
    Script,
    World,
    flat,
    make_world,
    on_bars,
)

from messages import (
    EVERYTHING,
    ExecutionPolicy,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    OrderStatus,
    OrderType,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Scope,
    Side,
    Verdict,
)
from strategies import Desk
from strategies.contract import Rejection

ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))

pytestmark = pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])


def place(
    mode: HoldMode, hold_id: str = "drill", scope: Scope = EVERYTHING, **terms: Any
) -> Callable[[World], object]:
    def act(world: World) -> object:
        return world.assembly.supervisor.hold_open(
            hold_id, f"{hold_id} in a test", mode=mode, scope=scope, set_by="test", **terms
        )

    return act


def lift(hold_id: str = "drill") -> Callable[[World], object]:
    def act(world: World) -> object:
        return world.assembly.supervisor.lift(hold_id, "test", "the drill is over")

    return act


def buy_every_bar(**terms: object) -> Script:
    script = Script()
    script.on_bar = lambda strategy, bar: (
        strategy.desk.open(bar.symbol, Side.BUY, ONE, **terms),  # type: ignore[arg-type]
    )
    return script


def verdicts(world: World) -> list[str]:
    return [decision.verdict.value for decision in world.all(RiskDecision)]


@pytest.mark.parametrize("mode", [HoldMode.REFUSE, HoldMode.DRAIN])
def test_every_intent_under_a_refusing_hold_is_answered_once(mode: HoldMode, queued: bool) -> None:
    """Each held intent gets one refusal that names the hold, and its strategy hears of it."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    world.before_turn(2, place(mode)).before_turn(4, lift()).run()

    refused = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]

    assert verdicts(world) == ["approved"] * 2 + ["denied"] * 2 + ["approved"] * 2
    assert {cause.code for d in refused for cause in d.causes} == {ReasonCode.HELD}
    told = [m for m in script.told if isinstance(m, Rejection)]
    assert [(d.intent_id, d.causes) for d in refused] == [(m.intent_id, m.causes) for m in told]
    assert script.desk.pending(BTC) == len(["the last bar's order"])


def test_all_holds_that_cover_an_intent_are_in_its_refusal(queued: bool) -> None:
    """Two simultaneous causes are both reported: lifting one shows that the other remains."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.REFUSE, "first"))
    world.before_turn(1, place(HoldMode.DRAIN, "second"))
    world.before_turn(2, lift("second")).run()

    names = [[c.detail.split()[0] for c in d.causes] for d in world.all(RiskDecision)]

    assert names == [[], ["hold=first", "hold=second"], ["hold=first"], ["hold=first"]]


@pytest.mark.parametrize(
    "scope",
    [Scope(symbol=BTC), Scope(strategy="one"), Scope(venue="paper", symbol=BTC, strategy="one")],
)
def test_a_hold_stops_what_its_scope_says_and_nothing_else(scope: Scope, queued: bool) -> None:
    """One strategy in one symbol is held while its neighbour goes on trading."""
    held, free = buy_every_bar(), buy_every_bar()
    world = make_world(
        {BTC: flat(BTC, 3), ETH: flat(ETH, 3)},
        held.spec("one", (BTC,)),
        free.spec("two", (ETH,)),
        queued=queued,
    )
    world.before_turn(0, place(HoldMode.REFUSE, scope=scope)).run()

    by_strategy = {
        name: {d.verdict for d in world.all(RiskDecision) if d.strategy == name}
        for name in ("one", "two")
    }

    assert by_strategy == {"one": {Verdict.DENIED}, "two": {Verdict.APPROVED}}


@pytest.mark.parametrize("mode", list(HoldMode))
def test_closes_cancels_and_fills_flow_during_any_hold(mode: HoldMode, queued: bool) -> None:
    """Orders that reduce risk can always get out, and fills of what was sent always come in."""
    script = on_bars(
        {
            0: lambda desk: [
                desk.open(BTC, Side.BUY, ONE),
                desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW),
            ],
            # Bar 1 fills the first order while the hold is in force already.
            2: lambda desk: [desk.cancel(BTC), desk.reduce(BTC, Side.SELL, ONE)],
        }
    )
    world = make_world(flat(BTC, 5), script.spec(), queued=queued)
    world.before_turn(1, place(mode)).run()

    assert world.life("abc-1-1")[-1] == "filled"
    assert world.life("abc-1-2")[-1] == "cancelled"
    assert world.life("abc-1-4") == ["journaled", "sent", "accepted", "filled"]
    assert script.desk.position(BTC) == 0


def test_blocked_intents_wait_and_are_released_in_their_order(queued: bool) -> None:
    """A pause keeps intents in order; they are decided when it ends, none twice, none lost."""
    script = buy_every_bar(valid_until=START + DAY)
    world = make_world(flat(BTC, 8), script.spec(), queued=queued)
    world.before_turn(2, place(HoldMode.BLOCK)).before_turn(6, lift()).run()

    decided = [decision.intent_id for decision in world.all(RiskDecision)]
    held = [
        d for d in world.all(RiskDecision) if d.intent_id in {f"abc-1-{n}" for n in range(3, 7)}
    ]

    assert decided == [f"abc-1-{number}" for number in range(1, 9)]
    assert set(verdicts(world)) == {"approved"}
    assert {d.decided_at for d in held} == {START + 6 * MINUTE}


def test_what_has_no_deadline_waits_for_one_bar_at_most(queued: bool) -> None:
    """An intent without ``valid_until`` is good for one time frame: older, it is refused."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.BLOCK)).before_turn(4, lift()).run()

    # Blocked at minutes 2, 3 and 4, released at minute 4: a minute is not too late, two are.
    assert verdicts(world) == ["approved", "denied", *["approved"] * 4]
    (cause,) = world.all(RiskDecision)[1].causes
    assert cause.code is ReasonCode.INTENT_EXPIRED


def test_what_expired_while_blocked_is_refused_and_not_executed_late(queued: bool) -> None:
    """A released intent past its deadline is answered with INTENT_EXPIRED."""
    script = Script()
    script.on_bar = lambda strategy, bar: (
        strategy.desk.open(BTC, Side.BUY, ONE, valid_until=strategy.desk.now + 3 * MINUTE),
    )
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    world.before_turn(0, place(HoldMode.BLOCK)).before_turn(5, lift()).run()

    outcomes = [(d.intent_id, [cause.code for cause in d.causes]) for d in world.all(RiskDecision)]

    expired = [ReasonCode.INTENT_EXPIRED]
    # Five were blocked at minutes 1 to 5 and released at minute 5; three minutes is not too late.
    assert outcomes == [("abc-1-1", expired)] + [(f"abc-1-{n}", []) for n in range(2, 7)]


def test_a_refusing_hold_answers_what_a_pause_had_kept(queued: bool) -> None:
    """STOP_NEW_ORDERS or a kill on top of a pause empties the lane, every message answered."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 5), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.BLOCK, "pause"))
    world.before_turn(3, place(HoldMode.DRAIN, "kill")).run()

    assert verdicts(world) == ["approved"] + ["denied"] * 4
    refused = world.all(RiskDecision)[1]
    assert [c.detail.split()[0] for c in refused.causes] == ["hold=pause", "hold=kill"]


def test_a_scoped_kill_leaves_what_else_is_paused_in_its_place(queued: bool) -> None:
    """DRAIN of one symbol answers that symbol's intents only; the rest waits for its own lift."""
    script = buy_every_bar(valid_until=START + DAY)
    world = make_world(
        {BTC: flat(BTC, 5), ETH: flat(ETH, 5)}, script.spec(symbols=(BTC, ETH)), queued=queued
    )
    world.before_turn(1, place(HoldMode.BLOCK, "pause"))
    world.before_turn(3, place(HoldMode.DRAIN, "kill", Scope(symbol=BTC)))
    world.before_turn(4, lift("pause")).run()

    by_symbol = {
        symbol: [d.verdict.value for d in world.all(RiskDecision) if d.symbol == symbol]
        for symbol in (BTC, ETH)
    }

    assert by_symbol == {BTC: ["approved"] + ["denied"] * 4, ETH: ["approved"] * 5}


def test_a_hold_with_an_end_lifts_itself_then(queued: bool) -> None:
    """``until`` opens the gate at its time, journaled, without a command."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 6), script.spec(), queued=queued)
    until = START + 3 * MINUTE + 1
    world.before_turn(1, place(HoldMode.REFUSE, until=until)).run()

    lifted = world.all(HoldLifted)

    assert verdicts(world) == ["approved"] + ["denied"] * 2 + ["approved"] * 3
    assert [(one.at, one.lifted_by) for one in lifted] == [(until, "clock")]


def test_a_hold_that_is_extended_lasts_until_its_new_end(queued: bool) -> None:
    """Placing a hold again with a later end does not let the first end open the gate."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 8), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.REFUSE, until=START + 3 * MINUTE + 1))
    world.before_turn(2, place(HoldMode.REFUSE, until=START + 6 * MINUTE + 1)).run()

    assert verdicts(world) == ["approved"] + ["denied"] * 5 + ["approved"] * 2


def test_the_end_of_an_older_hold_does_not_lift_a_newer_one_of_its_id(queued: bool) -> None:
    """Lifted by hand and placed anew without an end, a hold stays until it is lifted again."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 8), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.REFUSE, until=START + 5 * MINUTE + 1))
    world.before_turn(2, lift())
    world.before_turn(3, place(HoldMode.REFUSE)).run()

    assert verdicts(world) == ["approved", "denied", "approved"] + ["denied"] * 5


def test_a_latched_hold_placed_again_never_gets_weaker(queued: bool) -> None:
    """A latched kill that somebody places again as a pause is still a kill, and latched."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.DRAIN, latched=True))
    world.before_turn(2, place(HoldMode.BLOCK)).run()

    assert verdicts(world) == ["approved"] + ["denied"] * 3
    assert world.assembly.holds.view()["drill"].latched


def test_a_change_of_a_hold_in_force_is_journaled(queued: bool) -> None:
    """Whatever a refusal names as its cause can be found in the journal."""
    script = buy_every_bar()
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.REFUSE, scope=Scope(symbol=BTC)))
    world.before_turn(2, place(HoldMode.DRAIN, scope=EVERYTHING)).run()

    newest = world.all(HoldPlaced)[-1].hold

    assert newest == world.assembly.holds.view()["drill"]


def test_holds_are_journaled_with_who_and_why(queued: bool) -> None:
    """The journal shows each hold placed and lifted, in order, with cause and time."""
    world = make_world(flat(BTC, 4), buy_every_bar().spec(), queued=queued)
    world.before_turn(1, place(HoldMode.REFUSE)).before_turn(2, lift()).run()

    placed, lifted = world.all(HoldPlaced), world.all(HoldLifted)

    assert [(one.hold.hold_id, one.hold.set_by, one.hold.since) for one in placed] == [
        ("drill", "test", START + MINUTE)
    ]
    assert [(one.lifted_by, one.reason, one.at) for one in lifted] == [
        ("test", "the drill is over", START + 2 * MINUTE)
    ]
    assert not world.assembly.holds.active


def test_an_order_resting_at_the_venue_is_untouched_by_a_hold(queued: bool) -> None:
    """A hold stops what is new; cancelling what rests is a command of its own."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)]})
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    world.before_turn(1, place(HoldMode.DRAIN)).run()

    order = world.assembly.books.orders.by_order_id("abc-1-1")

    assert order is not None
    assert order.status is OrderStatus.ACCEPTED


def test_a_close_during_a_hold_still_cannot_open(queued: bool) -> None:
    """The REDUCE lane is no back door: beyond the position it is refused by its guard."""

    def close_twice(desk: Desk) -> list[ReduceIntent]:
        return [desk.reduce(BTC, Side.SELL, Decimal(3)), desk.reduce(BTC, Side.BUY, ONE)]

    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)], 2: close_twice})
    world = make_world(flat(BTC, 4), script.spec(), queued=queued)
    world.before_turn(2, place(HoldMode.REFUSE)).run()

    codes = [[cause.code for cause in d.causes] for d in world.all(RiskDecision)]

    assert codes == [[], [ReasonCode.REDUCE_ONLY_WOULD_OPEN], [ReasonCode.REDUCE_ONLY_WOULD_OPEN]]
