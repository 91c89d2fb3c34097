"""``intents.csv``: what was asked, how it went, what it cost; and both files to the byte."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from row_makers import files_of, intents_of, rows_of, shown, trips_of
from session_makers import MINUTE, Tape, d, reread
from session_world import BTC, World, closes, flat, make_world, on_bars

from actors.commands import Request
from messages import (
    Cause,
    CommandVerb,
    ExecutionPolicy,
    ExecutionReport,
    FallbackOn,
    FollowUpReason,
    IfAbsent,
    Intent,
    IntentAction,
    IntentEnded,
    MarketFallback,
    OpenFollowUp,
    OpenIntent,
    OrderEvent,
    OrderStatus,
    OrderType,
    Plan,
    PlanStop,
    PlanTarget,
    ReasonCode,
    Retry,
    RiskDecision,
    Side,
    TimeInForce,
    Verdict,
)
from state.projections import CsvArtifacts

INTENTS = (
    "intent_id,created_at,ended_at,strategy,symbol,position_side,action,side,sizing,quantity,"
    "notional,policy,decision_price,plan_id,tag,orders,retries,reprices,fallbacks,filled,"
    "average_price,slippage,slippage_bps,outcome,causes\n"
)
TRIPS = (
    "strategy,symbol,position_side,direction,state,opened_at,closed_at,entries,adds,exits,"
    "max_quantity,entry_average,exit_average,realized_pnl,fees,other_fees,funding,slippage_cost,"
    "net_pnl,net_bps,orders,retries,reprices,fallbacks,plan_ids\n"
)
ONE = Decimal(1)
LIMIT = ExecutionPolicy(OrderType.LIMIT, limit_price=d(100))
PATIENT = replace(LIMIT, timeout_ms=90_000, fallback=MarketFallback((FallbackOn.TIMEOUT,)))


# -- plain sessions


def test_an_empty_session_has_both_files_with_headers(tmp_path: Path) -> None:
    """The columns are those of the documentation, in its order."""
    assert {"intents.csv": INTENTS, "round_trips.csv": TRIPS} == files_of(tmp_path, [])


def test_a_round_trip_of_market_orders_to_the_byte(tmp_path: Path) -> None:
    """Buy two, sell them dearer, with fees and slippage: every column of every row."""
    tape = Tape(cash="1000")
    tape.mark("start")
    tape.now += MINUTE
    for side, decided, price, fee in (
        (Side.BUY, "100", "100.5", "0.201"),
        (Side.SELL, "110.25", "110", "0.22"),
    ):
        intent = tape.intent(side, "2", reduce=side is Side.SELL, decision=decided)
        tape.journal(intent)
        tape.accept(intent.intent_id)
        tape.fill(intent.intent_id, price, fee=fee)
        tape.now += MINUTE

    files = files_of(tmp_path, tape.entries())

    assert files["intents.csv"] == INTENTS + (
        "o1,2024-01-01T00:01:00.000Z,2024-01-01T00:01:00.000Z,sma,BTC/USDT,both,entry,buy,explicit,"
        "2,,market gtc,100,,,1,0,0,0,2,100.5,0.5,50,filled,\n"
        "o2,2024-01-01T00:02:00.000Z,2024-01-01T00:02:00.000Z,sma,BTC/USDT,both,reduce,sell,"
        "explicit,2,,market gtc,110.25,,,1,0,0,0,2,110,0.25,22.675736961451,filled,\n"
    )
    assert files["round_trips.csv"] == TRIPS + (
        "sma,BTC/USDT,both,long,closed,2024-01-01T00:01:00.000Z,2024-01-01T00:02:00.000Z,1,0,1,2,"
        "100.5,110,19.0,0.421,,0,1.50,18.579,924.328358208955,2,0,0,0,\n"
    )


def test_a_batch_more_or_less_changes_no_byte(tmp_path: Path) -> None:
    """Entry by entry, as they come back from a stored journal, or all at once."""
    entries = a_busy_world().entries
    whole = files_of(tmp_path / "whole", entries)

    assert whole == files_of(tmp_path / "one by one", reread(entries), batch=1)
    assert whole == files_of(tmp_path / "some", entries, batch=7)


def a_busy_world() -> World:
    """Return a session in which something of every kind is asked for."""
    plan = Plan(PlanStop(distance_bps=d(500)), (PlanTarget(distance_bps=d(100)),))
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=PATIENT, decision_price=100.0)],
            4: lambda desk: [desk.update_plan(BTC, plan, tag="p")],
            5: lambda desk: [desk.open(BTC, Side.BUY), desk.add(BTC, Side.BUY, notional=d(50))],
            6: lambda desk: [desk.update_plan(BTC, None), desk.cancel(BTC)],
            7: lambda desk: [desk.pause(desk.now + 60_000, "tired, very"), desk.close(BTC)],
        }
    )
    prices = [100, 101, 102, 101, 102, 101, 102, 103, 104, 105]
    return make_world(closes(BTC, prices), script.spec()).run()


# -- further orders


def test_further_orders_count_to_their_intent_and_have_rows_of_their_own(tmp_path: Path) -> None:
    """A limit is filled in part, its rest goes out at market: one intent, two orders, one mean."""
    tape = Tape()
    root = tape.intent(Side.BUY, "3", policy=PATIENT, decision="100")
    tape.journal(root)
    tape.accept("o1")
    tape.fill("o1", "100", "1")
    tape.now += 90_000
    cause = Cause(ReasonCode.TIMED_OUT, "timeout_ms=90000")
    tape.report("o1", OrderEvent.CANCELLED, OrderStatus.CANCELLED, cause=cause)
    follow(tape, root, "o1-2", "2", FollowUpReason.FALLBACK_TIMEOUT)
    tape.accept("o1-2")
    tape.fill("o1-2", "101.5", "2")
    end(tape, root, filled="3", orders=2, fallbacks=1)

    (row,) = intents_of(tmp_path, tape.entries())
    orders = rows_of((tmp_path / "orders.csv").read_text())
    (trip,) = trips_of(tmp_path, tape.entries())

    assert ["2", "0", "0", "1", "3", "101", "1", "100", "filled", ""] == shown(
        row,
        "orders retries reprices fallbacks filled average_price slippage slippage_bps "
        "outcome causes",
    )
    assert ["o1", "o1-2"] == [order["order_id"] for order in orders]
    assert ["cancelled", "filled"] == [order["status"] for order in orders]
    assert ["1", "2", "1", "3", "3.0"] == shown(
        trip, "entries orders fallbacks max_quantity slippage_cost"
    )


def follow(
    tape: Tape, root: Intent, order_id: str, quantity: str, because: FollowUpReason
) -> OpenFollowUp:
    """Ask for a further order of ``root``, approve it and put it on record."""
    intent = OpenFollowUp(
        order_id,
        root.strategy,
        root.symbol,
        root.side,
        d(quantity),
        tape.now,
        root.position_side,
        decision_price=root.decision_price,
        root_id=root.intent_id,
        because=because,
    )
    tape.add(intent)
    request = tape.journal(intent)
    named = replace(request, root_id=root.intent_id)
    decision, report = tape.messages[-2:]
    assert isinstance(decision, RiskDecision)
    assert isinstance(report, ExecutionReport)
    tape.messages[-2:] = [
        replace(decision, root_id=root.intent_id),
        replace(report, root_id=root.intent_id, order=named),
    ]
    return intent


def end(
    tape: Tape, root: Intent, *, filled: str, cause: Cause | None = None, **counts: int
) -> None:
    """Tell the end of an intent."""
    assert root.quantity is not None
    tape.add(
        IntentEnded(
            root.intent_id,
            root.strategy,
            root.symbol,
            tape.now,
            root.quantity,
            d(filled),
            counts.pop("orders", 1),
            cause=cause,
            **counts,
        )
    )


def test_a_refused_further_order_ends_its_intent_with_what_was_filled(tmp_path: Path) -> None:
    """The row says why it got no farther; the refused order has a row in orders.csv."""
    tape = Tape()
    root = tape.intent(Side.BUY, "3", policy=PATIENT)
    tape.journal(root)
    tape.accept("o1")
    tape.fill("o1", "100", "1")
    tape.report("o1", OrderEvent.CANCELLED, OrderStatus.CANCELLED)
    further = OpenFollowUp(
        "o1-2",
        root.strategy,
        root.symbol,
        root.side,
        d(2),
        tape.now,
        root_id="o1",
        because=FollowUpReason.FALLBACK_TIMEOUT,
    )
    cause = Cause(ReasonCode.CASH_INSUFFICIENT, "need=2 free=1")
    denied = RiskDecision(
        "o1-2", "sma", tape.symbol, Verdict.DENIED, tape.now, causes=(cause,), root_id="o1"
    )
    tape.add(further, denied)
    end(tape, root, filled="1", orders=2, fallbacks=1, cause=cause)

    (row,) = intents_of(tmp_path, tape.entries())
    orders = rows_of((tmp_path / "orders.csv").read_text())

    assert ["1", "1", "1", "partly_filled", "cash_insufficient(need=2 free=1)"] == shown(
        row, "orders fallbacks filled outcome causes"
    )
    assert ["cancelled", "denied"] == [order["status"] for order in orders]


def test_a_late_fill_is_in_its_trip_and_no_longer_in_its_intents_row(tmp_path: Path) -> None:
    """An intent's row stays as it was at its end; money is never lost."""
    tape = Tape()
    tape.mark("start")
    intent = tape.intent(Side.BUY, "2", policy=LIMIT)
    tape.journal(intent)
    tape.accept("o1")
    tape.report("o1", OrderEvent.CANCELLED, OrderStatus.CANCELLED)
    tape.fill("o1", "100", "1", fee="0.1", status=OrderStatus.CANCELLED)

    (row,) = intents_of(tmp_path, tape.entries())
    (trip,) = trips_of(tmp_path, tape.entries())

    assert ["0", "", "cancelled"] == shown(row, "filled average_price outcome")
    assert ["open", "1", "100", "0.1", "-0.1"] == shown(
        trip, "state max_quantity entry_average fees net_pnl"
    )


def test_a_stop_that_makes_room_and_comes_back_is_one_intent(tmp_path: Path) -> None:
    """What is put back counts to the stop that the strategy asked for."""
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, d(2))],
            2: lambda desk: [desk.set_stop(BTC, 90.0, tag="stop")],
            4: lambda desk: [desk.partial_close(BTC, ONE)],
            8: lambda desk: [desk.close(BTC)],
        }
    )
    world = make_world(flat(BTC, 12), script.spec(), brackets=False).run()

    rows = {row["intent_id"]: row for row in intents_of(tmp_path, world.entries)}
    orders = rows_of((tmp_path / "orders.csv").read_text())
    (trip,) = trips_of(tmp_path, world.entries)

    assert ["abc-1-1", "abc-1-2", "abc-1-3", "abc-1-4"] == list(rows)
    assert ["2", "0", "0", "0", "cancelled"] == shown(
        rows["abc-1-2"], "orders retries reprices fallbacks outcome"
    )
    assert "abc-1-2-b1" in [order["order_id"] for order in orders]
    assert ["1", "0", "2", "3"] == shown(trip, "entries adds exits orders")


def test_an_intent_that_waits_for_a_retry_when_it_is_cancelled_is_cancelled(
    tmp_path: Path,
) -> None:
    """Its newest order was refused; that is not how it ended."""
    retry = Retry(2, (ReasonCode.IOC_REMAINDER,), 3_600_000, delay_ms_max=3_600_000)
    policy = ExecutionPolicy(OrderType.LIMIT, TimeInForce.IOC, limit_price=d(50), retry=retry)
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=policy)],
            3: lambda desk: [desk.cancel(BTC, "abc-1-1")],
        }
    )
    world = make_world(flat(BTC, 6), script.spec()).run()

    intent, cancel = intents_of(tmp_path, world.entries)

    assert ["1", "cancelled", "cancel_requested"] == shown(intent, "orders outcome causes")
    assert ["cancel", "1", "cancelled", "order_id=abc-1-1"] == shown(
        cancel, "action orders outcome causes"
    )


# -- how much, and by whom


def test_an_intent_says_how_much_it_came_to(tmp_path: Path) -> None:
    """Delegated, the whole book, what there is, or not at all: the approved quantity is shown."""
    sync = ExecutionPolicy(if_absent=IfAbsent.SYNC)
    script = on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, notional=d(250)), desk.add(BTC, Side.BUY)],
            2: lambda desk: [desk.partial_close(BTC, d(9), policy=sync)],
            4: lambda desk: [desk.open(BTC, Side.BUY, d(2))],
            6: lambda desk: [desk.close(BTC), desk.close(BTC)],
        }
    )
    world = make_world(flat(BTC, 9), script.spec()).run()

    found = [
        shown(row, "action sizing quantity notional outcome")
        for row in intents_of(tmp_path, world.entries)
    ]

    assert [
        ["entry", "delegate_notional", "2.5", "250", "filled"],
        ["add", "explicit", "", "", "refused"],
        ["partial_close", "explicit", "2.5", "", "filled"],
        ["entry", "explicit", "2", "", "filled"],
        ["close", "explicit", "2.0", "", "filled"],
        ["close", "explicit", "", "", "refused"],
    ] == found


def test_an_operators_close_is_a_row_named_after_its_kill(tmp_path: Path) -> None:
    """Flattening takes part in the trip's costs like any close."""
    script = on_bars({0: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 6), script.spec())
    kill = Request(verb=CommandVerb.KILL, by="test", flatten=True)
    world.before_turn(3, lambda world: world.assembly.desk.take(kill)).run()

    *_, row = intents_of(tmp_path, world.entries)
    (trip,) = trips_of(tmp_path, world.entries)

    assert ["abc-K1-1", "one", "reduce", "flatten"] == shown(row, "intent_id strategy action tag")
    assert ["closed", "1", "1", "2"] == shown(trip, "state entries exits orders")


def test_a_repeated_intent_has_a_row_for_its_refusal(tmp_path: Path) -> None:
    """The first one goes on as if nothing had happened."""
    tape = Tape()
    intent = tape.intent(Side.BUY, "1")
    tape.journal(intent)
    tape.add(intent)
    tape.deny(intent, Cause(ReasonCode.DUPLICATE_INTENT, "intent_id=o1"))
    tape.accept("o1")
    tape.fill("o1", "100")

    assert [["1", "filled"], ["0", "refused"]] == [
        shown(row, "orders outcome") for row in intents_of(tmp_path, tape.entries())
    ]


# -- bounds


def test_rows_behind_an_unfinished_intent_wait_outside_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long one order rests, the others' rows are not kept in memory."""
    monkeypatch.setattr("state.projections.ordered_rows.WAITING_ROWS_MAX", 8)
    tape = Tape()
    rests = tape.intent(Side.BUY, "1", policy=LIMIT)
    tape.journal(rests)
    for _ in range(40):
        tape.market(Side.BUY, "1", "100")
    artifacts = CsvArtifacts(tmp_path)
    artifacts.write(tape.entries())
    artifacts.close()

    rows = rows_of((tmp_path / "intents.csv").read_text())

    assert [f"o{number}" for number in range(1, 42)] == [row["intent_id"] for row in rows]
    assert "unfinished" == rows[0]["outcome"]
    assert IntentAction.ENTRY.value == rows[0]["action"]
    assert isinstance(rests, OpenIntent)
