"""Yahoo on loopback, and the real yfinance pointed there."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path.insert(0, str(Path(__file__).parents[1] / "market_data"))
sys.path.insert(0, str(Path(__file__).parent))

from market_data_house import mint
from yahoo_house import HOSTS, LabYahoo, serving

from feeds.yfinance.reach import YahooReach


@pytest.fixture(scope="session")
def yahoo_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the certificate and key of Yahoo's hosts."""
    pytest.importorskip("cryptography", reason="needs the extra `ccxt`")
    return mint(tmp_path_factory.mktemp("yahoo"), *HOSTS)


@pytest.fixture
def yahoo() -> LabYahoo:
    """Return Yahoo at the noon (UTC) of a Wednesday, without candles."""
    return LabYahoo(now=1_704_283_200_000)


@pytest.fixture
async def reach(yahoo: LabYahoo, yahoo_certificate: Path) -> AsyncIterator[YahooReach]:
    """Let Yahoo listen; return how yfinance gets there."""
    pytest.importorskip("yfinance", reason="needs the extra `yfinance`")
    async with serving(yahoo, yahoo_certificate) as port:
        yield YahooReach(loopback_port=port, loopback_ca=yahoo_certificate)
