"""Lets the tests of this folder import the makers next to them."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path.insert(0, str(Path(__file__).parent))
sys.path += [str(Path(__file__).parents[1] / name) for name in ("exchange_binance", "runtime")]
