"""Snapshots of facts: with the entries after them they are the whole journal's facts, or unused."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from fact_makers import busy_world, differences, facts_of
from hypothesis import given, settings
from hypothesis import strategies as st
from session_world import BTC, PERP, World, flat, make_world, on_bars

from messages import ExecutionPolicy, FundingRate, Hold, HoldMode, MinimumOrder, OrderType, Side
from state import fact_snapshots
from state.fact_snapshots import (
    FactsKeeper,
    KeptFacts,
    SnapshotUnusable,
    restore_facts,
    snapshot_of,
)
from state.facts import Facts
from state.ledger import LotMethod

seeds = st.integers(0, 10_000)


def restored(world: World, snapshot: bytes) -> Facts:
    """Return the facts of a snapshot, with the configuration of ``world``."""
    facts = facts_of(world.session)
    restore_facts(facts, snapshot)
    return facts


@settings(max_examples=25)
@given(seeds, st.data(), st.booleans(), st.sampled_from(list(LotMethod)))
def test_a_snapshot_and_the_entries_after_it_are_the_facts_of_the_whole_journal(
    seed: int, data: st.DataObject, brackets: bool, lots: LotMethod
) -> None:
    """Wherever it was taken, to the last digit and in every order; and it can be taken again."""
    world = busy_world(seed, brackets=brackets, lots=lots).run()
    entries = world.entries
    cuts = data.draw(st.lists(st.integers(1, len(entries)), min_size=1, max_size=3))
    whole = facts_of(world.session, entries)
    facts = facts_of(world.session)
    for cut in sorted(cuts):
        facts.fold_all(entries[facts.seq : cut])
        facts = restored(world, snapshot_of(facts))

        assert snapshot_of(facts_of(world.session, entries[:cut])) == snapshot_of(facts)

    facts.fold_all(entries[facts.seq :])
    assert snapshot_of(whole) == snapshot_of(facts)
    assert [] == differences(world.session, facts)


def test_everything_that_facts_have_is_in_a_snapshot() -> None:
    """Funding, holds, minimums, a resting order and a lot: nothing is left at its beginning."""
    resting = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(50))
    script = on_bars(
        {
            0: lambda desk: [desk.open(PERP, Side.BUY, Decimal("2.50"))],
            1: lambda desk: [desk.open(BTC, Side.BUY, Decimal(1), policy=resting)],
        }
    )
    world = make_world({PERP: flat(PERP, 6), BTC: flat(BTC, 6)}, script.spec("one", (PERP, BTC)))
    at = world.session.first_bar_at + 180_000
    found: list[Facts] = []

    def happen(world: World) -> None:
        world.session.observe(FundingRate(PERP, at, 0.0001))
        world.session.change_minimum(MinimumOrder(PERP, at, Decimal(5)))
        hold = Hold("drill", "a drill", HoldMode.REFUSE, "test", at)
        world.assembly.supervisor.reapply(hold)

    def look(world: World) -> None:
        found.append(facts_of(world.session, world.entries))

    world.before_turn(3, happen).before_turn(4, look).run()
    (facts,) = found
    other = restored(world, snapshot_of(facts))

    for name in vars(facts_of(world.session)):
        if name not in {"_folds", "orders", "ledger"}:
            assert getattr(facts, name) == getattr(other, name), name
    assert (1, 1, 1) == (len(other.holds), len(other.minimums), len(other.orders.live()))
    assert Decimal("2.50") == other.ledger.positions()[0].quantity
    assert facts.ledger.snapshot() == other.ledger.snapshot()
    assert other.ledger.funding


def test_a_changed_byte_makes_a_snapshot_unusable() -> None:
    """Whichever it is: nothing of it is believed."""
    world = busy_world(3, bars=6).run()
    snapshot = snapshot_of(facts_of(world.session, world.entries))
    for at in range(0, len(snapshot), 97):
        changed = bytearray(snapshot)
        changed[at] ^= 1
        with pytest.raises(SnapshotUnusable):
            restored(world, bytes(changed))


def test_without_the_checksum_a_changed_digit_would_be_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An ablation: the counter of ids falls back, and the next order would take a used id."""
    world = busy_world(3).run()
    facts = facts_of(world.session, world.entries)
    monkeypatch.setattr(fact_snapshots, "checksum", lambda _payload: b"none")
    name, number = next(iter(facts.counters.items()))
    changed = snapshot_of(facts).replace(
        b'"%s":%d' % (name.encode(), number), b'"%s":1' % name.encode()
    )

    assert restored(world, changed).counters[name] < number


def test_a_snapshot_of_another_version_or_form_is_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meaning has a number; a change of the form is noticed by itself."""
    world = busy_world(3, bars=6).run()
    facts = facts_of(world.session, world.entries)
    made = snapshot_of(facts)
    with monkeypatch.context() as other:
        other.setattr(fact_snapshots, "FACTS_VERSION", 99)
        fact_snapshots.version.cache_clear()
        with pytest.raises(SnapshotUnusable, match=r"of version b'1\..*expected b'99\."):
            restored(world, made)
    with monkeypatch.context() as other:
        grown = msgspec.defstruct("KeptFacts", [("more", int, 0)], bases=(KeptFacts,), frozen=True)
        other.setattr(fact_snapshots, "KeptFacts", grown)
        fact_snapshots.version.cache_clear()
        with pytest.raises(SnapshotUnusable, match="of version"):
            restored(world, made)
    fact_snapshots.version.cache_clear()

    assert snapshot_of(restored(world, made)) == made


def test_a_snapshot_whose_ledger_does_not_balance_is_unusable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even with a checksum that is right: the books are audited when they are taken back."""
    world = busy_world(3).run()
    facts = facts_of(world.session, world.entries)
    monkeypatch.setattr(fact_snapshots, "checksum", lambda _payload: b"none")
    cash = str(facts.ledger.cash).encode()

    with pytest.raises(SnapshotUnusable, match="audit"):
        restored(world, snapshot_of(facts).replace(b'"%s"' % cash, b'"1"'))


def test_lots_of_another_method_make_a_snapshot_unusable() -> None:
    """The whole journal says what they are by the method that is configured now."""
    world = busy_world(3, lots=LotMethod.FIFO).run()
    cut = next(
        cut
        for cut in range(len(world.entries), 0, -1)
        if facts_of(world.session, world.entries[:cut]).ledger.positions()
    )
    snapshot = snapshot_of(facts_of(world.session, world.entries[:cut]))
    other = busy_world(3, lots=LotMethod.LIFO)

    with pytest.raises(SnapshotUnusable, match="lots kept by fifo"):
        restored(other, snapshot)


def test_a_keeper_has_a_snapshot_due_once_in_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is durable by then, never of more; and none in between."""
    monkeypatch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 50)
    world = busy_world(3).run()
    entries = world.entries
    keeper = FactsKeeper(facts_of(world.session))
    due: list[int] = []
    for start in range(0, len(entries), 7):
        keeper.write(entries[start : start + 7], b"")
        snapshot = keeper.due()
        if snapshot is not None:
            due.append(restored(world, snapshot).seq)
            assert keeper.facts.seq == due[-1]

    assert due[:4] == [56, 112, 168, 224]
    assert all(50 <= later - earlier <= 56 for earlier, later in pairwise(due))
    assert len(entries) - due[-1] < 56


@pytest.mark.parametrize("patient", [True, False])
def test_who_is_patient_keeps_facts_only_when_they_are_due_twice(
    monkeypatch: pytest.MonkeyPatch, *, patient: bool
) -> None:
    """An order on its way does not wait for their encoding; a start never folds more than that."""
    monkeypatch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 50)
    world = busy_world(3).run()
    keeper = FactsKeeper(facts_of(world.session))
    keeper.write(world.entries[:99], b"")
    once = keeper.due(patient=patient)
    keeper.write(world.entries[99:100], b"")
    twice = keeper.due(patient=patient)

    assert patient is (once is None)
    assert patient is (twice is not None)


def test_a_contradiction_ends_the_keeping_and_not_the_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is held must still be got out of; the next start folds everything and names it."""
    monkeypatch.setattr(fact_snapshots, "FACTS_KEPT_EVERY", 1)
    world = busy_world(3).run()
    entries = world.entries
    keeper = FactsKeeper(facts_of(world.session))
    keeper.write(entries[:10], b"")
    assert keeper.due() is not None
    wrong: Any = [replace_seq(entries[11]), *entries[12:]]
    keeper.write(wrong, b"")

    assert keeper.differ
    assert keeper.due() is None
    assert "facts_differ" in capsys.readouterr().out


def replace_seq(entry: Any) -> Any:
    """Return an entry that claims to be the one after the next."""
    return msgspec.structs.replace(entry, seq=entry.seq + 1)
