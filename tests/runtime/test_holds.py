"""Holds: what a lane does with a message is a pure function of the set of holds."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import HoldSet
from messages import (
    EVERYTHING,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    CancelIntent,
    Hold,
    HoldMode,
    OpenIntent,
    OrderRequest,
    OrderType,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    Scope,
    Side,
    TimeInForce,
)

STRICTEST_LAST = (HoldMode.BLOCK, HoldMode.REFUSE, HoldMode.DRAIN)


def hold(name: str, mode: HoldMode = HoldMode.REFUSE, scope: Scope = EVERYTHING) -> Hold:
    return Hold(name, f"cause of {name}", mode, "operator", 0, scope)


def intent(
    strategy: str = "one", symbol: str = "A", side: PositionSide = PositionSide.BOTH
) -> OpenIntent:
    return OpenIntent("1", strategy, symbol, Side.BUY, Decimal(1), 0, side)


def request(*, reduce_only: bool = False, symbol: str = "A") -> OrderRequest:
    return OrderRequest(
        "1",
        "tg-1",
        "one",
        symbol,
        Side.BUY,
        PositionSide.BOTH,
        OrderType.MARKET,
        TimeInForce.GTC,
        Decimal(1),
        0,
        reduce_only,
    )


def maybe(values: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(values)


scopes = st.builds(
    Scope,
    venue=maybe(("paper", "other")),
    strategy=maybe(("one", "two")),
    symbol=maybe(("A", "B")),
    side=maybe(("long", "short")),
)
holds = st.lists(
    st.builds(hold, st.sampled_from("abcdef"), st.sampled_from(HoldMode), scopes),
    max_size=5,
    unique_by=lambda one: one.hold_id,
)
intents = st.builds(
    intent,
    st.sampled_from(("one", "two")),
    st.sampled_from(("A", "B")),
    st.sampled_from(PositionSide),
)


def covers_by_hand(scope: Scope, message: OpenIntent) -> bool:
    facts = {
        "venue": "paper",
        "strategy": message.strategy,
        "symbol": message.symbol,
        # These intents all buy: in the one net book that is towards a long position.
        "side": "short" if message.position_side is PositionSide.SHORT else "long",
    }
    return all(getattr(scope, name) in (None, fact) for name, fact in facts.items())


@given(holds, intents)
def test_the_strictest_of_all_covering_holds_decides(
    found: list[Hold], message: OpenIntent
) -> None:
    """DRAIN over REFUSE over BLOCK over nothing, and each scope field that is set must agree."""
    modes = [one.mode for one in found if covers_by_hand(one.scope, message)]
    expected = max(modes, key=STRICTEST_LAST.index) if modes else None

    assert expected == HoldSet("paper", found).mode(message)


@given(holds, intents)
def test_every_covering_hold_is_reported_and_none_masks_another(
    found: list[Hold], message: OpenIntent
) -> None:
    """A refusal shows all its causes, each with who set it and why."""
    expected = [
        f"hold={one.hold_id} cause={one.cause} by=operator"
        for one in found
        if covers_by_hand(one.scope, message)
    ]

    causes = HoldSet("paper", found).causes(message)

    assert expected == [cause.detail for cause in causes]
    assert {cause.code for cause in causes} <= {ReasonCode.HELD}


@given(holds, intents)
def test_the_order_of_placing_changes_nothing_but_the_order_of_the_report(
    found: list[Hold], message: OpenIntent
) -> None:
    """Simultaneous causes neither race nor mask: the set alone decides."""
    verdicts = set()
    for order in list(permutations(found))[:12]:
        placed = HoldSet("paper")
        for one in order:
            placed.place(one)
        verdicts.add((placed.mode(message), frozenset(placed.causes(message))))

    assert len(verdicts) == 1


@given(holds, st.data())
def test_lifting_one_hold_leaves_the_others_in_force(
    found: list[Hold], data: st.DataObject
) -> None:
    """The set after a lift is the set without that hold, and empty means inactive."""
    placed = HoldSet("paper", found)
    names = data.draw(st.permutations([one.hold_id for one in found]))
    left = dict(placed.view())
    for name in names:
        assert placed.active
        assert placed.lift(name) == left.pop(name)
        assert placed.view() == left
    assert not placed.active
    assert placed.lift("never placed") is None


def test_only_what_can_add_exposure_is_ever_covered() -> None:
    """A hold over everything lets closes, cancels and approved closes through."""
    placed = HoldSet("paper", [hold("kill", HoldMode.DRAIN)])

    assert placed.mode(intent()) is HoldMode.DRAIN
    assert placed.mode(ApprovedOpen(request())) is HoldMode.DRAIN
    for message in (
        ReduceIntent("1", "one", "A", Side.SELL, Decimal(1), 0),
        CancelIntent("1", "one", "A", 0),
        ApprovedReduce(request(reduce_only=True)),
        ApprovedCancel("1", "one", "A"),
    ):
        assert placed.mode(message) is None
        assert placed.causes(message) == ()


def test_the_same_id_twice_is_one_hold() -> None:
    """Placing again is idempotent: one lift opens the gate."""
    placed = HoldSet("paper")

    for _ in range(2):
        placed.place(hold("a"))

    assert list(placed.view()) == ["a"]
    placed.lift("a")

    assert not placed.active


def test_a_hold_expires_at_its_end_and_not_before() -> None:
    """``expired`` names a hold from the millisecond of its ``until`` on."""
    ending = Hold("a", "circuit", HoldMode.BLOCK, "health", 0, until=1000)
    placed = HoldSet("paper", [ending, hold("b")])

    assert placed.expired(999) == []
    assert placed.expired(1000) == [ending]
