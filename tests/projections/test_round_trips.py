"""``round_trips.csv``: which fills make one trip, and what it cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from row_makers import shown, trips_of
from session_makers import MINUTE, Tape, d
from session_world import PERP, closes, instruments_of, make_world, on_bars

from messages import ExecutionPolicy, FundingBooked, PositionMode, PositionSide, Side

ONE = Decimal(1)


def test_a_fill_that_turns_a_book_round_ends_one_trip_and_begins_another(tmp_path: Path) -> None:
    """Each has its quantity and its part of the fee; together they have all of it."""
    tape = Tape(symbol=PERP)
    tape.mark("start")
    tape.market(Side.BUY, "2", "100", fee="0.2")
    tape.now += MINUTE
    turn = tape.intent(Side.SELL, "3", decision="109")
    tape.journal(turn)
    tape.accept("o2")
    tape.fill("o2", "110", fee="0.1")

    first, second = trips_of(tmp_path, tape.entries())

    assert ["long", "turned", "1", "1", "2", "110", "0.266666666667", "-2"] == shown(
        first, "direction state entries exits max_quantity exit_average fees slippage_cost"
    )
    assert ["short", "open", "1", "0", "1", "110", "0.033333333333", "-1"] == shown(
        second, "direction state entries exits max_quantity entry_average fees slippage_cost"
    )
    assert d("0.3") == d(first["fees"]) + d(second["fees"])
    assert "19.733333333333" == first["net_pnl"]


def test_funding_and_foreign_fees_are_costs_of_the_trip_they_fall_into(tmp_path: Path) -> None:
    """Funding is netted; a fee in another currency is shown and added to nothing."""
    tape = Tape(symbol=PERP)
    tape.mark("start")
    tape.market(Side.BUY, "2", "100", fee="0.2")
    for amount in ("-0.5", "0.125"):
        tape.add(FundingBooked("execution", tape.now, "sma", PERP, "both", d(amount), d("0.0001")))
    closing = tape.intent(Side.SELL, "2", reduce=True, decision=None)
    tape.journal(closing)
    tape.accept("o2")
    tape.fill("o2", "101", "1", fee="0.001", fee_currency="BNB")
    tape.fill("o2", "101", "1", fee="0.002", fee_currency="BNB")
    tape.add(FundingBooked("execution", tape.now, "sma", PERP, "both", d("-9"), d("0.0001")))

    (trip,) = trips_of(tmp_path, tape.entries())

    assert ["2", "0.2", "0.003 BNB", "0.375", "1.425"] == shown(
        trip, "realized_pnl fees other_fees funding net_pnl"
    )


def test_strategies_in_one_symbol_have_trips_of_their_own(tmp_path: Path) -> None:
    """The venue sees one net position; each strategy sees its own."""
    tape = Tape()
    tape.mark("start")
    tape.market(Side.BUY, "1", "100")
    tape.strategy = "other"
    tape.market(Side.BUY, "2", "101")
    tape.market(Side.SELL, "2", "99")
    tape.strategy = "sma"
    tape.market(Side.SELL, "1", "105")

    assert [["other", "-4"], ["sma", "5"]] == [
        shown(row, "strategy realized_pnl") for row in trips_of(tmp_path, tape.entries())
    ]


def test_hedge_books_have_trips_side_by_side(tmp_path: Path) -> None:
    """A long and a short book of one symbol are two positions."""
    terms = {"policy": ExecutionPolicy(), "decision_price": 100.0}
    script = on_bars(
        {
            0: lambda desk: [
                desk.open(PERP, Side.BUY, ONE, position_side=PositionSide.LONG, **terms),
                desk.open(PERP, Side.SELL, d(2), position_side=PositionSide.SHORT, **terms),
            ],
            3: lambda desk: [desk.close(PERP, position_side=PositionSide.SHORT)],
            5: lambda desk: [desk.close(PERP, position_side=PositionSide.LONG)],
        }
    )
    world = make_world(
        closes(PERP, [100 + n for n in range(9)]),
        script.spec("one", (PERP,)),
        position_mode=PositionMode.HEDGE,
        instruments=instruments_of((PERP,), d(10)),
    ).run()

    assert [["short", "short", "-6"], ["long", "long", "5"]] == [
        shown(row, "position_side direction realized_pnl")
        for row in trips_of(tmp_path, world.entries)
    ]
