"""What the tests of this folder share: an exchange on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path.insert(0, str(Path(__file__).parent))
