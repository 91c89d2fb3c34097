"""The fields of what is told, against recordings of the real exchange."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from binance_house import PATIENCE_S, house

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "venue"
EXCHANGE_INFO = RECORDED / "binance_usdm_exchangeInfo_20210722.json"
SOCKET = RECORDED / "binance_usdm_ws_20210722.txt.gz"


def shape(value: Any) -> Any:
    """Return a document with its values' types in their place; whole numbers are numbers."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and not isinstance(value[0], str) else "list"
    return type(value).__name__


@pytest.mark.skipif(not EXCHANGE_INFO.exists(), reason="no recorded exchangeInfo beside the repo")
async def test_the_rules_have_the_fields_of_the_real_ones(tmp_path: Path) -> None:
    """Every field and filter that was recorded is published, with the same type."""
    real = json.loads(EXCHANGE_INFO.read_text())
    async with house(tmp_path) as home:
        ours = json.loads(json.dumps(await home.client.fapiPublicGetExchangeInfo()))
    mine, theirs = ours["symbols"][0], real["symbols"][0]

    assert real["rateLimits"] == [
        {**limit, "limit": int(limit["limit"]), "intervalNum": int(limit["intervalNum"])}
        for limit in ours["rateLimits"]
    ]
    assert set(real) <= set(ours)
    assert set(theirs) == set(mine)
    assert {each["filterType"]: set(each) for each in theirs["filters"]} == {
        each["filterType"]: set(each) for each in mine["filters"]
    }
    assert theirs["orderTypes"] == mine["orderTypes"]


@pytest.mark.skipif(not SOCKET.exists(), reason="no recorded websocket beside the repo")
async def test_streams_have_the_fields_of_the_real_ones(tmp_path: Path) -> None:
    """What is told of candles, trades and the best prices has every recorded field and its type."""
    real: dict[str, Any] = {}
    with gzip.open(SOCKET, "rt") as lines:
        for line in lines:
            _, _, text = line.partition(": ")
            if text.startswith('{"stream"'):
                data = json.loads(text)["data"]
                real.setdefault(data["e"], data)
    names = "btcusdt@kline_1m/btcusdt@aggTrade/btcusdt@bookTicker"
    async with house(tmp_path) as home:
        url = f"wss://fstream.binance.com/stream?streams={names}"
        socket = await home.listen(url)
        await home.bar(50_010.0)
        ours = {}
        for _ in range(4):
            wrapped = await socket.receive_json(timeout=PATIENCE_S)
            assert wrapped["stream"] in names.split("/")
            ours[wrapped["data"]["e"]] = wrapped["data"]

    assert {"kline", "aggTrade", "bookTicker"} == set(ours)
    assert {kind: shape(real[kind]) for kind in ours} == {
        kind: shape(told) for kind, told in ours.items()
    }
