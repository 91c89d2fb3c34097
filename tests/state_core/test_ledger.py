"""The ledger by example: what one fill does to cash, lots and profit, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from state_makers import DEPOSIT, INSTRUMENTS, PERPETUAL, SPOT, make_fill, make_ledger

from messages import EXTERNAL, Booking, PositionSide, Side
from state.instruments import Instrument
from state.ledger import ImpossibleFill, Ledger, LedgerError, LedgerImbalance, LotMethod

BUY, SELL = Side.BUY, Side.SELL
LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH


def D(text: str) -> Decimal:  # noqa: N802 - short, for tables of figures
    return Decimal(text)


def test_buying_spot_pays_and_holds() -> None:
    """Cash goes down by the cost and the fee; equity only by the fee."""
    ledger = make_ledger()

    booking = ledger.book_fill(make_fill(BUY, "2", "100", fee="0.2", trade_id="T-1"))
    value = ledger.valuation(lambda _: D("100"))

    expected = Booking(D("0"), D("0"), D("2"), D("100"), D("99799.8"), ("L-T-1",))
    assert expected == booking
    assert (D("99799.8"), D("99999.8")) == (value.cash, value.equity)
    assert (D("0"), D("0"), D("0.2")) == (
        value.realized_pnl,
        value.unrealized_pnl,
        value.fees,
    )


def test_a_perpetual_moves_cash_by_profit_alone() -> None:
    """Opening costs only the fee; closing brings the profit; marks move equity, not cash."""
    ledger = make_ledger()

    ledger.book_fill(make_fill(SELL, "2", "100", fee="0.1", symbol=PERPETUAL))
    marked = ledger.valuation(lambda _: D("90"))
    closed = ledger.book_fill(make_fill(BUY, "2", "95", fee="0.1", symbol=PERPETUAL))

    assert (D("99999.9"), D("100019.9"), D("20")) == (
        marked.cash,
        marked.equity,
        marked.unrealized_pnl,
    )
    assert (D("10"), D("0")) == (closed.realized_pnl, closed.quantity)
    assert D("100009.8") == ledger.cash == closed.cash


LOTS: dict[LotMethod, dict[str, Any]] = {
    LotMethod.FIFO: {
        "realized": D("40"),
        "ids": ("L-a", "L-b"),
        "left": [("L-b", D("0.5"), D("55")), ("L-c", D("1"), D("120"))],
    },
    LotMethod.LIFO: {
        "realized": D("20"),
        "ids": ("L-c", "L-b"),
        "left": [("L-a", D("1"), D("100")), ("L-b", D("0.5"), D("55"))],
    },
    LotMethod.AVERAGE: {
        "realized": D("30"),
        "ids": ("L-a",),
        "left": [("L-a", D("1.5"), D("165"))],
    },
}


@pytest.mark.parametrize("method", LotMethod)
def test_each_method_closes_its_own_lots(method: LotMethod) -> None:
    """FIFO sells the oldest, LIFO the newest, AVERAGE at mean cost: figures worked by hand."""
    ledger = make_ledger(method)
    for trade_id, price in (("a", "100"), ("b", "110"), ("c", "120")):
        ledger.book_fill(make_fill(BUY, "1", price, trade_id=trade_id))

    booking = ledger.book_fill(make_fill(SELL, "1.5", "130", trade_id="d"))
    position = ledger.position("sma", SPOT, BOTH)

    expected = LOTS[method]
    assert (expected["realized"], expected["ids"]) == (booking.realized_pnl, booking.lot_ids)
    assert position is not None
    assert expected["left"] == [(lot.lot_id, lot.quantity, lot.cost) for lot in position.lots]


@pytest.mark.parametrize("symbol", [SPOT, PERPETUAL])
def test_a_fill_through_zero_closes_every_lot_and_opens_the_rest(symbol: str) -> None:
    """Selling 3 against a long 2 realises on 2 and leaves a short 1 at the fill's own price."""
    ledger = make_ledger()
    ledger.book_fill(make_fill(BUY, "1", "100", symbol=symbol, trade_id="a"))
    ledger.book_fill(make_fill(BUY, "1", "102", symbol=symbol, trade_id="b"))

    booking = ledger.book_fill(make_fill(SELL, "3", "110", symbol=symbol, trade_id="c"))

    assert D("18") == booking.realized_pnl
    assert (D("-1"), D("110")) == (booking.quantity, booking.average_price)
    assert ("L-a", "L-b", "L-c") == booking.lot_ids


def test_the_average_method_never_loses_the_rounding() -> None:
    """Three units for 100 are sold one by one: the thirds round, the last takes the rest."""
    ledger = make_ledger(LotMethod.AVERAGE)
    ledger.book_fill(make_fill(BUY, "2", "30"))
    ledger.book_fill(make_fill(BUY, "1", "40"))

    gains = [ledger.book_fill(make_fill(SELL, "1", "50")).realized_pnl for _ in range(3)]

    assert [D("16.666666666667"), D("16.666666666666"), D("16.666666666667")] == gains
    assert D("50") == ledger.realized_pnl
    assert DEPOSIT + 50 == ledger.cash


def test_funding_is_paid_when_negative_and_counted_as_paid() -> None:
    """Cash = deposits + realised - fees - funding."""
    ledger = make_ledger()
    ledger.book_fill(make_fill(BUY, "1", "100", symbol=PERPETUAL))

    ledger.book_funding("sma", PERPETUAL, BOTH, D("-0.5"), 1)
    ledger.book_funding("sma", PERPETUAL, BOTH, D("0.2"), 2)
    position = ledger.position("sma", PERPETUAL, BOTH)

    assert D("0.3") == ledger.funding
    assert DEPOSIT - D("0.3") == ledger.cash
    assert position is not None
    assert D("0.3") == position.funding


def test_a_fee_in_another_currency_stays_in_its_own_accounts() -> None:
    """A fee in BNB touches neither the cash nor the fees of the account's currency."""
    ledger = make_ledger()

    ledger.book_fill(make_fill(BUY, "1", "100", fee="0.001", fee_currency="BNB"))

    assert (DEPOSIT - 100, D("0")) == (ledger.cash, ledger.fees)
    assert {"USDT": D("0"), "BNB": D("0.001")} == ledger.fees_by_currency()
    assert (D("-0.001"), D("0.001")) == (ledger.accounts["cash:BNB"], ledger.accounts["fees:BNB"])


def test_positions_are_listed_by_key_and_only_while_open() -> None:
    """Open positions come by strategy, symbol and side, whatever the order of their fills."""
    ledger = make_ledger()
    for strategy, symbol, side in [
        ("sma", PERPETUAL, SHORT),
        ("sma", SPOT, BOTH),
        ("grid", SPOT, BOTH),
        ("sma", PERPETUAL, LONG),
    ]:
        ledger.book_fill(
            make_fill(
                SELL if side is SHORT else BUY,
                "1",
                "100",
                strategy=strategy,
                symbol=symbol,
                position_side=side,
            )
        )
    ledger.book_fill(make_fill(SELL, "1", "100", strategy="grid"))

    keys = [(p.strategy, p.symbol, p.position_side) for p in ledger.positions()]
    flat = ledger.position("grid", SPOT, BOTH)
    assert [("sma", SPOT, BOTH), ("sma", PERPETUAL, LONG), ("sma", PERPETUAL, SHORT)] == keys
    assert D("0") == ledger.net_quantity(PERPETUAL)
    assert flat is not None
    assert (D("0"), ()) == (flat.quantity, flat.lots)
    assert ledger.position("sma", "ETH/USDT", BOTH) is None
    assert D("0") == ledger.net_quantity("ETH/USDT")


def test_a_position_is_a_value_of_its_moment() -> None:
    """What was asked for before a fill does not change with it."""
    ledger = make_ledger()
    ledger.book_fill(make_fill(BUY, "1", "100"))
    before = ledger.position("sma", SPOT, BOTH)
    same = ledger.position("sma", SPOT, BOTH)

    ledger.book_fill(make_fill(BUY, "1", "100"))

    assert before is same
    assert before is not None
    assert (D("1"), 1) == (before.quantity, len(before.lots))


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (make_fill(BUY, "0", "100"), "must be positive"),
        (make_fill(BUY, "-1", "100"), "must be positive"),
        (make_fill(BUY, "1", "0"), "must be positive"),
        (make_fill(BUY, "1", "100", symbol="DOGE/USDT"), "not an instrument"),
        (make_fill(SELL, "1", "100", symbol=PERPETUAL, position_side=LONG), "the other way"),
        (make_fill(SELL, "3", "100", symbol=PERPETUAL, position_side=LONG), "the other way"),
        (make_fill(BUY, "1", "100", symbol=PERPETUAL, position_side=SHORT), "the other way"),
    ],
)
def test_a_fill_that_cannot_be_changes_nothing(fill: Any, reason: str) -> None:
    """It is refused with its reason, every balance stays, and the ledger goes on."""
    ledger = make_ledger()
    if fill.quantity == 3:
        ledger.book_fill(
            make_fill(BUY, "2", "100", symbol=fill.symbol, position_side=fill.position_side)
        )
    before = {name: balance for name, balance in ledger.accounts.items() if balance}

    with pytest.raises(ImpossibleFill, match=reason):
        ledger.book_fill(fill)

    assert before == {name: balance for name, balance in ledger.accounts.items() if balance}
    ledger.audit()
    ledger.book_fill(make_fill(BUY, "1", "100"))


@pytest.mark.parametrize(
    "fill",
    [
        make_fill(BUY, "NaN", "100"),
        make_fill(BUY, "1", "Infinity"),
        make_fill(BUY, "1", "100", fee="NaN"),
        make_fill(BUY, "1", "100", fee="Infinity"),
        make_fill(BUY, "1", "1." + "3" * 80),
        make_fill(BUY, "0." + "7" * 40, "0." + "3" * 40),
    ],
)
def test_what_cannot_be_booked_exactly_halts_before_anything_moves(fill: Any) -> None:
    """A number that is none, or has too many digits, raises instead of being rounded."""
    ledger = make_ledger()
    before = {name: balance for name, balance in ledger.accounts.items() if balance}

    with pytest.raises(LedgerImbalance):
        ledger.book_fill(fill)

    assert before == {name: balance for name, balance in ledger.accounts.items() if balance}
    with pytest.raises(LedgerImbalance, match="halted since"):
        ledger.book_fill(make_fill(BUY, "1", "100"))


def test_an_instrument_of_another_currency_is_refused_at_once() -> None:
    """One account keeps one currency; a pair that settles in another has no books here."""
    with pytest.raises(LedgerError, match="ETH/BTC settles in BTC"):
        Ledger(
            {"ETH/BTC": Instrument.permissive("ETH/BTC")},
            currency="USDT",
            deposit=D("1"),
        )


def test_postings_are_real_and_sum_to_zero() -> None:
    """The entry of a fill can be read, and balances in every commodity."""
    ledger = make_ledger()
    ledger.book_fill(make_fill(BUY, "2", "100", fee="0.2"))

    assert [
        ("units:sma:BTC/USDT:both", "BTC/USDT", D("2")),
        ("market:BTC/USDT", "BTC/USDT", D("-2")),
        ("inventory:sma:BTC/USDT:both", "USDT", D("200")),
        ("cash:USDT", "USDT", D("-200")),
        ("fees:USDT", "USDT", D("0.2")),
        ("cash:USDT", "USDT", D("-0.2")),
    ] == [(a.name, a.commodity, amount) for a, amount in ledger.chart.last_entry]
    assert {"USDT": 0, "BTC/USDT": 0} == ledger.chart.totals()


def test_a_snapshot_that_does_not_fit_is_refused() -> None:
    """Another version, currency or lot method, or a changed figure, is not taken over."""
    ledger = make_ledger(LotMethod.AVERAGE)
    ledger.book_fill(make_fill(BUY, "2", "100"))
    state = ledger.snapshot()

    with pytest.raises(LedgerError, match="version 0"):
        make_ledger().restore({**state, "version": 0})
    with pytest.raises(LedgerError, match="found a snapshot of version 1 in EUR"):
        make_ledger().restore({**state, "currency": "EUR"})
    with pytest.raises(LedgerError, match="holds lots kept by average"):
        make_ledger(LotMethod.FIFO).restore(state)
    state["books"][0]["lots"][0][2] = "201"
    with pytest.raises(LedgerImbalance, match="audit"):
        make_ledger(LotMethod.AVERAGE).restore(state)


def test_deposits_and_withdrawals_are_entries_like_any_other() -> None:
    """Capital is what was put in, less what was taken out."""
    ledger = make_ledger()

    ledger.deposit(D("-40000.5"))
    ledger.audit()

    assert (D("59999.5"), D("59999.5")) == (ledger.cash, ledger.deposits)


def test_the_books_are_of_the_instruments_given() -> None:
    """The makers' instruments all settle in the account's currency."""
    assert {"USDT"} == {instrument.settle for instrument in INSTRUMENTS.values()}


def test_what_a_venue_closed_by_itself_is_held_against_a_hedged_book() -> None:
    """
    A liquidation of a part of a long: the external book holds the rest of it, the other way round.

    The books of the side together are what the venue has left; a strategy's own book cannot be so.
    """
    ledger = make_ledger()
    bought = make_fill(BUY, "3", "100", symbol=PERPETUAL, position_side=LONG, trade_id="T-1")
    taken = make_fill(SELL, "2", "90", symbol=PERPETUAL, position_side=LONG, trade_id="T-2")

    ledger.book_fill(bought)
    with pytest.raises(ImpossibleFill, match="the other way"):
        ledger.book_fill(msgspec.structs.replace(taken, strategy="another"))
    ledger.book_fill(msgspec.structs.replace(taken, strategy=EXTERNAL))

    assert D("1") == sum(each.quantity for each in ledger.positions())
    ledger.audit()
