"""Four brokers, each at its own venue, behind one desk."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / each) for each in ("alpaca", "ccxt_broker", "exchange")),
]
