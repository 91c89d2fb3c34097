"""What goes wrong on the way to a server of one's own: one clear error, its code, and no hang."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import Reply, Sent
from strangers_house import visiting

from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import open_venue
from feeds.history import VenueTrouble

Hook = Callable[[Sent], Any]

PAGE = Reply("<html>a page</html>")
REAL_STREAM = '[venue.ccxt.urls.api]\nrest = "http://127.0.0.1:{port}"'


def page(_sent: Sent) -> Any:
    """Answer everything with a page."""
    return PAGE


def no_markets(sent: Sent) -> Any:
    """List nothing."""
    empty = {"code": "0", "data": [], "msg": ""}
    return empty if sent.path.endswith("/instruments") else None


def other_market(sent: Sent) -> Any:
    """Refuse whatever is private."""
    refused = {"code": "50111", "data": [], "msg": "Invalid OK-ACCESS-KEY"}
    return refused if "/account/" in sent.path else None


@pytest.mark.parametrize(
    ("way", "tls", "hook", "words"),
    [
        ("loopback_port = 9\nloopback_ca = 'tls/ca.pem'", True, None,
         "Cannot connect to host www.okx.com:443"),
        ("loopback_port = {port}", False, None, "WRONG_VERSION_NUMBER"),
        ("[venue.ccxt]\nurls = 'http://127.0.0.1:{port}'", True, None, "okx: load the markets:"),
        ("loopback_port = {port}", True, None, "CERTIFICATE_VERIFY_FAILED"),
        ("loopback_port = {port}\nloopback_ca = 'nope.pem'", True, None,
         "[venue] loopback_ca: nope.pem: [Errno 2] No such file"),
        ("", True, page, "okx: load the markets: http=200 GET /api/v5/public/instruments: a page"),
        ("", True, no_markets, "okx does not list BTC/USDT:USDT; it has 0 markets"),
        ("", True, other_market, "AuthenticationError http=200 code=50111 Invalid OK-ACCESS-KEY"),
        ("[venue.ccxt.urls.api]\nws = 'ws://127.0.0.1:{port}/ws/v5'", False, None,
         "[venue.ccxt] urls.api.rest: www.okx.com is not this machine and is not dialled"),
        ("[venue.ccxt.urls.api]\nrset = 'http://127.0.0.1:{port}'", False, None,
         "[venue.ccxt] urls.api.rset: found one, expected some of rest, ws"),
    ],
    ids=["nobody-there", "http-for-https", "https-for-http", "no-ca", "no-such-ca", "a-page",
         "no-markets", "no-key", "left-elsewhere", "misspelt"],
)  # fmt: skip
def test_a_session_that_cannot_be_is_refused_in_one_line(
    way: str, tls: bool, hook: Hook | None, words: str, tmp_path: Path
) -> None:
    """Exit code 5, and what, where and why; no secret, no traceback, and no order."""
    with visiting(tmp_path, "okx", tls=tls) as visit:
        if way:
            visit.configure(way.format(port=visit.running.port))
        if hook is not None:
            visit.running.house.answers.insert(0, hook)
        result = visit.invoke("trade")

    (line,) = [each for each in result.output.splitlines() if each.startswith("tidegate:")]
    assert 5 == result.exit_code
    assert words in line
    assert "start-up refused" in line
    assert "stranger-" not in result.output
    assert {} == visit.books.orders


def test_a_stream_that_is_left_elsewhere_is_named_and_not_dialled(tmp_path: Path) -> None:
    """The check warns of it; the session trades, and asks for its fills."""
    with visiting(tmp_path, "okx", tls=False) as visit:
        visit.configure(REAL_STREAM.format(port=visit.running.port), bars=8)
        check = visit.invoke("check", "--venue")
        result = visit.invoke("trade")

    assert "api.ws (ws.okx.com)" in check.output
    assert "by venue.ccxt.urls: 127.0.0.1, and nothing beyond" in check.output
    assert 0 == result.exit_code, result.output
    assert [] == visit.dialect.said
    assert ["filled"] == [row["status"] for row in visit.rows("orders")][:1]


async def test_market_data_that_nobody_gives_names_why_and_where() -> None:
    """The venue's own address alone would have a rehearsal look as if it went there."""
    async with open_venue(Reach("binanceusdm", loopback_port=9)) as venue:
        with pytest.raises(VenueTrouble) as trouble:
            await venue.load(["BTC/USDT:USDT"], "1m")

    assert "ClientConnectorError: Cannot connect to host" in str(trouble.value)
    assert "('127.0.0.1', 9)" in str(trouble.value)
