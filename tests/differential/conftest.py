"""What the differential tests share: their own modules, the peers, the product's command."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
# Tests are no packages (importmode=importlib), so the modules next to them need a path.
sys.path.insert(0, str(HERE))

import product  # noqa: E402 - found by the line above
import reference  # noqa: E402 - found by the line above
from markets import RealFile  # noqa: E402

Replay = Callable[..., reference.Outcome]


@pytest.fixture(scope="session")
def peers() -> ModuleType:
    """Return the adapters of the peers, or skip where one is not installed."""
    with warnings.catch_warnings():
        # Old code compiled by a new Python warns; it is not ours to mend.
        warnings.simplefilter("ignore")
        for name in ("backtesting", "backtrader"):
            pytest.importorskip(name, reason=f"{name} is not installed (extra: peers)")
        import peers as adapters

        return adapters


@pytest.fixture(scope="session")
def rows_of() -> Callable[[RealFile], list[reference.Row]]:
    """Return a reader of real files that reads each once and skips where it is absent."""
    read: dict[str, list[reference.Row]] = {}

    def rows(file: RealFile) -> list[reference.Row]:
        if not file.path.exists():
            pytest.skip(f"real market data is not here: {file.path}")
        if file.name not in read:
            read[file.name] = reference.read_rows(file.path)
        return read[file.name]

    return rows


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Return a way to run `tidegate replay` on one market and read its trades and equity."""

    def run(data: Path, symbol: str, **options: object) -> reference.Outcome:
        out = tmp_path / "session"
        product.replay_by_command_line([(data, symbol)], out, **options)
        trades = product.trades_by_symbol(out)
        assert set(trades) <= {symbol}
        return reference.Outcome(trades.get(symbol, []), product.final_equity(out))

    return run
