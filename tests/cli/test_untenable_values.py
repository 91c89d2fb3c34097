"""A value that its own field permits, and that no session can go by, starts none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.compose import compose, untenable
from tidegate.config import Configuration, load
from tidegate.exits import ConfigError
from tidegate.preflight import check

RUNNABLE = """
[universe]
symbols = ["BTC/USDT"]
[venue]
adapter = "ccxt"
exchange = "binanceusdm"
loopback_port = 8443
[[strategies]]
name = "sma"
use = "sma_cross"
budget = "70"
"""
TOLD = "c.toml: venue.dead_man_s: found 5, expected 0 or at least 20: "


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no configuration of this machine is read."""
    monkeypatch.chdir(tmp_path)


def configured(dead_man_s: int, mode: str = "paper") -> Configuration:
    """Return a configuration whose venue's timer is of such a span."""
    session = f'[session]\ncash = "2000"\nmode = "{mode}"\n'
    timer = f"dead_man_s = {dead_man_s}\n"
    head, tail = RUNNABLE.split("[[strategies]]")
    Path("c.toml").write_text(f"{session}{head}{timer}[[strategies]]{tail}")
    return load([Path("c.toml")], environ={})


def test_a_timer_that_runs_out_at_the_first_lost_request_starts_nothing() -> None:
    """By file and key, with what was found and expected; the check before it says the same."""
    given = configured(5)
    with pytest.raises(ConfigError) as refused:
        compose(given)
    failing = [each.detail for each in check(given) if each.status == "fail"]

    assert str(refused.value).startswith(TOLD)
    assert [True] == [each.startswith(TOLD) for each in failing if "dead_man_s" in each]


@pytest.mark.parametrize("dead_man_s", [0, 20])
def test_a_timer_that_lasts_is_taken(dead_man_s: int) -> None:
    """None is, too."""
    given = configured(dead_man_s)
    compose(given)

    assert [] == untenable(given)


def test_a_shadow_has_no_timer_to_run_out() -> None:
    """It asks the venue for nothing, whatever is configured."""
    assert [] == untenable(configured(5, mode="shadow"))
