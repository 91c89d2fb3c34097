"""Each safeguard of live and shadow, with it and without it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from binance_house import KEYS
from going_live_house import clear, configure, configured, go, run
from preflight_house import gate
from risk_bench import PERP, Bench, codes, limit

from actors.risk import RiskLimits
from brokers.ccxt import rights
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import ShadowBroker
from brokers.settings import VenueSettings
from messages import OrderEvent, OrderStatus, ReasonCode, Side
from state.instruments import Instrument
from tidegate import compose, config, going_live, preflight, trading
from tidegate.clearance import Clearance, Cleared
from tidegate.exits import StartRefused
from tidegate.layers import Layer

WHOLE = Clearance(
    "s", Cleared(kind="rehearsal", subject="s", at=0), Cleared(kind="approval", subject="s", at=0)
)


class Reached(Exception):
    """The start has come as far as this gate."""


def nothing(*_args: Any, **_kwargs: Any) -> None:
    """Let everybody through."""


def reached(name: str) -> Callable[..., Any]:
    """Return a gate that says that it was come to."""

    def gate_of_that_name(*_args: Any, **_kwargs: Any) -> Any:
        raise Reached(name)

    return gate_of_that_name


@pytest.mark.parametrize("guarded", [True, False])
def test_the_acknowledgement(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its gate a live session that nobody has acknowledged comes to the next one."""
    configure()
    monkeypatch.setattr(trading, "cleared", reached("cleared"))
    if not guarded:
        monkeypatch.setattr(trading, "refuse_unfit", nothing)

    ended = run("trade", "-c", "live.toml")

    assert (2 if guarded else 6) == ended.exit_code  # a fault inside: the gate that is no gate
    assert guarded is ("Reached: cleared" not in ended.stderr)


@pytest.mark.parametrize("guarded", [True, False])
def test_the_clearance(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it what nobody has rehearsed and approved comes as far as the look at the venue."""
    configure()
    monkeypatch.setattr(trading, "refuse_unwell", reached("unwell"))
    if not guarded:
        monkeypatch.setattr(going_live, "require_clearance", lambda _configuration: WHOLE)

    ended = go()

    assert (5 if guarded else 6) == ended.exit_code
    assert guarded is ("Reached: unwell" not in ended.stderr)


@pytest.mark.parametrize("guarded", [True, False])
def test_the_look_at_the_venue(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a session whose venue takes no key of it would be run."""
    configure()
    Path("ca.pem").write_text("none")
    clear()
    monkeypatch.setattr(trading, "run", reached("running"))
    if not guarded:
        monkeypatch.setattr(trading, "refuse_unwell", nothing)

    ended = go()

    assert (5 if guarded else 6) == ended.exit_code
    assert guarded is ("Reached: running" not in ended.stderr)


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_key_that_may_withdraw(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the venue's word about it not looked at, the session would start with it."""
    if not guarded:
        told = rights.binance_rights

        def harmless(*args: Any, **kwargs: Any) -> rights.Rights:
            return replace(told(*args, **kwargs), may_withdraw=False)

        monkeypatch.setattr(rights, "binance_rights", harmless)
    async with gate(keys=replace(KEYS, may_withdraw=True)) as at:
        configure(f'loopback_port = {at.exchange.port}\nloopback_ca = "{at.exchange.ca_path}"')
        await anyio.to_thread.run_sync(clear)
        given = configured(
            TIDEGATE_VENUE__CREDENTIALS__API_KEY=at.keys.api_key,
            TIDEGATE_VENUE__CREDENTIALS__SECRET=at.keys.secret,
        )

        def look() -> bool:
            try:
                going_live.refuse_unwell(given, goes_on=False)
            except StartRefused as refused:
                return "venue.rights.withdraw" in str(refused)
            return False

        assert guarded is await anyio.to_thread.run_sync(look)


def capped(mode: str) -> RiskLimits:
    """Return the limits of the configured session in a mode."""
    configure()
    settings = configured(TIDEGATE_SESSION__MODE=mode).settings
    return compose.limits_of(settings)


@pytest.mark.parametrize("mode", ["live", "shadow", "paper"])
def test_the_cap_counts_what_is_held_in_flight_and_in_doubt(mode: str) -> None:
    """
    Three openings of 100: held, at rest, in doubt; the next would be beyond 350, and closes pass.

    On paper there is no such limit, and the same order goes out.
    """
    given = capped(mode).live_notional_cap
    assert (Decimal(250) if mode != "paper" else None) == given
    cap = None if given is None else Decimal(350)
    bench = Bench(100_000, limits=RiskLimits(live_notional_cap=cap))
    bench.fill(bench.open(Side.BUY, 1, symbol=PERP))
    bench.open(Side.BUY, 1, symbol=PERP, policy=limit(100))
    doubtful = bench.open(Side.BUY, 1, symbol=PERP, policy=limit(100))
    request = bench.request(doubtful.intent_id)
    bench.report(request, OrderEvent.SILENCE, OrderStatus.IN_DOUBT)

    refused = bench.open(Side.BUY, 1, symbol=PERP, policy=limit(100))
    closing = bench.reduce(Side.SELL, 1, symbol=PERP)

    assert ([] if cap is None else [ReasonCode.LIVE_NOTIONAL_CAP]) == codes(refused)
    assert [] == codes(closing)


@pytest.mark.parametrize("guarded", [True, False])
def test_the_cap_is_not_raised_from_a_shell(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at where it comes from a variable would be enough."""
    configure()
    if not guarded:
        monkeypatch.setattr(config, "BY_HAND", frozenset())
    key = ("risk", "live_notional_cap")
    layers = [Layer("environment", {"risk": {"live_notional_cap": "9999"}}, {key: "environment X"})]

    with pytest.raises(config.ConfigError) if guarded else nullcontext():
        config.refuse_by_hand_elsewhere(layers)


def venue_of(*_args: Any) -> Any:
    """Say that the way to the venue was looked for."""
    raise Reached("the venue")


@pytest.mark.parametrize("guarded", [True, False])
def test_a_shadow_has_no_way_to_the_venue(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its broker is the twin before any address, credential or client is; else it would be ccxt."""
    configure()
    monkeypatch.setattr(VenueSettings, "ccxt_address", venue_of)
    if not guarded:
        monkeypatch.setattr(compose, "SHADOW", "no mode")
    settings = configured(TIDEGATE_SESSION__MODE="shadow").settings

    if not guarded:
        with pytest.raises(Reached):
            compose.broker_of(settings)
        return
    make = compose.broker_of(settings)
    rules = {"BTC/USDT": Instrument.permissive("BTC/USDT", Decimal(0))}
    engine = MatchingEngine(
        rules, EngineConfig("t"), currency="USDT", deposit=Decimal(1), mark_of=lambda _symbol: None
    )

    assert ShadowBroker is type(make(engine))


@pytest.mark.parametrize("guarded", [True, False])
def test_paper_does_not_reach_a_real_venue(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue behind ccxt that nothing pins to this machine is for live sessions only."""
    configure(venue="")
    if not guarded:
        monkeypatch.setattr(compose, "is_pinned", lambda _venue: True)
    ended = run("check", "-c", "live.toml", "--mode", "paper", "--json")

    assert guarded is ("expected loopback_port, to rehearse on this machine" in ended.stdout)


def test_the_check_shows_the_cap_and_where_it_comes_from() -> None:
    """Beside the other limits, so that whoever approves has read it."""
    configure(risk='live_notional_cap = "300"')
    checked = preflight.check(configured())
    found = {each.subject: each for each in checked}

    assert ["1000 is above risk.live_notional_cap, 300"] == [
        each.detail for each in checked if each.detail.endswith("cap, 300")
    ]
    assert "300 (live.toml)" == found["risk.live_notional_cap"].detail
    assert "live: orders are sent to binanceusdm@127.0.0.1:1" in found["mode"].detail
