"""Facts: what a journal makes certain is exactly what the session itself knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fact_makers import busy_world, differences, facts_of
from hypothesis import given, settings
from hypothesis import strategies as st
from session_world import BTC, PERP, Keep, World, flat, make_bar, make_spec, make_world, on_bars

from actors.runtime.entropy import SeededTape
from actors.turns import Session
from feeds.memory import MemoryFeed
from messages import (
    ExecutionPolicy,
    ExecutionReport,
    FundingBooked,
    FundingRate,
    Hold,
    HoldMode,
    HoldPlaced,
    Intent,
    OrderEvent,
    OrderStatus,
    OrderType,
    Side,
)
from scenarios.runner import run_scenario
from state.facts import Facts, FactsDiffer
from state.journal import Entry, decode_line
from state.ledger import LotMethod
from state.orders import FINISHED_ORDERS_MAX

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").rglob("*.scenario.*"))
seeds = st.integers(0, 10_000)


@settings(max_examples=20)
@given(seeds, st.booleans(), st.sampled_from(list(LotMethod)), st.booleans())
def test_orders_lots_money_and_holds_are_those_of_the_session(
    seed: int, brackets: bool, lots: LotMethod, queued: bool
) -> None:
    """Whatever happened, every order, lot, account and hold comes out of the journal again."""
    world = busy_world(seed, brackets=brackets, lots=lots, queued=queued).run()
    facts = facts_of(world.session, world.entries)

    assert [] == differences(world.session, facts)
    assert facts.ended is not None
    facts.ledger.audit()


@settings(max_examples=10)
@given(seeds, st.integers(0, 10_000))
def test_any_order_of_deliveries_gives_the_same_facts_as_its_session(seed: int, tape: int) -> None:
    """The journal's order is the only one that counts, whichever schedule led to it."""
    world = busy_world(seed, queued=True, bars=12)
    world.assembly.dispatcher.tape = SeededTape(tape)  # type: ignore[attr-defined]
    world.run()

    facts = facts_of(world.session, world.entries)
    assert [] == differences(world.session, facts, in_order=False)


@settings(max_examples=8)
@given(seeds, st.integers(1, 23))
def test_facts_hold_in_the_middle_of_a_session_too(seed: int, turn: int) -> None:
    """Between any two turns the facts of the journal so far are the session's own."""
    found: list[list[str]] = []

    def compare(world: World) -> None:
        found.append(differences(world.session, facts_of(world.session, world.entries)))

    busy_world(seed).before_turn(turn, compare).run()

    assert found == [[]]


@settings(max_examples=8)
@given(seeds, st.data())
def test_every_beginning_of_a_journal_makes_sense(seed: int, data: st.DataObject) -> None:
    """A journal that a crash has cut anywhere gives facts: no entry depends on a later one."""
    entries = busy_world(seed, bars=12).run().entries
    cut = data.draw(st.integers(0, len(entries)))
    world = busy_world(seed, bars=12)
    facts = facts_of(world.session, entries[:cut])

    assert facts.seq == cut
    facts.ledger.audit()
    whole = facts.fold_all(entries[cut:])
    assert repr(facts_of(world.session, entries)) == repr(whole)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_facts_of_every_shipped_scenario_are_its_sessions_own(path: Path) -> None:
    """Kills, faults, restarts, funding: whatever was rehearsed, the journal alone explains it."""
    sessions: list[tuple[Session, Keep]] = []

    def listen(session: Session) -> None:
        kept = Keep()
        if session.journal.seq:  # it goes on after what the process before it had made durable
            kept.lines = sessions[-1][1].lines[: session.journal.seq]
        session.journal._sinks += (kept,)  # type: ignore[attr-defined]
        sessions.append((session, kept))

    run_scenario(path, alter=listen)

    assert sessions
    for session, kept in sessions:
        facts = facts_of(session, map(decode_line, kept.lines))
        if facts.ended is not None:  # one that a power cut has ended knew more than its disk
            assert [] == differences(session, facts)


def test_funding_is_folded_as_it_was_booked() -> None:
    """Paid by each position, in the order of the bookings."""
    script = on_bars({0: lambda desk: [desk.open(PERP, Side.BUY, Decimal(2))]})
    world = make_world(flat(PERP, 6), script.spec("one", (PERP,)))
    rate = FundingRate(PERP, world.session.first_bar_at + 180_000, 0.0001)
    world.before_turn(3, lambda world: world.session.observe(rate)).run()
    facts = facts_of(world.session, world.entries)

    assert len(world.all(FundingBooked)) == 1
    assert facts.ledger.funding == Decimal("0.02")
    assert [] == differences(world.session, facts)


def test_an_order_without_an_answer_must_be_asked_about() -> None:
    """Recorded or sent and nothing heard: after a crash nobody knows whether the venue has it."""
    resting = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(50))
    script = on_bars({1: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1), policy=resting)]})
    world = make_world(flat(BTC, 4), script.spec()).run()
    entries = world.entries
    steps = {
        entry.message.event: entry.seq
        for entry in entries
        if isinstance(entry.message, ExecutionReport)
    }
    found = [
        [order.status for order in facts_of(world.session, entries[:cut]).unanswered()]
        for cut in (
            steps[OrderEvent.JOURNALED] - 1,
            steps[OrderEvent.JOURNALED],
            steps[OrderEvent.SENT],
            steps[OrderEvent.ACCEPTED],
        )
    ]

    assert [[], [OrderStatus.JOURNALED], [OrderStatus.SENT], []] == found


def test_new_ids_go_on_after_the_highest_one() -> None:
    """Of every family of ids the highest number is known, whatever became of its bearer."""
    world = busy_world(3).run()
    facts = facts_of(world.session, world.entries)
    highest: dict[str, int] = {}
    for message in world.all(Intent):
        if not getattr(message, "root_id", ""):
            family, _, number = message.intent_id.rpartition("-")
            highest[f"{family}-"] = max(highest.get(f"{family}-", 0), int(number))

    assert {"abc-1-", "abc-2-"} <= set(facts.counters)
    assert all(facts.counters[family] >= number for family, number in highest.items())


def test_ids_of_others_are_no_counters() -> None:
    """A number without end, or none at all, is not what we count by."""
    facts = facts_of(busy_world(1).session)
    for name in ("", "9" * 400, "no number", "a-1", "a-12", "a-7"):
        facts._count(name)

    assert {"a-": 12} == facts.counters


def test_the_newest_bar_that_anything_followed_from_is_known() -> None:
    """Per symbol, colons in its name or not, the open of the newest bar that left a trace."""
    bars = {BTC: flat(BTC, 6), PERP: flat(PERP, 6)}
    script = on_bars(
        {
            2: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1))],
            5: lambda desk: [desk.open(PERP, Side.BUY, Decimal(1))],
        }
    )
    world = make_world(bars, script.spec("one", (BTC, PERP))).run()
    facts = facts_of(world.session, world.entries)

    assert set(facts.last_bars) == {BTC, PERP}
    assert all(bars[symbol][0].timestamp < at for symbol, at in facts.last_bars.items())
    assert facts.marks == {BTC: Decimal("100.0"), PERP: Decimal("100.0")}


def test_holds_end_by_themselves() -> None:
    """A hold whose time is over at the restart is not in force any more; a latched one is."""
    world = make_world(flat(BTC, 3), on_bars({}).spec())
    ends = Hold("ends", "test", HoldMode.BLOCK, "test", 0, until=5_000)
    stays = Hold("stays", "test", HoldMode.DRAIN, "test", 0, latched=True)
    facts = facts_of(world.session)
    for hold in (ends, stays):
        facts._on_placed(HoldPlaced(hold))

    assert (ends, stays) == facts.holds_at(4_999)
    assert (stays,) == facts.holds_at(5_000)


def test_a_session_that_was_started_again_has_not_ended() -> None:
    """What counts is the last start."""
    world = busy_world(2, bars=6).run()
    entries = world.entries
    facts = facts_of(world.session, entries)
    again = replace_seq(entries[0], len(entries) + 1)
    ended = facts.ended is not None
    facts.fold(again)

    assert ended
    assert (None, 2, "test-abc") == (facts.ended, facts.starts, facts.session_id)


def test_memory_does_not_grow_with_the_orders_of_a_long_session() -> None:
    """Finished orders are forgotten as the session itself forgets them."""
    count = FINISHED_ORDERS_MAX + 500
    soon = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(200))
    script = on_bars({})
    script.on_bar = lambda strategy, bar: [
        strategy.desk.open(
            bar.symbol, Side.BUY if len(script.seen) % 2 else Side.SELL, Decimal(1), policy=soon
        )
    ]
    feed = MemoryFeed({PERP: [make_bar(PERP, bar.timestamp, 100) for bar in flat(PERP, count)]})
    world = World(make_spec(feed, script.spec("one", (PERP,)))).run()
    facts = facts_of(world.session, world.entries)

    assert len(facts.orders) <= FINISHED_ORDERS_MAX + len(facts.orders.live())
    assert [] == differences(world.session, facts)


def replace_seq(entry: Entry, seq: int) -> Entry:
    """Return ``entry`` under another number."""
    return msgspec.structs.replace(entry, seq=seq)


def fill_of(entries: list[Entry]) -> int:
    """Return the index of the first fill."""
    return next(i for i, each in enumerate(entries) if getattr(each.message, "fill", None))


def changed(entries: list[Entry], index: int, **fields: Any) -> list[Entry]:
    """Return ``entries`` with the message at ``index`` changed."""
    message = msgspec.structs.replace(entries[index].message, **fields)
    entry = msgspec.structs.replace(entries[index], message=message)
    return [*entries[:index], entry, *entries[index + 1 :]]


def _renumbered(entries: list[Entry]) -> list[Entry]:
    return [replace_seq(entry, number) for number, entry in enumerate(entries, 1)]


def _without_record(entries: list[Entry]) -> list[Entry]:
    order_id = getattr(entries[fill_of(entries)].message, "order_id", "")
    left = [
        entry
        for entry in entries
        if not (
            isinstance(entry.message, ExecutionReport)
            and entry.message.order_id == order_id
            and entry.message.event is OrderEvent.JOURNALED
        )
    ]
    return _renumbered(left)


def _twice(entries: list[Entry]) -> list[Entry]:
    index = fill_of(entries)
    return _renumbered([*entries[: index + 1], *entries[index:]])


def _more(entries: list[Entry]) -> list[Entry]:
    index = fill_of(entries)
    fill = msgspec.structs.replace(entries[index].message.fill, price=Decimal(1))  # type: ignore[attr-defined]
    return changed(entries, index, fill=fill)


def _other_status(entries: list[Entry]) -> list[Entry]:
    return changed(entries, fill_of(entries), status=OrderStatus.CANCELLED)


def _gap(entries: list[Entry]) -> list[Entry]:
    return [*entries[:5], *entries[6:]]


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (_without_record, "which has no record"),
        (_twice, "is booked already"),
        (_more, "expected Booking"),
        (_other_status, "found cancelled"),
        (_gap, "expected entry 6, found 7"),
    ],
)
def test_a_journal_that_contradicts_itself_is_found(
    tamper: Callable[[list[Entry]], list[Entry]], complaint: str
) -> None:
    """What a report says must follow from the entries before it; the error names the entry."""
    world = busy_world(4).run()

    with pytest.raises(FactsDiffer, match=complaint):
        facts_of(world.session, tamper(world.entries))


def test_other_lots_than_the_session_had_are_found() -> None:
    """A fold with another configuration than the session's does not go through unnoticed."""
    world = busy_world(4, lots=LotMethod.FIFO).run()
    spec = replace(
        world.spec,
        strategies=tuple(replace(s, lot_method=LotMethod.AVERAGE) for s in world.spec.strategies),
    )
    methods = {each.name: each.lot_method for each in spec.strategies}
    facts = Facts(spec.instruments, currency=spec.currency, deposit=spec.cash, lot_methods=methods)

    with pytest.raises(FactsDiffer, match="expected Booking"):
        facts.fold_all(world.entries)


def test_consecutive_numbers_are_the_only_order() -> None:
    """An entry that comes again, or too early, is refused whatever it says."""
    entries = busy_world(5, bars=4).run().entries
    facts = facts_of(busy_world(5, bars=4).session, entries[:4])
    for wrong in (entries[3], entries[5]):
        with pytest.raises(FactsDiffer, match="expected entry 5"):
            facts.fold(wrong)

    assert facts.seq == 4
