"""The real ccxt client trades on the virtual exchange, its URLs unmodified."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from binance_house import BTC, house

from scenarios.exchange.facts import FactKind
from scenarios.exchange.truth import fold_truth


async def test_an_order_is_placed_filled_and_told_the_same_way_everywhere(tmp_path: Path) -> None:
    """The reply, the question, the trades, the position and the truth agree to the last digit."""
    async with house(tmp_path) as home:
        client = home.client
        await client.load_markets()
        placed = await home.buy("first", "0.02")
        asked = await client.fetch_order(None, BTC, {"clientOrderId": "first"})
        trades = await client.fetch_my_trades(BTC)
        positions = await client.fetch_positions([BTC])
        balance = await client.fetch_balance()

        assert "closed" == placed["status"] == asked["status"]
        assert placed["id"] == asked["id"] == trades[0]["order"]
        assert "0.02" == asked["filled"] == trades[0]["amount"]
        assert Decimal(50_000) == Decimal(asked["average"])
        assert Decimal("0.5") == Decimal(trades[0]["fee"]["cost"])
        assert ("long", "0.02", False) == (
            positions[0]["side"],
            str(positions[0]["contracts"]),
            positions[0]["hedged"],
        )
        truth = fold_truth(home.truth)
        fill = next(iter(truth.fills.values()))
        assert (trades[0]["id"], Decimal("0.5")) == (fill.trade_id, fill.fee)
        assert Decimal("99999.5") == Decimal(balance["USDT"]["total"])
        assert "first" == home.kinds(FactKind.RECEIVED)[0].client_order_id
