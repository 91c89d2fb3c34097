"""``tidegate venue --dialect binanceusdm``: a process that prints what a client needs."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import ccxt.pro
import pytest
from binance_house import BTC, KEYS, START, ToLoopback, bar, house, terms

from brokers.virtual.wire import KEY_HEADER, MARKET, FundingAtMark
from feeds.memory import MemoryFeed
from messages import Bar
from scenarios.exchange.binanceusdm import open_binanceusdm
from scenarios.exchange.facts import FactKind
from scenarios.exchange.log import read_truth
from scenarios.exchange.market import FundingUnreadable, play, read_funding
from state.money import apart

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """Return this process's environment, with the repository's packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def content(path: str) -> str:
    """Return the one line of a file."""
    return Path(path).read_text().strip()


def mode(path: str) -> int:
    """Return who may read and write a file."""
    return Path(path).stat().st_mode & 0o777


def bars(path: Path) -> Path:
    """Write five minutes of a market."""
    lines = [f"{START + n * 60_000},50000,50010,49990,{50_000 + n},10" for n in range(5)]
    path.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return path


def serving(folder: Path, data: str) -> tuple[subprocess.Popen[str], str]:
    """Start an exchange that plays ``data``; return it, and what it said."""
    command = [sys.executable, "-m", "tidegate", "venue", "--dialect", "binanceusdm"]
    started = subprocess.Popen(
        [*command, "--data", data, "--speed", "0", "--cash", "5000", "--json"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        line = started.stdout.readline()
        assert line, started.communicate()
        said += line
    return started, said


async def test_a_process_with_a_market_of_its_own_is_traded_on(tmp_path: Path) -> None:
    """Port, authority and keys are printed; bars are played, an order fills, SIGTERM ends it."""
    data = f"{bars(tmp_path / 'bars.csv')}@{BTC}"
    started, said = serving(tmp_path, data)
    told = json.loads(said)
    context = ssl.create_default_context(cafile=told["ca_file"])
    connector = aiohttp.TCPConnector(ssl=context, resolver=ToLoopback(told["port"]))
    async with aiohttp.ClientSession(connector=connector) as session:
        client = ccxt.pro.binanceusdm(
            {
                "apiKey": content(told["key_file"]),
                "secret": content(told["secret_file"]),
                "session": session,
                "options": {"fetchCurrencies": False},
            }
        )
        client.number = str
        client.decimal_to_precision = apart(client.decimal_to_precision)
        try:
            await client.load_markets()
            placed = await client.create_order(BTC, "market", "buy", "0.01")
            candles = await client.fetch_ohlcv(BTC, "1m")
        finally:
            await client.close()
    started.send_signal(signal.SIGTERM)
    _, errors = started.communicate(timeout=30)

    assert (0, "") == (started.returncode, errors)
    assert "closed" == placed["status"]
    assert START == candles[0][0]
    facts = read_truth(Path(told["truth"]))
    assert 1 == len([fact for fact in facts if fact.fact is FactKind.FILLED])
    assert 0o600 == mode(told["secret_file"])


def test_a_second_exchange_that_is_refused_leaves_the_first_ones_certificate(
    tmp_path: Path,
) -> None:
    """It would be trusted by nobody any more, and go on serving."""
    data = f"{bars(tmp_path / 'bars.csv')}@{BTC}"
    started, said = serving(tmp_path, data)
    told = json.loads(said)
    before = Path(told["ca_file"]).read_bytes()
    second = subprocess.run(
        [sys.executable, "-m", "tidegate", "venue", "--dialect", "binanceusdm", "--data", data],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    after = Path(told["ca_file"]).read_bytes()
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=30)

    assert 5 == second.returncode
    assert "another exchange writes this truth log" in second.stderr
    assert before == after


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("time,rate\n", "found header time,rate, expected timestamp,funding_rate"),
        ("timestamp,funding_rate\n1,x\n", "line 2: found '1,x'"),
        ("timestamp,funding_rate\n2,0.1\n1,0.1\n", "line 3: no rate, or not after"),
    ],
)
def test_funding_that_is_none_is_refused(tmp_path: Path, content: str, wrong: str) -> None:
    """Each fault of the file has its line."""
    path = tmp_path / "funding.csv"
    path.write_text(content)

    with pytest.raises(FundingUnreadable, match=re.escape(wrong)):
        read_funding(path, BTC)


async def test_an_exchanges_own_market_settles_its_funding_once(tmp_path: Path) -> None:
    """After the bar that closes with it, at its close; a restart does not settle it again."""
    (tmp_path / "funding.csv").write_text(
        f"timestamp,funding_rate\n{START - 5},0.1\n{START + 120_000},0.0001\n"
    )
    rates = tuple(read_funding(tmp_path / "funding.csv", BTC))
    feed = MemoryFeed({BTC: [bar(number) for number in range(4)]})
    for _ in range(2):
        exchange = await open_binanceusdm(terms(), tmp_path / "venue", credentials=KEYS)
        await play(exchange.server, feed, 0, rates)
        await exchange.stop()
    shown = [
        fact.shown
        for fact in read_truth(tmp_path / "venue" / "truth.ndjson")
        if fact.fact is FactKind.SHOWN
    ]

    assert [Bar, Bar, FundingAtMark, Bar, Bar] == [type(piece) for piece in shown]


@pytest.mark.parametrize(
    ("missing", "code", "word"),
    [("cryptography", 2, "pip install 'tidegate[ccxt]'"), ("ccxt", 0, "virtual exchange at")],
)
def test_it_needs_cryptography_and_no_ccxt(
    tmp_path: Path, missing: str, code: int, word: str
) -> None:
    """Without the one, one clear error with its exit code; without the other it serves."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    data = f"{bars(tmp_path / 'bars.csv')}@{BTC}"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    started = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "venue", "--dialect", "binanceusdm", "--data", data],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    first = started.stdout.readline()
    started.send_signal(signal.SIGTERM)
    _, errors = started.communicate(timeout=30)

    assert code == started.returncode, errors
    assert word in first + errors
    assert "Traceback" not in errors


def test_what_is_no_perpetual_is_refused(tmp_path: Path) -> None:
    """A spot symbol has no place at an exchange of perpetuals: exit code 2, and what it lists."""
    data = f"{bars(tmp_path / 'bars.csv')}@BTC/USDT"
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "venue", "--dialect", "binanceusdm", "--data", data],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 2 == done.returncode
    assert "BTC/USDT is spot; binanceusdm lists perpetuals like BTC/USDT:USDT" in done.stderr


async def test_a_session_may_show_the_market_over_the_same_wire(tmp_path: Path) -> None:
    """What the plain dialect takes of a rehearsal is taken here too, with the key."""
    piece = {
        "type": "Bar",
        "symbol": BTC,
        "timestamp": START,
        "open": 50_000.0,
        "high": 50_000.0,
        "low": 50_000.0,
        "close": 50_000.0,
        "volume": 1.0,
        "timeframe_ms": 60_000,
    }
    shown = {"source": "s", "first": 1, "pieces": [piece]}
    async with house(tmp_path, first_price=None) as home:
        url = f"https://fapi.binance.com{MARKET}"
        async with home.session.post(url, json=shown) as refused:
            assert 401 == refused.status
        headers = {KEY_HEADER: home.client.apiKey}
        async with home.session.post(url, json=shown, headers=headers) as taken:
            assert (200, 1) == (taken.status, (await taken.json())["shown"])
        async with home.session.post(url, json={"source": 1}, headers=headers) as wrong:
            assert 400 == wrong.status
        ticker = await home.client.fetch_ticker(BTC)

        assert "50000.0" == ticker["last"]
