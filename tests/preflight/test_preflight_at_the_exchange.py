"""`tidegate check --venue`: the real ccxt client asks the virtual binanceusdm, no more."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from binance_house import BTC, KEYS, instrument
from preflight_house import CLOCK, Gate, asking, checked, configure, found_in, gate

from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.columns import RightsCall
from brokers.ccxt.inspecting import Asked, Inspector
from brokers.findings import Accepts
from scenarios.exchange.facts import FactKind

WITHDRAWS = replace(KEYS, may_withdraw=True)


async def order(at: Gate, name: str, price: str | None) -> None:
    """Buy on the account, at market or with a limit, as somebody who may do anything."""
    async with asking(at, only_asks=False) as calls:
        kind, params = "market" if price is None else "limit", {"clientOrderId": name}
        await calls.client.exchange.create_order(BTC, kind, "buy", "0.01", price, params)


async def test_all_is_well_and_the_exchange_was_only_asked() -> None:
    """Every question has its answer, the exit code is 0, and its log has no order and no change."""
    async with gate() as at:
        before = at.kinds
        result = await at.check()
        found = found_in(result)

        assert 0 == result.exit_code, result.output
        assert {"ok"} == {status for status, _ in found.values()}
        assert {
            "venue.address",
            "venue.clock",
            "venue.key",
            "venue.rights.trade",
            "venue.rights.withdraw",
            f"symbol {BTC}",
            f"filters {BTC}",
            "venue.orders",
            "venue.positions",
            "venue.position_mode",
            "venue.allowance",
        } <= found.keys()
        assert f"127.0.0.1:{at.exchange.port}" in found["venue.address"][1]
        assert before == at.kinds
        assert not {FactKind.RECEIVED, FactKind.CANCEL_ASKED, FactKind.SET} & at.kinds


async def test_no_credential_is_in_what_is_said() -> None:
    """Not when it is taken, and not when it is refused."""
    async with gate() as at:
        good = await at.check()
        bad = await at.check(TIDEGATE_VENUE__CREDENTIALS__API_KEY="another_key_for_tests")

    for secret in (KEYS.api_key, KEYS.secret, "another_key_for_tests"):
        assert secret not in good.output + bad.output


@pytest.mark.parametrize("name", ["API_KEY", "SECRET"])
async def test_a_wrong_credential_fails_and_nothing_more_is_asked(name: str) -> None:
    """One finding says that the venue does not take it; the markets were public and are there."""
    async with gate() as at:
        result = await at.check(**{f"TIDEGATE_VENUE__CREDENTIALS__{name}": "wrong_but_long_enough"})
    found = found_in(result)

    assert 1 == result.exit_code
    assert "fail" == found["venue.key"][0]
    assert "code=-" in found["venue.key"][1]
    assert "ok" == found[f"symbol {BTC}"][0]
    assert "venue.orders" not in found


@pytest.mark.parametrize(("skew_ms", "status"), [(2_500, "warn"), (-60_000, "fail")])
async def test_a_clock_that_is_off_is_told(skew_ms: int, status: str) -> None:
    """By how much and in which direction; beyond the window of an order it fails."""
    async with gate({"fault": "skew_clock", "skew_ms": skew_ms}) as at:
        found = await at.found()

    assert status == found["venue.clock"][0]
    assert ("ahead of" if skew_ms > 0 else "behind") in found["venue.clock"][1]


async def test_a_symbol_that_is_not_listed_fails() -> None:
    """It is named; the others are looked at all the same."""
    async with gate() as at:
        found = await at.found(TIDEGATE_UNIVERSE__SYMBOLS=f'["{BTC}", "ETH/USDT:USDT"]')

    assert ("fail", "binanceusdm does not list it") == found["symbol ETH/USDT:USDT"]
    assert "ok" == found[f"filters {BTC}"][0]


async def test_maintenance_is_one_failure() -> None:
    """HTTP 503: the venue is asked so often and no longer, and the check ends with 1."""
    async with gate({"fault": "maintenance"}) as at:
        result = await at.check()
    found = found_in(result)

    assert 1 == result.exit_code
    assert "http=503" in found["venue.clock"][1]
    assert "venue.key" not in found


@pytest.mark.parametrize(
    ("rules", "status", "word"),
    [
        ({"price_tick": "0.01"}, "fail", "price_tick 0.01, and 0.1 at the venue"),
        ({"min_notional": "5"}, "fail", "min_notional 5, and 100 at the venue"),
        ({"max_quantity": "2000"}, "fail", "max_quantity 2000, and 1000 at the venue"),
        ({"lot_step": "0.01", "min_quantity": "0.01"}, "warn", "stricter"),
    ],
)
async def test_our_filters_are_compared_with_the_venues(
    rules: dict[str, str], status: str, word: str
) -> None:
    """What it would refuse fails; what is only stricter than its rules is a warning."""
    async with gate() as at:
        configure(**rules)
        found = await at.found()

    assert status == found[f"filters {BTC}"][0]
    assert word in found[f"filters {BTC}"][1]


async def test_a_key_that_may_withdraw_is_a_warning_and_live_a_failure() -> None:
    """A session for money does not begin with it, unless the configuration takes it."""
    async with gate(keys=WITHDRAWS) as at:
        paper = await at.found()
        live = await at.found("--mode", "live")
        taken = await at.found("--mode", "live", TIDEGATE_VENUE__ALLOW_WITHDRAWAL="true")

    assert "warn" == paper["venue.rights.withdraw"][0]
    assert "fail" == live["venue.rights.withdraw"][0]
    assert "venue.allow_withdrawal" in live["venue.rights.withdraw"][1]
    assert "warn" == taken["venue.rights.withdraw"][0]


async def test_a_key_that_may_not_trade_fails() -> None:
    """Whatever the account itself may."""
    async with gate(keys=replace(KEYS, may_trade=False)) as at:
        found = await at.found()

    assert "fail" == found["venue.rights.trade"][0]


async def test_rights_that_a_venue_does_not_tell_are_a_warning() -> None:
    """Nobody is told that a key is harmless because there was nobody to ask."""
    row = replace(capabilities_of("binanceusdm"), rights=RightsCall.UNKNOWN)
    async with gate() as at, asking(at, row) as calls:
        asked = Asked({BTC: instrument()}, frozenset({BTC}), Accepts())
        found = [each async for each in Inspector(calls, CLOCK, asked).findings()]

    told = [each for each in found if each.subject.startswith("venue.rights")]
    assert ["warn"] == [each.status for each in told]
    assert "does not tell what a key may do" in told[0].detail


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_timer_that_the_venue_does_not_have_fails(*, is_there: bool) -> None:
    """Whoever has set it relies on it: a session would refuse to start."""
    row = capabilities_of("binanceusdm")
    row = row if is_there else replace(row, dead_man=None)
    async with gate() as at, asking(at, row, dead_man_s=60) as calls:
        asked = Asked({BTC: instrument()}, frozenset({BTC}), Accepts())
        found = [each async for each in Inspector(calls, CLOCK, asked).findings()]
    told = [each.status for each in found if each.subject == "venue.dead_man_s"]

    assert ([] if is_there else ["fail"]) == told


async def test_a_question_that_is_not_answered_is_a_warning() -> None:
    """The key was taken, and what it may do is not known: that is said, and the rest is asked."""
    fault = {"fault": "error_before", "code": -1000, "on": ["account"], "after": 1, "count": 3}
    async with gate(fault) as at:
        found = await at.found()

    assert "ok" == found["venue.key"][0]
    assert "warn" == found["venue.rights"][0]
    assert "the venue does not tell: " in found["venue.rights"][1]
    assert "ok" == found["venue.position_mode"][0]


async def test_the_position_mode_is_told_and_is_not_set() -> None:
    """A session would set it; beside a position no venue lets it, so there it fails."""
    async with gate(hedge=True) as at:
        flat = await at.found()
        hedged = await at.found(TIDEGATE_VENUE__POSITION_MODE="hedge")

        assert FactKind.SET not in at.kinds

    assert ("warn", "found hedge: a session sets it to one_way") == flat["venue.position_mode"]
    assert ("ok", "hedge") == hedged["venue.position_mode"]


async def test_leverage_and_margin_mode_are_told_and_are_not_set() -> None:
    """What a session would set at its start is a warning before it."""
    async with gate() as at:
        found = await at.found(TIDEGATE_VENUE__LEVERAGE="7", TIDEGATE_VENUE__MARGIN_MODE="isolated")

        assert FactKind.SET not in at.kinds

    assert ("warn", "found 20: a session sets it to 7") == found[f"leverage {BTC}"]
    assert ("warn", "found cross: a session sets it to isolated") == found[f"margin_mode {BTC}"]


async def test_open_orders_and_positions_are_told_by_whose_they_are() -> None:
    """Ours, by its id; somebody else's; and what the account holds. A new session is refused."""
    async with gate() as at:
        await order(at, "tg-0123456789-1", "40000")
        await order(at, "by-hand", "41000")
        await order(at, "bought", None)
        result = await at.check()
        found = found_in(result)
        accepted = await at.found(
            TIDEGATE_RECONCILIATION__POLICIES='{"foreign_order": "adopt", "stray_order": "cancel", '
            '"external_position": "adopt"}'
        )
        other = await at.found(TIDEGATE_VENUE__POSITION_MODE="hedge")

    assert 1 == result.exit_code
    assert "fail" == found["venue.orders"][0]
    ours, foreign = found["venue.orders"][1].splitlines()
    assert ours.startswith("1 open with ids of ours (tg-0123456789-1)")
    assert foreign.startswith("1 open that no session of ours has sent (by-hand)")
    assert "fail" == found["venue.positions"][0]
    assert found["venue.positions"][1].startswith(f"{BTC} long {Decimal('0.01')}")
    assert {"warn"} == {accepted[name][0] for name in ("venue.orders", "venue.positions")}
    assert "fail" == other["venue.position_mode"][0]


async def test_without_the_option_nobody_is_asked() -> None:
    """A dry run: the exchange is down, and nothing of it is missed; the questions are named."""
    async with gate({"fault": "down"}) as at:
        pass
    found = found_in(
        checked(
            TIDEGATE_VENUE__LOOPBACK_PORT=str(at.exchange.port),
            TIDEGATE_VENUE__LOOPBACK_CA=str(at.exchange.ca_path),
            TIDEGATE_VENUE__CREDENTIALS__API_KEY=KEYS.api_key,
            TIDEGATE_VENUE__CREDENTIALS__SECRET=KEYS.secret,
        )
    )

    assert not {"venue.clock", "venue.key", "venue.orders"} & found.keys()
    assert {"ok"} == {status for status, _ in found.values()}
    assert "venue.address" in found


async def test_a_venue_that_is_not_there_is_a_failure() -> None:
    """No connection is a finding, not a traceback."""
    async with gate() as at:
        pass
    result = await at.check()

    assert 1 == result.exit_code
    assert "fail" == found_in(result)["venue.clock"][0]
