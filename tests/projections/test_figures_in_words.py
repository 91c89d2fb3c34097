"""Small figures as a person reads them: no sign without a digit, no zero that is none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.artifacts import _in_words
from state.projections.report_text import per_second
from strategies.sma_cross import SmaCrossParams
from tidegate.screen import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [("-0.00001", "0.00 %"), ("-0.0101", "-1.01 %"), ("12", "1,200.00 %"), (None, "-")],
)
def test_a_return_of_nothing_has_no_sign(share: str | None, text: str) -> None:
    """A cent lost of a million is not minus nothing."""
    assert text == percent(share)


@pytest.mark.parametrize(
    ("rate", "text"), [(123_456.7, "123,457"), (10.0, "10"), (0.0166, "0.017"), (0.0, "0")]
)
def test_a_bar_a_minute_is_some_bars_a_second(rate: float, text: str) -> None:
    """A live session is slow, and does not stand."""
    assert text == per_second(rate)


def test_parameters_are_told_as_they_are_configured() -> None:
    """What a reader may copy back into a configuration, and no Python."""
    params = SmaCrossParams(fast=1, slow=2, quantity=Decimal("0.003"))

    assert ["fast=1", "slow=2", "quantity=0.003"] == list(_in_words(params))
