"""What cannot be taken back is not placed: exchanges whose cancels want more than id and market."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ccxt
import pytest
from test_any_other_id import market
from typer.testing import CliRunner

from brokers.ccxt.capabilities import TABLE, capabilities_of
from brokers.ccxt.columns import CREDENTIALS
from brokers.ccxt.taking_back import unfit_cancels
from tidegate.cli import app

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"

CONFIGURATION = """\
[universe]
symbols = ["{symbol}"]
[feed]
source = "synthetic"
[[strategies]]
name = "sma"
use = "sma_cross"
[venue]
adapter = "ccxt"
exchange = "{exchange}"
loopback_port = 8443
[venue.ccxt.options]
{options}
"""


@pytest.mark.parametrize("exchange", sorted(set(ccxt.exchanges) - set(TABLE)))
@pytest.mark.parametrize("symbol", [SPOT, SWAP])
def test_whatever_ccxt_cannot_cancel_by_id_and_market_is_refused(
    exchange: str, symbol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every id, by ccxt's own word, and no other is; with its option set the same."""
    row = capabilities_of(exchange)
    for options in ({}, {row.cancel_option: 7}) if row.cancel_option else ({},):
        secrets = dict.fromkeys(CREDENTIALS.values(), "0x" + "1" * 40)
        made: Any = getattr(ccxt, exchange)({**secrets, "options": {"builderFee": False} | options})
        made.set_markets([market(SPOT), market(SWAP)])
        monkeypatch.setattr(made, "fetch", lambda *_args, **_named: {})
        refused = ""
        try:
            made.cancel_order("1-2-3", symbol)
        except (ccxt.ArgumentsRequired, ccxt.NotSupported) as error:
            refused = str(error)
        except Exception:  # noqa: BLE001 - it went on to sign, or to read no answer
            pass
        assert bool(refused) is bool(unfit_cancels(row, options, [symbol])), refused


@pytest.mark.parametrize(
    ("exchange", "symbol", "options", "words"),
    [
        ("coinone", SPOT, "", "found coinone, expected an exchange where an order is cancelled"),
        ("zebpay", SWAP, "", "found zebpay with BTC/USDT:USDT"),
        ("zebpay", SPOT, "", ""),
        ("bitvavo", SPOT, "", "[venue.ccxt.options] operatorId: found none"),
        ("bitvavo", SPOT, "operatorId = 7", ""),
    ],
)
def test_the_check_and_the_session_refuse_where_nothing_can_be_taken_back(
    exchange: str,
    symbol: str,
    options: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By exit code and a line that says what to do; what can be taken back is fine."""
    monkeypatch.chdir(tmp_path)
    text = CONFIGURATION.format(exchange=exchange, symbol=symbol, options=options)
    (tmp_path / "tidegate.toml").write_text(text)
    environ = {
        f"TIDEGATE_VENUE__CREDENTIALS__{name}": "given-to-nobody" for name in ("API_KEY", "SECRET")
    }
    for command, code in (("check", 1), ("trade", 2)) if words else (("check", 0),):
        result = CliRunner().invoke(app, [command], env={**environ, "COLUMNS": "400"})
        assert code == result.exit_code, result.output
        assert words in " ".join(result.output.split())
