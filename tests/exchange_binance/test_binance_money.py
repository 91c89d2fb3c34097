"""Margin, liquidation, funding, fees: what is told of money is what the truth adds up to."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import ccxt
import msgspec
import pytest
from binance_house import BTC, ETH, KEYS, MINUTE, START, House, house, terms

from brokers.virtual.wire import FundingAtMark
from messages import PositionMode
from scenarios.exchange import server as plain_exchange
from scenarios.exchange.binanceusdm import Binanceusdm
from scenarios.exchange.facts import FactKind
from scenarios.exchange.truth import fold_truth
from scenarios.exchange.venue import TruthContradicted, restored


async def wallet(home: House) -> Decimal:
    """Return the wallet balance as the venue shows it."""
    account = await home.client.fapiPrivateV3GetAccount()
    return Decimal(account["totalWalletBalance"])


async def test_leverage_decides_what_is_let_in(tmp_path: Path) -> None:
    """Twenty times the money at 20, five times at 5; what is resting counts."""
    async with house(tmp_path, venue=terms(deposit="1000")) as home:
        client = home.client
        await client.load_markets()
        await home.buy("rests", "0.3", "49000")
        with pytest.raises(ccxt.InsufficientFunds, match="-2019"):
            await home.buy("too_much", "0.2")
        await client.cancel_all_orders(BTC)
        await client.set_leverage(5, BTC)
        with pytest.raises(ccxt.InsufficientFunds, match="-2019"):
            await home.buy("still_too_much", "0.2")
        await home.buy("enough", "0.09")
        positions = await client.fetch_positions([BTC])

        assert 5 == (await client.fetch_leverages([BTC]))[BTC]["longLeverage"]
        assert "0.09" == str(positions[0]["contracts"])
        assert ["5"] == [str(f.setting.leverage) for f in home.kinds(FactKind.SET) if f.setting]


async def test_who_cannot_bear_the_loss_is_liquidated(tmp_path: Path) -> None:
    """
    At the price where the equity ran out, orders cancelled first; nobody owes anything, and what
    was lost is exactly what the truth says.
    """
    async with house(tmp_path, venue=terms(deposit="1000")) as home:
        client = home.client
        await client.load_markets()
        await home.buy("long", "0.3")
        await home.buy("rests", "0.01", "45000")
        before = await client.fetch_positions([BTC])
        await home.bar(46_000.0, open=50_000.0, high=50_000.0, low=45_500.0)
        after = await client.fetch_positions([BTC])
        trades = await client.fetch_my_trades(BTC)
        left = await wallet(home)
        truth = fold_truth(home.truth)

        expected = Decimal(str(before[0]["liquidationPrice"]))
        assert [] == after
        assert abs(expected - Decimal(str(trades[-1]["price"]))) < 1
        assert Decimal(0) <= left < 100
        assert [] == await client.fetch_open_orders(BTC)
        assert {} == truth.held
        assert left == truth.net_flow.quantize(Decimal("0.00000001"))
        assert "autoclose-1" in truth.orders


@pytest.mark.parametrize(("long", "short"), [("0.3", "0.299"), ("0.299", "0.3"), ("0.3", "0.3")])
async def test_a_hedged_account_that_can_bear_it_is_left_alone(
    long: str, short: str, tmp_path: Path
) -> None:
    """Long and short of nearly one size lose nothing to speak of, whichever way the market runs."""
    venue = terms(deposit="10000", mode=PositionMode.HEDGE)
    async with house(tmp_path, venue=venue) as home:
        await home.client.load_markets()
        for side, quantity in (("buy", long), ("sell", short)):
            params = {"positionSide": "LONG" if side == "buy" else "SHORT"}
            await home.client.create_order(BTC, "market", side, quantity, None, params)
        await home.bar(50_000.0, low=49_000.0, high=51_000.0)

        assert [] == home.kinds(FactKind.OWN_ORDER)
        assert 2 == len(await home.client.fetch_positions([BTC]))


async def test_a_gap_beyond_all_money_is_made_up_for(tmp_path: Path) -> None:
    """The market opens where the loss is more than there is: the fund pays, and the log says so."""
    async with house(tmp_path, venue=terms(deposit="1000")) as home:
        client = home.client
        await client.load_markets()
        await home.buy("long", "0.3")
        await home.bar(40_000.0)
        income = await client.fapiPrivateGetIncome({"incomeType": "INSURANCE_CLEAR"})
        insured = home.kinds(FactKind.INSURED)[0].payment

        assert insured is not None
        assert insured.amount == Decimal(income[0]["income"]) > 0
        assert Decimal(0) == await wallet(home) == fold_truth(home.truth).net_flow


async def test_funding_moves_money_and_is_income(tmp_path: Path) -> None:
    """A long pays a positive rate on the mark; the client finds both in its history."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("long", "0.1")
        paid = FundingAtMark(BTC, START + 2 * MINUTE, 0.0001, Decimal(50_000))
        await home.exchange.server.show("funding", [paid])
        history = await client.fetch_funding_history(BTC)
        rate = await client.fetch_funding_rate(BTC)
        rates = await client.fetch_funding_rate_history(BTC)

        assert Decimal("-0.5") == Decimal(str(history[0]["amount"]))
        assert Decimal("0.0001") == Decimal(str(rate["fundingRate"]))
        assert [START + 2 * MINUTE] == [each["timestamp"] for each in rates]
        assert Decimal(100_000) - Decimal("2.5") - Decimal("0.5") == await wallet(home)


async def test_fees_are_the_makers_or_the_takers(tmp_path: Path) -> None:
    """What rests pays the maker's rate, what takes the taker's; the rates are published."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        await home.buy("makes", "0.1", "49900")
        await home.bar(49_800.0, low=49_800.0, open=50_000.0, high=50_000.0)
        await home.buy("takes", "0.1")
        trades = await client.fetch_my_trades(BTC)
        rates = await client.fetch_trading_fee(BTC)

        assert ["maker", "taker"] == [trade["takerOrMaker"] for trade in trades]
        assert [Decimal("0.998"), Decimal("2.49")] == [
            Decimal(trade["fee"]["cost"]) for trade in trades
        ]
        assert (Decimal("0.0002"), Decimal("0.0005")) == (
            Decimal(str(rates["maker"])),
            Decimal(str(rates["taker"])),
        )


async def test_an_exchange_goes_on_from_its_log(tmp_path: Path) -> None:
    """
    What the log holds makes the same venue again: leverage, mode, amended and forced orders too;
    numbers, profits and answers are the same before and after.
    """
    async with house(tmp_path, venue=terms(deposit="2000")) as home:
        client = home.client
        await client.load_markets()
        await client.set_leverage(10, BTC)
        await client.set_margin_mode("isolated", ETH)
        placed = await home.buy("amended", "0.01", "49000")
        await client.edit_order(placed["id"], BTC, "limit", "buy", "0.02", "48000")
        await home.buy("again", "0.01")
        await home.client.create_order(BTC, "market", "sell", "0.01", None, {"clientOrderId": "x"})
        await home.buy("again", "0.01")
        home.set_faults(
            {"fault": "deleverage", "on": ["positions"], "count": 1},
            {"fault": "change_rules", "on": ["account"], "count": 1},
        )
        await client.fapiPrivateV3GetPositionRisk()
        before = await answers(home)
        facts = home.truth
    venue, unwritten = restored(facts)
    async with house(tmp_path, venue=terms(deposit="1")) as home:
        await home.client.load_markets()
        after = await answers(home)

    assert [] == unwritten
    assert ("0.02", "48000.0") == (before[0][0]["origQty"], before[0][0]["price"] + ".0")
    assert before == after
    assert 10 == venue.leverage[BTC]


async def answers(home: House) -> list[object]:
    """Return everything that can be asked of the account, but what changes with the hour."""
    client = home.client
    asked = {"symbol": "BTCUSDT"}
    account = await client.fapiPrivateV3GetAccount()
    return [
        await client.fapiPrivateGetAllOrders(asked),
        await client.fapiPrivateGetUserTrades(asked),
        await client.fapiPrivateGetIncome(),
        await client.fapiPrivateGetSymbolConfig(),
        account["totalWalletBalance"],
    ]


async def test_money_that_is_not_conserved_stops_the_venue(tmp_path: Path) -> None:
    """The ablation: cash that comes from nowhere is found at the next event that moves money."""
    async with house(tmp_path) as home:
        await home.client.load_markets()
        home.exchange.server.venue.engine.account.cash += Decimal("0.01")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await home.buy("o", "0.01")
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await home.client.fetch_balance()

        assert home.exchange.server.failed.is_set()
        assert "money is conserved" in str(home.exchange.server.trouble)
        assert [] == home.kinds(FactKind.FILLED)


async def test_a_log_of_another_dialect_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its ids are no numbers: the exchange refuses to start, and leaves the log to its own."""
    path = tmp_path / "truth.ndjson"
    other = plain_exchange.Exchange(msgspec.structs.replace(terms(), tag="x"), path, "a key")
    await other.log.synced()
    other.log.close()
    with pytest.raises(TruthContradicted, match="another dialect"):
        Binanceusdm(terms(), path, KEYS)
    plain_exchange.Exchange(terms(), path, "a key").log.close()
