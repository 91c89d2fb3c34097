"""`tidegate check` without a venue says which symbols the instrument file leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from preflight_house import CONFIGURATION, checked, configure, found_in

PAPER = CONFIGURATION.partition("[venue]")[0]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_spot_symbol_beside_the_file_of_a_perpetual_is_warned_of() -> None:
    """One colon less is another market, whose rules nobody has written down."""
    configure(PAPER.replace("BTC/USDT:USDT", "BTC/USDT"))

    status, detail = found_in(checked())["instruments"]

    assert "warn" == status
    assert "BTC/USDT: instruments.toml does not describe it, and has BTC/USDT:USDT" in detail


def test_a_symbol_that_is_described_is_not_warned_of() -> None:
    """Ablation: the warning is about what the file leaves out."""
    configure(PAPER)

    assert "ok" == found_in(checked())["instruments"][0]
