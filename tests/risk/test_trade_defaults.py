"""Limits in the configuration: what may be set, what ``trade`` sets, what live must be given."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.risk import GUARDS, RiskLimits
from actors.risk.defaults import LIVE_NEEDS, trade_defaults
from actors.settings import RiskSettings
from messages import BreachAction
from tidegate.compose import (
    compose,
    kept_config,
    limits_of,
    missing_for_live,
    not_in_force,
)
from tidegate.config import TRADE_DEFAULT, Configuration, Settings, load
from tidegate.exits import ConfigError
from tidegate.going_live import refuse_unfit
from tidegate.preflight import check

D = Decimal


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no configuration of this machine is read."""
    monkeypatch.chdir(tmp_path)


def configured(text: str, **environ: str) -> Configuration:
    Path("c.toml").write_text(text)
    return load([Path("c.toml")], environ=environ)


RUNNABLE = """
[session]
cash = "2000"
[universe]
symbols = ["BTC/USDT"]
[[strategies]]
name = "sma"
use = "sma_cross"
budget = "70"
"""


# -- from key to guard


def test_every_limit_can_be_configured_and_every_key_is_a_limit() -> None:
    """Settings, limits and registry speak of the same things by the same names."""
    keys = set(RiskSettings.model_fields) - {"actions"}
    elsewhere = {"strategy_budgets", "universe_allow", "universe_deny", "actions"}

    assert keys == {place.name for place in fields(RiskLimits)} - elsewhere
    assert {spec.name for spec in GUARDS} == keys | {"universe", "strategy_budget"}


def test_all_limits_reach_risk_as_they_were_written() -> None:
    """Exact amounts, the strategies' budgets, the universe's lists, the actions."""
    found = limits_of(
        configured(
            RUNNABLE
            + '[risk]\nmax_net_exposure = "0.1"\nsymbol_budgets = {"BTC/USDT" = "5"}\n'
            + "max_consecutive_losses = 4\nblock_stacking = true\n[risk.actions]\n"
            + 'max_net_exposure = "halt"\nstrategy_budget = "reduce_only"\n'
        ).settings
    )

    assert D("0.1") == found.max_net_exposure
    assert {"BTC/USDT": D(5)} == found.symbol_budgets
    assert {"sma": D(70)} == found.strategy_budgets
    assert (4, True) == (found.max_consecutive_losses, found.block_stacking)
    assert {
        "max_net_exposure": BreachAction.HALT,
        "strategy_budget": BreachAction.REDUCE_ONLY,
    } == found.actions


def test_nothing_of_risk_is_refused_as_not_in_force() -> None:
    """Every key under ``[risk]`` does what it says."""
    given = configured('[risk]\nmax_daily_loss = "5"\nprice_collar_bps = "5"\n' + RUNNABLE)

    assert [] == not_in_force(given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_daily_loss = 10.5", "found 10.5 (a number), expected an exact amount in quotes"),
        ('max_daily_loss = "0"', "found '0' (text), expected greater than 0"),
        ('max_drawdown_pct = "101"', "expected less than or equal to 100"),
        ("max_open_orders = 0", "expected greater than 0"),
        ("max_cancels_per_minute = 1000001", "expected less than or equal to 1000000"),
        ('symbol_budgets = {"A/B" = "-1"}', "risk.symbol_budgets.A/B: found '-1'"),
        ('max_dayly_loss = "5"', 'did you mean "max_daily_loss"?'),
        ('actions = {max_drawdown = "halt"}', 'did you mean "max_drawdown_pct"?'),
        ('actions = {max_drawdown_pct = "stop"}', "expected 'refuse', 'reduce_only' or 'halt'"),
        ('actions = {money = "halt"}', "expected the name of a limit"),
    ],
)
def test_a_wrong_limit_is_one_clear_error(text: str, expected: str) -> None:
    """With its file and key, what was found and what was expected."""
    with pytest.raises(ConfigError) as refused:
        configured(f"[risk]\n{text}\n")

    assert "c.toml: " in str(refused.value)
    assert expected in str(refused.value)


def test_a_budget_of_a_symbol_that_is_not_traded_is_a_slip() -> None:
    """It would bind nothing: said before the session starts, and by ``check``."""
    given = configured(RUNNABLE + '[risk]\nsymbol_budgets = {"BTC/USTD" = "5"}\n')
    failing = [finding for finding in check(given) if finding.status == "fail"]

    with pytest.raises(ConfigError, match="found BTC/USTD, expected some of BTC/USDT"):
        compose(given)
    assert ["limits"] == [finding.subject for finding in failing]


# -- what trade does not go without


def shown(given: Configuration) -> dict[str, tuple[Any, str]]:
    return {
        key.removeprefix("risk."): (value, origin)
        for key, value, origin in given.rows()
        if key.startswith("risk.")
    }


def test_trade_has_limits_that_nobody_gave() -> None:
    """Made of the cash, shown with their origin, and in the limits that Risk enforces."""
    given = configured(RUNNABLE)
    defaults = trade_defaults(D(2000))

    assert {
        name: (limit if isinstance(limit, int) else str(limit), TRADE_DEFAULT)
        for name, limit in defaults.items()
    } == {name: row for name, row in shown(given).items() if row[1] == TRADE_DEFAULT}
    enforced = limits_of(given.settings)
    assert defaults == {name: getattr(enforced, name) for name in defaults}
    assert D(100) == enforced.max_daily_loss


def test_a_replay_has_none() -> None:
    """Nothing that nobody asked for comes between a strategy and its history."""
    given = configured(RUNNABLE, TIDEGATE_SESSION__MODE="replay")

    assert all(origin != TRADE_DEFAULT for _, origin in shown(given).values())
    assert RiskLimits(strategy_budgets={"sma": D(70)}) == limits_of(given.settings)


@pytest.mark.parametrize("mode", ["paper", "shadow", "live"])
def test_what_is_given_takes_a_defaults_place(mode: str) -> None:
    """However large: an explicit value is the one way to do without a default."""
    given = configured(
        f'[risk]\nmax_daily_loss = "1e12"\nmax_open_orders = 7\n[session]\nmode = "{mode}"\n'
    )

    assert ("1E+12", "c.toml") == shown(given)["max_daily_loss"]
    assert (7, "c.toml") == shown(given)["max_open_orders"]
    assert TRADE_DEFAULT == shown(given)["max_drawdown_pct"][1]


def test_the_manifest_keeps_the_defaults_so_that_a_second_run_has_them() -> None:
    """What verify reads needs no rule about defaults, and finds the same limits."""
    given = configured(RUNNABLE)
    parts = compose(given)
    kept = kept_config(given, parts.strategies, parts.instruments)

    assert parts.limits == limits_of(
        Settings.model_validate({"session": kept["session"], "risk": kept["risk"]}).model_copy(
            update={"strategies": given.settings.strategies}
        )
    )
    assert "20" == kept["risk"]["max_drawdown_pct"]


def test_every_default_is_a_limit_that_does_something() -> None:
    """Each is a key of ``[risk]``, and no session starts beyond one of its own defaults."""
    defaults = trade_defaults(D(1))

    assert set(defaults) <= set(RiskSettings.model_fields)
    assert all(limit > 0 for limit in defaults.values())
    RiskLimits(**defaults)  # type: ignore[arg-type]


# -- live


LIVE = """
[session]
mode = "live"
[venue]
adapter = "ccxt"
exchange = "binanceusdm"
[feed]
source = "ccxt"
"""

GIVEN = {
    "max_order_notional": '"100"',
    "max_gross_exposure": '"300"',
    "max_drawdown_pct": '"10"',
    "max_daily_loss": '"30"',
}


def test_live_is_refused_without_limits_of_its_own() -> None:
    """A default made of a simulated account's cash is none: each that is missing is named."""
    with pytest.raises(ConfigError) as refused:
        refuse_unfit(configured(LIVE), acknowledged=True)

    assert all(f"risk.{name}" in str(refused.value) for name in LIVE_NEEDS)
    assert 1 == len(str(refused.value).splitlines())


@pytest.mark.parametrize("missing", LIVE_NEEDS)
def test_each_limit_that_live_needs_is_missed(missing: str) -> None:
    """One alone is enough to be refused, by ``trade`` and by ``check``."""
    text = "\n".join(f"{name} = {value}" for name, value in GIVEN.items() if name != missing)
    given = configured(f'[session]\nmode = "live"\n[risk]\n{text}\n')
    failing = [finding.subject for finding in check(given) if finding.status == "fail"]

    assert [f"risk.{missing}"] == missing_for_live(given)
    assert f"risk.{missing}" in failing


def test_live_with_all_four_is_not_refused_for_its_limits() -> None:
    """What is given is given, wherever it comes from."""
    text = "\n".join(f"{name} = {value}" for name, value in GIVEN.items() if "pct" not in name)
    given = configured(f"{LIVE}[risk]\n{text}\n", TIDEGATE_RISK__MAX_DRAWDOWN_PCT="10")

    refuse_unfit(given, acknowledged=True)
    assert [] == missing_for_live(given)


# -- check


def test_check_says_which_limit_does_what_and_where_it_comes_from() -> None:
    """Each limit that is set with its action; an action of a limit that is not set is named."""
    given = configured(
        RUNNABLE
        + '[risk]\nsymbol_budgets = {"BTC/USDT" = "5"}\nblock_stacking = true\n'
        + '[risk.actions]\nmax_session_loss = "halt"\nblock_stacking = "reduce_only"\n'
    )
    found = {finding.subject: finding for finding in check(given)}

    assert "BTC/USDT 5 (c.toml)" == found["risk.symbol_budgets"].detail
    assert "on, then reduce_only (c.toml)" == found["risk.block_stacking"].detail
    assert "20, then halt (trade default)" == found["risk.max_drawdown_pct"].detail
    assert "sma 70 (c.toml)" == found["risk.strategy_budget"].detail
    assert "warn" == found["risk.max_session_loss"].status


def test_check_of_a_replay_warns_of_what_bounds_nothing() -> None:
    """Without order, exposure, drawdown and daily limits it says so, by name."""
    given = configured(RUNNABLE, TIDEGATE_SESSION__MODE="replay")
    warned = [finding.subject for finding in check(given) if finding.status == "warn"]

    assert {f"risk.{name}" for name in LIVE_NEEDS} == set(warned) - {"strategy sma"}
