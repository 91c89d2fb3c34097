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
from brokers.ccxt.opening import unfit_timer
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


class Hand:
    """A broker's time that goes on by what was slept and what questions took."""

    def __init__(self, rounds: int) -> None:
        """End a wait that is the one after so many rounds."""
        self.now_s = 0.0
        self.slept: list[float] = []
        self._rounds = rounds

    async def sleep_s(self, delay_s: float) -> None:
        """Pass so much time at once."""
        self.slept.append(delay_s)
        self.now_s += delay_s
        if len(self.slept) > self._rounds:
            raise Over
        await sleep_s(0)

    @property
    def clock(self) -> VenueClock:
        """Return it as the broker is handed one."""
        return VenueClock(wall_ms, lambda: self.now_s, self.sleep_s)


class Over(Exception):
    """It was put off often enough."""


async def fed(broker: CcxtBroker, hand: Hand) -> list[float]:
    """Put the timer off until the hand has had its rounds; return what was waited in between."""
    broker._at.timers._clock = hand.clock
    with pytest.raises(Over):
        await broker.keep_alive()
    broker._at.timers._clock = CLOCK
    return hand.slept[:-1]


async def test_a_timer_whose_putting_off_got_lost_is_put_off_at_once(tmp_path: Path) -> None:
    """Not a third of it later: one that waits for that has used up two thirds and a time-out."""
    async with timed(tmp_path) as (broker, capture):
        await broker.connect()
        capture.answers.insert(0, of_the_timer(Reply(drop=True), 2))
        slept = await fed(broker, Hand(4))
        await broker.close()

    assert [0.1, 0.2] == slept[:2]
    assert pytest.approx([19.7, 20.0]) == slept[2:]


async def test_a_timer_that_is_refused_is_not_put_off_in_haste(tmp_path: Path) -> None:
    """The venue has said no, and says it again; it is told of once in a third of the timer."""
    told: list[str] = []
    async with timed(tmp_path) as (broker, capture):
        broker.watch(lambda report: told.append(report.detail))
        await broker.connect()
        refusal = {"code": "51000", "data": [], "msg": "Parameter timeOut error"}
        capture.answers.insert(0, of_the_timer(refusal, 2))
        slept = await fed(broker, Hand(3))
        await broker.close()

    assert pytest.approx([20.0, 20.0, 20.0]) == slept
    assert 2 == len(told)
    assert all("51000" in each for each in told)


async def test_an_answer_that_is_long_in_coming_makes_the_next_question_no_later(
    tmp_path: Path,
) -> None:
    """Thirds are counted from question to question: the venue's timer runs while it answers."""
    hand = Hand(3)

    def slow(sent: Sent) -> None:
        hand.now_s += 4.0 if sent.path.endswith("/cancel-all-after") else 0.0

    async with timed(tmp_path, slow) as (broker, _capture):
        await broker.connect()
        slept = await fed(broker, hand)
        await broker.close()

    assert pytest.approx([16.0, 16.0, 16.0]) == slept


@pytest.mark.parametrize(
    ("venue", "span_s", "bounds"),
    [("okx", 9, "10 to 120"), ("okx", 121, "10 to 120"), ("hyperliquid", 4, "5 to 3600")],
)
async def test_a_span_that_the_venues_timer_does_not_take_is_refused_by_name(
    venue: str, span_s: int, bounds: str, tmp_path: Path
) -> None:
    """Before anything is asked, at a start; the check before it says so in the same words."""
    answer, symbol = stranger(venue)
    secrets = WALLET if venue == "hyperliquid" else SECRETS
    words = f"found {span_s}, expected {bounds} at {venue}"
    capture = Capture(answer)
    async with serving(capture, tmp_path) as (port, ca):
        at = CcxtAddress(
            venue, loopback_port=port, loopback_ca=ca, secrets=secrets, dead_man_s=span_s
        )
        with pytest.raises(VenueUnreachable, match=rf"\[venue\] dead_man_s: {words}"):
            await CcxtBroker(at, CLOCK, (symbol,)).connect()
        asked_before = list(capture.sent)
        asked = Asked({symbol: Instrument.permissive(symbol)}, frozenset(), Accepts())
        found = await inspected(at, CLOCK, asked)

    assert [] == asked_before
    assert [("fail", words)] == [
        (each.status, each.detail) for each in found if each.subject == "venue.dead_man_s"
    ]


@pytest.mark.parametrize(("venue", "span_s"), [("okx", 10), ("okx", 120), ("hyperliquid", 5)])
def test_a_span_at_the_venues_own_bounds_is_taken(venue: str, span_s: int) -> None:
    """They are part of it."""
    assert not unfit_timer(CcxtAddress(venue, dead_man_s=span_s), TABLE[venue])
