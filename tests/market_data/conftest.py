"""The store, and the venue on loopback with its certificate."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from market_data_house import MINUTE, SYMBOL, LabVenue, Waits, mint, minute, serving

from feeds.ccxt.reach import Reach
from feeds.store.layout import Series
from feeds.store.store import BarStore


@pytest.fixture
def series() -> Series:
    """Return the series that most tests are about."""
    return Series("binanceusdm", SYMBOL, MINUTE)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    """Return an empty store."""
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    return BarStore(tmp_path / "data")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the lab venue's certificate and key."""
    pytest.importorskip("cryptography", reason="needs the extra `ccxt`")
    return mint(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def venue() -> LabVenue:
    """Return a venue without candles, whose time is just after bar 100 has begun."""
    return LabVenue(now=minute(100) + 1)


@pytest.fixture
async def reach(venue: LabVenue, certificate: Path) -> AsyncIterator[Reach]:
    """Let the venue listen; return how the real ccxt gets there."""
    pytest.importorskip("ccxt", reason="needs the extra `ccxt`")
    async with serving(venue, certificate) as port:
        yield venue.reach(port, certificate)


@pytest.fixture
def waits() -> Waits:
    """Return a sleep that takes no time."""
    return Waits()
