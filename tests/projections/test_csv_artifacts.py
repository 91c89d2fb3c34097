"""The four CSV files, to the letter."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from msgspec.structs import replace
from session_makers import (
    MINUTE,
    T0,
    Tape,
    d,
    entries_of,
    reread,
    story,
    write_csv,
)

from messages import (
    Cause,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    Liquidity,
    OrderEvent,
    OrderStatus,
    OrderType,
    PortfolioMarked,
    PositionSide,
    ReasonCode,
    Side,
    TimeInForce,
)
from state.projections import CsvArtifacts, project

ORDERS = (
    "order_id,client_order_id,created_at,updated_at,strategy,symbol,position_side,side,type,"
    "time_in_force,reduce_only,quantity,price,stop_price,filled,average_price,fee,status,reason\n"
)
TRADES = (
    "trade_id,timestamp,order_id,client_order_id,strategy,symbol,position_side,side,quantity,"
    "price,fee,fee_currency,liquidity,realized_pnl,lot_ids,decision_price,slippage\n"
)
POSITIONS = (
    "timestamp,strategy,symbol,position_side,quantity,average_price,mark_price,realized_pnl,"
    "unrealized_pnl\n"
)
ACCOUNT = "timestamp,currency,cash,equity,realized_pnl,unrealized_pnl,fees,funding,drawdown\n"


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_empty_session_has_four_files_with_headers(tmp_path: Path) -> None:
    """The columns are those of the contract, in its order."""
    files = write_csv(tmp_path, [])

    assert {
        "orders.csv": ORDERS,
        "trades.csv": TRADES,
        "positions.csv": POSITIONS,
        "account.csv": ACCOUNT,
    } == files


def test_a_round_trip_of_market_orders_to_the_byte(tmp_path: Path) -> None:
    """Buy one, sell it dearer, with fees: every column of every row."""
    tape = Tape(cash="1000")
    tape.mark("start")
    tape.now += MINUTE
    buy = tape.intent(Side.BUY, "2", decision="100")
    tape.journal(buy)
    tape.accept("o1")
    tape.fill("o1", "100.5", fee="0.201")
    tape.now += 90_061
    sell = tape.intent(Side.SELL, "2", reduce=True, decision="110.25")
    tape.journal(sell)
    tape.accept("o2")
    tape.fill("o2", "110", fee="0.22")

    files = write_csv(tmp_path, tape.entries())

    assert files["orders.csv"] == ORDERS + (
        "o1,tg-o1,2024-01-01T00:01:00.000Z,2024-01-01T00:01:00.000Z,sma,BTC/USDT,both,buy,market,"
        "gtc,false,2,,,2,100.5,0.201,filled,\n"
        "o2,tg-o2,2024-01-01T00:02:30.061Z,2024-01-01T00:02:30.061Z,sma,BTC/USDT,both,sell,market,"
        "gtc,true,2,,,2,110,0.22,filled,\n"
    )
    assert files["trades.csv"] == TRADES + (
        "t1,2024-01-01T00:01:00.000Z,o1,tg-o1,sma,BTC/USDT,both,buy,2,100.5,0.201,USDT,taker,0,"
        "Lt1,100,0.5\n"
        "t2,2024-01-01T00:02:30.061Z,o2,tg-o2,sma,BTC/USDT,both,sell,2,110,0.22,USDT,taker,19.0,"
        "Lt2,110.25,0.25\n"
    )
    assert files["positions.csv"] == POSITIONS + (
        "2024-01-01T00:01:00.000Z,sma,BTC/USDT,both,2,100.5,100.5,0,0\n"
    )
    assert files["account.csv"] == ACCOUNT + (
        "2024-01-01T00:00:00.000Z,USDT,1000,1000,0,0,0,0,0\n"
        "2024-01-01T00:01:00.000Z,USDT,798.799,999.799,0,0,0.201,0,0.00020100\n"
        "2024-01-01T00:02:30.061Z,USDT,1018.579,1018.579,19.0,0,0.421,0,0\n"
    )


def test_an_order_without_a_fill_has_a_row_with_its_reason(tmp_path: Path) -> None:
    """Denied, suppressed, rejected, cancelled and expired orders are all in orders.csv."""
    tape = Tape()
    held = Cause(ReasonCode.HELD, "hold=kill")
    tape.deny(tape.intent(), Cause(ReasonCode.CASH_INSUFFICIENT, "free=1 needed=2"), held)
    tape.deny(tape.intent(Side.SELL, reduce=True, decision=None))
    for event, status, cause in (
        (OrderEvent.SUPPRESSED, OrderStatus.SUPPRESSED, held),
        (OrderEvent.REJECTED, OrderStatus.REJECTED, Cause(ReasonCode.VENUE_REJECTED, 'no, "no"')),
        (OrderEvent.EXPIRED, OrderStatus.EXPIRED, Cause(ReasonCode.ORDER_EXPIRED)),
    ):
        intent = tape.intent()
        tape.journal(intent)
        tape.now += 1
        tape.report(intent.intent_id, event, status, cause=cause)
    policy = ExecutionPolicy(
        OrderType.STOP_LIMIT, TimeInForce.DAY, limit_price=d("99.90"), stop_price=d("1E+2")
    )
    intent = tape.intent(Side.SELL, "0.00000001", policy=policy, position_side=PositionSide.LONG)
    tape.journal(intent)
    tape.accept("o6")
    tape.report(
        "o6", OrderEvent.CANCELLED, OrderStatus.CANCELLED, cause=Cause(ReasonCode.DAY_ENDED)
    )

    files = write_csv(tmp_path, tape.entries())

    at = ["2024-01-01T00:00:00.000Z"]
    at += [f"2024-01-01T00:00:00.00{ms}Z" for ms in (1, 2, 3)]
    assert files["orders.csv"] == ORDERS + (
        f"o1,,{at[0]},{at[0]},sma,BTC/USDT,both,buy,market,gtc,false,1,,,0,,0,denied,"
        "cash_insufficient(free=1 needed=2);held(hold=kill)\n"
        f"o2,,{at[0]},{at[0]},sma,BTC/USDT,both,sell,market,gtc,true,1,,,0,,0,denied,\n"
        f"o3,tg-o3,{at[0]},{at[1]},sma,BTC/USDT,both,buy,market,gtc,false,1,,,0,,0,suppressed,"
        "held(hold=kill)\n"
        f"o4,tg-o4,{at[1]},{at[2]},sma,BTC/USDT,both,buy,market,gtc,false,1,,,0,,0,rejected,"
        '"venue_rejected(no, ""no"")"\n'
        f"o5,tg-o5,{at[2]},{at[3]},sma,BTC/USDT,both,buy,market,gtc,false,1,,,0,,0,expired,"
        "order_expired\n"
        f"o6,tg-o6,{at[3]},{at[3]},sma,BTC/USDT,long,sell,stop_limit,day,false,0.00000001,99.90,"
        "100,0,,0,cancelled,day_ended\n"
    )
    assert files["trades.csv"] == TRADES


def test_orders_that_never_ended_are_written_as_they_stand(tmp_path: Path) -> None:
    """At the close intended, approved, sent, accepted and in-doubt orders have their rows."""
    tape = Tape()
    tape.intent()
    approved = tape.intent()
    tape.journal(approved)
    del tape.messages[-1]  # the decision came, the order did not
    for step, (event, status) in enumerate(
        (
            (OrderEvent.SENT, OrderStatus.SENT),
            (OrderEvent.ACCEPTED, OrderStatus.ACCEPTED),
            (OrderEvent.SILENCE, OrderStatus.IN_DOUBT),
        ),
        3,
    ):
        tape.journal(tape.intent())
        cause = Cause(ReasonCode.ANSWER_LOST) if event is OrderEvent.SILENCE else None
        tape.report(f"o{step}", event, status, cause=cause)
    tape.journal(tape.intent(quantity="3"))
    tape.accept("o6")
    tape.fill("o6", "100", "1")

    rows = rows_of(write_csv(tmp_path, tape.entries())["orders.csv"])

    assert [
        ("o1", "intended", ""),
        ("o2", "approved", ""),
        ("o3", "sent", ""),
        ("o4", "accepted", ""),
        ("o5", "in_doubt", "answer_lost"),
        ("o6", "partially_filled", ""),
    ] == [(row["order_id"], row["status"], row["reason"]) for row in rows]
    assert ("1", "100") == (rows[5]["filled"], rows[5]["average_price"])


def test_a_cause_is_shown_while_it_explains_the_status(tmp_path: Path) -> None:
    """An order whose answer was lost and then found has no reason for being accepted."""
    tape = Tape()
    tape.journal(tape.intent())
    lost = Cause(ReasonCode.ANSWER_LOST)
    tape.report("o1", OrderEvent.SILENCE, OrderStatus.IN_DOUBT, cause=lost)
    tape.report("o1", OrderEvent.ACCEPTED, OrderStatus.ACCEPTED)

    (row,) = rows_of(write_csv(tmp_path, tape.entries())["orders.csv"])

    assert ("accepted", "") == (row["status"], row["reason"])


def test_several_fills_give_one_order_row_and_a_trade_row_each(tmp_path: Path) -> None:
    """The average is weighted by quantity, fees add up, the lots are joined by a bar."""
    tape = Tape()
    tape.journal(tape.intent(quantity="3"))
    tape.accept("o1")
    tape.fill("o1", "100", "1", fee="0.1")
    tape.fill("o1", "101", "1", fee="0.01", fee_currency="BNB")
    tape.fill("o1", "103", "1", fee="0.3")
    report = tape.messages[-2]
    assert isinstance(report, ExecutionReport)
    assert report.booking is not None
    booking = replace(report.booking, lot_ids=("L1", "L2"))
    tape.messages[-2] = replace(report, booking=booking)

    files = write_csv(tmp_path, tape.entries())
    (order,) = rows_of(files["orders.csv"])
    trades = rows_of(files["trades.csv"])

    assert ("3", "101.333333333333", "0.4") == (
        order["filled"],
        order["average_price"],
        order["fee"],
    )
    assert ["1", "1", "1"] == [trade["quantity"] for trade in trades]
    assert ["USDT", "BNB", "USDT"] == [trade["fee_currency"] for trade in trades]
    assert "L1|L2" == trades[2]["lot_ids"]


def test_slippage_is_positive_when_it_costs(tmp_path: Path) -> None:
    """Buying dearer and selling cheaper than decided are both adverse; no decision, no slippage."""
    tape = Tape()
    for side, decision, price in (
        (Side.BUY, "100", "101"),
        (Side.BUY, "100", "99"),
        (Side.SELL, "100", "99"),
        (Side.SELL, "100", "100.0"),
        (Side.SELL, None, "99"),
    ):
        intent = tape.intent(side, decision=decision)
        tape.journal(intent)
        tape.fill(intent.intent_id, price)

    trades = rows_of(write_csv(tmp_path, tape.entries())["trades.csv"])

    assert [("100", "1"), ("100", "-1"), ("100", "1"), ("100", "0"), ("", "")] == [
        (trade["decision_price"], trade["slippage"]) for trade in trades
    ]


def test_drawdown_is_measured_from_the_highest_equity_so_far(tmp_path: Path) -> None:
    """Zero at a peak, eight decimals below it; empty where no fraction has a meaning."""

    def marked(equity: str, currency: str = "USDT") -> PortfolioMarked:
        zero = d(0)
        return PortfolioMarked(T0, "fill", currency, d(equity), d(equity), zero, zero, zero, zero)

    equities = ["1000", "990", "1200", "900.000000006", "1200", "1199.999999", "0", "-1200"]
    messages = [marked(equity) for equity in equities]
    messages += [marked("0", "BTC"), marked("-1", "BTC"), marked("0.00", "BTC")]

    rows = rows_of(write_csv(tmp_path, entries_of(messages))["account.csv"])

    assert [
        "0",
        "0.01000000",
        "0",
        "0.25000000",
        "0",
        "0",
        "1.00000000",
        "2.00000000",
        "0",
        "",
        "0",
    ] == [row["drawdown"] for row in rows]
    assert ["0", "-1", "0"] == [row["equity"] for row in rows][-3:]


def test_open_positions_are_listed_sorted_at_every_mark(tmp_path: Path) -> None:
    """All strategies, symbols and sides with a position, by name; flat ones have no row."""
    tape = Tape(cash="100000")
    for strategy, symbol, position_side in (
        ("b", "ETH/USDT", PositionSide.SHORT),
        ("b", "ETH/USDT", PositionSide.LONG),
        ("b", "BTC/USDT", PositionSide.BOTH),
        ("a", "XRP/USDT", PositionSide.BOTH),
    ):
        tape.strategy, tape.symbol = strategy, symbol
        side = Side.SELL if position_side is PositionSide.SHORT else Side.BUY
        intent = tape.intent(side, "2", position_side=position_side)
        tape.journal(intent)
        tape.fill(intent.intent_id, "10")
    tape.prices = {"ETH/USDT": d("12.5"), "BTC/USDT": d("9"), "XRP/USDT": d("1E+1")}
    tape.now += MINUTE
    tape.mark("midnight")

    rows = rows_of(write_csv(tmp_path, tape.entries())["positions.csv"])
    last = [tuple(row.values())[1:] for row in rows if "00:01" in row["timestamp"]]

    assert 1 + 2 + 3 + 4 + 4 == len(rows)
    assert [
        ("a", "XRP/USDT", "both", "2", "10", "10", "0", "0"),
        ("b", "BTC/USDT", "both", "2", "10", "9", "0", "-2"),
        ("b", "ETH/USDT", "long", "2", "10", "12.5", "0", "5.0"),
        ("b", "ETH/USDT", "short", "-2", "10", "12.5", "0", "-5.0"),
    ] == last


def test_a_position_without_a_mark_shows_no_value(tmp_path: Path) -> None:
    """Nothing is invented where the journal gives no price."""
    tape = Tape()
    tape.market(Side.BUY, "1", "100")
    marked = tape.messages[-1]
    assert isinstance(marked, PortfolioMarked)
    tape.messages[-1] = replace(marked, marks=())

    (row,) = rows_of(write_csv(tmp_path, tape.entries())["positions.csv"])

    assert ("", "") == (row["mark_price"], row["unrealized_pnl"])


def test_a_fill_after_the_end_is_in_trades_and_leaves_the_order_row(tmp_path: Path) -> None:
    """Money that moved is shown, also when the order's row is already written."""
    tape = Tape()
    tape.journal(tape.intent())
    tape.accept("o1")
    tape.report("o1", OrderEvent.CANCELLED, OrderStatus.CANCELLED)
    tape.fill("o1", "100", status=OrderStatus.CANCELLED)

    files = write_csv(tmp_path, tape.entries())

    assert ["0"] == [row["filled"] for row in rows_of(files["orders.csv"])]
    assert [("o1", "1", "")] == [
        (row["order_id"], row["quantity"], row["slippage"]) for row in rows_of(files["trades.csv"])
    ]
    assert 1 == len(rows_of(files["positions.csv"]))


def test_an_order_that_no_intent_asked_for_has_its_row(tmp_path: Path) -> None:
    """A flatten or an adopted order begins where the journal first shows its request."""
    tape = Tape()
    tape.journal(tape.intent(order_id="flatten"))
    del tape.messages[:2]  # neither intent nor decision
    tape.accept("flatten")
    tape.fill("flatten", "100")

    files = write_csv(tmp_path, tape.entries())

    assert [("flatten", "filled", "1")] == [
        (row["order_id"], row["status"], row["filled"]) for row in rows_of(files["orders.csv"])
    ]


def test_names_that_need_quotes_have_them_in_every_file(tmp_path: Path) -> None:
    """Commas, quotes and line breaks in names and ids come back from a CSV reader."""
    strategy, symbol, trade_id = 'a "b", c', "X,Y\nZ", "t,1"
    tape = Tape(strategy=strategy, symbol=symbol)
    tape.journal(tape.intent(order_id='o"1'))
    tape.accept('o"1')
    tape.fill('o"1', "100", trade_id=trade_id, fee="1", fee_currency="U,T")
    tape.intent(order_id="o,2")

    files = write_csv(tmp_path, tape.entries())
    orders, trades = rows_of(files["orders.csv"]), rows_of(files["trades.csv"])

    assert ['o"1', "o,2"] == [row["order_id"] for row in orders]
    assert [(trade_id, 'o"1', 'tg-o"1', "U,T", "Lt,1")] == [
        (r["trade_id"], r["order_id"], r["client_order_id"], r["fee_currency"], r["lot_ids"])
        for r in trades
    ]
    for row in (*orders, *trades, *rows_of(files["positions.csv"])):
        assert (strategy, symbol) == (row["strategy"], row["symbol"])


@pytest.mark.parametrize("text", ["1E-7", "1E+3", "0E-10", "-0.00", "123456789.123456789123456789"])
def test_no_number_has_an_exponent(tmp_path: Path, text: str) -> None:
    """Tiny and round numbers are written in full, and every zero is 0."""
    value = d(text)
    expected = format(value, "f") if value else "0"
    tape = Tape()
    tape.journal(tape.intent(decision=text))
    fill = Fill(
        "t1",
        "o1",
        "tg-o1",
        "sma",
        "BTC/USDT",
        Side.BUY,
        PositionSide.BOTH,
        value,
        value,
        value,
        "USDT",
        Liquidity.MAKER,
        T0,
    )
    filled = ExecutionReport(
        "o1", "tg-o1", "sma", "BTC/USDT", OrderEvent.FILLED, OrderStatus.FILLED, T0, value
    )
    tape.add(
        replace(filled, fill=fill),
        PortfolioMarked(T0, "fill", "USDT", value, value, value, value, value, value),
    )

    files = write_csv(tmp_path, tape.entries())
    (trade,), (order,), (account,) = (
        rows_of(files[name]) for name in ("trades.csv", "orders.csv", "account.csv")
    )

    assert [expected] * 4 + ["0"] == [
        trade[name] for name in ("quantity", "price", "fee", "decision_price", "slippage")
    ]
    assert [expected] * 3 == [order[name] for name in ("filled", "average_price", "fee")]
    assert [expected] * 6 == [
        account[name]
        for name in ("cash", "equity", "realized_pnl", "unrealized_pnl", "fees", "funding")
    ]


def test_the_files_are_the_same_however_the_journal_was_cut(tmp_path: Path) -> None:
    """Batches of any size, and a journal read back from its lines, give the same bytes."""
    entries = story()
    whole = write_csv(tmp_path / "whole", entries)

    assert whole == write_csv(tmp_path / "one by one", entries, batch=1)
    assert whole == write_csv(tmp_path / "sevens", entries, batch=7)

    out = tmp_path / "rebuilt"
    out.mkdir()
    project(iter(reread(entries)), CsvArtifacts(out))
    assert whole == {name: (out / name).read_text("utf-8") for name in whole}
    assert 240 == whole["orders.csv"].count("\n") - 1


def test_rows_are_in_the_files_when_their_batch_is(tmp_path: Path) -> None:
    """A reader of a running session sees every finished order and every fill of past batches."""
    tape = Tape()
    tape.market(Side.BUY, "1", "100")
    artifacts = CsvArtifacts(tmp_path)
    artifacts.write(tape.entries())

    assert 2 == (tmp_path / "orders.csv").read_text("utf-8").count("\n")
    assert 2 == (tmp_path / "trades.csv").read_text("utf-8").count("\n")
    artifacts.close()
    artifacts.close()
