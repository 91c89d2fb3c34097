"""Lets the tests of this folder import the makers next to them and those of their neighbours."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests are no packages (importmode=importlib), so the modules next to them need a path.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "runtime"), str(HERE.parent / "strategies")]
