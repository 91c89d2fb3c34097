"""What a session sets and nobody can read back is said by name; what it relies on is there."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

sys.path.append(str(Path(__file__).parents[1] / "ccxt_broker"))

from capture_venue import SECRETS, WALLET, Answer, Capture, Reply, Sent, serving, trading
from ccxt_house import BTC
from stranger import Books
from strangers_house import KINDS

from actors.opening import set_up
from actors.runtime.clock import monotonic_s, sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.inspecting import Asked, inspected
from brokers.contract import VenueUnreachable
from brokers.findings import Accepts
from messages import PositionMode
from state.instruments import Instrument

CLOCK = VenueClock(wall_ms, monotonic_s, sleep_s)
HEDGE = PositionMode.HEDGE
MODE = "venue.position_mode"
BOTH = {"leverage": 5, "margin_mode": "isolated"}


def stranger(venue: str) -> tuple[Answer, str]:
    """Return who answers as a venue, and the symbol that it has."""
    dialect, market = KINDS[venue]
    return dialect(Books(market)).answer, market.symbol


def lever(long: str, short: str) -> Answer:
    """Answer what OKX is asked of its leverage, by the side of an isolated book."""

    def answer(sent: Sent) -> dict[str, Any] | None:
        if not sent.path.endswith("/leverage-info"):
            return None
        found = [
            {"instId": "BTC-USDT-SWAP", "mgnMode": sent.fields["mgnMode"], "posSide": side,
             "lever": told}
            for side, told in (("long", long), ("short", short))
        ]  # fmt: skip
        return {"code": "0", "data": found, "msg": ""}

    return answer


UNREAD = [
    ("bybit", {}, [(MODE, "one_way")]),
    ("bybit", {"position_mode": HEDGE}, [(MODE, "hedge")]),
    ("okx", {}, []),
    ("okx", BOTH, [("margin_mode", "isolated")]),
    ("hyperliquid", {}, []),
    ("hyperliquid", BOTH, [("leverage", "5"), ("margin_mode", "isolated")]),
    ("kraken", {}, []),
    ("gate", {}, [(MODE, "one_way")]),
]


@pytest.mark.parametrize(("venue", "given", "unread"), UNREAD)
async def test_a_setting_that_nobody_can_read_back_is_named_before_a_session_and_in_it(
    venue: str, given: dict[str, Any], unread: list[tuple[str, str]], tmp_path: Path
) -> None:
    """`check` warns of it by its name and value, and the log of the session does; of no other."""
    answer, symbol = stranger(venue)
    address: dict[str, Any] = {"secrets": WALLET if venue == "hyperliquid" else SECRETS, **given}
    asked = Asked({symbol: Instrument.permissive(symbol)}, frozenset(), Accepts())
    async with serving(Capture(answer), tmp_path) as (port, ca):
        at = CcxtAddress(venue, loopback_port=port, loopback_ca=ca, **address)
        before = [each for each in await inspected(at, CLOCK, asked) if each.status == "warn"]
        broker = CcxtBroker(at, CLOCK, (symbol,))
        broker.bind(lambda _news: None)
        with capture_logs() as logs:
            await set_up(broker)
        await broker.close()
    warned = {each.subject: each.detail for each in before}
    said = {each["setting"]: each["detail"] for each in logs}
    names = {name if name == MODE else f"{name} {symbol}": value for name, value in unread}

    assert names.keys() == said.keys()
    assert {"venue_setting_unverified"} >= {each["event"] for each in logs}
    for name, value in names.items():
        assert warned[name] == said[name]
        assert value in said[name]
        assert "see to it at the venue" in said[name]


async def test_a_setting_that_the_venue_does_not_tell_is_named_too(tmp_path: Path) -> None:
    """It can be asked there, and the answer has no figure: that is no agreement."""
    answer, symbol = stranger("bybit")
    async with trading("bybit", tmp_path, answer, symbols=(symbol,), leverage=5) as desk:
        assert "the venue does not say it" in desk.unverified[f"leverage {symbol}"]


@pytest.mark.parametrize(("long", "short"), [("5", "10"), ("10", "5")])
async def test_the_leverage_of_either_side_is_read_back(
    long: str, short: str, tmp_path: Path
) -> None:
    """One side that has another one: its positions would be margined by that."""
    answer, _ = stranger("okx")
    given = {**BOTH, "position_mode": HEDGE}
    opened = trading("okx", tmp_path, lever(long, short), answer, symbols=(BTC,), **given)
    with pytest.raises(VenueUnreachable, match=r"set the leverage of .* to 5: found 10"):
        await opened.__aenter__()
    opened = trading("okx", tmp_path, lever("5", "5"), answer, symbols=(BTC,), **given)
    async with opened as desk:
        assert {f"margin_mode {BTC}"} == desk.unverified.keys()


async def test_the_check_looks_at_both_sides_of_the_margin_mode_that_is_wanted(
    tmp_path: Path,
) -> None:
    """Asked without the mode, OKX tells of the other one."""
    capture = Capture(lever("5", "10"), stranger("okx")[0])
    async with serving(capture, tmp_path) as (port, ca):
        given = {"secrets": SECRETS, **BOTH, "position_mode": HEDGE}
        at = CcxtAddress("okx", loopback_port=port, loopback_ca=ca, **given)
        asked = Asked({BTC: Instrument.permissive(BTC)}, frozenset(), Accepts())
        found = {each.subject: each for each in await inspected(at, CLOCK, asked)}

    assert "found 5 and 10: a session sets it to 5" == found[f"leverage {BTC}"].detail
    assert {"isolated"} == {
        each.fields["mgnMode"] for each in capture.of("GET", "/account/leverage-info")
    }


@pytest.mark.parametrize(
    ("venue", "given", "subject", "why"),
    [
        ("gate", {"leverage": 5}, "venue.leverage", "cannot be set at gate"),
        ("gate", {"margin_mode": "cross"}, "venue.margin_mode", "cannot be set at gate"),
        ("okx", {"margin_mode": "cross"}, f"margin_mode {BTC}", "leverage is not given"),
    ],
)
async def test_what_cannot_be_set_at_a_venue_fails_the_check(
    venue: str, given: dict[str, Any], subject: str, why: str, tmp_path: Path
) -> None:
    """A session would be refused for it."""
    answer, symbol = stranger(venue)
    async with serving(Capture(answer), tmp_path) as (port, ca):
        at = CcxtAddress(venue, loopback_port=port, loopback_ca=ca, secrets=SECRETS, **given)
        asked = Asked({symbol: Instrument.permissive(symbol)}, frozenset(), Accepts())
        found = {each.subject: each for each in await inspected(at, CLOCK, asked)}

    assert "fail" == found[subject].status
    assert why in found[subject].detail


@pytest.mark.parametrize("where", ["start", "check"])
async def test_an_account_in_hedge_mode_is_refused_where_the_mode_is_not_set(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders without a side of their own would open books that nobody has asked for."""
    row = replace(TABLE["okx"], position_mode_settable=False)
    monkeypatch.setitem(TABLE, "okx", row)  # type: ignore[arg-type]
    dialect, market = KINDS["okx"]
    answer = dialect(Books(market, hedge=True)).answer
    if where == "start":
        with pytest.raises(VenueUnreachable, match="found hedge at okx, expected one_way"):
            await trading("okx", tmp_path, answer, symbols=(BTC,)).__aenter__()
        return
    async with serving(Capture(answer), tmp_path) as (port, ca):
        at = CcxtAddress("okx", loopback_port=port, loopback_ca=ca, secrets=SECRETS)
        asked = Asked({BTC: Instrument.permissive(BTC)}, frozenset(), Accepts())
        (found,) = [each for each in await inspected(at, CLOCK, asked) if each.subject == MODE]

    assert "fail" == found.status
    assert "found hedge, expected one_way" in found.detail


# -- the venue's timer


@asynccontextmanager
async def timed(folder: Path, *answers: Answer) -> AsyncIterator[tuple[CcxtBroker, Capture]]:
    """Have a broker at OKX that wants the venue's timer, not connected yet."""
    capture = Capture(*answers, stranger("okx")[0])
    async with serving(capture, folder) as (port, ca):
        at = CcxtAddress("okx", secrets=SECRETS, loopback_port=port, loopback_ca=ca, dead_man_s=60)
        broker = CcxtBroker(at, CLOCK, (BTC,))
        broker.bind(lambda _news: None)
        yield broker, capture


def spans(capture: Capture) -> list[str]:
    """Return what the timer was set to, in order."""
    return [str(each.fields["timeOut"]) for each in capture.of("POST", "/cancel-all-after")]


def of_the_timer(reply: Reply | dict[str, Any], times: int = 99) -> Answer:
    """Answer so many settings of the timer so."""
    left = [times]

    def answer(sent: Sent) -> Reply | dict[str, Any] | None:
        if not sent.path.endswith("/cancel-all-after") or sent.fields["timeOut"] == 0:
            return None
        left[0] -= 1
        return reply if left[0] >= 0 else None

    return answer


@pytest.mark.parametrize(
    ("reply", "times", "why"),
    [
        ({"code": "51000", "data": [], "msg": "Parameter timeOut error"}, 1, "51000"),
        (Reply(drop=True), 3, "ExchangeNotAvailable"),
        (Reply("[]"), 3, "ExchangeError"),
    ],
)
async def test_a_timer_that_the_venue_does_not_take_refuses_the_start(
    reply: Reply | dict[str, Any], times: int, why: str, tmp_path: Path
) -> None:
    """Refused it is asked once, unanswered so often; and stopped, for it may be set."""
    async with timed(tmp_path, of_the_timer(reply)) as (broker, capture):
        with pytest.raises(VenueUnreachable, match=rf"\[venue\] dead_man_s: .* not set: .*{why}"):
            await broker.connect()

    assert [*(["60"] * times), "0"] == spans(capture)


async def test_a_page_is_no_answer_of_a_timer(tmp_path: Path) -> None:
    """Nothing in it says that anything was set."""
    answer, symbol = stranger("kraken")
    path = "/CancelAllOrdersAfter"

    def blank(sent: Sent) -> dict[str, Any] | None:
        return {} if sent.path.endswith(path) else None

    async with serving(Capture(blank, answer), tmp_path) as (port, ca):
        given = {"secrets": SECRETS, "dead_man_s": 60}
        broker = CcxtBroker(
            CcxtAddress("kraken", loopback_port=port, loopback_ca=ca, **given), CLOCK, (symbol,)
        )
        broker.bind(lambda _news: None)
        with pytest.raises(VenueUnreachable, match="not set: the reply is no answer"):
            await broker.connect()


async def test_a_timer_is_set_before_a_session_begins(tmp_path: Path) -> None:
    """One answer that was lost is nothing; it is set once the broker is connected."""
    async with timed(tmp_path, of_the_timer(Reply(drop=True), 1)) as (broker, capture):
        await broker.connect()
        assert ["60", "60"] == spans(capture)
        await broker.close()

    assert "0" == spans(capture)[-1]
