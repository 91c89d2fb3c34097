"""Instruments: symbols, directional rounding, and the file that describes them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import InstrumentKind, Liquidity, Side
from state.instruments import (
    Instrument,
    InstrumentError,
    UnsupportedInstrument,
    load_instruments,
    parse_symbol,
)
from state.money import FINEST_STEP

ONE = Decimal(1)
steps = st.sampled_from([Decimal(text) for text in ("0.01", "0.001", "0.5", "0.25", "5", "1e-8")])
values = st.decimals(min_value=Decimal("-1e6"), max_value=Decimal("1e9"), places=12)


def make_instrument(tick: Decimal | None = None, lot: Decimal | None = None) -> Instrument:
    return Instrument(
        "BTC/USDT",
        InstrumentKind.SPOT,
        "BTC",
        "USDT",
        "USDT",
        tick,
        lot,
        None,
        None,
        None,
        Decimal("-0.5"),
        Decimal("7.5"),
    )


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC/USDT", (InstrumentKind.SPOT, "BTC", "USDT", "USDT")),
        ("EUR/USD", (InstrumentKind.SPOT, "EUR", "USD", "USD")),
        ("SPY", (InstrumentKind.SPOT, "SPY", "USD", "USD")),
        ("BRK-B", (InstrumentKind.SPOT, "BRK-B", "USD", "USD")),
        ("BTC/USDT:USDT", (InstrumentKind.LINEAR_PERPETUAL, "BTC", "USDT", "USDT")),
        ("1000PEPE/USDC:USDC", (InstrumentKind.LINEAR_PERPETUAL, "1000PEPE", "USDC", "USDC")),
    ],
)
def test_a_symbol_says_what_it_is(
    symbol: str, expected: tuple[InstrumentKind, str, str, str]
) -> None:
    """Kind and currencies follow from the symbol, as ccxt writes it."""
    assert expected == parse_symbol(symbol)


def test_a_plain_symbol_is_bought_with_the_accounts_currency() -> None:
    """An equity in a euro account is quoted in euros."""
    assert (InstrumentKind.SPOT, "SAP", "EUR", "EUR") == parse_symbol("SAP", "EUR")


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("BTC/USD:BTC", "settles in BTC but is quoted in USD"),
        ("BTC/USDT:USDT-241227", "dated futures"),
        ("BTC/USDT:USDT-241227-90000-C", "dated futures and options"),
    ],
)
def test_a_contract_that_is_not_traded_is_refused_with_its_reason(symbol: str, reason: str) -> None:
    """Inverse and dated contracts are named as such, not booked wrongly."""
    with pytest.raises(UnsupportedInstrument, match=reason):
        parse_symbol(symbol)


@pytest.mark.parametrize("symbol", ["", "BTC/", "/USDT", "BTC/USDT:", "A B", "BTC/USDT/EUR"])
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    """The error quotes the text and says what was expected."""
    with pytest.raises(InstrumentError, match="expected BASE"):
        parse_symbol(symbol)


@given(values, steps, st.sampled_from(Side))
def test_a_limit_never_gets_worse_and_moves_less_than_a_tick(
    price: Decimal, tick: Decimal, side: Side
) -> None:
    """A buy limit is never rounded up, a sell limit never down, either to the nearest such tick."""
    rounded = make_instrument(tick).round_limit(price, side)

    better = price - rounded if side is Side.BUY else rounded - price
    assert Decimal(0) <= better < tick
    assert rounded % tick == 0


@given(values, steps, st.sampled_from(Side))
def test_a_stop_never_triggers_earlier_than_asked(
    price: Decimal, tick: Decimal, side: Side
) -> None:
    """A buy stop only moves up, a sell stop only down, by less than a tick."""
    rounded = make_instrument(tick).round_stop(price, side)

    later = rounded - price if side is Side.BUY else price - rounded
    assert Decimal(0) <= later < tick
    assert rounded % tick == 0


@given(values, steps, st.sampled_from(Side))
def test_a_target_never_triggers_earlier_than_asked(
    price: Decimal, tick: Decimal, side: Side
) -> None:
    """A sell target only moves up, a buy target only down, by less than a tick."""
    rounded = make_instrument(tick).round_target(price, side)

    later = rounded - price if side is Side.SELL else price - rounded
    assert Decimal(0) <= later < tick
    assert rounded % tick == 0


@given(st.decimals(min_value=0, max_value=10**9, places=12), steps)
def test_a_quantity_never_grows(quantity: Decimal, step: Decimal) -> None:
    """A quantity goes down to its lot step, by less than one."""
    rounded = make_instrument(lot=step).round_quantity(quantity)

    assert Decimal(0) <= quantity - rounded < step
    assert rounded % step == 0


@given(values, st.sampled_from(Side))
def test_without_a_grid_a_price_of_sane_length_is_left_as_it_is(price: Decimal, side: Side) -> None:
    """An instrument without limits changes no price and no quantity that a venue could hold."""
    free = make_instrument()

    assert price == free.round_limit(price, side) == free.round_stop(price, side)
    assert price == free.round_quantity(price)


def test_an_endless_quotient_is_cut_to_the_finest_step() -> None:
    """A quantity of more decimals than any venue's is rounded down, so that it stays exact."""
    third = Decimal("0." + "3" * 70)

    assert Decimal("0." + "3" * 18) == make_instrument().round_quantity(third)
    assert FINEST_STEP == Decimal("0.000000000000000001")


def test_a_fee_is_exact_and_a_rebate_is_negative() -> None:
    """Fees are basis points of the notional, to the last digit."""
    instrument = make_instrument()

    assert Decimal("7.209258750") == instrument.fee(Decimal("9612.345"), Liquidity.TAKER)
    assert Decimal("-0.48061725") == instrument.fee(Decimal("9612.345"), Liquidity.MAKER)


def test_a_file_of_instruments_is_read(tmp_path: Path) -> None:
    """TOML and JSON say the same; what a table leaves out does not limit."""
    toml = tmp_path / "instruments.toml"
    toml.write_text(
        '["BTC/USDT:USDT"]\nprice_tick = "0.1"\nlot_step = "0.001"\ninitial_margin = "0.05"\n'
        'taker_fee_bps = 5\n[SAP]\ncurrency = "EUR"\nmin_notional = "10"\n'
    )
    document = tmp_path / "instruments.json"
    document.write_text(
        json.dumps(
            {
                "BTC/USDT:USDT": {
                    "price_tick": "0.1",
                    "lot_step": "0.001",
                    "initial_margin": "0.05",
                    "taker_fee_bps": 5,
                },
                "SAP": {"currency": "EUR", "min_notional": "10"},
            }
        )
    )

    found = load_instruments(toml)

    assert found == load_instruments(document)
    perpetual, share = found["BTC/USDT:USDT"], found["SAP"]
    assert ["BTC/USDT:USDT", "SAP"] == list(found)
    assert InstrumentKind.LINEAR_PERPETUAL is perpetual.kind
    assert (Decimal("0.1"), Decimal("0.05"), Decimal(5)) == (
        perpetual.price_tick,
        perpetual.initial_margin,
        perpetual.taker_fee_bps,
    )
    assert ("EUR", Decimal(10), None, ONE) == (
        share.quote,
        share.min_notional,
        share.price_tick,
        share.initial_margin,
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('["BTC/USDT"]\nprice_tick = 0.1\n', ["[BTC/USDT] price_tick", "0.1", "exact number"]),
        ('["BTC/USDT"]\nprice_tick = "abc"\n', ["[BTC/USDT] price_tick", "'abc'", "decimal"]),
        ('["BTC/USDT"]\nlot_step = "0"\n', ["[BTC/USDT] lot_step", "'0'", "greater than 0"]),
        ('["BTC/USDT"]\nmin_notional = "nan"\n', ["[BTC/USDT] min_notional", "'nan'", "finite"]),
        ('["BTC/USDT"]\ntick = "1"\n', ["[BTC/USDT] tick", "'1'"]),
        ('["BTC/USDT"]\ninitial_margin = "0.5"\n', ["[BTC/USDT] initial_margin", "0.5", "spot"]),
        ('["BTC/USDT"]\ncurrency = "EUR"\n', ["[BTC/USDT] currency", "EUR", "USDT"]),
        (
            '["BTC/USDT"]\nmin_quantity = "2"\nmax_quantity = "1"\n',
            ["[BTC/USDT] max_quantity", "1", "2"],
        ),
        ('["BTC/USD:BTC"]\n', ["BTC/USD:BTC", "inverse"]),
        ('BTC = "x"\n', ["BTC", "'x'", "table"]),
        ("[BTC\n", ["line 1"]),
        ("[BTC]\nlotstep = '1'\n", ["[BTC]", "lotstep", "did you mean 'lot_step'?"]),
        ("[BTC]\nzzz = '1'\n", ["no such key", "expected one of: currency, price_tick"]),
    ],
)
def test_a_bad_file_is_refused_with_one_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    """The error names the file, the table and the field, what was found and what was expected."""
    path = tmp_path / "bad.toml"
    path.write_text(text)

    with pytest.raises(InstrumentError) as refusal:
        load_instruments(path)

    message = str(refusal.value)
    assert [] == [part for part in [str(path), *parts] if part not in message]
    assert "\n" not in message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing file is an instrument error like any other."""
    with pytest.raises(InstrumentError, match=r"gone\.toml: no such file"):
        load_instruments(tmp_path / "gone.toml")
