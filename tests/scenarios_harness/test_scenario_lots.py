"""Which lots the strategies of a scenario close."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.cast import cast_of
from scenarios.errors import ScenarioError
from scenarios.model import Scenario
from state.ledger import LotMethod

DECLARING = '''"""A strategy that needs its newest lots to go first."""

from state.ledger import LotMethod
from strategies import Strategy


class Newest(Strategy):
    """Do nothing."""

    lot_method = LotMethod.LIFO

    def on_bar(self, bar):
        """Decide nothing."""
'''


def scenario_of(**strategy: str) -> Scenario:
    """Return a scenario with one strategy."""
    return Scenario.model_validate(
        {
            "scenario": "Something",
            "strategies": [{"name": "one", **strategy}],
            "market": {"BTC/USDT": {"flat": {"bars": 3}}},
            "expect": [{"exit_code": 0}],
        }
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"use": "newest.py"}, LotMethod.LIFO),
        ({"use": "newest.py", "lot_method": "lifo"}, LotMethod.LIFO),
        ({"use": "sma_cross"}, LotMethod.FIFO),
        ({"use": "sma_cross", "lot_method": "average"}, LotMethod.AVERAGE),
        ({"use": "scripted"}, LotMethod.FIFO),
        ({"use": "scripted", "lot_method": "lifo"}, LotMethod.LIFO),
    ],
)
def test_a_scenario_closes_lots_as_it_says_or_as_the_strategy_declares(
    tmp_path: Path, strategy: dict[str, str], expected: LotMethod
) -> None:
    """What is not said is the strategy's own, else FIFO."""
    (tmp_path / "newest.py").write_text(DECLARING)

    assert expected is cast_of(scenario_of(**strategy), tmp_path).strategies[0].lot_method


def test_a_scenario_cannot_have_a_strategy_close_other_lots_than_it_needs(tmp_path: Path) -> None:
    """It is refused where it is read, by the strategy's place."""
    (tmp_path / "newest.py").write_text(DECLARING)

    with pytest.raises(ScenarioError, match=r"strategies\[0\]: strategy newest: lot_method: found"):
        cast_of(scenario_of(use="newest.py", lot_method="fifo"), tmp_path)
