"""A script of faults that would not do what it says is refused, and says why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from scenarios.exchange.faults import PLAIN_FAULTS, Faults, FaultScript, FaultsRefused


def test_the_plain_dialect_refuses_what_it_does_not_know() -> None:
    """A script that would silently do nothing is no script."""
    known = Faults(FaultScript.model_validate({"faults": [{"fault": "hang"}]}))
    known.limit(PLAIN_FAULTS)
    other = FaultScript.model_validate({"faults": [{"fault": "close_stream"}, {"fault": "hang"}]})

    with pytest.raises(FaultsRefused, match="this dialect does not know close_stream"):
        known.replace(other)
    with pytest.raises(FaultsRefused, match="close_stream"):
        Faults(other).limit(PLAIN_FAULTS)
    assert "hang" == known.strike("submit").fault  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"fault": "error_before"}, "needs `code`"),
        ({"fault": "hide_orders"}, "needs `by`"),
        ({"fault": "skew_clock"}, "needs `skew_ms` or `drift_ppm`"),
        ({"fault": "race_fills", "on": ["submit"]}, "race_fills is about cancel only"),
        ({"fault": "stale_bars", "on": ["news"]}, "stale_bars is about bars only"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(wrong: dict[str, Any], word: str) -> None:
    """What a kind needs, and what it cannot be about, is said."""
    with pytest.raises(ValidationError, match=re.escape(word)):
        FaultScript.model_validate({"faults": [wrong]})
