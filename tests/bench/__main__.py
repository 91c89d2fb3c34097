"""``python -m tests.bench``: the same as ``python tests/bench/run.py``."""

import sys
from pathlib import Path

# The cases import each other as plain scripts: some run in an environment without this project.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from run import main

sys.exit(main())
