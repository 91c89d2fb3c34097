"""Every feed at its own source, behind one stand."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path.insert(0, str(Path(__file__).parents[1] / "market_data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "yahoo"))
sys.path.insert(0, str(Path(__file__).parents[1] / "alpaca"))
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from market_data_house import mint
from yahoo_house import HOSTS

ALPACA = ("*.alpaca.markets", "*.data.alpaca.markets")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the certificate and key of every venue's hosts."""
    pytest.importorskip("cryptography", reason="needs the extra `ccxt`")
    return mint(tmp_path_factory.mktemp("certificate"), "*.binance.com", *ALPACA, *HOSTS)
