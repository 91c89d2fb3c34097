"""A value that is permitted, and that a session goes by at a risk of its own, is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidegate.compose import compose, risky
from tidegate.config import Configuration, load
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
TOLD = "c.toml: venue.dead_man_s: found 5: the venue may cancel every order over one lost request"


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


def test_a_timer_that_runs_out_at_the_first_lost_request_is_said_and_taken() -> None:
    """By file and key, with what would last; the check before it says the same, and warns."""
    given = configured(5)
    with capture_logs() as said:
        compose(given)
    warned = [each.detail for each in check(given) if each.status == "warn"]

    assert [TOLD] == [each["detail"][: len(TOLD)] for each in said if "detail" in each]
    assert [True] == [each.startswith(TOLD) for each in warned if "dead_man_s" in each]


@pytest.mark.parametrize("dead_man_s", [0, 20])
def test_a_timer_that_lasts_is_taken(dead_man_s: int) -> None:
    """None is, too."""
    given = configured(dead_man_s)
    compose(given)

    assert [] == risky(given)


def test_a_shadow_has_no_timer_to_run_out() -> None:
    """It asks the venue for nothing, whatever is configured."""
    assert [] == risky(configured(5, mode="shadow"))
