"""Every shipped ladder has a page, and the page has every parameter with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_pages import text_of

from strategies.donchian_breakout import DonchianBreakoutParams
from strategies.dual_dca import DualDcaParams
from strategies.dual_dca_lifo import DualDcaLifoParams
from strategies.loader import SHIPPED

BREAKOUT = Path("docs/strategies/donchian_breakout.md")
LADDER = Path("docs/strategies/dual_dca.md")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<default>.*?) ?\| .+ \|$", flags=re.MULTILINE)


def documented(page: Path) -> dict[str, str]:
    """Return the default of every parameter that a page has a row for."""
    parameters = text_of(page).partition("\n## Parameters\n")[2]
    return {match["name"]: match["default"] for match in ROW.finditer(parameters)}


def written(value: Any) -> str:
    """Return a default as the page writes it."""
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{each.value}`" for each in value)
    text = str(getattr(value, "value", value))
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def test_the_page_of_a_ladder_has_every_parameter_with_its_default() -> None:
    """In any order, none too many, none missing, none that has changed since."""
    defaults = DualDcaParams()

    assert documented(LADDER) == {
        name: written(getattr(defaults, name)) for name in DualDcaParams.model_fields
    }


def test_the_page_of_the_breakout_has_every_parameter_with_its_default() -> None:
    """In any order, none too many, none missing, none that has changed since."""
    defaults = DonchianBreakoutParams()

    assert documented(BREAKOUT) == {
        name: written(getattr(defaults, name)) for name in DonchianBreakoutParams.model_fields
    }


def test_the_lifo_ladder_has_the_same_parameters_but_one() -> None:
    """Its page refers to the other's."""
    assert {"exit"} == set(DualDcaParams.model_fields) - set(DualDcaLifoParams.model_fields)
    assert set(DualDcaLifoParams.model_fields) <= set(DualDcaParams.model_fields)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "sma_cross"])
def test_a_shipped_strategy_has_a_page_that_says_when_not_to_use_it(name: str) -> None:
    """And what it does when an order fails."""
    text = text_of(Path(f"docs/strategies/{name}.md"))

    for heading in ("What it does", "When not to use it", "An example", "When an order fails"):
        assert f"\n## {heading}\n" in text
