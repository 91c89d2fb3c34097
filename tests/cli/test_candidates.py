"""What `check` says of strategies, what live refuses them for, and where their errors show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from strategies.contract import LIVE_HOOKS, Strategy, missing_hooks

if TYPE_CHECKING:
    from tests.cli.conftest import Process, Tidegate

CONFIG = """
[session]
mode = "{mode}"
[universe]
symbols = ["BTC/USDT"]
[feed]
source = "synthetic"
speed = 0
[feed.synthetic]
bars = 30
[[strategies]]
name = "owl"
use = "owl.py"
[risk]
max_order_notional = "1000"
max_gross_exposure = "1000"
max_drawdown_pct = "10"
max_daily_loss = "100"
"""
PLAIN = """
from strategies.contract import Strategy


class Owl(Strategy):
    def on_bar(self, bar):
        return None
"""
HOOKS = {
    "snapshot": "(self):\n        return {}",
    "restore": "(self, state):\n        pass",
    "on_order_update": "(self, report):\n        pass",
    "on_fill": "(self, fill):\n        pass",
    "on_order_rejected": "(self, rejection):\n        pass",
    "can_submit_order": "(self, intent):\n        return None",
    "execution_backoff": "(self):\n        return None",
    "set_broker_min_order": "(self, minimum):\n        pass",
}
WHOLE = PLAIN + "".join(f"\n    def {name}{body}\n" for name, body in HOOKS.items())


def configured(strategy: str, mode: str = "paper") -> None:
    Path("owl.py").write_text(strategy, encoding="utf-8")
    Path("tidegate.toml").write_text(CONFIG.format(mode=mode), encoding="utf-8")


def of_strategy(tidegate: Tidegate, *options: str) -> list[tuple[str, str]]:
    """Return status and detail of what `check` finds about the strategy."""
    rows = json.loads(tidegate("check", "--json", *options).stdout)["checks"]
    return [(row["status"], row["detail"]) for row in rows if row["subject"] == "strategy owl"]


# ------------------------------------------------------------------------------------ live hooks

OWN = "hooks of its own, and "


def test_the_live_hooks_are_hooks_of_the_contract() -> None:
    """Each is a method that a strategy can have of its own; the base has all of them."""
    assert set(HOOKS) == set(LIVE_HOOKS)
    assert list(LIVE_HOOKS) == missing_hooks(Strategy)


@pytest.mark.parametrize(
    ("mode", "status"), [("paper", "warn"), ("replay", "warn"), ("live", "fail")]
)
def test_check_names_the_hooks_that_a_strategy_leaves_to_the_base(
    tidegate: Tidegate, mode: str, status: str
) -> None:
    """A lesson on paper, a refusal before real money."""
    configured(PLAIN, mode)

    made, missing = of_strategy(tidegate)

    assert ("ok", "made, and its state comes back on a fresh object") == made
    assert (
        status,
        f"not ready to trade live, leaves to the base: {', '.join(LIVE_HOOKS)}",
    ) == missing


@pytest.mark.parametrize("hook", LIVE_HOOKS)
def test_one_hook_that_is_missing_is_enough(tidegate: Tidegate, hook: str) -> None:
    """Each is looked for by itself, in what `check` says and in what live refuses."""
    configured(WHOLE.replace(f"def {hook}(", "def other("), "live")

    found = of_strategy(tidegate)
    refused = tidegate("trade", "--mode", "live", "--i-acknowledge-risk")

    assert ("fail", f"not ready to trade live, leaves to the base: {hook}") == found[-1]
    assert (2, [f"found none for {hook}; expected each of them in owl.py"]) == (
        refused.exit_code,
        [found for line in refused.stderr.splitlines() if (found := line.partition(OWN)[2])],
    )


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_strategy_with_every_hook_is_found_ready(tidegate: Tidegate, mode: str) -> None:
    """Then live is refused for its venue and its feed, and for nothing of the strategy's."""
    configured(WHOLE, mode)

    assert [("ok", "made, and its state comes back on a fresh object")] == of_strategy(tidegate)
    if mode == "live":
        refused = tidegate("trade", "--i-acknowledge-risk")
        assert "venue.adapter" in refused.stderr
        assert "strategy owl" not in refused.stderr


def test_live_names_limits_and_hooks_at_once(tidegate: Tidegate) -> None:
    """Who mends the first of two reasons must see the second."""
    configured(PLAIN, "live")
    text = Path("tidegate.toml").read_text(encoding="utf-8")
    Path("tidegate.toml").write_text(text.replace('max_daily_loss = "100"\n', ""))

    refused = tidegate("trade", "--i-acknowledge-risk")
    said = refused.stderr.splitlines()
    (limits,) = [line for line in said if "risk." in line]
    (hooks,) = [line for line in said if "strategy owl" in line]

    assert "found none for risk.max_daily_loss" in limits
    assert f"strategy owl: live needs hooks of its own, and found none for {LIVE_HOOKS[0]}" in hooks


# ------------------------------------------------------------------------------- its state, tried

SET = PLAIN + "\n    def snapshot(self):\n        return {1, 2}\n"
RAISES = PLAIN + "\n    def restore(self, state):\n        return state['depth']\n"
UNMADE = PLAIN + "\n    def __init__(self, desk, params):\n        raise RuntimeError('no luck')\n"


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (SET, "/owl.py:9 in snapshot: snapshot is not JSON-ready: Object of type set"),
        (RAISES, "/owl.py:10 in restore: KeyError: 'depth'"),
        (UNMADE, "/owl.py:10 in __init__: RuntimeError: no luck"),
    ],
)
def test_check_fails_a_strategy_whose_state_does_not_come_back(
    tidegate: Tidegate, strategy: str, said: str
) -> None:
    """With the file and the line of its own."""
    configured(strategy)

    (status, detail), *_ = of_strategy(tidegate)

    assert "fail" == status
    assert said in detail
    assert 1 == tidegate("check").exit_code


@pytest.mark.parametrize(
    "command",
    [["trade"], ["replay", "-c", "tidegate.toml", "--out", "out"]],
    ids=["trade", "replay"],
)
def test_a_strategy_that_cannot_be_made_leaves_no_session(
    tidegate: Tidegate, command: list[str]
) -> None:
    """One line with file and line, exit code 2, and the folder is free for the next try."""
    configured(UNMADE)

    refused = tidegate(*command)

    assert 2 == refused.exit_code
    assert "owl.py:10 in __init__: RuntimeError: no luck" in refused.stderr.splitlines()[-1]
    assert not list(Path().rglob("manifest.json"))


# ------------------------------------------------------------------------- where its errors show

CLUMSY = """
from decimal import Decimal

from messages import Side
from strategies.contract import Strategy


class Owl(Strategy):
    def on_bar(self, bar):
        return {body}
"""


@pytest.mark.parametrize(
    ("body", "line", "error"),
    [
        ("1 / 0", 10, "ZeroDivisionError: division by zero"),
        (
            "[self.desk.open(bar.symbol, Side.BUY, 0.5)]",
            9,
            "MalformedIntent: quantity is 0.5, expected a finite Decimal below 1e19",
        ),
        (
            "['buy']",
            9,
            "ForeignEffect: strategy 'owl' returned str, expected OpenIntent",
        ),
    ],
)
def test_an_error_is_shown_with_its_line_on_screen_in_the_report_and_in_the_log(
    process: Process, own_folder: Path, body: str, line: int, error: str
) -> None:
    """Wherever a strategy's error is shown, the user's own file and line stand beside it."""
    configured(CLUMSY.format(body=body), "replay")
    place = f"{own_folder.name}/owl.py:{line} in on_bar"

    ended = process("replay", "-c", "tidegate.toml", "--out", "out")

    log = Path("out/logs/tidegate.log").read_text(encoding="utf-8")
    report = Path("out/session.md").read_text(encoding="utf-8")
    events = Path("out/events.ndjson").read_text(encoding="utf-8")
    assert 0 == ended.returncode
    assert f'place="{place}" error="{error}' in ended.stderr
    assert f"| failed | strategy:owl | {place}: {error}" in report
    assert json.dumps(place) in log
    assert error in log
    assert f'"place":"{place}"' in events
