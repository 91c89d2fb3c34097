"""Lets the tests of this folder import what they share, and the makers of exchanges."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE), str(HERE.parent / "exchange")]
