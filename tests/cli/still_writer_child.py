"""Runs ``tidegate`` with a process of projections that is suspended once its session has ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from state.projections import process
from state.projections.process import ProjectionProcess
from tidegate.cli import main

finish = ProjectionProcess.finish


def finish_with_one_suspended(self: ProjectionProcess, facts: Mapping[str, object]) -> Any:
    """Suspend it, and ask for its files."""
    os.kill(self._process.pid, signal.SIGSTOP)
    return finish(self, facts)


if __name__ == "__main__":
    vars(process).update(STILL_S=0.5, LOOK_S=0.1)
    ProjectionProcess.finish = finish_with_one_suspended  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
