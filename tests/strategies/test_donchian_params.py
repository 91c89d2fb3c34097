"""The parameters of donchian_breakout: one clear error each, and what they are by default."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from strategies.contract import missing_hooks
from strategies.donchian_breakout import DonchianBreakout, DonchianBreakoutParams

D = Decimal


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"entry_period": 0}, "greater than or equal to 1"),
        ({"atr_period": 10_001}, "less than or equal to 10000"),
        ({"stop_atr": 0}, "greater than 0"),
        ({"stop_atr": "NaN"}, "finite"),
        ({"trail_atr": "-1"}, "greater than 0"),
        ({"activate_atr": "-1"}, "greater than or equal to 0"),
        ({"exit_period": 0}, "greater than or equal to 1"),
        ({"max_bars": 0}, "greater than or equal to 1"),
        ({"quantity": 0}, "greater than 0"),
        ({"risk_quote": "Infinity"}, "finite"),
        ({"quantity": 1, "risk_quote": 1}, "quantity and risk_quote: expected only one of them"),
        ({"sides": "up"}, "'long', 'short' or 'both'"),
        ({"entry_slippage_bps": 10_000}, "less than 10000"),
        ({"backoff_base_s": 100, "backoff_max_s": 99}, "expected at least backoff_base_s"),
        ({"speed": 1}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], message: str) -> None:
    """One error, which names the field."""
    with pytest.raises(ValidationError, match=message) as caught:
        DonchianBreakoutParams(**params)

    assert 1 == caught.value.error_count()


def test_there_is_always_a_way_out_with_a_profit_and_a_size() -> None:
    """A trail unless there is an exit channel; a notional unless something else is said."""
    plain, channel = DonchianBreakoutParams(), DonchianBreakoutParams(exit_period=10)

    assert (D(3), None, D(1000)) == (plain.trail_atr, plain.exit_period, plain.notional)
    assert (None, 10) == (channel.trail_atr, channel.exit_period)
    assert DonchianBreakoutParams(risk_quote=5).notional is None


def test_it_has_every_hook_that_real_money_needs() -> None:
    """`tidegate check` has nothing to warn of."""
    assert [] == missing_hooks(DonchianBreakout)
