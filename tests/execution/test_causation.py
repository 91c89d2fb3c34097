"""The runner invents nothing: every order of a journal derives from a wish, and says from which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from session_world import BTC, World, flat, make_world, on_bars
from wishing import instruments, unruly_world

from actors.commands import Request
from actors.execution import Books, ExecutionActor
from actors.execution.bracket import Brackets
from actors.execution.pursuit import Pursuit
from actors.risk import RiskActor
from messages import (
    ApprovedReduce,
    CommandVerb,
    ExecutionPolicy,
    ExecutionReport,
    FollowUpReason,
    IntentAction,
    OpenFollowUp,
    OperatorReduce,
    OrderType,
    PositionSide,
    ReduceFollowUp,
    Side,
)
from state.derivation import JournalIndex, LinkKind, Underived, chain_of, underived
from state.derivation.chain import LINKS_MAX
from strategies.plans.wants import Wants

SEEDS = 24
ONE = Decimal(1)
WORLDS = [
    pytest.param({"brackets": True}, id="one_way"),
    pytest.param({"brackets": False}, id="without_brackets"),
    pytest.param({"brackets": True, "hedge": True}, id="hedge"),
]
ENDS = {LinkKind.MARKET, LinkKind.BEGINNING, LinkKind.COMMAND, LinkKind.MORE}
WISHES = {LinkKind.INTENT, LinkKind.PLAN, LinkKind.COMMAND}


def orders_of(world: World) -> list[str]:
    """Return the ids of the orders that were put on record."""
    return [r.order_id for r in world.all(ExecutionReport) if r.order is not None]


@pytest.mark.parametrize("terms", WORLDS)
def test_every_order_of_unruly_worlds_derives_from_an_intent(terms: dict[str, Any]) -> None:
    """Quantity, prices, type, reason: as asked, as rounded, as permitted, thousands of times."""
    orders = 0
    reasons: Counter[FollowUpReason] = Counter()
    for seed in range(SEEDS):
        world = unruly_world(seed, **terms).run()
        found = [str(fault) for fault in underived(world.entries, instruments())]
        orders += len(orders_of(world))
        for entry in world.entries:
            if isinstance(entry.message, OpenFollowUp | ReduceFollowUp):
                reasons[entry.message.because] += 1

        assert [] == found, f"seed {seed}"
        check_chains(world)
    permitted = set(FollowUpReason) - {FollowUpReason.RESTORE}

    assert orders > 1_500
    assert permitted <= set(reasons)
    assert terms["brackets"] or reasons[FollowUpReason.RESTORE]


def check_chains(world: World) -> None:
    """Check that every order's chain goes through a wish and ends where the session began it."""
    journal = JournalIndex(world.entries)
    for order_id in orders_of(world):
        chain = chain_of(order_id, journal)
        kinds = [link.kind for link in chain]

        assert LinkKind.ORDER is kinds[0]
        assert kinds[-1] in ENDS
        assert LinkKind.UNKNOWN not in kinds
        assert WISHES & set(kinds)


def test_without_the_instruments_the_direction_of_rounding_is_checked() -> None:
    """From the journal alone: nothing is found where nothing is wrong."""
    world = unruly_world(3, brackets=True).run()

    assert [] == list(underived(world.entries))


# -- what is planted is found

Plant = Callable[[pytest.MonkeyPatch], object]


def permit_anything(patch: pytest.MonkeyPatch) -> None:
    """Fall back to the market whether the policy permits it or not."""

    def fall_back(self: Pursuit, why: FollowUpReason, cause: Any, now: int) -> Any:
        if self._fallbacks:
            return None, [self._over(now, cause)]
        self._fallbacks += 1
        self._deadline = None
        return why, [self._follow(why, now)]

    patch.setattr(Pursuit, "_fall_back", fall_back)
    patch.setattr(Pursuit, "_next_policy", lambda *_: ExecutionPolicy())


def ask_for_all_again(patch: pytest.MonkeyPatch) -> None:
    """Forget what was filled: every further order is for the whole."""
    patch.setattr(Pursuit, "rest", property(lambda self: self.quantity))


def retry_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Count no retry."""
    follow = Pursuit._follow

    def uncounted(self: Pursuit, why: FollowUpReason, now: int) -> Any:
        made = follow(self, why, now)
        if why is FollowUpReason.RETRY:
            self._retries = 0
        return made

    patch.setattr(Pursuit, "_follow", uncounted)


def follow_the_market_anywhere(patch: pytest.MonkeyPatch) -> None:
    """Place a new price beyond the worst one."""

    def new_price(self: Pursuit, mark: Decimal | None) -> Decimal | None:
        reprice = self.intent.policy.reprice
        if reprice is None or mark is None:
            return None
        return reprice.worst_price + self.intent.side.sign

    patch.setattr(Pursuit, "_new_price", new_price)


def put_back_more(patch: pytest.MonkeyPatch) -> None:
    """Put back twice what made room."""
    again = Brackets._again

    def more(self: Brackets, request: Any, quantity: Decimal, now: int) -> Any:
        return again(self, request, quantity * 2, now)

    patch.setattr(Brackets, "_again", more)


def put_back_what_made_no_room(patch: pytest.MonkeyPatch) -> None:
    """Displace every protective order that ends, and put it back."""
    ended = Brackets.ended

    def displacing(self: Brackets, order: Any) -> Any:
        if order.request.action is IntentAction.SET_STOP and order.remaining:
            self.displace(order)
        return ended(self, order)

    patch.setattr(Brackets, "ended", displacing)


def proposing(patch: pytest.MonkeyPatch, **changes: Callable[[Any], Any]) -> None:
    """Let Risk approve something else than what was proposed."""
    approve = RiskActor._approve

    def other(self: RiskActor, proposal: Any) -> Any:
        for name, change in changes.items():
            value = getattr(proposal, name)
            if value is not None:
                setattr(proposal, name, change(value))
        return approve(self, proposal)

    patch.setattr(RiskActor, "_approve", other)


def round_up(patch: pytest.MonkeyPatch) -> None:
    """Order one lot more than was asked for."""
    proposing(patch, quantity=lambda quantity: quantity + Decimal("0.25"))


def cross_the_limit(patch: pytest.MonkeyPatch) -> None:
    """Order a tick beyond the limit, whichever side that is."""
    proposing(patch, limit_price=lambda price: price + 1)


def move_the_stop(patch: pytest.MonkeyPatch) -> None:
    """Move every stop a little."""
    proposing(patch, stop_price=lambda price: price - 1)


def invent_a_stop(patch: pytest.MonkeyPatch) -> None:
    """Protect each opened position without having been asked to."""
    book = ExecutionActor.book

    def protecting(self: ExecutionActor, order: Any, report: Any, fill: Any) -> Any:
        effects = book(self, order, report, fill)
        if order.request.reduce_only or fill.position_side is not PositionSide.BOTH:
            return effects
        stop = msgspec.structs.replace(
            order.request,
            order_id=f"{order.request.order_id}-stop-{fill.trade_id}",
            client_order_id=f"tg-{order.request.order_id}-stop-{fill.trade_id}",
            side=order.request.side.opposite,
            order_type=OrderType.STOP,
            stop_price=fill.price - fill.side.sign,
            price=None,
            reduce_only=True,
            root_id="",
            action=IntentAction.SET_STOP,
        )
        return (*effects, ApprovedReduce(stop))

    patch.setattr(ExecutionActor, "book", protecting)


def plan_a_stop(patch: pytest.MonkeyPatch) -> None:
    """Have a plan set a stop that it does not have."""
    aim = Wants.aimed

    def stopping(self: Wants, standing: Any, held: Decimal) -> Any:
        told = aim(self, standing, held)
        if standing.plan.stop is None and not standing.stop.price:
            standing.stop.price = ONE
            plan_id = standing.intent.intent_id
            told.append(self._desk.set_stop(*standing.book[:1], 1.0, plan_id=plan_id))
        return told

    patch.setattr(Wants, "aimed", stopping)


def change_the_type(patch: pytest.MonkeyPatch) -> None:
    """Send stop orders out at market at once."""
    approve = RiskActor._approve

    def at_once(self: RiskActor, proposal: Any) -> Any:
        policy = proposal.intent.policy
        if policy.order_type is OrderType.STOP:
            changed = msgspec.structs.replace(policy, order_type=OrderType.MARKET, stop_price=None)
            proposal.intent = msgspec.structs.replace(proposal.intent, policy=changed)
            proposal.stop_price = None
        return approve(self, proposal)

    patch.setattr(RiskActor, "_approve", at_once)


def go_on_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """Take up further orders of intents that are over."""
    take_up = Books.take_up

    def always(self: Books, approved: Any) -> bool:
        take_up(self, approved)
        return True

    patch.setattr(Books, "take_up", always)


PLANTED: dict[str, tuple[Plant, str, bool]] = {
    "a fallback without permission": (permit_anything, "because", True),
    "a further order larger than the rest": (ask_for_all_again, "quantity", True),
    "a retry too many": (retry_for_ever, "because", True),
    "a price beyond the worst": (follow_the_market_anywhere, "limit_price", True),
    "more put back than made room": (put_back_more, "quantity", False),
    "something put back that made no room": (put_back_what_made_no_room, "because", False),
    "a quantity rounded up": (round_up, "quantity", True),
    "a limit that is crossed": (cross_the_limit, "price", True),
    "a stop that is moved": (move_the_stop, "stop_price", True),
    "a stop that nobody asked for": (invent_a_stop, "intent", True),
    "a step that its plan does not have": (plan_a_stop, "step", True),
    "another type of order": (change_the_type, "order_type", True),
    "an order after its intent's end": (go_on_after_the_end, "when", True),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_the_runner_invents_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of invention, planted where it would be made, is told apart."""
    plant, what, brackets = PLANTED[name]
    plant(monkeypatch)

    assert what in {fault.what for fault in faults(range(SEEDS), what, brackets=brackets)}


def faults(seeds: Iterable[int], what: str, *, brackets: bool) -> list[Underived]:
    """Return what is found in the first world in which something of this kind is."""
    for seed in seeds:
        found = list(underived(unruly_world(seed, brackets=brackets).run().entries))
        if any(fault.what == what for fault in found):
            return found
    return []


# -- the operator


def closing_world() -> World:
    """Return a session in which something is held when the operator comes."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    return make_world(flat(BTC, 8), script.spec())


def test_an_operators_close_leads_to_the_command() -> None:
    """A kill that is to be flat: from the close to the kill, from the kill to whoever gave it."""
    kill = Request(verb=CommandVerb.KILL, by="cli:anna", reason="a drill", flatten=True)
    world = closing_world()
    world.before_turn(3, lambda world: world.assembly.desk.take(kill)).run()
    chain = chain_of("abc-K1-1", JournalIndex(world.entries))

    assert [] == list(underived(world.entries))
    assert ["order", "intent", "kill", "command"] == [link.kind.value for link in chain]
    assert "kill, to be flat by cli:anna: a drill" == chain[-1].text


def test_flattening_that_is_added_to_a_kill_leads_to_the_command_that_added_it() -> None:
    """The first command did not ask for it."""
    world = closing_world()
    for turn, flatten in ((3, False), (3, True)):
        request = Request(verb=CommandVerb.KILL, by=f"flatten={flatten}", flatten=flatten)
        world.before_turn(turn, lambda world, request=request: world.assembly.desk.take(request))
    world.run()
    chain = chain_of("abc-K1-1", JournalIndex(world.entries))

    assert [] == list(underived(world.entries))
    assert "flatten=True" in chain[-1].text


@pytest.mark.parametrize("flatten", [None, False], ids=["no kill", "a kill that keeps positions"])
def test_a_close_in_the_operators_name_without_his_word_is_found(flatten: bool | None) -> None:
    """Nobody but an operator may take a position off that its strategy keeps."""
    world = closing_world()

    def invent(world: World) -> None:
        if flatten is not None:
            world.assembly.desk.take(Request(verb=CommandVerb.KILL, by="cli", flatten=flatten))
        close = OperatorReduce("abc-K1-1", "one", BTC, Side.SELL, ONE, world.assembly.clock.now)
        world.assembly.dispatcher.publish("kill", close)

    world.before_turn(3, invent).run()
    found = {fault.what for fault in underived(world.entries)}

    assert "command" in found
    assert (flatten is None) == ("kill" in found)


# -- from step to plan, from answer to cause


def test_a_strategys_answer_leads_to_what_it_answers() -> None:
    """A close after a fill: the fill, whose it was, and the bar at which that was decided."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE, decision_price=100.0)]})
    script.on_fill = lambda strategy, fill: (
        [strategy.desk.close(BTC)] if fill.side is Side.BUY else None
    )
    world = make_world(flat(BTC, 6), script.spec()).run()
    chain = chain_of("abc-1-2", JournalIndex(world.entries))

    assert ["order", "intent", "event", "intent", "market"] == [link.kind.value for link in chain]
    assert "abc-1-1 filled: 1 at 100.0, fee 0 USDT; 1 filled so far" == chain[2].text
    assert "one asks to buy 1 BTC/USDT (entry) market gtc decided at 100.0" == chain[3].text
    assert "the bar of BTC/USDT that opened at 2024-01-01T00:00:00.000Z" == chain[4].text


def test_an_order_that_is_not_there_has_no_chain() -> None:
    """Nothing is made up."""
    assert [] == chain_of("nobody's", JournalIndex(closing_world().run().entries))


def test_an_order_without_an_intent_ends_in_the_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be explained says so."""
    invent_a_stop(monkeypatch)
    world = closing_world().run()
    invented = next(name for name in orders_of(world) if "stop" in name)
    chain = chain_of(invented, JournalIndex(world.entries))

    assert [LinkKind.ORDER, LinkKind.UNKNOWN] == [link.kind for link in chain]


def test_a_chain_that_goes_on_and_on_is_cut() -> None:
    """A strategy that answers every fill with an order makes chains of any length."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    script.on_fill = lambda strategy, fill: [
        strategy.desk.close(BTC)
        if fill.side is Side.BUY
        else strategy.desk.open(BTC, Side.BUY, ONE)
    ]
    world = make_world(flat(BTC, 60), script.spec()).run()
    journal = JournalIndex(world.entries)

    assert LinkKind.MARKET is chain_of("abc-1-20", journal)[-1].kind
    assert LinkKind.MORE is chain_of("abc-1-50", journal)[-1].kind
    assert len(chain_of("abc-1-50", journal)) == LINKS_MAX + 1
