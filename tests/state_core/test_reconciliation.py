"""The difference between the venue's account and our books: every class named, nothing hidden."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import Fill, Liquidity, PositionSide, Side
from state.reconciliation import (
    AccountView,
    Mismatch,
    MismatchKind,
    diff,
    unbooked_of,
    with_fills,
)
from state.reconciliation_policy import SENSIBLE, Policy, ReconciliationPlan, Watchlist

K = MismatchKind
D = Decimal
BTC = ("BTC/USDT", PositionSide.BOTH)
ETH = ("ETH/USDT", PositionSide.BOTH)


def view(
    positions: dict[tuple[str, PositionSide], str] | None = None,
    orders: str = "",
    net_flow: str = "1000",
    **more: object,
) -> AccountView:
    """Return one side's account."""
    held = {key: D(quantity) for key, quantity in (positions or {}).items()}
    return AccountView(held, frozenset(orders.split()), D(net_flow), **more)  # type: ignore[arg-type]


def fill(
    trade_id: str = "T1",
    quantity: str = "1",
    *,
    price: str = "100",
    fee: str = "1",
    fee_currency: str = "USDT",
    name: str = "tg-a-1",
    side: Side = Side.BUY,
) -> Fill:
    """Return a trade of one of our orders."""
    return Fill(
        trade_id,
        "a-1",
        name,
        "s",
        BTC[0],
        side,
        BTC[1],
        D(quantity),
        D(price),
        D(fee),
        fee_currency,
        Liquidity.TAKER,
        1,
    )


def own(name: str) -> bool:
    """Return whether an id is ours."""
    return name.startswith("tg-")


def kinds(found: list[Mismatch]) -> list[MismatchKind]:
    """Return what differs."""
    return [mismatch.kind for mismatch in found]


def test_equal_accounts_do_not_differ() -> None:
    """Nothing is found where there is nothing."""
    one = view({BTC: "1"}, "tg-a", "900", fees=D(1), funding=D(0))

    assert [] == diff(one, one)


def test_the_fee_of_a_missed_trade_in_another_currency_is_none_of_the_accounts_money() -> None:
    """A venue that takes its fees in a coin of its own leaves the account's money as it is."""
    local = view(net_flow="1000", fees=D(0), currency="USDT")
    venue = view({BTC: "1"}, net_flow="900", fees=D(0))

    found = diff(local, venue, unbooked=[fill(fee="0.25", fee_currency="BNB")], is_own=own)

    assert [K.MISSING_FILL] == kinds(found)


def test_a_trade_that_is_not_booked_is_named_once_and_explains_what_follows() -> None:
    """Quantity, money and fee of a missing fill are no differences of their own."""
    local = view(net_flow="1000", fees=D(0))
    venue = view({BTC: "1"}, net_flow="899", fees=D(1))

    (found,) = diff(local, venue, unbooked=[fill()], is_own=own)

    assert K.MISSING_FILL is found.kind
    assert fill() == found.fill
    assert [K.EXTERNAL_POSITION, K.UNBOOKED_PAYMENT, K.BALANCE_DRIFT] == kinds(diff(local, venue))


def test_a_position_where_our_books_are_flat_is_external() -> None:
    """It carries the venue's average price, by which it could be adopted."""
    venue = view({BTC: "2"}, prices={BTC: D(90)})

    (found,) = diff(view(), venue)

    assert (K.EXTERNAL_POSITION, BTC, D(2), D(90)) == (
        found.kind,
        found.key,
        found.delta,
        found.price,
    )


def test_a_position_of_another_size_has_drifted() -> None:
    """Also one that is gone at the venue: the distance says which way."""
    local = view({BTC: "1", ETH: "3"})
    venue = view({BTC: "1.5"})

    assert [(K.POSITION_DRIFT, D("0.5")), (K.POSITION_DRIFT, D(-3))] == [
        (found.kind, found.delta) for found in diff(local, venue)
    ]


def test_orders_are_told_apart_by_whose_they_are() -> None:
    """A foreign one, one of ours that is not open here, one of ours that is not open there."""
    local = view(orders="tg-b")
    venue = view(orders="tg-c web-1")

    assert [
        (K.STRAY_ORDER, "tg-c"),
        (K.FOREIGN_ORDER, "web-1"),
        (K.STALE_ORDER, "tg-b"),
    ] == [(found.kind, found.subject) for found in diff(local, venue, is_own=own)]


def test_a_watched_order_of_somebody_else_is_no_difference() -> None:
    """What was adopted is known."""
    assert [] == diff(view(watched=frozenset({"web-1"})), view(orders="web-1"))


def test_a_fee_or_funding_that_is_not_booked_is_told_from_drift() -> None:
    """Money that a payment explains is a payment; only the rest has drifted."""
    local = view(net_flow="1000", fees=D(1), funding=D(0))
    venue = view(net_flow="996", fees=D(2), funding=D(2))

    assert [
        (K.UNBOOKED_PAYMENT, "fees", D(-1)),
        (K.UNBOOKED_PAYMENT, "funding", D(-2)),
        (K.BALANCE_DRIFT, "net flow", D(-1)),
    ] == [(found.kind, found.subject, found.delta) for found in diff(local, venue)]


def test_what_an_order_in_doubt_may_have_done_is_no_difference() -> None:
    """Its order, its quantity up to all of it, and the money that went with it."""
    doubt = {"tg-d": (BTC, D(2))}
    local = view(unsettled=doubt)

    assert [] == diff(local, view({BTC: "2"}, "tg-d", "800"), is_own=own)
    assert [K.EXTERNAL_POSITION] == kinds(diff(local, view({BTC: "2.5"}), is_own=own))
    assert [K.EXTERNAL_POSITION] == kinds(diff(local, view({BTC: "-1"}), is_own=own))
    assert [K.EXTERNAL_POSITION] == kinds(diff(local, view({ETH: "1"}), is_own=own))


def test_trades_of_others_and_trades_that_are_booked_are_not_missing() -> None:
    """Each missing one is there once, however often the venue tells of it."""
    told = [fill("T1"), fill("T2"), fill("T2"), fill("T3", name="web-1")]

    assert [fill("T2")] == unbooked_of(told, {"T1"}, own)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Side)), st.integers(1, 9), st.integers(1, 200)), max_size=12
    ),
    st.data(),
)
def test_trades_explain_exactly_what_they_did(
    trades: list[tuple[Side, int, int]], data: st.DataObject
) -> None:
    """Whatever part of the trades is booked: the rest as missing fills leaves no difference."""
    fills = [
        fill(f"T{number}", str(quantity), price=str(price), fee="0.1", side=side)
        for number, (side, quantity, price) in enumerate(trades)
    ]
    booked = data.draw(st.sets(st.sampled_from(fills))) if fills else set()
    start = view(fees=D(0))
    local, venue = with_fills(start, booked), with_fills(start, fills)
    missing = [one for one in fills if one not in booked]

    assert [K.MISSING_FILL] * len(missing) == kinds(diff(local, venue, unbooked=missing))


# -- policies


@pytest.mark.parametrize("kind", list(K))
def test_every_class_has_a_policy_whatever_is_asked_of_all(kind: MismatchKind) -> None:
    """Nothing but an order of our own is ever cancelled, and what makes no sense is refused."""
    for policy in Policy:
        chosen = ReconciliationPlan(policy).policy_of(kind)
        assert chosen in SENSIBLE[kind]
    assert (Policy.CANCEL in SENSIBLE[kind]) is (kind is K.STRAY_ORDER)


@pytest.mark.parametrize("kind", list(K))
def test_the_default_takes_only_evidence_about_our_own_orders(kind: MismatchKind) -> None:
    """Everything else is refused, and a word about the class itself outweighs all."""
    evidence = kind in {K.MISSING_FILL, K.STALE_ORDER}

    assert (Policy.ADOPT if evidence else Policy.REFUSE) is ReconciliationPlan().policy_of(kind)
    plan = ReconciliationPlan(Policy.ADOPT, {kind: Policy.REFUSE})
    assert Policy.REFUSE is plan.policy_of(kind)


# -- what has lasted

DRIFT = Mismatch(K.POSITION_DRIFT, "BTC/USDT both", "1", "2", D(1), BTC)
PATIENT = ReconciliationPlan(patient=True, grace_ms=10_000)


def test_a_difference_counts_when_it_is_seen_twice() -> None:
    """Once may be news under way."""
    watch = Watchlist(PATIENT)

    assert [] == watch.look(0, [DRIFT])
    assert watch.any_new
    assert [DRIFT] == watch.look(1_000, [DRIFT])
    assert not watch.any_new


def test_a_difference_that_was_gone_begins_anew() -> None:
    """What one look did not find has not lasted."""
    watch = Watchlist(PATIENT)
    watch.look(0, [DRIFT])
    watch.look(1_000, [])

    assert [] == watch.look(20_000, [DRIFT])


def test_a_difference_that_changes_is_another_one() -> None:
    """Both sides may trade on, as long as they stay as far apart."""
    watch = Watchlist(PATIENT)
    watch.look(0, [DRIFT])
    same = Mismatch(K.POSITION_DRIFT, "BTC/USDT both", "3", "4", D(1), BTC)
    other = Mismatch(K.POSITION_DRIFT, "BTC/USDT both", "1", "4", D(3), BTC)

    assert [same] == watch.look(1_000, [same])
    assert [] == watch.look(2_000, [other])


def test_where_all_news_comes_at_once_a_difference_counts_at_first_sight() -> None:
    """A venue in this process has nothing under way."""
    assert [DRIFT] == Watchlist(ReconciliationPlan()).look(0, [DRIFT])
